// RUN: hadal-opt %s --split-input-file --verify-diagnostics

// What programs and kernels refuse.

// apply C1
func.func @f(%x: tensor<2xf32>) {
  // expected-error@+1 {{'hadal.apply' op expected a function named 'g', found none}}
  %y = hadal.apply @g(%x) : (tensor<2xf32>) -> tensor<2xf32>
  return
}

// -----

// apply C1: bound arguments are no operands
func.func private @g(%x: tensor<2xf32>, %w: tensor<2xf32> {hadal.bind = #hadal.binding<weight, "w">}) -> tensor<2xf32>
func.func @f(%x: tensor<2xf32>) {
  // expected-error@+1 {{expected 1 operands, found 2}}
  %y = hadal.apply @g(%x, %x) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  return
}

// -----

// apply C1: types
func.func private @g(%x: tensor<2xf32>) -> tensor<2xf32>
func.func @f(%x: tensor<3xf32>) {
  // expected-error@+1 {{expected operand 0 to be 'tensor<2xf32>', found 'tensor<3xf32>'}}
  %y = hadal.apply @g(%x) : (tensor<3xf32>) -> tensor<2xf32>
  return
}

// -----

// apply C1: results
func.func private @g(%x: tensor<2xf32>) -> tensor<2xf32>
func.func @f(%x: tensor<2xf32>) {
  // expected-error@+1 {{expected result 0 to be 'tensor<2xf32>', found 'tensor<3xf32>'}}
  %y = hadal.apply @g(%x) : (tensor<2xf32>) -> tensor<3xf32>
  return
}

// -----

// apply C2
func.func private @g(%w: tensor<2xf32> {hadal.bind = #hadal.binding<weight, "model.layers.{layer}.w">})
func.func @f() {
  // expected-error@+1 {{expected a layer: a binding of 'g' holds {layer}}}
  hadal.apply @g() : () -> ()
  return
}

// -----

// apply C2
func.func private @g(%w: tensor<2xf32> {hadal.bind = #hadal.binding<weight, "w">})
func.func @f() {
  // expected-error@+1 {{expected no layer: no binding of 'g' holds {layer}}}
  hadal.apply @g layer 1 () : () -> ()
  return
}

// -----

// apply C2
func.func private @g(%w: tensor<2xf32> {hadal.bind = #hadal.binding<moment1, "{parameter}">})
func.func @f() {
  // expected-error@+1 {{expected a parameter: a binding of 'g' holds {parameter}}}
  hadal.apply @g() : () -> ()
  return
}

// -----

// apply C2
func.func private @g()
func.func @f() {
  // expected-error@+1 {{expected no parameter: no binding of 'g' holds {parameter}}}
  hadal.apply @g parameter "w" () : () -> ()
  return
}

// -----

// apply: layers count from 0
func.func private @g(%w: tensor<2xf32> {hadal.bind = #hadal.binding<weight, "{layer}">})
func.func @f() {
  // expected-error@+1 {{expected layer not to be negative, found -1}}
  hadal.apply @g layer -1 () : () -> ()
  return
}

// -----

// kernel C1
func.func @f(%x: tensor<2xf32>) {
  // expected-error@+1 {{'hadal.kernel' op expected block argument 0 to be 'tensor<2xf32>', found 'tensor<3xf32>'}}
  %y = hadal.kernel(%x) : (tensor<2xf32>) -> tensor<3xf32> {
  ^bb0(%a: tensor<3xf32>):
    hadal.yield %a : tensor<3xf32>
  }
  return
}

// -----

// kernel C1
func.func @f(%x: tensor<2xf32>) {
  // expected-error@+1 {{expected 1 yielded values, found 0}}
  %y = hadal.kernel(%x) : (tensor<2xf32>) -> tensor<2xf32> {
  ^bb0(%a: tensor<2xf32>):
    hadal.yield
  }
  return
}

// -----

// kernel: isolated
func.func @f(%x: tensor<2xf32>) {
  // expected-note@+1 {{required by region isolation constraints}}
  %y = hadal.kernel() : () -> tensor<2xf32> {
    // expected-error@+1 {{'hadal.yield' op using value defined outside the region}}
    hadal.yield %x : tensor<2xf32>
  }
  return
}

// -----

// yield: only in a kernel
func.func @f() {
  // expected-error@+1 {{'hadal.yield' op expects parent op 'hadal.kernel'}}
  hadal.yield
}

// -----

// expected-error@+2 {{expected one of [weight, gradient, moment1, moment2, constant, scalar, state] for what a component's argument is bound to, got: wait}}
// expected-error@+1 {{failed to parse Hadal_BindingAttr parameter 'kind'}}
func.func private @f(tensor<f32> {hadal.bind = #hadal.binding<wait, "w">})
