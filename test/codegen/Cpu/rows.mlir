// RUN: hadal-opt %s --hadal-fuse --hadal-cpu-kernels=lower=false | FileCheck %s

// Token counts, offsets and divisors are launch sizes: kernels that differ in nothing else share a
// function; other widths make another.

// CHECK-LABEL: func.func @long
// CHECK: #hadal.launch<"[[ROWS:.*]]", sizes = {{.}}10, 5, 8, 1{{.}}, grid = 10, scratch = 0, flops = 0>
func.func @long(%ids: tensor<2x8xi32>, %table: tensor<9x4xf32>) -> tensor<2x5x4xf32> {
  %e = hadal.embedding %ids, %table {offset = 1 : i64, tokens = 5 : i64} : tensor<2x8xi32>, tensor<9x4xf32>
  return %e : tensor<2x5x4xf32>
}

// CHECK-LABEL: func.func @short
// CHECK: #hadal.launch<"[[ROWS]]", sizes = {{.}}3, 3, 3, 0{{.}}, grid = 3, scratch = 0, flops = 0>
func.func @short(%ids: tensor<1x3xi32>, %table: tensor<7x4xf32>) -> tensor<1x3x4xf32> {
  %e = hadal.embedding %ids, %table {offset = 0 : i64, tokens = 3 : i64} : tensor<1x3xi32>, tensor<7x4xf32>
  return %e : tensor<1x3x4xf32>
}

// CHECK-LABEL: func.func @wide
// CHECK-NOT: "[[ROWS]]"
// CHECK: return
func.func @wide(%ids: tensor<1x3xi32>, %table: tensor<7x5xf32>) -> tensor<1x3x5xf32> {
  %e = hadal.embedding %ids, %table {offset = 0 : i64, tokens = 3 : i64} : tensor<1x3xi32>, tensor<7x5xf32>
  return %e : tensor<1x3x5xf32>
}

// What stays inside lies in scratch, one row of it: the sum and the doubled cosines and sines.
// CHECK-LABEL: func.func @inside
// CHECK: sizes = {{.}}6, 3{{.}}, grid = 6, scratch = 128, flops = 0
func.func @inside(%x: tensor<2x3x8xf32>, %cos: tensor<4x2xf32>, %sin: tensor<4x2xf32>) -> tensor<2x3x8xf32> {
  %s = hadal.add %x, %x : tensor<2x3x8xf32>, tensor<2x3x8xf32>
  %r = hadal.rope %s, %cos, %sin {heads = 2 : i64, rotary_dim = 4 : i64} : tensor<2x3x8xf32>, tensor<4x2xf32>, tensor<4x2xf32>
  return %r : tensor<2x3x8xf32>
}
