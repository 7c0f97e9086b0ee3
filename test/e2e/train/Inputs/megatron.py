# SPDX-License-Identifier: Apache-2.0
"""megatron.py TEXT: the bytes of a text as Megatron pairs uint16.bin/.idx and int32.bin/.idx, in sequences of uneven length
(megatron/core/datasets/indexed_dataset.py, version 1)."""

import pathlib
import struct
import sys

import numpy as np

ids = np.frombuffer(pathlib.Path(sys.argv[1]).read_bytes(), np.uint8)
bounds = [0, 1, 500, 500, 4097, len(ids)]
for name, code in (("uint16", 8), ("int32", 4)):
    tokens = ids.astype(name)
    pathlib.Path(name + ".bin").write_bytes(tokens.tobytes())
    lengths = np.diff(bounds).astype(np.int32)
    pointers = np.array(bounds[:-1], np.int64) * tokens.itemsize
    documents = np.arange(len(bounds), dtype=np.int64)
    pathlib.Path(name + ".idx").write_bytes(
        b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, code, len(lengths), len(documents)) +
        lengths.tobytes() + pointers.tobytes() + documents.tobytes())
