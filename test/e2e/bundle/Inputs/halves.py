# SPDX-License-Identifier: Apache-2.0
"""halves.py CONFIG PLAN REPLICAS: gradients of one micro-batch, which is one half, and of eight in two halves, by the reports of a
simulated step. The second half costs a shard of the first: as much as one of AdamW's two moments, and, for the second accumulator
of the embedding, that tensor's window again."""

import json
import subprocess
import sys

BLOCK = 65536  # windows end at borders of blocks of so many elements


def bytes_of(config, plan, replicas, batches):
    with open(plan, encoding="utf-8") as file:
        laid_out = json.load(file)
    laid_out.update(pipeline={"ranks": 1, "schedule": "1f1b", "micro_batches": batches}, data_parallel=replicas,
                    micro_batch={"sequences": 1, "tokens": 64}, programs=["train"])
    with open("plan.json", "w", encoding="utf-8") as file:
        json.dump(laid_out, file)
    subprocess.run(["hadal-compile", config, "--plan", "plan.json", "--dry-run", "-o", "one.hadal"], check=True)
    subprocess.run(["hadal-run", "simulate", "one.hadal", "--report", "report.json"], check=True, capture_output=True)
    with open("report.json", encoding="utf-8") as file:
        return json.load(file)["ranks"][0]["peak_bytes"]


def main(config, plan, replicas):
    one, eight = (bytes_of(config, plan, int(replicas), batches) for batches in (1, 8))
    with open(config, encoding="utf-8") as file:
        model = json.load(file)
    blocks = -(-model["vocab_size"] * model["hidden_size"] // BLOCK)
    embedding = min(-(-blocks // int(replicas)) * BLOCK, model["vocab_size"] * model["hidden_size"]) * 4
    assert one["optimizer"] == eight["optimizer"], (one, eight)
    parked = one["optimizer"] // 2 + embedding
    assert eight["gradients"] == one["gradients"] + parked, (one, eight, parked)
    print(f"{parked / one['gradients']:.2f} of the first half")


if __name__ == "__main__":
    main(*sys.argv[1:])
