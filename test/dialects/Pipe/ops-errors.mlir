// RUN: hadal-opt %s --split-input-file --verify-diagnostics

// What the verifiers of the pipe dialect refuse.

func.func @gradients() attributes {hadal.program} {
  return
}
// schedule C1
// expected-error@+1 {{expects algorithm 1f1b, zb1p, dualpipe or dualpipev; found gpipe}}
pipe.schedule @s of @gradients algorithm "gpipe" ranks 1 micro_batches 4

// -----

func.func @gradients() attributes {hadal.program} {
  return
}
// schedule C2
// expected-error@+1 {{ranks and micro_batches must be positive; found 0 and 4}}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 0 micro_batches 4

// -----

func.func @gradients() attributes {hadal.program} {
  return
}
// schedule C2
// expected-error@+1 {{dualpipe takes an even number of ranks and an even number of micro_batches that is at least twice as large; found 4 and 6}}
pipe.schedule @s of @gradients algorithm "dualpipe" ranks 4 micro_batches 6

// -----

func.func @gradients() attributes {hadal.program} {
  return
}
// schedule C2
// expected-error@+1 {{dualpipev takes at least twice as many micro_batches as ranks; found 3 and 5}}
pipe.schedule @s of @gradients algorithm "dualpipev" ranks 3 micro_batches 5

// -----

func.func @component() {
  return
}
// schedule C3
// expected-error@+1 {{expects program @component to be a function with hadal.program}}
pipe.schedule @s of @component algorithm "1f1b" ranks 1 micro_batches 4

// -----

func.func @gradients() attributes {hadal.program} {
  return
}
// schedule C4
// expected-error@+1 {{expects an order of 2 lists, one a rank; found 1}}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 2 micro_batches 4 order [["F0.0"]]

// -----

// program C1
// expected-error@+1 {{expects a rank that is not negative; found -1}}
pipe.program @p rank -1 streams ["compute"] {
}

// -----

// program C1
// expected-error@+1 {{expects at least one stream}}
pipe.program @p rank 0 streams [] {
}

// -----

// program C1
// expected-error@+1 {{expects streams of different names; found "a" twice}}
pipe.program @p rank 0 streams ["a", "a"] {
}

// -----

pipe.program @p rank 0 streams ["compute"] {
  // program C2
  // expected-error@+1 {{is not an instruction; a pipe.program holds buffers and instructions}}
  %0 = arith.constant 1 : i32
}

// -----

pipe.program @p rank 0 streams ["compute"] {
  %0 = pipe.buffer "x" arena : tensor<4xf32>
  // program C3
  // expected-error@+1 {{expects a name of its own; "x" is there twice}}
  %1 = pipe.buffer "x" arena : tensor<4xf32>
}

// -----

pipe.program @p rank 0 streams ["compute"] {
  %0 = pipe.buffer arena : tensor<4xf32>
  // program C4
  // expected-error@+1 {{expects a stream below 1; found 1}}
  pipe.zero %0 stream 1
}

// -----

pipe.program @p rank 0 streams ["compute"] {
  // program C5
  // expected-error@+1 {{waits for event 2, which is not recorded before it}}
  pipe.wait 2 stream 0
  pipe.record 2 stream 0
}

// -----

pipe.program @p rank 0 streams ["compute"] {
  pipe.record 2 stream 0
  // program C5
  // expected-error@+1 {{records event 2 a second time}}
  pipe.record 2 stream 0
}

// -----

pipe.program @p rank 0 streams ["compute"] {
  // buffer C1
  // expected-error@+1 {{expects a static shape of integers or floats; found 'tensor<?xf32>'}}
  %0 = pipe.buffer arena : tensor<?xf32>
}

// -----

pipe.program @p rank 0 streams ["compute"] {
  // buffer C1
  // expected-error@+1 {{expects a static shape of integers or floats; found 'tensor<4xindex>'}}
  %0 = pipe.buffer arena : tensor<4xindex>
}

// -----

pipe.program @p rank 0 streams ["compute"] {
  // buffer C2
  // expected-error@+1 {{of kind arena expects no storage; found "a"}}
  %0 = pipe.buffer arena "a" : tensor<4xf32>
}

// -----

pipe.program @p rank 0 streams ["compute"] {
  // buffer C2
  // expected-error@+1 {{expects the name of a storage of kind state}}
  %0 = pipe.buffer "x" state : tensor<4xf32>
}

// -----

pipe.program @p rank 0 streams ["compute"] {
  // buffer C3
  // expected-error@+1 {{expects an offset that is a multiple of 8 and not negative; found 12}}
  %0 = pipe.buffer arena at 12 : tensor<4xf64>
}

// -----

pipe.program @p rank 0 streams ["compute"] {
  // launch C1
  // expected-error@+1 {{expects component @f to be a function}}
  pipe.launch @f() stream 0 phase<F>
}

// -----

func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
pipe.program @p rank 0 streams ["compute"] {
  %0 = pipe.buffer arena : tensor<4xf32>
  // launch C2: the result is the argument
  // expected-error@+1 {{expects 1 buffers for @f; found 2}}
  pipe.launch @f(%0, %0) stream 0 phase<F>
}

// -----

func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
pipe.program @p rank 0 streams ["compute"] {
  %0 = pipe.buffer arena : tensor<5xf32>
  // launch C3
  // expected-error@+1 {{expects buffer 0 to be 'tensor<4xf32>'; found 'tensor<5xf32>'}}
  pipe.launch @f(%0) stream 0 phase<F>
}

// -----

pipe.program @p rank 0 streams ["compute"] {
  %0 = pipe.buffer arena : tensor<5xf32>
  %1 = pipe.buffer arena : tensor<4xf32>
  // copy C1
  // expected-error@+1 {{expects two buffers of one type; found 'tensor<5xf32>' and 'tensor<4xf32>'}}
  pipe.copy %0 to %1 stream 0
}

// -----

func.func @gradients() attributes {hadal.program} {
  return
}
// expected-error@+1 {{expects data_parallel and expert_parallel to be positive, the latter to divide the former; found 4 and 3}}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 1 micro_batches 1 {data_parallel = 4 : i64, expert_parallel = 3 : i64}

// -----

func.func @gradients() attributes {hadal.program} {
  return
}
// expected-error@+1 {{expects overlap none, paper or searched; found full}}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 1 micro_batches 1 {overlap = "full"}

// -----

pipe.program @p rank 0 streams ["compute"] {
  %0 = pipe.buffer gradient "w" : tensor<4xf32>
  %1 = pipe.buffer gradient "w" shard <holders, ranks = [0]> : tensor<4xf32>
  // reduce_scatter C1
  // expected-error@+1 {{expects sums as lists of lists of [rank of the group, accumulator] or [parked shard]}}
  pipe.reduce_scatter(%0) to %1 group <holders, ranks = [0]> sums [[[1, 0]]] parameter "w" stream 0
}

// -----

pipe.program @p rank 0 streams ["compute"] {
  %0 = pipe.buffer gradient "w" : tensor<4xf32>
  %1 = pipe.buffer gradient "w#parked" : tensor<4xf32>
  %2 = pipe.buffer gradient "w" shard <holders, ranks = [0]> : tensor<4xf32>
  // reduce_scatter C1
  // expected-error@+1 {{expects sums as lists of lists of [rank of the group, accumulator] or [parked shard]}}
  pipe.reduce_scatter(%0) parked(%1) to %2 group <holders, ranks = [0]> sums [[[1], [0, 0]]] parameter "w" stream 0
}
