# SPDX-License-Identifier: Apache-2.0
"""check_sources.py ROOT: rules that hold for every source file: its licence line, its length, and that it names no path of
somebody's machine and leaves nothing to be done later."""

import pathlib
import re
import sys

LAYERS = ("cmake", "codegen", "dialects", "docs", "frontend", "passes", "runtime", "test", "tools")
KINDS = {".cpp", ".h", ".td", ".py", ".sh", ".fbs", ".mlir", ".test", ".txt", ".md"}
LICENSED = KINDS - {".md", ".mlir", ".test"}
LONGEST, LONGEST_MAIN = 1000, 149
FORBIDDEN = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b|(?<![\w.])/(?:work|root|home)/|\.\./shared/")


def problems(path, name):
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    if path.suffix in LICENSED and "SPDX-License-Identifier: Apache-2.0" not in "\n".join(lines[:3]):
        yield f"{name}: no licence line"
    longest = LONGEST_MAIN if path.name == "main.cpp" else LONGEST
    if len(lines) > longest:
        yield f"{name}: {len(lines)} lines; allowed: {longest}"
    for number, line in enumerate(lines, 1):
        if match := FORBIDDEN.search(line):
            yield f"{name}:{number}: found '{match.group()}'"


def main(root):
    root, found, seen = pathlib.Path(root), [], 0
    for layer in LAYERS:
        for path in sorted((root / layer).rglob("*")):
            if path.is_file() and path.suffix in KINDS:
                seen += 1
                found += problems(path, path.relative_to(root))
    print("\n".join(found + [f"{seen} files, {len(found)} objections"]))
    return 1 if found or not seen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
