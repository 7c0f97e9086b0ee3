# SPDX-License-Identifier: Apache-2.0
"""recomputation.py CONFIG ORACLE LENGTH...: for prompts of these lengths, every id that `generate` chose must have the largest
logit in `evaluate` on the whole sequence, but for ties within rounding."""

import json
import pathlib
import subprocess
import sys

import numpy as np

TOKENS, TIE = 158, 1e-4

config, oracle, lengths = sys.argv[1], pathlib.Path(sys.argv[2]), [int(n) for n in sys.argv[3:]]
sys.path.insert(0, str(oracle))

import tensorfile  # noqa: E402
from parameters import draw  # noqa: E402


def run(*command):
    return subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True, check=True).stdout


spec = json.loads(pathlib.Path(config).read_text())
pathlib.Path("plan.json").write_text(json.dumps(
    {"micro_batch": {"sequences": 1, "tokens": TOKENS}, "programs": ["generate", "evaluate"]}))
random = np.random.default_rng(3)
tensorfile.save(draw(spec, [0.0, 0.1], random), "weights.safetensors")
run("hadal-compile", config, "--plan", "plan.json", "-o", "model.hadal")
wrong = []
for length in lengths:
    prompt = random.integers(0, spec["vocab_size"], length).tolist()
    ids = [int(i) for i in run("hadal-run", "generate", "model.hadal", "--weights", "weights.safetensors", "--prompt-ids",
                               ",".join(map(str, prompt)), "--ids", "--ignore-eos", "--max-tokens", TOKENS + 1 - length).split()]
    tensorfile.save({"tokens": np.array([prompt + ids], np.int64)}, "tokens.safetensors")
    run("hadal-run", "evaluate", "model.hadal", "--weights", "weights.safetensors", "--tokens", "tokens.safetensors", "--out",
        "out.safetensors")
    logits = tensorfile.load("out.safetensors")["logits"][0, length - 1:]
    behind = logits.max(-1) - logits[np.arange(len(ids)), ids]
    wrong += [f"prompt of {length}: new token {i} is {ids[i]}; recomputed {logits[i].argmax()}, {gap:.2e} ahead"
              for i, gap in enumerate(behind) if not gap <= TIE]
    if len(set(ids)) < 5:
        wrong.append(f"prompt of {length}: a continuation that shows nothing: {ids}")
sys.exit("\n".join(wrong[:20]) or 0)
