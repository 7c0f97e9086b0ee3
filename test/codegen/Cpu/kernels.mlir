// Kernels that differ in row counts share a function; the launch says the rest.
//
// RUN: hadal-opt %s --hadal-cpu-kernels | FileCheck %s --check-prefixes=LAUNCH,LLVM
// RUN: hadal-opt %s --hadal-cpu-kernels=lower=false | FileCheck %s --check-prefix=SCF
// RUN: sed s/znver3/znver4/ %s | hadal-opt --hadal-cpu-kernels=lower=false | FileCheck %s --check-prefix=WIDE

module attributes {hadal.target = "cpu", hadal.cpu = "znver3"} {
  // LAUNCH-LABEL: func.func @f
  // LAUNCH: hadal.kernel(%arg0, %arg1) attributes {launch = #hadal.launch<"[[L:k_linear_[0-9a-f]+]]", sizes = [64, 12], grid = 6, scratch = {{[0-9]+}}, flops = 147456>}
  // LAUNCH: hadal.kernel(%arg2, %arg1) attributes {launch = #hadal.launch<"[[L]]", sizes = [1, 12], grid = 1, scratch = {{[0-9]+}}, flops = 2304>}
  // Another width, another function.
  // LAUNCH: hadal.kernel(%arg0, %arg3) attributes {launch = #hadal.launch<"k_linear_{{[0-9a-f]+}}",
  func.func @f(%x: tensor<1x64x24xf32>, %w: tensor<48x24xf32>, %y: tensor<1x1x24xf32>, %v: tensor<40x24xf32>)
      -> (tensor<1x64x48xf32>, tensor<1x1x48xf32>, tensor<1x64x40xf32>) {
    %0 = hadal.kernel(%x, %w) : (tensor<1x64x24xf32>, tensor<48x24xf32>) -> tensor<1x64x48xf32> {
    ^bb0(%a: tensor<1x64x24xf32>, %b: tensor<48x24xf32>):
      %c = hadal.linear %a, %b : tensor<1x64x24xf32>, tensor<48x24xf32>
      hadal.yield %c : tensor<1x64x48xf32>
    }
    %1 = hadal.kernel(%y, %w) : (tensor<1x1x24xf32>, tensor<48x24xf32>) -> tensor<1x1x48xf32> {
    ^bb0(%a: tensor<1x1x24xf32>, %b: tensor<48x24xf32>):
      %c = hadal.linear %a, %b : tensor<1x1x24xf32>, tensor<48x24xf32>
      hadal.yield %c : tensor<1x1x48xf32>
    }
    %2 = hadal.kernel(%x, %v) : (tensor<1x64x24xf32>, tensor<40x24xf32>) -> tensor<1x64x40xf32> {
    ^bb0(%a: tensor<1x64x24xf32>, %b: tensor<40x24xf32>):
      %c = hadal.linear %a, %b : tensor<1x64x24xf32>, tensor<40x24xf32>
      hadal.yield %c : tensor<1x64x40xf32>
    }
    return %0, %1, %2 : tensor<1x64x48xf32>, tensor<1x1x48xf32>, tensor<1x64x40xf32>
  }
  // LLVM: module @kernels
  // LLVM: llvm.func internal @k_linear_[[F:[0-9a-f]+]]_body(%{{.*}}: !llvm.ptr {llvm.noalias}
  // LLVM-NOT: scf.
  // LLVM-NOT: arith.
  // LLVM: llvm.func @k_linear_[[F]](%arg0: !llvm.ptr, %arg1: i64, %arg2: i64, %arg3: !llvm.ptr) attributes {no_unwind}
  // LLVM: llvm.call @k_linear_[[F]]_body

  // The micro-kernel: 6 x 2 sums of 8 lanes, fused multiply-adds.
  // SCF: scf.for {{.*}} -> (vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>)
  // SCF-COUNT-12: llvm.intr.fma({{.*}}) : (vector<8xf32>, vector<8xf32>, vector<8xf32>) -> vector<8xf32>
  // SCF-NEXT: scf.yield

  // WIDE: vector<16xf32>
  // WIDE-COUNT-24: llvm.intr.fma({{.*}}) : (vector<16xf32>, vector<16xf32>, vector<16xf32>) -> vector<16xf32>
}
