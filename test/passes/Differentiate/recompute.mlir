// What F saves by policy. A recomputed value is not among F's results; B, or W where that holds fewer bytes, computes it
// again from what is there.
// RUN: hadal-opt --hadal-differentiate %s | FileCheck %s --check-prefixes=ALL,SAVE
// RUN: hadal-opt --hadal-differentiate="recompute=norms" %s | FileCheck %s --check-prefixes=ALL,NORMS
// RUN: hadal-opt --hadal-differentiate="recompute=mla_up" %s | FileCheck %s --check-prefixes=ALL,UP
// RUN: hadal-opt --hadal-differentiate="recompute=swiglu" %s | FileCheck %s --check-prefixes=ALL,SWIGLU
// RUN: hadal-opt --hadal-differentiate="recompute=norms,mla_up,swiglu" --remark-format=emitRemark --remarks-filter=hadal.* %s 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK

// REMARK: remark: [Analysis] Saved | Category:hadal-differentiate | Function=attention
// REMARK: remark: [Missed] Recompute | Category:hadal-differentiate | Function=attention
// REMARK-SAME: kept: it is result #1 of the component
// REMARK: remark: [Analysis] Saved | Category:hadal-differentiate | Function=experts

// Nothing recomputed: y, its norm, then all that the gradient reads.
// SAVE: func.func private @attention_F(
// SAVE: return %{{.*}} : tensor<1x4x8xf32>, tensor<1x4x8xf32>, tensor<1x4x8xf32>, tensor<1x4xf32>, tensor<1x4x6xf32>, tensor<1x4x6xf32>, tensor<1x4xf32>, tensor<1x4x16xf32>, tensor<1x4x4xf32>, tensor<1x4x4xf32>, tensor<1x4xf32>, tensor<1x4x16xf32>, tensor<1x4x2xf32>, tensor<1x4x4xf32>, tensor<1x2x4xf32>, tensor<1x4xf32>{{$}}
// SAVE: func.func private @attention_B(
// SAVE-NOT: hadal.rms_norm %
// SAVE: return
// SAVE: func.func private @attention_W(
// SAVE-NOT: hadal.rms_norm %
// SAVE: return

// Without the three normed tensors. W has their inputs anyway; the norm that the next component reads stays.
// NORMS: func.func private @attention_F(
// NORMS: return %{{.*}} : tensor<1x4x8xf32>, tensor<1x4x8xf32>, tensor<1x4xf32>, tensor<1x4x6xf32>, tensor<1x4xf32>, tensor<1x4x16xf32>, tensor<1x4x4xf32>, tensor<1x4xf32>, tensor<1x4x16xf32>, tensor<1x4x2xf32>, tensor<1x4x4xf32>, tensor<1x2x4xf32>, tensor<1x4xf32>{{$}}
// NORMS: func.func private @attention_B(
// NORMS-NOT: hadal.rms_norm %
// NORMS: return
// NORMS: func.func private @attention_W(
// NORMS-COUNT-3: hadal.rms_norm %
// NORMS-NOT: hadal.rms_norm %
// NORMS: return

// Queries, keys and values are projected up again in B, and the queries rotated again.
// UP: func.func private @attention_F(
// UP: return
// UP: func.func private @attention_B(
// UP: %[[Q:.*]] = hadal.linear %{{.*}}, %{{.*}} : tensor<1x4x6xf32>, tensor<16x6xf32>
// UP: %[[ROTATED:.*]] = hadal.rope %[[Q]]
// UP: %[[KV:.*]] = hadal.linear %{{.*}}, %{{.*}} : tensor<1x4x4xf32>, tensor<16x4xf32>
// UP: hadal.attention_gradient %{{.*}}, %[[ROTATED]], %[[KV]]
// UP: func.func private @attention_W(
// UP-NOT: hadal.linear
// UP: return

// Routed rows are a copy of their tokens and never saved or stashed: W gathers them again, and the rows of the gradient too.
// ALL: func.func private @experts_F(
// ALL: %[[ROWS:.*]] = hadal.dispatch
// ALL-NOT: return %{{.*}}%[[ROWS]]
// ALL: func.func private @experts_B(
// ALL: func.func private @experts_W(%[[DY:[a-z0-9]+]]: tensor<1x4x8xf32>, %[[X:[a-z0-9]+]]: tensor<1x4x8xf32>,
// ALL-DAG: %[[R:.*]] = hadal.dispatch %[[X]]
// ALL-DAG: %[[DR:.*]] = hadal.dispatch %[[DY]]
// SAVE-NOT: hadal.swiglu
// SWIGLU-NOT: hadal.swiglu
// ALL: hadal.grouped_weight_gradient %[[DR]]
// ALL: hadal.grouped_weight_gradient %{{.*}}, %[[R]]
// ALL: hadal.grouped_weight_gradient %{{.*}}, %[[R]]

