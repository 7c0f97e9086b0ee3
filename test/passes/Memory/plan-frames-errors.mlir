// RUN: hadal-opt %s --split-input-file --verify-diagnostics --pipe-plan-frames

// Components that have no frame.

func.func @plain(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{in a component; expected hadal.kernel (--hadal-fuse makes them)}}
  %0 = hadal.add %x, %x : tensor<4xf32>, tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @overwritten(%x: tensor<4xf32>, %y: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  // expected-error@+1 {{updates operand 1, which is used again}}
  %a = hadal.kernel(%x, %y) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%0: tensor<4xf32>, %1: tensor<4xf32>):
    %2 = hadal.accumulate %0, %1 : tensor<4xf32>, tensor<4xf32>
    hadal.yield %2 : tensor<4xf32>
  }
  return %a, %y : tensor<4xf32>, tensor<4xf32>
}

// -----

func.func @itself(%y: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{updates operand 1, which is used again}}
  %a = hadal.kernel(%y, %y) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%0: tensor<4xf32>, %1: tensor<4xf32>):
    %2 = hadal.accumulate %0, %1 : tensor<4xf32>, tensor<4xf32>
    hadal.yield %2 : tensor<4xf32>
  }
  return %a : tensor<4xf32>
}

// -----

// expected-error@+1 {{expects func.return at the end of a component}}
func.func @endless(%x: tensor<4xf32>) -> tensor<4xf32> {
  ub.unreachable
}

// -----

func.func @sizeless(%x: tensor<?xf32>) -> tensor<?xf32> {
  // expected-error@+1 {{expects results of static shape; found 'tensor<?xf32>'}}
  %a = hadal.kernel(%x) : (tensor<?xf32>) -> tensor<?xf32> {
  ^bb0(%0: tensor<?xf32>):
    hadal.yield %0 : tensor<?xf32>
  }
  return %a : tensor<?xf32>
}
