// RUN: hadal-opt %s --split-input-file --verify-diagnostics

// What layers refuse: each constraint of the ops once or more.

// add C1
func.func @f(%x: tensor<2x8xf32>, %y: tensor<2x4xf32>) {
  // expected-error@+1 {{'hadal.add' op expected 'rhs' to have the type of 'lhs', 'tensor<2x8xf32>', found 'tensor<2x4xf32>'}}
  hadal.add %x, %y : tensor<2x8xf32>, tensor<2x4xf32>
  return
}

// -----

// linear C1
func.func @f(%x: tensor<2x8xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{'hadal.linear' op expected 'weight' to have rank 2, found 1}}
  hadal.linear %x, %w : tensor<2x8xf32>, tensor<8xf32>
  return
}

// -----

// linear C2
func.func @f(%x: tensor<2x8xf32>, %w: tensor<4x6xf32>) {
  // expected-error@+1 {{expected the last dimension of 'input' to be 6, the weight's in, found 8}}
  hadal.linear %x, %w : tensor<2x8xf32>, tensor<4x6xf32>
  return
}

// -----

// linear C2, transposed
func.func @f(%x: tensor<2x6xf32>, %w: tensor<4x6xf32>) {
  // expected-error@+1 {{expected the last dimension of 'input' to be 4, the weight's out, found 6}}
  hadal.linear %x, %w {transpose_weight} : tensor<2x6xf32>, tensor<4x6xf32>
  return
}

// -----

// static shapes only
func.func @f(%x: tensor<?x8xf32>, %w: tensor<4x8xf32>) {
  // expected-error@+1 {{expected 'input' to have a static shape, found 'tensor<?x8xf32>'}}
  hadal.linear %x, %w : tensor<?x8xf32>, tensor<4x8xf32>
  return
}

// -----

// positive sizes only
func.func @f(%x: tensor<0x8xf32>, %w: tensor<4x8xf32>) {
  // expected-error@+1 {{expected 'input' to have positive sizes and at most 2^57 elements, found 'tensor<0x8xf32>'}}
  hadal.linear %x, %w : tensor<0x8xf32>, tensor<4x8xf32>
  return
}

// -----

// countable sizes only
func.func @f(%x: tensor<4294967296x4294967296xf32>, %w: tensor<4x4294967296xf32>) {
  // expected-error@+1 {{expected 'input' to have positive sizes and at most 2^57 elements}}
  hadal.linear %x, %w : tensor<4294967296x4294967296xf32>, tensor<4x4294967296xf32>
  return
}

// -----

// a result that is too large
func.func @f(%x: tensor<1073741824x4xf32>, %w: tensor<1073741824x4xf32>) {
  // expected-error@+1 {{expected a result of at most 2^57 elements, found [1073741824, 1073741824]}}
  hadal.linear %x, %w : tensor<1073741824x4xf32>, tensor<1073741824x4xf32>
  return
}

// -----

// no scalar
func.func @f(%x: tensor<f32>, %w: tensor<4x8xf32>) {
  // expected-error@+1 {{expected 'input' to have at least one dimension, found rank 0}}
  hadal.linear %x, %w : tensor<f32>, tensor<4x8xf32>
  return
}

// -----

// weight_gradient C1
func.func @f(%g: tensor<3x4xf32>, %x: tensor<2x8xf32>, %a: tensor<4x8xf32>) {
  // expected-error@+1 {{expected 'input' to have the leading dimensions of 'gradient', [3], found [2]}}
  hadal.weight_gradient %g, %x, %a : tensor<3x4xf32>, tensor<2x8xf32>, tensor<4x8xf32>
  return
}

// -----

// weight_gradient C2
func.func @f(%g: tensor<2x4xf32>, %x: tensor<2x8xf32>, %a: tensor<8x4xf32>) {
  // expected-error@+1 {{expected 'accumulator' to have the shape [4, 8], found [8, 4]}}
  hadal.weight_gradient %g, %x, %a : tensor<2x4xf32>, tensor<2x8xf32>, tensor<8x4xf32>
  return
}

