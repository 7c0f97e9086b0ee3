# SPDX-License-Identifier: Apache-2.0
"""paced.py COSTS BUNDLE...: on the paced device, eight local ranks, a step of each bundle takes what simulate foretells:
never less, and hardly more, and the bundles rank as foretold. What the runtime itself needs comes on top: where that is
too much, because others use the machine or sanitizers watch, the device of COSTS is made slower, up to 16 times, until
it weighs little. Prints the bundles, fastest first. Exit code 1 and the figures when it is not so.
"""

import json
import pathlib
import re
import subprocess
import sys

LEAST, MOST = 0.998, 1.25
SLOWER = (1, 1, 2, 4, 8, 16)

costs, *bundles = sys.argv[1:]


def slowed(value, by, name=""):
    """Costs of a device that needs `by` times as long."""
    if isinstance(value, dict):
        return {key: slowed(inner, by, key) for key, inner in value.items()}
    if name == "tokens":
        return value
    return value / by if name.endswith("_per_s") else value * by


def bench(bundle, file):
    """Seconds of a step, paced and simulated."""
    command = ["hadal-run", "bench", bundle, "--device", "paced", "--costs", file, "--local-ranks", "8", "--steps", "2"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}")
    paced, simulated = (float(re.search(pattern, done.stdout).group(1)) for pattern in (r"median ([\d.]+) s", r"simulated: ([\d.]+) s"))
    if paced < LEAST * simulated:
        sys.exit(f"{bundle}: {paced} s paced, {simulated} s simulated; it slept too little")
    return paced, simulated


for by in SLOWER:
    file = pathlib.Path("slowed.json")
    file.write_text(json.dumps(slowed(json.loads(pathlib.Path(costs).read_text(encoding="utf-8")), by)), encoding="utf-8")
    times = {}
    for bundle in bundles:
        times[bundle] = bench(bundle, file)
        if times[bundle][0] > MOST * times[bundle][1]:
            break
    else:
        break
else:
    sys.exit(f"{SLOWER[-1]} times slower (paced, simulated, in s): {times}")

ranking, foretold = (sorted(bundles, key=lambda bundle: times[bundle][which]) for which in (0, 1))
print("fastest first:", *(pathlib.Path(bundle).stem for bundle in ranking))
sys.exit(0 if ranking == foretold else f"foretold: {foretold}, {times}")
