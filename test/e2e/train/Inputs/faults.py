# SPDX-License-Identifier: Apache-2.0
"""faults.py COMMAND...: lets rank 1 of 2 die or stall in every phase of step 2 of a training run, several runs at a time. The
other rank must end in time with exit code 1 and name itself, its step, what it waits in, and the rank that failed."""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

SECONDS = 25  # 10, and what a loaded machine needs to start, to train a step and to end

# A death is noticed at once, wherever the survivor is by then; a stall when the survivor has long been waiting.
ANYWHERE = r"step [12]\b"

# phase, kind, what the survivor says of itself
FAULTS = [
    ("data", "die", ANYWHERE),
    ("gradients", "stall", r"step 2, (instruction \d+ \(program gradients: |waits for rank 1)"),
    ("F", "die", ANYWHERE),
    ("F", "stall", r"step 2, instruction \d+ \(program gradients: "),
    ("B", "stall", r"step 2, instruction \d+ \(program gradients: "),
    ("W", "die", ANYWHERE),
    ("send", "stall", r"step 2, instruction \d+ \(program gradients: (send|receive)"),
    ("receive", "die", ANYWHERE),
    ("reduce_scatter", "stall", r"step 2, instruction \d+ \(program gradients: reduce_scatter"),
    ("update", "die", ANYWHERE),
    ("all_gather", "stall", r"step 2, instruction \d+ \(program update: all_gather"),
    ("validation", "die", ANYWHERE),
    ("validation", "stall", r"step 2, (instruction \d+ \(program evaluate: |waits for rank 1)"),
    ("save", "die", ANYWHERE),
]


def run(index):
    phase, kind, own = FAULTS[index]
    folder = f"checkpoints-{index}"
    shutil.rmtree(folder, ignore_errors=True)
    # Runs of mpirun that start and end beside each other disturb each other in one folder.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        # The end of a process does not wait for a thread that stalls, nor for what would join others.
        sanitizer = os.environ.get("TSAN_OPTIONS", "") + ":report_thread_leaks=0"
        environment = dict(os.environ, HADAL_INJECT_FAULT=f"1:2:{phase}:{kind}", TMPDIR=temporary, TSAN_OPTIONS=sanitizer)
        return judged(phase, kind, own, folder, environment)


def judged(phase, kind, own, folder, environment):
    start = time.monotonic()
    try:
        done = subprocess.run(sys.argv[1:] + ["--checkpoint", folder], env=environment, text=True, capture_output=True,
                              check=False, timeout=90)
    except subprocess.TimeoutExpired as hung:
        return f"{phase}:{kind}: hangs: {hung.stderr}"
    seconds = time.monotonic() - start
    other = r"rank 1 (died|is stuck|is gone|ended)"
    lines = [line for line in done.stderr.splitlines() if re.search(rf"rank 0, {own}.*: .*{other}", line)]
    if "Sanitizer: " in done.stderr:
        return f"{phase}:{kind}: {done.stderr}"
    if done.returncode == 0 or (sys.argv[1] != "mpirun" and done.returncode != 1):
        return f"{phase}:{kind}: exit code {done.returncode}: {done.stderr}"
    if not lines:
        return f"{phase}:{kind}: no report of rank 0: {done.stderr}"
    if seconds > SECONDS:
        return f"{phase}:{kind}: took {seconds:.1f} s"
    return None


with concurrent.futures.ThreadPoolExecutor(4) as pool:
    wrong = [text for text in pool.map(run, range(len(FAULTS))) if text]
print("\n".join(wrong) or f"{len(FAULTS)} faults were reported")
sys.exit(bool(wrong))
