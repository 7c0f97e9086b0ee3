#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A training step of nano without MTP, f32: Hadal beside PyTorch (transformers, fused AdamW), same weights, same data.

  tools/bench/train_step.py [--rounds 3] [--steps 20] [--threads 2] [--torch grouped eager compiled] [--torch-only]

Rounds alternate: Hadal, then each way of PyTorch, always from the same weights over the same rows. The first steps of a
round warm up and do not count. The first step's loss must agree within 1e-4.
"""

import argparse
import json
import shutil
import sys

import common

WAYS = {"grouped": {"experts": "grouped_mm"}, "eager": {"experts": "eager"},
        "compiled": {"experts": "grouped_mm", "compiled": True}}
PRODUCTS = [(1024, 1024, 1024), (2048, 2048, 2048), (1024, 768, 256), (1024, 256, 768)]
WARM_UP, AGREE = 2, 1e-4


def hadal_round(folder, steps, threads):
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    _, _, resident = common.run("hadal-run", "train", folder / "nano.hadal", "--data", folder / "tokens.safetensors",
                                "--weights", folder / "weights", "--steps", steps, "--checkpoint", folder / "checkpoints",
                                "--metrics", folder / "metrics.jsonl", "--validation-fraction", 0, threads=threads)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    lines = [line for line in lines if "loss" in line]
    return {"seconds": [line["seconds"] for line in lines], "losses": [line["loss"] for line in lines], "resident": resident}


class Measurement:
    def __init__(self, flags):
        self.flags, self.folder, self.wrong = flags, common.WORK / "train-step", []
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config, self.plan = common.model_without_mtp(self.folder)
        self.steps, shape = flags.steps + WARM_UP, self.plan["micro_batch"]
        self.tokens = shape["sequences"] * shape["tokens"]
        self.rows = common.token_rows(self.steps * shape["sequences"], shape["tokens"] + 1)
        self.flop = common.training_flop(self.config, shape["tokens"]) * self.tokens
        self.sides = {way: common.Torch(flags.threads, **WAYS[way]) for way in flags.torch}
        self.first = next(iter(self.sides.values()))
        shutil.rmtree(self.folder / "weights", ignore_errors=True)
        self.first.ask("initial_weights", config=str(self.folder / "config.json"), folder=str(self.folder / "weights"))
        if not flags.torch_only:
            common.save_tokens(self.folder / "tokens.safetensors", self.rows)
            common.run("hadal-compile", self.folder / "config.json", "--plan", self.folder / "plan.json", "--target", "cpu",
                       "-o", self.folder / "nano.hadal")

    def go(self):
        print(common.machine())
        print(f"torch {self.first.versions['torch']}, transformers {self.first.versions['transformers']}, "
              f"{self.flags.threads} threads")
        for side in self.sides.values():
            parameters = side.ask("load", folder=str(self.folder / "weights"))["parameters"]
        print(f"{parameters / 1e6:.2f} M parameters, {self.tokens} tokens and {self.flop * 1e-9:.2f} GFLOP a step; "
              f"{self.flags.rounds} rounds of {self.flags.steps} steps after {WARM_UP}")
        names = ([] if self.flags.torch_only else ["hadal"]) + [f"torch {way}" for way in self.sides]
        runs = {name: [] for name in names}
        best = {}
        for _ in range(self.flags.rounds):
            for name in names:
                runs[name].append(self.one(name))
            for size, rate in self.first.ask("product", sizes=PRODUCTS).items():
                best[size] = max(best.get(size, 0), rate)
        self.report(runs, best)
        for side in self.sides.values():
            side.close()
        return 1 if self.wrong else 0

    def one(self, name):
        if name == "hadal":
            return hadal_round(self.folder, self.steps, self.flags.threads)
        return self.sides[name.split()[1]].ask("train", plan=self.plan, tokens=self.rows, steps=self.steps)

    def report(self, runs, best):
        machine_rate = max(best.values())
        print("torch's f32 product: " + ", ".join(f"{size} {rate:.0f}" for size, rate in best.items()) + " GFLOP/s")
        medians = {}
        for name, rounds in runs.items():
            seconds = [s for r in rounds for s in r["seconds"][WARM_UP:]]
            medians[name] = common.median(seconds)
            rate = self.flop * 1e-9 / medians[name]
            print(f"{name:16} {common.spread(seconds)}, {self.tokens / medians[name]:.0f} tokens/s, {rate:.1f} GFLOP/s = "
                  f"{100 * rate / machine_rate:.0f} % of the best product, peak {max(r['resident'] for r in rounds):.0f} MiB, "
                  f"first step {rounds[0]['seconds'][0]:.2f} s")
        self.compare_losses(runs)
        if "hadal" in runs:
            for name in runs:
                if name != "hadal":
                    print(f"{name} takes {medians[name] / medians['hadal']:.2f} times as long as hadal")

    def compare_losses(self, runs):
        firsts = {name: rounds[0]["losses"][0] for name, rounds in runs.items()}
        off = max(firsts.values()) - min(firsts.values())
        agree = off <= AGREE
        print("first loss: " + ", ".join(f"{name} {loss:.6f}" for name, loss in firsts.items()) +
              (f"; they agree within {AGREE:.0e}" if agree else f"; OFF BY {off:.2e}, allowed {AGREE:.0e}"))
        print("last loss:  " + ", ".join(f"{name} {rounds[0]['losses'][-1]:.6f}" for name, rounds in runs.items()))
        if not agree:
            self.wrong.append("losses")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--torch", nargs="+", choices=WAYS, default=["grouped"])
    parser.add_argument("--torch-only", action="store_true", help="PyTorch alone")
    return Measurement(parser.parse_args()).go()


if __name__ == "__main__":
    sys.exit(main())
