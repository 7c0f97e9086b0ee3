# SPDX-License-Identifier: Apache-2.0
"""check_pair.py REPORT MEASURED: the simulated pair is within 3 % of 129.0 ms and each start within 1.5 ms of the measured one."""

import json
import sys


def starts(components):
    return {(c["layer"], c["component"]): c["start_us"] for c in components}


with open(sys.argv[1], encoding="utf-8") as file:
    report = json.load(file)
with open(sys.argv[2], encoding="utf-8") as file:
    measured = starts(json.load(file)["components"])
simulated = starts(report["components"])
assert set(report) == {"makespan_us", "components"}, set(report)
assert abs(report["makespan_us"] - 129000) <= 0.03 * 129000, report["makespan_us"]
assert simulated.keys() == measured.keys() and len(measured) == 40
for key, start in measured.items():
    assert abs(simulated[key] - start) <= 1500, (key, simulated[key], start)
