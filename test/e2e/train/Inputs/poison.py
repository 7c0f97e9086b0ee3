# SPDX-License-Identifier: Apache-2.0
"""poison.py CASE REFUSED BUNDLE TOKENS FLAG...: trains from the weights of CASE with one tensor made not finite, several times."""

import pathlib
import subprocess
import sys

import numpy as np

case, refused = map(pathlib.Path, sys.argv[1:3])
bundle, tokens, *flags = sys.argv[3:]
sys.path.insert(0, str(case.parent))

import tensorfile  # noqa: E402

weights = tensorfile.load(case / "model.safetensors")
for name, where, value in (("model.embed_tokens.weight", slice(None), np.nan),
                           ("model.layers.0.self_attn.kv_b_proj.weight", 7, np.nan),
                           ("model.layers.1.mlp.gate.weight", 7, np.nan),
                           ("model.layers.1.mlp.shared_experts.up_proj.weight", 7, np.inf),
                           ("lm_head.weight", 7, np.inf)):
    poisoned = {n: w.copy() for n, w in weights.items()}
    for copy in [n for n in poisoned if n == name or (n.endswith(".embed_tokens.weight") and name == "model.embed_tokens.weight")
                 or (n.endswith(".shared_head.head.weight") and name == "lm_head.weight")]:
        poisoned[copy].reshape(-1)[where] = value
    tensorfile.save(poisoned, "poisoned.safetensors")
    subprocess.run([sys.executable, refused, "--failed", "hadal-run", "train", bundle, "--data", tokens, "--weights",
                    "poisoned.safetensors", "--steps", "1", "--checkpoint", "out", *flags], check=True)