module attributes {hadal.programs = ["train"]} {
  func.func private @attention(%x: tensor<1x4x8xf32>,
      %norm: tensor<8xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.input_layernorm.weight">},
      %q_a: tensor<6x8xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.self_attn.q_a_proj.weight">},
      %q_norm: tensor<6xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.self_attn.q_a_layernorm.weight">},
      %q_b: tensor<16x6xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.self_attn.q_b_proj.weight">},
      %kv_a: tensor<6x8xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.self_attn.kv_a_proj_with_mqa.weight">},
      %kv_norm: tensor<4xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.self_attn.kv_a_layernorm.weight">},
      %kv_b: tensor<16x4xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.self_attn.kv_b_proj.weight">},
      %o: tensor<8x4xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.self_attn.o_proj.weight">},
      %post: tensor<8xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.post_attention_layernorm.weight">},
      %cos: tensor<16x1xf32> {hadal.bind = #hadal.binding<constant, "rotary_cos">},
      %sin: tensor<16x1xf32> {hadal.bind = #hadal.binding<constant, "rotary_sin">})
      -> (tensor<1x4x8xf32>, tensor<1x4x8xf32>) attributes {hadal.phase = #hadal.phase<F>} {
    %n, %i0 = hadal.rms_norm %x, %norm {epsilon = 1.0e-6} : tensor<1x4x8xf32>, tensor<8xf32>
    %qa = hadal.linear %n, %q_a : tensor<1x4x8xf32>, tensor<6x8xf32>
    %qn, %i1 = hadal.rms_norm %qa, %q_norm {epsilon = 1.0e-6} : tensor<1x4x6xf32>, tensor<6xf32>
    %qb = hadal.linear %qn, %q_b : tensor<1x4x6xf32>, tensor<16x6xf32>
    %q = hadal.rope %qb, %cos, %sin {heads = 2 : i64, rotary_dim = 2 : i64} : tensor<1x4x16xf32>, tensor<16x1xf32>, tensor<16x1xf32>
    %kva = hadal.linear %n, %kv_a : tensor<1x4x8xf32>, tensor<6x8xf32>
    %c, %kr = hadal.split %kva {size = 4 : i64} : tensor<1x4x6xf32>
    %cn, %i2 = hadal.rms_norm %c, %kv_norm {epsilon = 1.0e-6} : tensor<1x4x4xf32>, tensor<4xf32>
    %kv = hadal.linear %cn, %kv_b : tensor<1x4x4xf32>, tensor<16x4xf32>
    %k = hadal.rope %kr, %cos, %sin {heads = 1 : i64, rotary_dim = 2 : i64} : tensor<1x4x2xf32>, tensor<16x1xf32>, tensor<16x1xf32>
    %a, %lse = hadal.attention %q, %kv, %k {heads = 2 : i64, scale = 0.5} : tensor<1x4x16xf32>, tensor<1x4x16xf32>, tensor<1x4x2xf32>
    %p = hadal.linear %a, %o : tensor<1x4x4xf32>, tensor<8x4xf32>
    %h = hadal.add %x, %p : tensor<1x4x8xf32>, tensor<1x4x8xf32>
    %m, %i3 = hadal.rms_norm %h, %post {epsilon = 1.0e-6} : tensor<1x4x8xf32>, tensor<8xf32>
    return %h, %m : tensor<1x4x8xf32>, tensor<1x4x8xf32>
  }

  func.func private @router(%x: tensor<1x4x8xf32>,
      %gate: tensor<4x8xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.mlp.gate.weight">},
      %bias: tensor<4xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.mlp.gate.e_score_correction_bias">})
      -> (tensor<1x4x2xi32>, tensor<1x4x2xf32>, tensor<5xi64>, tensor<8xi32>, tensor<1x4x2xi32>)
      attributes {hadal.phase = #hadal.phase<F>} {
    %l = hadal.linear %x, %gate : tensor<1x4x8xf32>, tensor<4x8xf32>
    %e, %w, %s = hadal.route %l, %bias {groups = 1 : i64, kept_groups = 1 : i64, top_k = 2 : i64, normalize = true, scaling_factor = 2.5, epsilon = 1.0e-20} : tensor<1x4x4xf32>, tensor<4xf32>
    %counts, %offsets, %source, %slot = hadal.sort_by_expert %e {expert_count = 4 : i64} : tensor<1x4x2xi32>
    return %e, %w, %offsets, %source, %slot : tensor<1x4x2xi32>, tensor<1x4x2xf32>, tensor<5xi64>, tensor<8xi32>, tensor<1x4x2xi32>
  }
  func.func private @experts(%x: tensor<1x4x8xf32>, %w: tensor<1x4x2xf32>, %offsets: tensor<5xi64>, %source: tensor<8xi32>, %slot: tensor<1x4x2xi32>,
      %gate: tensor<4x6x8xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.mlp.experts.{expert}.gate_proj.weight">},
      %up: tensor<4x6x8xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.mlp.experts.{expert}.up_proj.weight">},
      %down: tensor<4x8x6xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.mlp.experts.{expert}.down_proj.weight">})
      -> tensor<1x4x8xf32> attributes {hadal.phase = #hadal.phase<F>} {
    %rows = hadal.dispatch %x, %source, %slot : tensor<1x4x8xf32>, tensor<8xi32>, tensor<1x4x2xi32>
    %scale = hadal.dispatch_weights %w, %source, %slot : tensor<1x4x2xf32>, tensor<8xi32>, tensor<1x4x2xi32>
    %g = hadal.grouped_linear %rows, %gate, %offsets : tensor<8x8xf32>, tensor<4x6x8xf32>, tensor<5xi64>
    %u = hadal.grouped_linear %rows, %up, %offsets : tensor<8x8xf32>, tensor<4x6x8xf32>, tensor<5xi64>
    %a = hadal.swiglu %g, %u scaled_by %scale : tensor<8x6xf32>, tensor<8x6xf32>, tensor<8xf32>
    %d = hadal.grouped_linear %a, %down, %offsets : tensor<8x6xf32>, tensor<4x8x6xf32>, tensor<5xi64>
    %y = hadal.combine %d, %source, %slot : tensor<8x8xf32>, tensor<8xi32>, tensor<1x4x2xi32>
    return %y : tensor<1x4x8xf32>
  }
  func.func private @head(%x: tensor<1x4x8xf32>, %h: tensor<1x4x8xf32>, %ids: tensor<1x5xi32>,
      %w: tensor<8x8xf32> {hadal.bind = #hadal.binding<weight, "lm_head.weight">})
      -> (tensor<f64> {hadal.seed = "seed.main"}) attributes {hadal.phase = #hadal.phase<F>} {
    %y = hadal.add %h, %x : tensor<1x4x8xf32>, tensor<1x4x8xf32>
    %logits = hadal.linear %y, %w : tensor<1x4x8xf32>, tensor<8x8xf32>
    %loss, %lse = hadal.cross_entropy %logits, %ids {offset = 1 : i64, divisor = 4 : i64} : tensor<1x4x8xf32>, tensor<1x5xi32>
    return %loss : tensor<f64>
  }
  func.func private @embed(%ids: tensor<1x5xi32>, %table: tensor<8x8xf32> {hadal.bind = #hadal.binding<weight, "model.embed_tokens.weight">})
      -> tensor<1x4x8xf32> attributes {hadal.phase = #hadal.phase<F>} {
    %x = hadal.embedding %ids, %table {offset = 0 : i64, tokens = 4 : i64} : tensor<1x5xi32>, tensor<8x8xf32>
    return %x : tensor<1x4x8xf32>
  }
  func.func @evaluate(%ids: tensor<1x5xi32>) attributes {hadal.program} {
    %x = hadal.apply @embed(%ids) : (tensor<1x5xi32>) -> tensor<1x4x8xf32>
    %h, %m = hadal.apply @attention layer 0 (%x) : (tensor<1x4x8xf32>) -> (tensor<1x4x8xf32>, tensor<1x4x8xf32>)
    %e, %w, %offsets, %source, %slot = hadal.apply @router layer 0 (%m) : (tensor<1x4x8xf32>) -> (tensor<1x4x2xi32>, tensor<1x4x2xf32>, tensor<5xi64>, tensor<8xi32>, tensor<1x4x2xi32>)
    %y = hadal.apply @experts layer 0 (%m, %w, %offsets, %source, %slot) : (tensor<1x4x8xf32>, tensor<1x4x2xf32>, tensor<5xi64>, tensor<8xi32>, tensor<1x4x2xi32>) -> tensor<1x4x8xf32>
    %loss = hadal.apply @head(%y, %h, %ids) : (tensor<1x4x8xf32>, tensor<1x4x8xf32>, tensor<1x5xi32>) -> tensor<f64>
    hadal.output "main_loss", %loss : tensor<f64>
    return
  }
}
