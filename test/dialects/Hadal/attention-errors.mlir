// RUN: hadal-opt %s --split-input-file --verify-diagnostics

// What attention, rope and the latent cache refuse.

// rope C1
func.func @f(%x: tensor<2x3x8xf32>, %c: tensor<8x2xf32>) {
  // expected-error@+1 {{expected heads to divide the last dimension of 'input', 8, found 3}}
  hadal.rope %x, %c, %c {heads = 3 : i64, rotary_dim = 4 : i64} : tensor<2x3x8xf32>, tensor<8x2xf32>, tensor<8x2xf32>
  return
}

// -----

// rope C1
func.func @f(%x: tensor<2x3x8xf32>, %c: tensor<8x2xf32>) {
  // expected-error@+1 {{expected heads to be positive, found 0}}
  hadal.rope %x, %c, %c {heads = 0 : i64, rotary_dim = 4 : i64} : tensor<2x3x8xf32>, tensor<8x2xf32>, tensor<8x2xf32>
  return
}

// -----

// rope C2
func.func @f(%x: tensor<2x3x8xf32>, %c: tensor<8x2xf32>) {
  // expected-error@+1 {{expected rotary_dim to be even, positive and at most 4, the size of a head, found 3}}
  hadal.rope %x, %c, %c {heads = 2 : i64, rotary_dim = 3 : i64} : tensor<2x3x8xf32>, tensor<8x2xf32>, tensor<8x2xf32>
  return
}

// -----

// rope C2
func.func @f(%x: tensor<2x3x8xf32>, %c: tensor<8x2xf32>) {
  // expected-error@+1 {{expected rotary_dim to be even, positive and at most 2, the size of a head, found 4}}
  hadal.rope %x, %c, %c {heads = 4 : i64, rotary_dim = 4 : i64} : tensor<2x3x8xf32>, tensor<8x2xf32>, tensor<8x2xf32>
  return
}

// -----

// rope C2
func.func @f(%x: tensor<2x3x8xf32>, %c: tensor<8x2xf32>) {
  // expected-error@+1 {{found -4}}
  hadal.rope %x, %c, %c {heads = 2 : i64, rotary_dim = -4 : i64} : tensor<2x3x8xf32>, tensor<8x2xf32>, tensor<8x2xf32>
  return
}

// -----

// rope C3
func.func @f(%x: tensor<2x3x8xf32>, %c: tensor<8x2xf32>) {
  // expected-error@+1 {{expected dimension 1 of 'cos' to be 1, half of rotary_dim, found 2}}
  hadal.rope %x, %c, %c {heads = 2 : i64, rotary_dim = 2 : i64} : tensor<2x3x8xf32>, tensor<8x2xf32>, tensor<8x2xf32>
  return
}

// -----

// rope C3
func.func @f(%x: tensor<2x3x8xf32>, %c: tensor<8x2xf32>, %d: tensor<2x2xf32>) {
  // expected-error@+1 {{expected 'sin' to have at least 3 positions, the tokens of 'input', found 2}}
  hadal.rope %x, %c, %d {heads = 2 : i64, rotary_dim = 4 : i64} : tensor<2x3x8xf32>, tensor<8x2xf32>, tensor<2x2xf32>
  return
}

// -----

// attention C1
func.func @f(%q: tensor<2x3x20xf32>, %kv: tensor<2x3x22xf32>, %s: tensor<2x4x4xf32>) {
  // expected-error@+1 {{expected 'key_rotary' to have the leading dimensions of 'query', [2, 3], found [2, 4]}}
  hadal.attention %q, %kv, %s {heads = 2 : i64, scale = 1.0 : f64} : tensor<2x3x20xf32>, tensor<2x3x22xf32>, tensor<2x4x4xf32>
  return
}

// -----

// attention C2
func.func @f(%q: tensor<2x3x20xf32>, %kv: tensor<2x3x22xf32>, %kr: tensor<2x3x4xf32>) {
  // expected-error@+1 {{expected heads to divide the last dimension of 'query', 20, found 3}}
  hadal.attention %q, %kv, %kr {heads = 3 : i64, scale = 1.0 : f64} : tensor<2x3x20xf32>, tensor<2x3x22xf32>, tensor<2x3x4xf32>
  return
}

