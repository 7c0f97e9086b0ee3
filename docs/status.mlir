// SPDX-License-Identifier: Apache-2.0
//
// Ops that no model of the examples holds, for the status page. FP8 tiles come first.

func.func private @tiles(%x: tensor<5x300xf32>) -> tensor<5x300xf32> attributes {hadal.phase = #hadal.phase<F>} {
  %q = hadal.quantize %x {amax_floor = 0.0001 : f64} : tensor<5x300xf32> -> !hadal.scaled<5x300xf8E4M3FN, 1x128, f32>
  %y = hadal.dequantize %q : !hadal.scaled<5x300xf8E4M3FN, 1x128, f32>
  return %y : tensor<5x300xf32>
}

// And expert parallelism: no example has experts on several ranks.

func.func private @layout(%e: tensor<1x3x3xi32>, %rows: tensor<6x8xf32>) -> (tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>, tensor<1x3x8xf32>) attributes {hadal.phase = #hadal.phase<F>} {
  %c, %o, %t, %s = hadal.exchange_layout %e {expert_count = 4 : i64, members = 2 : i64} : tensor<1x3x3xi32>
  %y = hadal.combine_members %rows, %s : tensor<6x8xf32>, tensor<1x3x2xi32>
  return %c, %o, %t, %s, %y : tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>, tensor<1x3x8xf32>
}

func.func private @sort(%e: tensor<6x3xi32>, %r: tensor<2x3xi64>, %first: tensor<i32>) -> (tensor<3xi64>, tensor<12xi32>, tensor<6x3xi32>) attributes {hadal.phase = #hadal.phase<F>} {
  %o, %s, %l = hadal.sort_received %e, %r, %first {expert_count = 2 : i64} : tensor<6x3xi32>, tensor<2x3xi64>, tensor<i32>
  return %o, %s, %l : tensor<3xi64>, tensor<12xi32>, tensor<6x3xi32>
}

func.func @move(%x: tensor<1x3x8xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>, %t: tensor<6xi32>, %s: tensor<1x3x2xi32>) attributes {hadal.program} {
  %rows, %r = hadal.exchange scatter layer 3 (%x) sent(%c, %o, %t, %s) {members = 2 : i64, phase = #hadal.phase<F>} : (tensor<1x3x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>) -> (tensor<6x8xf32>, tensor<2x3xi64>)
  return
}
