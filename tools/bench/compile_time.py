#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compile time of a model (default: nano) by phase, and the size of what comes out.

  tools/bench/compile_time.py [--rounds 3] [CONFIG PLAN]
"""

import argparse
import re
import sys

import common


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?", default=common.NANO / "config.json")
    parser.add_argument("plan", nargs="?", default=common.NANO / "plan.json")
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    bundle = common.WORK / "compile-time.hadal"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    print(common.machine())
    phases, peak = {}, 0
    for _ in range(flags.rounds):
        _, err, resident = common.run("hadal-compile", flags.config, "--plan", flags.plan, "-o", bundle, "--timing")
        peak = max(peak, resident)
        for seconds, name in re.findall(r"^ *([\d.]+) s  (\S+)$", err, re.M):
            phases.setdefault(name, []).append(float(seconds))
    medians = {name: common.median(values) for name, values in phases.items()}
    total = sum(medians.values())
    for name, seconds in medians.items():
        print(f"{name:14} {seconds:8.3f} s  {100 * seconds / total:4.0f} %")
    print(f"{'all':14} {total:8.3f} s, peak {peak:.0f} MiB; bundle of {bundle.stat().st_size:,} bytes, median of {flags.rounds}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
