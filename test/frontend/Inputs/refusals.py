#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks what a tool refuses, with the whole message.

refusals.py CASES ORACLE FOLDER TOOL ARGUMENT...

CASES holds pairs of lines:
    CASE config {"n_group": 3}       keys of the base config.json changed; "-KEY": null removes KEY
    CASE plan {"precision": "bf16"}  the same of the base plan.json
    CASE text config "[[["           the whole file, as a JSON string (plan likewise)
    CASE flags --target sm_90a       arguments added to the command
    =    what stderr must hold behind `error: ` (one line)
The base is the reference case `mtp`. TOOL runs in FOLDER on config.json and plan.json; it must exit with 2, print nothing
on stdout and leave no file behind.
"""
import json
import os
import subprocess
import sys


def changed(base, edits):
    out = dict(base)
    for key, value in edits.items():
        if key.startswith("-"):
            out.pop(key[1:])
        else:
            out[key] = value
    return dump(out)


def dump(fields):
    """One key a line, so that a line number is easy to tell."""
    return "{\n" + ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in fields.items()) + "\n}\n"


def prepare(case, base, folder):
    """Writes the case's files; gives the extra flags."""
    texts = {name: dump(base[name]) for name in base}
    kind, rest = case.split(" ", 1)
    if kind == "text":
        name, text = rest.split(" ", 1)
        texts[name] = json.loads(text)
    elif kind in base:
        texts[kind] = changed(base[kind], json.loads(rest))
    for name, text in texts.items():
        with open(f"{folder}/{name}.json", "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
    return rest.split() if kind == "flags" else []


def problem(command, expected, folder):
    """What is wrong with the command's answer, or nothing."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    found = f"exit code {done.returncode}\nstdout: {done.stdout[:200]!r}\nstderr: {done.stderr[:1000]!r}"
    if done.returncode != 2:
        return f"expected exit code 2\n{found}"
    if done.stdout or done.stderr != f"error: {expected}\n":
        return f"expected {f'error: {expected}'!r}\n{found}"
    left = sorted(set(os.listdir(folder)) - {"config.json", "plan.json"})
    return f"left behind: {left}" if left else None


def main():
    cases_file, oracle, folder, *command = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    base = {}
    for name in ("config", "plan"):
        with open(f"{oracle}/mtp/{name}.json", encoding="utf-8") as file:
            base[name] = json.load(file)
    with open(cases_file, encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file]
    count = bad = 0
    for i, line in enumerate(lines):
        if not line.startswith("CASE "):
            continue
        if not lines[i + 1].startswith("= "):
            sys.exit(f"line {i + 2}: a line that begins with '= ' must follow a CASE")
        flags = prepare(line[5:], base, folder)
        wrong = problem(command + flags, lines[i + 1][2:].strip(), folder)
        count += 1
        if wrong:
            bad += 1
            print(f"line {i + 1}: {line}\n{wrong}\n")
    print(f"{count} cases, {bad} wrong")
    sys.exit(bad > 0 or count == 0)


if __name__ == "__main__":
    main()
