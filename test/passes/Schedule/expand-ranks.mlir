// RUN: cat %S/Inputs/two-stages.mlir %s | hadal-opt --pipe-schedule-1f1b --pipe-expand-programs | FileCheck %s

// 1F1B on two ranks: transfers on a stream of their own, events where one stream needs what the other makes, and shards of
// what both ranks hold.

pipe.schedule @s of @gradients algorithm "1f1b" ranks 2 micro_batches 2

// CHECK-LABEL: pipe.program @evaluate rank 0 streams ["compute", "pipeline"]
// CHECK:         pipe.launch @embed_F(%{{.*}}, %{{.*}}, %[[X:.*]]) stream 0 phase<E>
// CHECK-NEXT:    pipe.record 0 stream 0
// CHECK-NEXT:    pipe.wait 0 stream 1
// CHECK-NEXT:    pipe.send %[[X]] to 1 batch 0 stream 1
// CHECK-NEXT:  }
// CHECK-LABEL: pipe.program @evaluate.1 rank 1
// CHECK:         pipe.buffer "logits" arena
// CHECK:         pipe.receive %[[X:.*]] from 0 batch 0 stream 1
// CHECK-NEXT:    pipe.record 0 stream 1
// CHECK-NEXT:    pipe.wait 0 stream 0
// CHECK-NEXT:    pipe.launch @mlp_F(%[[X]],
// CHECK-NEXT:    pipe.launch @head_F(
// CHECK-NEXT:  }

// CHECK-LABEL: pipe.program @gradients rank 0 streams ["compute", "pipeline"] chunks ["F0.0", "F0.1", "B0.0", "B0.1"]
// CHECK-DAG:     %[[SUM0:.*]] = pipe.buffer gradient "table" :
// CHECK-DAG:     %[[SUM1:.*]] = pipe.buffer gradient "table#half1" :
// CHECK-DAG:     %[[SHARD:.*]] = pipe.buffer gradient "table" shard <holders, ranks = [0, 1]> : tensor<36xf32>
// CHECK:         pipe.launch @embed_F(%{{.*}}, %{{.*}}, %[[X0:.*]]) stream 0 phase<F> micro_batch 0 {pipe.chunk = 0 : i64}
// CHECK-NEXT:    pipe.record 0 stream 0
// CHECK-NEXT:    pipe.wait 0 stream 1
// Nobody on the stream that computes waits for a send.
// CHECK-NEXT:    pipe.send %[[X0]] to 1 batch 0 stream 1
// CHECK-NEXT:    pipe.launch @embed_F(%{{.*}}, %{{.*}}, %[[X1:.*]]) stream 0 phase<F> micro_batch 1
// CHECK-NEXT:    pipe.record 1 stream 0
// CHECK-NEXT:    pipe.wait 1 stream 1
// CHECK-NEXT:    pipe.send %[[X1]] to 1 batch 1 stream 1
// CHECK-NEXT:    pipe.receive %[[D0:.*]] from 1 batch 1 stream 1
// CHECK-NEXT:    pipe.record 2 stream 1
// CHECK-NEXT:    pipe.wait 2 stream 0
// CHECK-NEXT:    pipe.launch @embed_W(%[[D0]], %{{.*}}, %[[SUM0]]) stream 0 phase<W> micro_batch 0 {pipe.chunk = 2 : i64}
// CHECK:         pipe.launch @embed_W(%{{.*}}, %{{.*}}, %[[SUM1]]) stream 0 phase<W> micro_batch 1
// CHECK-NEXT:    pipe.reduce_scatter(%[[SUM0]], %[[SUM1]]) to %[[SHARD]] group <holders, ranks = [0, 1]>
// CHECK-SAME{LITERAL}: sums [[[0, 0], [0, 1]], [[1, 0], [1, 1]]] parameter "table" stream 0
// CHECK-NEXT:  }

