// RUN: hadal-opt %s --pipe-schedule-dualpipev | FileCheck %s
// RUN: hadal-opt %s --pipe-schedule-dualpipe | FileCheck %s --check-prefix=OTHER

// One rank holds both halves: nothing is transferred.

func.func @gradients() attributes {hadal.program} {
  return
}
// CHECK: pipe.schedule @s of @gradients algorithm "dualpipev" ranks 1 micro_batches 2
// CHECK-SAME: order {{\[\[}}"F0.0", "F1.0", "F0.1", "B1.0", "F1.1+B0.0", "B1.1", "I0.1", "W0.1"]]
// An algorithm expands its own schedules only.
// OTHER: pipe.schedule @s of @gradients algorithm "dualpipev" ranks 1 micro_batches 2{{$}}
pipe.schedule @s of @gradients algorithm "dualpipev" ranks 1 micro_batches 2
