# SPDX-License-Identifier: Apache-2.0
"""within.py FILE CASE TOLERANCE: FILE holds what a case of test/oracle expects, gradients too, within TOLERANCE."""

import pathlib
import sys

ORACLE = pathlib.Path(__file__).resolve().parents[2] / "oracle"
sys.path.insert(0, str(ORACLE))

import tensorfile  # noqa: E402
from compare import differences  # noqa: E402

file, case, tolerance = sys.argv[1], ORACLE / sys.argv[2], float(sys.argv[3])
wrong = differences(tensorfile.load(file), tensorfile.load(case / "expected.safetensors"),
                    tensorfile.load(case / "gradients.safetensors"), tolerance)
print("\n".join(wrong[:40]) or f"{case.name}: agrees")
sys.exit(bool(wrong))
