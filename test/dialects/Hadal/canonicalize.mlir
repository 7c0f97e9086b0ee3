// RUN: hadal-opt %s --canonicalize | FileCheck %s

// CHECK-LABEL: func.func @concat_of_split
// CHECK-SAME: (%[[X:.*]]: tensor<2x8xf32>)
func.func @concat_of_split(%x: tensor<2x8xf32>) -> tensor<2x8xf32> {
  // CHECK-NEXT: return %[[X]]
  %a, %b = hadal.split %x {size = 3 : i64} : tensor<2x8xf32>
  %y = hadal.concat %a, %b : tensor<2x3xf32>, tensor<2x5xf32>
  return %y : tensor<2x8xf32>
}

// CHECK-LABEL: func.func @concat_turned
func.func @concat_turned(%x: tensor<2x8xf32>) -> tensor<2x8xf32> {
  // CHECK: hadal.split
  // CHECK: hadal.concat
  %a, %b = hadal.split %x {size = 4 : i64} : tensor<2x8xf32>
  %y = hadal.concat %b, %a : tensor<2x4xf32>, tensor<2x4xf32>
  return %y : tensor<2x8xf32>
}

// CHECK-LABEL: func.func @concat_of_two_splits
func.func @concat_of_two_splits(%x: tensor<2x8xf32>, %z: tensor<2x8xf32>) -> tensor<2x8xf32> {
  // CHECK-COUNT-2: hadal.split
  // CHECK: hadal.concat
  %a, %b = hadal.split %x {size = 4 : i64} : tensor<2x8xf32>
  %c, %d = hadal.split %z {size = 4 : i64} : tensor<2x8xf32>
  %y = hadal.concat %a, %d : tensor<2x4xf32>, tensor<2x4xf32>
  return %y : tensor<2x8xf32>
}

// CHECK-LABEL: func.func @split_of_concat
// CHECK-SAME: (%[[X:.*]]: tensor<2x3xf32>, %[[Y:.*]]: tensor<2x5xf32>)
func.func @split_of_concat(%x: tensor<2x3xf32>, %y: tensor<2x5xf32>) -> (tensor<2x5xf32>, tensor<2x3xf32>) {
  // CHECK-NEXT: return %[[Y]], %[[X]]
  %z = hadal.concat %x, %y : tensor<2x3xf32>, tensor<2x5xf32>
  %a, %b = hadal.split %z {size = 3 : i64} : tensor<2x8xf32>
  return %b, %a : tensor<2x5xf32>, tensor<2x3xf32>
}

// CHECK-LABEL: func.func @split_elsewhere
func.func @split_elsewhere(%x: tensor<2x3xf32>, %y: tensor<2x5xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>) {
  // CHECK: hadal.split
  %z = hadal.concat %x, %y : tensor<2x3xf32>, tensor<2x5xf32>
  %a, %b = hadal.split %z {size = 4 : i64} : tensor<2x8xf32>
  return %a, %b : tensor<2x4xf32>, tensor<2x4xf32>
}

// CHECK-LABEL: func.func @weights_there_and_back
// CHECK-SAME: (%[[W:.*]]: tensor<2x3x2xf32>, %[[R:.*]]: tensor<12xf32>,
func.func @weights_there_and_back(%w: tensor<2x3x2xf32>, %r: tensor<12xf32>, %source: tensor<12xi32>, %slot: tensor<2x3x2xi32>)
    -> (tensor<2x3x2xf32>, tensor<12xf32>) {
  // CHECK-NEXT: return %[[W]], %[[R]]
  %rows = hadal.dispatch_weights %w, %source, %slot : tensor<2x3x2xf32>, tensor<12xi32>, tensor<2x3x2xi32>
  %back = hadal.combine_weights %rows, %source, %slot : tensor<12xf32>, tensor<12xi32>, tensor<2x3x2xi32>
  %tokens = hadal.combine_weights %r, %source, %slot : tensor<12xf32>, tensor<12xi32>, tensor<2x3x2xi32>
  %there = hadal.dispatch_weights %tokens, %source, %slot : tensor<2x3x2xf32>, tensor<12xi32>, tensor<2x3x2xi32>
  return %back, %there : tensor<2x3x2xf32>, tensor<12xf32>
}

