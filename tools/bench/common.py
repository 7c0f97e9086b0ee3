# SPDX-License-Identifier: Apache-2.0
"""What the measurements share: where things are, the model they run, its FLOP, tools as child processes, PyTorch as one."""

import json
import os
import pathlib
import platform
import statistics
import struct
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = ROOT / "build" / "release" / "bin"
VENV = ROOT / "build" / "bench-venv" / "bin" / "python"
WORK = ROOT / "build" / "bench"
NANO = ROOT / "examples" / "nano"


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def machine():
    """One line: processor, vector width, cores, and what else the machine was doing."""
    flags = pathlib.Path("/proc/cpuinfo").read_text()
    vectors = "AVX-512" if " avx512f" in flags else "AVX2" if " avx2" in flags else "no AVX2"
    return f"{processor()} ({vectors}), {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.2f} before"


def write_json(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def model_without_mtp(folder, sequences=None, tokens=None):
    """(config, plan) of nano as transformers can run it: no MTP, no balance loss, router biases at rest. Writes both."""
    config = json.loads((NANO / "config.json").read_text())
    plan = json.loads((NANO / "plan.json").read_text())
    config["num_nextn_predict_layers"] = 0
    plan["router"] = {"bias_update_speed": 0, "sequence_balance_alpha": 0}
    plan["micro_batch"]["sequences"] = sequences or plan["micro_batch"]["sequences"]
    plan["micro_batch"]["tokens"] = tokens or plan["micro_batch"]["tokens"]
    write_json(folder / "config.json", config)
    write_json(folder / "plan.json", plan)
    return config, plan


def active_parameters(c):
    """Elements of the matrices one token goes through, head included, embedding not."""
    d, heads, rope, nope, value = (c[k] for k in ("hidden_size", "num_attention_heads", "qk_rope_head_dim",
                                                  "qk_nope_head_dim", "v_head_dim"))
    latent, q = c["kv_lora_rank"], c["q_lora_rank"]
    query = d * q + q * heads * (nope + rope) if q else d * heads * (nope + rope)
    attention = query + d * (latent + rope) + latent * heads * (nope + value) + heads * value * d
    dense = 3 * d * c["intermediate_size"]
    chosen = c["num_experts_per_tok"] + c["n_shared_experts"]
    experts = d * c["n_routed_experts"] + 3 * d * c["moe_intermediate_size"] * chosen
    layers, first = c["num_hidden_layers"], c["first_k_dense_replace"]
    return layers * attention + first * dense + (layers - first) * experts + d * c["vocab_size"]


def forward_flop(c, tokens):
    """Model FLOP a token of a forward pass over `tokens` positions, only the causal half of attention counted."""
    width = c["qk_nope_head_dim"] + c["qk_rope_head_dim"] + c["v_head_dim"]
    return 2 * active_parameters(c) + c["num_hidden_layers"] * c["num_attention_heads"] * width * tokens


def training_flop(c, tokens):
    return 3 * forward_flop(c, tokens)


def token_rows(rows, columns, text=None):
    """Rows of ids from a text (default: the King James Bible where Debian's bible-kjv is there), else from a counter."""
    data = b""
    if text:
        data = pathlib.Path(text).read_bytes()
    else:
        try:
            data = subprocess.run(["bible", "-f", "gen1:1-lev27:34"], capture_output=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            data = bytes((i * i // 7 + 3 * i) % 97 + 32 for i in range(rows * columns))
    if len(data) < rows * columns:
        data *= rows * columns // len(data) + 1
    return [list(data[i * columns:(i + 1) * columns]) for i in range(rows)]


def save_tokens(path, rows):
    """A safetensors file with `tokens`, as train and evaluate take it."""
    data = b"".join(struct.pack(f"<{len(row)}q", *row) for row in rows)
    text = json.dumps({"tokens": {"dtype": "I64", "shape": [len(rows), len(rows[0])], "data_offsets": [0, len(data)]}})
    text += " " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text.encode() + data)


def run(tool, *arguments, threads=None, binary=BIN):
    """(stdout, stderr, peak resident MiB) of a tool; a failure ends the measurement with the tool's own message."""
    command = [str(binary / tool), *map(str, arguments)] + (["--threads", str(threads)] if threads else [])
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = process.stdout.read(), process.stderr.read()  # the tools write little
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {process.returncode}\n{err}")
    return out, err, usage.ru_maxrss / 1024


class Torch:
    """PyTorch in a process of its own (torch_side.py), so that neither side's memory or threads are the other's."""

    def __init__(self, threads, **options):
        if not VENV.exists():
            sys.exit("error: PyTorch is not set up; run tools/bench/setup.sh")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS")}
        environment |= {"OMP_NUM_THREADS": str(threads), "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}
        self.process = subprocess.Popen([VENV, pathlib.Path(__file__).with_name("torch_side.py")], env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.versions = self.ask("start", threads=threads, **options)

    def ask(self, command, **arguments):
        self.process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"error: the PyTorch side ended in `{command}` (see above)")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def median(values):
    return statistics.median(values)


def spread(values):
    """Median, what half of the values lie between, and the best."""
    ordered = sorted(values)
    low, high = ordered[len(ordered) // 4], ordered[-1 - len(ordered) // 4]
    return f"{median(values) * 1e3:.1f} ms (half {low * 1e3:.1f} to {high * 1e3:.1f}, best {ordered[0] * 1e3:.1f})"
