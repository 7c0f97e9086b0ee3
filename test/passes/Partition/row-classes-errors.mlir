// RUN: hadal-opt %s --split-input-file --hadal-row-classes --verify-diagnostics

// What must not read rows that routing counts.

func.func private @reduce(%g: tensor<6x8xf32>, %w: tensor<8x8xf32> {hadal.bind = #hadal.binding<gradient, "w">}) -> tensor<8x8xf32> {
  // expected-error@+1 {{reads all rows of a value whose number of rows routing decides}}
  %y = hadal.weight_gradient %g, %g, %w : tensor<6x8xf32>, tensor<6x8xf32>, tensor<8x8xf32>
  return %y : tensor<8x8xf32>
}
func.func @evaluate(%x: tensor<1x3x8xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>, %t: tensor<6xi32>, %s: tensor<1x3x2xi32>) attributes {hadal.program} {
  %rows, %r = hadal.exchange scatter layer 0 (%x) sent(%c, %o, %t, %s) {members = 2 : i64, phase = #hadal.phase<F>} : (tensor<1x3x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>) -> (tensor<6x8xf32>, tensor<2x3xi64>)
  %y = hadal.apply @reduce(%rows) : (tensor<6x8xf32>) -> tensor<8x8xf32>
  return
}

// -----

func.func private @twice(%x: tensor<6x8xf32>) -> tensor<6x8xf32> {
  %y = hadal.add %x, %x : tensor<6x8xf32>, tensor<6x8xf32>
  return %y : tensor<6x8xf32>
}
func.func @evaluate(%x: tensor<1x3x8xf32>, %z: tensor<6x8xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>, %t: tensor<6xi32>, %s: tensor<1x3x2xi32>) attributes {hadal.program} {
  %rows, %r = hadal.exchange scatter layer 0 (%x) sent(%c, %o, %t, %s) {members = 2 : i64, phase = #hadal.phase<F>} : (tensor<1x3x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>) -> (tensor<6x8xf32>, tensor<2x3xi64>)
  %y = hadal.apply @twice(%rows) : (tensor<6x8xf32>) -> tensor<6x8xf32>
  // expected-error@+1 {{expected operands of @twice to have received and routed rows at the same places wherever it is applied}}
  %u = hadal.apply @twice(%z) : (tensor<6x8xf32>) -> tensor<6x8xf32>
  return
}
