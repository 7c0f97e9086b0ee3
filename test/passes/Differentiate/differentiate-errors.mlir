// RUN: hadal-opt --hadal-differentiate --split-input-file --verify-diagnostics %s

// expected-error@+1 {{expected a program @evaluate to differentiate, found none}}
module attributes {hadal.programs = ["train"]} {
}

// -----

// A plan that cannot be read.
// expected-error@+1 {{expected the module attributes hadal.spec and hadal.plan (texts of config.json and plan.json), found no plan}}
module attributes {hadal.spec = "{}"} {
  func.func @evaluate(%ids: tensor<1x3xi32>) attributes {hadal.program} {
    return
  }
}

// -----

// expected-error@+1 {{config.json}}
module attributes {hadal.spec = "{}", hadal.plan = "{}"} {
  func.func @evaluate(%ids: tensor<1x3xi32>) attributes {hadal.program} {
    return
  }
}

// -----

// An op without a gradient between a weight and a loss.
func.func private @head(%ids: tensor<1x3xi32>, %w: tensor<4x4xf32> {hadal.bind = #hadal.binding<weight, "lm_head.weight">},
    %x: tensor<1x2x4xf32>) -> (tensor<f64> {hadal.seed = "seed.main"}) {
  %a = hadal.linear %x, %w : tensor<1x2x4xf32>, tensor<4x4xf32>
  // expected-error@+1 {{'hadal.accumulate' op has no gradient, and a weight or an input before it in component @head needs one}}
  %b = hadal.accumulate %a, %x : tensor<1x2x4xf32>, tensor<1x2x4xf32>
  %loss, %lse = hadal.cross_entropy %b, %ids {offset = 1 : i64, divisor = 2 : i64} : tensor<1x2x4xf32>, tensor<1x3xi32>
  return %loss : tensor<f64>
}
func.func @evaluate(%ids: tensor<1x3xi32>, %x: tensor<1x2x4xf32>) attributes {hadal.program} {
  %loss = hadal.apply @head(%ids, %x) : (tensor<1x3xi32>, tensor<1x2x4xf32>) -> tensor<f64>
  hadal.output "main_loss", %loss : tensor<f64>
  return
}

// -----

// expected-error@+1 {{result #0: expected a loss seeded by seed.main, seed.mtp or seed.balance, found 'seed.other'}}
func.func private @head(%ids: tensor<1x3xi32>, %x: tensor<1x2x4xf32>) -> (tensor<f64> {hadal.seed = "seed.other"}) {
  %loss, %lse = hadal.cross_entropy %x, %ids {offset = 1 : i64, divisor = 2 : i64} : tensor<1x2x4xf32>, tensor<1x3xi32>
  return %loss : tensor<f64>
}
func.func @evaluate(%ids: tensor<1x3xi32>, %x: tensor<1x2x4xf32>) attributes {hadal.program} {
  %loss = hadal.apply @head(%ids, %x) : (tensor<1x3xi32>, tensor<1x2x4xf32>) -> tensor<f64>
  return
}

// -----

// expected-error@+1 {{result #0: expected a loss of type tensor<f64>, found 'tensor<1x2xf32>'}}
func.func private @head(%ids: tensor<1x3xi32>, %x: tensor<1x2x4xf32>) -> (tensor<1x2xf32> {hadal.seed = "seed.main"}) {
  %loss, %lse = hadal.cross_entropy %x, %ids {offset = 1 : i64, divisor = 2 : i64} : tensor<1x2x4xf32>, tensor<1x3xi32>
  return %lse : tensor<1x2xf32>
}
func.func @evaluate(%ids: tensor<1x3xi32>, %x: tensor<1x2x4xf32>) attributes {hadal.program} {
  %loss = hadal.apply @head(%ids, %x) : (tensor<1x3xi32>, tensor<1x2x4xf32>) -> tensor<1x2xf32>
  return
}

// -----

// One component at two places where gradients reach different results.
func.func private @layer(%x: tensor<1x2x4xf32>, %w: tensor<4x4xf32> {hadal.bind = #hadal.binding<weight, "w.{layer}">})
    -> (tensor<1x2x4xf32>, tensor<1x2x4xf32>) {
  %a = hadal.linear %x, %w : tensor<1x2x4xf32>, tensor<4x4xf32>
  %b = hadal.linear %a, %w : tensor<1x2x4xf32>, tensor<4x4xf32>
  return %a, %b : tensor<1x2x4xf32>, tensor<1x2x4xf32>
}
func.func private @head(%ids: tensor<1x3xi32>, %x: tensor<1x2x4xf32>) -> (tensor<f64> {hadal.seed = "seed.main"}) {
  %loss, %lse = hadal.cross_entropy %x, %ids {offset = 1 : i64, divisor = 2 : i64} : tensor<1x2x4xf32>, tensor<1x3xi32>
  return %loss : tensor<f64>
}
func.func @evaluate(%ids: tensor<1x3xi32>, %x: tensor<1x2x4xf32>) attributes {hadal.program} {
  // expected-error@+1 {{expected gradients at the same results of @layer wherever it is applied, found that result #0 has one in some places only}}
  %a:2 = hadal.apply @layer layer 0 (%x) : (tensor<1x2x4xf32>) -> (tensor<1x2x4xf32>, tensor<1x2x4xf32>)
  %b:2 = hadal.apply @layer layer 1 (%a#0) : (tensor<1x2x4xf32>) -> (tensor<1x2x4xf32>, tensor<1x2x4xf32>)
  %loss = hadal.apply @head(%ids, %b#1) : (tensor<1x3xi32>, tensor<1x2x4xf32>) -> tensor<f64>
  return
}

// -----

// expected-error@+1 {{the name @head_F is that of a function of component @head in training}}
func.func private @head_F() {
  return
}
func.func private @head(%ids: tensor<1x3xi32>, %x: tensor<1x2x4xf32>) -> (tensor<f64> {hadal.seed = "seed.main"}) {
  %loss, %lse = hadal.cross_entropy %x, %ids {offset = 1 : i64, divisor = 2 : i64} : tensor<1x2x4xf32>, tensor<1x3xi32>
  return %loss : tensor<f64>
}
func.func @evaluate(%ids: tensor<1x3xi32>, %x: tensor<1x2x4xf32>) attributes {hadal.program} {
  %loss = hadal.apply @head(%ids, %x) : (tensor<1x3xi32>, tensor<1x2x4xf32>) -> tensor<f64>
  return
}

// -----

// expected-error@+1 {{the name @gradients is that of the program of the gradients}}
func.func @gradients() {
  return
}
func.func @evaluate() attributes {hadal.program} {
  return
}

// -----

func.func private @missing(tensor<1x3xi32>)
func.func @evaluate(%ids: tensor<1x3xi32>) attributes {hadal.program} {
  // expected-error@+1 {{expected a component with a body, found @missing}}
  hadal.apply @missing(%ids) : (tensor<1x3xi32>) -> ()
  return
}

// -----

// A product with a computed matrix: its gradient would be lost.
func.func private @head(%ids: tensor<1x3xi32>, %x: tensor<1x2x4xf32>, %a: tensor<4x4xf32> {hadal.bind = #hadal.binding<weight, "a">},
    %b: tensor<4x4xf32> {hadal.bind = #hadal.binding<weight, "b">}) -> (tensor<f64> {hadal.seed = "seed.main"}) {
  %w = hadal.add %a, %b : tensor<4x4xf32>, tensor<4x4xf32>
  // expected-error@+1 {{has a gradient for operand #1 only where that is a weight of component @head, found a computed value}}
  %y = hadal.linear %x, %w : tensor<1x2x4xf32>, tensor<4x4xf32>
  %loss, %lse = hadal.cross_entropy %y, %ids {offset = 1 : i64, divisor = 2 : i64} : tensor<1x2x4xf32>, tensor<1x3xi32>
  return %loss : tensor<f64>
}
func.func @evaluate(%ids: tensor<1x3xi32>, %x: tensor<1x2x4xf32>) attributes {hadal.program} {
  %loss = hadal.apply @head(%ids, %x) : (tensor<1x3xi32>, tensor<1x2x4xf32>) -> tensor<f64>
  return
}
