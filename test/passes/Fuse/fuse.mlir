// SPDX-License-Identifier: Apache-2.0
//
// RUN: hadal-opt %s -split-input-file -hadal-fuse | FileCheck %s
// RUN: hadal-opt %s -split-input-file -hadal-fuse=enable=false | FileCheck %s --check-prefix=OFF
// RUN: hadal-opt %s -split-input-file -hadal-fuse -hadal-fuse | FileCheck %s

// A product takes the sums behind it; a norm of the sum is another kernel, since it needs whole rows.
// CHECK-LABEL: func.func @residual
// OFF-LABEL: func.func @residual
func.func @residual(%x: tensor<2x3x8xf32>, %w: tensor<8x8xf32>, %n: tensor<8xf32>) -> (tensor<2x3x8xf32>, tensor<2x3x8xf32>) {
  // CHECK: %[[H:.*]] = hadal.kernel(%arg0, %arg1)
  // CHECK: hadal.linear
  // CHECK: %[[S:.*]] = hadal.add
  // CHECK-NEXT: hadal.yield %[[S]] : tensor<2x3x8xf32>
  // CHECK: %[[N:.*]] = hadal.kernel(%[[H]], %arg2) : (tensor<2x3x8xf32>, tensor<8xf32>) -> tensor<2x3x8xf32>
  // CHECK: hadal.rms_norm
  // CHECK: return %[[H]], %[[N]]
  // OFF-COUNT-3: hadal.kernel
  // OFF-NOT: hadal.kernel
  // OFF: return
  %p = hadal.linear %x, %w : tensor<2x3x8xf32>, tensor<8x8xf32>
  %h = hadal.add %x, %p : tensor<2x3x8xf32>, tensor<2x3x8xf32>
  %r, %i = hadal.rms_norm %h, %n {epsilon = 1.0e-6 : f64} : tensor<2x3x8xf32>, tensor<8xf32>
  return %h, %r : tensor<2x3x8xf32>, tensor<2x3x8xf32>
}

// -----

// The product's own value is yielded too where it is needed.
// CHECK-LABEL: func.func @gated
func.func @gated(%x: tensor<6x8xf32>, %g: tensor<4x8xf32>, %u: tensor<4x8xf32>) -> (tensor<6x4xf32>, tensor<6x4xf32>, tensor<6x4xf32>) {
  // CHECK: %[[G:.*]] = hadal.kernel(%arg0, %arg1)
  // CHECK: %[[S:.*]]:2 = hadal.kernel(%arg0, %arg2, %[[G]])
  // CHECK: %[[P:.*]] = hadal.linear
  // CHECK: %[[A:.*]] = hadal.swiglu {{.*}}, %[[P]]
  // CHECK: hadal.yield %[[P]], %[[A]]
  // CHECK: return %[[G]], %[[S]]#0, %[[S]]#1
  %gate = hadal.linear %x, %g : tensor<6x8xf32>, tensor<4x8xf32>
  %up = hadal.linear %x, %u : tensor<6x8xf32>, tensor<4x8xf32>
  %s = hadal.swiglu %gate, %up : tensor<6x4xf32>, tensor<6x4xf32>
  return %gate, %up, %s : tensor<6x4xf32>, tensor<6x4xf32>, tensor<6x4xf32>
}

// -----

