// RUN: hadal-opt --hadal-build-update --split-input-file --verify-diagnostics %s

// expected-error@+1 {{expected the module attributes hadal.spec and hadal.plan (texts of config.json and plan.json), found neither}}
module attributes {hadal.programs = ["train"]} {
  func.func @evaluate() attributes {hadal.program} {
    return
  }
}

// -----

module attributes {hadal.programs = ["train"]} {
  // expected-error@+1 {{the name @update is that of the program of the optimizer}}
  func.func @update() attributes {hadal.program} {
    return
  }
}

// -----

// Nothing to do where nothing is trained.
module attributes {hadal.programs = ["evaluate"]} {
  func.func @evaluate() attributes {hadal.program} {
    return
  }
}
