# SPDX-License-Identifier: Apache-2.0
"""fewer_activations.py LESS MORE: two outputs of `hadal-run inspect`; the training step of the first must hold less than
three quarters of the activations of the second."""

import pathlib
import re
import sys


def activations(path):
    """Of all programs: training holds most."""
    numbers = re.findall(r"^ *activations +([\d,]+)", pathlib.Path(path).read_text(encoding="utf-8"), re.MULTILINE)
    return max(int(number.replace(",", "")) for number in numbers)


less, more = map(activations, sys.argv[1:])
print(f"activations {less} and {more}")
sys.exit(less >= 0.75 * more)
