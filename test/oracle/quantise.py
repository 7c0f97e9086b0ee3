# SPDX-License-Identifier: Apache-2.0
"""Block-scaled FP8 (E4M3) on NumPy, to the bit: the definition behind fp8/fp8.safetensors.

A tile's scale is max(largest magnitude, 1e-4) / 448 in f32, or that rounded up to a power of two. An element is divided
by the scale in f32 (never multiplied by a reciprocal), held within +-448 and rounded to the nearest E4M3 value, ties to
the even one.
"""

import numpy as np

LARGEST, SMALLEST_AMAX, TILE = np.float32(448.0), np.float32(1e-4), 128


def to_e4m3(x):
    """Bytes of E4M3 nearest to x (f32, within +-448)."""
    magnitude = np.abs(x.astype(np.float64))
    exponent = np.maximum(np.floor(np.log2(np.maximum(magnitude, 2.0 ** -20))), -6).astype(np.int64)
    steps = np.rint(magnitude / 2.0 ** (exponent - 3)).astype(np.int64)  # eighths of the power of two, half to even
    exponent, steps = np.where(steps == 16, exponent + 1, exponent), np.where(steps == 16, 8, steps)
    code = np.where(steps >= 8, (exponent + 7) * 8 + steps - 8, steps)
    return (code + np.where(np.signbit(x), 128, 0)).astype(np.uint8)


def quantise(x, tile_rows, power_of_two):
    """(bytes, scales) of an f32 matrix in tiles of tile_rows x 128; the last tiles may be smaller."""
    rows, columns = (-(-x.shape[0] // tile_rows)), (-(-x.shape[1] // TILE))
    codes, scales = np.empty(x.shape, np.uint8), np.empty((rows, columns), np.float32)
    for r in range(rows):
        for c in range(columns):
            where = slice(r * tile_rows, (r + 1) * tile_rows), slice(c * TILE, (c + 1) * TILE)
            scale = max(np.abs(x[where]).max(), SMALLEST_AMAX) / LARGEST
            if power_of_two:
                fraction, exponent = np.frexp(scale)
                scale = np.float32(np.ldexp(1.0, exponent - 1 if fraction == 0.5 else exponent))
            scales[r, c] = scale
            codes[where] = to_e4m3(np.clip(x[where] / scale, -LARGEST, LARGEST))
    return codes, scales


def check_fp8(tensors):
    """Names of the stored tensors that quantise() does not give bit for bit."""
    wrong = []
    for name, tile_rows in (("activation", 1), ("weight", TILE)):
        for rule in ("f32", "pow2"):
            codes, scales = quantise(tensors[name], tile_rows, rule == "pow2")
            if not np.array_equal(codes, tensors[f"{name}.{rule}"]):
                wrong.append(f"{name}.{rule}")
            if not np.array_equal(scales, tensors[f"{name}.{rule}_scale"]):
                wrong.append(f"{name}.{rule}_scale")
    return wrong
