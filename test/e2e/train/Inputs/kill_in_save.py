# SPDX-License-Identifier: Apache-2.0
"""kill_in_save.py RANKS VICTIM DIR COMMAND...: runs COMMAND under mpirun and kills rank VICTIM with SIGKILL while a checkpoint is
being written into DIR, that is, while a temporary folder is there. Everything must end within 20 seconds of that, with an
exit code that is not 0."""

import os
import signal
import subprocess
import sys
import time

ranks, victim, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


def children(pid):
    """All processes below one."""
    below = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
            for child in file.read().split():
                below += [int(child)] + children(int(child))
    return below


def rank_of(pid):
    with open(f"/proc/{pid}/environ", "rb") as file:
        for entry in file.read().split(b"\0"):
            if entry.startswith(b"OMPI_COMM_WORLD_RANK="):
                return int(entry.split(b"=")[1])
    return None


def saving():
    return os.path.isdir(folder) and any(".tmp-" in name for name in os.listdir(folder))


command = ["mpirun", "--oversubscribe", "--allow-run-as-root", "-n", str(ranks)] + sys.argv[4:]
run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
target = None
while run.poll() is None:
    if target is None:
        try:
            target = next((pid for pid in children(run.pid) if rank_of(pid) == victim), None)
        except OSError:
            pass  # a process that ended meanwhile
    elif saving():
        os.kill(target, signal.SIGKILL)
        break
else:
    sys.exit("ended before it was killed: " + run.stderr.read().decode()[-1000:])
started = time.monotonic()
try:
    said = run.communicate(timeout=20)[1].decode()
except subprocess.TimeoutExpired:
    run.kill()
    sys.exit("still runs 20 seconds after the kill")
if "Sanitizer: " in said:
    sys.exit(said)
print(f"killed rank {victim}, ended {time.monotonic() - started:.1f} s later with exit code {run.returncode}")
sys.exit(run.returncode == 0)
