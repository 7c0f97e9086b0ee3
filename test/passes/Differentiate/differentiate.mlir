// The functions of a small model with one MTP depth: F with what is saved, B with its stash, W; and the program that
// applies them.
// RUN: hadal-opt --hadal-differentiate %s | FileCheck %s

// @evaluate was not asked for; its components go with it.
// CHECK-NOT: func.func private @embed(
// CHECK-NOT: @evaluate

// The embedding's input has no gradient: there is no B.
// CHECK: func.func private @embed_F(
// CHECK-NOT: @embed_B
// CHECK: func.func private @embed_W(%[[DX:.*]]: tensor<2x4x8xf32>, %[[IDS:.*]]: tensor<2x5xi32>, %[[ACC:.*]]: tensor<11x8xf32> {hadal.bind = #hadal.binding<gradient, "model.embed_tokens.weight">}) -> tensor<11x8xf32>
// CHECK-SAME: attributes {hadal.phase = #hadal.phase<W>}
// CHECK-NEXT: hadal.embedding_gradient %[[DX]], %[[IDS]], %[[ACC]]

// The result that nothing reads in training is dropped; normed input, both halves and product of SwiGLU, and the
// root mean square are saved.
// CHECK: func.func private @mlp_F(
// CHECK: %[[N:.*]], %[[INVERSE:.*]] = hadal.rms_norm
// CHECK: %[[GATE:.*]] = hadal.linear %[[N]]
// CHECK: %[[UP:.*]] = hadal.linear %[[N]]
// CHECK: %[[ACT:.*]] = hadal.swiglu %[[GATE]], %[[UP]]
// CHECK: %[[Y:.*]] = hadal.add
// CHECK: return %[[Y]], %[[N]], %[[INVERSE]], %[[GATE]], %[[UP]], %[[ACT]]

// CHECK: func.func private @mlp_B(%[[DY:[a-z0-9]+]]: tensor<2x4x8xf32>, %[[X:[a-z0-9]+]]: tensor<2x4x8xf32>, %[[INVERSE:[a-z0-9]+]]: tensor<2x4xf32>, %[[GATE:[a-z0-9]+]]: tensor<2x4x12xf32>, %[[UP:[a-z0-9]+]]: tensor<2x4x12xf32>,
// CHECK-SAME: attributes {hadal.phase = #hadal.phase<B>}
// CHECK: %[[DACT:.*]] = hadal.linear %[[DY]], %{{.*}} {transpose_weight}
// CHECK: %[[DGATE:.*]], %[[DUP:.*]] = hadal.swiglu_gradient %[[DACT]], %[[GATE]], %[[UP]]
// CHECK: %[[DN:.*]] = hadal.add
// CHECK: hadal.rms_norm_gradient %[[DN]], %[[X]], %[[INVERSE]]
// CHECK: %[[DX:.*]] = hadal.add %[[DY]]
// CHECK: return %[[DX]], %[[DGATE]], %[[DUP]], %[[DN]]

// W has the gradient that B was given, what F has and the stash; it holds no weight.
// CHECK: func.func private @mlp_W(
// CHECK-NOT: #hadal.binding<weight
// CHECK-SAME: attributes {hadal.phase = #hadal.phase<W>}
// CHECK-COUNT-3: hadal.weight_gradient
// CHECK: hadal.rms_norm_weight_gradient

// The loss is seeded by a scalar; the logits, no output of a training step, are kept for the gradient.
// CHECK: func.func private @head_F(
// CHECK: return %{{.*}}, %{{.*}}, %{{.*}} : tensor<f64>, tensor<2x4x11xf32>, tensor<2x4xf32>
// CHECK: func.func private @head_B(
// CHECK-SAME: %[[SEED:[a-z0-9]+]]: tensor<f32> {hadal.bind = #hadal.binding<scalar, "seed.main">}
// CHECK: hadal.cross_entropy_gradient %[[SEED]]

// The embedding of an MTP depth adds to an accumulator of its own. Rows of the table and their copies are not saved.
// CHECK: func.func private @mtp1_join_F(
// CHECK: return %{{[0-9]+}} : tensor<2x3x8xf32>
// CHECK: func.func private @mtp1_join_W(
// CHECK-SAME: #hadal.binding<gradient, "model.embed_tokens.weight#mtp">
// CHECK: %[[ROWS:.*]] = hadal.embedding
// CHECK: %[[INPUT:.*]] = hadal.mtp_join %[[ROWS]]
// CHECK: hadal.weight_gradient %{{.*}}, %[[INPUT]]
// CHECK: func.func private @mtp1_head_B(
// CHECK-SAME: #hadal.binding<scalar, "seed.mtp">

