# SPDX-License-Identifier: Apache-2.0
"""The PyTorch side of a comparison: reads one JSON command a line, answers with one JSON line. common.Torch starts it."""

import json
import math
import os
import resource
import sys
import time

import torch
import torch.nn.functional as F
import transformers
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM


def resident():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def rate_at(phases, step):
    """The plan's learning rate at `step` (from 1)."""
    start = 0.0
    for phase in phases:
        end = phase.get("to", start)
        if step <= phase["steps"]:
            done = step / phase["steps"]
            return {"linear": start + (end - start) * done,
                    "cosine": end + (start - end) * (1 + math.cos(math.pi * done)) / 2, "constant": end}[phase["shape"]]
        step, start = step - phase["steps"], end
    return start


class Side:
    def start(self, threads, compiled=False, experts="grouped_mm"):
        torch.set_num_threads(threads)
        transformers.utils.logging.disable_progress_bar()
        self.compiled, self.experts, self.imported = compiled, experts, resident()
        return {"torch": torch.__version__, "transformers": transformers.__version__, "resident": self.imported}

    def initial_weights(self, config, folder, seed=1):
        """Writes random weights as a Hugging Face checkpoint, which both sides load."""
        torch.manual_seed(seed)
        with open(config) as file:
            DeepseekV3ForCausalLM(DeepseekV3Config(**json.load(file))).save_pretrained(folder)
        return {"files": sorted(os.listdir(folder))}

    def load(self, folder):
        """From a checkpoint folder: transformers' or Hadal's."""
        self.model = DeepseekV3ForCausalLM.from_pretrained(folder, dtype=torch.float32)
        # Not views of the mapped file: the grouped product wants aligned memory.
        for parameter in self.model.parameters():
            parameter.data = parameter.data.clone()
        self.model.set_experts_implementation(self.experts)
        self.initial = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.call = torch.compile(self.model) if self.compiled else self.model
        return {"parameters": sum(p.numel() for p in self.model.parameters())}

    def train(self, plan, tokens, steps):
        """Trains from the loaded weights; seconds and losses of every step."""
        self.model.train()
        self.model.load_state_dict(self.initial)
        adamw = {"betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1, **plan["optimizer"].get("adamw", {})}
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        vectors = [p for p in self.model.parameters() if p.ndim <= 1]
        optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": adamw["weight_decay"]},
                                       {"params": vectors, "weight_decay": 0.0}],
                                      betas=tuple(adamw["betas"]), eps=adamw["eps"], fused=True)
        rows, sequences = torch.tensor(tokens), plan["micro_batch"]["sequences"]
        seconds, losses = [], []
        for step in range(steps):
            batch = rows[step * sequences:(step + 1) * sequences]
            start = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            logits = self.call(input_ids=batch[:, :-1], use_cache=False).logits
            loss = F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), plan["optimizer"].get("clip_norm", 1.0), foreach=True)
            for group in optimizer.param_groups:
                group["lr"] = rate_at(plan["optimizer"]["learning_rate"], step + 1)
            optimizer.step()
            losses.append(loss.item())
            seconds.append(time.perf_counter() - start)
        return {"seconds": seconds, "losses": losses, "resident": resident()}

    def logits(self, tokens, out):
        from safetensors.torch import save_file
        self.model.eval()
        with torch.no_grad():
            save_file({"logits": self.model(input_ids=torch.tensor(tokens), use_cache=False).logits.contiguous()}, out)
        return {}

    def generate(self, prompt, count):
        """Greedy continuation with the cache; seconds of the first id and of all."""
        self.model.eval()
        ids, seconds = torch.tensor([prompt]), []
        with torch.inference_mode():
            for new in (2, 1, count):  # the first warms up
                start = time.perf_counter()
                out = self.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, min_new_tokens=new,
                                          do_sample=False, use_cache=True, pad_token_id=0)
                seconds.append(time.perf_counter() - start)
        return {"first": seconds[1], "all": seconds[2], "ids": out[0, len(prompt):].tolist(), "resident": resident()}

    def product(self, sizes, repeats=5):
        """The best f32 matrix product of several sizes, GFLOP/s by size."""
        rates = {}
        for m, n, k in sizes:
            a, b, out, best = torch.randn(m, k), torch.randn(k, n), torch.empty(m, n), math.inf
            for _ in range(repeats):
                start = time.perf_counter()
                torch.mm(a, b, out=out)
                best = min(best, time.perf_counter() - start)
            rates[f"{m}x{n}x{k}"] = 2e-9 * m * n * k / best
        return rates


def main():
    answers, side = os.fdopen(os.dup(1), "w"), Side()
    os.dup2(2, 1)  # what libraries print is no answer
    for line in sys.stdin:
        request = json.loads(line)
        answers.write(json.dumps(getattr(side, request.pop("command"))(**request)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