// -----

// rms_norm C1
func.func @f(%x: tensor<2x8xf32>, %w: tensor<4xf32>) {
  // expected-error@+1 {{expected dimension 0 of 'weight' to be 8, the input's last dimension, found 4}}
  hadal.rms_norm %x, %w {epsilon = 0.0 : f64} : tensor<2x8xf32>, tensor<4xf32>
  return
}

// -----

// rms_norm C2
func.func @f(%x: tensor<2x8xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{expected epsilon to be a number that is not negative, found -1.0}}
  hadal.rms_norm %x, %w {epsilon = -1.0 : f64} : tensor<2x8xf32>, tensor<8xf32>
  return
}

// -----

// rms_norm C2: no number
func.func @f(%x: tensor<2x8xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{expected epsilon to be a number that is not negative, found}}
  hadal.rms_norm %x, %w {epsilon = 0x7FF8000000000000 : f64} : tensor<2x8xf32>, tensor<8xf32>
  return
}

// -----

// an attribute that is missing
func.func @f(%x: tensor<2x8xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{'hadal.rms_norm' op requires attribute 'epsilon'}}
  hadal.rms_norm %x, %w : tensor<2x8xf32>, tensor<8xf32>
  return
}

// -----

// an attribute of another type
func.func @f(%x: tensor<2x8xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{attribute 'epsilon' failed to satisfy constraint: 64-bit float attribute}}
  hadal.rms_norm %x, %w {epsilon = "small"} : tensor<2x8xf32>, tensor<8xf32>
  return
}

// -----

// rms_norm_gradient C1
func.func @f(%x: tensor<2x8xf32>, %r: tensor<3xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{expected 'inverse_rms' to have the shape [2], found [3]}}
  hadal.rms_norm_gradient %x, %x, %r, %w : tensor<2x8xf32>, tensor<2x8xf32>, tensor<3xf32>, tensor<8xf32>
  return
}

// -----

// rms_norm_weight_gradient C1
func.func @f(%x: tensor<2x8xf32>, %r: tensor<2xf32>, %w: tensor<4xf32>) {
  // expected-error@+1 {{expected 'accumulator' to have the shape [8], found [4]}}
  hadal.rms_norm_weight_gradient %x, %x, %r, %w : tensor<2x8xf32>, tensor<2x8xf32>, tensor<2xf32>, tensor<4xf32>
  return
}

// -----

// swiglu C1
func.func @f(%x: tensor<2x8xf32>, %y: tensor<2x4xf32>) {
  // expected-error@+1 {{expected 'up' to have the type of 'gate'}}
  hadal.swiglu %x, %y : tensor<2x8xf32>, tensor<2x4xf32>
  return
}

// -----

// swiglu C2
func.func @f(%x: tensor<2x8xf32>, %s: tensor<8xf32>) {
  // expected-error@+1 {{expected 'row_scale' to have the shape [2], found [8]}}
  hadal.swiglu %x, %x scaled_by %s : tensor<2x8xf32>, tensor<2x8xf32>, tensor<8xf32>
  return
}

// -----

// swiglu_gradient C1
func.func @f(%x: tensor<2x8xf32>, %g: tensor<2x4xf32>) {
  // expected-error@+1 {{expected 'gradient' to have the type of 'gate'}}
  hadal.swiglu_gradient %g, %x, %x : tensor<2x4xf32>, tensor<2x8xf32>, tensor<2x8xf32>
  return
}

// -----

// embedding C1
func.func @f(%i: tensor<5xi32>, %t: tensor<16x8xf32>) {
  // expected-error@+1 {{expected 'ids' to have rank 2, found 1}}
  hadal.embedding %i, %t {offset = 0 : i64, tokens = 3 : i64} : tensor<5xi32>, tensor<16x8xf32>
  return
}

// -----

