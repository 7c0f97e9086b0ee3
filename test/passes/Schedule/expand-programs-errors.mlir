// RUN: hadal-opt %s --split-input-file --verify-diagnostics --pipe-expand-programs

// Programs that cannot be expanded.

// expected-error@+1 {{expects its argument to be a tensor of static shape; found 'tensor<?x4xi32>'}}
func.func @evaluate(%a: tensor<?x4xi32>) attributes {hadal.program} {
  return
}

// -----

func.func private @f(%a: tensor<1x4xi32>) -> tensor<?xi32> {
  %0 = tensor.cast %a : tensor<1x4xi32> to tensor<?x4xi32>
  %1 = tensor.collapse_shape %0 [[0, 1]] : tensor<?x4xi32> into tensor<?xi32>
  return %1 : tensor<?xi32>
}
func.func @evaluate(%a: tensor<1x4xi32>) attributes {hadal.program} {
  // expected-error@+1 {{expects tensors of static shape; found 'tensor<?xi32>'}}
  %0 = hadal.apply @f (%a) : (tensor<1x4xi32>) -> tensor<?xi32>
  return
}

// -----

// expected-error@+1 {{expects one argument at most, the tokens; found 2}}
func.func @evaluate(%a: tensor<1x4xi32>, %b: tensor<1x4xi32>) attributes {hadal.program} {
  return
}

// -----

func.func @evaluate(%a: tensor<1x4xi32>) attributes {hadal.program} {
  // expected-error@+1 {{in a program; expected hadal.apply, hadal.exchange or hadal.output}}
  %0 = arith.constant 1 : i32
  return
}

// -----

func.func @gradients(%a: tensor<1x4xi32>) attributes {hadal.program} {
  return
}
// expected-error@+1 {{has no order; --pipe-schedule-1f1b makes it}}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 1 micro_batches 4

// -----

func.func @gradients(%a: tensor<1x4xi32>) attributes {hadal.program} {
  return
}
// expected-error@+1 {{has F1.0 in its order; its parts are F, B, I and W of D.M with directions D below 1 and micro-batches M below 2}}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 1 micro_batches 2 order [["F0.0", "F1.0"]]

// -----

func.func private @f(%a: tensor<1x4xi32>, %w: tensor<4xf32> {hadal.bind = #hadal.binding<weight, "w">}) {
  return
}
func.func private @g(%a: tensor<1x4xi32>, %w: tensor<5xf32> {hadal.bind = #hadal.binding<weight, "w">}) {
  return
}
func.func @evaluate(%a: tensor<1x4xi32>) attributes {hadal.program} {
  hadal.apply @f (%a) : (tensor<1x4xi32>) -> ()
  // expected-error@+1 {{binds parameter "w" as 'tensor<5xf32>'; another application binds it as 'tensor<4xf32>'}}
  hadal.apply @g (%a) : (tensor<1x4xi32>) -> ()
  return
}

// -----

func.func private @f(%a: tensor<1x4xi32>) -> tensor<1x4xi32>
func.func @evaluate(%a: tensor<1x4xi32>) attributes {hadal.program} {
  // expected-error@+1 {{expects component @f to have a body of one block}}
  %0 = hadal.apply @f (%a) : (tensor<1x4xi32>) -> tensor<1x4xi32>
  return
}

// -----

// A forward part that needs what a backward part makes.

func.func private @f(%a: tensor<4xf32>) -> tensor<4xf32> attributes {hadal.phase = #hadal.phase<F>} {
  %0 = hadal.add %a, %a : tensor<4xf32>, tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @b() -> tensor<4xf32> attributes {hadal.phase = #hadal.phase<B>} {
  %0 = arith.constant dense<1.0> : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func @gradients() attributes {hadal.program} {
  %0 = hadal.apply @b () : () -> tensor<4xf32>
  // expected-error@+1 {{uses a value that its chunk does not have; its producer has a later phase}}
  %1 = hadal.apply @f (%0) : (tensor<4xf32>) -> tensor<4xf32>
  return
}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 1 micro_batches 1 order [["F0.0", "B0.0"]]
