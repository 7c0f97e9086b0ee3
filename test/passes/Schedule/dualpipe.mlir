// RUN: hadal-opt %s --pipe-schedule-dualpipe | FileCheck %s
// RUN: hadal-opt %s --pipe-schedule-dualpipev | FileCheck %s --check-prefix=OTHER

// Two directions; the order of the published implementation.

func.func @gradients() attributes {hadal.program} {
  return
}
// CHECK: pipe.schedule @s of @gradients algorithm "dualpipe" ranks 2 micro_batches 4
// CHECK-SAME: order {{\[\[}}"F0.0", "[>F0.0@1 <F1.0@1]", "F1.0", "F0.1", "B1.0", "[>F0.1@1 >B1.0@1 <F1.1@1 <B0.0@1]", "F1.1+B0.0", "B1.1", "[>B1.1@1 <B0.1@1]", "I0.1", "W0.1"],
// CHECK-SAME: ["F1.0", "[>F1.0@0 <F0.0@0]", "F0.0", "F1.1", "B0.0",
// An algorithm expands its own schedules only.
// OTHER: pipe.schedule @s of @gradients algorithm "dualpipe" ranks 2 micro_batches 4{{$}}
pipe.schedule @s of @gradients algorithm "dualpipe" ranks 2 micro_batches 4
