// RUN: hadal-opt %s --split-input-file --verify-diagnostics

// What the mixture of experts refuses.

// route C1
func.func @f(%l: tensor<2x3x8xf32>, %d: tensor<4xf32>) {
  // expected-error@+1 {{expected 'bias' to have the shape [8], found [4]}}
  hadal.route %l, %d {groups = 2 : i64, kept_groups = 1 : i64, top_k = 2 : i64, normalize = true, scaling_factor = 1.0 : f64, epsilon = 0.0 : f64} : tensor<2x3x8xf32>, tensor<4xf32>
  return
}

// -----

// route C2
func.func @f(%l: tensor<2x3x8xf32>, %b: tensor<8xf32>) {
  // expected-error@+1 {{expected groups to divide the last dimension of 'logits', 8, found 3}}
  hadal.route %l, %b {groups = 3 : i64, kept_groups = 1 : i64, top_k = 2 : i64, normalize = true, scaling_factor = 1.0 : f64, epsilon = 0.0 : f64} : tensor<2x3x8xf32>, tensor<8xf32>
  return
}

// -----

// route C2
func.func @f(%l: tensor<2x3x8xf32>, %b: tensor<8xf32>) {
  // expected-error@+1 {{expected groups to be positive, found 0}}
  hadal.route %l, %b {groups = 0 : i64, kept_groups = 1 : i64, top_k = 2 : i64, normalize = true, scaling_factor = 1.0 : f64, epsilon = 0.0 : f64} : tensor<2x3x8xf32>, tensor<8xf32>
  return
}

// -----

// route C2
func.func @f(%l: tensor<2x3x8xf32>, %b: tensor<8xf32>) {
  // expected-error@+1 {{expected kept_groups from 1 to 2, found 3}}
  hadal.route %l, %b {groups = 2 : i64, kept_groups = 3 : i64, top_k = 2 : i64, normalize = true, scaling_factor = 1.0 : f64, epsilon = 0.0 : f64} : tensor<2x3x8xf32>, tensor<8xf32>
  return
}

// -----

// route C2
func.func @f(%l: tensor<2x3x8xf32>, %b: tensor<8xf32>) {
  // expected-error@+1 {{expected kept_groups from 1 to 2, found 0}}
  hadal.route %l, %b {groups = 2 : i64, kept_groups = 0 : i64, top_k = 2 : i64, normalize = true, scaling_factor = 1.0 : f64, epsilon = 0.0 : f64} : tensor<2x3x8xf32>, tensor<8xf32>
  return
}

// -----

// route C2
func.func @f(%l: tensor<2x3x8xf32>, %b: tensor<8xf32>) {
  // expected-error@+1 {{expected top_k from 1 to 4, the experts of the kept groups, found 5}}
  hadal.route %l, %b {groups = 2 : i64, kept_groups = 1 : i64, top_k = 5 : i64, normalize = true, scaling_factor = 1.0 : f64, epsilon = 0.0 : f64} : tensor<2x3x8xf32>, tensor<8xf32>
  return
}

// -----

// route C2
func.func @f(%l: tensor<2x3x8xf32>, %b: tensor<8xf32>) {
  // expected-error@+1 {{expected top_k from 1 to 4, the experts of the kept groups, found 0}}
  hadal.route %l, %b {groups = 2 : i64, kept_groups = 1 : i64, top_k = 0 : i64, normalize = true, scaling_factor = 1.0 : f64, epsilon = 0.0 : f64} : tensor<2x3x8xf32>, tensor<8xf32>
  return
}

// -----

// route_gradient C1
func.func @f(%e: tensor<2x3x2xi32>, %s: tensor<2x3x4xf32>) {
  // expected-error@+1 {{expected the gradient of weights or of scores}}
  hadal.route_gradient of %e, %s {normalize = true, scaling_factor = 1.0 : f64, epsilon = 0.0 : f64} : tensor<2x3x2xi32>, tensor<2x3x4xf32>
  return
}

// -----

// route_gradient C2
func.func @f(%e: tensor<2x3x2xi32>, %s: tensor<2x3x4xf32>, %w: tensor<2x3x3xf32>) {
  // expected-error@+1 {{expected 'weights_gradient' to have the shape [2, 3, 2], found [2, 3, 3]}}
  hadal.route_gradient weights %w : tensor<2x3x3xf32> of %e, %s {normalize = true, scaling_factor = 1.0 : f64, epsilon = 0.0 : f64} : tensor<2x3x2xi32>, tensor<2x3x4xf32>
  return
}

// -----

// sort_by_expert C1
func.func @f(%e: tensor<2x3x2xi32>) {
  // expected-error@+1 {{expected expert_count to be positive, found 0}}
  hadal.sort_by_expert %e {expert_count = 0 : i64} : tensor<2x3x2xi32>
  return
}

// -----

