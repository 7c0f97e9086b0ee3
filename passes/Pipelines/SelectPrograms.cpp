// SPDX-License-Identifier: Apache-2.0
//
// Restricts a module to some of its programs.

#include "passes/Differentiate/Passes.h"
#include "passes/Pipelines/Pipelines.h"

using namespace mlir;

namespace hadal {

#define GEN_PASS_DEF_SELECTPROGRAMSPASS
#include "passes/Pipelines/Passes.h.inc"

namespace {

struct SelectProgramsPass : impl::SelectProgramsPassBase<SelectProgramsPass> {
  using SelectProgramsPassBase::SelectProgramsPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<StringRef> asked{"train", "generate", "evaluate"}, kept;
    if (auto given = module->getAttrOfType<ArrayAttr>(kProgramsAttr)) {
      asked.clear();
      for (auto program : given.getAsRange<StringAttr>())
        asked.push_back(program.getValue());
    }
    for (StringRef program : asked)
      if (llvm::is_contained(programs, program))
        kept.push_back(program);
    if (kept.empty()) {
      module.emitError("has none of the programs ")
          << llvm::join(programs, ", ") << "; it has " << llvm::join(asked, ", ");
      return signalPassFailure();
    }
    module->setAttr(kProgramsAttr, Builder(&getContext()).getStrArrayAttr(kept));
    // @evaluate stays: a training step is made from it, and it goes with that.
    if (!llvm::is_contained(kept, "generate"))
      for (StringRef name : {"prefill", "decode"})
        if (auto program = module.lookupSymbol<func::FuncOp>(name))
          program.erase();
  }
};

} // namespace

} // namespace hadal
