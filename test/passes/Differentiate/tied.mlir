// Weights and values with several uses: a weight in two products and in a sum adds to one accumulator, one op after the
// other; a gradient that passes a component unchanged is no result of its B.
// RUN: hadal-opt --hadal-differentiate %s | FileCheck %s

// CHECK: func.func private @layer_F(
// CHECK: func.func private @layer_B(
// CHECK: return %{{[0-9]+}}, %gate_gradient, %up_gradient
// CHECK: func.func private @layer_W(
// CHECK-SAME: %[[W:[a-z0-9]+]]: tensor<8x8xf32> {hadal.bind = #hadal.binding<gradient, "w.{layer}">}
// CHECK-SAME: %[[B:[a-z0-9]+]]: tensor<2x4x8xf32> {hadal.bind = #hadal.binding<gradient, "b.{layer}">}
// CHECK-DAG: %[[SUM:.*]] = hadal.accumulate %{{.*}}, %[[B]]
// CHECK-DAG: %[[FIRST:.*]] = hadal.weight_gradient %{{.*}}, %{{.*}}, %[[W]]
// CHECK-DAG: %[[SECOND:.*]] = hadal.weight_gradient %{{.*}}, %{{.*}}, %[[FIRST]]
// CHECK: return %[[SECOND]], %[[SUM]]

// The skip connection's gradient needs no B: both inputs have that of the result.
// CHECK-NOT: @skip_B
// CHECK-NOT: @skip_W
// CHECK: func.func @gradients(
// CHECK: %[[HEAD:.*]]:2 = hadal.apply @head_B(
// CHECK: hadal.apply @layer_B layer 1(%[[HEAD]]#0,
// CHECK: hadal.apply @layer_W layer 1(%[[HEAD]]#0,

module attributes {hadal.programs = ["train"]} {
  func.func private @embed(%ids: tensor<2x5xi32>, %table: tensor<8x8xf32> {hadal.bind = #hadal.binding<weight, "model.embed_tokens.weight">})
      -> tensor<2x4x8xf32> {
    %x = hadal.embedding %ids, %table {offset = 0 : i64, tokens = 4 : i64} : tensor<2x5xi32>, tensor<8x8xf32>
    return %x : tensor<2x4x8xf32>
  }
  func.func private @layer(%x: tensor<2x4x8xf32>, %w: tensor<8x8xf32> {hadal.bind = #hadal.binding<weight, "w.{layer}">},
      %b: tensor<2x4x8xf32> {hadal.bind = #hadal.binding<weight, "b.{layer}">}) -> tensor<2x4x8xf32> {
    %y = hadal.linear %x, %w : tensor<2x4x8xf32>, tensor<8x8xf32>
    %s = hadal.swiglu %y, %b : tensor<2x4x8xf32>, tensor<2x4x8xf32>
    %z = hadal.linear %s, %w {transpose_weight} : tensor<2x4x8xf32>, tensor<8x8xf32>
    return %z : tensor<2x4x8xf32>
  }
  func.func private @skip(%x: tensor<2x4x8xf32>, %y: tensor<2x4x8xf32>) -> tensor<2x4x8xf32> {
    %z = hadal.add %x, %y : tensor<2x4x8xf32>, tensor<2x4x8xf32>
    return %z : tensor<2x4x8xf32>
  }
  func.func private @head(%x: tensor<2x4x8xf32>, %ids: tensor<2x5xi32>, %w: tensor<8x8xf32> {hadal.bind = #hadal.binding<weight, "lm_head.weight">})
      -> (tensor<f64> {hadal.seed = "seed.main"}) {
    %logits = hadal.linear %x, %w : tensor<2x4x8xf32>, tensor<8x8xf32>
    %loss, %lse = hadal.cross_entropy %logits, %ids {offset = 1 : i64, divisor = 8 : i64} : tensor<2x4x8xf32>, tensor<2x5xi32>
    return %loss : tensor<f64>
  }
  func.func @evaluate(%ids: tensor<2x5xi32>) attributes {hadal.program} {
    %x = hadal.apply @embed(%ids) : (tensor<2x5xi32>) -> tensor<2x4x8xf32>
    %y = hadal.apply @layer layer 0 (%x) : (tensor<2x4x8xf32>) -> tensor<2x4x8xf32>
    %z = hadal.apply @layer layer 1 (%y) : (tensor<2x4x8xf32>) -> tensor<2x4x8xf32>
    %s = hadal.apply @skip(%y, %z) : (tensor<2x4x8xf32>, tensor<2x4x8xf32>) -> tensor<2x4x8xf32>
    %t = hadal.apply @skip(%s, %y) : (tensor<2x4x8xf32>, tensor<2x4x8xf32>) -> tensor<2x4x8xf32>
    %loss = hadal.apply @head(%t, %ids) : (tensor<2x4x8xf32>, tensor<2x5xi32>) -> tensor<f64>
    hadal.output "main_loss", %loss : tensor<f64>
    return
  }
}
