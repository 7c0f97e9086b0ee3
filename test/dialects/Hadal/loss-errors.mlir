// RUN: hadal-opt %s --split-input-file --verify-diagnostics

// What losses, multi-token prediction and the optimizer refuse.

// cross_entropy C1
func.func @f(%l: tensor<2x3x16xf32>, %i: tensor<2x5xi32>) {
  // expected-error@+1 {{expected offset from 0 to 2, found 3}}
  hadal.cross_entropy %l, %i {divisor = 6 : i64, offset = 3 : i64} : tensor<2x3x16xf32>, tensor<2x5xi32>
  return
}

// -----

// cross_entropy C1
func.func @f(%l: tensor<2x3x16xf32>, %i: tensor<2x5xi32>) {
  // expected-error@+1 {{expected offset from 0 to 2, found -1}}
  hadal.cross_entropy %l, %i {divisor = 6 : i64, offset = -1 : i64} : tensor<2x3x16xf32>, tensor<2x5xi32>
  return
}

// -----

// cross_entropy C2
func.func @f(%l: tensor<2x3x16xf32>, %i: tensor<2x5xi32>) {
  // expected-error@+1 {{expected divisor to be positive, found 0}}
  hadal.cross_entropy %l, %i {divisor = 0 : i64, offset = 1 : i64} : tensor<2x3x16xf32>, tensor<2x5xi32>
  return
}

// -----

// cross_entropy_rows: shapes
func.func @f(%l: tensor<2x3x16xf32>, %j: tensor<3x5xi32>) {
  // expected-error@+1 {{expected dimension 0 of 'ids' to be 2, the sequences of 'logits', found 3}}
  hadal.cross_entropy_rows %l, %j {offset = 1 : i64} : tensor<2x3x16xf32>, tensor<3x5xi32>
  return
}

// -----

// reduce_loss C1
func.func @f(%r: tensor<2x3xf64>) {
  // expected-error@+1 {{expected divisor to be positive, found -6}}
  hadal.reduce_loss %r {divisor = -6 : i64} : tensor<2x3xf64>
  return
}

// -----

// cross_entropy_gradient: shapes
func.func @f(%l: tensor<2x3x16xf32>, %i: tensor<2x5xi32>, %s: tensor<f32>, %m: tensor<2x4xf32>) {
  // expected-error@+1 {{expected 'log_sum_exp' to have the shape [2, 3], found [2, 4]}}
  hadal.cross_entropy_gradient %s, %l, %m, %i {divisor = 6 : i64, offset = 1 : i64} : tensor<f32>, tensor<2x3x16xf32>, tensor<2x4xf32>, tensor<2x5xi32>
  return
}

// -----

// mtp_join C1
func.func @f(%e: tensor<2x5x8xf32>, %h: tensor<2x3x8xf32>) {
  // expected-error@+1 {{expected 'hidden' to have at least 5 positions, those of 'embedding', found 3}}
  hadal.mtp_join %e, %h : tensor<2x5x8xf32>, tensor<2x3x8xf32>
  return
}

// -----

// mtp_join C1
func.func @f(%h: tensor<2x3x8xf32>, %f: tensor<2x5x6xf32>) {
  // expected-error@+1 {{expected dimension 2 of 'hidden' to be 8, the last dimension of 'embedding', found 6}}
  hadal.mtp_join %h, %f : tensor<2x3x8xf32>, tensor<2x5x6xf32>
  return
}

// -----

// mtp_join_gradient C1
func.func @f(%o: tensor<2x3x7xf32>) {
  // expected-error@+1 {{expected 2 to divide the last dimension of 'gradient', 7}}
  hadal.mtp_join_gradient %o {hidden_tokens = 5 : i64} : tensor<2x3x7xf32>
  return
}

// -----

// mtp_join_gradient C1
func.func @f(%h: tensor<2x3x8xf32>) {
  // expected-error@+1 {{expected hidden_tokens to be at least 3, the positions of 'gradient', found 2}}
  hadal.mtp_join_gradient %h {hidden_tokens = 2 : i64} : tensor<2x3x8xf32>
  return
}

// -----

// mtp_join_gradient: too large
func.func @f(%h: tensor<2x3x8xf32>) {
  // expected-error@+1 {{expected a result of at most 2^57 elements}}
  hadal.mtp_join_gradient %h {hidden_tokens = 9223372036854775807 : i64} : tensor<2x3x8xf32>
  return
}

// -----

// clip_factor C1
func.func @f(%t: tensor<f64>) {
  // expected-error@+1 {{expected clip_norm to be a number that is not negative, found -1.0}}
  hadal.clip_factor %t {clip_norm = -1.0 : f64} : tensor<f64>
  return
}

// -----

// adamw C1
func.func @f(%p: tensor<2x8xf32>, %q: tensor<8x2xf32>, %t: tensor<f64>, %f: tensor<f32>) {
  // expected-error@+1 {{expected 'moment1' to have the type of 'parameter'}}
  hadal.adamw %p, %p, %q, %p, %t, %t, %t, %f {beta1 = 0.9 : f64, beta2 = 0.9 : f64, epsilon = 0.0 : f64, weight_decay = 0.0 : f64} : tensor<2x8xf32>, tensor<2x8xf32>, tensor<8x2xf32>, tensor<2x8xf32>, tensor<f64>, tensor<f64>, tensor<f64>, tensor<f32>
  return
}

// -----

// accumulate C1
func.func @f(%p: tensor<2x8xf32>, %q: tensor<8x2xf32>) {
  // expected-error@+1 {{expected 'value' to have the type of 'accumulator'}}
  hadal.accumulate %p, %q : tensor<2x8xf32>, tensor<8x2xf32>
  return
}
