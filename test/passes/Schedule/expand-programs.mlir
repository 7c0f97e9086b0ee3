// RUN: hadal-opt %s --pipe-schedule-1f1b --pipe-expand-programs | FileCheck %s
// RUN: hadal-opt %s --pipe-schedule-1f1b --pipe-expand-programs=early-weight-gradients=false | FileCheck %s --check-prefix=LATE

// Three micro-batches: windows of the tokens, accumulators of two halves, outputs by micro-batch, sums at the end.

func.func private @embed_F(%ids: tensor<2x5xi32>, %w: tensor<9x4xf32> {hadal.bind = #hadal.binding<weight, "table">}) -> tensor<2x4x4xf32>
    attributes {hadal.phase = #hadal.phase<F>} {
  %0 = hadal.embedding %ids, %w {offset = 0 : i64, tokens = 4 : i64} : tensor<2x5xi32>, tensor<9x4xf32>
  return %0 : tensor<2x4x4xf32>
}
func.func private @head_F(%x: tensor<2x4x4xf32>, %ids: tensor<2x5xi32>, %w: tensor<9x4xf32> {hadal.bind = #hadal.binding<weight, "head">},
                          %counts: tensor<3xi64> {hadal.bind = #hadal.binding<state, "counts.{layer}">})
    -> (tensor<f64>, tensor<2x4x9xf32>, tensor<2x4xf32>, tensor<3xi64>) attributes {hadal.phase = #hadal.phase<F>} {
  %0 = hadal.linear %x, %w : tensor<2x4x4xf32>, tensor<9x4xf32>
  %loss, %sum = hadal.cross_entropy %0, %ids {offset = 1 : i64, divisor = 8 : i64} : tensor<2x4x9xf32>, tensor<2x5xi32>
  %1 = hadal.accumulate_counts %counts, %counts : tensor<3xi64>, tensor<3xi64>
  return %loss, %0, %sum, %1 : tensor<f64>, tensor<2x4x9xf32>, tensor<2x4xf32>, tensor<3xi64>
}
func.func private @head_B(%logits: tensor<2x4x9xf32>, %sum: tensor<2x4xf32>, %ids: tensor<2x5xi32>, %w: tensor<9x4xf32> {hadal.bind = #hadal.binding<weight, "head">},
                          %seed: tensor<f32> {hadal.bind = #hadal.binding<scalar, "seed.main">})
    -> (tensor<2x4x4xf32>, tensor<2x4x9xf32>) attributes {hadal.phase = #hadal.phase<B>} {
  %0 = hadal.cross_entropy_gradient %seed, %logits, %sum, %ids {offset = 1 : i64, divisor = 8 : i64} : tensor<f32>, tensor<2x4x9xf32>, tensor<2x4xf32>, tensor<2x5xi32>
  %1 = hadal.linear %0, %w {transpose_weight} : tensor<2x4x9xf32>, tensor<9x4xf32>
  return %1, %0 : tensor<2x4x4xf32>, tensor<2x4x9xf32>
}
func.func private @head_W(%g: tensor<2x4x9xf32>, %x: tensor<2x4x4xf32>, %a: tensor<9x4xf32> {hadal.bind = #hadal.binding<gradient, "head">})
    -> tensor<9x4xf32> attributes {hadal.phase = #hadal.phase<W>} {
  %0 = hadal.weight_gradient %g, %x, %a : tensor<2x4x9xf32>, tensor<2x4x4xf32>, tensor<9x4xf32>
  return %0 : tensor<9x4xf32>
}
func.func private @nothing_B(%g: tensor<2x4x4xf32>) -> tensor<2x4x4xf32> attributes {hadal.phase = #hadal.phase<B>} {
  %0 = hadal.add %g, %g : tensor<2x4x4xf32>, tensor<2x4x4xf32>
  return %0 : tensor<2x4x4xf32>
}
func.func private @embed_W(%g: tensor<2x4x4xf32>, %ids: tensor<2x5xi32>, %a: tensor<9x4xf32> {hadal.bind = #hadal.binding<gradient, "table">},
                           %b: tensor<9x4xf32> {hadal.bind = #hadal.binding<gradient, "table#mtp">})
    -> (tensor<9x4xf32>, tensor<9x4xf32>) attributes {hadal.phase = #hadal.phase<W>} {
  %0 = hadal.embedding_gradient %g, %ids, %a {offset = 0 : i64} : tensor<2x4x4xf32>, tensor<2x5xi32>, tensor<9x4xf32>
  %1 = hadal.embedding_gradient %g, %ids, %b {offset = 0 : i64} : tensor<2x4x4xf32>, tensor<2x5xi32>, tensor<9x4xf32>
  return %0, %1 : tensor<9x4xf32>, tensor<9x4xf32>
}

// CHECK-LABEL: func.func private @accumulate_9x4(
// CHECK:         hadal.kernel
// CHECK:           hadal.accumulate

func.func @gradients(%tokens: tensor<2x5xi32>) attributes {hadal.program} {
  %x = hadal.apply @embed_F (%tokens) : (tensor<2x5xi32>) -> tensor<2x4x4xf32>
  %loss, %logits, %sum, %counts = hadal.apply @head_F layer 1 (%x, %tokens) : (tensor<2x4x4xf32>, tensor<2x5xi32>) -> (tensor<f64>, tensor<2x4x9xf32>, tensor<2x4xf32>, tensor<3xi64>)
  %dx, %dl = hadal.apply @head_B (%logits, %sum, %tokens) : (tensor<2x4x9xf32>, tensor<2x4xf32>, tensor<2x5xi32>) -> (tensor<2x4x4xf32>, tensor<2x4x9xf32>)
  %dy = hadal.apply @nothing_B (%dx) : (tensor<2x4x4xf32>) -> tensor<2x4x4xf32>
  %0 = hadal.apply @head_W (%dl, %x) : (tensor<2x4x9xf32>, tensor<2x4x4xf32>) -> tensor<9x4xf32>
  %1:2 = hadal.apply @embed_W (%dy, %tokens) : (tensor<2x4x4xf32>, tensor<2x5xi32>) -> (tensor<9x4xf32>, tensor<9x4xf32>)
  hadal.output "main_loss", %loss : tensor<f64>
  hadal.output "counts.1", %counts : tensor<3xi64>
  return
}
pipe.schedule @training of @gradients algorithm "1f1b" ranks 1 micro_batches 3

// CHECK-NOT:   pipe.schedule
// CHECK-NOT:   func.func @gradients
// CHECK-LABEL: pipe.program @gradients rank 0 streams ["compute"]
// CHECK-DAG:     %[[TOKENS:.*]] = pipe.buffer "tokens" input "gradients.tokens" : tensor<6x5xi32>
// CHECK-DAG:     %[[T0:.*]] = pipe.buffer input "gradients.tokens" : tensor<2x5xi32>
// CHECK-DAG:     %[[T1:.*]] = pipe.buffer input "gradients.tokens" at 40 : tensor<2x5xi32>
// CHECK-DAG:     %[[T2:.*]] = pipe.buffer input "gradients.tokens" at 80 : tensor<2x5xi32>
// CHECK-DAG:     %[[TABLE:.*]] = pipe.buffer parameter "table"
// CHECK-DAG:     %[[HEAD:.*]] = pipe.buffer parameter "head"
// CHECK-DAG:     %[[COUNTS:.*]] = pipe.buffer "counts.1" state "counts.1" : tensor<3xi64>
// CHECK-DAG:     %[[SEED:.*]] = pipe.buffer "seed.main" scalar "seed.main" : tensor<f32>
// CHECK-DAG:     %[[DHEAD0:.*]] = pipe.buffer gradient "head" :
// CHECK-DAG:     %[[DHEAD1:.*]] = pipe.buffer gradient "head#half1" :
// CHECK-DAG:     %[[DTABLE0:.*]] = pipe.buffer gradient "table" :
// CHECK-DAG:     %[[DTABLE1:.*]] = pipe.buffer gradient "table#half1" :
// CHECK-DAG:     %[[DMTP0:.*]] = pipe.buffer gradient "table#mtp" :
// CHECK-DAG:     %[[DMTP1:.*]] = pipe.buffer gradient "table#mtp#half1" :
// CHECK-DAG:     %[[LOSS0:.*]] = pipe.buffer "main_loss.0" arena : tensor<f64>
// CHECK-DAG:     %[[LOSS1:.*]] = pipe.buffer "main_loss.1" arena : tensor<f64>
// CHECK-DAG:     %[[LOSS2:.*]] = pipe.buffer "main_loss.2" arena : tensor<f64>

// All that is added to starts at zero, the rest does not.
// CHECK-COUNT-7: pipe.zero
// CHECK-NOT:   pipe.zero
// Micro-batches 0 and 1 are the first half. A weight gradient comes as soon as it can.
// CHECK:       pipe.launch @embed_F(%[[T0]], %[[TABLE]], %[[X0:.*]]) stream 0 phase<F> micro_batch 0
// CHECK-NEXT:  pipe.launch @head_F(%[[X0]], %[[T0]], %[[HEAD]], %[[COUNTS]], %[[LOSS0]], %[[LOGITS:.*]], %[[SUM:.*]]) stream 0 phase<F> layer 1 micro_batch 0
// CHECK-NEXT:  pipe.launch @head_B(%[[LOGITS]], %[[SUM]], %[[T0]], %[[HEAD]], %[[SEED]], %[[DX:.*]], %[[DL:.*]]) stream 0 phase<B> micro_batch 0
// CHECK-NEXT:  pipe.launch @head_W(%[[DL]], %[[X0]], %[[DHEAD0]]) stream 0 phase<W> micro_batch 0
// CHECK-NEXT:  pipe.launch @nothing_B
// CHECK-NEXT:  pipe.launch @embed_W({{.*}}, %[[T0]], %[[DTABLE0]], %[[DMTP0]])
// CHECK-NEXT:  pipe.launch @embed_F(%[[T1]]
// CHECK:       pipe.launch @head_W({{.*}}, %[[DHEAD0]]) stream 0 phase<W> micro_batch 1
// CHECK:       pipe.launch @embed_F(%[[T2]]
// CHECK:       pipe.launch @head_F({{.*}}%[[LOSS2]]
// CHECK:       pipe.launch @head_W({{.*}}, %[[DHEAD1]]) stream 0 phase<W> micro_batch 2
// CHECK:       pipe.launch @embed_W({{.*}}, %[[DTABLE1]], %[[DMTP1]])
// The halves first, then the second accumulator.
// CHECK-NEXT:  pipe.launch @accumulate_9x4(%[[DHEAD1]], %[[DHEAD0]]) stream 0 phase<W>
// CHECK-NEXT:  pipe.launch @accumulate_9x4(%[[DTABLE1]], %[[DTABLE0]])
// CHECK-NEXT:  pipe.launch @accumulate_9x4(%[[DMTP1]], %[[DMTP0]])
// CHECK-NEXT:  pipe.launch @accumulate_9x4(%[[DMTP0]], %[[DTABLE0]])
// CHECK-NEXT:  }

// LATE:       pipe.launch @head_B
// LATE-NEXT:  pipe.launch @nothing_B
// LATE-NEXT:  pipe.launch @head_W
// LATE-NEXT:  pipe.launch @embed_W
