// RUN: hadal-opt %s --pipe-plan-frames | FileCheck %s
// RUN: hadal-opt %s --pipe-plan-frames=red-zone=128 | FileCheck %s --check-prefix=RED

// Temporaries of received rows (64 bytes a row) and routed ones (128 bytes a row) lie in frames of their own, in bytes of
// a row: %c takes the place of %a; %f has a fixed size.

// CHECK-LABEL: func.func @rows
// CHECK-SAME:    pipe.frame = #pipe.frame<bytes = 64, offsets = [0, 64, 0, 0, 0] rows[1, 1, 2, 1, 0] received 128 routed 128>
// RED-LABEL:   func.func @rows
// RED-SAME:      pipe.frame = #pipe.frame<bytes = 192, offsets = [0, 72, 0, 0, 0] rows[1, 1, 2, 1, 0] received 144 routed 136>
func.func @rows(%x: tensor<96x16xf32>, %y: tensor<48x32xf32>, %z: tensor<16xf32>) -> tensor<96x16xf32> {
  %a = hadal.kernel(%x) attributes {hadal.rows = #hadal.rows<received>} : (tensor<96x16xf32>) -> tensor<96x16xf32> {
  ^bb0(%0: tensor<96x16xf32>):
    %1 = hadal.add %0, %0 : tensor<96x16xf32>, tensor<96x16xf32>
    hadal.yield %1 : tensor<96x16xf32>
  }
  %b = hadal.kernel(%a) attributes {hadal.rows = #hadal.rows<received>} : (tensor<96x16xf32>) -> tensor<96x16xf32> {
  ^bb0(%0: tensor<96x16xf32>):
    %1 = hadal.add %0, %0 : tensor<96x16xf32>, tensor<96x16xf32>
    hadal.yield %1 : tensor<96x16xf32>
  }
  %r = hadal.kernel(%y) attributes {hadal.rows = #hadal.rows<routed>} : (tensor<48x32xf32>) -> tensor<48x32xf32> {
  ^bb0(%0: tensor<48x32xf32>):
    %1 = hadal.add %0, %0 : tensor<48x32xf32>, tensor<48x32xf32>
    hadal.yield %1 : tensor<48x32xf32>
  }
  %c = hadal.kernel(%b) attributes {hadal.rows = #hadal.rows<received>} : (tensor<96x16xf32>) -> tensor<96x16xf32> {
  ^bb0(%0: tensor<96x16xf32>):
    %1 = hadal.add %0, %0 : tensor<96x16xf32>, tensor<96x16xf32>
    hadal.yield %1 : tensor<96x16xf32>
  }
  %f = hadal.kernel(%z) : (tensor<16xf32>) -> tensor<16xf32> {
  ^bb0(%0: tensor<16xf32>):
    %1 = hadal.add %0, %0 : tensor<16xf32>, tensor<16xf32>
    hadal.yield %1 : tensor<16xf32>
  }
  %g = hadal.kernel(%c, %r, %f) attributes {hadal.rows = #hadal.rows<received>} : (tensor<96x16xf32>, tensor<48x32xf32>, tensor<16xf32>) -> tensor<96x16xf32> {
  ^bb0(%0: tensor<96x16xf32>, %1: tensor<48x32xf32>, %2: tensor<16xf32>):
    %3 = hadal.add %0, %0 : tensor<96x16xf32>, tensor<96x16xf32>
    hadal.yield %3 : tensor<96x16xf32>
  }
  return %g : tensor<96x16xf32>
}
