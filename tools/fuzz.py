#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random small models through the interpreter and the compiled code (needs python3-numpy).

  tools/fuzz.py [--seed N] [--count N | --minutes M] [--bin FOLDER] [--keep FOLDER] [--shrink] [--interpret-only]

Each try draws a model spec, a plan, weights and tokens; the interpreter (f64) must agree with test/oracle's NumPy model
within 1e-6, the compiled code (f32) with the interpreter within 1e-5, in every output and every gradient, and greedy
generation with recomputation. Drawn again and counted: a draw with a discrete choice closer than 1e-4, and one too steep
for f32, a gradient of which moves by more than 1e-5 in the NumPy model (f64) when each weight moves by 2^-24 of itself, one
rounding. The last line says how many were tried and failed; the exit code is 1 when any failed. A failing draw is left in
the --keep folder, with --shrink as the smallest spec and plan that still fail.
"""

import argparse
import json
import math
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test" / "oracle"))

import tensorfile  # noqa: E402
from compare import differences, distance  # noqa: E402
from make_oracle import BASE_CONFIG, BASE_PLAN, changed, greedy, one_step  # noqa: E402
from parameters import draw  # noqa: E402

CLOSEST_CHOICE, CLOSEST_TOKEN = 1e-4, 1e-3
TOLERANCE, ROUNDING = 1e-5, 2.0 ** -24  # of f32
MOST_FAILURES = 10  # then the tree is broken, not a corner of it
ZERO = 1e-9  # a gradient tensor below this share of the whole gradient is rounding noise around zero


def draw_yarn(random):
    window = int(random.integers(4, 40))
    return {"type": "yarn", "factor": float(random.integers(2, 41)), "original_max_position_embeddings": window,
            "beta_fast": 32, "beta_slow": 1, "mscale": float(random.choice([0.707, 1.0])),
            "mscale_all_dim": float(random.choice([0.707, 1.0]))}


def draw_spec(random):
    """(config, plan) of a small model, any combination of what a spec can say."""
    pick = lambda low, high: int(random.integers(low, high + 1))  # noqa: E731
    layers, heads, groups, depths = pick(1, 3), pick(1, 5), pick(1, 4), int(random.choice([0, 0, 1, 1, 2, 3]))
    per_group, kept = pick(2, 5), pick(1, groups)
    yarn = draw_yarn(random) if random.random() < 0.3 else None
    config = changed(BASE_CONFIG, {
        "vocab_size": pick(11, 140), "hidden_size": pick(5, 80), "intermediate_size": pick(3, 90),
        "moe_intermediate_size": pick(3, 40), "num_hidden_layers": layers, "first_k_dense_replace": pick(0, layers),
        "num_attention_heads": heads, "num_key_value_heads": heads,
        "q_lora_rank": None if random.random() < 0.3 else pick(3, 40), "kv_lora_rank": pick(3, 40),
        "qk_nope_head_dim": pick(1, 24), "qk_rope_head_dim": 2 * pick(1, 10), "v_head_dim": pick(1, 24),
        "n_routed_experts": groups * per_group, "n_group": groups, "topk_group": kept,
        "num_experts_per_tok": pick(1, min(kept * per_group, 8)), "n_shared_experts": pick(0, 2),
        "norm_topk_prob": bool(random.random() < 0.7), "routed_scaling_factor": float(random.choice([1.0, 2.5, 0.37])),
        "num_nextn_predict_layers": depths, "rms_norm_eps": float(random.choice([1e-6, 1e-5, 1e-3])),
        "rope_theta": float(random.choice([10000.0, 500.0, 50000.0])), "rope_scaling": yarn})
    plan = changed(BASE_PLAN, {
        "micro_batch": {"sequences": pick(1, 4), "tokens": depths + pick(1, 40)},
        "pipeline": {"micro_batches": pick(1, 3)},
        "router": {"sequence_balance_alpha": float(random.choice([0.0, 0.01]))}, "mtp": {"weight": 0.3}})
    return config, plan


def reference(config, plan, weights, tokens):
    """(expected, gradients, margin) of a whole step: rows in order, losses and gradients as means over micro-batches."""
    parts = [one_step(config, plan, weights, batch) for batch in
             np.split(tokens, plan["pipeline"]["micro_batches"])]
    expected = {}
    for name in parts[0][0]:
        values = [part[0][name] for part in parts]
        if "loss" in name:
            expected[name] = np.mean(values, axis=0)
        else:
            expected[name] = np.sum(values, axis=0) if name.startswith("counts.") else np.concatenate(values)
    slopes = {name: np.mean([part[1][name] for part in parts], axis=0) for name in parts[0][1]}
    whole = math.sqrt(sum(float((g * g).sum()) for g in slopes.values()))
    slopes = {n: g if np.linalg.norm(g) > ZERO * whole else np.zeros_like(g) for n, g in slopes.items()}
    return expected, slopes, min(part[2] for part in parts)


class Try:
    """One draw in a folder of its own."""

    def __init__(self, folder, flags):
        self.folder, self.flags, self.problems = folder, flags, []

    def run(self, tool, *arguments):
        """stdout, or None after noting the failure."""
        command = [str(self.flags.bin / tool), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout
        lines = done.stderr.splitlines()
        told = [line for line in lines if "error" in line or "hadal::" in line or "(anonymous namespace)" in line]
        self.problems.append(f"{tool}: exit code {done.returncode}: {(told or lines or [''])[0].strip()[:300]}")
        return None

    def compare(self, way, path, expected, slopes, tolerance):
        """Notes what is off in the file `path`."""
        got = tensorfile.load(path)
        self.problems += [f"{way}: {line}" for line in differences(got, expected, slopes, tolerance)]
        return got

    def go(self, config, plan, weights, tokens, expected, slopes):
        f = self.folder
        for name, document in (("config", config), ("plan", plan)):
            (f / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
        tensorfile.save(weights, f / "model.safetensors")
        tensorfile.save({"tokens": tokens}, f / "tokens.safetensors")
        inputs = ("--weights", f / "model.safetensors", "--tokens", f / "tokens.safetensors", "--gradients")
        spec = (f / "config.json", "--plan", f / "plan.json")
        if self.run("hadal-translate", "--import-model", *spec, "-o", f / "model.mlir") is None or \
           self.run("hadal-interpret", f / "model.mlir", *inputs, "--out", f / "interpreted.safetensors") is None:
            return
        judged = self.compare("interpreted", f / "interpreted.safetensors", expected, slopes, 1e-6)
        if self.flags.interpret_only:
            return
        if self.run("hadal-compile", *spec, "--target", "cpu", "-o", f / "model.hadal") is None or \
           self.run("hadal-run", "evaluate", f / "model.hadal", *inputs, "--out", f / "compiled.safetensors") is None:
            return
        outputs = {n: v for n, v in judged.items() if not n.startswith("gradient.")}
        judged_slopes = {n: judged.get("gradient." + n, g) if g.any() else g for n, g in slopes.items()}
        self.compare("compiled", f / "compiled.safetensors", outputs, judged_slopes, TOLERANCE)
        self.generate(config, plan, weights, tokens)

    def generate(self, config, plan, weights, tokens):
        prompt = tokens[0, :min(5, tokens.shape[1])].tolist()
        want = greedy(config, plan, weights, prompt, 6)
        if want["closest_gap"] < CLOSEST_TOKEN:
            return
        ids = self.run("hadal-run", "generate", self.folder / "model.hadal", "--weights", self.folder / "model.safetensors",
                       "--prompt-ids", ",".join(map(str, prompt)), "--ids", "--temperature", 0, "--max-tokens", 6,
                       "--ignore-eos")
        if ids is not None and ids.split() != [str(i) for i in want["continuation"]]:
            self.problems.append(f"generated {ids.strip()}, expected {want['continuation']}")


class Draw:
    """Weights, tokens and what must come of them, for a spec and a plan. Knows whether they can be judged: `close`, a choice
    falls the other way too easily; `steep()`, rounding alone moves a gradient too far."""

    def __init__(self, seed, config, plan):
        random = np.random.default_rng([seed, 1])
        self.config, self.plan = config, plan
        self.weights = draw(config, [0.0, 0.15], random)
        rows = plan["pipeline"]["micro_batches"] * plan["micro_batch"]["sequences"]
        self.tokens = random.integers(0, config["vocab_size"], (rows, plan["micro_batch"]["tokens"] + 1))
        self.expected, self.slopes, margin = reference(config, plan, self.weights, self.tokens)
        self.close = margin < CLOSEST_CHOICE
        self.random = random

    def steep(self):
        for _ in range(2):
            moved = {n: w * (1 + ROUNDING * self.random.choice([-1.0, 1.0], w.shape)) for n, w in self.weights.items()}
            slopes = reference(self.config, self.plan, moved, self.tokens)[1]
            if any(distance(slopes[n], g) > TOLERANCE for n, g in self.slopes.items() if g.any()):
                return True
        return False

    def problems(self, flags, keep=None):
        with tempfile.TemporaryDirectory() as folder:
            attempt = Try(pathlib.Path(folder), flags)
            attempt.go(self.config, self.plan, self.weights, self.tokens, self.expected, self.slopes)
            if attempt.problems and keep:
                shutil.copytree(folder, keep, dirs_exist_ok=True)
            return attempt.problems


# Where a shrunk spec may go, the most telling first. Values that do not fit together are refused and passed over.
SMALLEST = {"num_nextn_predict_layers": 0, "num_hidden_layers": 1, "first_k_dense_replace": 0, "rope_scaling": None,
            "n_shared_experts": 0, "q_lora_rank": None, "num_attention_heads": 1, "n_group": 1, "topk_group": 1,
            "num_experts_per_tok": 1, "n_routed_experts": 2, "norm_topk_prob": False, "vocab_size": 11, "hidden_size": 5,
            "intermediate_size": 3, "moe_intermediate_size": 3, "kv_lora_rank": 3, "qk_nope_head_dim": 1,
            "qk_rope_head_dim": 2, "v_head_dim": 1, "routed_scaling_factor": 1.0, "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0}
SMALLEST_PLAN = {("pipeline", "micro_batches"): 1, ("micro_batch", "sequences"): 1, ("micro_batch", "tokens"): 1,
                 ("router", "sequence_balance_alpha"): 0.0}


def smaller(config, plan):
    """Specs and plans with one value at its smallest, or half way there."""
    for key, least in SMALLEST.items():
        now = config[key]
        if now == least:
            continue
        halves = [(now + least) // 2 // 2 * 2] if isinstance(now, int) and isinstance(least, int) and now - least > 3 else []
        for value in (least, *halves):
            changes = {key: value}
            if key == "num_attention_heads":
                changes["num_key_value_heads"] = value
            if key == "num_hidden_layers":
                changes["first_k_dense_replace"] = min(config["first_k_dense_replace"], value)
            yield changed(config, changes), plan
    for (group, key), least in SMALLEST_PLAN.items():
        now = plan[group][key]
        for value in (least, now // 2 if isinstance(now, int) else least):
            if value < now:
                yield config, changed(plan, {group: {key: value}})


def shrink(seed, config, plan, flags):
    """The smallest failing spec and plan that single steps lead to."""
    progress = True
    while progress:
        progress = False
        for candidate in smaller(config, plan):
            try:
                attempt = Draw(seed, *candidate)
                problems = [] if attempt.close or attempt.steep() else attempt.problems(flags)
            except (ArithmeticError, IndexError, ValueError):  # the reference model cannot be that small
                continue
            if problems and not any("exit code 2: " in problem for problem in problems):
                (config, plan), progress = candidate, True
                break
    return config, plan


def report(seed, attempt, problems, flags):
    print(f"seed {seed}:", *problems[:8], sep="\n  ", flush=True)
    if flags.shrink:
        attempt = Draw(seed, *shrink(seed, attempt.config, attempt.plan, flags))
        changes = {k: v for k, v in attempt.config.items() if v != BASE_CONFIG.get(k)}
        print("  shrunk: config", json.dumps(changes), "plan", json.dumps(attempt.plan),
              *attempt.problems(flags)[:4], sep="\n    ", flush=True)
    if flags.keep:
        attempt.problems(flags, flags.keep / f"seed-{seed}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build" / "release" / "bin")
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("--interpret-only", action="store_true", help="leave out the compiled code")
    flags = parser.parse_args()
    tried = failed = close = steep = 0
    start, seed = time.monotonic(), flags.seed
    while time.monotonic() - start < flags.minutes * 60 if flags.minutes else tried < flags.count:
        attempt = Draw(seed, *draw_spec(np.random.default_rng(seed)))
        seed += 1
        if attempt.close:
            close += 1
            continue
        if not flags.interpret_only and attempt.steep():
            steep += 1
            continue
        tried += 1
        if problems := attempt.problems(flags):
            failed += 1
            report(seed - 1, attempt, problems, flags)
            if failed == MOST_FAILURES:
                break
    print(f"fuzz: {tried} tried, {failed} failed; drawn again: {close} for a close choice, {steep} too steep")
    return 1 if failed or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