// -----

// attention C2
func.func @f(%q: tensor<2x3x20xf32>, %kv: tensor<2x3x22xf32>, %kr: tensor<2x3x4xf32>) {
  // expected-error@+1 {{expected heads to divide the last dimension of 'key_value', 22, found 4}}
  hadal.attention %q, %kv, %kr {heads = 4 : i64, scale = 1.0 : f64} : tensor<2x3x20xf32>, tensor<2x3x22xf32>, tensor<2x3x4xf32>
  return
}

// -----

// attention C2
func.func @f(%q: tensor<2x3x20xf32>, %kv: tensor<2x3x22xf32>, %w: tensor<2x3x10xf32>) {
  // expected-error@+1 {{expected heads of 'query' to be wider than 'key_rotary', 10, found 10}}
  hadal.attention %q, %kv, %w {heads = 2 : i64, scale = 1.0 : f64} : tensor<2x3x20xf32>, tensor<2x3x22xf32>, tensor<2x3x10xf32>
  return
}

// -----

// attention C2
func.func @f(%q: tensor<2x3x20xf32>, %kr: tensor<2x3x4xf32>, %w: tensor<2x3x10xf32>) {
  // expected-error@+1 {{expected heads of 'key_value' to be wider than their keys, 6, found 5}}
  hadal.attention %q, %w, %kr {heads = 2 : i64, scale = 1.0 : f64} : tensor<2x3x20xf32>, tensor<2x3x10xf32>, tensor<2x3x4xf32>
  return
}

// -----

// attention_gradient C1
func.func @f(%q: tensor<2x3x20xf32>, %kv: tensor<2x3x22xf32>, %kr: tensor<2x3x4xf32>, %o: tensor<2x3x10xf32>, %l: tensor<2x2x4xf32>) {
  // expected-error@+1 {{expected 'log_sum_exp' to have the shape [2, 2, 3], found [2, 2, 4]}}
  hadal.attention_gradient %o, %q, %kv, %kr, %o, %l {heads = 2 : i64, scale = 1.0 : f64} : tensor<2x3x10xf32>, tensor<2x3x20xf32>, tensor<2x3x22xf32>, tensor<2x3x4xf32>, tensor<2x3x10xf32>, tensor<2x2x4xf32>
  return
}

// -----

// attention_gradient_heads: shapes
func.func @f(%q: tensor<2x3x20xf32>, %kv: tensor<2x3x22xf32>, %kr: tensor<2x3x4xf32>, %o: tensor<2x3x10xf32>, %l: tensor<2x2x4xf32>) {
  // expected-error@+1 {{expected 'log_sum_exp' to have the shape [2, 2, 3], found [2, 2, 4]}}
  hadal.attention_gradient_heads %o, %q, %kv, %kr, %o, %l {heads = 2 : i64, scale = 1.0 : f64} : tensor<2x3x10xf32>, tensor<2x3x20xf32>, tensor<2x3x22xf32>, tensor<2x3x4xf32>, tensor<2x3x10xf32>, tensor<2x2x4xf32>
  return
}

// -----

// sum_heads C1
func.func @f(%x: tensor<2x3x4xf32>) {
  // expected-error@+1 {{expected 'input' to have rank 4, found 3}}
  hadal.sum_heads %x : tensor<2x3x4xf32>
  return
}

// -----

// cache_append C1
func.func @f(%kr: tensor<1x3x4xf32>, %m: tensor<2x3x5xf32>, %c: tensor<7x64x9xf32>, %b: tensor<7xi32>, %p: tensor<i32>) {
  // expected-error@+1 {{expected dimension 0 of 'latent' to be 1, one sequence, found 2}}
  hadal.cache_append %m, %kr, %c, %b, %p, %p : tensor<2x3x5xf32>, tensor<1x3x4xf32>, tensor<7x64x9xf32>, tensor<7xi32>, tensor<i32>, tensor<i32>
  return
}

