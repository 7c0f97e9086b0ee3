// RUN: split-file %s %t
// RUN: not hadal-opt %t/cpu.mlir --hadal-cpu-kernels 2>&1 | FileCheck %s --check-prefix=CPU
// RUN: not hadal-opt %t/old.mlir --hadal-cpu-kernels 2>&1 | FileCheck %s --check-prefix=OLD
// RUN: not hadal-opt %t/region.mlir --hadal-cpu-kernels 2>&1 | FileCheck %s --check-prefix=REGION

//--- cpu.mlir
// CPU: error: expected the name of an x86-64 CPU that LLVM knows in hadal.cpu; found cray-1
module attributes {hadal.cpu = "cray-1"} {
}

//--- old.mlir
// OLD: error: expected a CPU with avx2 in hadal.cpu; found nehalem
module attributes {hadal.cpu = "nehalem"} {
}

//--- region.mlir
// A product and a sum over its rows in one kernel: nobody writes that.
// REGION: error: 'hadal.kernel' op no family of CPU kernels takes this region (linear, rms_norm_weight_gradient) on target cpu
module attributes {hadal.cpu = "znver3"} {
  func.func @f(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %s: tensor<4xf32>, %g: tensor<8xf32>) -> tensor<8xf32> {
    %0 = hadal.kernel(%x, %w, %s, %g) : (tensor<4x8xf32>, tensor<8x8xf32>, tensor<4xf32>, tensor<8xf32>) -> tensor<8xf32> {
    ^bb0(%a: tensor<4x8xf32>, %b: tensor<8x8xf32>, %c: tensor<4xf32>, %d: tensor<8xf32>):
      %y = hadal.linear %a, %b : tensor<4x8xf32>, tensor<8x8xf32>
      %z = hadal.rms_norm_weight_gradient %y, %a, %c, %d : tensor<4x8xf32>, tensor<4x8xf32>, tensor<4xf32>, tensor<8xf32>
      hadal.yield %z : tensor<8xf32>
    }
    return %0 : tensor<8xf32>
  }
}
