# SPDX-License-Identifier: Apache-2.0
"""check_docs.py ROOT PHASES: holds README.md and docs/ against the sources and against the modules in PHASES.

Checked: relative links, and the headings they lead to; names in backticks that look like a path from the top; fenced blocks whose first line names, after
the language, a source file or a phase. Such a block is cut into pieces at `...` and at line ends; its pieces must stand in
that file in this order, whatever the white space.
"""

import pathlib
import re
import sys

LAYERS = "cmake|codegen|dialects|docs|examples|frontend|passes|runtime|test|tools"
LINK = re.compile(r"\]\(([^)#:]*)(?:#([^)]*))?\)")
PATH = re.compile(rf"`((?:{LAYERS})/[\w./-]+)`")
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```(\w+) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def squeeze(text):
    return re.sub(r"\s+", " ", text).strip()


def anchors(path):
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def missing_piece(block, text):
    """The first piece of the block that the text does not have behind the one before it; None if it has all."""
    text, at = squeeze(text), 0
    for piece in filter(None, (squeeze(piece) for line in block.splitlines() for piece in line.split("..."))):
        found = text.find(piece, at)
        if found < 0:
            return piece
        at = found + len(piece)
    return None


def problems(root, phases, path):
    text = path.read_text(encoding="utf-8")
    for target, heading in LINK.findall(CODE.sub("", text)):
        other = path.parent / target if target else path
        if not other.exists():
            yield f"link to {target}"
        elif heading and heading not in anchors(other):
            yield f"link to {target}#{heading}: no such heading"
    for name in PATH.findall(text):
        if not (root / name).exists():
            yield f"no file {name}"
    for language, name, block in FENCE.findall(text):
        source = root / name if "/" in name else phases / f"{name}.mlir"
        if not source.exists():
            yield f"block of {name}, which is not there"
        elif (piece := missing_piece(block, source.read_text(encoding="utf-8"))) is not None:
            yield f"block of {name} ({language}): not there, or not in this order: {piece}"


def main(root, phases):
    root, phases, found, blocks = pathlib.Path(root), pathlib.Path(phases), [], 0
    for path in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]:
        blocks += len(FENCE.findall(path.read_text(encoding="utf-8")))
        found += [f"{path.relative_to(root)}: {problem}" for problem in problems(root, phases, path)]
    print("\n".join(found + [f"{blocks} quoted blocks, {len(found)} objections"]))
    return 1 if found or not blocks else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
