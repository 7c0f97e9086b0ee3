// SPDX-License-Identifier: Apache-2.0
//
// Formats that a buffer cannot have.

// RUN: hadal-opt %s --split-input-file --verify-diagnostics

pipe.program @unknown rank 0 streams ["compute"] {
  // expected-error @below {{'pipe.buffer' op expects hadal.stored to be e4m3, e4m3_blocks, e5m6, bf16 or f32, of elements f32; found "e3m4" of 'tensor<4x8xf32>'}}
  %0 = pipe.buffer arena {hadal.stored = "e3m4"} : tensor<4x8xf32>
}

// -----

pipe.program @integers rank 0 streams ["compute"] {
  // expected-error @below {{found "bf16" of 'tensor<4x8xi32>'}}
  %0 = pipe.buffer arena {hadal.stored = "bf16"} : tensor<4x8xi32>
}

// -----

pipe.program @number rank 0 streams ["compute"] {
  // expected-error @below {{found 8 : i64 of 'tensor<4x8xf32>'}}
  %0 = pipe.buffer arena {hadal.stored = 8} : tensor<4x8xf32>
}
