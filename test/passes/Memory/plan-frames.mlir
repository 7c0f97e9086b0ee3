// RUN: hadal-opt %s --pipe-plan-frames | FileCheck %s
// RUN: hadal-opt %s --pipe-plan-frames=red-zone=32 | FileCheck %s --check-prefix=RED

// Temporaries of 64 bytes: %a and %b live together, %c takes the place of %a. What is returned or updated is none.

// CHECK-LABEL: func.func @chain
// CHECK-SAME:    pipe.frame = #pipe.frame<bytes = 128, offsets = [0, 64, 0]>
// RED-LABEL:   func.func @chain
// RED-SAME:      pipe.frame = #pipe.frame<bytes = 256, offsets = [0, 128, 0]>
func.func @chain(%x: tensor<16xf32>, %total: tensor<16xf32>) -> (tensor<16xf32>, tensor<16xf32>) {
  %a = hadal.kernel(%x) : (tensor<16xf32>) -> tensor<16xf32> {
  ^bb0(%0: tensor<16xf32>):
    %1 = hadal.add %0, %0 : tensor<16xf32>, tensor<16xf32>
    hadal.yield %1 : tensor<16xf32>
  }
  %b = hadal.kernel(%a) : (tensor<16xf32>) -> tensor<16xf32> {
  ^bb0(%0: tensor<16xf32>):
    %1 = hadal.add %0, %0 : tensor<16xf32>, tensor<16xf32>
    hadal.yield %1 : tensor<16xf32>
  }
  %c, %sum = hadal.kernel(%b, %total) : (tensor<16xf32>, tensor<16xf32>) -> (tensor<16xf32>, tensor<16xf32>) {
  ^bb0(%0: tensor<16xf32>, %1: tensor<16xf32>):
    %2 = hadal.add %0, %0 : tensor<16xf32>, tensor<16xf32>
    %3 = hadal.accumulate %0, %1 : tensor<16xf32>, tensor<16xf32>
    hadal.yield %2, %3 : tensor<16xf32>, tensor<16xf32>
  }
  // Updates a temporary in its place.
  %d = hadal.kernel(%b, %c) : (tensor<16xf32>, tensor<16xf32>) -> tensor<16xf32> {
  ^bb0(%0: tensor<16xf32>, %1: tensor<16xf32>):
    %2 = hadal.accumulate %0, %1 : tensor<16xf32>, tensor<16xf32>
    hadal.yield %2 : tensor<16xf32>
  }
  %e = hadal.kernel(%d) : (tensor<16xf32>) -> tensor<16xf32> {
  ^bb0(%0: tensor<16xf32>):
    %1 = hadal.add %0, %0 : tensor<16xf32>, tensor<16xf32>
    hadal.yield %1 : tensor<16xf32>
  }
  return %e, %sum : tensor<16xf32>, tensor<16xf32>
}

// CHECK-LABEL: func.func @no_temporaries
// CHECK-SAME:    pipe.frame = #pipe.frame<bytes = 0>
func.func @no_temporaries(%x: tensor<16xf32>) -> (tensor<16xf32>, tensor<16xf32>) {
  %a = hadal.kernel(%x) : (tensor<16xf32>) -> tensor<16xf32> {
  ^bb0(%0: tensor<16xf32>):
    %1 = hadal.add %0, %0 : tensor<16xf32>, tensor<16xf32>
    hadal.yield %1 : tensor<16xf32>
  }
  return %a, %a : tensor<16xf32>, tensor<16xf32>
}

// What is returned at the end may be updated on the way.
// CHECK-LABEL: func.func @returned_update
// CHECK-SAME:    pipe.frame = #pipe.frame<bytes = 0>
func.func @returned_update(%x: tensor<16xf32>) -> tensor<16xf32> {
  %a = hadal.kernel(%x) : (tensor<16xf32>) -> tensor<16xf32> {
  ^bb0(%0: tensor<16xf32>):
    %1 = hadal.add %0, %0 : tensor<16xf32>, tensor<16xf32>
    hadal.yield %1 : tensor<16xf32>
  }
  %b = hadal.kernel(%x, %a) : (tensor<16xf32>, tensor<16xf32>) -> tensor<16xf32> {
  ^bb0(%0: tensor<16xf32>, %1: tensor<16xf32>):
    %2 = hadal.accumulate %0, %1 : tensor<16xf32>, tensor<16xf32>
    hadal.yield %2 : tensor<16xf32>
  }
  return %b : tensor<16xf32>
}
