// RUN: hadal-opt %s --pipe-plan-arenas | FileCheck %s
// RUN: hadal-opt %s --pipe-plan-arenas=red-zone=64 | FileCheck %s --check-prefix=RED
// RUN: hadal-opt %s --pipe-plan-arenas --remarks-filter=memory -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// REMARK: remark: {{.*}}Category:memory | Remark="@p: ", bytes=192, live=192

// Buffers of 64 bytes. Lives by instruction: a 0-1, b 1-3, c 2-3 (stash), d 3-end (named).

func.func private @one(%x: tensor<16xf32>)
func.func private @two(%x: tensor<16xf32>, %y: tensor<16xf32>)
func.func private @three(%x: tensor<16xf32>, %y: tensor<16xf32>, %z: tensor<16xf32>)

// CHECK-LABEL: pipe.program @p
// CHECK-SAME:    arena <bytes = 192, live = 192, activations = 128, stash = 64, communication = 0>
// RED-LABEL:   pipe.program @p
// RED-SAME:      arena <bytes = 384, live = 192, activations = 128, stash = 64, communication = 0>
pipe.program @p rank 0 streams ["compute"] {
  // CHECK-NEXT: pipe.buffer parameter "w" : tensor<16xf32>
  %w = pipe.buffer parameter "w" : tensor<16xf32>
  // CHECK-NEXT: pipe.buffer arena at 0
  // RED:        pipe.buffer arena at 0
  %a = pipe.buffer arena : tensor<16xf32>
  // CHECK-NEXT: pipe.buffer arena at 64
  // RED-NEXT:   pipe.buffer arena at 128
  %b = pipe.buffer arena : tensor<16xf32>
  // In the place of %a.
  // CHECK-NEXT: pipe.buffer arena at 0
  // RED-NEXT:   pipe.buffer arena at 0
  %c = pipe.buffer arena : tensor<16xf32>
  // CHECK-NEXT: pipe.buffer "d" arena at 128
  // RED-NEXT:   pipe.buffer "d" arena at 256
  %d = pipe.buffer "d" arena : tensor<16xf32>
  // Not that of %d, which is read when all is done.
  // CHECK-NEXT: pipe.buffer arena at 0
  // RED-NEXT:   pipe.buffer arena at 0
  %e = pipe.buffer arena : tensor<16xf32>
  pipe.launch @two(%w, %a) stream 0 phase<F>
  pipe.launch @two(%a, %b) stream 0 phase<F>
  pipe.launch @two(%w, %c) stream 0 phase<B>
  pipe.launch @three(%b, %c, %d) stream 0 phase<W>
  pipe.launch @one(%e) stream 0 phase<W>
}

// CHECK-LABEL: pipe.program @empty
// CHECK-SAME:    arena <bytes = 0, live = 0, activations = 0, stash = 0, communication = 0>
pipe.program @empty rank 0 streams ["compute"] {
}
