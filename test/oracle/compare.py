# SPDX-License-Identifier: Apache-2.0
"""Holds what `hadal-run evaluate` and `hadal-interpret` write against expected tensors."""

import numpy as np


def distance(got, want):
    """Relative Frobenius distance; absolute where the true value is zero."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    return float(np.linalg.norm(got - want) / (np.linalg.norm(want) or 1.0))


def differences(got, expected, slopes, tolerance):
    """What is missing, misshapen, not finite or further off than `tolerance`, as lines of text.

    got: tensors by name, gradients as `gradient.NAME`. expected, slopes: as in expected.safetensors and
    gradients.safetensors; integers must be equal.
    """
    wanted = {**expected, **{"gradient." + name: slope for name, slope in slopes.items()}}
    lines = [f"{name}: missing" for name in sorted(wanted.keys() - got.keys())]
    lines += [f"{name}: unexpected" for name in sorted(got.keys() - wanted.keys())]
    for name in sorted(wanted.keys() & got.keys()):
        value, want = got[name], wanted[name]
        if value.shape != want.shape:
            lines.append(f"{name}: shape {list(value.shape)}, expected {list(want.shape)}")
        elif np.issubdtype(want.dtype, np.integer):
            if not np.array_equal(value, want):
                lines.append(f"{name}: {int((value != want).sum())} of {want.size} integers differ")
        elif not np.isfinite(value).all():
            lines.append(f"{name}: not finite")
        elif (off := distance(value, want)) > tolerance:
            lines.append(f"{name}: off by {off:.2e}, allowed {tolerance:.0e}")
    return lines
