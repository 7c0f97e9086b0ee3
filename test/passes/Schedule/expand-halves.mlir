// RUN: cat %S/Inputs/two-stages.mlir %s | hadal-opt --pipe-schedule-1f1b --pipe-expand-programs | FileCheck %s
// RUN: sed 's/1f1b" ranks/zb1p" ranks/' %s > %t.zb1p && cat %S/Inputs/two-stages.mlir %t.zb1p \
// RUN:   | hadal-opt --pipe-schedule-zb1p --pipe-expand-programs | FileCheck %s --check-prefix=ZB1P
// RUN: sed 's/micro_batches 3/micro_batches 1/' %s > %t.one && cat %S/Inputs/two-stages.mlir %t.one \
// RUN:   | hadal-opt --pipe-schedule-1f1b --pipe-expand-programs | FileCheck %s --check-prefix=ONE
// RUN: sed 's/1f1b" ranks 2/dualpipev" ranks 1/' %s > %t.folded && cat %S/Inputs/two-stages.mlir %t.folded \
// RUN:   | hadal-opt --pipe-schedule-dualpipev --pipe-expand-programs | FileCheck %s --check-prefix=FOLDED

// Two replicas: the sums of the first half (micro-batches 0 and 1) are made while the second runs, each member keeps its
// shard, and the accumulators are used again.

pipe.schedule @s of @gradients algorithm "1f1b" ranks 2 micro_batches 3 {data_parallel = 2 : i64}

// CHECK-LABEL: pipe.program @gradients rank 0 streams ["compute", "pipeline", "sums"]
// CHECK-DAG:     %[[SUM:.*]] = pipe.buffer gradient "table" :
// CHECK-DAG:     %[[OWN:.*]] = pipe.buffer gradient "table#parked" : tensor<36xf32>
// CHECK-DAG:     %[[MTP:.*]] = pipe.buffer gradient "table#mtp#parked" : tensor<36xf32>
// CHECK-DAG:     %[[SHARD:.*]] = pipe.buffer gradient "table" shard <holders, ranks = [0, 1]> : tensor<36xf32>
// CHECK-NOT:     #half1
// CHECK:         pipe.launch @embed_W(%{{.*}}, %[[SUM]]) stream 0 phase<W> micro_batch 0
// What rank 1 alone adds to is complete there before this rank's own; it has nothing to add.
// CHECK:         pipe.reduce_scatter() to %[[MTP]] group <holders, ranks = [0, 1]>
// CHECK-SAME{LITERAL}: sums [[[1, 0]]] parameter "table" stream 2
// CHECK:         pipe.launch @embed_W(%{{.*}}, %[[SUM]]) stream 0 phase<W> micro_batch 1
// CHECK-NEXT:    pipe.record [[DONE:.*]] stream 0
// CHECK-NEXT:    pipe.wait [[DONE]] stream 2
// CHECK-NEXT:    pipe.reduce_scatter(%[[SUM]]) to %[[OWN]] group <holders, ranks = [0, 1]>
// CHECK-SAME{LITERAL}: sums [[[0, 0]]] parameter "table" stream 2
// CHECK-NEXT:    pipe.zero %[[SUM]] stream 2
// CHECK-NEXT:    pipe.record [[EMPTY:.*]] stream 2
// CHECK:         pipe.wait [[EMPTY]] stream 0
// CHECK-NEXT:    pipe.launch @embed_W(%{{.*}}, %[[SUM]]) stream 0 phase<W> micro_batch 2
// CHECK-NEXT:    pipe.reduce_scatter(%[[SUM]]) parked(%[[OWN]], %[[MTP]]) to %[[SHARD]] group <holders, ranks = [0, 1]>
// CHECK-SAME{LITERAL}: sums [[[0], [0, 0]], [[1], [1, 0]]] parameter "table" stream 0
// CHECK-NEXT:  }