// CHECK: func.func private @sum_2x4x8(%[[A:.*]]: tensor<2x4x8xf32>, %[[B:.*]]: tensor<2x4x8xf32>)
// CHECK-SAME: attributes {hadal.phase = #hadal.phase<B>}
// CHECK-NEXT: hadal.add %[[A]], %[[B]]

// CHECK: func.func @gradients(%[[IDS:.*]]: tensor<2x5xi32>) attributes {hadal.program}
// CHECK-NEXT: %[[X0:.*]] = hadal.apply @embed_F(%[[IDS]])
// CHECK-NEXT: %[[L0:.*]]:6 = hadal.apply @mlp_F layer 0(%[[X0]])
// CHECK-NEXT: %[[L1:.*]]:6 = hadal.apply @mlp_F layer 1(%[[L0]]#0)
// CHECK-NEXT: %[[HEAD:.*]]:3 = hadal.apply @head_F(%[[L1]]#0, %[[IDS]])
// CHECK-NEXT: %[[JOIN:.*]] = hadal.apply @mtp1_join_F layer 2(%[[IDS]], %[[L1]]#0)
// CHECK-NEXT: %[[MTP:.*]]:3 = hadal.apply @mtp1_head_F(%[[JOIN]], %[[IDS]])
// CHECK-NEXT: %[[DMTP:.*]]:2 = hadal.apply @mtp1_head_B(
// CHECK-NEXT: %[[DJOIN:.*]]:2 = hadal.apply @mtp1_join_B layer 2(%[[DMTP]]#0)
// CHECK-NEXT: hadal.apply @mtp1_join_W layer 2(
// CHECK-NEXT: %[[DHEAD:.*]]:2 = hadal.apply @head_B(
// CHECK-NEXT: %[[SUM:.*]] = hadal.apply @sum_2x4x8(%[[DJOIN]]#0, %[[DHEAD]]#0)
// CHECK-NEXT: %[[D1:.*]]:4 = hadal.apply @mlp_B layer 1(%[[SUM]], %[[L0]]#0, %[[L1]]#2, %[[L1]]#3, %[[L1]]#4)
// CHECK-NEXT: hadal.apply @mlp_W layer 1(%[[SUM]], %[[L0]]#0, %[[L1]]#1, %[[L1]]#2, %[[L1]]#5, %[[D1]]#1, %[[D1]]#2, %[[D1]]#3)
// CHECK-NEXT: %[[D0:.*]]:4 = hadal.apply @mlp_B layer 0(%[[D1]]#0,
// CHECK-NEXT: hadal.apply @mlp_W layer 0(
// CHECK-NEXT: hadal.apply @embed_W(%[[D0]]#0, %[[IDS]])
// The two that add to the head's accumulator come last, the main model's first.
// CHECK-NEXT: hadal.apply @head_W(
// CHECK-NEXT: hadal.apply @mtp1_head_W(
// CHECK-NEXT: hadal.output "main_loss", %[[HEAD]]#0
// CHECK-NEXT: hadal.output "mtp_loss.1", %[[MTP]]#0
// CHECK-NEXT: return

