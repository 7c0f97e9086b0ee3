// RUN: hadal-opt %s | hadal-opt | FileCheck %s
// RUN: hadal-opt %s --mlir-print-op-generic | hadal-opt | FileCheck %s
// RUN: hadal-opt %s --emit-bytecode | hadal-opt | FileCheck %s

// Every op and attribute of the pipe dialect is printed as it is read.

// CHECK: func.func private @scale({{.*}}) -> tensor<4xf32> attributes {pipe.frame = #pipe.frame<bytes = 128, offsets = [0, 64]>}
func.func private @scale(%x: tensor<4xf32>, %total: tensor<4xf32>) -> tensor<4xf32>
    attributes {pipe.frame = #pipe.frame<bytes = 128, offsets = [0, 64]>} {
  %0 = hadal.kernel(%x, %total) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%a: tensor<4xf32>, %b: tensor<4xf32>):
    %1 = hadal.accumulate %a, %b : tensor<4xf32>, tensor<4xf32>
    hadal.yield %1 : tensor<4xf32>
  }
  return %0 : tensor<4xf32>
}

// CHECK: #pipe.frame<bytes = 0>
func.func private @none() attributes {pipe.frame = #pipe.frame<bytes = 0>} {
  return
}

func.func @gradients() attributes {hadal.program} {
  return
}

// CHECK: pipe.schedule @one of @gradients algorithm "1f1b" ranks 1 micro_batches 4
pipe.schedule @one of @gradients algorithm "1f1b" ranks 1 micro_batches 4
// CHECK: pipe.schedule @two of @gradients algorithm "dualpipe" ranks 2 micro_batches 4 order {{\[\[}}"F0.0", "[>F0.0@1 <F1.0@1]"], []]
pipe.schedule @two of @gradients algorithm "dualpipe" ranks 2 micro_batches 4 order [["F0.0", "[>F0.0@1 <F1.0@1]"], []]

// CHECK: pipe.program @step rank 0 streams ["compute", "copy"] arena <bytes = 128, live = 96, activations = 64, stash = 32, communication = 0>
pipe.program @step rank 0 streams ["compute", "copy"] arena <bytes = 128, live = 96, activations = 64, stash = 32, communication = 0> {
  // CHECK-NEXT: %[[X:.*]] = pipe.buffer "x" input "step.x" at 16 : tensor<4xf32>
  %0 = pipe.buffer "x" input "step.x" at 16 : tensor<4xf32>
  // CHECK-NEXT: %[[W:.*]] = pipe.buffer gradient "w" : tensor<4xf32>
  %1 = pipe.buffer gradient "w" : tensor<4xf32>
  // CHECK-NEXT: %[[Y:.*]] = pipe.buffer "y" arena at 64 : tensor<4xf32>
  %2 = pipe.buffer "y" arena at 64 : tensor<4xf32>
  // CHECK-NEXT: pipe.zero %[[W]] stream 0
  pipe.zero %1 stream 0
  // CHECK-NEXT: pipe.launch @scale(%[[X]], %[[W]]) stream 0 phase<W> layer 3 micro_batch 1 parameter "w"
  pipe.launch @scale(%0, %1) stream 0 phase<W> layer 3 micro_batch 1 parameter "w"
  // CHECK-NEXT: pipe.record 0 stream 0
  pipe.record 0 stream 0
  // CHECK-NEXT: pipe.wait 0 stream 1
  pipe.wait 0 stream 1
  // CHECK-NEXT: pipe.copy %[[X]] to %[[Y]] stream 1
  pipe.copy %0 to %2 stream 1
}
