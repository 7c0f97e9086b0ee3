// SPDX-License-Identifier: Apache-2.0
//
// RUN: hadal-opt %s -split-input-file -verify-diagnostics -hadal-decompose

!x = !hadal.scaled<4x256xf8E4M3FN, 1x128, f32>
!w = !hadal.scaled<8x256xf8E4M3FN, 128x128, f32>
func.func @product(%x: !x, %w: !w) -> tensor<4x8xf32> {
  // expected-error @below {{has no kernel on this target: expected products of dequantised operands}}
  %0 = hadal.scaled_linear %x, %w {interval = 128 : i64} : !x, !w
  return %0 : tensor<4x8xf32>
}

// -----

// expected-error @below {{argument 0: expected a bound argument of a builtin type, found '!hadal.scaled<4x256xf8E4M3FN, 1x128, f32>'}}
func.func @bound(%x: !hadal.scaled<4x256xf8E4M3FN, 1x128, f32> {hadal.bind = #hadal.binding<weight, "w">}) {
  return
}

// -----

func.func @program(%x: !hadal.scaled<4x256xf8E4M3FN, 1x128, f32>) attributes {hadal.program} {
  // expected-error @below {{expected builtin tensors, found a scaled one}}
  hadal.output "x", %x : !hadal.scaled<4x256xf8E4M3FN, 1x128, f32>
  return
}
