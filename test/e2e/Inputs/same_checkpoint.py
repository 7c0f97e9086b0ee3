# SPDX-License-Identifier: Apache-2.0
#
# Compares two checkpoint folders bit for bit, tensor by tensor, whatever files and parts they lie in.
# same_checkpoint.py A B; prints what differs and exits with 1, or how many tensors are the same.

import json
import os
import re
import struct
import sys


def tensors(folder, prefix):
    """{name: (shape or None, {begin: bytes})} over all files PREFIX*.safetensors."""
    found = {}
    for file in sorted(os.listdir(folder)):
        if not (file.startswith(prefix) and file.endswith(".safetensors")):
            continue
        data = open(os.path.join(folder, file), "rb").read()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            part = re.fullmatch(r"(.*)\[(\d+):(\d+)\]", name)
            whole, first = (part[1], int(part[2])) if part else (name, 0)
            values = data[8 + length + begin : 8 + length + end]
            if part and len(values) != 4 * (int(part[3]) - first):
                sys.exit(f"{folder}/{file}: {name} has {len(values)} bytes")
            shape, parts = found.setdefault(whole, (None if part else entry["shape"], {}))
            if first in parts and values:
                sys.exit(f"{folder}: {whole} is there twice")
            parts[first] = parts.get(first, b"") + values
    return found


def joined(folder, name, parts):
    values = b""
    for begin in sorted(parts):
        if 4 * begin != len(values):
            sys.exit(f"{folder}: {name} has a gap or overlap at element {begin}")
        values += parts[begin]
    return values


def main():
    a, b = sys.argv[1:]
    same, different = 0, []
    for prefix in ("model", "optimizer"):
        ours, theirs = tensors(a, prefix), tensors(b, prefix)
        for name in sorted(set(ours) | set(theirs)):
            if name not in ours or name not in theirs:
                different.append(f"{name}: only in {a if name in ours else b}")
                continue
            shapes = [x[name][0] for x in (ours, theirs) if x[name][0] is not None]
            if joined(a, name, ours[name][1]) != joined(b, name, theirs[name][1]) or any(
                shape != shapes[0] for shape in shapes
            ):
                different.append(f"{name}: differs")
            same += 1
    states = [json.load(open(os.path.join(folder, "state.json"))) for folder in (a, b)]
    for key in ("step", "data", "random"):
        if states[0][key] != states[1][key]:
            different.append(f"state.json: {key}: {states[0][key]} and {states[1][key]}")
    if different:
        sys.exit("\n".join(different[:20] + [f"{len(different)} differences"]))
    print(f"{same} tensors are the same")


main()
