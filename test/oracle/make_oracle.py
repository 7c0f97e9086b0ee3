#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reference values, checked and made (needs python3-numpy).

  make_oracle.py check [CASE...]          recomputes the stored cases from their stored weights and tokens
  make_oracle.py make CASES.json OUT      draws weights and tokens for each case and writes its folder below OUT

A case of CASES.json: {"name", "seed", "about", "config": changes, "plan": changes, "bias": [mean, deviation] of the
router bias, "prompt" and "generate": lengths for greedy.json, "copies": repeat embedding and head in the MTP layers,
"steps": train that long}. The base of both files is BASE_CONFIG and BASE_PLAN below.
"""

import json
import math
import pathlib
import sys

import numpy as np

import autodiff as ad
import tensorfile
from compare import distance
from parameters import BIAS, draw, is_copy
from quantise import check_fp8
from reference_model import Model

HERE = pathlib.Path(__file__).resolve().parent
BASE_CONFIG = json.loads((HERE / "groups" / "config.json").read_text())
BASE_PLAN = json.loads((HERE / "groups" / "plan.json").read_text())
CLOSEST_ROUTING, CLOSEST_ROUTING_TRAINING = 2e-4, 2e-5  # a draw with a closer choice is thrown away


def changed(base, changes):
    """base with changes, dictionaries merged all the way down."""
    result = dict(base)
    for key, value in changes.items():
        result[key] = changed(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
    return result



def model_of(config, plan, weights):
    return Model(config, {name: ad.Node(np.asarray(w, np.float64)) for name, w in weights.items()},
                 plan["router"]["sequence_balance_alpha"], plan["mtp"]["weight"])


# --- one step, training, greedy decoding --------------------------------------------------------------------------------


def one_step(config, plan, weights, tokens):
    """(expected, gradients, closest margin) of one micro-batch, in the form of the stored files."""
    model = model_of(config, plan, weights)
    out = model.run(tokens)
    names = [n for n in weights if not n.endswith(BIAS) and not is_copy(n)]
    slopes = dict(zip(names, ad.gradients(out["loss"], [model.p[n] for n in names])))
    expected = {}
    for key, value in out.items():
        if "logits" in key:
            expected[key] = value.value
        elif key in ("loss", "main_loss", "balance_loss"):
            expected[key] = value.value.reshape(1)
        elif key == "mtp_losses":
            expected[key] = np.array([float(loss.value) for loss in value])
        else:
            expected[key] = value
    return expected, slopes, min(model.margins, default=math.inf)


def learning_rate(phases, step):
    """At `step`, counted from 1; README.md has the shapes. The last phase's end value holds for ever."""
    start = 0.0
    for phase in phases:
        end = phase.get("to", start)
        if step <= phase["steps"]:
            done = step / phase["steps"]
            if phase["shape"] == "linear":
                return start + (end - start) * done
            if phase["shape"] == "cosine":
                return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
            return end
        step, start = step - phase["steps"], end
    return start


def train(config, plan, weights, tokens):
    """tokens [steps, micro-batches, B, T + 1]. Returns (log, trained weights in f64, closest margin)."""
    optimizer, adamw = plan["optimizer"], plan["optimizer"]["adamw"]
    beta1, beta2 = adamw["betas"]
    weights = {n: np.asarray(w, np.float64).copy() for n, w in weights.items()}
    names = [n for n in weights if not n.endswith(BIAS)]
    first, second = ({n: np.zeros_like(weights[n]) for n in names} for _ in range(2))
    log, margin = [], math.inf
    for step, batches in enumerate(tokens, 1):
        share, slopes, counts, parts = 1 / len(batches), {n: 0.0 for n in names}, {}, []
        for batch in batches:
            expected, part, closest = one_step(config, plan, weights, batch)
            margin = min(margin, closest)
            parts.append([expected[k][0] for k in ("loss", "main_loss", "balance_loss")] + list(expected["mtp_losses"]))
            for name in names:
                slopes[name] = slopes[name] + share * part[name]
            for key, value in expected.items():
                if key.startswith("counts."):
                    counts[key[7:]] = counts.get(key[7:], 0) + value
        norm = math.sqrt(sum(float((g * g).sum()) for g in slopes.values()))
        clip = min(1.0, optimizer["clip_norm"] / norm)
        rate = learning_rate(optimizer["learning_rate"], step)
        for name in names:
            w, g = weights[name], slopes[name] * clip
            first[name] = beta1 * first[name] + (1 - beta1) * g
            second[name] = beta2 * second[name] + (1 - beta2) * g * g
            if w.ndim > 1:
                w *= 1 - rate * adamw["weight_decay"]
            root = np.sqrt(second[name] / (1 - beta2 ** step))
            w -= rate * (first[name] / (1 - beta1 ** step)) / (root + adamw["eps"])
        for name, count in counts.items():
            direction = np.sign(count.sum() - len(count) * count)
            weights[f"{name}.gate.{BIAS}"] += plan["router"]["bias_update_speed"] * direction
        means = [float(x) for x in np.mean(parts, axis=0)]
        log.append({"step": step, "loss": means[0], "main_loss": means[1], "balance_loss": means[2],
                    "mtp_losses": means[3:], "gradient_norm": norm, "learning_rate": rate,
                    "expert_counts": {n: c.tolist() for n, c in counts.items()}})
    return log, weights, margin


