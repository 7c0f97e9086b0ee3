// RUN: hadal-opt %s --hadal-select-programs=programs=train,evaluate | FileCheck %s --check-prefix=TRAIN
// RUN: hadal-opt %s --hadal-select-programs=programs=evaluate,generate | FileCheck %s --check-prefix=SERVE
// RUN: not hadal-opt %s --hadal-select-programs=programs=evaluate 2>&1 | FileCheck %s --check-prefix=NOTHING

// The module's order of programs stays; what a training step is made from stays too.

// TRAIN: module attributes {hadal.programs = ["train"]}
// TRAIN: @evaluate
// TRAIN-NOT: @prefill
// TRAIN-NOT: @decode
// SERVE: module attributes {hadal.programs = ["generate"]}
// SERVE: @evaluate
// SERVE: @prefill
// SERVE: @decode
// NOTHING: error: has none of the programs evaluate; it has train, generate
module attributes {hadal.programs = ["train", "generate"]} {
  func.func @evaluate() attributes {hadal.program} {
    return
  }
  func.func @prefill() attributes {hadal.program} {
    return
  }
  func.func @decode() attributes {hadal.program} {
    return
  }
}
