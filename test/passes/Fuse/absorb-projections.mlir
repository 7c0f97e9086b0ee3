// RUN: hadal-opt --hadal-absorb-projections %s | FileCheck %s

// n = 5, r = 2, v = 7, c = 11, three heads.
// CHECK-LABEL: func.func @one
// CHECK-SAME: %[[QUERY:.*]]: tensor<1x4x21xf32>, %[[UP:.*]]: tensor<36x11xf32>, %[[CACHE:.*]]: tensor<2x64x13xf32>, %[[TABLE:.*]]: tensor<2xi32>, %[[POSITION:.*]]: tensor<i32>
func.func @one(%query: tensor<1x4x21xf32>, %up: tensor<36x11xf32>, %cache: tensor<2x64x13xf32>, %table: tensor<2xi32>, %position: tensor<i32>) -> tensor<1x4x21xf32> {
  // CHECK-NEXT: %[[ABSORBED:.*]] = hadal.absorb_query %[[QUERY]], %[[UP]] {heads = 3 : i64, rotary_dim = 2 : i64} : tensor<1x4x21xf32>, tensor<36x11xf32>
  // CHECK-NEXT: %[[LATENT:.*]] = hadal.latent_attention %[[ABSORBED]], %[[CACHE]], %[[TABLE]], %[[POSITION]] {heads = 3 : i64, latent_dim = 11 : i64, scale = 5.000000e-01 : f64} : tensor<1x4x39xf32>
  // CHECK-NEXT: %[[OUTPUT:.*]] = hadal.expand_value %[[LATENT]], %[[UP]] {heads = 3 : i64, value_dim = 7 : i64} : tensor<1x4x33xf32>, tensor<36x11xf32>
  // CHECK-NEXT: return %[[OUTPUT]]
  %output = hadal.cached_attention %query, %up, %cache, %table, %position {heads = 3, rotary_dim = 2, scale = 0.5 : f64} : tensor<1x4x21xf32>, tensor<36x11xf32>, tensor<2x64x13xf32>, tensor<2xi32>, tensor<i32>
  return %output : tensor<1x4x21xf32>
}

// Attention over full keys and values is left alone.
// CHECK-LABEL: func.func @training
func.func @training(%query: tensor<1x4x21xf32>, %kv: tensor<1x4x36xf32>, %kr: tensor<1x4x2xf32>) -> tensor<1x4x21xf32> {
  // CHECK: hadal.attention
  // CHECK-NOT: hadal.latent_attention
  %output, %logs = hadal.attention %query, %kv, %kr {heads = 3, scale = 0.5 : f64} : tensor<1x4x21xf32>, tensor<1x4x36xf32>, tensor<1x4x2xf32>
  return %output : tensor<1x4x21xf32>
}
