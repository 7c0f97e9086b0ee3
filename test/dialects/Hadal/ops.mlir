// RUN: hadal-opt %s | hadal-opt | FileCheck %s
// RUN: hadal-opt %s --mlir-print-op-generic | hadal-opt | FileCheck %s
// RUN: hadal-opt %s --emit-bytecode | hadal-opt | FileCheck %s

// Every op, written, read and written again.

// CHECK-LABEL: func.func @layers
func.func @layers(%x: tensor<2x3x8xf32>, %y: tensor<2x3x8xf32>, %w: tensor<6x8xf32>, %norm: tensor<8xf32>) {
  // CHECK: hadal.add %{{.*}}, %{{.*}} : tensor<2x3x8xf32>, tensor<2x3x8xf32>
  %sum = hadal.add %x, %y : tensor<2x3x8xf32>, tensor<2x3x8xf32>
  // CHECK: %[[OUT:.*]] = hadal.linear %{{.*}}, %{{.*}} : tensor<2x3x8xf32>, tensor<6x8xf32>
  %out = hadal.linear %x, %w : tensor<2x3x8xf32>, tensor<6x8xf32>
  // CHECK: hadal.linear %[[OUT]], %{{.*}} {transpose_weight} : tensor<2x3x6xf32>, tensor<6x8xf32>
  %back = hadal.linear %out, %w {transpose_weight} : tensor<2x3x6xf32>, tensor<6x8xf32>
  // CHECK: hadal.weight_gradient %[[OUT]], %{{.*}}, %{{.*}} : tensor<2x3x6xf32>, tensor<2x3x8xf32>, tensor<6x8xf32>
  %dw = hadal.weight_gradient %out, %x, %w : tensor<2x3x6xf32>, tensor<2x3x8xf32>, tensor<6x8xf32>
  // CHECK: %{{.*}}, %[[RMS:.*]] = hadal.rms_norm %{{.*}}, %{{.*}} {epsilon = {{.*}} : f64} : tensor<2x3x8xf32>, tensor<8xf32>
  %n, %rms = hadal.rms_norm %x, %norm {epsilon = 1.0e-6 : f64} : tensor<2x3x8xf32>, tensor<8xf32>
  // CHECK: hadal.rms_norm_gradient %{{.*}}, %{{.*}}, %[[RMS]], %{{.*}} : tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<2x3xf32>, tensor<8xf32>
  %dn = hadal.rms_norm_gradient %n, %x, %rms, %norm : tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<2x3xf32>, tensor<8xf32>
  // CHECK: hadal.rms_norm_weight_gradient %{{.*}}, %{{.*}}, %[[RMS]], %{{.*}} : tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<2x3xf32>, tensor<8xf32>
  %dnw = hadal.rms_norm_weight_gradient %n, %x, %rms, %norm : tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<2x3xf32>, tensor<8xf32>
  // CHECK: hadal.swiglu %{{.*}}, %{{.*}} : tensor<2x3x8xf32>, tensor<2x3x8xf32>
  %s = hadal.swiglu %x, %y : tensor<2x3x8xf32>, tensor<2x3x8xf32>
  // CHECK: hadal.swiglu %{{.*}}, %{{.*}} scaled_by %[[RMS]] : tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<2x3xf32>
  %t = hadal.swiglu %x, %y scaled_by %rms : tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<2x3xf32>
  // CHECK: %{{.*}}, %{{.*}} = hadal.swiglu_gradient %{{.*}}, %{{.*}}, %{{.*}} : tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>
  %dg, %du = hadal.swiglu_gradient %s, %x, %y : tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>
  // CHECK: hadal.swiglu_gradient %{{.*}}, %{{.*}}, %{{.*}} scaled_by %[[RMS]] : tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<2x3xf32>
  %dgs:3 = hadal.swiglu_gradient %t, %x, %y scaled_by %rms : tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<2x3xf32>
  // CHECK: %[[FIRST:.*]], %[[SECOND:.*]] = hadal.split %{{.*}} {size = 5 : i64} : tensor<2x3x8xf32>
  %first, %second = hadal.split %x {size = 5 : i64} : tensor<2x3x8xf32>
  // CHECK: hadal.concat %[[SECOND]], %[[FIRST]] : tensor<2x3x3xf32>, tensor<2x3x5xf32>
  %joined = hadal.concat %second, %first : tensor<2x3x3xf32>, tensor<2x3x5xf32>
  return
}