// -----

// cache_append C1
func.func @f(%l: tensor<1x3x5xf32>, %kr: tensor<1x3x4xf32>, %d: tensor<7x32x9xf32>, %b: tensor<7xi32>, %p: tensor<i32>) {
  // expected-error@+1 {{expected dimension 1 of 'cache' to be 64, the tokens of a block, found 32}}
  hadal.cache_append %l, %kr, %d, %b, %p, %p : tensor<1x3x5xf32>, tensor<1x3x4xf32>, tensor<7x32x9xf32>, tensor<7xi32>, tensor<i32>, tensor<i32>
  return
}

// -----

// cache_append C1
func.func @f(%l: tensor<1x3x5xf32>, %kr: tensor<1x3x4xf32>, %e: tensor<7x64x8xf32>, %b: tensor<7xi32>, %p: tensor<i32>) {
  // expected-error@+1 {{expected dimension 2 of 'cache' to be 9, latent and rotary values of a token, found 8}}
  hadal.cache_append %l, %kr, %e, %b, %p, %p : tensor<1x3x5xf32>, tensor<1x3x4xf32>, tensor<7x64x8xf32>, tensor<7xi32>, tensor<i32>, tensor<i32>
  return
}

// -----

// cache_append C1
func.func @f(%l: tensor<1x3x5xf32>, %kr: tensor<1x3x4xf32>, %c: tensor<7x64x9xf32>, %f: tensor<6xi32>, %p: tensor<i32>) {
  // expected-error@+1 {{expected dimension 0 of 'block_table' to be 7, the blocks of 'cache', found 6}}
  hadal.cache_append %l, %kr, %c, %f, %p, %p : tensor<1x3x5xf32>, tensor<1x3x4xf32>, tensor<7x64x9xf32>, tensor<6xi32>, tensor<i32>, tensor<i32>
  return
}

// -----

// cached_attention C1
func.func @f(%two: tensor<2x3x20xf32>, %u: tensor<22x5xf32>, %c: tensor<7x64x9xf32>, %b: tensor<7xi32>, %p: tensor<i32>) {
  // expected-error@+1 {{expected dimension 0 of 'query' to be 1, one sequence, found 2}}
  hadal.cached_attention %two, %u, %c, %b, %p {heads = 2 : i64, rotary_dim = 4 : i64, scale = 1.0 : f64} : tensor<2x3x20xf32>, tensor<22x5xf32>, tensor<7x64x9xf32>, tensor<7xi32>, tensor<i32>
  return
}

// -----

// cached_attention C1
func.func @f(%q: tensor<1x3x20xf32>, %u: tensor<22x5xf32>, %c: tensor<7x64x9xf32>, %b: tensor<7xi32>, %p: tensor<i32>) {
  // expected-error@+1 {{expected rotary_dim to be 4, what the cache holds beside the latent, found 6}}
  hadal.cached_attention %q, %u, %c, %b, %p {heads = 2 : i64, rotary_dim = 6 : i64, scale = 1.0 : f64} : tensor<1x3x20xf32>, tensor<22x5xf32>, tensor<7x64x9xf32>, tensor<7xi32>, tensor<i32>
  return
}

// -----

// cached_attention C1
func.func @f(%q: tensor<1x3x20xf32>, %u: tensor<22x5xf32>, %c: tensor<7x64x9xf32>, %b: tensor<7xi32>, %p: tensor<i32>) {
  // expected-error@+1 {{expected heads to divide the rows of 'up_projection', 22, found 4}}
  hadal.cached_attention %q, %u, %c, %b, %p {heads = 4 : i64, rotary_dim = 4 : i64, scale = 1.0 : f64} : tensor<1x3x20xf32>, tensor<22x5xf32>, tensor<7x64x9xf32>, tensor<7xi32>, tensor<i32>
  return
}

// -----

