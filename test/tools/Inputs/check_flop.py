# SPDX-License-Identifier: Apache-2.0
"""check_flop.py ROOT: what tools/bench counts for DeepSeek-V3."""

import json
import pathlib
import sys

root = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(root / "tools" / "bench"))

import common  # noqa: E402

config = json.loads((root / "examples" / "deepseek-v3" / "config.json").read_text())
print("active parameters", common.active_parameters(config))
print(f"training {common.training_flop(config, 4096) * 1e-9:.1f} GFLOP a token")
