// RUN: hadal-opt %s --split-input-file --hadal-partition-experts=members=2 --verify-diagnostics

// Programs whose experts cannot be put on several ranks.

func.func private @mlp(%x: tensor<1x3x8xf32>, %source: tensor<6xi32>, %slot: tensor<1x3x2xi32>) -> tensor<6x8xf32> {
  %rows = hadal.dispatch %x, %source, %slot : tensor<1x3x8xf32>, tensor<6xi32>, tensor<1x3x2xi32>
  return %rows : tensor<6x8xf32>
}
func.func @evaluate(%x: tensor<1x3x8xf32>, %source: tensor<6xi32>, %slot: tensor<1x3x2xi32>) attributes {hadal.program} {
  // expected-error@+1 {{expected the layer of the experts}}
  %y = hadal.apply @mlp(%x, %source, %slot) : (tensor<1x3x8xf32>, tensor<6xi32>, tensor<1x3x2xi32>) -> tensor<6x8xf32>
  return
}

// -----

// expected-error@+1 {{expected one hadal.dispatch, one hadal.dispatch_weights and one hadal.combine}}
func.func private @mlp(%x: tensor<1x3x8xf32>, %source: tensor<6xi32>, %slot: tensor<1x3x2xi32>, %n: tensor<8xf32> {hadal.bind = #hadal.binding<weight, "{layer}">}) -> tensor<6x8xf32> {
  %rows = hadal.dispatch %x, %source, %slot : tensor<1x3x8xf32>, tensor<6xi32>, tensor<1x3x2xi32>
  return %rows : tensor<6x8xf32>
}
func.func @evaluate(%x: tensor<1x3x8xf32>, %source: tensor<6xi32>, %slot: tensor<1x3x2xi32>) attributes {hadal.program} {
  %y = hadal.apply @mlp layer 0 (%x, %source, %slot) : (tensor<1x3x8xf32>, tensor<6xi32>, tensor<1x3x2xi32>) -> tensor<6x8xf32>
  return
}

// -----

func.func private @mlp(%x: tensor<1x3x8xf32>, %w: tensor<1x3x2xf32>, %offsets: tensor<4xi64>, %source: tensor<6xi32>, %slot: tensor<1x3x2xi32>, %stack: tensor<3x8x8xf32> {hadal.bind = #hadal.binding<weight, "{layer}.{expert}">}) -> tensor<1x3x8xf32> {
  %rows = hadal.dispatch %x, %source, %slot : tensor<1x3x8xf32>, tensor<6xi32>, tensor<1x3x2xi32>
  %rw = hadal.dispatch_weights %w, %source, %slot : tensor<1x3x2xf32>, tensor<6xi32>, tensor<1x3x2xi32>
  // expected-error@+1 {{expected a bound weight with experts in a multiple of 2, found 'tensor<3x8x8xf32>'}}
  %y = hadal.grouped_linear %rows, %stack, %offsets : tensor<6x8xf32>, tensor<3x8x8xf32>, tensor<4xi64>
  %z = hadal.swiglu %y, %y scaled_by %rw : tensor<6x8xf32>, tensor<6x8xf32>, tensor<6xf32>
  %sum = hadal.combine %z, %source, %slot : tensor<6x8xf32>, tensor<6xi32>, tensor<1x3x2xi32>
  return %sum : tensor<1x3x8xf32>
}
func.func @evaluate(%x: tensor<1x3x8xf32>, %w: tensor<1x3x2xf32>, %offsets: tensor<4xi64>, %source: tensor<6xi32>, %slot: tensor<1x3x2xi32>) attributes {hadal.program} {
  %y = hadal.apply @mlp layer 0 (%x, %w, %offsets, %source, %slot) : (tensor<1x3x8xf32>, tensor<1x3x2xf32>, tensor<4xi64>, tensor<6xi32>, tensor<1x3x2xi32>) -> tensor<1x3x8xf32>
  return
}
