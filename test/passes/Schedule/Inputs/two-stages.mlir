// Two stages of a model whose last one uses the table of the first again: @gradients of one micro-batch, @evaluate, @update.

func.func private @embed_F(%ids: tensor<2x5xi32>, %w: tensor<9x4xf32> {hadal.bind = #hadal.binding<weight, "table">}) -> tensor<2x4x4xf32>
    attributes {hadal.phase = #hadal.phase<F>} {
  %0 = hadal.embedding %ids, %w {offset = 0 : i64, tokens = 4 : i64} : tensor<2x5xi32>, tensor<9x4xf32>
  return %0 : tensor<2x4x4xf32>
}
func.func private @embed_W(%g: tensor<2x4x4xf32>, %ids: tensor<2x5xi32>, %a: tensor<9x4xf32> {hadal.bind = #hadal.binding<gradient, "table">})
    -> tensor<9x4xf32> attributes {hadal.phase = #hadal.phase<W>} {
  %0 = hadal.embedding_gradient %g, %ids, %a {offset = 0 : i64} : tensor<2x4x4xf32>, tensor<2x5xi32>, tensor<9x4xf32>
  return %0 : tensor<9x4xf32>
}
func.func private @mlp_F(%x: tensor<2x4x4xf32>, %w: tensor<4x4xf32> {hadal.bind = #hadal.binding<weight, "layer.{layer}">},
                         %counts: tensor<3xi64> {hadal.bind = #hadal.binding<state, "counts.{layer}">})
    -> (tensor<2x4x4xf32>, tensor<3xi64>) attributes {hadal.phase = #hadal.phase<F>} {
  %0 = hadal.linear %x, %w : tensor<2x4x4xf32>, tensor<4x4xf32>
  %1 = hadal.accumulate_counts %counts, %counts : tensor<3xi64>, tensor<3xi64>
  return %0, %1 : tensor<2x4x4xf32>, tensor<3xi64>
}
func.func private @mlp_B(%g: tensor<2x4x4xf32>, %w: tensor<4x4xf32> {hadal.bind = #hadal.binding<weight, "layer.{layer}">}) -> tensor<2x4x4xf32>
    attributes {hadal.phase = #hadal.phase<B>} {
  %0 = hadal.linear %g, %w {transpose_weight} : tensor<2x4x4xf32>, tensor<4x4xf32>
  return %0 : tensor<2x4x4xf32>
}
func.func private @mlp_W(%g: tensor<2x4x4xf32>, %x: tensor<2x4x4xf32>, %a: tensor<4x4xf32> {hadal.bind = #hadal.binding<gradient, "layer.{layer}">})
    -> tensor<4x4xf32> attributes {hadal.phase = #hadal.phase<W>} {
  %0 = hadal.weight_gradient %g, %x, %a : tensor<2x4x4xf32>, tensor<2x4x4xf32>, tensor<4x4xf32>
  return %0 : tensor<4x4xf32>
}
func.func private @head_F(%x: tensor<2x4x4xf32>, %ids: tensor<2x5xi32>, %w: tensor<9x4xf32> {hadal.bind = #hadal.binding<weight, "table">})
    -> (tensor<f64>, tensor<2x4x9xf32>, tensor<2x4xf32>) attributes {hadal.phase = #hadal.phase<F>} {
  %0 = hadal.linear %x, %w : tensor<2x4x4xf32>, tensor<9x4xf32>
  %loss, %sum = hadal.cross_entropy %0, %ids {offset = 1 : i64, divisor = 8 : i64} : tensor<2x4x9xf32>, tensor<2x5xi32>
  return %loss, %0, %sum : tensor<f64>, tensor<2x4x9xf32>, tensor<2x4xf32>
}
func.func private @head_B(%logits: tensor<2x4x9xf32>, %sum: tensor<2x4xf32>, %ids: tensor<2x5xi32>, %w: tensor<9x4xf32> {hadal.bind = #hadal.binding<weight, "table">},
                          %seed: tensor<f32> {hadal.bind = #hadal.binding<scalar, "seed.main">})
    -> (tensor<2x4x4xf32>, tensor<2x4x9xf32>) attributes {hadal.phase = #hadal.phase<B>} {
  %0 = hadal.cross_entropy_gradient %seed, %logits, %sum, %ids {offset = 1 : i64, divisor = 8 : i64} : tensor<f32>, tensor<2x4x9xf32>, tensor<2x4xf32>, tensor<2x5xi32>
  %1 = hadal.linear %0, %w {transpose_weight} : tensor<2x4x9xf32>, tensor<9x4xf32>
  return %1, %0 : tensor<2x4x4xf32>, tensor<2x4x9xf32>
}
func.func private @head_W(%g: tensor<2x4x9xf32>, %x: tensor<2x4x4xf32>, %a: tensor<9x4xf32> {hadal.bind = #hadal.binding<gradient, "table#mtp">})
    -> tensor<9x4xf32> attributes {hadal.phase = #hadal.phase<W>} {
  %0 = hadal.weight_gradient %g, %x, %a : tensor<2x4x9xf32>, tensor<2x4x4xf32>, tensor<9x4xf32>
  return %0 : tensor<9x4xf32>
}

func.func @evaluate(%tokens: tensor<2x5xi32>) attributes {hadal.program} {
  %x = hadal.apply @embed_F (%tokens) {stage = 0 : i64} : (tensor<2x5xi32>) -> tensor<2x4x4xf32>
  %y, %c = hadal.apply @mlp_F layer 1 (%x) {stage = 1 : i64} : (tensor<2x4x4xf32>) -> (tensor<2x4x4xf32>, tensor<3xi64>)
  %loss, %logits, %sum = hadal.apply @head_F (%y, %tokens) {stage = 1 : i64} : (tensor<2x4x4xf32>, tensor<2x5xi32>) -> (tensor<f64>, tensor<2x4x9xf32>, tensor<2x4xf32>)
  hadal.output "logits", %logits : tensor<2x4x9xf32>
  return
}

func.func @gradients(%tokens: tensor<2x5xi32>) attributes {hadal.program} {
  %x = hadal.apply @embed_F (%tokens) {stage = 0 : i64} : (tensor<2x5xi32>) -> tensor<2x4x4xf32>
  %y, %c = hadal.apply @mlp_F layer 1 (%x) {stage = 1 : i64} : (tensor<2x4x4xf32>) -> (tensor<2x4x4xf32>, tensor<3xi64>)
  %loss, %logits, %sum = hadal.apply @head_F (%y, %tokens) {stage = 1 : i64} : (tensor<2x4x4xf32>, tensor<2x5xi32>) -> (tensor<f64>, tensor<2x4x9xf32>, tensor<2x4xf32>)
  %dy, %dl = hadal.apply @head_B (%logits, %sum, %tokens) {stage = 1 : i64} : (tensor<2x4x9xf32>, tensor<2x4xf32>, tensor<2x5xi32>) -> (tensor<2x4x4xf32>, tensor<2x4x9xf32>)
  %0 = hadal.apply @head_W (%dl, %y) {stage = 1 : i64} : (tensor<2x4x9xf32>, tensor<2x4x4xf32>) -> tensor<9x4xf32>
  %dx = hadal.apply @mlp_B layer 1 (%dy) {stage = 1 : i64} : (tensor<2x4x4xf32>) -> tensor<2x4x4xf32>
  %1 = hadal.apply @mlp_W layer 1 (%dy, %x) {stage = 1 : i64} : (tensor<2x4x4xf32>, tensor<2x4x4xf32>) -> tensor<4x4xf32>
  %2 = hadal.apply @embed_W (%dx, %tokens) {stage = 0 : i64} : (tensor<2x4x4xf32>, tensor<2x5xi32>) -> tensor<9x4xf32>
  hadal.output "counts.1", %c : tensor<3xi64>
  hadal.output "main_loss", %loss : tensor<f64>
  return
}

func.func private @squares_9x4(%g: tensor<9x4xf32> {hadal.bind = #hadal.binding<gradient, "{parameter}">}, %t: tensor<f64> {hadal.bind = #hadal.binding<state, "gradient_squares">})
    -> tensor<f64> attributes {hadal.phase = #hadal.phase<U>} {
  %0 = hadal.square_sum %g : tensor<9x4xf32>
  %1 = hadal.accumulate_squares %0, %t : tensor<1xf64>, tensor<f64>
  return %1 : tensor<f64>
}
func.func private @squares_4x4(%g: tensor<4x4xf32> {hadal.bind = #hadal.binding<gradient, "{parameter}">}, %t: tensor<f64> {hadal.bind = #hadal.binding<state, "gradient_squares">})
    -> tensor<f64> attributes {hadal.phase = #hadal.phase<U>} {
  %0 = hadal.square_sum %g : tensor<4x4xf32>
  %1 = hadal.accumulate_squares %0, %t : tensor<1xf64>, tensor<f64>
  return %1 : tensor<f64>
}
func.func private @clip_factor(%t: tensor<f64> {hadal.bind = #hadal.binding<state, "gradient_squares">}) -> (tensor<f64>, tensor<f32>)
    attributes {hadal.phase = #hadal.phase<U>} {
  %norm, %factor = hadal.clip_factor %t {clip_norm = 1.0 : f64} : tensor<f64>
  return %norm, %factor : tensor<f64>, tensor<f32>
}
func.func private @adamw_9x4(%p: tensor<9x4xf32> {hadal.bind = #hadal.binding<weight, "{parameter}">}, %g: tensor<9x4xf32> {hadal.bind = #hadal.binding<gradient, "{parameter}">},
                             %m: tensor<9x4xf32> {hadal.bind = #hadal.binding<moment1, "{parameter}">}, %v: tensor<9x4xf32> {hadal.bind = #hadal.binding<moment2, "{parameter}">},
                             %r: tensor<f64> {hadal.bind = #hadal.binding<scalar, "learning_rate">}, %f: tensor<f32>)
    -> (tensor<9x4xf32>, tensor<9x4xf32>, tensor<9x4xf32>) attributes {hadal.phase = #hadal.phase<U>} {
  %0:3 = hadal.adamw %p, %g, %m, %v, %r, %r, %r, %f {beta1 = 0.9 : f64, beta2 = 0.95 : f64, epsilon = 1.0e-8 : f64, weight_decay = 0.1 : f64} : tensor<9x4xf32>, tensor<9x4xf32>, tensor<9x4xf32>, tensor<9x4xf32>, tensor<f64>, tensor<f64>, tensor<f64>, tensor<f32>
  return %0#0, %0#1, %0#2 : tensor<9x4xf32>, tensor<9x4xf32>, tensor<9x4xf32>
}
func.func private @adamw_4x4(%p: tensor<4x4xf32> {hadal.bind = #hadal.binding<weight, "{parameter}">}, %g: tensor<4x4xf32> {hadal.bind = #hadal.binding<gradient, "{parameter}">},
                             %m: tensor<4x4xf32> {hadal.bind = #hadal.binding<moment1, "{parameter}">}, %v: tensor<4x4xf32> {hadal.bind = #hadal.binding<moment2, "{parameter}">},
                             %r: tensor<f64> {hadal.bind = #hadal.binding<scalar, "learning_rate">}, %f: tensor<f32>)
    -> (tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>) attributes {hadal.phase = #hadal.phase<U>} {
  %0:3 = hadal.adamw %p, %g, %m, %v, %r, %r, %r, %f {beta1 = 0.9 : f64, beta2 = 0.95 : f64, epsilon = 1.0e-8 : f64, weight_decay = 0.1 : f64} : tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>, tensor<f64>, tensor<f64>, tensor<f64>, tensor<f32>
  return %0#0, %0#1, %0#2 : tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>
}
func.func private @bias_update(%b: tensor<3xf32> {hadal.bind = #hadal.binding<weight, "bias.{layer}">}, %c: tensor<3xi64> {hadal.bind = #hadal.binding<state, "counts.{layer}">},
                               %s: tensor<f64> {hadal.bind = #hadal.binding<scalar, "bias_speed">}) -> tensor<3xf32> attributes {hadal.phase = #hadal.phase<U>} {
  %0 = hadal.bias_update %b, %c, %s : tensor<3xf32>, tensor<3xi64>, tensor<f64>
  return %0 : tensor<3xf32>
}
func.func @update() attributes {hadal.program} {
  %0 = hadal.apply @squares_9x4 parameter "table" () : () -> tensor<f64>
  %1 = hadal.apply @squares_4x4 parameter "layer.1" () : () -> tensor<f64>
  %norm, %factor = hadal.apply @clip_factor () : () -> (tensor<f64>, tensor<f32>)
  %2:3 = hadal.apply @adamw_9x4 parameter "table" (%factor) : (tensor<f32>) -> (tensor<9x4xf32>, tensor<9x4xf32>, tensor<9x4xf32>)
  %3:3 = hadal.apply @adamw_4x4 parameter "layer.1" (%factor) : (tensor<f32>) -> (tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>)
  %4 = hadal.apply @bias_update layer 1 () : () -> tensor<3xf32>
  hadal.output "gradient_norm", %norm : tensor<f64>
  return
}
