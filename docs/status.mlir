// SPDX-License-Identifier: Apache-2.0
//
// Ops that no model of the examples holds yet, for the status page: FP8 tiles.

func.func private @tiles(%x: tensor<5x300xf32>) -> tensor<5x300xf32> attributes {hadal.phase = #hadal.phase<F>} {
  %q = hadal.quantize %x {amax_floor = 0.0001 : f64} : tensor<5x300xf32> -> !hadal.scaled<5x300xf8E4M3FN, 1x128, f32>
  %y = hadal.dequantize %q : !hadal.scaled<5x300xf8E4M3FN, 1x128, f32>
  return %y : tensor<5x300xf32>
}
