#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random plans of small models over many ranks against the serial program (needs python3-numpy).

  tools/fuzz_plans.py [--seed N] [--count N | --minutes M] [--bin FOLDER] [--keep FOLDER]

Each try draws a model spec, replicas, expert groups, micro-batches, and layouts of them: a schedule, pipeline ranks, stages, an
overlap. Two steps of training under every layout must give the bits of the same plan on one pipeline rank with 1f1b: losses,
counts and norms in the metrics, and every trained tensor. With several replicas one step's losses and gradients must also
agree with a single replica's within 1e-5. Ranks are threads of one process. The last line says how many layouts were tried and
failed; the exit code is 1 when any failed. A failing draw is left in the --keep folder.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

import fuzz  # which finds test/oracle
import tensorfile
from compare import distance
from make_oracle import BASE_PLAN, changed
from parameters import draw

STEPS = 2
TIMES = ("seconds", "tokens_per_second")
MOST_FAILURES = 5


def draw_layout(random, units, batches):
    """The `pipeline` of a plan: legal for a model of so many units (embedding, layers, last part) and micro-batches."""
    legal = [("1f1b", p) for p in range(2, min(units, 4) + 1)] + [("zb1p", p) for p in range(2, min(units, 4) + 1)]
    legal += [("dualpipe", p) for p in (2, 4) if p <= units and batches % 2 == 0 and batches >= 2 * p] * 2
    legal += [("dualpipev", p) for p in (1, 2, 3) if 2 * p <= units and batches >= 2 * p] * 2
    schedule, ranks = legal[random.integers(len(legal))]
    pipeline = {"ranks": int(ranks), "schedule": schedule, "micro_batches": batches,
                "overlap": str(random.choice(["none", "paper", "searched"]))}
    stages = 2 * ranks if schedule == "dualpipev" else ranks
    if random.random() < 0.4:
        pipeline["stages"] = draw_stages(random, stages, units - 2)
    return pipeline


def draw_stages(random, stages, layers):
    """Layers on each stage: any split in which only the first and the last may have none (and not both of one)."""
    inner = max(stages - 2, 0)
    counts = np.array([0] + [1] * inner + [0])[:stages] if stages > 1 else np.array([0])
    for _ in range(layers - int(counts.sum())):
        counts[random.integers(stages)] += 1
    return counts.tolist()


def draw_case(seed):
    """(config, plan of one pipeline rank, layouts, replicas)."""
    random = np.random.default_rng(seed)
    config, plan = fuzz.draw_spec(random)
    layers = int(random.integers(1, 5))
    config = changed(config, {"num_hidden_layers": layers, "first_k_dense_replace": int(random.integers(0, layers + 1))})
    replicas = int(random.choice([1, 1, 2, 3]))
    config = changed(config, {"n_routed_experts": config["n_routed_experts"] * replicas})
    routed = config["first_k_dense_replace"] < layers + config["num_nextn_predict_layers"]
    experts = replicas if routed and random.random() < 0.8 else 1
    batches = int(random.choice([1, 2, 3, 4, 5, 6, 8]))
    units = layers + 2
    plan = changed(BASE_PLAN, {
        "micro_batch": plan["micro_batch"], "pipeline": {"micro_batches": batches}, "router": plan["router"],
        "mtp": plan["mtp"], "data_parallel": replicas, "expert_parallel": experts, "programs": ["train", "evaluate"],
        "recompute": [w for w in ("norms", "mla_up", "swiglu") if random.random() < 0.3],
        "optimizer": {"learning_rate": [{"shape": "constant", "steps": 1, "to": 0.01}]}})
    layouts = [draw_layout(random, units, batches) for _ in range(2)]
    return config, plan, layouts, replicas


