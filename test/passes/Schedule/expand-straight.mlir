// RUN: hadal-opt %s --pipe-expand-programs | FileCheck %s
// RUN: hadal-opt %s --pipe-expand-programs --remarks-filter=schedule -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// Programs without a schedule; what is updated in place, returned twice, or named twice.

func.func private @scale(%x: tensor<4xf32>, %f: tensor<4xf32> {hadal.bind = #hadal.binding<weight, "w.{layer}">}) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = hadal.add %x, %f : tensor<4xf32>, tensor<4xf32>
  return %0, %0 : tensor<4xf32>, tensor<4xf32>
}
func.func private @into(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  %0 = hadal.accumulate %x, %y : tensor<4xf32>, tensor<4xf32>
  return %0 : tensor<4xf32>
}
func.func private @start(%ids: tensor<1x4xi32>, %t: tensor<9x4xf32> {hadal.bind = #hadal.binding<weight, "table">}) -> tensor<4xf32> {
  %0 = hadal.embedding %ids, %t {offset = 0 : i64, tokens = 4 : i64} : tensor<1x4xi32>, tensor<9x4xf32>
  %1 = builtin.unrealized_conversion_cast %0 : tensor<1x4x4xf32> to tensor<4xf32>
  return %1 : tensor<4xf32>
}
func.func private @cache(%x: tensor<4xf32>, %c: tensor<4xf32> {hadal.bind = #hadal.binding<state, "cache.{layer}">},
                         %p: tensor<i32> {hadal.bind = #hadal.binding<scalar, "position">}) -> tensor<4xf32> {
  %0 = hadal.accumulate %x, %c : tensor<4xf32>, tensor<4xf32>
  return %0 : tensor<4xf32>
}

// CHECK-LABEL: pipe.program @prefill rank 0
func.func @prefill(%tokens: tensor<1x4xi32>) attributes {hadal.program} {
  // CHECK-DAG: %[[T:.*]] = pipe.buffer "tokens" input "prefill.tokens" : tensor<1x4xi32>
  // CHECK-DAG: %[[CACHE:.*]] = pipe.buffer "cache.3" state "cache.3"
  // CHECK-DAG: %[[POSITION:.*]] = pipe.buffer "position" scalar "position" : tensor<i32>
  // CHECK-DAG: %[[LOGITS:.*]] = pipe.buffer "logits" arena : tensor<4xf32>
  // CHECK-DAG: %[[AGAIN:.*]] = pipe.buffer "again" arena : tensor<4xf32>
  // CHECK-DAG: pipe.buffer "seen" state "cache.3" : tensor<4xf32>
  // A cache goes on from run to run.
  // CHECK-NOT: pipe.zero
  // CHECK: pipe.launch @start(%[[T]], %{{.*}}, %[[A:.*]]) stream 0 phase<G>
  %a = hadal.apply @start (%tokens) : (tensor<1x4xi32>) -> tensor<4xf32>
  // Two results, one value: one buffer.
  // CHECK-NEXT: pipe.launch @scale(%[[A]], %{{.*}}, %[[LOGITS]], %[[LOGITS]]) stream 0 phase<G> layer 3
  %b:2 = hadal.apply @scale layer 3 (%a) : (tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
  // %a is needed behind the launch that updates it.
  // REMARK: operand 1 of @into is copied: it is updated, and needed behind that
  // REMARK-NOT: is copied
  // CHECK-NEXT: pipe.copy %[[A]] to %[[COPY:.*]] stream 0
  // CHECK-NEXT: pipe.launch @into(%[[LOGITS]], %[[COPY]])
  %c = hadal.apply @into (%b#0, %a) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  // %c is not.
  // CHECK-NEXT: pipe.launch @into(%[[A]], %[[COPY]])
  %d = hadal.apply @into (%a, %c) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  // CHECK-NEXT: pipe.launch @cache(%[[COPY]], %[[CACHE]], %[[POSITION]]) stream 0 phase<G> layer 3
  %e = hadal.apply @cache layer 3 (%d) : (tensor<4xf32>) -> tensor<4xf32>
  hadal.output "logits", %b#0 : tensor<4xf32>
  // CHECK-NEXT: pipe.copy %[[LOGITS]] to %[[AGAIN]] stream 0
  hadal.output "again", %b#1 : tensor<4xf32>
  hadal.output "seen", %e : tensor<4xf32>
  // CHECK-NEXT: }
  return
}
