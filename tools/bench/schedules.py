#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The four schedules on one layout: simulated and paced step, busy time, exposed communication and bubble.

Every schedule compiles the same model over the same ranks: 4 pipeline ranks x 2 replicas, 8 micro-batches, experts over
the replicas. Costs are those of the pair measured on H800s (examples/deepseek-v3/h800.json), taken for micro-batches of
this model, so that a layer costs what a layer of DeepSeek-V3 does. The paced device sleeps for them, so that eight ranks
fit on two cores; everything else (streams, events, transport, collectives) is real.
"""

import argparse
import json
import re
import sys

import common

LAYOUT = {"ranks": 4, "micro_batches": 8}
COMBINATIONS = [("1f1b", "none"), ("zb1p", "none"), ("dualpipe", "none"), ("dualpipe", "paper"), ("dualpipe", "searched"),
                ("dualpipev", "none"), ("dualpipev", "paper"), ("dualpipev", "searched")]


def write_inputs(folder, layers, tokens):
    """config.json, a plan for each combination, and costs for micro-batches of `tokens` tokens."""
    config = json.loads((common.NANO / "config.json").read_text())
    config |= {"num_hidden_layers": layers, "first_k_dense_replace": 0}
    common.write_json(folder / "config.json", config)
    plan = json.loads((common.NANO / "plan.json").read_text())
    plan |= {"micro_batch": {"sequences": 1, "tokens": tokens}, "data_parallel": 2, "expert_parallel": 2, "programs": ["train"]}
    for schedule, overlap in COMBINATIONS:
        plan["pipeline"] = LAYOUT | {"schedule": schedule, "overlap": overlap}
        common.write_json(folder / f"{schedule}-{overlap}.json", plan)
    costs = json.loads((common.ROOT / "examples" / "deepseek-v3" / "h800.json").read_text())
    costs["kinds"]["tokens"] = tokens
    common.write_json(folder / "costs.json", costs)


def measure(folder, name, steps):
    """Milliseconds of one combination."""
    bundle, report = folder / f"{name}.hadal", folder / f"{name}-report.json"
    common.run("hadal-compile", folder / "config.json", "--plan", folder / f"{name}.json", "--target", "cpu",
               "--costs", folder / "costs.json", "-o", bundle)
    common.run("hadal-run", "simulate", bundle, "--costs", folder / "costs.json", "--report", report)
    simulated = json.loads(report.read_text())
    out, _, _ = common.run("hadal-run", "bench", bundle, "--device", "paced", "--costs", folder / "costs.json",
                           "--local-ranks", 8, "--steps", steps)
    paced = float(re.search(r"train: median ([\d.]+) s", out).group(1)) * 1e3
    largest = {key: max(rank[f"{key}_us"] for rank in simulated["ranks"]) / 1e3
               for key in ("busy", "exposed_communication", "bubble")}
    return {"simulated": simulated["makespan_us"] / 1e3, "paced": paced} | largest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=8, help="layers of the model, all with experts (default 8)")
    parser.add_argument("--tokens", type=int, default=64, help="tokens of a micro-batch (default 64)")
    parser.add_argument("--steps", type=int, default=5, help="paced steps to take the median of (default 5)")
    arguments = parser.parse_args()
    folder = common.WORK / "schedules"
    write_inputs(folder, arguments.layers, arguments.tokens)
    print(common.machine())
    print("| schedule | overlap | simulated | paced | paced / simulated | busy | exposed communication | bubble |")
    print("|---|---|---|---|---|---|---|---|")
    late = []
    for schedule, overlap in COMBINATIONS:
        row = measure(folder, f"{schedule}-{overlap}", arguments.steps)
        if row["paced"] > 1.05 * row["simulated"]:
            late.append(f"{schedule} {overlap}")
        print(f"| {schedule} | {overlap} | {row['simulated']:.1f} ms | {row['paced']:.1f} ms | "
              f"{row['paced'] / row['simulated']:.3f} | {row['busy']:.1f} | {row['exposed_communication']:.1f} | "
              f"{row['bubble']:.1f} |", flush=True)
    if late:
        sys.exit(f"more than 5 % over the simulated step: {', '.join(late)}")


if __name__ == "__main__":
    main()
