// SPDX-License-Identifier: Apache-2.0
//
// RUN: hadal-opt %s -split-input-file -verify-diagnostics -hadal-fuse

func.func @constant(%x: tensor<2xf32>) -> tensor<2xf32> {
  // expected-error @below {{expected the component's constants to be arguments, found a constant in its body}}
  %c = arith.constant dense<1.0> : tensor<2xf32>
  %s = hadal.add %x, %c : tensor<2xf32>, tensor<2xf32>
  return %s : tensor<2xf32>
}

// -----

func.func @foreign(%x: tensor<2xf32>) -> tensor<2xf32> {
  // expected-error @below {{expected an op that a kernel can hold in the body of a component}}
  %s = arith.addf %x, %x : tensor<2xf32>
  return %s : tensor<2xf32>
}

// -----

func.func @scaled(%x: tensor<4x256xf32>) -> tensor<4x256xf32> {
  // expected-error @below {{expected builtin tensors below fuse, found '!hadal.scaled<4x256xf8E4M3FN, 1x128, f32>'}}
  %q = hadal.quantize %x {amax_floor = 1.0e-4 : f64} : tensor<4x256xf32> -> !hadal.scaled<4x256xf8E4M3FN, 1x128, f32>
  %d = hadal.dequantize %q : !hadal.scaled<4x256xf8E4M3FN, 1x128, f32>
  return %d : tensor<4x256xf32>
}

// -----

func.func @late(%g: tensor<8xf32>, %a: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  // expected-note @below {{updated here}}
  %r = hadal.accumulate %g, %a : tensor<8xf32>, tensor<8xf32>
  // expected-error @below {{expects values that are still in memory, but an operand was updated before}}
  %s = hadal.add %a, %g : tensor<8xf32>, tensor<8xf32>
  return %r, %s : tensor<8xf32>, tensor<8xf32>
}

// -----

// expected-error @below {{expected a component of one block}}
func.func @blocks(%x: tensor<8xf32>) -> tensor<8xf32> {
  cf.br ^next
^next:
  return %x : tensor<8xf32>
}
