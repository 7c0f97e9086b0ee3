# SPDX-License-Identifier: Apache-2.0
"""stop.py COMMAND...: starts a training run that writes m.jsonl, interrupts it, goes on with the command it printed,
terminates that. The first signal comes in the middle of training, so the step it ends on is not known beforehand."""

import json
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time

METRICS = pathlib.Path("m.jsonl")


def last_step():
    lines = METRICS.read_text().splitlines() if METRICS.exists() else []
    steps = [json.loads(line)["step"] for line in lines if line.endswith("}")]
    return steps[-1] if steps else 0


def run_and_stop(command, beyond, sent):
    """(step it stopped at, command it printed, all of stderr)."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while last_step() < beyond and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(sent)
    _, said = process.communicate(timeout=120)
    if process.returncode != 0:
        sys.exit(f"exit code {process.returncode}: {said}")
    stopped = re.search(r"stopped by (\w+) after step (\d+); go on with:\n  (.*)\n", said)
    if not stopped or stopped.group(1) != sent.name:
        sys.exit(f"no `stopped by {sent.name}`: {said}")
    step = int(stopped.group(2))
    if step < beyond or not pathlib.Path(f"out/step-{step:09d}/model.safetensors.index.json").exists():
        sys.exit(f"no checkpoint of step {step}: {said}")
    return step, stopped.group(3), said


first, command, _ = run_and_stop(sys.argv[1:], 3, signal.SIGINT)
second, again, said = run_and_stop(shlex.split(command), first + 3, signal.SIGTERM)
if f"resumed from out/step-{first:09d}" not in said:
    sys.exit(f"did not go on from step {first}: {said}")
if again != command:
    sys.exit(f"printed `{again}`, first `{command}`")
steps = [json.loads(line)["step"] for line in METRICS.read_text().splitlines() if '"loss"' in line]
if steps != list(range(1, second + 1)):
    sys.exit(f"steps in the metrics: {steps}")
