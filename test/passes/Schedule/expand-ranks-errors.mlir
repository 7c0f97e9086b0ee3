// RUN: hadal-opt %s --split-input-file --verify-diagnostics --pipe-expand-programs

// Programs that cannot be spread over ranks.

func.func private @f(%a: tensor<1x4xi32>) -> tensor<1x4xi32> {
  return %a : tensor<1x4xi32>
}
func.func @gradients(%a: tensor<1x4xi32>) attributes {hadal.program} {
  // expected-error@+1 {{has no stage (--hadal-partition-stages gives it one)}}
  %0 = hadal.apply @f (%a) : (tensor<1x4xi32>) -> tensor<1x4xi32>
  return
}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 2 micro_batches 1 order [[], []]

// -----

func.func private @f(%a: tensor<1x4xi32>) -> tensor<1x4xi32> {
  return %a : tensor<1x4xi32>
}
func.func @gradients(%a: tensor<1x4xi32>) attributes {hadal.program} {
  // expected-error@+1 {{is of stage 2; there are 2}}
  %0 = hadal.apply @f (%a) {stage = 2 : i64} : (tensor<1x4xi32>) -> tensor<1x4xi32>
  return
}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 2 micro_batches 1 order [[], []]

// -----

func.func private @f(%a: tensor<1x4xi32>) -> (tensor<1x4xi32>, tensor<1x4xi32>) {
  return %a, %a : tensor<1x4xi32>, tensor<1x4xi32>
}
func.func private @g(%a: tensor<1x4xi32>, %b: tensor<1x4xi32>) {
  return
}
func.func @gradients(%a: tensor<1x4xi32>) attributes {hadal.program} {
  %0:2 = hadal.apply @f (%a) {stage = 0 : i64} : (tensor<1x4xi32>) -> (tensor<1x4xi32>, tensor<1x4xi32>)
  // expected-error@+1 {{of stage 1 needs a second value of stage 0; one is passed on}}
  hadal.apply @g (%0#0, %0#1) {stage = 1 : i64} : (tensor<1x4xi32>, tensor<1x4xi32>) -> ()
  return
}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 2 micro_batches 1 order [[], []]

// -----

func.func private @f(%a: tensor<1x4xi32>) -> tensor<1x4xi32> {
  return %a : tensor<1x4xi32>
}
func.func @gradients(%a: tensor<1x4xi32>) attributes {hadal.program} {
  %0 = hadal.apply @f (%a) {stage = 0 : i64} : (tensor<1x4xi32>) -> tensor<1x4xi32>
  // expected-error@+1 {{of stage 2 needs a value of stage 0; only neighbours pass one on}}
  %1 = hadal.apply @f (%0) {stage = 2 : i64} : (tensor<1x4xi32>) -> tensor<1x4xi32>
  return
}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 3 micro_batches 1 order [[], [], []]

// -----

func.func @gradients(%a: tensor<1x4xi32>) attributes {hadal.program} {
  return
}
// expected-error@+1 {{passes on F at stage 0, which has no value there to pass on}}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 2 micro_batches 1 order [["F0.0", "[>F0.0@1]"], []]

// -----

func.func private @f(%a: tensor<1x4xi32>) -> tensor<1x4xi32> {
  return %a : tensor<1x4xi32>
}
func.func @gradients(%a: tensor<1x4xi32>) attributes {hadal.program} {
  // expected-error@+1 {{gives a value that is sent before it is made}}
  %0 = hadal.apply @f (%a) {stage = 0 : i64} : (tensor<1x4xi32>) -> tensor<1x4xi32>
  %1 = hadal.apply @f (%0) {stage = 1 : i64} : (tensor<1x4xi32>) -> tensor<1x4xi32>
  return
}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 2 micro_batches 1 order [["[>F0.0@1]", "F0.0"], []]

// -----

func.func @gradients(%a: tensor<1x4xi32>) attributes {hadal.program} {
  return
}
// expected-error@+1 {{has [>F0.0] in its order; its parts are}}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 2 micro_batches 1 order [["[>F0.0]"], []]

// -----

// One accumulator on two stages has no order of sums.

func.func private @w(%x: tensor<1x4xi32>, %a: tensor<4xf32> {hadal.bind = #hadal.binding<gradient, "w">}) -> tensor<4xf32>
    attributes {hadal.phase = #hadal.phase<W>} {
  return %a : tensor<4xf32>
}
func.func @gradients(%a: tensor<1x4xi32>) attributes {hadal.program} {
  %0 = hadal.apply @w (%a) {stage = 0 : i64} : (tensor<1x4xi32>) -> tensor<4xf32>
  // expected-error@+1 {{of stage 1 adds to "w", as stage 0 does}}
  %1 = hadal.apply @w (%a) {stage = 1 : i64} : (tensor<1x4xi32>) -> tensor<4xf32>
  return
}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 2 micro_batches 1 order [[], []]

// -----

func.func private @adamw_4(%p: tensor<4xf32> {hadal.bind = #hadal.binding<weight, "{parameter}">}, %r: tensor<f64> {hadal.bind = #hadal.binding<scalar, "rate">},
                           %f: tensor<f32> {hadal.bind = #hadal.binding<scalar, "factor">}) -> tensor<4xf32> {
  %0:3 = hadal.adamw %p, %p, %p, %p, %r, %r, %r, %f {beta1 = 0.9 : f64, beta2 = 0.95 : f64, epsilon = 1.0e-8 : f64, weight_decay = 0.1 : f64} : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<f64>, tensor<f64>, tensor<f64>, tensor<f32>
  return %0#0 : tensor<4xf32>
}
func.func @gradients(%a: tensor<1x4xi32>) attributes {hadal.program} {
  return
}
func.func @update() attributes {hadal.program} {
  // expected-error@+1 {{updates a parameter that no rank adds to the gradient of}}
  %0 = hadal.apply @adamw_4 parameter "w" () : () -> tensor<4xf32>
  return
}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 1 micro_batches 1 order [[]] {data_parallel = 2 : i64}

// -----

func.func private @f() -> tensor<4xf32> {
  %0 = arith.constant dense<1.0> : tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func @gradients(%a: tensor<1x4xi32>) attributes {hadal.program} {
  return
}
func.func @update() attributes {hadal.program} {
  // expected-error@+1 {{is no part of the optimizer that ranks could share}}
  %0 = hadal.apply @f () : () -> tensor<4xf32>
  return
}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 2 micro_batches 1 order [[], []]

// -----

func.func private @route(%ids: tensor<1x5xi32>) -> (tensor<1x4x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<8xi32>, tensor<1x4x2xi32>)
    attributes {hadal.phase = #hadal.phase<F>} {
  %0:5 = builtin.unrealized_conversion_cast %ids : tensor<1x5xi32> to tensor<1x4x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<8xi32>, tensor<1x4x2xi32>
  return %0#0, %0#1, %0#2, %0#3, %0#4 : tensor<1x4x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<8xi32>, tensor<1x4x2xi32>
}
func.func @gradients(%tokens: tensor<1x5xi32>) attributes {hadal.program} {
  %x, %counts, %offsets, %token, %slot = hadal.apply @route (%tokens) : (tensor<1x5xi32>) -> (tensor<1x4x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<8xi32>, tensor<1x4x2xi32>)
  // expected-error@+1 {{is among 2 members; the schedule's expert_parallel is 1}}
  %rows, %received = hadal.exchange scatter layer 1 (%x) sent(%counts, %offsets, %token, %slot) {members = 2 : i64, phase = #hadal.phase<F>} : (tensor<1x4x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<8xi32>, tensor<1x4x2xi32>) -> (tensor<8x8xf32>, tensor<2x3xi64>)
  return
}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 1 micro_batches 1 order [["F0.0"]]

// -----

func.func private @f(%rows: tensor<8x8xf32> {hadal.rows = #hadal.rows<received>}) attributes {hadal.phase = #hadal.phase<F>} {
  return
}
func.func private @x(%ids: tensor<1x5xi32>) -> tensor<8x8xf32> attributes {hadal.phase = #hadal.phase<F>} {
  %0 = builtin.unrealized_conversion_cast %ids : tensor<1x5xi32> to tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}
func.func @gradients(%tokens: tensor<1x5xi32>) attributes {hadal.program} {
  %x = hadal.apply @x (%tokens) : (tensor<1x5xi32>) -> tensor<8x8xf32>
  // expected-error@+1 {{works on rows that routing counts, but gets none from an exchange}}
  hadal.apply @f (%x) : (tensor<8x8xf32>) -> ()
  return
}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 1 micro_batches 1 order [["F0.0"]]
