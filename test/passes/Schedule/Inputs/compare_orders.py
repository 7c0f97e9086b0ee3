# SPDX-License-Identifier: Apache-2.0
"""compare_orders.py FOLDER OUT: hadal-compile --schedule-only against every order in the folder."""

import json
import pathlib
import subprocess
import sys

files = sorted(pathlib.Path(sys.argv[1]).glob("*.json"))
out = pathlib.Path(sys.argv[2])
assert files, "no orders to compare with"
for file in files:
    expected = json.loads(file.read_text())
    subprocess.run(["hadal-compile", "--schedule-only", expected["schedule"], "--ranks", str(expected["ranks"]),
                    "--micro-batches", str(expected["micro_batches"]), "-o", str(out)], check=True)
    found = json.loads(out.read_text())
    if found != expected:
        for rank, (ours, theirs) in enumerate(zip(found["order"], expected["order"])):
            for at, (a, b) in enumerate(zip(ours, theirs)):
                if a != b:
                    sys.exit(f"{file.name}: rank {rank}, entry {at}: found {a}, expected {b}")
        sys.exit(f"{file.name}: lengths or header differ")
