# SPDX-License-Identifier: Apache-2.0
"""A DeepSeek-V3-class model written for reading, in f64 on NumPy: what Hadal's numbers are held against.

Parameters are a dictionary from Hugging Face names to nodes (autodiff.py), weights as [out, in]. B sequences of T
tokens; d hidden size; H heads; E experts, K of them per token. README.md lists the definitions.
"""

import math

import numpy as np

import autodiff as ad

LATENT_NORM_EPSILON = 1e-6  # of the q_a and kv_a norms, whatever rms_norm_eps says
TOP_K_SUM_EPSILON = 1e-20


class Model:
    """config: the model's config.json. balance_alpha: 0 leaves the balance loss out. mtp_weight: of the plan."""

    def __init__(self, config, parameters, balance_alpha=0.0, mtp_weight=0.0):
        self.c, self.p = config, parameters
        self.balance_alpha, self.mtp_weight = balance_alpha, mtp_weight
        self.depths = config.get("num_nextn_predict_layers") or 0
        self.margins = []  # how close each discrete choice came to falling the other way

    def weight(self, name):
        return self.p[name + ".weight"]

    # --- the parts of a layer ---

    def linear(self, x, name):
        return x @ self.weight(name).transpose(1, 0)

    def norm(self, x, name, epsilon=None):
        epsilon = self.c["rms_norm_eps"] if epsilon is None else epsilon
        mean_square = (x * x).sum(-1, keepdims=True) * (1.0 / x.shape[-1])
        return x * ad.power(mean_square + epsilon, -0.5) * self.weight(name)

    def feed_forward(self, x, name):
        gate = self.linear(x, name + ".gate_proj")
        return self.linear(gate * ad.sigmoid(gate) * self.linear(x, name + ".up_proj"), name + ".down_proj")

    def rotary(self, length):
        """cos and sin, [length, rope / 2], and the factor that YaRN puts on the softmax scale."""
        size, base, yarn = self.c["qk_rope_head_dim"], self.c["rope_theta"], self.c.get("rope_scaling")
        pair = np.arange(size // 2)
        frequency, amplitude, on_softmax = base ** (-2.0 * pair / size), 1.0, 1.0
        if yarn:
            factor, window = yarn["factor"], yarn["original_max_position_embeddings"]

            def pair_that_turns(times):
                return size * math.log(window / (times * 2 * math.pi)) / (2 * math.log(base))

            def magnitude(strength):
                return 0.1 * strength * math.log(factor) + 1 if factor > 1 else 1.0

            first = max(math.floor(pair_that_turns(yarn["beta_fast"])), 0)
            last = min(math.ceil(pair_that_turns(yarn["beta_slow"])), size - 1)
            stretched = np.clip((pair - first) / ((last - first) or 0.001), 0, 1)
            frequency = frequency * (1 - stretched) + frequency / factor * stretched
            amplitude = magnitude(yarn["mscale"]) / magnitude(yarn["mscale_all_dim"])
            on_softmax = magnitude(yarn["mscale_all_dim"]) ** 2
        angle = np.outer(np.arange(length), frequency)
        return np.cos(angle) * amplitude, np.sin(angle) * amplitude, on_softmax

    @staticmethod
    def rotate(x, cos, sin):
        """x [..., T, rope]: elements 2j and 2j + 1 turn together."""
        even, odd = x[..., 0::2], x[..., 1::2]
        return ad.stack([even * cos - odd * sin, even * sin + odd * cos], -1).reshape(*x.shape)

    def attention(self, x, name):
        B, T, _ = x.shape
        H, nope, rope, value = (self.c[k] for k in (
            "num_attention_heads", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"))
        latent = self.c["kv_lora_rank"]
        if self.c.get("q_lora_rank"):
            q = self.norm(self.linear(x, name + ".q_a_proj"), name + ".q_a_layernorm", LATENT_NORM_EPSILON)
            q = self.linear(q, name + ".q_b_proj")
        else:
            q = self.linear(x, name + ".q_proj")
        q = q.reshape(B, T, H, nope + rope).transpose(0, 2, 1, 3)
        compressed = self.linear(x, name + ".kv_a_proj_with_mqa")
        kv = self.norm(compressed[..., :latent], name + ".kv_a_layernorm", LATENT_NORM_EPSILON)
        kv = self.linear(kv, name + ".kv_b_proj").reshape(B, T, H, nope + value).transpose(0, 2, 1, 3)
        cos, sin, on_softmax = self.rotary(T)
        q_rope = self.rotate(q[..., nope:], cos, sin)
        k_rope = self.rotate(compressed[..., latent:], cos, sin).reshape(B, 1, T, rope)
        scores = q[..., :nope] @ kv[..., :nope].transpose(0, 1, 3, 2) + q_rope @ k_rope.transpose(0, 1, 3, 2)
        scores = scores * ((nope + rope) ** -0.5 * on_softmax)
        visible = np.tril(np.ones((T, T)))
        scores = ad.exp(scores - np.where(visible, scores.value, -np.inf).max(-1, keepdims=True)) * visible
        heads = scores / scores.sum(-1, keepdims=True) @ kv[..., nope:]
        return self.linear(heads.transpose(0, 2, 1, 3).reshape(B, T, H * value), name + ".o_proj")

    # --- experts ---

    def note_margin(self, ranked, kept):
        """ranked: descending rows of which the first `kept` win."""
        if kept < ranked.shape[-1]:
            self.margins.append(float((ranked[..., kept - 1] - ranked[..., kept]).min()))

    def choose(self, scores, bias):
        """Expert ids [N, K], ascending: the best experts of the best groups, by score plus bias; lowest id on a tie."""
        E, groups, K = (self.c[k] for k in ("n_routed_experts", "n_group", "num_experts_per_tok"))
        biased = scores + bias
        ranked = -np.sort(-biased.reshape(-1, groups, E // groups), -1)
        of_group = ranked[..., :2].sum(-1)
        best = np.argsort(-of_group, -1, kind="stable")[:, :self.c["topk_group"]]
        kept = np.zeros_like(of_group, bool)
        np.put_along_axis(kept, best, True, -1)
        allowed = np.where(np.repeat(kept, E // groups, -1), biased, -np.inf)
        self.note_margin(-np.sort(-of_group, -1), self.c["topk_group"])
        self.note_margin(-np.sort(-allowed, -1), K)
        return np.sort(np.argsort(-allowed, -1, kind="stable")[:, :K], -1)

    def sequence_balance(self, scores, B):
        """Mean over the sequences of sum_i f_i P_i; scores [B*T, E]; f counts choices, so no gradient goes through it."""
        E, K = scores.shape[1], self.c["num_experts_per_tok"]
        scores = scores.reshape(B, -1, E)
        T = scores.shape[1]
        if self.balance_alpha:
            self.note_margin(-np.sort(-scores.value, -1), K)
        chosen = np.zeros(scores.shape)
        np.put_along_axis(chosen, np.argsort(-scores.value, -1, kind="stable")[..., :K], 1.0, -1)
        fraction = chosen.sum(1) * (E / (K * T))
        share = (scores / scores.sum(-1, keepdims=True)).sum(1) * (1.0 / T)
        return (share * fraction).sum() * (1.0 / B)

    def experts(self, x, name, out):
        B, T, d = x.shape
        rows, E = x.reshape(B * T, d), self.c["n_routed_experts"]
        scores = ad.sigmoid(self.linear(rows, name + ".gate"))
        ids = self.choose(scores.value, self.p[name + ".gate.e_score_correction_bias"].value)
        weights = scores[np.arange(B * T)[:, None], ids]
        if self.c["norm_topk_prob"]:
            weights = weights / (weights.sum(-1, keepdims=True) + TOP_K_SUM_EPSILON)
        weights = weights * self.c["routed_scaling_factor"]
        y = self.feed_forward(rows, name + ".shared_experts") if self.c["n_shared_experts"] else ad.lift(np.zeros((B * T, d)))
        for expert in range(E):
            token, slot = np.nonzero(ids == expert)
            if len(token):
                part = self.feed_forward(rows[token], f"{name}.experts.{expert}") * weights[token, slot].reshape(-1, 1)
                place = np.zeros((B * T, len(token)))
                place[token, np.arange(len(token))] = 1.0
                y = y + ad.lift(place) @ part
        out["counts." + name] = np.bincount(ids.ravel(), minlength=E)
        out["experts." + name], out["expert_weights." + name] = ids, weights.value
        return y.reshape(B, T, d), self.sequence_balance(scores, B)

    def layer(self, x, index, out):
        """Returns the layer's output and its balance loss (without alpha)."""
        name = f"model.layers.{index}"
        x = x + self.attention(self.norm(x, name + ".input_layernorm"), name + ".self_attn")
        h = self.norm(x, name + ".post_attention_layernorm")
        if index < self.c["first_k_dense_replace"]:
            return x + self.feed_forward(h, name + ".mlp"), ad.lift(0.0)
        y, balance = self.experts(h, name + ".mlp", out)
        return x + y, balance

    # --- the whole ---

    @staticmethod
    def cross_entropy(logits, targets):
        """Sum of the negative log likelihoods."""
        B, T, _ = logits.shape
        shifted = logits - logits.value.max(-1, keepdims=True)
        taken = shifted[np.arange(B)[:, None], np.arange(T)[None], targets]
        return (ad.log(ad.exp(shifted).sum(-1)) - taken).sum()

    def run(self, tokens):
        """tokens [B, T + 1]. Returns the outputs of README.md's expected.safetensors; the losses are nodes."""
        B, T, L, out = tokens.shape[0], tokens.shape[1] - 1, self.c["num_hidden_layers"], {}
        table, balance = self.weight("model.embed_tokens"), ad.lift(0.0)
        x = table[tokens[:, :T]]
        for index in range(L):
            x, part = self.layer(x, index, out)
            balance = balance + part
        x = self.norm(x, "model.norm")
        logits = self.linear(x, "lm_head")
        out["logits"], out["main_loss"] = logits, self.cross_entropy(logits, tokens[:, 1:]) * (1.0 / (B * T))
        out["mtp_losses"] = []
        for depth in range(1, self.depths + 1):
            name = f"model.layers.{L + depth - 1}"
            ahead = self.norm(table[tokens[:, depth:T]], name + ".enorm")
            behind = self.norm(x[:, :T - depth], name + ".hnorm")
            x, part = self.layer(self.linear(ad.concatenate([ahead, behind], -1), name + ".eh_proj"), L + depth - 1, out)
            balance = balance + part
            x = self.norm(x, name + ".shared_head.norm")
            logits = self.linear(x, "lm_head")
            out[f"mtp_logits.{depth}"] = logits
            out["mtp_losses"].append(self.cross_entropy(logits, tokens[:, depth + 1:]) * (1.0 / (B * T)))
        out["balance_loss"] = balance * self.balance_alpha
        out["loss"] = out["main_loss"] + out["balance_loss"]
        for loss in out["mtp_losses"]:
            out["loss"] = out["loss"] + loss * (self.mtp_weight / self.depths)
        return out
