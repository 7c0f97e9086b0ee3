// SPDX-License-Identifier: Apache-2.0
//
// RUN: hadal-opt %s -split-input-file -hadal-decompose | FileCheck %s

// CHECK-LABEL: func.func @losses
func.func @losses(%x: tensor<2x3x8xf32>, %ids: tensor<2x4xi32>, %s: tensor<2x3x4xf32>) -> (tensor<f64>, tensor<2x3xf32>, tensor<f64>, tensor<2x4xf32>) {
  // CHECK: %[[R:.*]], %[[L:.*]] = hadal.cross_entropy_rows %arg0, %arg1 {offset = 1 : i64}
  // CHECK: %[[S:.*]] = hadal.reduce_loss %[[R]] {divisor = 6 : i64} : tensor<2x3xf64>
  %loss, %lse = hadal.cross_entropy %x, %ids {offset = 1 : i64, divisor = 6 : i64} : tensor<2x3x8xf32>, tensor<2x4xi32>
  // The mean over two sequences.
  // CHECK: %[[B:.*]], %[[F:.*]] = hadal.sequence_balance_rows %arg2 {alpha = {{.*}} : f64, top_k = 2 : i64}
  // CHECK: %[[M:.*]] = hadal.reduce_loss %[[B]] {divisor = 2 : i64} : tensor<2xf64>
  %balance, %f = hadal.sequence_balance %s {top_k = 2 : i64, alpha = 0.01 : f64} : tensor<2x3x4xf32>
  // CHECK: return %[[S]], %[[L]], %[[M]], %[[F]]
  return %loss, %lse, %balance, %f : tensor<f64>, tensor<2x3xf32>, tensor<f64>, tensor<2x4xf32>
}

// -----

// CHECK-LABEL: func.func @attention
func.func @attention(%g: tensor<1x3x8xf32>, %q: tensor<1x3x12xf32>, %kv: tensor<1x3x16xf32>, %kr: tensor<1x3x2xf32>, %o: tensor<1x3x8xf32>, %l: tensor<1x2x3xf32>)
    -> (tensor<1x3x12xf32>, tensor<1x3x16xf32>, tensor<1x3x2xf32>) {
  // CHECK: %[[Q:.*]], %[[KV:.*]], %[[H:.*]] = hadal.attention_gradient_heads
  // CHECK: %[[KR:.*]] = hadal.sum_heads %[[H]] : tensor<1x2x3x2xf32>
  // CHECK: return %[[Q]], %[[KV]], %[[KR]]
  %0, %1, %2 = hadal.attention_gradient %g, %q, %kv, %kr, %o, %l {heads = 2 : i64, scale = 0.5 : f64}
      : tensor<1x3x8xf32>, tensor<1x3x12xf32>, tensor<1x3x16xf32>, tensor<1x3x2xf32>, tensor<1x3x8xf32>, tensor<1x2x3xf32>
  return %0, %1, %2 : tensor<1x3x12xf32>, tensor<1x3x16xf32>, tensor<1x3x2xf32>
}

// -----

// A scaled value is two values, across components too.
!scaled = !hadal.scaled<4x300xf8E4M3FN, 1x128, pow2>
// CHECK-LABEL: func.func private @quantize
// CHECK-SAME: (%arg0: tensor<4x300xf32>) -> (tensor<4x300xf8E4M3FN>, tensor<4x3xf32>)
func.func private @quantize(%x: tensor<4x300xf32>) -> !scaled {
  // CHECK: %[[E:.*]], %[[S:.*]] = hadal.quantize_tiles %arg0
  // CHECK-SAME: amax_floor = 1.000000e-04 : f64, element = f8E4M3FN, power_of_two = true, tile_columns = 128 : i64, tile_rows = 1 : i64
  // CHECK: return %[[E]], %[[S]]
  %q = hadal.quantize %x {amax_floor = 1.0e-4 : f64} : tensor<4x300xf32> -> !scaled
  return %q : !scaled
}
// CHECK-LABEL: func.func private @dequantize
// CHECK-SAME: (%arg0: tensor<2xf32> {hadal.bind = #hadal.binding<weight, "w">}, %arg1: tensor<4x300xf8E4M3FN>, %arg2: tensor<4x3xf32>, %arg3: tensor<f32> {hadal.bind = #hadal.binding<scalar, "s">})
func.func private @dequantize(%w: tensor<2xf32> {hadal.bind = #hadal.binding<weight, "w">}, %x: !scaled,
                              %s: tensor<f32> {hadal.bind = #hadal.binding<scalar, "s">}) -> tensor<4x300xf32> {
  // CHECK: hadal.dequantize_tiles %arg1, %arg2 {tile_columns = 128 : i64, tile_rows = 1 : i64}
  %d = hadal.dequantize %x : !scaled
  return %d : tensor<4x300xf32>
}
// CHECK-LABEL: func.func @program
func.func @program(%x: tensor<4x300xf32>) attributes {hadal.program} {
  // CHECK: %[[Q:.*]]:2 = hadal.apply @quantize(%arg0)
  // CHECK: hadal.apply @dequantize(%[[Q]]#0, %[[Q]]#1)
  %q = hadal.apply @quantize(%x) : (tensor<4x300xf32>) -> !scaled
  %d = hadal.apply @dequantize(%q) : (!scaled) -> tensor<4x300xf32>
  hadal.output "d", %d : tensor<4x300xf32>
  return
}
