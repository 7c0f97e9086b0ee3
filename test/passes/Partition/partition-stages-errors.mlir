// RUN: hadal-opt %s --split-input-file --hadal-partition-stages=layers=1,1 --verify-diagnostics

// Programs that cannot be cut into stages.

func.func private @free(%x: tensor<8xf32>) -> tensor<8xf32> attributes {hadal.phase = #hadal.phase<F>} {
  return %x : tensor<8xf32>
}
func.func @evaluate(%x: tensor<8xf32>) attributes {hadal.program} {
  // expected-error@+1 {{has no layer, and neither a weight nor an operand says on which stage it runs}}
  %y = hadal.apply @free(%x) : (tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func private @two(%x: tensor<8xf32>, %w: tensor<8xf32> {hadal.bind = #hadal.binding<weight, "{layer}">}) -> (tensor<8xf32>, tensor<8xf32>) attributes {hadal.phase = #hadal.phase<F>} {
  return %x, %w : tensor<8xf32>, tensor<8xf32>
}
func.func private @join(%x: tensor<8xf32>, %y: tensor<8xf32>, %w: tensor<8xf32> {hadal.bind = #hadal.binding<weight, "{layer}">}) -> tensor<8xf32> attributes {hadal.phase = #hadal.phase<F>} {
  return %w : tensor<8xf32>
}
func.func @evaluate(%x: tensor<8xf32>) attributes {hadal.program} {
  // expected-note@+1 {{the first one}}
  %a, %b = hadal.apply @two layer 0 (%x) : (tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>)
  // expected-error@+1 {{expected one tensor to cross the border behind stage 0 forwards, found a second one}}
  %c = hadal.apply @join layer 1 (%a, %b) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func private @ids(%x: tensor<8xi32>, %w: tensor<8xf32> {hadal.bind = #hadal.binding<weight, "{layer}">}) -> tensor<8xi32> attributes {hadal.phase = #hadal.phase<F>} {
  return %x : tensor<8xi32>
}
func.func @evaluate(%x: tensor<8xi32>) attributes {hadal.program} {
  %a = hadal.apply @ids layer 0 (%x) : (tensor<8xi32>) -> tensor<8xi32>
  // expected-error@+1 {{on stage 1 takes 'tensor<8xi32>' of stage 0: expected that only the hidden state crosses a border forwards, and its gradient backwards}}
  %b = hadal.apply @ids layer 1 (%a) : (tensor<8xi32>) -> tensor<8xi32>
  return
}
