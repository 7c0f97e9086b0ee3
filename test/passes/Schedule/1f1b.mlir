// RUN: hadal-opt %s --pipe-schedule-1f1b | FileCheck %s
// RUN: hadal-opt %s --pipe-schedule-zb1p | FileCheck %s --check-prefix=OTHER

// One rank ahead, then forward and backward in turn; transfers in batches.

func.func @gradients() attributes {hadal.program} {
  return
}
// CHECK: pipe.schedule @s of @gradients algorithm "1f1b" ranks 2 micro_batches 3
// CHECK-SAME: order {{\[\[}}"F0.0", "[>F0.0@1]", "F0.1", "[>F0.1@1 <B0.0@1]", "B0.0", "F0.2", "[>F0.2@1 <B0.1@1]", "B0.1", "[<B0.2@1]", "B0.2"],
// CHECK-SAME: ["[<F0.0@0]", "F0.0", "B0.0", "[>B0.0@0 <F0.1@0]", "F0.1", "B0.1", "[>B0.1@0 <F0.2@0]", "F0.2", "B0.2", "[>B0.2@0]"]]
// An algorithm expands its own schedules only.
// OTHER: pipe.schedule @s of @gradients algorithm "1f1b" ranks 2 micro_batches 3{{$}}
pipe.schedule @s of @gradients algorithm "1f1b" ranks 2 micro_batches 3
