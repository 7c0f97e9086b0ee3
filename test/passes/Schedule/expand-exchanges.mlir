// RUN: hadal-opt %s --pipe-schedule-1f1b --pipe-expand-programs | FileCheck %s

// Experts on two members: counts first, then rows whose number routing gives; room for them is made before they are written
// and given back when the stream that computes knows that nobody needs them any more.

func.func private @route_F(%ids: tensor<1x5xi32>) -> (tensor<1x4x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<8xi32>, tensor<1x4x2xi32>)
    attributes {hadal.phase = #hadal.phase<F>} {
  %0:5 = builtin.unrealized_conversion_cast %ids : tensor<1x5xi32> to tensor<1x4x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<8xi32>, tensor<1x4x2xi32>
  return %0#0, %0#1, %0#2, %0#3, %0#4 : tensor<1x4x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<8xi32>, tensor<1x4x2xi32>
}
func.func private @mlp_F(%rows: tensor<8x8xf32> {hadal.rows = #hadal.rows<received>})
    -> (tensor<8x8xf32> {hadal.rows = #hadal.rows<received>}, tensor<8x8xf32> {hadal.rows = #hadal.rows<routed>}) attributes {hadal.phase = #hadal.phase<F>} {
  %0 = hadal.add %rows, %rows : tensor<8x8xf32>, tensor<8x8xf32>
  %1 = hadal.add %rows, %0 : tensor<8x8xf32>, tensor<8x8xf32>
  return %0, %1 : tensor<8x8xf32>, tensor<8x8xf32>
}
func.func private @mlp_B(%rows: tensor<8x8xf32> {hadal.rows = #hadal.rows<routed>}) -> tensor<f32> attributes {hadal.phase = #hadal.phase<B>} {
  %0 = builtin.unrealized_conversion_cast %rows : tensor<8x8xf32> to tensor<f32>
  return %0 : tensor<f32>
}
func.func private @merge_F(%rows: tensor<8x8xf32>) -> tensor<f64> attributes {hadal.phase = #hadal.phase<F>} {
  %0 = builtin.unrealized_conversion_cast %rows : tensor<8x8xf32> to tensor<f64>
  return %0 : tensor<f64>
}
func.func @gradients(%tokens: tensor<1x5xi32>) attributes {hadal.program} {
  %x, %counts, %offsets, %token, %slot = hadal.apply @route_F (%tokens) : (tensor<1x5xi32>) -> (tensor<1x4x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<8xi32>, tensor<1x4x2xi32>)
  %rows, %received = hadal.exchange scatter layer 1 (%x) sent(%counts, %offsets, %token, %slot) {members = 2 : i64, phase = #hadal.phase<F>}
      : (tensor<1x4x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<8xi32>, tensor<1x4x2xi32>) -> (tensor<8x8xf32>, tensor<2x3xi64>)
  %done, %saved = hadal.apply @mlp_F (%rows) : (tensor<8x8xf32>) -> (tensor<8x8xf32>, tensor<8x8xf32>)
  %back = hadal.exchange gather layer 1 (%done) sent(%counts, %offsets, %token, %slot) received(%received) {members = 2 : i64, phase = #hadal.phase<F>}
      : (tensor<8x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<8xi32>, tensor<1x4x2xi32>, tensor<2x3xi64>) -> tensor<8x8xf32>
  %loss = hadal.apply @merge_F (%back) : (tensor<8x8xf32>) -> tensor<f64>
  %d = hadal.apply @mlp_B (%saved) : (tensor<8x8xf32>) -> tensor<f32>
  hadal.output "main_loss", %loss : tensor<f64>
  return
}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 1 micro_batches 1 {data_parallel = 2 : i64, expert_parallel = 2 : i64}

// CHECK-LABEL: pipe.program @gradients rank 0 streams ["compute", "experts"]
// CHECK-DAG:     %[[COUNTED:.*]] = pipe.buffer arena : tensor<2x3xi64>
// CHECK-DAG:     %[[ROWS:.*]] = pipe.buffer rows rows received : tensor<8x8xf32>
// CHECK-DAG:     %[[SAVED:.*]] = pipe.buffer rows rows routed : tensor<8x8xf32>
// CHECK:         pipe.launch @route_F(%{{.*}}, %[[X:.*]], %[[COUNTS:.*]], %[[OFFSETS:.*]], %[[TOKEN:.*]], %{{.*}}) stream 0
// CHECK-NEXT:    pipe.record 0 stream 0
// CHECK-NEXT:    pipe.wait 0 stream 1
// CHECK-NEXT:    pipe.exchange_counts %[[COUNTS]] to %[[COUNTED]] stream 1 phase<F> layer 1 micro_batch 0
// CHECK-NEXT:    pipe.allocate %[[ROWS]] by %[[COUNTED]] stream 1
// CHECK-NEXT:    pipe.exchange_rows {{ *}}scatter(%[[X]]) to(%[[ROWS]]) by %[[OFFSETS]], %[[TOKEN]], %[[COUNTED]] stream 1 phase<F> layer 1 micro_batch 0
// One event is enough: what waits for the rows knows the counts.
// CHECK-NEXT:    pipe.record 1 stream 1
// CHECK-NEXT:    pipe.wait 1 stream 0
// CHECK-NEXT:    pipe.allocate %[[DONE:.*]] by %[[COUNTED]] stream 0
// CHECK-NEXT:    pipe.allocate %[[SAVED]] by %[[COUNTED]] stream 0
// CHECK-NEXT:    pipe.launch @mlp_F(%[[ROWS]], %[[DONE]], %[[SAVED]]) received %[[COUNTED]] stream 0
// CHECK-NEXT:    pipe.record 2 stream 0
// CHECK-NEXT:    pipe.free %[[ROWS]] stream 0
// CHECK-NEXT:    pipe.wait 2 stream 1
// CHECK-NEXT:    pipe.exchange_rows {{ *}}gather(%[[DONE]]) to(%[[BACK:.*]]) by %[[OFFSETS]], %[[TOKEN]], %[[COUNTED]] stream 1
// CHECK-NEXT:    pipe.record 3 stream 1
// CHECK-NEXT:    pipe.wait 3 stream 0
// The gather was the last to read these; that it has ended is known here.
// CHECK-NEXT:    pipe.free %[[DONE]] stream 0
// CHECK-NEXT:    pipe.launch @merge_F(%[[BACK]],
// CHECK-NEXT:    pipe.launch @mlp_B(%[[SAVED]], %{{.*}}) received %[[COUNTED]]
// CHECK-NEXT:    pipe.free %[[SAVED]] stream 0
// CHECK-NEXT:  }
