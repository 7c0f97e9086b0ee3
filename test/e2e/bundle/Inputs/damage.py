# SPDX-License-Identifier: Apache-2.0
"""damage.py BUNDLE: damaged copies of a bundle must each be refused by every command with exit code 2 and one line."""

import pathlib
import random
import struct
import subprocess
import sys

whole = pathlib.Path(sys.argv[1]).read_bytes()
copy = pathlib.Path("damaged.hadal")
problems = []


def refused(content, expected, *command):
    copy.write_bytes(content)
    done = subprocess.run(["hadal-run", *(command or ("verify", copy))], capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 2 or done.stderr.count("\n") != 1 or expected not in done.stderr:
        problems.append(f"{expected}: exit code {done.returncode}: {done.stderr[-300:]}")


def flipped(at):
    return whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1:]


draw = random.Random(1)
for at in sorted({*range(64), len(whole) - 1, *(draw.randrange(64, len(whole)) for _ in range(60))}):
    refused(flipped(at), "damaged.hadal: ")
for length in (0, 1, 63, 64, 65, len(whole) // 2, len(whole) - 1):
    refused(whole[:length], "is truncated" if length >= 64 else "a bundle has a header of 64 bytes")
refused(whole + b"\0", "its header says")
refused(whole[:8] + struct.pack("<I", 3) + whole[12:], "which is newer than this program's; it reads format 2")
refused(whole[:8] + struct.pack("<I", 1) + whole[12:], "which is older than this program's; it reads format 2, compile")
middle = flipped(len(whole) // 2)
for command in (("inspect", copy), ("bench", copy), ("train", copy, "--data", "x", "--steps", "1", "--checkpoint", "c"),
                ("generate", copy, "--weights", "w", "--prompt-ids", "1", "--ids"),
                ("evaluate", copy, "--weights", "w", "--tokens", "t", "--out", "o")):
    refused(middle, "is damaged: its checksum does not match its content", *command)
sys.exit("\n".join(problems) or 0)
