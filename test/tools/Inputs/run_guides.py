# SPDX-License-Identifier: Apache-2.0
"""run_guides.py SOURCE PAGE...: runs the commands of pages, in a folder that looks like the top of the repository.

Blocks marked `sh` are commands, line by line. In blocks marked `console` a line that begins with `$ ` is one, and the lines below it
must be in what it prints, whatever their order; a number there stands for any number, `...` for anything; of drawings the lengths
are not compared. A page goes on with the files of the one before it. Long training is cut short. Every flag that --help names must be
on one of the pages.
"""

import os
import pathlib
import re
import subprocess
import sys

BLOCK = re.compile(r"^```(sh|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = ("train", "generate", "evaluate", "inspect", "verify", "simulate", "bench")
INSTEAD = {"--steps 300": "--steps 2", "step-000000300": "step-000000002", "HADAL_CACHE=$PWD": "HADAL_CACHE=${HADAL_CACHE:-$PWD}"}


def plain(line):
    """Of a drawing what is drawn in which order, whatever its length."""
    return re.sub(r"[·─\s]+", "", line) if "─" in line else line.strip()


def pattern(line):
    """What a line of a block stands for."""
    parts = re.split(r"(\.\.\.|(?<![A-Za-z\d])\d+(?:[.,]\d+)*|\s+)", plain(line))
    kinds = {"...": ".*", "number": r"[\d.,]+", "space": r"\s+"}
    return "".join(kinds.get("number" if part[:1].isdigit() else "space" if part.isspace() else part, re.escape(part)) for part in parts)


def commands(kind, block):
    """(command, lines it must print)"""
    if kind == "sh":
        return [(line, []) for line in block.splitlines()]
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def run(shell, command, expected):
    for written, instead in INSTEAD.items():
        command = command.replace(written, instead)
    print("$", command, flush=True)
    # One shell for all, so that what it exports stays; the exit code of a pipe is that of what fails in it.
    shell.stdin.write(f"{{ {command}\n}} 2>&1; printf '\\n(done) %d\\n' $?\n")
    shell.stdin.flush()
    printed = []
    for line in shell.stdout:
        if line.startswith("(done) "):
            code = int(line.split()[1])
            break
        printed.append(line)
    else:
        return f"{command}: the shell ended"
    text = "".join(printed)
    if code != 0:
        return f"{command}: exit code {code}\n{text}"
    missing = [line for line in expected if not any(re.fullmatch(pattern(line), plain(other)) for other in printed)]
    return f"{command}: does not print\n  " + "\n  ".join(missing) + f"\nbut\n{text}" if missing else None


def undocumented(pages):
    for command in COMMANDS:
        shown = subprocess.run(["hadal-run", command, "--help"], capture_output=True, text=True, check=True).stdout
        for flag in re.findall(r"^  (--[a-z-]+)", shown, re.MULTILINE):
            if not re.search(re.escape(flag) + r"(?![a-z-])", pages):
                yield f"hadal-run {command} {flag}: on no page"


def main(source, names):
    source = pathlib.Path(source)
    for folder in ("examples", "tools"):
        os.symlink(source / folder, folder)
    env = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    texts = [(source / name).read_text(encoding="utf-8") for name in names]
    problems, count = list(undocumented("\n".join(texts))), 0
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "errors": "replace"}
    with subprocess.Popen(["bash", "-o", "pipefail"], env=env, **pipes) as shell:
        for kind, block in BLOCK.findall("\n".join(texts)):
            for command, expected in commands(kind, block):
                problems.append(run(shell, command, expected))
                count += 1
        shell.stdin.close()
    problems = [problem for problem in problems if problem]
    print("\n".join(problems + [f"{count} commands, {len(problems)} objections"]))
    return 1 if problems or not count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
