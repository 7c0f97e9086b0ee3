// RUN: cat %S/Inputs/two-stages.mlir %s | hadal-opt --pipe-schedule-dualpipev --pipe-expand-programs | FileCheck %s

// DualPipeV on one rank: two stages, nothing to transfer, the value of the border stays where it is.

pipe.schedule @s of @gradients algorithm "dualpipev" ranks 1 micro_batches 2

// CHECK-LABEL: pipe.program @evaluate rank 0 streams ["compute"]
// CHECK:         pipe.launch @embed_F(
// CHECK-NEXT:    pipe.launch @mlp_F(
// CHECK-NEXT:    pipe.launch @head_F(
// CHECK-NEXT:  }
// CHECK-LABEL: pipe.program @gradients rank 0 streams ["compute"]
// CHECK:         pipe.launch @embed_F(%{{.*}}, %{{.*}}, %[[X:.*]]) stream 0 phase<F> micro_batch 0
// CHECK:         pipe.launch @mlp_F(%[[X]], {{.*}} micro_batch 0
// CHECK:         pipe.launch @mlp_B(%{{.*}}, %{{.*}}, %[[D:.*]]) stream 0 phase<B> layer 1 micro_batch 0
// CHECK:         pipe.launch @embed_W(%[[D]],
// CHECK-NOT:     pipe.wait
// As on any single rank.
// CHECK:         pipe.launch @accumulate_9x4(
// CHECK-LABEL: pipe.program @update rank 0
// CHECK:         pipe.launch @squares_9x4(