// CHECK-LABEL: pipe.program @gradients.1 rank 1 streams ["compute", "pipeline", "sums"]
// CHECK-DAG:     %[[SUM:.*]] = pipe.buffer gradient "table" : tensor<9x4xf32>
// CHECK-DAG:     %[[LAYER:.*]] = pipe.buffer gradient "layer.1" : tensor<4x4xf32>
// CHECK-DAG:     %[[LAYER0:.*]] = pipe.buffer gradient "layer.1#parked" : tensor<16xf32>
// CHECK-DAG:     %[[MTP:.*]] = pipe.buffer gradient "table#mtp#parked" :
// CHECK-DAG:     %[[OTHER:.*]] = pipe.buffer gradient "table#parked" :
// CHECK:         pipe.launch @head_W(%{{.*}}, %[[SUM]]) stream 0 phase<W> micro_batch 1
// CHECK:         pipe.launch @mlp_W(%{{.*}}, %[[LAYER]]) stream 0 phase<W> layer 1 micro_batch 1
// CHECK-NEXT:    pipe.record [[DONE:.*]] stream 0
// CHECK-NEXT:    pipe.wait [[DONE]] stream 2
// CHECK-NEXT:    pipe.reduce_scatter(%[[LAYER]]) to %[[LAYER0]] group <holders, ranks = [1]>
// CHECK-SAME{LITERAL}: sums [[[0, 0]]] parameter "layer.1" stream 2
// CHECK-NEXT:    pipe.zero %[[LAYER]] stream 2
// CHECK-NEXT:    pipe.reduce_scatter(%[[SUM]]) to %[[MTP]] group <holders, ranks = [0, 1]>
// CHECK-NEXT:    pipe.zero %[[SUM]] stream 2
// CHECK-NEXT:    pipe.record [[EMPTY:.*]] stream 2
// CHECK:         pipe.reduce_scatter() to %[[OTHER]]
// CHECK-NEXT:    pipe.record [[LAST:.*]] stream 2
// CHECK:         pipe.wait [[EMPTY]] stream 0
// CHECK-NEXT:    pipe.launch @head_W(%{{.*}}, %[[SUM]]) stream 0 phase<W> micro_batch 2
// CHECK:         pipe.launch @mlp_W(%{{.*}}, %[[LAYER]]) stream 0 phase<W> layer 1 micro_batch 2
// Sums of a group follow each other, those of the first half first.
// CHECK:         pipe.wait [[LAST]] stream 0
// CHECK-NEXT:    pipe.reduce_scatter(%[[SUM]]) parked(%[[OTHER]], %[[MTP]]) to
// CHECK-NEXT:    pipe.reduce_scatter(%[[LAYER]]) parked(%[[LAYER0]]) to %{{.*}} group <holders, ranks = [1]>
// CHECK-SAME{LITERAL}: sums [[[0], [0, 0]]] parameter "layer.1" stream 0
// CHECK-NEXT:    pipe.all_reduce
// CHECK-NEXT:  }

// ZB1P's last rank runs its weight gradients later than the first, so the ranks sum in the other order.
// ZB1P-LABEL: pipe.program @gradients rank 0
// ZB1P:         pipe.launch @embed_W({{.*}} micro_batch 1
// ZB1P:         pipe.reduce_scatter(%{{.*}}) to %[[OWN:[^ ]*]] group
// ZB1P:         pipe.reduce_scatter() to %[[MTP:[^ ]*]] group
// ZB1P:         parked(%[[OWN]], %[[MTP]])
// ZB1P-LABEL: pipe.program @gradients.1 rank 1
// ZB1P:         pipe.reduce_scatter() to %[[OWN:[^ ]*]] group
// ZB1P:         pipe.launch @head_W({{.*}} micro_batch 1
// ZB1P:         pipe.reduce_scatter(%{{.*}}) to %{{.*}} parameter "layer.1"
// ZB1P:         pipe.reduce_scatter(%{{.*}}) to %[[MTP:[^ ]*]] group
// ZB1P:         pipe.launch @head_W({{.*}} micro_batch 2
// ZB1P:         parked(%[[OWN]], %[[MTP]])

// One micro-batch has one half.
// ONE-LABEL:  pipe.program @gradients rank 0 streams ["compute", "pipeline"]
// ONE-NOT:      parked
// ONE-LABEL:  pipe.program @update

// One rank has both accumulators of the table.
// FOLDED-LABEL: pipe.program @gradients rank 0 streams ["compute", "sums"]
// FOLDED-DAG:     %[[SUM:.*]] = pipe.buffer gradient "table" : tensor<9x4xf32>
// FOLDED-DAG:     %[[MTP:.*]] = pipe.buffer gradient "table#mtp" : tensor<9x4xf32>
// FOLDED-NOT:     #half1
// FOLDED:         pipe.reduce_scatter(%[[MTP]]) to %[[MTP0:[^ ]*]] group <holders, ranks = [0]>
// FOLDED:         pipe.reduce_scatter(%[[SUM]]) to %[[SUM0:[^ ]*]] group
// FOLDED:         pipe.reduce_scatter(%[[SUM]], %[[MTP]]) parked(%[[SUM0]], %[[MTP0]]) to %{{.*}} group <holders, ranks = [0]>
// FOLDED-SAME{LITERAL}: sums [[[0], [0, 0]], [[1], [0, 1]]] parameter "table"
