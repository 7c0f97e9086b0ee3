#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A checkpoint that Hadal wrote, loaded into transformers: the logits of both must agree within 1e-5 (relative, Frobenius).

  tools/bench/logits.py CHECKPOINT [--sequences 2] [--tokens 64] [--text FILE]

transformers knows no multi-token prediction; the MTP layers of a checkpoint are left out there.
"""

import argparse
import json
import pathlib
import struct
import sys
from array import array

import common

AGREE = 1e-5


def tensor(path, name):
    """(shape, values) of an F32 tensor."""
    data = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    about = json.loads(data[8:8 + length])[name]
    begin, end = (8 + length + offset for offset in about["data_offsets"])
    return about["shape"], array("f", data[begin:end])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("--sequences", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--text")
    parser.add_argument("--threads", type=int, default=2)
    flags = parser.parse_args()
    folder = common.WORK / "logits"
    plan = common.write_json(folder / "plan.json", {"programs": ["evaluate"], "micro_batch": {
        "sequences": flags.sequences, "tokens": flags.tokens}})
    vocabulary = json.loads((flags.checkpoint / "config.json").read_text())["vocab_size"]
    rows = [[i % vocabulary for i in row] for row in common.token_rows(flags.sequences, flags.tokens + 1, flags.text)]
    common.save_tokens(folder / "tokens.safetensors", rows)
    common.run("hadal-compile", flags.checkpoint / "config.json", "--plan", plan, "-o", folder / "model.hadal")
    common.run("hadal-run", "evaluate", folder / "model.hadal", "--weights", flags.checkpoint, "--tokens",
               folder / "tokens.safetensors", "--out", folder / "hadal.safetensors", threads=flags.threads)
    side = common.Torch(flags.threads)
    side.ask("load", folder=str(flags.checkpoint))
    side.ask("logits", tokens=[row[:-1] for row in rows], out=str(folder / "torch.safetensors"))
    side.close()
    (shape, ours), (other, theirs) = (tensor(folder / f"{name}.safetensors", "logits") for name in ("hadal", "torch"))
    if shape != other:
        sys.exit(f"shapes: hadal {shape}, transformers {other}")
    off = sum((a - b) ** 2 for a, b in zip(ours, theirs)) ** 0.5 / sum(b * b for b in theirs) ** 0.5
    print(f"logits {shape}: off by {off:.2e}, allowed {AGREE:.0e}")
    return 0 if off <= AGREE else 1


if __name__ == "__main__":
    sys.exit(main())