// sort_by_expert: 32 bits
func.func @f(%e: tensor<65536x65536x1xi32>) {
  // expected-error@+1 {{expected at most 2^31 - 1 routed rows, found 4294967296}}
  hadal.sort_by_expert %e {expert_count = 4 : i64} : tensor<65536x65536x1xi32>
  return
}

// -----

// accumulate_counts C1
func.func @f(%a: tensor<4xi64>, %b: tensor<5xi64>) {
  // expected-error@+1 {{expected 'counts' to have the type of 'total'}}
  hadal.accumulate_counts %a, %b : tensor<4xi64>, tensor<5xi64>
  return
}

// -----

// dispatch C1
func.func @f(%x: tensor<2x3x8xf32>, %p: tensor<11xi32>, %s: tensor<2x3x2xi32>) {
  // expected-error@+1 {{expected dimension 0 of 'source' to be 12, the elements of 'slot', found 11}}
  hadal.dispatch %x, %p, %s : tensor<2x3x8xf32>, tensor<11xi32>, tensor<2x3x2xi32>
  return
}

// -----

// combine C1
func.func @f(%r: tensor<11x8xf32>, %o: tensor<12xi32>, %s: tensor<2x3x2xi32>) {
  // expected-error@+1 {{expected dimension 0 of 'rows' to be 12, the elements of 'source', found 11}}
  hadal.combine %r, %o, %s : tensor<11x8xf32>, tensor<12xi32>, tensor<2x3x2xi32>
  return
}

// -----

// dispatch_weights: shapes
func.func @f(%w: tensor<2x3x4xf32>, %o: tensor<12xi32>, %s: tensor<2x3x2xi32>) {
  // expected-error@+1 {{expected 'weights' to have the shape [2, 3, 2], found [2, 3, 4]}}
  hadal.dispatch_weights %w, %o, %s : tensor<2x3x4xf32>, tensor<12xi32>, tensor<2x3x2xi32>
  return
}

// -----

// combine_weights: shapes
func.func @f(%v: tensor<11xf32>, %o: tensor<12xi32>, %s: tensor<2x3x2xi32>) {
  // expected-error@+1 {{expected 'row_weights' to have the shape [12], found [11]}}
  hadal.combine_weights %v, %o, %s : tensor<11xf32>, tensor<12xi32>, tensor<2x3x2xi32>
  return
}

// -----

// grouped_linear C1
func.func @f(%r: tensor<12x8xf32>, %w: tensor<4x6x8xf32>, %p: tensor<4xi64>) {
  // expected-error@+1 {{expected dimension 0 of 'offsets' to be 5, one more than the experts of 'weight', found 4}}
  hadal.grouped_linear %r, %w, %p : tensor<12x8xf32>, tensor<4x6x8xf32>, tensor<4xi64>
  return
}

// -----

// grouped_linear C2
func.func @f(%r: tensor<12x8xf32>, %w: tensor<4x6x8xf32>, %o: tensor<5xi64>) {
  // expected-error@+1 {{expected dimension 1 of 'rows' to be 6, the weight's out, found 8}}
  hadal.grouped_linear %r, %w, %o {transpose_weight} : tensor<12x8xf32>, tensor<4x6x8xf32>, tensor<5xi64>
  return
}

// -----

// grouped_weight_gradient C1
func.func @f(%r: tensor<12x8xf32>, %w: tensor<4x6x8xf32>, %o: tensor<5xi64>) {
  // expected-error@+1 {{expected 'accumulator' to have the shape [4, 8, 8], found [4, 6, 8]}}
  hadal.grouped_weight_gradient %r, %r, %o, %w : tensor<12x8xf32>, tensor<12x8xf32>, tensor<5xi64>, tensor<4x6x8xf32>
  return
}

// -----

// sequence_balance: top_k
func.func @f(%s: tensor<2x3x4xf32>) {
  // expected-error@+1 {{expected top_k from 1 to 4, the experts, found 5}}
  hadal.sequence_balance %s {alpha = 1.0 : f64, top_k = 5 : i64} : tensor<2x3x4xf32>
  return
}

// -----

// sequence_balance_gradient: shapes
func.func @f(%d: tensor<f32>, %s: tensor<2x3x4xf32>, %f: tensor<3x4xf32>) {
  // expected-error@+1 {{expected 'fractions' to have the shape [2, 4], found [3, 4]}}
  hadal.sequence_balance_gradient %d, %s, %f {alpha = 1.0 : f64} : tensor<f32>, tensor<2x3x4xf32>, tensor<3x4xf32>
  return
}

// -----

// bias_update C1
func.func @f(%b: tensor<4xf32>, %c: tensor<5xi64>, %s: tensor<f64>) {
  // expected-error@+1 {{expected 'counts' to have the shape [4], found [5]}}
  hadal.bias_update %b, %c, %s : tensor<4xf32>, tensor<5xi64>, tensor<f64>
  return
}