// The last rank's first accumulator lies in the storage of the gradient; what it alone holds it adds up itself.
// CHECK-LABEL: pipe.program @gradients.1 rank 1 streams ["compute", "pipeline"] chunks ["F0.0", "B0.0", "F0.1", "B0.1"]
// CHECK-DAG:     %[[OWN0:.*]] = pipe.buffer gradient "layer.1" :
// CHECK-DAG:     %[[OWN1:.*]] = pipe.buffer gradient "layer.1#half1" :
// CHECK-DAG:     %[[SUM0:.*]] = pipe.buffer gradient "table" : tensor<9x4xf32>
// CHECK-DAG:     %[[SUM1:.*]] = pipe.buffer gradient "table#mtp#half1" :
// CHECK-DAG:     pipe.buffer "main_loss.1" arena
// CHECK:         pipe.receive %[[X0:.*]] from 0 batch 0 stream 1
// CHECK:         pipe.launch @mlp_F(%[[X0]],
// CHECK:         pipe.launch @mlp_B(%[[DY:.*]], %{{.*}}, %[[DX:.*]]) stream 0 phase<B> layer 1 micro_batch 0
// The gradient goes off before the weights' is computed; it is in one batch with the next receive.
// CHECK-NEXT:    pipe.record 1 stream 0
// What was received lives on.
// CHECK-NEXT:    pipe.launch @mlp_W(%[[DY]], %[[X0]], %[[OWN0]])
// CHECK-NEXT:    pipe.wait 1 stream 1
// CHECK-NEXT:    pipe.send %[[DX]] to 0 batch 1 stream 1
// CHECK-NEXT:    pipe.receive %{{.*}} from 0 batch 1 stream 1
// CHECK:         pipe.launch @accumulate_4x4(%[[OWN1]], %[[OWN0]])
// CHECK-NEXT:    pipe.reduce_scatter(%[[SUM0]], %[[SUM1]])
// CHECK-NEXT:  }

// CHECK-LABEL: pipe.program @update rank 0 streams ["compute"]
// CHECK-DAG:     %[[G:.*]] = pipe.buffer gradient "table" shard <holders, ranks = [0, 1]> : tensor<36xf32>
// CHECK-DAG:     %[[P:.*]] = pipe.buffer parameter "table" shard <holders, ranks = [0, 1]> : tensor<36xf32>
// CHECK-DAG:     %[[M:.*]] = pipe.buffer moment1 "table" : tensor<36xf32>
// CHECK-DAG:     %[[V:.*]] = pipe.buffer moment2 "table" : tensor<36xf32>
// CHECK-DAG:     %[[WHOLE:.*]] = pipe.buffer parameter "table" : tensor<9x4xf32>
// CHECK:         pipe.launch @square_blocks_36(%[[G]], %[[BLOCKS:.*]]) stream 0 phase<U> parameter "table"
// CHECK-NEXT:    pipe.total_squares(%[[BLOCKS]]) to %[[TOTAL:.*]] parameters ["table"] groups [#pipe.group<holders, ranks = [0, 1]>] stream 0
// CHECK-NEXT:    pipe.launch @clip_factor(%[[TOTAL]], %{{.*}}, %[[FACTOR:.*]])
// CHECK-NEXT:    pipe.launch @adamw_36(%[[P]], %[[G]], %[[M]], %[[V]], %{{.*}}, %[[FACTOR]]) stream 0 phase<U> parameter "table"
// CHECK-NEXT:    pipe.all_gather %[[WHOLE]] group <holders, ranks = [0, 1]> parameter "table" stream 0
// CHECK-NEXT:  }
// CHECK-LABEL: pipe.program @update.1 rank 1 streams ["compute"]
// CHECK:         pipe.total_squares(%{{.*}}, %{{.*}}) to %{{.*}} parameters ["table", "layer.1"]
// CHECK-SAME:    groups [#pipe.group<holders, ranks = [0, 1]>, #pipe.group<holders, ranks = [1]>]
// CHECK:         pipe.all_gather
// CHECK-NEXT:    pipe.launch @adamw_4x4(
// CHECK-NEXT:    pipe.launch @bias_update(
// CHECK-NEXT:  }