module attributes {hadal.programs = ["train"]} {
  func.func private @embed(%ids: tensor<2x5xi32>, %table: tensor<11x8xf32> {hadal.bind = #hadal.binding<weight, "model.embed_tokens.weight">})
      -> tensor<2x4x8xf32> attributes {hadal.phase = #hadal.phase<F>} {
    %x = hadal.embedding %ids, %table {offset = 0 : i64, tokens = 4 : i64} : tensor<2x5xi32>, tensor<11x8xf32>
    return %x : tensor<2x4x8xf32>
  }
  func.func private @mlp(%x: tensor<2x4x8xf32>, %norm: tensor<8xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.norm.weight">},
      %gate: tensor<12x8xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.gate.weight">},
      %up: tensor<12x8xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.up.weight">},
      %down: tensor<8x12xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.down.weight">})
      -> (tensor<2x4x8xf32>, tensor<2x4x8xf32>) attributes {hadal.phase = #hadal.phase<F>} {
    %n, %inverse = hadal.rms_norm %x, %norm {epsilon = 1.0e-6} : tensor<2x4x8xf32>, tensor<8xf32>
    %g = hadal.linear %n, %gate : tensor<2x4x8xf32>, tensor<12x8xf32>
    %u = hadal.linear %n, %up : tensor<2x4x8xf32>, tensor<12x8xf32>
    %a = hadal.swiglu %g, %u : tensor<2x4x12xf32>, tensor<2x4x12xf32>
    %d = hadal.linear %a, %down : tensor<2x4x12xf32>, tensor<8x12xf32>
    %y = hadal.add %x, %d : tensor<2x4x8xf32>, tensor<2x4x8xf32>
    return %y, %d : tensor<2x4x8xf32>, tensor<2x4x8xf32>
  }
  func.func private @head(%x: tensor<2x4x8xf32>, %ids: tensor<2x5xi32>, %w: tensor<11x8xf32> {hadal.bind = #hadal.binding<weight, "lm_head.weight">})
      -> (tensor<f64> {hadal.seed = "seed.main"}, tensor<2x4x11xf32>) attributes {hadal.phase = #hadal.phase<F>} {
    %logits = hadal.linear %x, %w : tensor<2x4x8xf32>, tensor<11x8xf32>
    %loss, %lse = hadal.cross_entropy %logits, %ids {offset = 1 : i64, divisor = 8 : i64} : tensor<2x4x11xf32>, tensor<2x5xi32>
    return %loss, %logits : tensor<f64>, tensor<2x4x11xf32>
  }
  func.func private @mtp1_join(%ids: tensor<2x5xi32>, %x: tensor<2x4x8xf32>, %table: tensor<11x8xf32> {hadal.bind = #hadal.binding<weight, "model.embed_tokens.weight">},
      %eh: tensor<8x16xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.eh_proj.weight">})
      -> tensor<2x3x8xf32> attributes {hadal.phase = #hadal.phase<F>} {
    %e = hadal.embedding %ids, %table {offset = 1 : i64, tokens = 3 : i64} : tensor<2x5xi32>, tensor<11x8xf32>
    %j = hadal.mtp_join %e, %x : tensor<2x3x8xf32>, tensor<2x4x8xf32>
    %y = hadal.linear %j, %eh : tensor<2x3x16xf32>, tensor<8x16xf32>
    return %y : tensor<2x3x8xf32>
  }
  func.func private @mtp1_head(%x: tensor<2x3x8xf32>, %ids: tensor<2x5xi32>, %w: tensor<11x8xf32> {hadal.bind = #hadal.binding<weight, "lm_head.weight">})
      -> (tensor<f64> {hadal.seed = "seed.mtp"}, tensor<2x3x11xf32>) attributes {hadal.phase = #hadal.phase<F>} {
    %logits = hadal.linear %x, %w : tensor<2x3x8xf32>, tensor<11x8xf32>
    %loss, %lse = hadal.cross_entropy %logits, %ids {offset = 2 : i64, divisor = 8 : i64} : tensor<2x3x11xf32>, tensor<2x5xi32>
    return %loss, %logits : tensor<f64>, tensor<2x3x11xf32>
  }
  func.func @evaluate(%ids: tensor<2x5xi32>) attributes {hadal.program} {
    %x0 = hadal.apply @embed(%ids) : (tensor<2x5xi32>) -> tensor<2x4x8xf32>
    %x1, %i1 = hadal.apply @mlp layer 0 (%x0) : (tensor<2x4x8xf32>) -> (tensor<2x4x8xf32>, tensor<2x4x8xf32>)
    %x2, %i2 = hadal.apply @mlp layer 1 (%x1) : (tensor<2x4x8xf32>) -> (tensor<2x4x8xf32>, tensor<2x4x8xf32>)
    %loss, %logits = hadal.apply @head(%x2, %ids) : (tensor<2x4x8xf32>, tensor<2x5xi32>) -> (tensor<f64>, tensor<2x4x11xf32>)
    %m = hadal.apply @mtp1_join layer 2 (%ids, %x2) : (tensor<2x5xi32>, tensor<2x4x8xf32>) -> tensor<2x3x8xf32>
    %mloss, %mlogits = hadal.apply @mtp1_head(%m, %ids) : (tensor<2x3x8xf32>, tensor<2x5xi32>) -> (tensor<f64>, tensor<2x3x11xf32>)
    hadal.output "logits", %logits : tensor<2x4x11xf32>
    hadal.output "main_loss", %loss : tensor<f64>
    hadal.output "mtp_logits.1", %mlogits : tensor<2x3x11xf32>
    hadal.output "mtp_loss.1", %mloss : tensor<f64>
    return
  }
}
