# SPDX-License-Identifier: Apache-2.0
"""refused.py [--failed] COMMAND...: the command must end with exit code 2 (1 with --failed) and one line on stderr that starts
with `error: `; other lines are allowed with --failed only, before it. Prints that line."""

import subprocess
import sys

arguments = sys.argv[1:]
failed = arguments[0] == "--failed"
done = subprocess.run(arguments[failed:], capture_output=True, text=True, errors="replace", check=False)
lines = done.stderr.splitlines() or ["(nothing)"]
print(lines[-1])
if done.returncode != (1 if failed else 2):
    sys.exit(f"exit code {done.returncode}: {done.stderr[-1000:]}")
if not lines[-1].startswith("error: ") or (len(lines) > 1 and not failed):
    sys.exit(f"not one line that starts with `error: `: {done.stderr[-1000:]}")
