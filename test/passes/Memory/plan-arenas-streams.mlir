// RUN: hadal-opt %s --pipe-plan-arenas | FileCheck %s

// Several streams: a place is used again where events say that everybody has left it. Buffers of 64 bytes.

func.func private @one(%x: tensor<16xf32>)
func.func private @two(%x: tensor<16xf32>, %y: tensor<16xf32>)

// The send may still read %a while %b is written, and has ended when the next batch of its stream starts; when %c is
// written, %b has ended.
// CHECK-LABEL: pipe.program @send
// CHECK-SAME:    arena <bytes = 128, live = 128, activations = 64, stash = 0, communication = 64>
pipe.program @send rank 0 streams ["compute", "pipeline"] {
  // CHECK-NEXT: pipe.buffer arena at [[A:[0-9]+]]
  %a = pipe.buffer arena : tensor<16xf32>
  // CHECK-NEXT: pipe.buffer arena at [[B:[0-9]+]]
  %b = pipe.buffer arena : tensor<16xf32>
  // CHECK-NEXT: pipe.buffer arena at [[B]]
  %c = pipe.buffer arena : tensor<16xf32>
  // CHECK-NEXT: pipe.buffer arena at [[A]]
  %d = pipe.buffer arena : tensor<16xf32>
  pipe.launch @one(%a) stream 0 phase<F>
  pipe.record 0 stream 0
  pipe.wait 0 stream 1
  pipe.send %a to 1 batch 0 stream 1
  pipe.launch @one(%b) stream 0 phase<F>
  pipe.receive %d from 1 batch 1 stream 1
  pipe.record 1 stream 1
  pipe.wait 1 stream 0
  pipe.launch @two(%d, %c) stream 0 phase<F>
}

// The same in one batch: what is received may come before what is sent has left.
// CHECK-LABEL: pipe.program @batch
// CHECK-SAME:    arena <bytes = 192,
pipe.program @batch rank 0 streams ["compute", "pipeline"] {
  %a = pipe.buffer arena : tensor<16xf32>
  %b = pipe.buffer arena : tensor<16xf32>
  %c = pipe.buffer arena : tensor<16xf32>
  %d = pipe.buffer arena : tensor<16xf32>
  pipe.launch @one(%a) stream 0 phase<F>
  pipe.record 0 stream 0
  pipe.wait 0 stream 1
  pipe.send %a to 1 batch 0 stream 1
  pipe.launch @one(%b) stream 0 phase<F>
  pipe.receive %d from 1 batch 0 stream 1
  pipe.record 1 stream 1
  pipe.wait 1 stream 0
  pipe.launch @two(%d, %c) stream 0 phase<F>
}

// Without an event nothing is known of the other stream, to the end.
// CHECK-LABEL: pipe.program @unordered
// CHECK-SAME:    arena <bytes = 192,
pipe.program @unordered rank 0 streams ["compute", "experts"] {
  %a = pipe.buffer arena : tensor<16xf32>
  %b = pipe.buffer arena : tensor<16xf32>
  %c = pipe.buffer arena : tensor<16xf32>
  %d = pipe.buffer arena : tensor<16xf32>
  pipe.launch @one(%a) stream 0 phase<F>
  pipe.launch @one(%b) stream 1 phase<F>
  pipe.launch @one(%c) stream 1 phase<F>
  pipe.launch @two(%a, %d) stream 0 phase<F>
}

// Only of the streams that use both: %t of the compute stream alone takes the place of %s, which it alone used, too.
// CHECK-LABEL: pipe.program @alone
// CHECK-SAME:    arena <bytes = 128,
pipe.program @alone rank 0 streams ["compute", "pipeline"] {
  // CHECK-NEXT: pipe.buffer arena at [[S:[0-9]+]]
  %s = pipe.buffer arena : tensor<16xf32>
  // CHECK-NEXT: pipe.buffer arena at [[S]]
  %t = pipe.buffer arena : tensor<16xf32>
  %x = pipe.buffer arena : tensor<16xf32>
  pipe.receive %x from 1 batch 0 stream 1
  pipe.launch @one(%s) stream 0 phase<F>
  pipe.launch @one(%t) stream 0 phase<F>
  pipe.send %x to 1 batch 1 stream 1
}
