#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The four schedules: simulated beside paced steps on one layout, then simulated beside measured steps.

Paced: every schedule compiles the same model over the same ranks: 4 pipeline ranks x 2 replicas, 8 micro-batches, experts over
the replicas. Costs are those of the pair measured on H800s (examples/deepseek-v3/h800.json), taken for micro-batches of
this model, so that a layer costs what a layer of DeepSeek-V3 does. The paced device sleeps for them, so that eight ranks
fit on two cores; everything else (streams, events, transport, collectives) is real.

Measured: nano on 2 pipeline ranks of one thread each, 8 micro-batches of 256 tokens. A profile of the machine is taken
(`hadal-run bench --profile`); the step it foretells stands beside steps measured after it.
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


def figures_of(bundle, ranks, steps, *flags):
    """Seconds of a step on local ranks, measured or paced; and simulated, where flags name costs."""
    out, _, _ = common.run("hadal-run", "bench", bundle, "--local-ranks", ranks, "--steps", steps, *flags)
    real, simulated = (re.search(pattern, out) for pattern in (r"train: median ([\d.]+) s", r"simulated: ([\d.]+) s"))
    return float(real.group(1)), float(simulated.group(1)) if simulated else None


def pace(folder, name, steps):
    """Milliseconds of one combination on the paced device."""
    bundle, report = folder / f"{name}.hadal", folder / f"{name}-report.json"
    common.run("hadal-compile", folder / "config.json", "--plan", folder / f"{name}.json", "--target", "cpu",
               "--costs", folder / "costs.json", "-o", bundle)
    common.run("hadal-run", "simulate", bundle, "--costs", folder / "costs.json", "--report", report)
    simulated = json.loads(report.read_text())
    paced, _ = figures_of(bundle, 8, steps, "--device", "paced", "--costs", folder / "costs.json")
    largest = {key: max(rank[f"{key}_us"] for rank in simulated["ranks"]) / 1e3
               for key in ("busy", "exposed_communication", "bubble")}
    return {"simulated": simulated["makespan_us"] / 1e3, "paced": paced * 1e3} | largest


def print_paced(folder, steps):
    """A row for each combination; gives those that are late."""
    print("| schedule | overlap | simulated | paced | paced / simulated | busy | exposed communication | bubble |")
    print("|---|---|---|---|---|---|---|---|")
    late = []
    for schedule, overlap in COMBINATIONS:
        row = pace(folder, f"{schedule}-{overlap}", steps)
        if row["paced"] > 1.05 * row["simulated"]:
            late.append(f"{schedule} {overlap}")
        print(f"| {schedule} | {overlap} | {row['simulated']:.1f} ms | {row['paced']:.1f} ms | "
              f"{row['paced'] / row['simulated']:.3f} | {row['busy']:.1f} | {row['exposed_communication']:.1f} | "
              f"{row['bubble']:.1f} |", flush=True)
    return late


def print_measured(folder, steps):
    """Rows of nano on two ranks: a profile's simulated step beside the measured one."""
    print("| schedule | overlap | simulated | measured | measured / simulated |")
    print("|---|---|---|---|---|")
    plan = json.loads((common.NANO / "plan.json").read_text())
    plan |= {"micro_batch": {"sequences": 1, "tokens": 256}, "programs": ["train"]}
    for schedule, overlap in (("1f1b", "none"), ("zb1p", "none"), ("dualpipe", "paper"), ("dualpipev", "paper")):
        plan["pipeline"] = {"ranks": 2, "micro_batches": 8, "schedule": schedule, "overlap": overlap}
        path, bundle, profile = (folder / f"two-{schedule}.{end}" for end in ("json", "hadal", "profile"))
        common.write_json(path, plan)
        common.run("hadal-compile", common.NANO / "config.json", "--plan", path, "--target", "cpu", "-o", bundle)
        figures_of(bundle, 2, steps, "--threads", 1, "--profile", profile)
        real, simulated = figures_of(bundle, 2, steps, "--threads", 1, "--costs", profile)
        print(f"| {schedule} | {overlap} | {simulated * 1e3:.1f} ms | {real * 1e3:.1f} ms | {real / simulated:.3f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=8, help="layers of the model, all with experts (default 8)")
    parser.add_argument("--tokens", type=int, default=64, help="tokens of a micro-batch (default 64)")
    parser.add_argument("--steps", type=int, default=5, help="paced steps to take the median of (default 5)")
    arguments = parser.parse_args()
    folder = common.WORK / "schedules"
    write_inputs(folder, arguments.layers, arguments.tokens)
    print(common.machine())
    late = print_paced(folder, arguments.steps)
    print_measured(folder, 2 * arguments.steps)
    if late:
        sys.exit(f"more than 5 % over the simulated step: {', '.join(late)}")


if __name__ == "__main__":
    main()