// CHECK-LABEL: func.func @tokens
func.func @tokens(%ids: tensor<2x5xi32>, %table: tensor<16x8xf32>, %seed: tensor<f32>, %logits: tensor<2x3x16xf32>) {
  // CHECK: hadal.embedding %{{.*}}, %{{.*}} {offset = 2 : i64, tokens = 3 : i64} : tensor<2x5xi32>, tensor<16x8xf32>
  %x = hadal.embedding %ids, %table {offset = 2 : i64, tokens = 3 : i64} : tensor<2x5xi32>, tensor<16x8xf32>
  // CHECK: hadal.embedding_gradient %{{.*}}, %{{.*}}, %{{.*}} {offset = 2 : i64} : tensor<2x3x8xf32>, tensor<2x5xi32>, tensor<16x8xf32>
  %dt = hadal.embedding_gradient %x, %ids, %table {offset = 2 : i64} : tensor<2x3x8xf32>, tensor<2x5xi32>, tensor<16x8xf32>
  // CHECK: hadal.cross_entropy %{{.*}}, %{{.*}} {divisor = 6 : i64, offset = 1 : i64} : tensor<2x3x16xf32>, tensor<2x5xi32>
  %loss, %lse = hadal.cross_entropy %logits, %ids {divisor = 6 : i64, offset = 1 : i64} : tensor<2x3x16xf32>, tensor<2x5xi32>
  // CHECK: hadal.cross_entropy_rows %{{.*}}, %{{.*}} {offset = 1 : i64} : tensor<2x3x16xf32>, tensor<2x5xi32>
  %rows, %lse2 = hadal.cross_entropy_rows %logits, %ids {offset = 1 : i64} : tensor<2x3x16xf32>, tensor<2x5xi32>
  // CHECK: hadal.reduce_loss %{{.*}} {divisor = 6 : i64} : tensor<2x3xf64>
  %loss2 = hadal.reduce_loss %rows {divisor = 6 : i64} : tensor<2x3xf64>
  // CHECK: hadal.cross_entropy_gradient %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {divisor = 6 : i64, offset = 1 : i64} : tensor<f32>, tensor<2x3x16xf32>, tensor<2x3xf32>, tensor<2x5xi32>
  %dl = hadal.cross_entropy_gradient %seed, %logits, %lse, %ids {divisor = 6 : i64, offset = 1 : i64} : tensor<f32>, tensor<2x3x16xf32>, tensor<2x3xf32>, tensor<2x5xi32>
  return
}