def greedy(config, plan, weights, prompt, count):
    """The likeliest token again and again, everything recomputed each time; also how close two candidates came."""
    config, ids, gap = {**config, "num_nextn_predict_layers": 0}, list(prompt), math.inf
    for _ in range(count):
        logits = model_of(config, plan, weights).run(np.array([ids + [0]]))["logits"].value[0, -1]
        second, best = np.argsort(logits)[-2:]
        gap = min(gap, float(logits[best] - logits[second]))
        ids.append(int(best))
    return {"prompt": list(prompt), "continuation": ids[len(prompt):], "closest_gap": gap}


# --- checking -----------------------------------------------------------------------------------------------------------


def check_case(folder):
    """Names of what does not agree."""
    config, plan = (json.loads((folder / f).read_text()) for f in ("config.json", "plan.json"))
    weights = tensorfile.load(folder / "model.safetensors")
    tokens = tensorfile.load(folder / "tokens.safetensors")["tokens"]
    wrong = []
    if (folder / "log.json").exists():
        per_step = plan["pipeline"]["micro_batches"], plan["micro_batch"]["sequences"], tokens.shape[1]
        log, trained, _ = train(config, plan, weights, tokens.reshape(-1, *per_step))
        for got, want in zip(log, json.loads((folder / "log.json").read_text())):
            wrong += [f"step {want['step']} {key}" for key in want
                      if (got[key] != want[key] if key == "expert_counts" else distance(got[key], want[key]) > 1e-9)]
        for name, want in tensorfile.load(folder / "trained.safetensors").items():
            if distance(trained[name], want) > 1e-6:
                wrong.append(name)
        return wrong
    expected, slopes, _ = one_step(config, plan, weights, tokens)
    for name, want in tensorfile.load(folder / "expected.safetensors").items():
        exact = want.dtype == np.int64
        if (not np.array_equal(expected[name].reshape(want.shape), want)) if exact else distance(expected[name], want) > 1e-7:
            wrong.append(name)
    for name, want in tensorfile.load(folder / "gradients.safetensors").items():
        if distance(slopes[name], want) > 1e-7:
            wrong.append("gradient of " + name)
    if (folder / "greedy.json").exists():
        want = json.loads((folder / "greedy.json").read_text())
        if greedy(config, plan, weights, want["prompt"], len(want["continuation"]))["continuation"] != want["continuation"]:
            wrong.append("greedy continuation")
    return wrong


def check(names):
    failed = False
    for folder in sorted(f for f in HERE.iterdir() if f.is_dir() and (not names or f.name in names)):
        if (folder / "fp8.safetensors").exists():
            wrong = check_fp8(tensorfile.load(folder / "fp8.safetensors"))
        elif (folder / "config.json").exists():
            wrong = check_case(folder)
        else:
            continue
        print(f"{folder.name}: {'agrees' if not wrong else 'DIFFERS in ' + ', '.join(wrong)}")
        failed |= bool(wrong)
    return 1 if failed else 0


# --- making -------------------------------------------------------------------------------------------------------------


def make(case, folder):
    config, plan = changed(BASE_CONFIG, case.get("config", {})), changed(BASE_PLAN, case.get("plan", {}))
    B, T = plan["micro_batch"]["sequences"], plan["micro_batch"]["tokens"]
    steps, seed = case.get("steps", 0), case["seed"]
    while True:
        random = np.random.default_rng(seed)
        weights = draw(config, case.get("bias", [0.0, 0.15]), random)
        tokens = random.integers(2, config["vocab_size"], (max(steps, 1), plan["pipeline"]["micro_batches"], B, T + 1))
        if steps:
            log, trained, margin = train(config, plan, weights, tokens)
        else:
            expected, slopes, margin = one_step(config, plan, weights, tokens[0, 0])
        if margin > (CLOSEST_ROUTING_TRAINING if steps else CLOSEST_ROUTING):
            break
        seed += 1000
    folder.mkdir(parents=True, exist_ok=True)
    stored = dict(weights)
    for depth in range(config.get("num_nextn_predict_layers", 0) if case.get("copies") else 0):
        layer = f"model.layers.{config['num_hidden_layers'] + depth}"
        stored[layer + ".embed_tokens.weight"] = weights["model.embed_tokens.weight"]
        stored[layer + ".shared_head.head.weight"] = weights["lm_head.weight"]
    about = {"about": case["about"], "seed": seed, "closest_routing_margin": margin if margin < math.inf else None}
    documents = {"config.json": config, "plan.json": plan, "about.json": about}
    files = {"model": stored, "tokens": {"tokens": tokens.reshape(-1, T + 1) if steps else tokens[0, 0]}}
    if steps:
        files["trained"] = {n: w.astype(np.float32) for n, w in trained.items()}
        documents["log.json"] = log
    else:
        files["expected"] = {n: v.astype(np.float32) if v.dtype == np.float64 and "loss" not in n else v
                             for n, v in expected.items()}
        files["gradients"] = {n: g.astype(np.float32) for n, g in slopes.items()}
    if "generate" in case:
        documents["greedy.json"] = greedy(config, plan, weights, tokens[0, 0, 0, :case["prompt"]].tolist(), case["generate"])
    for name, tensors in files.items():
        tensorfile.save(tensors, folder / f"{name}.safetensors")
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=1) + "\n")
    print(f"{folder.name}: made, closest routing margin {margin:.1e}")


def main(arguments):
    if arguments[:1] == ["check"]:
        return check(arguments[1:])
    if arguments[:1] == ["make"] and len(arguments) == 3:
        for case in json.loads(pathlib.Path(arguments[1]).read_text()):
            make(case, pathlib.Path(arguments[2]) / case["name"])
        return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
