# SPDX-License-Identifier: Apache-2.0
"""same_bits.py WORK [KEY=VALUE...] LAYOUT...: a small model with MTP is trained and evaluated by its serial program (1f1b on
one pipeline rank) and under layouts, and everything that comes out must have the same bits: losses, norms and counts of
every step, validation, trained weights and moments, logits, choices of experts and gradients.

LAYOUT: schedule-ranks, also schedule-ranks-OVERLAP and, behind either, -mpi. KEY=VALUE: as lay_out.py takes them, for all
plans, or with config. before it for the model. Files go to the folder WORK. Exit code 1 and a list when something differs.
"""

import json
import pathlib
import shutil
import struct
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
INPUTS, LICENSE = HERE.parents[1] / "Inputs", HERE.parents[3] / "LICENSE"
STEPS = 3


def run(*command):
    """stdout of a tool; a failure ends the test with the tool's own message."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}")
    return done.stdout


def save_tokens(path, rows, columns):
    """A step's rows of ids out of the text."""
    text = LICENSE.read_bytes()
    ids = [text[(row * 97 + column) % len(text)] for row in range(rows) for column in range(columns)]
    header = {"tokens": {"dtype": "I64", "shape": [rows, columns], "data_offsets": [0, 8 * len(ids)]}}
    encoded = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + struct.pack(f"<{len(ids)}q", *ids))


def figures(path):
    """What a run wrote of its steps, but for the times."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("seconds", "tokens_per_second")} for line in lines]


class Layout:
    def __init__(self, work, name, settings):
        parts = name.split("-")
        self.mpi = parts[-1] == "mpi"
        schedule, ranks, *overlap = parts[:-1] if self.mpi else parts
        changes = [setting[len("config."):] for setting in settings if setting.startswith("config.")]
        settings = [setting for setting in settings if not setting.startswith("config.")]
        settings += [f"pipeline.ranks={ranks}", f'pipeline.schedule="{schedule}"']
        settings += [f"pipeline.overlap={overlap[0]}"] if overlap else []
        self.work = work / name
        self.work.mkdir(parents=True)
        plan = run(sys.executable, INPUTS / "lay_out.py", INPUTS / "text-plan.json", "micro_batch.sequences=1",
                   "micro_batch.tokens=24", "pipeline.micro_batches=8", 'programs=["train", "evaluate"]', *settings)
        (self.work / "plan.json").write_text(plan)
        self.plan = json.loads(plan)
        self.replicas = self.plan.get("data_parallel", 1)
        self.ranks = int(ranks) * self.replicas
        self.rows = self.plan["pipeline"]["micro_batches"] * self.replicas
        self.bundle = self.work / "model.hadal"
        (self.work / "config.json").write_text(run(sys.executable, INPUTS / "lay_out.py", INPUTS / "text.json", *changes))
        run("hadal-compile", self.work / "config.json", "--plan", self.work / "plan.json", "-o", self.bundle)

    def hadal_run(self, command, *flags):
        if self.mpi:
            start = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", self.ranks, "hadal-run", command]
            return run(*start, self.bundle, "--threads", 1, *flags)
        return run("hadal-run", command, self.bundle, *flags, "--local-ranks", self.ranks)

    def train(self):
        self.hadal_run("train", "--data", LICENSE, "--steps", STEPS, "--checkpoint", self.work / "checkpoints",
                       "--metrics", self.work / "metrics.jsonl")
        self.checkpoint = self.work / "checkpoints" / f"step-{STEPS:09d}"

    def evaluate(self, weights, tokens):
        self.hadal_run("evaluate", "--weights", weights, "--tokens", tokens, "--out", self.work / "out.safetensors",
                       "--gradients")
        return (self.work / "out.safetensors").read_bytes()


def main(work, *arguments):
    work = pathlib.Path(work)
    shutil.rmtree(work, ignore_errors=True)
    settings = [argument for argument in arguments if "=" in argument]
    names = [argument for argument in arguments if "=" not in argument]
    serial = Layout(work, "1f1b-1", settings)
    serial.train()
    tokens = work / "tokens.safetensors"
    save_tokens(tokens, serial.rows, 25)
    expected, steps = serial.evaluate(serial.checkpoint, tokens), figures(serial.work / "metrics.jsonl")
    if len(steps) != STEPS + 1 or "validation_loss" not in steps[-1]:
        sys.exit("the serial program did not write its steps and a validation loss")
    failed = 0
    for name in names:
        layout = Layout(work, name, settings)
        layout.train()
        wrong = [f"{ours} instead of {theirs}" for ours, theirs in zip(figures(layout.work / "metrics.jsonl"), steps)
                 if ours != theirs]
        if layout.evaluate(serial.checkpoint, tokens) != expected:
            wrong.append("evaluation or gradients")
        same = subprocess.run([sys.executable, str(INPUTS / "same_checkpoint.py"), str(serial.checkpoint),
                               str(layout.checkpoint)], capture_output=True, text=True, check=False)
        if same.returncode != 0:
            wrong.append(same.stderr)
        print(f"{name}: {'differs' if wrong else 'the same'}", *wrong, sep="\n  ")
        failed |= bool(wrong)
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
