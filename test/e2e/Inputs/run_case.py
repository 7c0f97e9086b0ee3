# SPDX-License-Identifier: Apache-2.0
"""run_case.py WAY CASE WORK: takes a case of test/oracle through the tools and compares everything it expects.

WAY: compiled (hadal-compile and hadal-run; f32) or interpreted (hadal-translate and hadal-interpret; f64). Files go to the
folder WORK. Exit code 1 and a list when something is off.
"""

import json
import pathlib
import shutil
import subprocess
import sys

ORACLE = pathlib.Path(__file__).resolve().parents[2] / "oracle"
sys.path.insert(0, str(ORACLE))

import tensorfile  # noqa: E402
from compare import differences, distance  # noqa: E402

COMPILED, INTERPRETED = 1e-5, 1e-6
LOG_EARLY, LOG_LATE, TRAINED = 1e-5, 1e-4, 5e-4


def run(*command):
    """stdout of a tool; a failure ends the test with the tool's own message."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}")
    return done.stdout


def expected_of(case):
    return tensorfile.load(case / "expected.safetensors"), tensorfile.load(case / "gradients.safetensors")


def interpreted(case, work):
    run("hadal-translate", "--import-model", case / "config.json", "--plan", case / "plan.json", "-o", work / "model.mlir")
    run("hadal-interpret", work / "model.mlir", "--weights", case / "model.safetensors", "--tokens",
        case / "tokens.safetensors", "--out", work / "out.safetensors", "--gradients")
    return differences(tensorfile.load(work / "out.safetensors"), *expected_of(case), INTERPRETED)


def compiled(case, work):
    bundle = work / "model.hadal"
    run("hadal-compile", case / "config.json", "--plan", case / "plan.json", "--target", "cpu", "-o", bundle)
    if (case / "log.json").exists():
        return trained(case, work, bundle)
    run("hadal-run", "evaluate", bundle, "--weights", case / "model.safetensors", "--tokens", case / "tokens.safetensors",
        "--out", work / "out.safetensors", "--gradients")
    wrong = differences(tensorfile.load(work / "out.safetensors"), *expected_of(case), COMPILED)
    if (case / "greedy.json").exists():
        want = json.loads((case / "greedy.json").read_text())
        ids = run("hadal-run", "generate", bundle, "--weights", case / "model.safetensors", "--prompt-ids",
                  ",".join(map(str, want["prompt"])), "--ids", "--temperature", 0, "--max-tokens",
                  len(want["continuation"]), "--ignore-eos").split()
        if ids != [str(i) for i in want["continuation"]]:
            wrong.append(f"greedy continuation: {' '.join(ids)}, expected {want['continuation']}")
    return wrong


def trained(case, work, bundle):
    steps, wrong = json.loads((case / "log.json").read_text()), []
    run("hadal-run", "train", bundle, "--data", case / "tokens.safetensors", "--weights", case / "model.safetensors",
        "--steps", len(steps), "--checkpoint", work / "checkpoints", "--metrics", work / "metrics.jsonl")
    lines = [json.loads(line) for line in (work / "metrics.jsonl").read_text().splitlines()]
    log = {line["step"]: line for line in lines if "loss" in line}
    for want in steps:
        got, allowed = log.get(want["step"], {}), LOG_EARLY if want["step"] <= 3 else LOG_LATE
        for key, value in want.items():
            if key not in got:
                wrong.append(f"step {want['step']}: no {key}")
            elif key in ("step", "expert_counts"):
                if got[key] != value:
                    wrong.append(f"step {want['step']}: {key} {got[key]}, expected {value}")
            elif distance(got[key], value) > allowed:
                wrong.append(f"step {want['step']}: {key} {got[key]}, expected {value} within {allowed:.0e}")
    result = {}
    for part in sorted((work / "checkpoints" / f"step-{len(steps):09d}").glob("model*.safetensors")):
        result.update(tensorfile.load(part))
    return wrong + differences(result, tensorfile.load(case / "trained.safetensors"), {}, TRAINED)


def main(way, name, work):
    work = pathlib.Path(work)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    wrong = {"compiled": compiled, "interpreted": interpreted}[way](ORACLE / name, work)
    print("\n".join(wrong[:40]) or f"{name}: agrees")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