// Another order of rows is another order of weights.
// CHECK-LABEL: func.func @weights_by_another_order
func.func @weights_by_another_order(%w: tensor<2x3x2xf32>, %source: tensor<12xi32>, %slot: tensor<2x3x2xi32>, %other: tensor<2x3x2xi32>) -> tensor<2x3x2xf32> {
  // CHECK: hadal.dispatch_weights
  // CHECK: hadal.combine_weights
  %rows = hadal.dispatch_weights %w, %source, %slot : tensor<2x3x2xf32>, tensor<12xi32>, tensor<2x3x2xi32>
  %back = hadal.combine_weights %rows, %source, %other : tensor<12xf32>, tensor<12xi32>, tensor<2x3x2xi32>
  return %back : tensor<2x3x2xf32>
}

// A token has several rows: their sum is not the token.
// CHECK-LABEL: func.func @rows_stay
func.func @rows_stay(%x: tensor<2x3x8xf32>, %source: tensor<12xi32>, %slot: tensor<2x3x2xi32>) -> tensor<2x3x8xf32> {
  // CHECK: hadal.dispatch
  // CHECK: hadal.combine
  %rows = hadal.dispatch %x, %source, %slot : tensor<2x3x8xf32>, tensor<12xi32>, tensor<2x3x2xi32>
  %y = hadal.combine %rows, %source, %slot : tensor<12x8xf32>, tensor<12xi32>, tensor<2x3x2xi32>
  return %y : tensor<2x3x8xf32>
}

// The tables carry YaRN's amplitude.
// CHECK-LABEL: func.func @rotations_stay
func.func @rotations_stay(%x: tensor<1x3x4xf32>, %cos: tensor<8x2xf32>, %sin: tensor<8x2xf32>) -> tensor<1x3x4xf32> {
  // CHECK-COUNT-2: hadal.rope
  %r = hadal.rope %x, %cos, %sin {heads = 1 : i64, rotary_dim = 4 : i64} : tensor<1x3x4xf32>, tensor<8x2xf32>, tensor<8x2xf32>
  %y = hadal.rope %r, %cos, %sin {heads = 1 : i64, rotary_dim = 4 : i64, inverse} : tensor<1x3x4xf32>, tensor<8x2xf32>, tensor<8x2xf32>
  return %y : tensor<1x3x4xf32>
}

// CHECK-LABEL: func.func @last_of_one
// CHECK-SAME: (%[[X:.*]]: tensor<1x1x8xf32>,
func.func @last_of_one(%x: tensor<1x1x8xf32>, %z: tensor<1x4x8xf32>, %valid: tensor<i32>) -> (tensor<1x1x8xf32>, tensor<1x1x8xf32>) {
  // CHECK-NEXT: %[[Y:.*]] = hadal.last_token %{{.*}} : tensor<1x4x8xf32>
  // CHECK-NEXT: return %[[X]], %[[Y]]
  %last = hadal.last_token %x, %valid : tensor<1x1x8xf32>, tensor<i32>
  %of_four = hadal.last_token %z, %valid : tensor<1x4x8xf32>, tensor<i32>
  return %last, %of_four : tensor<1x1x8xf32>, tensor<1x1x8xf32>
}

// An unused op without effects goes; an update that is returned stays.
// CHECK-LABEL: func.func @unused
func.func @unused(%x: tensor<2x8xf32>, %w: tensor<4x8xf32>) -> tensor<4x8xf32> {
  // CHECK-NOT: hadal.swiglu
  // CHECK: hadal.weight_gradient
  %out = hadal.linear %x, %w : tensor<2x8xf32>, tensor<4x8xf32>
  %gone = hadal.swiglu %out, %out : tensor<2x4xf32>, tensor<2x4xf32>
  %sum = hadal.weight_gradient %out, %x, %w : tensor<2x4xf32>, tensor<2x8xf32>, tensor<4x8xf32>
  return %sum : tensor<4x8xf32>
}
