// RUN: cat %S/Inputs/two-stages.mlir %s | hadal-opt --pipe-schedule-dualpipe --pipe-expand-programs | FileCheck %s

// DualPipe on two ranks of two replicas: each rank has both stages, one direction each, so that it adds one half to every
// accumulator; all four ranks hold everything.

pipe.schedule @s of @gradients algorithm "dualpipe" ranks 2 micro_batches 4 {data_parallel = 2 : i64, overlap = "paper"}

// CHECK-LABEL: pipe.program @gradients rank 0
// CHECK-DAG:     %[[TABLE:.*]] = pipe.buffer gradient "table" : tensor<9x4xf32>
// CHECK-DAG:     %[[MTP:.*]] = pipe.buffer gradient "table#mtp#half1" :
// CHECK-DAG:     %[[LAYER:.*]] = pipe.buffer gradient "layer.1" : tensor<4x4xf32>
// Direction 1 has micro-batches 2 and 3.
// CHECK-DAG:     pipe.buffer "main_loss.2" arena
// CHECK-DAG:     pipe.buffer "main_loss.3" arena
// CHECK-COUNT-4: pipe.zero
// CHECK-NOT:     pipe.zero
// CHECK:         pipe.launch @head_W(%{{.*}}, %{{.*}}, %[[MTP]]) stream 0 phase<W> micro_batch 2
// A pair; what is outside the layers comes first.
// CHECK:         pipe.launch @embed_W({{.*}}, %[[TABLE]]) stream 0 phase<W> micro_batch 0 {pipe.chunk = 4 : i64}
// CHECK-NEXT:    pipe.launch @mlp_F({{.*}} micro_batch 3 {pipe.chunk = 4 : i64}
// Sums have a stream of their own. Stage 1 is complete first, and its sum needs nothing of stage 0; the rank of direction 0 comes first
// in a group.
// CHECK:         pipe.launch @mlp_W({{.*}}, %[[LAYER]]) {{.*}} micro_batch 3
// CHECK-NEXT:    pipe.record [[LAST:[0-9]+]] stream 0
// CHECK:         pipe.launch @embed_W({{.*}} micro_batch 1
// CHECK:         pipe.wait [[LAST]] stream 2
// CHECK-NEXT:    pipe.reduce_scatter(%[[LAYER]]) to %{{.*}} group <holders, ranks = [1, 0]>
// CHECK-SAME{LITERAL}: sums [[[0, 0], [1, 0]]] parameter "layer.1" stream 2
// CHECK-NEXT:    pipe.wait {{[0-9]+}} stream 2
// CHECK-NEXT:    pipe.reduce_scatter(%[[TABLE]], %[[MTP]]) to %{{.*}} group <holders, ranks = [0, 1]>
// CHECK-SAME{LITERAL}: sums [[[0, 0], [1, 0]], [[1, 1], [0, 1]]] parameter "table" stream 2
// CHECK:         pipe.all_reduce %{{.*}} group <holders, ranks = [1, 0]> stream 2
// CHECK-NEXT:  }

// CHECK-LABEL: pipe.program @gradients.1 rank 1
// CHECK:         pipe.reduce_scatter({{.*}} parameter "layer.1"
// CHECK:         pipe.reduce_scatter({{.*}} parameter "table"
// CHECK:         pipe.all_reduce