// embedding C2
func.func @f(%i: tensor<2x5xi32>, %t: tensor<16x8xf32>) {
  // expected-error@+1 {{expected offset + tokens to be at most 5, the number of ids of a sequence, found offset 3 and tokens 3}}
  hadal.embedding %i, %t {offset = 3 : i64, tokens = 3 : i64} : tensor<2x5xi32>, tensor<16x8xf32>
  return
}

// -----

// embedding C2
func.func @f(%i: tensor<2x5xi32>, %t: tensor<16x8xf32>) {
  // expected-error@+1 {{expected offset not to be negative, found -1}}
  hadal.embedding %i, %t {offset = -1 : i64, tokens = 3 : i64} : tensor<2x5xi32>, tensor<16x8xf32>
  return
}

// -----

// embedding C2
func.func @f(%i: tensor<2x5xi32>, %t: tensor<16x8xf32>) {
  // expected-error@+1 {{expected tokens to be positive, found 0}}
  hadal.embedding %i, %t {offset = 0 : i64, tokens = 0 : i64} : tensor<2x5xi32>, tensor<16x8xf32>
  return
}

// -----

// embedding C2
func.func @f(%i: tensor<2x5xi32>, %t: tensor<16x8xf32>) {
  // expected-error@+1 {{found offset 9223372036854775807 and tokens 5}}
  hadal.embedding %i, %t {offset = 9223372036854775807 : i64, tokens = 5 : i64} : tensor<2x5xi32>, tensor<16x8xf32>
  return
}

// -----

// embedding_gradient C1
func.func @f(%g: tensor<2x8xf32>, %i: tensor<2x5xi32>, %t: tensor<16x8xf32>) {
  // expected-error@+1 {{expected 'gradient' to have rank 3, found 2}}
  hadal.embedding_gradient %g, %i, %t {offset = 0 : i64} : tensor<2x8xf32>, tensor<2x5xi32>, tensor<16x8xf32>
  return
}

// -----

// embedding_gradient: offset
func.func @f(%g: tensor<2x3x8xf32>, %i: tensor<2x5xi32>, %t: tensor<16x8xf32>) {
  // expected-error@+1 {{expected offset from 0 to 2, found 3}}
  hadal.embedding_gradient %g, %i, %t {offset = 3 : i64} : tensor<2x3x8xf32>, tensor<2x5xi32>, tensor<16x8xf32>
  return
}

// -----

// split C1
func.func @f(%x: tensor<2x8xf32>) {
  // expected-error@+1 {{expected size to be positive and below 8, the last dimension of 'input', found 0}}
  hadal.split %x {size = 0 : i64} : tensor<2x8xf32>
  return
}

// -----

// split C1
func.func @f(%x: tensor<2x8xf32>) {
  // expected-error@+1 {{expected size to be positive and below 8, the last dimension of 'input', found 8}}
  hadal.split %x {size = 8 : i64} : tensor<2x8xf32>
  return
}

// -----

// split C1
func.func @f(%x: tensor<2x8xf32>) {
  // expected-error@+1 {{expected size to be positive and below 8, the last dimension of 'input', found -1}}
  hadal.split %x {size = -1 : i64} : tensor<2x8xf32>
  return
}

// -----

// concat C1
func.func @f(%x: tensor<2x8xf32>, %y: tensor<3x8xf32>) {
  // expected-error@+1 {{expected 'second' to have the leading dimensions of 'first', [2], found [3]}}
  hadal.concat %x, %y : tensor<2x8xf32>, tensor<3x8xf32>
  return
}

// -----

// A result type that is not the inferred one.
func.func @f(%x: tensor<2x8xf32>) {
  // expected-error@+2 {{inferred type(s) 'tensor<2x8xf32>' are incompatible with return type(s) of operation 'tensor<2x4xf32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = "hadal.add"(%x, %x) : (tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x4xf32>
  return
}

// -----

// Another element type.
func.func @f(%x: tensor<2x8xf64>) {
  // expected-error@+1 {{operand #0 must be ranked tensor of 32-bit float values}}
  %y = hadal.add %x, %x : tensor<2x8xf64>, tensor<2x8xf64>
  return
}
