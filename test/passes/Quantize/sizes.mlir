// SPDX-License-Identifier: Apache-2.0
//
// Bytes of every format, placed one behind the other (each at a multiple of 64): 3 rows of 200 elements are 3 x (200 + 2 scales
// of 4 bytes) = 624 in e4m3, 3 x (300 + 8) = 924 in e5m6, 1200 in bf16, 2400 in f32; 2 matrices of 130 x 200 are
// 2 x (26000 + 4 scales of 4 bytes) = 52032 in blocks. 624 -> 640, 924 -> 960, 1200 -> 1216, 2400 -> 2432, 52032 -> 52032.

// RUN: hadal-opt %s --pipe-plan-arenas | FileCheck %s

// CHECK: arena <bytes = 57280,
pipe.program @sizes rank 0 streams ["compute"] {
  // CHECK-DAG: pipe.buffer "narrow" arena at {{[0-9]+}} {hadal.stored = "e4m3"}
  %0 = pipe.buffer "narrow" arena {hadal.stored = "e4m3"} : tensor<3x200xf32>
  %1 = pipe.buffer "twelve" arena {hadal.stored = "e5m6"} : tensor<3x200xf32>
  %2 = pipe.buffer "half" arena {hadal.stored = "bf16"} : tensor<3x200xf32>
  %3 = pipe.buffer "whole" arena : tensor<3x200xf32>
  %4 = pipe.buffer "blocks" arena {hadal.stored = "e4m3_blocks"} : tensor<2x130x200xf32>
  pipe.zero %0 stream 0
  pipe.zero %1 stream 0
  pipe.zero %2 stream 0
  pipe.zero %3 stream 0
  pipe.zero %4 stream 0
}
