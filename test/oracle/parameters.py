# SPDX-License-Identifier: Apache-2.0
"""Names and shapes of a model's parameters as a Hugging Face checkpoint has them, and random values for them."""

import math

import numpy as np

BIAS = "e_score_correction_bias"


def is_copy(name):
    """The MTP layers' repetitions of the main model's embedding and head."""
    return name.startswith("model.layers.") and name.endswith((".embed_tokens.weight", ".shared_head.head.weight"))


def shapes(config):
    """Hugging Face name -> shape of every parameter."""
    c, result = config, {}
    d, H, E = c["hidden_size"], c["num_attention_heads"], c["n_routed_experts"]
    nope, rope, value, latent = (c[k] for k in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "kv_lora_rank"))
    q, F, layers = c.get("q_lora_rank"), c["moe_intermediate_size"], c["num_hidden_layers"]

    def put(prefix, **entries):
        result.update({f"{prefix}.{n}.weight": list(shape) for n, shape in entries.items()})

    def feed_forward(prefix, width):
        put(prefix, gate_proj=(width, d), up_proj=(width, d), down_proj=(d, width))

    put("model", embed_tokens=(c["vocab_size"], d), norm=(d,))
    result["lm_head.weight"] = [c["vocab_size"], d]
    for index in range(layers + (c.get("num_nextn_predict_layers") or 0)):
        layer = f"model.layers.{index}"
        put(layer, input_layernorm=(d,), post_attention_layernorm=(d,))
        if q:
            put(layer + ".self_attn", q_a_proj=(q, d), q_a_layernorm=(q,), q_b_proj=(H * (nope + rope), q))
        else:
            put(layer + ".self_attn", q_proj=(H * (nope + rope), d))
        put(layer + ".self_attn", kv_a_proj_with_mqa=(latent + rope, d), kv_a_layernorm=(latent,),
            kv_b_proj=(H * (nope + value), latent), o_proj=(d, H * value))
        if index < c["first_k_dense_replace"]:
            feed_forward(layer + ".mlp", c["intermediate_size"])
        else:
            put(layer + ".mlp", gate=(E, d))
            result[f"{layer}.mlp.gate.{BIAS}"] = [E]
            for expert in range(E):
                feed_forward(f"{layer}.mlp.experts.{expert}", F)
            if c["n_shared_experts"]:
                feed_forward(layer + ".mlp.shared_experts", F * c["n_shared_experts"])
        if index >= layers:
            put(layer, enorm=(d,), hnorm=(d,), eh_proj=(d, 2 * d))
            put(layer + ".shared_head", norm=(d,))
    return result


def draw(config, bias, random):
    """Weights that keep activations near size one; norms near one; biases as the case says."""
    weights = {}
    for name, shape in shapes(config).items():
        x = random.standard_normal(shape)
        if name.endswith(BIAS):
            x = bias[0] + bias[1] * x
        elif "norm" in name:
            x = 1 + 0.1 * x
        elif "embed" not in name:
            x = x / math.sqrt(shape[1])
        weights[name] = x.astype(np.float32)
    return weights
