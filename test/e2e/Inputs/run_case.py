# SPDX-License-Identifier: Apache-2.0
"""run_case.py WAY CASE WORK: takes a case of test/oracle through the tools and compares everything it expects.

WAY: compiled (hadal-compile and hadal-run; f32), interpreted (hadal-translate and hadal-interpret; f64), or a layout:
- dualpipe-2 or dualpipe-4-ep2 (schedule, pipeline ranks, replicas that share the experts): compiled for it and run on as many
  local ranks, every micro-batch of every replica being the case's whole batch, so that mean losses and gradients are the
  case's and counts multiples of its;
- interpreted-ep2 or interpreted-ep2-dp4-m3 (replicas that share the experts, replicas in all, micro-batches): interpreted for
  it behind each phase of the compiler down to fuse, one sequence a micro-batch, the case's rows again and again.
Files go to the folder WORK. Exit code 1 and a list when something is off.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np

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


def lay_out_tokens(case, rows, copies, data):
    """Each step of the case's tokens, `copies` times."""
    tokens = tensorfile.load(case / "tokens.safetensors")["tokens"]
    steps = np.split(tokens, len(tokens) // rows)
    tensorfile.save({"tokens": np.concatenate([np.tile(step, (copies, 1)) for step in steps])}, data)


def expected_of_copies(case, copies):
    expected, slopes = expected_of(case)
    for name, value in expected.items():
        if name.startswith("counts."):
            expected[name] = value * copies
        elif "loss" not in name:
            expected[name] = np.tile(value, (copies,) + (1,) * (value.ndim - 1))
    return expected, slopes


def interpreted_layout(case, work, layout):
    members, replicas, batches = re.fullmatch(r"ep(\d+)(?:-dp(\d+))?(?:-m(\d+))?", layout).groups()
    members, batches = int(members), int(batches or 1)
    replicas = int(replicas or members)
    plan = json.loads((case / "plan.json").read_text())
    rows = plan["micro_batch"]["sequences"]
    copies, rest = divmod(batches * replicas, rows)
    if rest:
        sys.exit(f"{layout}: {batches * replicas} rows a step are no multiple of the case's {rows}")
    plan["micro_batch"]["sequences"] = 1
    plan["pipeline"]["micro_batches"] = batches
    plan.update(data_parallel=replicas, expert_parallel=members)
    (work / "plan.json").write_text(json.dumps(plan, indent=1))
    data, out = work / "tokens.safetensors", work / "out.safetensors"
    lay_out_tokens(case, rows, copies, data)
    run("hadal-compile", case / "config.json", "--plan", work / "plan.json", "--dry-run", "--keep", work / "phases")
    expected, wrong = expected_of_copies(case, copies), []
    for phase in ("import", "partition", "differentiate", "absorb", "fuse"):
        (module,) = (work / "phases").glob(f"*-{phase}.mlir")
        run("hadal-interpret", module, "--weights", case / "model.safetensors", "--tokens", data, "--out", out,
            "--gradients")
        wrong += [f"{phase}: {line}" for line in differences(tensorfile.load(out), *expected, INTERPRETED)]
    return wrong


def compile_case(case, plan, bundle):
    run("hadal-compile", case / "config.json", "--plan", plan, "--target", "cpu", "-o", bundle)


def compiled(case, work):
    bundle = work / "model.hadal"
    compile_case(case, case / "plan.json", bundle)
    if (case / "log.json").exists():
        return trained(case, work, bundle, case / "tokens.safetensors")
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


def repeated(case, work, layout):
    """Compiles and runs the case under a layout, as the head of this file says."""
    schedule, ranks, replicas = re.fullmatch(r"(\w+)-(\d+)(?:-ep(\d+))?", layout).groups(default="1")
    ranks, replicas = int(ranks), int(replicas)
    batches = 2 * ranks
    copies = batches * replicas
    plan = json.loads((case / "plan.json").read_text())
    rows = plan["micro_batch"]["sequences"] * plan["pipeline"]["micro_batches"]
    plan["micro_batch"]["sequences"] = rows
    plan["pipeline"] = {"ranks": ranks, "schedule": schedule, "micro_batches": batches}
    plan.update(data_parallel=replicas, expert_parallel=replicas, programs=["train", "evaluate"])
    (work / "plan.json").write_text(json.dumps(plan, indent=1))
    data, bundle = work / "tokens.safetensors", work / "model.hadal"
    lay_out_tokens(case, rows, copies, data)
    compile_case(case, work / "plan.json", bundle)
    flags = ("--local-ranks", ranks * replicas)
    if (case / "log.json").exists():
        return trained(case, work, bundle, data, copies, flags)
    run("hadal-run", "evaluate", bundle, "--weights", case / "model.safetensors", "--tokens", data, "--out",
        work / "out.safetensors", "--gradients", *flags)
    return differences(tensorfile.load(work / "out.safetensors"), *expected_of_copies(case, copies), COMPILED)


def trained(case, work, bundle, data, copies=1, flags=()):
    steps, wrong = json.loads((case / "log.json").read_text()), []
    run("hadal-run", "train", bundle, "--data", data, "--weights", case / "model.safetensors", "--steps", len(steps),
        "--checkpoint", work / "checkpoints", "--metrics", work / "metrics.jsonl", *flags)
    lines = [json.loads(line) for line in (work / "metrics.jsonl").read_text().splitlines()]
    log = {line["step"]: line for line in lines if "loss" in line}
    for want in steps:
        got, allowed = log.get(want["step"], {}), LOG_EARLY if want["step"] <= 3 else LOG_LATE
        for key, value in want.items():
            if key not in got:
                wrong.append(f"step {want['step']}: no {key}")
            elif key in ("step", "expert_counts"):
                if key == "expert_counts":
                    value = {name: [count * copies for count in counts] for name, counts in value.items()}
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
    ways = {"compiled": compiled, "interpreted": interpreted}
    if way in ways:
        wrong = ways[way](ORACLE / name, work)
    elif way.startswith("interpreted-"):
        wrong = interpreted_layout(ORACLE / name, work, way.removeprefix("interpreted-"))
    else:
        wrong = repeated(ORACLE / name, work, way)
    print("\n".join(wrong[:40]) or f"{name}: agrees")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
