# SPDX-License-Identifier: Apache-2.0
"""check_symbols.py BIN TOOL...: what the tools are linked from.

A tool on the compiler side takes MLIR and LLVM from the shared libraries: it may hold templates and inline functions of
theirs (weak symbols) and specialisations for our own classes, but no core of theirs, else two copies of MLIR meet in one
process. A tool of the runtime (hadal-run) needs no LLVM library at all.
"""

import re
import subprocess
import sys

RUNTIME_TOOLS = {"hadal-run"}
CORE = re.compile(r"^(?:non-virtual thunk to |vtable for |typeinfo (?:name )?for )?(mlir|llvm)::")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def own_copies(path):
    """Strong definitions of MLIR or LLVM that do not belong to a class of ours."""
    copies = []
    for line in output("llvm-nm", "--defined-only", "-C", "--portability", path).splitlines():
        match = re.match(r"(.*) ([A-Za-z]) [0-9a-f]+(?: [0-9a-f]+)?$", line)
        if match and match[2] in "TDBR" and CORE.match(match[1]) and "hadal::" not in match[1]:
            copies.append(match[1])
    return copies


def main(folder, tools):
    bad = 0
    for tool in tools:
        path = f"{folder}/{tool}"
        if not output("llvm-nm", "--defined-only", path).strip():
            print(f"{tool}: has no symbols to check")
            bad += 1
        needed = re.findall(r"lib(LLVM|MLIR)\b", output("ldd", path))
        if tool in RUNTIME_TOOLS and needed:
            print(f"{tool}: needs LLVM: {sorted(set(needed))}")
            bad += 1
        if tool not in RUNTIME_TOOLS and "MLIR" not in needed:
            print(f"{tool}: does not take MLIR from the shared library")
            bad += 1
        copies = own_copies(path)
        if copies:
            print(f"{tool}: carries its own {copies[:5]}, {len(copies)} in all")
            bad += 1
    print(f"{len(tools)} tools, {bad} objections")
    return 1 if bad or not tools else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