// Row-local ops over the same rows share a kernel, connected or not; other rows make another.
// CHECK-LABEL: func.func @rows
func.func @rows(%x: tensor<2x3x12xf32>, %q: tensor<2x3x8xf32>, %n: tensor<8xf32>, %cos: tensor<4x2xf32>, %sin: tensor<4x2xf32>, %other: tensor<2x5x8xf32>)
    -> (tensor<2x3x8xf32>, tensor<2x3x4xf32>, tensor<2x3x8xf32>, tensor<2x5x8xf32>) {
  // CHECK: %[[A:.*]]:3 = hadal.kernel
  // CHECK: hadal.rope
  // CHECK: hadal.split
  // CHECK: hadal.rms_norm
  // CHECK: hadal.rope
  // CHECK: hadal.yield
  // CHECK: %[[B:.*]] = hadal.kernel(%arg5)
  // CHECK: hadal.add
  %0 = hadal.rope %q, %cos, %sin {heads = 2 : i64, rotary_dim = 4 : i64} : tensor<2x3x8xf32>, tensor<4x2xf32>, tensor<4x2xf32>
  %1, %2 = hadal.split %x {size = 8 : i64} : tensor<2x3x12xf32>
  %3, %i = hadal.rms_norm %1, %n {epsilon = 1.0e-6 : f64} : tensor<2x3x8xf32>, tensor<8xf32>
  %4 = hadal.rope %2, %cos, %sin {heads = 1 : i64, rotary_dim = 4 : i64} : tensor<2x3x4xf32>, tensor<4x2xf32>, tensor<4x2xf32>
  %5 = hadal.add %other, %other : tensor<2x5x8xf32>, tensor<2x5x8xf32>
  return %0, %4, %3, %5 : tensor<2x3x8xf32>, tensor<2x3x4xf32>, tensor<2x3x8xf32>, tensor<2x5x8xf32>
}

// -----

// No path out of a kernel and back in: the sum needs the product, which needs the norm.
// CHECK-LABEL: func.func @convex
func.func @convex(%x: tensor<2x3x8xf32>, %n: tensor<8xf32>, %w: tensor<8x8xf32>) -> tensor<2x3x8xf32> {
  // CHECK: hadal.kernel
  // CHECK: hadal.rms_norm
  // CHECK-NEXT: hadal.yield
  // CHECK: hadal.kernel
  // CHECK: hadal.linear
  // CHECK-NEXT: hadal.yield
  // CHECK: hadal.kernel
  // CHECK: hadal.rms_norm
  // CHECK-NEXT: hadal.add
  %a, %i = hadal.rms_norm %x, %n {epsilon = 1.0e-6 : f64} : tensor<2x3x8xf32>, tensor<8xf32>
  %p = hadal.linear %a, %w : tensor<2x3x8xf32>, tensor<8x8xf32>
  %b, %j = hadal.rms_norm %p, %n {epsilon = 1.0e-6 : f64} : tensor<2x3x8xf32>, tensor<8xf32>
  %s = hadal.add %b, %a : tensor<2x3x8xf32>, tensor<2x3x8xf32>
  return %s : tensor<2x3x8xf32>
}

// -----

// A gather reads other rows than its own: what it reads must be in memory.
// CHECK-LABEL: func.func @gather
func.func @gather(%x: tensor<2x3x8xf32>, %n: tensor<8xf32>, %source: tensor<6xi32>, %slot: tensor<2x3x1xi32>) -> (tensor<6x8xf32>) {
  // CHECK: %[[N:.*]] = hadal.kernel(%arg0, %arg1)
  // CHECK: hadal.rms_norm
  // CHECK-NEXT: hadal.yield
  // CHECK: hadal.kernel(%[[N]], %arg2, %arg3)
  // CHECK: hadal.dispatch
  // CHECK-NEXT: hadal.add
  %a, %i = hadal.rms_norm %x, %n {epsilon = 1.0e-6 : f64} : tensor<2x3x8xf32>, tensor<8xf32>
  %r = hadal.dispatch %a, %source, %slot : tensor<2x3x8xf32>, tensor<6xi32>, tensor<2x3x1xi32>
  %s = hadal.add %r, %r : tensor<6x8xf32>, tensor<6x8xf32>
  return %s : tensor<6x8xf32>
}

// -----

