#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prefill and decoding of nano, f32, one sequence: Hadal beside transformers' generate with its cache, same weights, greedy.

  tools/bench/decode.py [--prompt 64] [--tokens 256] [--rounds 5] [--threads 2] [--torch-only]

Rounds alternate. Decoding is timed from the second new token on: the first comes out of the prompt.
"""

import argparse
import re
import sys

import common


def hadal_round(folder, prompt, count, threads):
    out, err, resident = common.run("hadal-run", "generate", folder / "nano.hadal", "--weights", folder / "weights",
                                    "--prompt-ids", ",".join(map(str, prompt)), "--ids", "--max-tokens", count,
                                    "--ignore-eos", threads=threads)
    rates = re.search(r"prompt: \d+ tokens, ([\d.]+) tokens/s; new: \d+ tokens, ([\d.]+) tokens/s", err)
    return {"prefill": float(rates[1]), "decode": float(rates[2]), "ids": [int(i) for i in out.split()], "resident": resident}


def torch_round(side, prompt, count):
    answer = side.ask("generate", prompt=prompt, count=count)
    return {"prefill": len(prompt) / answer["first"], "decode": (count - 1) / (answer["all"] - answer["first"]),
            "ids": answer["ids"], "resident": answer["resident"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--torch-only", action="store_true")
    flags = parser.parse_args()
    folder = common.WORK / "decode"
    config, _ = common.model_without_mtp(folder)
    print(common.machine())
    side = common.Torch(flags.threads)
    side.ask("initial_weights", config=str(folder / "config.json"), folder=str(folder / "weights"))
    side.ask("load", folder=str(folder / "weights"))
    prompt = common.token_rows(1, flags.prompt)[0]
    runs = {"torch": []}
    if not flags.torch_only:
        common.run("hadal-compile", folder / "config.json", "--plan", folder / "plan.json", "-o", folder / "nano.hadal")
        runs = {"hadal": [], **runs}
    for _ in range(flags.rounds):
        if "hadal" in runs:
            runs["hadal"].append(hadal_round(folder, prompt, flags.tokens, flags.threads))
        runs["torch"].append(torch_round(side, prompt, flags.tokens))
    side.close()
    print(f"{flags.prompt} tokens of prompt, {flags.tokens} new ones, {flags.threads} threads, {flags.rounds} rounds; "
          f"{common.forward_flop(config, flags.prompt) * 1e-6:.1f} MFLOP a token")
    for name, rounds in runs.items():
        print(f"{name:6} prefill {common.median([r['prefill'] for r in rounds]):.0f} tokens/s, decode "
              f"{common.median([r['decode'] for r in rounds]):.1f} tokens/s, peak {max(r['resident'] for r in rounds):.0f} MiB")
    if "hadal" not in runs:
        return 0
    ours, theirs = runs["hadal"][0]["ids"], runs["torch"][0]["ids"]
    same = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), len(ours))
    print(f"hadal decodes {common.median([r['decode'] for r in runs['hadal']]) / common.median([r['decode'] for r in runs['torch']]):.1f} "
          f"times as fast; the first {same} of {flags.tokens} ids are the same")
    return 0


if __name__ == "__main__":
    sys.exit(main())
