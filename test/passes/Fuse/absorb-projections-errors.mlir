// RUN: hadal-opt --hadal-cpu-kernels --verify-diagnostics --split-input-file %s

// Without the pass the op reaches the code generator, which has nothing for it.
func.func @not_absorbed(%query: tensor<1x4x21xf32>, %up: tensor<36x11xf32>, %cache: tensor<2x64x13xf32>, %table: tensor<2xi32>, %position: tensor<i32>) -> tensor<1x4x21xf32> {
  %output = hadal.kernel(%query, %up, %cache, %table, %position) : (tensor<1x4x21xf32>, tensor<36x11xf32>, tensor<2x64x13xf32>, tensor<2xi32>, tensor<i32>) -> tensor<1x4x21xf32> {
  ^bb0(%a: tensor<1x4x21xf32>, %b: tensor<36x11xf32>, %c: tensor<2x64x13xf32>, %d: tensor<2xi32>, %e: tensor<i32>):
    // expected-error @below {{'hadal.cached_attention' op has no kernel on target cpu: expected --hadal-absorb-projections to have rewritten it}}
    %x = hadal.cached_attention %a, %b, %c, %d, %e {heads = 3, rotary_dim = 2, scale = 0.5 : f64} : tensor<1x4x21xf32>, tensor<36x11xf32>, tensor<2x64x13xf32>, tensor<2xi32>, tensor<i32>
    hadal.yield %x : tensor<1x4x21xf32>
  }
  return %output : tensor<1x4x21xf32>
}
