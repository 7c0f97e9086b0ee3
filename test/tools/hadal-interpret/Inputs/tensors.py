# SPDX-License-Identifier: Apache-2.0
"""Small safetensors files for tests.

tensors.py write FILE JSON          {"name": ["float32", [[1, 2], [3, 4]]], ...}; E4M3 as uint8
tensors.py change FROM FILE JSON    the tensors of FROM, some of them replaced or added; null drops one
tensors.py show FILE                one line a tensor: name, element type, shape, values
"""

import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "oracle"))

import tensorfile  # noqa: E402


def put(tensors, changes):
    for name, change in json.loads(changes).items():
        if change is None:
            del tensors[name]
        else:
            tensors[name] = np.array(change[1], change[0])
    return tensors


def main(action, path, *rest):
    if action == "write":
        tensorfile.save(put({}, rest[0]), path)
    elif action == "change":
        tensorfile.save(put(tensorfile.load(path), rest[1]), rest[0])
    else:
        for name, tensor in sorted(tensorfile.load(path).items()):
            print(name, tensor.dtype, list(tensor.shape), tensor.tolist())


main(*sys.argv[1:])
