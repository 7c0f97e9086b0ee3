# SPDX-License-Identifier: Apache-2.0
"""paced.py COSTS BUNDLE...: on the paced device, eight local ranks, a step of each bundle takes what simulate foretells:
never less, and hardly more (the best of up to five tries, with room for whoever else uses the machine during the tests;
tools/bench/schedules.py asks for 5 %). The bundles rank as foretold. Prints them, fastest first. Exit code 1 and the
figures when it is not so.
"""

import pathlib
import re
import subprocess
import sys

TRIES, LEAST, MOST = 5, 0.998, 1.5

costs, *bundles = sys.argv[1:]


def bench(bundle):
    """Seconds of a step, paced and simulated."""
    command = ["hadal-run", "bench", bundle, "--device", "paced", "--costs", costs, "--local-ranks", "8", "--steps", "2"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}")
    return [float(re.search(pattern, done.stdout).group(1)) for pattern in (r"median ([\d.]+) s", r"simulated: ([\d.]+) s")]


best = {}
for bundle in bundles:
    for _ in range(TRIES):
        paced, simulated = bench(bundle)
        if paced < LEAST * simulated:
            sys.exit(f"{bundle}: {paced} s paced, {simulated} s simulated; it slept too little")
        if bundle not in best or paced < best[bundle][0]:
            best[bundle] = (paced, simulated)
        if best[bundle][0] <= MOST * simulated:
            break
    else:
        sys.exit(f"{bundle}: {best[bundle][0]} s paced, {best[bundle][1]} s simulated")

paced, foretold = (sorted(bundles, key=lambda bundle: best[bundle][which]) for which in (0, 1))
print("fastest first:", *(pathlib.Path(bundle).stem for bundle in paced))
sys.exit(0 if paced == foretold else f"foretold: {foretold}, {best}")
