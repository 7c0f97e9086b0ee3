// SPDX-License-Identifier: Apache-2.0
//
// What is given up.
//
// RUN: hadal-opt %s -hadal-fuse --remarks-filter=fuse -o /dev/null 2>&1 | FileCheck %s

func.func @component(%x: tensor<2x3x8xf32>, %n: tensor<8xf32>, %w: tensor<8x8xf32>, %source: tensor<6xi32>,
                     %slot: tensor<2x3x1xi32>) -> (tensor<6x8xf32>, tensor<2x3x8xf32>) {
  %a, %i = hadal.rms_norm %x, %n {epsilon = 1.0e-6 : f64} : tensor<2x3x8xf32>, tensor<8xf32>
  %p = hadal.linear %a, %w : tensor<2x3x8xf32>, tensor<8x8xf32>
  // CHECK: hadal.rms_norm shares no kernel: another kernel lies between
  %b, %j = hadal.rms_norm %p, %n {epsilon = 1.0e-6 : f64} : tensor<2x3x8xf32>, tensor<8xf32>
  %t = hadal.linear %b, %w : tensor<2x3x8xf32>, tensor<8x8xf32>
  %u = hadal.add %t, %p : tensor<2x3x8xf32>, tensor<2x3x8xf32>
  // CHECK: hadal.dispatch shares no kernel: it reads other rows than its own
  %r = hadal.dispatch %a, %source, %slot : tensor<2x3x8xf32>, tensor<6xi32>, tensor<2x3x1xi32>
  return %r, %u : tensor<6x8xf32>, tensor<2x3x8xf32>
}
