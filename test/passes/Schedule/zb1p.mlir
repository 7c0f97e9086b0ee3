// RUN: hadal-opt %s --pipe-schedule-zb1p | FileCheck %s
// RUN: hadal-opt %s --pipe-schedule-1f1b | FileCheck %s --check-prefix=OTHER

// As 1F1B; rank r does the weight gradients r micro-batches later.

func.func @gradients() attributes {hadal.program} {
  return
}
// CHECK: pipe.schedule @s of @gradients algorithm "zb1p" ranks 2 micro_batches 3
// CHECK-SAME: order {{\[\[}}"F0.0", "[>F0.0@1]", "F0.1", "[>F0.1@1 <B0.0@1]", "I0.0", "W0.0", "F0.2", "[>F0.2@1 <B0.1@1]", "I0.1", "W0.1", "[<B0.2@1]", "I0.2", "W0.2"],
// CHECK-SAME: ["[<F0.0@0]", "F0.0", "I0.0", "[>B0.0@0 <F0.1@0]", "F0.1", "I0.1", "[>B0.1@0]", "W0.0", "[<F0.2@0]", "F0.2", "I0.2", "[>B0.2@0]", "W0.1", "W0.2"]]
// An algorithm expands its own schedules only.
// OTHER: pipe.schedule @s of @gradients algorithm "zb1p" ranks 2 micro_batches 3{{$}}
pipe.schedule @s of @gradients algorithm "zb1p" ranks 2 micro_batches 3
