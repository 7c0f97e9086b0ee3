# SPDX-License-Identifier: Apache-2.0
"""refused_costs.py COMMAND...: writes one wrong costs.json after the other, and runs the command with its name; each time it must
end with exit code 2 and one line on stderr. Prints the files and the lines."""

import pathlib
import subprocess
import sys

FILES = [
    '{"machin": {}}',
    '{"machine": {"flops": 1}}',
    '{"machine": {"node": {"latency": 3}}}',
    '{"kinds": {"tokens": 10, "attn(X)": 3}}',
    '{"machine": {"flops_per_s": "fast"}}',
    '{"machine": {"network": 3}}',
    '{"components": [1]}',
    '{"components": {"attn_moe_F": null}}',
    "[1]",
    '{"machine": {"flops_per_s": 0}}',
    '{"machine": {"launch_us": -2}}',
    '{"components": {"attn_moe_F": -0.5}}',
    '{"kinds": {"attn(F)": 3}}',
    '{"kinds": {"tokens": 0}}',
    '{"kinds": {"tokens": 10, "alone": {"tokens": 3}}}',
    '{"kinds": {"tokens": 10, "alone": {"combine(F)": -3}}}',
    '{"components": {"a": 1, "a": 2}}',
    '{"machine":',
    "F=1",
    "",
    None,
]

path = pathlib.Path("costs.json")
for content in FILES:
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    print("(no file)" if content is None else content or "(an empty file)")
    done = subprocess.run([*sys.argv[1:], path.name], capture_output=True, text=True, check=False)
    print(done.stderr, end="")
    if done.returncode != 2 or done.stdout or len(done.stderr.splitlines()) != 1:
        sys.exit(f"exit code {done.returncode}: {done.stdout}")
print(len(FILES), "refused")
