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

# A stall is noticed when the survivor has long been waiting. A death is noticed at once, so that the survivor may not have
# come to its place yet: then it is tried again, and every time rank, step and peer are named.
ANYWHERE, TRIES = r"step [12]\b", 4
OTHER = r"rank 1 (died|is stuck|is gone|ended)"

# phase, kind, what the survivor says of itself
FAULTS = [
    ("data", "die", r"step [12], (instruction \d+ \(program gradients: |waits for rank 1)"),
    ("gradients", "stall", r"step 2, (instruction \d+ \(program gradients: |waits for rank 1)"),
    ("F", "die", r"step 2, instruction \d+ \(program gradients: "),
    ("F", "stall", r"step 2, instruction \d+ \(program gradients: "),
    ("B", "stall", r"step 2, instruction \d+ \(program gradients: "),
    ("W", "die", r"step 2, instruction \d+ \(program gradients: "),
    ("send", "stall", r"step 2, instruction \d+ \(program gradients: (send|receive)"),
    ("receive", "die", r"step 2, instruction \d+ \(program gradients: (send|receive)"),
    ("reduce_scatter", "stall", r"step 2, instruction \d+ \(program gradients: reduce_scatter"),
    ("update", "die", r"step 2, (instruction \d+ \(program update: (total_squares|all_gather)|waits for rank 1)"),
    ("all_gather", "stall", r"step 2, instruction \d+ \(program update: all_gather"),
    ("validation", "die", r"step 2, (instruction \d+ \(program evaluate: |waits for rank 1)"),
    ("validation", "stall", r"step 2, (instruction \d+ \(program evaluate: |waits for rank 1)"),
    ("save", "die", r"step 2, saves a checkpoint"),
]


def run(index):
    """What is wrong with the report of a fault, or None."""
    phase, kind, own = FAULTS[index]
    for _ in range(TRIES if kind == "die" else 1):
        # Runs of mpirun that start and end beside each other disturb each other in one folder.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
            # The end of a process does not wait for a thread that stalls, nor for what would join others.
            sanitizer = os.environ.get("TSAN_OPTIONS", "") + ":report_thread_leaks=0"
            environment = dict(os.environ, HADAL_INJECT_FAULT=f"1:2:{phase}:{kind}", TMPDIR=temporary, TSAN_OPTIONS=sanitizer)
            wrong, said = judged(f"{phase}:{kind}", f"checkpoints-{index}", environment)
        if wrong:
            return wrong
        if re.search(rf"rank 0, {own}.*: .*{OTHER}", said):
            return None
    return f"{phase}:{kind}: rank 0 does not say {own}: {said}"


def judged(fault, folder, environment):
    """(what is wrong wherever the survivor was, its report)."""
    shutil.rmtree(folder, ignore_errors=True)
    start = time.monotonic()
    try:
        done = subprocess.run(sys.argv[1:] + ["--checkpoint", folder], env=environment, text=True, capture_output=True,
                              check=False, timeout=90)
    except subprocess.TimeoutExpired as hung:
        return f"{fault}: hangs: {hung.stderr}", ""
    seconds = time.monotonic() - start
    if "Sanitizer: " in done.stderr:
        return f"{fault}: {done.stderr}", ""
    if done.returncode == 0 or (sys.argv[1] != "mpirun" and done.returncode != 1):
        return f"{fault}: exit code {done.returncode}: {done.stderr}", ""
    if not re.search(rf"rank 0, {ANYWHERE}.*: .*{OTHER}", done.stderr):
        return f"{fault}: no report of rank 0: {done.stderr}", ""
    if seconds > SECONDS:
        return f"{fault}: took {seconds:.1f} s", ""
    return None, done.stderr


with concurrent.futures.ThreadPoolExecutor(4) as pool:
    wrong = [text for text in pool.map(run, range(len(FAULTS))) if text]
print("\n".join(wrong) or f"{len(FAULTS)} faults were reported")
sys.exit(bool(wrong))
