#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A training step of a model of full size, without its kernels: compiled dry, verified, simulated with a file of costs, and
simulated again with one thing changed at a time, so that one sees what the step's time is made of.

  tools/bench/full_size.py [--no-plans] [CONFIG PLAN COSTS]        default: examples/deepseek-v3

Prints what the tools took, each pipeline rank's time by chunk beside the published run's, and the table of changes.
"""

import argparse
import collections
import copy
import json
import pathlib
import re
import sys
import time

import common

V3 = common.ROOT / "examples" / "deepseek-v3"
EXCHANGES = ("dispatch(F)", "dispatch(B)", "combine(F)", "combine(B)")
PEAK = 989e12  # bf16 FLOP a second of an H800: what the published MFU is of
# "Insights into DeepSeek-V3" (arXiv 2505.09343), table 4, multi-plane network: seconds of a step of DeepSeek-V3 on 2,048 H800.
PUBLISHED = {"step": 19.926, "F": 1.13, "pair": 13.95, "B, I": 1.99, "W": 0.48, "optimizer": 0.29, "bubble": 2.06}


def run(tool, *arguments):
    return common.run(tool, *arguments, binary=flags.bin)


def timed(tool, *arguments):
    begin = time.monotonic()
    out, _, resident = run(tool, *arguments)
    print(f"| `{tool} {' '.join(pathlib.Path(str(a)).name for a in arguments)}` | {time.monotonic() - begin:.1f} s | {resident:.0f} MiB |",
          flush=True)
    return out


class Step:
    """A simulated step: its report, and the trace where it was asked for."""

    def __init__(self, bundle, costs, trace=None):
        path = common.write_json(flags.work / "costs.json", costs)
        report = flags.work / "report.json"
        run("hadal-run", "simulate", bundle, "--costs", path, "--report", report, *(["--trace", trace] if trace else []))
        found = json.loads(report.read_text())
        self.seconds = found["makespan_us"] / 1e6
        self.ranks = found["ranks"]
        self.events = json.loads(trace.read_text())["traceEvents"] if trace else []


def anatomy(step):
    """Of each process of the trace, seconds by kind of chunk from its first work to its last, and of the optimizer: sums behind the
    last chunk, and what follows the gradient's norm; and the components' names."""
    chunks, others = collections.defaultdict(dict), collections.defaultdict(list)
    names = set()
    for event in step.events:
        if event["ph"] != "X":
            continue
        process, name, start, end = event["pid"], event["name"], event["ts"], event["ts"] + event["dur"]
        chunk = event.get("args", {}).get("chunk")
        names.add(name)
        if chunk is None:
            others[process].append((name, start, end))
        elif name != "transfer":
            first, last = chunks[process].get(chunk, (start, end))
            chunks[process][chunk] = (min(first, start), max(last, end))
    found = []
    for process in sorted(chunks):
        times = collections.Counter()
        for chunk, (start, end) in chunks[process].items():
            times["pair" if "+" in chunk else "B, I" if chunk[0] in "BI" else chunk[0]] += (end - start) / 1e6
        last = max(end for _, end in chunks[process].values())
        clip = max(end for name, _, end in others[process] if name == "clip_factor")
        summed = max(end for name, _, end in others[process] if name in ("reduce_scatter", "all_reduce"))
        times["optimizer"] = (max(0, summed - last) + max(end for _, _, end in others[process]) - clip) / 1e6
        times["bubble"] = step.seconds - sum(times.values())
        times["step"] = step.seconds
        found.append(times)
    return found, names


def changed(costs, **changes):
    """A copy of the costs: parts are merged into objects, `alone` into kinds."""
    result = copy.deepcopy(costs)
    for key, value in changes.items():
        if key in ("network", "node"):
            result.setdefault("machine", {})[key] = value
        elif key == "alone":
            result["kinds"]["alone"] = value
        else:
            result.setdefault(key, {}).update(value)
    return result


def variations(costs, names):
    """(what is changed, costs)."""
    free = {"bytes_per_s": 1e18, "latency_us": 0}
    still = dict.fromkeys(EXCHANGES, 0)

    def idle(*prefixes):
        return dict.fromkeys((name for name in sorted(names) if name.startswith(prefixes) and re.search("_[FBW]$", name)), 0)

    heads, mtp = idle("head_loss", "mtp1_head_loss"), idle("mtp")
    quick = {"launch_us": 0, "memory_bytes_per_s": 1e18}
    yield "exchanges of lone chunks as long as in a pair", changed(costs, alone={})
    own = costs["kinds"].get("alone", {})
    yield "exchanges of lone chunks take no time", changed(costs, alone=own | still)
    for what, phase in (("forward", "(F)"), ("backward", "(B)")):
        yield f"of these the {what} ones", changed(costs, alone=own | {kind: 0 for kind in EXCHANGES if kind.endswith(phase)})
    whole = {kind: time * 112 / 132 for kind, time in costs["kinds"].items() if kind.startswith(("attn", "mlp"))}
    yield "lone chunks compute on all 132 SMs, not on 112", changed(costs, alone=own | whole)
    yield "exchanges take no time", changed(costs, kinds=still, alone=still)
    yield "network without limit (transfers, sums, gathers)", changed(costs, network=free)
    yield "heads take no time", changed(costs, components=heads)
    yield "MTP's components take no time", changed(costs, components=mtp)
    yield "heads and MTP's components take no time", changed(costs, components=heads | mtp)
    yield "launches and memory take no time (norms, merges, embedding)", changed(costs, machine=quick)
    yield "all of these take no time", changed(costs, kinds=still, alone=still, components=heads | mtp, network=free, machine=quick)
    if "mlp_dense_F" in costs.get("components", {}):
        without = copy.deepcopy(costs)
        for name in ("mlp_dense_F", "mlp_dense_B", "mlp_dense_W"):
            without["components"].pop(name, None)
        yield "dense MLPs by their FLOP", without
    for rate in (4.5e14, 6e14, PEAK):
        yield f"products in bf16 at {rate / 1e12:.0f} TFLOPS", changed(costs, machine={"flops_per_s": rate})


def plans(plan, layers):
    """(what is changed, plan) that is compiled anew."""
    for overlap in ("none", "searched"):
        other = copy.deepcopy(plan)
        other["pipeline"]["overlap"] = overlap
        yield f'overlap "{overlap}"', other
    if plan["pipeline"].get("schedule") == "dualpipe" and plan["pipeline"]["ranks"] == 16 and layers == 61:
        for what, stages in (("stages 15 x 4, 1 (a stage a rank, balanced)", [4] * 15 + [1]),
                             ("stages 3, 5, 13 x 4, 1 (9 layers on a rank)", [3, 5] + [4] * 13 + [1])):
            other = copy.deepcopy(plan)
            other["pipeline"]["stages"] = stages
            yield what, other


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?", type=pathlib.Path, default=V3 / "config.json")
    parser.add_argument("plan", nargs="?", type=pathlib.Path, default=V3 / "plan.json")
    parser.add_argument("costs", nargs="?", type=pathlib.Path, default=V3 / "h800.json")
    parser.add_argument("--no-plans", action="store_true", help="only changes of costs; nothing is compiled a second time")
    parser.add_argument("--bin", type=pathlib.Path, default=common.BIN, help="where hadal-compile and hadal-run are")
    parser.add_argument("--work", type=pathlib.Path, default=common.WORK / "full-size", help="a folder for files")
    return parser.parse_args()


def main():
    config, plan, costs = (json.loads(path.read_text()) for path in (flags.config, flags.plan, flags.costs))
    flags.work.mkdir(parents=True, exist_ok=True)
    print(common.machine())
    bundle = flags.work / "model.hadal"
    compile_dry = ("--target", "cpu", "--dry-run", "--costs", flags.costs, "-o")
    print("\n| command | wall | memory |\n|---|---|---|")
    timed("hadal-compile", flags.config, "--plan", flags.plan, *compile_dry, bundle)
    verified = timed("hadal-run", "verify", bundle)
    timed("hadal-run", "inspect", bundle)
    timed("hadal-run", "simulate", bundle, "--costs", flags.costs)
    print("\n" + "\n".join(line for line in verified.splitlines() if "worst case" not in line))

    step = Step(bundle, costs, flags.work / "trace.json")
    times, names = anatomy(step)
    micro = plan["micro_batch"]
    tokens = micro["sequences"] * micro["tokens"] * plan["pipeline"]["micro_batches"] / len(times)
    flop = common.training_flop(config, micro["tokens"])
    keys = list(PUBLISHED)
    print("\nseconds by pipeline rank\n\n| rank | " + " | ".join(keys) + " |\n|" + "---|" * (len(keys) + 1))
    for rank, own in enumerate(times):
        print(f"| {rank} | " + " | ".join(f"{own[key]:.2f}" for key in keys) + " |")
    if config["num_hidden_layers"] == 61:
        print("| published | " + " | ".join(f"{value:.2f}" for value in PUBLISHED.values()) + " |")

    print("\n| what is changed | step s | difference | tokens/s a rank | MFU |\n|---|---|---|---|---|")

    def row(what, seconds):
        rate = tokens / seconds
        print(f"| {what} | {seconds:.2f} | {seconds - step.seconds:+.2f} | {rate:.0f} | {100 * rate * flop / PEAK:.1f} % |", flush=True)

    row("nothing", step.seconds)
    for what, other in variations(costs, names):
        row(what, Step(bundle, other).seconds)
    for what, other in [] if flags.no_plans else plans(plan, config["num_hidden_layers"]):
        path = common.write_json(flags.work / "plan.json", other)
        run("hadal-compile", flags.config, "--plan", path, *compile_dry, flags.work / "other.hadal")
        row(what, Step(flags.work / "other.hadal", costs).seconds)
    return 0


if __name__ == "__main__":
    flags = parse()
    sys.exit(main())
