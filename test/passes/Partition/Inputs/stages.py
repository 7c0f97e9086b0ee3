# SPDX-License-Identifier: Apache-2.0
"""stages.py CONFIG PLAN LAYOUT...: prints the numbers of layers on the stages of each layout, `*` for each of MTP's.

LAYOUT: schedule-ranks, also schedule-ranks-LAYERS for a model of so many layers. Files go to folders
`stages-LAYOUT`. Exit code 1 when a tool refuses a layout.
"""

import json
import pathlib
import re
import subprocess
import sys

PIPELINE = "builtin.module(hadal-partition-experts,hadal-differentiate,hadal-partition-stages)"


def stages_of(config, plan, layout):
    schedule, ranks, *layers = layout.split("-")
    if layers:
        config["num_hidden_layers"] = int(layers[0])
    plan["pipeline"] = {"schedule": schedule, "ranks": int(ranks), "micro_batches": 2 * int(ranks)}
    folder = pathlib.Path(f"stages-{layout}")
    folder.mkdir(exist_ok=True)
    for name, value in (("config.json", config), ("plan.json", plan)):
        (folder / name).write_text(json.dumps(value))
    subprocess.run(["hadal-translate", "--import-model", folder / "config.json", "--plan", folder / "plan.json", "--dry-run",
                    "-o", folder / "model.mlir"], check=True)
    text = subprocess.run(["hadal-opt", folder / "model.mlir", f"--pass-pipeline={PIPELINE}"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    text = text[text.index("func.func @gradients"):]
    found = {}
    for name, layer, stage in re.findall(r"hadal\.apply @(\w*attn_\w+_F) layer (\d+)\(.*\{stage = (\d+)", text):
        found[int(layer)] = (int(stage), name.startswith("mtp"))
    stages = [""] * (int(ranks) * (2 if schedule == "dualpipev" else 1))
    for stage in range(len(stages)):
        own = [mtp for place, mtp in found.values() if place == stage]
        stages[stage] = str(own.count(False)) + "*" * own.count(True)
    return " ".join(stages)


def main():
    config, plan, *layouts = sys.argv[1:]
    for layout in layouts:
        read = [json.loads(pathlib.Path(name).read_text()) for name in (config, plan)]
        print(f"{layout}: {stages_of(*read, layout)}", flush=True)


main()