// cached_attention C1
func.func @f(%q: tensor<1x3x20xf32>, %v: tensor<10x5xf32>, %c: tensor<7x64x9xf32>, %b: tensor<7xi32>, %p: tensor<i32>) {
  // expected-error@+1 {{expected 'up_projection' to have more rows than keys have values, 6 a head, found 5}}
  hadal.cached_attention %q, %v, %c, %b, %p {heads = 2 : i64, rotary_dim = 4 : i64, scale = 1.0 : f64} : tensor<1x3x20xf32>, tensor<10x5xf32>, tensor<7x64x9xf32>, tensor<7xi32>, tensor<i32>
  return
}

// -----

// absorb_query C1
func.func @f(%q: tensor<1x3x20xf32>, %u: tensor<22x5xf32>) {
  // expected-error@+1 {{expected heads to divide the last dimension of 'query', 20, found 3}}
  hadal.absorb_query %q, %u {heads = 3 : i64, rotary_dim = 4 : i64} : tensor<1x3x20xf32>, tensor<22x5xf32>
  return
}

// -----

// absorb_query C1
func.func @f(%q: tensor<1x3x20xf32>, %u: tensor<22x5xf32>) {
  // expected-error@+1 {{expected heads to divide the rows of 'up_projection', 22, found 4}}
  hadal.absorb_query %q, %u {heads = 4 : i64, rotary_dim = 4 : i64} : tensor<1x3x20xf32>, tensor<22x5xf32>
  return
}

// -----

// absorb_query C1
func.func @f(%q: tensor<1x3x20xf32>, %u: tensor<22x5xf32>) {
  // expected-error@+1 {{expected rotary_dim to be positive and below 10, the size of a query's head, found 10}}
  hadal.absorb_query %q, %u {heads = 2 : i64, rotary_dim = 10 : i64} : tensor<1x3x20xf32>, tensor<22x5xf32>
  return
}

// -----

// latent_attention C1
func.func @f(%q: tensor<1x3x18xf32>, %c: tensor<7x64x9xf32>, %b: tensor<7xi32>, %p: tensor<i32>) {
  // expected-error@+1 {{expected dimension 2 of 'cache' to be 6, the size of a query's head, found 9}}
  hadal.latent_attention %q, %c, %b, %p {heads = 3 : i64, latent_dim = 5 : i64, scale = 1.0 : f64} : tensor<1x3x18xf32>, tensor<7x64x9xf32>, tensor<7xi32>, tensor<i32>
  return
}

// -----

// latent_attention C1
func.func @f(%q: tensor<1x3x18xf32>, %c: tensor<7x64x9xf32>, %b: tensor<7xi32>, %p: tensor<i32>) {
  // expected-error@+1 {{expected latent_dim to be positive and below 9, the size of a query's head, found 9}}
  hadal.latent_attention %q, %c, %b, %p {heads = 2 : i64, latent_dim = 9 : i64, scale = 1.0 : f64} : tensor<1x3x18xf32>, tensor<7x64x9xf32>, tensor<7xi32>, tensor<i32>
  return
}

// -----

// expand_value C1
func.func @f(%l: tensor<1x3x10xf32>, %u: tensor<22x5xf32>) {
  // expected-error@+1 {{expected dimension 1 of 'up_projection' to be 10, the latent's size, found 5}}
  hadal.expand_value %l, %u {heads = 1 : i64, value_dim = 4 : i64} : tensor<1x3x10xf32>, tensor<22x5xf32>
  return
}

// -----

// expand_value C1
func.func @f(%l: tensor<1x3x10xf32>, %u: tensor<22x5xf32>) {
  // expected-error@+1 {{expected value_dim to be positive and below 11, the rows of a head, found 11}}
  hadal.expand_value %l, %u {heads = 2 : i64, value_dim = 11 : i64} : tensor<1x3x10xf32>, tensor<22x5xf32>
  return
}

// -----

// last_token C1
func.func @f(%x: tensor<2x3x8xf32>, %v: tensor<i32>) {
  // expected-error@+1 {{expected dimension 0 of 'input' to be 1, one sequence, found 2}}
  hadal.last_token %x, %v : tensor<2x3x8xf32>, tensor<i32>
  return
}
