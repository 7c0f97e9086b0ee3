// RUN: hadal-opt %s | hadal-opt | FileCheck %s
// RUN: hadal-opt %s --mlir-print-op-generic | hadal-opt | FileCheck %s
// RUN: hadal-opt %s --emit-bytecode | hadal-opt | FileCheck %s

// Expert parallelism, written, read and written again: 3 tokens, 4 experts of which each token has 3, on 2 members.

// CHECK-LABEL: func.func @router
func.func @router(%e: tensor<1x3x3xi32>) -> (tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>) {
  // CHECK: hadal.exchange_layout %{{.*}} {expert_count = 4 : i64, members = 2 : i64} : tensor<1x3x3xi32>
  %c, %o, %t, %s = hadal.exchange_layout %e {expert_count = 4 : i64, members = 2 : i64} : tensor<1x3x3xi32>
  return %c, %o, %t, %s : tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>
}

// 6 rows may be received, with two experts of the member each.
// CHECK-LABEL: func.func @experts
// CHECK-SAME: #hadal.rows<received>
func.func @experts(%x: tensor<6x8xf32> {hadal.rows = #hadal.rows<received>}, %e: tensor<6x3xi32>, %w: tensor<6x3xf32>, %r: tensor<2x3xi64>,
                   %first: tensor<i32> {hadal.bind = #hadal.binding<scalar, "first_expert">},
                   %stack: tensor<2x8x8xf32> {hadal.bind = #hadal.binding<weight, "experts">}) -> tensor<6x8xf32> {
  // CHECK: %[[O:.*]], %[[S:.*]], %[[L:.*]] = hadal.sort_received %{{.*}}, %{{.*}}, %{{.*}} {expert_count = 2 : i64} : tensor<6x3xi32>, tensor<2x3xi64>, tensor<i32>
  %o, %s, %l = hadal.sort_received %e, %r, %first {expert_count = 2 : i64} : tensor<6x3xi32>, tensor<2x3xi64>, tensor<i32>
  // CHECK: hadal.dispatch %{{.*}}, %[[S]], %[[L]] : tensor<6x8xf32>, tensor<12xi32>, tensor<6x3xi32>
  %rows = hadal.dispatch %x, %s, %l : tensor<6x8xf32>, tensor<12xi32>, tensor<6x3xi32>
  // CHECK: hadal.dispatch_weights %{{.*}}, %[[S]], %[[L]] : tensor<6x3xf32>, tensor<12xi32>, tensor<6x3xi32>
  %rw = hadal.dispatch_weights %w, %s, %l : tensor<6x3xf32>, tensor<12xi32>, tensor<6x3xi32>
  // CHECK: hadal.grouped_linear %{{.*}}, %{{.*}}, %[[O]] : tensor<12x8xf32>, tensor<2x8x8xf32>, tensor<3xi64>
  %y = hadal.grouped_linear %rows, %stack, %o : tensor<12x8xf32>, tensor<2x8x8xf32>, tensor<3xi64>
  // CHECK: hadal.combine_weights %{{.*}} : tensor<12xf32>, tensor<12xi32>, tensor<6x3xi32>
  %cw = hadal.combine_weights %rw, %s, %l : tensor<12xf32>, tensor<12xi32>, tensor<6x3xi32>
  // CHECK: hadal.combine %{{.*}} : tensor<12x8xf32>, tensor<12xi32>, tensor<6x3xi32>
  %z = hadal.combine %y, %s, %l : tensor<12x8xf32>, tensor<12xi32>, tensor<6x3xi32>
  return %z : tensor<6x8xf32>
}

// CHECK-LABEL: func.func @merge
func.func @merge(%rows: tensor<6x8xf32>, %slot: tensor<1x3x2xi32>) -> tensor<1x3x8xf32> {
  // CHECK: hadal.combine_members %{{.*}}, %{{.*}} : tensor<6x8xf32>, tensor<1x3x2xi32>
  %y = hadal.combine_members %rows, %slot : tensor<6x8xf32>, tensor<1x3x2xi32>
  return %y : tensor<1x3x8xf32>
}

// CHECK-LABEL: func.func @program
func.func @program(%x: tensor<1x3x8xf32>, %e: tensor<1x3x3xi32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>, %t: tensor<6xi32>, %s: tensor<1x3x2xi32>) attributes {hadal.program} {
  // CHECK: %[[OUT:.*]]:3 = hadal.exchange scatter layer 3(%arg0, %arg1) sent(%arg2, %arg3, %arg4, %arg5) {members = 2 : i64, phase = #hadal.phase<F>} : (tensor<1x3x8xf32>, tensor<1x3x3xi32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>) -> (tensor<6x8xf32>, tensor<6x3xi32>, tensor<2x3xi64>)
  %rows, %ids, %r = hadal.exchange scatter layer 3 (%x, %e) sent(%c, %o, %t, %s) {members = 2 : i64, phase = #hadal.phase<F>} : (tensor<1x3x8xf32>, tensor<1x3x3xi32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>) -> (tensor<6x8xf32>, tensor<6x3xi32>, tensor<2x3xi64>)
  // CHECK: hadal.exchange gather layer 3(%[[OUT]]#0) sent(%arg2, %arg3, %arg4, %arg5) received(%[[OUT]]#2) {members = 2 : i64, phase = #hadal.phase<F>, stage = 1 : i64} : (tensor<6x8xf32>,
  %back = hadal.exchange gather layer 3 (%rows) sent(%c, %o, %t, %s) received(%r) {members = 2 : i64, phase = #hadal.phase<F>, stage = 1 : i64} : (tensor<6x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>, tensor<2x3xi64>) -> tensor<6x8xf32>
  // CHECK: hadal.exchange scatter layer 3(%arg0) sent(%arg2, %arg3, %arg4, %arg5) received(%[[OUT]]#2) {members = 2 : i64, phase = #hadal.phase<B>} : {{.*}} -> tensor<6x8xf32>
  %again = hadal.exchange scatter layer 3 (%x) sent(%c, %o, %t, %s) received(%r) {members = 2 : i64, phase = #hadal.phase<B>} : (tensor<1x3x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>, tensor<2x3xi64>) -> tensor<6x8xf32>
  return
}

// CHECK-LABEL: func.func @launch
func.func @launch(%x: tensor<6x8xf32>) -> tensor<6x8xf32> {
  // CHECK: hadal.rows = #hadal.rows<routed>
  // CHECK-SAME: launch = #hadal.launch<"k", sizes = [6], grid = 3, scratch = 0, flops = 0, rows = <size = 0, block = 2, fixed = 0, per_block = 1>>
  %y = hadal.kernel(%x) attributes {hadal.rows = #hadal.rows<routed>, launch = #hadal.launch<"k", sizes = [6], grid = 3, scratch = 0, flops = 0, rows = <size = 0, block = 2, fixed = 0, per_block = 1>>} : (tensor<6x8xf32>) -> tensor<6x8xf32> {
  ^bb0(%a: tensor<6x8xf32>):
    %s = hadal.add %a, %a : tensor<6x8xf32>, tensor<6x8xf32>
    hadal.yield %s : tensor<6x8xf32>
  }
  return %y : tensor<6x8xf32>
}