class Case:
    """One draw in a folder of its own."""

    def __init__(self, folder, flags, seed):
        self.folder, self.flags = pathlib.Path(folder), flags
        self.config, self.plan, self.layouts, self.replicas = draw_case(seed)
        random = np.random.default_rng([seed, 1])
        self.weights = draw(self.config, [0.0, 0.15], random)
        batch = self.plan["micro_batch"]
        self.rows = self.plan["pipeline"]["micro_batches"] * self.replicas * batch["sequences"]
        self.tokens = random.integers(0, self.config["vocab_size"], (STEPS * self.rows, batch["tokens"] + 1))
        (self.folder / "config.json").write_text(json.dumps(self.config, indent=1) + "\n")
        tensorfile.save(self.weights, self.folder / "model.safetensors")
        tensorfile.save({"tokens": self.tokens}, self.folder / "tokens.safetensors")
        tensorfile.save({"tokens": self.tokens[:self.rows]}, self.folder / "step.safetensors")

    def run(self, tool, *arguments):
        command = [str(self.flags.bin / tool), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines() or [""]
            raise RuntimeError(f"{tool}: exit code {done.returncode}: {lines[0].strip()[:300]}")
        return done.stdout

    def compile(self, name, plan):
        (self.folder / f"{name}.json").write_text(json.dumps(plan, indent=1) + "\n")
        bundle = self.folder / f"{name}.hadal"
        self.run("hadal-compile", self.folder / "config.json", "--plan", self.folder / f"{name}.json", "--target", "cpu",
                 "-o", bundle)
        return bundle

    def train(self, name, bundle, ranks):
        """(metrics without times, trained tensors)."""
        metrics, kept = self.folder / f"{name}.jsonl", self.folder / f"{name}-checkpoints"
        self.run("hadal-run", "train", bundle, "--data", self.folder / "tokens.safetensors", "--weights",
                 self.folder / "model.safetensors", "--steps", STEPS, "--checkpoint", kept, "--metrics", metrics,
                 "--local-ranks", ranks)
        lines = [json.loads(line) for line in metrics.read_text().splitlines()]
        tensors = {}
        for part in sorted((kept / f"step-{STEPS:09d}").glob("model*.safetensors")):
            tensors.update(tensorfile.load(part))
        return [{k: v for k, v in line.items() if k not in TIMES} for line in lines], tensors

    def evaluate(self, name, bundle, ranks):
        out = self.folder / f"{name}.out"
        self.run("hadal-run", "evaluate", bundle, "--weights", self.folder / "model.safetensors", "--tokens",
                 self.folder / "step.safetensors", "--out", out, "--gradients", "--local-ranks", ranks)
        return tensorfile.load(out)

    def problems(self):
        try:
            serial = self.compile("serial", self.plan)
            want = self.train("serial", serial, self.replicas)
            found = self.against_one_replica(serial) if self.replicas > 1 else []
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            return [f"serial: {error}"]
        for number, layout in enumerate(self.layouts):
            name = f"layout{number}"
            try:
                bundle = self.compile(name, changed(self.plan, {"pipeline": layout}))
                got = self.train(name, bundle, self.replicas * layout["ranks"])
                found += [f"{json.dumps(layout)}: {line}" for line in self.unequal(got, want)]
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                found.append(f"{json.dumps(layout)}: {error}")
        return found

    @staticmethod
    def unequal(got, want):
        lines = [f"step {a.get('step')}: {key} {a.get(key)}, serial {b.get(key)}" for a, b in zip(got[0], want[0])
                 for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)]
        if len(got[0]) != len(want[0]) or got[1].keys() != want[1].keys():
            lines.append("other metrics or tensors than serial")
        return lines + [f"{name}: other bits than serial" for name in sorted(got[1].keys() & want[1].keys())
                        if got[1][name].tobytes() != want[1][name].tobytes()]

    def against_one_replica(self, serial):
        plan = changed(self.plan, {"data_parallel": 1, "expert_parallel": 1, "pipeline": {
            "micro_batches": self.plan["pipeline"]["micro_batches"] * self.replicas}})
        alone = self.evaluate("alone", self.compile("alone", plan), 1)
        shared = self.evaluate("shared", serial, self.replicas)
        if alone.keys() != shared.keys():
            return ["other outputs than one replica"]
        # What the reference model (f64) finds to be zero is rounding here (queries where a row has one token).
        slopes = fuzz.reference(self.config, plan, self.weights, self.tokens[:self.rows])[1]
        whole = np.sqrt(sum(float((g * g).sum()) for g in slopes.values()))
        zero = {f"gradient.{name}" for name, g in slopes.items() if not g.any()}
        offs = {name: float(np.linalg.norm(shared[name]) / whole) if name in zero else distance(shared[name], alone[name])
                for name in sorted(alone)}
        return [f"{name}: off by {off:.1e} from one replica" for name, off in offs.items() if off > 1e-5]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--bin", type=pathlib.Path, default=fuzz.ROOT / "build" / "release" / "bin")
    parser.add_argument("--keep", type=pathlib.Path)
    flags = parser.parse_args()
    tried = failed = layouts = 0
    start, seed = time.monotonic(), flags.seed
    while time.monotonic() - start < flags.minutes * 60 if flags.minutes else tried < flags.count:
        with tempfile.TemporaryDirectory() as folder:
            case = Case(folder, flags, seed)
            tried, layouts = tried + 1, layouts + len(case.layouts)
            if problems := case.problems():
                failed += 1
                print(f"seed {seed}: replicas {case.replicas}, experts over {case.plan['expert_parallel']}", *problems[:8],
                      sep="\n  ", flush=True)
                if flags.keep:
                    shutil.copytree(folder, flags.keep / f"seed-{seed}", dirs_exist_ok=True)
        seed += 1
        if failed == MOST_FAILURES:
            break
    print(f"fuzz_plans: {layouts} layouts of {tried} plans tried, {failed} plans failed")
    return 1 if failed or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