// CHECK-LABEL: func.func @attention
func.func @attention(%q: tensor<2x3x20xf32>, %kv: tensor<2x3x22xf32>, %kr: tensor<2x3x4xf32>, %cos: tensor<8x2xf32>,
                     %sin: tensor<8x2xf32>, %position: tensor<i32>) {
  // CHECK: hadal.rope %{{.*}}, %{{.*}}, %{{.*}} {heads = 2 : i64, rotary_dim = 4 : i64} : tensor<2x3x20xf32>, tensor<8x2xf32>, tensor<8x2xf32>
  %r = hadal.rope %q, %cos, %sin {heads = 2 : i64, rotary_dim = 4 : i64} : tensor<2x3x20xf32>, tensor<8x2xf32>, tensor<8x2xf32>
  // CHECK: hadal.rope %{{.*}}, %{{.*}}, %{{.*}} at %{{.*}} {heads = 2 : i64, inverse, rotary_dim = 4 : i64} : tensor<2x3x20xf32>, tensor<8x2xf32>, tensor<8x2xf32>, tensor<i32>
  %i = hadal.rope %r, %cos, %sin at %position {heads = 2 : i64, inverse, pairs = #hadal.pairs<interleaved>, rotary_dim = 4 : i64} : tensor<2x3x20xf32>, tensor<8x2xf32>, tensor<8x2xf32>, tensor<i32>
  // CHECK: %[[O:.*]], %[[L:.*]] = hadal.attention %{{.*}}, %{{.*}}, %{{.*}} {heads = 2 : i64, scale = 2.500000e-01 : f64} : tensor<2x3x20xf32>, tensor<2x3x22xf32>, tensor<2x3x4xf32>
  %o, %lse = hadal.attention %r, %kv, %kr {heads = 2 : i64, scale = 0.25 : f64} : tensor<2x3x20xf32>, tensor<2x3x22xf32>, tensor<2x3x4xf32>
  // CHECK: hadal.attention_gradient %[[O]], %{{.*}}, %{{.*}}, %{{.*}}, %[[O]], %[[L]] {heads = 2 : i64, scale = 2.500000e-01 : f64} : tensor<2x3x10xf32>, tensor<2x3x20xf32>, tensor<2x3x22xf32>, tensor<2x3x4xf32>, tensor<2x3x10xf32>, tensor<2x2x3xf32>
  %dq, %dkv, %dkr = hadal.attention_gradient %o, %r, %kv, %kr, %o, %lse {heads = 2 : i64, scale = 0.25 : f64} : tensor<2x3x10xf32>, tensor<2x3x20xf32>, tensor<2x3x22xf32>, tensor<2x3x4xf32>, tensor<2x3x10xf32>, tensor<2x2x3xf32>
  // CHECK: %{{.*}}, %{{.*}}, %[[DKR:.*]] = hadal.attention_gradient_heads %[[O]], %{{.*}}, %{{.*}}, %{{.*}}, %[[O]], %[[L]] {heads = 2 : i64, scale = 2.500000e-01 : f64} : tensor<2x3x10xf32>, tensor<2x3x20xf32>, tensor<2x3x22xf32>, tensor<2x3x4xf32>, tensor<2x3x10xf32>, tensor<2x2x3xf32>
  %dq2, %dkv2, %heads = hadal.attention_gradient_heads %o, %r, %kv, %kr, %o, %lse {heads = 2 : i64, scale = 0.25 : f64} : tensor<2x3x10xf32>, tensor<2x3x20xf32>, tensor<2x3x22xf32>, tensor<2x3x4xf32>, tensor<2x3x10xf32>, tensor<2x2x3xf32>
  // CHECK: hadal.sum_heads %[[DKR]] : tensor<2x2x3x4xf32>
  %sum = hadal.sum_heads %heads : tensor<2x2x3x4xf32>
  return
}

// CHECK-LABEL: func.func @cache
func.func @cache(%q: tensor<1x3x20xf32>, %up: tensor<22x5xf32>, %latent: tensor<1x3x5xf32>, %kr: tensor<1x3x4xf32>,
                 %cache: tensor<7x64x9xf32>, %blocks: tensor<7xi32>, %position: tensor<i32>, %valid: tensor<i32>) {
  // CHECK: %[[C:.*]] = hadal.cache_append %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} : tensor<1x3x5xf32>, tensor<1x3x4xf32>, tensor<7x64x9xf32>, tensor<7xi32>, tensor<i32>, tensor<i32>
  %c = hadal.cache_append %latent, %kr, %cache, %blocks, %position, %valid : tensor<1x3x5xf32>, tensor<1x3x4xf32>, tensor<7x64x9xf32>, tensor<7xi32>, tensor<i32>, tensor<i32>
  // CHECK: hadal.cached_attention %{{.*}}, %{{.*}}, %[[C]], %{{.*}}, %{{.*}} {heads = 2 : i64, rotary_dim = 4 : i64, scale = 2.500000e-01 : f64} : tensor<1x3x20xf32>, tensor<22x5xf32>, tensor<7x64x9xf32>, tensor<7xi32>, tensor<i32>
  %o = hadal.cached_attention %q, %up, %c, %blocks, %position {heads = 2 : i64, rotary_dim = 4 : i64, scale = 0.25 : f64} : tensor<1x3x20xf32>, tensor<22x5xf32>, tensor<7x64x9xf32>, tensor<7xi32>, tensor<i32>
  // CHECK: %[[A:.*]] = hadal.absorb_query %{{.*}}, %{{.*}} {heads = 2 : i64, rotary_dim = 4 : i64} : tensor<1x3x20xf32>, tensor<22x5xf32>
  %a = hadal.absorb_query %q, %up {heads = 2 : i64, rotary_dim = 4 : i64} : tensor<1x3x20xf32>, tensor<22x5xf32>
  // CHECK: %[[LO:.*]] = hadal.latent_attention %[[A]], %[[C]], %{{.*}}, %{{.*}} {heads = 2 : i64, latent_dim = 5 : i64, scale = 2.500000e-01 : f64} : tensor<1x3x18xf32>, tensor<7x64x9xf32>, tensor<7xi32>, tensor<i32>
  %l = hadal.latent_attention %a, %c, %blocks, %position {heads = 2 : i64, latent_dim = 5 : i64, scale = 0.25 : f64} : tensor<1x3x18xf32>, tensor<7x64x9xf32>, tensor<7xi32>, tensor<i32>
  // CHECK: %[[E:.*]] = hadal.expand_value %[[LO]], %{{.*}} {heads = 2 : i64, value_dim = 5 : i64} : tensor<1x3x10xf32>, tensor<22x5xf32>
  %e = hadal.expand_value %l, %up {heads = 2 : i64, value_dim = 5 : i64} : tensor<1x3x10xf32>, tensor<22x5xf32>
  // CHECK: hadal.last_token %[[E]], %{{.*}} : tensor<1x3x10xf32>, tensor<i32>
  %t = hadal.last_token %e, %valid : tensor<1x3x10xf32>, tensor<i32>
  return
}

// CHECK-LABEL: func.func @experts
func.func @experts(%x: tensor<2x3x8xf32>, %logits: tensor<2x3x4xf32>, %bias: tensor<4xf32>, %total: tensor<4xi64>,
                   %w: tensor<4x6x8xf32>, %seed: tensor<f32>, %speed: tensor<f64>) {
  // CHECK: %[[EX:.*]], %[[W:.*]], %[[S:.*]] = hadal.route %{{.*}}, %{{.*}} {epsilon = {{.*}} : f64, groups = 2 : i64, kept_groups = 1 : i64, normalize = true, scaling_factor = 2.500000e+00 : f64, top_k = 2 : i64} : tensor<2x3x4xf32>, tensor<4xf32>
  %experts, %weights, %scores = hadal.route %logits, %bias {epsilon = 1.0e-20 : f64, groups = 2 : i64, kept_groups = 1 : i64, normalize = true, scaling_factor = 2.5 : f64, top_k = 2 : i64} : tensor<2x3x4xf32>, tensor<4xf32>
  // CHECK: hadal.route_gradient weights %[[W]] : tensor<2x3x2xf32> of %[[EX]], %[[S]] {{.*}} : tensor<2x3x2xi32>, tensor<2x3x4xf32>
  %g1 = hadal.route_gradient weights %weights : tensor<2x3x2xf32> of %experts, %scores {epsilon = 1.0e-20 : f64, normalize = true, scaling_factor = 2.5 : f64} : tensor<2x3x2xi32>, tensor<2x3x4xf32>
  // CHECK: hadal.route_gradient scores %[[S]] : tensor<2x3x4xf32> of
  %g2 = hadal.route_gradient scores %scores : tensor<2x3x4xf32> of %experts, %scores {epsilon = 1.0e-20 : f64, normalize = true, scaling_factor = 2.5 : f64} : tensor<2x3x2xi32>, tensor<2x3x4xf32>
  // CHECK: hadal.route_gradient weights %[[W]] : tensor<2x3x2xf32> scores %[[S]] : tensor<2x3x4xf32> of
  %g3 = hadal.route_gradient weights %weights : tensor<2x3x2xf32> scores %scores : tensor<2x3x4xf32> of %experts, %scores {epsilon = 1.0e-20 : f64, normalize = true, scaling_factor = 2.5 : f64} : tensor<2x3x2xi32>, tensor<2x3x4xf32>
  // CHECK: %[[N:.*]], %[[OFF:.*]], %[[SRC:.*]], %[[SLOT:.*]] = hadal.sort_by_expert %[[EX]] {expert_count = 4 : i64} : tensor<2x3x2xi32>
  %counts, %offsets, %source, %slot = hadal.sort_by_expert %experts {expert_count = 4 : i64} : tensor<2x3x2xi32>
  // CHECK: hadal.accumulate_counts %[[N]], %{{.*}} : tensor<4xi64>, tensor<4xi64>
  %sum = hadal.accumulate_counts %counts, %total : tensor<4xi64>, tensor<4xi64>
  // CHECK: %[[ROWS:.*]] = hadal.dispatch %{{.*}}, %[[SRC]], %[[SLOT]] : tensor<2x3x8xf32>, tensor<12xi32>, tensor<2x3x2xi32>
  %rows = hadal.dispatch %x, %source, %slot : tensor<2x3x8xf32>, tensor<12xi32>, tensor<2x3x2xi32>
  // CHECK: hadal.combine %[[ROWS]], %[[SRC]], %[[SLOT]] : tensor<12x8xf32>, tensor<12xi32>, tensor<2x3x2xi32>
  %y = hadal.combine %rows, %source, %slot : tensor<12x8xf32>, tensor<12xi32>, tensor<2x3x2xi32>
  // CHECK: %[[RW:.*]] = hadal.dispatch_weights %[[W]], %[[SRC]], %[[SLOT]] : tensor<2x3x2xf32>, tensor<12xi32>, tensor<2x3x2xi32>
  %rw = hadal.dispatch_weights %weights, %source, %slot : tensor<2x3x2xf32>, tensor<12xi32>, tensor<2x3x2xi32>
  // CHECK: hadal.combine_weights %[[RW]], %[[SRC]], %[[SLOT]] : tensor<12xf32>, tensor<12xi32>, tensor<2x3x2xi32>
  %cw = hadal.combine_weights %rw, %source, %slot : tensor<12xf32>, tensor<12xi32>, tensor<2x3x2xi32>
  // CHECK: %[[UP:.*]] = hadal.grouped_linear %[[ROWS]], %{{.*}}, %[[OFF]] : tensor<12x8xf32>, tensor<4x6x8xf32>, tensor<5xi64>
  %up = hadal.grouped_linear %rows, %w, %offsets : tensor<12x8xf32>, tensor<4x6x8xf32>, tensor<5xi64>
  // CHECK: hadal.grouped_linear %[[UP]], %{{.*}}, %[[OFF]] {transpose_weight} : tensor<12x6xf32>, tensor<4x6x8xf32>, tensor<5xi64>
  %back = hadal.grouped_linear %up, %w, %offsets {transpose_weight} : tensor<12x6xf32>, tensor<4x6x8xf32>, tensor<5xi64>
  // CHECK: hadal.grouped_weight_gradient %[[UP]], %[[ROWS]], %[[OFF]], %{{.*}} : tensor<12x6xf32>, tensor<12x8xf32>, tensor<5xi64>, tensor<4x6x8xf32>
  %dw = hadal.grouped_weight_gradient %up, %rows, %offsets, %w : tensor<12x6xf32>, tensor<12x8xf32>, tensor<5xi64>, tensor<4x6x8xf32>
  // CHECK: %{{.*}}, %[[F:.*]] = hadal.sequence_balance %[[S]] {alpha = 1.000000e-04 : f64, top_k = 2 : i64} : tensor<2x3x4xf32>
  %loss, %fractions = hadal.sequence_balance %scores {alpha = 1.0e-4 : f64, top_k = 2 : i64} : tensor<2x3x4xf32>
  // CHECK: hadal.sequence_balance_rows %[[S]] {alpha = 1.000000e-04 : f64, top_k = 2 : i64} : tensor<2x3x4xf32>
  %row_loss, %fractions2 = hadal.sequence_balance_rows %scores {alpha = 1.0e-4 : f64, top_k = 2 : i64} : tensor<2x3x4xf32>
  // CHECK: hadal.sequence_balance_gradient %{{.*}}, %[[S]], %[[F]] {alpha = 1.000000e-04 : f64} : tensor<f32>, tensor<2x3x4xf32>, tensor<2x4xf32>
  %ds = hadal.sequence_balance_gradient %seed, %scores, %fractions {alpha = 1.0e-4 : f64} : tensor<f32>, tensor<2x3x4xf32>, tensor<2x4xf32>
  // CHECK: hadal.bias_update %{{.*}}, %{{.*}}, %{{.*}} : tensor<4xf32>, tensor<4xi64>, tensor<f64>
  %b = hadal.bias_update %bias, %sum, %speed : tensor<4xf32>, tensor<4xi64>, tensor<f64>
  return
}

// CHECK-LABEL: func.func @join
func.func @join(%e: tensor<2x3x8xf32>, %h: tensor<2x5x8xf32>) {
  // CHECK: %[[J:.*]] = hadal.mtp_join %{{.*}}, %{{.*}} : tensor<2x3x8xf32>, tensor<2x5x8xf32>
  %j = hadal.mtp_join %e, %h : tensor<2x3x8xf32>, tensor<2x5x8xf32>
  // CHECK: hadal.mtp_join %{{.*}}, %{{.*}} {half_order = #hadal.half_order<hidden_first>} : tensor<2x3x8xf32>, tensor<2x5x8xf32>
  %k = hadal.mtp_join %e, %h {half_order = #hadal.half_order<hidden_first>} : tensor<2x3x8xf32>, tensor<2x5x8xf32>
  // CHECK: hadal.mtp_join_gradient %[[J]] {hidden_tokens = 5 : i64} : tensor<2x3x16xf32>
  %de, %dh = hadal.mtp_join_gradient %j {hidden_tokens = 5 : i64} : tensor<2x3x16xf32>
  return
}

// CHECK-LABEL: func.func @optimizer
func.func @optimizer(%p: tensor<300x300xf32>, %g: tensor<300x300xf32>, %total: tensor<f64>) {
  // CHECK: %[[B:.*]] = hadal.square_sum %{{.*}} : tensor<300x300xf32>
  %blocks = hadal.square_sum %g : tensor<300x300xf32>
  // CHECK: %[[T:.*]] = hadal.accumulate_squares %[[B]], %{{.*}} : tensor<2xf64>, tensor<f64>
  %t = hadal.accumulate_squares %blocks, %total : tensor<2xf64>, tensor<f64>
  // CHECK: %[[NORM:.*]], %[[FACTOR:.*]] = hadal.clip_factor %[[T]] {clip_norm = 1.000000e+00 : f64} : tensor<f64>
  %norm, %factor = hadal.clip_factor %t {clip_norm = 1.0 : f64} : tensor<f64>
  // CHECK: hadal.adamw %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %[[NORM]], %{{.*}}, %{{.*}}, %[[FACTOR]] {beta1 = {{.*}} : f64, beta2 = {{.*}} : f64, epsilon = {{.*}} : f64, weight_decay = {{.*}} : f64} : tensor<300x300xf32>, tensor<300x300xf32>, tensor<300x300xf32>, tensor<300x300xf32>, tensor<f64>, tensor<f64>, tensor<f64>, tensor<f32>
  %new:3 = hadal.adamw %p, %g, %g, %g, %norm, %total, %total, %factor {beta1 = 0.9 : f64, beta2 = 0.95 : f64, epsilon = 1.0e-8 : f64, weight_decay = 0.1 : f64} : tensor<300x300xf32>, tensor<300x300xf32>, tensor<300x300xf32>, tensor<300x300xf32>, tensor<f64>, tensor<f64>, tensor<f64>, tensor<f32>
  // CHECK: hadal.accumulate %{{.*}}, %{{.*}} : tensor<300x300xf32>, tensor<300x300xf32>
  %sum = hadal.accumulate %p, %g : tensor<300x300xf32>, tensor<300x300xf32>
  return
}

// CHECK-LABEL: func.func @scaled
func.func @scaled(%x: tensor<5x300xf32>, %w: tensor<200x300xf32>) {
  // CHECK: %[[X:.*]] = hadal.quantize %{{.*}} {amax_floor = 1.000000e-04 : f64} : tensor<5x300xf32> -> <5x300xf8E4M3FN, 1x128, pow2>
  %qx = hadal.quantize %x {amax_floor = 1.0e-4 : f64} : tensor<5x300xf32> -> !hadal.scaled<5x300xf8E4M3FN, 1x128, pow2>
  // CHECK: %[[WQ:.*]] = hadal.quantize %{{.*}} {amax_floor = 0.000000e+00 : f64} : tensor<200x300xf32> -> <200x300xf8E5M2, 128x128, f32>
  %qw = hadal.quantize %w {amax_floor = 0.0 : f64} : tensor<200x300xf32> -> !hadal.scaled<200x300xf8E5M2, 128x128, f32>
  // CHECK: hadal.dequantize %[[X]] : <5x300xf8E4M3FN, 1x128, pow2>
  %dx = hadal.dequantize %qx : !hadal.scaled<5x300xf8E4M3FN, 1x128, pow2>
  // CHECK: hadal.scaled_linear %[[X]], %[[WQ]] {interval = 32 : i64} : <5x300xf8E4M3FN, 1x128, pow2>, <200x300xf8E5M2, 128x128, f32>
  %y = hadal.scaled_linear %qx, %qw {interval = 32 : i64} : !hadal.scaled<5x300xf8E4M3FN, 1x128, pow2>, !hadal.scaled<200x300xf8E5M2, 128x128, f32>
  // CHECK: %[[EL:.*]], %[[SC:.*]] = hadal.quantize_tiles %{{.*}} {amax_floor = 1.000000e-04 : f64, element = f8E4M3FN, power_of_two = false, tile_columns = 128 : i64, tile_rows = 128 : i64} : tensor<200x300xf32>
  %elements, %scales = hadal.quantize_tiles %w {amax_floor = 1.0e-4 : f64, element = f8E4M3FN, power_of_two = false, tile_columns = 128 : i64, tile_rows = 128 : i64} : tensor<200x300xf32>
  // CHECK: hadal.dequantize_tiles %[[EL]], %[[SC]] {tile_columns = 128 : i64, tile_rows = 128 : i64} : tensor<200x300xf8E4M3FN>, tensor<2x3xf32>
  %values = hadal.dequantize_tiles %elements, %scales {tile_columns = 128 : i64, tile_rows = 128 : i64} : tensor<200x300xf8E4M3FN>, tensor<2x3xf32>
  return
}

// CHECK-LABEL: func.func @component
// CHECK-SAME: hadal.bind = #hadal.binding<weight, "model.layers.{layer}.w">
func.func @component(%x: tensor<2x8xf32>, %w: tensor<6x8xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.w">})
    -> tensor<2x6xf32> attributes {hadal.phase = #hadal.phase<F>} {
  // CHECK: hadal.kernel(%{{.*}}, %{{.*}}) : (tensor<2x8xf32>, tensor<6x8xf32>) -> tensor<2x6xf32> {
  // CHECK: ^bb0(%[[A:.*]]: tensor<2x8xf32>, %[[B:.*]]: tensor<6x8xf32>):
  // CHECK: hadal.yield %{{.*}} : tensor<2x6xf32>
  %y = hadal.kernel(%x, %w) : (tensor<2x8xf32>, tensor<6x8xf32>) -> tensor<2x6xf32> {
  ^bb0(%a: tensor<2x8xf32>, %b: tensor<6x8xf32>):
    %product = hadal.linear %a, %b : tensor<2x8xf32>, tensor<6x8xf32>
    hadal.yield %product : tensor<2x6xf32>
  }
  // CHECK: hadal.kernel() attributes {launch = #hadal.launch<"k", sizes = [4, 5], grid = 7, scratch = 0, flops = 12>} : () -> ()
  hadal.kernel() attributes {launch = #hadal.launch<"k", sizes = [4, 5], grid = 7, scratch = 0, flops = 12>} : () -> () {
  }
  return %y : tensor<2x6xf32>
}

// CHECK-LABEL: func.func @update
func.func @update(%p: tensor<8xf32> {hadal.bind = #hadal.binding<weight, "{parameter}">}) -> tensor<8xf32> {
  return %p : tensor<8xf32>
}

// CHECK-LABEL: func.func @program
// CHECK-SAME: attributes {hadal.program}
func.func @program(%x: tensor<2x8xf32>) attributes {hadal.program} {
  // CHECK: %[[Y:.*]] = hadal.apply @component layer 3(%{{.*}}) : (tensor<2x8xf32>) -> tensor<2x6xf32>
  %y = hadal.apply @component layer 3 (%x) : (tensor<2x8xf32>) -> tensor<2x6xf32>
  // CHECK: hadal.output "logits", %[[Y]] : tensor<2x6xf32>
  hadal.output "logits", %y : tensor<2x6xf32>
  // CHECK: hadal.apply @update parameter "lm_head.weight"() : () -> tensor<8xf32>
  %p = hadal.apply @update parameter "lm_head.weight" () : () -> tensor<8xf32>
  return
}
