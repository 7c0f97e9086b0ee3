// SPDX-License-Identifier: Apache-2.0
//
// See Shown.h.

#include "tools/hadal-status/Shown.h"

#include "codegen/Cpu/KernelBuilder.h"
#include "dialects/Hadal/Hadal.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::tools;

StringRef Shown::cpu(StringRef op) const {
  if (emitted.contains(op))
    return "kernel";
  return outside.contains(op) ? "passes" : "";
}

void Shown::look(Operation *module) {
  const cpu::KernelEmitter *families[] = {&cpu::attentionEmitter(), &cpu::productEmitter(),
                                          &cpu::rowEmitter(), &cpu::tileEmitter(),
                                          &cpu::singleEmitter()};
  module->walk<WalkOrder::PreOrder>([&](Operation *op) {
    outside.insert(op->getName().getStringRef());
    auto kernel = llvm::dyn_cast<KernelOp>(op);
    if (!kernel)
      return WalkResult::advance();
    if (llvm::any_of(families,
                     [&](const cpu::KernelEmitter *family) { return family->accepts(kernel); }))
      for (Operation &inner : kernel.getBody().front())
        emitted.insert(inner.getName().getStringRef());
    return WalkResult::skip();
  });
}

void Shown::lookAtFile(StringRef path, MLIRContext &context) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return;
  ScopedDiagnosticHandler quiet(&context, [](Diagnostic &) { return success(); });
  SmallVector<StringRef> parts;
  (*buffer)->getBuffer().split(parts, "// -----\n");
  for (StringRef part : parts)
    if (OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(part, ParserConfig(&context)))
      look(*module);
}

void Shown::lookAt(StringRef path, MLIRContext &context) {
  if (!llvm::sys::fs::is_directory(path))
    return lookAtFile(path, context);
  std::error_code error;
  std::vector<std::string> files;
  for (llvm::sys::fs::recursive_directory_iterator it(path, error), end; it != end && !error;
       it.increment(error))
    if (StringRef(it->path()).ends_with(".mlir"))
      files.push_back(it->path());
  llvm::sort(files);
  for (const std::string &file : files)
    lookAtFile(file, context);
}