// Products gather dispatched rows by themselves, each of them.
// CHECK-LABEL: func.func @prologue
// OFF-LABEL: func.func @prologue
func.func @prologue(%x: tensor<2x3x8xf32>, %y: tensor<6x4xf32>, %source: tensor<6xi32>, %slot: tensor<2x3x1xi32>, %offsets: tensor<3xi64>,
                    %w: tensor<2x4x8xf32>, %a: tensor<2x4x8xf32>) -> (tensor<6x4xf32>, tensor<2x4x8xf32>) {
  // CHECK: hadal.kernel(%arg0, %arg2, %arg3, %arg5, %arg4)
  // CHECK: %[[R:.*]] = hadal.dispatch
  // CHECK-NEXT: hadal.grouped_linear %[[R]]
  // CHECK: hadal.kernel(%arg0, %arg2, %arg3, %arg1, %arg4, %arg6)
  // CHECK: %[[S:.*]] = hadal.dispatch
  // CHECK-NEXT: hadal.grouped_weight_gradient %{{.*}}, %[[S]]
  // OFF-COUNT-3: hadal.kernel
  // OFF: return
  %r = hadal.dispatch %x, %source, %slot : tensor<2x3x8xf32>, tensor<6xi32>, tensor<2x3x1xi32>
  %p = hadal.grouped_linear %r, %w, %offsets : tensor<6x8xf32>, tensor<2x4x8xf32>, tensor<3xi64>
  %g = hadal.grouped_weight_gradient %y, %r, %offsets, %a : tensor<6x4xf32>, tensor<6x8xf32>, tensor<3xi64>, tensor<2x4x8xf32>
  return %p, %g : tensor<6x4xf32>, tensor<2x4x8xf32>
}

// -----

// Rows that something else reads lie in memory, for products too.
// CHECK-LABEL: func.func @materialised
func.func @materialised(%x: tensor<2x3x8xf32>, %source: tensor<6xi32>, %slot: tensor<2x3x1xi32>, %offsets: tensor<3xi64>,
                        %w: tensor<2x4x8xf32>) -> (tensor<6x4xf32>, tensor<6x8xf32>) {
  // CHECK: %[[R:.*]] = hadal.kernel(%arg0, %arg1, %arg2)
  // CHECK: hadal.dispatch
  // CHECK: %[[P:.*]] = hadal.kernel(%[[R]], %arg4, %arg3)
  // CHECK: return %[[P]], %[[R]]
  %r = hadal.dispatch %x, %source, %slot : tensor<2x3x8xf32>, tensor<6xi32>, tensor<2x3x1xi32>
  %p = hadal.grouped_linear %r, %w, %offsets : tensor<6x8xf32>, tensor<2x4x8xf32>, tensor<3xi64>
  return %p, %r : tensor<6x4xf32>, tensor<6x8xf32>
}

// -----

// What reads an accumulator runs before the op that updates it.
// CHECK-LABEL: func.func @updates
func.func @updates(%g: tensor<8xf32>, %a: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  // CHECK: %[[S:.*]] = hadal.kernel(%arg1, %arg0)
  // CHECK: hadal.add
  // CHECK: %[[A:.*]] = hadal.kernel(%arg0, %arg1)
  // CHECK: hadal.accumulate
  // CHECK: return %[[A]], %[[S]]
  %s = hadal.add %a, %g : tensor<8xf32>, tensor<8xf32>
  %r = hadal.accumulate %g, %a : tensor<8xf32>, tensor<8xf32>
  return %r, %s : tensor<8xf32>, tensor<8xf32>
}

// -----

// Ops that nobody reads are gone; a component that only hands on is left alone.
// CHECK-LABEL: func.func @dead
// CHECK-NEXT: return %arg0
func.func @dead(%x: tensor<8xf32>) -> tensor<8xf32> {
  %s = hadal.add %x, %x : tensor<8xf32>, tensor<8xf32>
  return %x : tensor<8xf32>
}

// -----

// Programs are not components.
func.func private @component(%x: tensor<2x3x8xf32>) -> tensor<2x3x8xf32> {
  %s = hadal.add %x, %x : tensor<2x3x8xf32>, tensor<2x3x8xf32>
  return %s : tensor<2x3x8xf32>
}
// CHECK-LABEL: func.func @program
// CHECK-NEXT: hadal.apply @component
// CHECK-NEXT: hadal.output
func.func @program(%x: tensor<2x3x8xf32>) attributes {hadal.program} {
  %y = hadal.apply @component(%x) : (tensor<2x3x8xf32>) -> tensor<2x3x8xf32>
  hadal.output "y", %y : tensor<2x3x8xf32>
  return
}
