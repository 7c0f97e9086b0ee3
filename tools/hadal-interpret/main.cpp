// SPDX-License-Identifier: Apache-2.0
//
// hadal-interpret: runs a module on the reference interpreter, slowly and plainly.

#include "runtime/support/Error.h"
#include "tools/hadal-interpret/CallFunction.h"
#include "tools/hadal-interpret/Evaluate.h"
#include "tools/support/CommandLine.h"
#include "tools/support/Dialects.h"

#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/raw_ostream.h"

#include <new>

using namespace mlir;
using namespace hadal::tools;
using hadal::reference::Precision;
namespace cl = llvm::cl;

namespace {

struct Flags {
  cl::opt<std::string> model{cl::Positional, cl::desc("<module>"), cl::Required,
                             cl::cat(options())};
  cl::opt<std::string> weights{"weights", cl::desc("a checkpoint, a folder or a safetensors file"),
                               cl::value_desc("path"), cl::cat(options())};
  cl::opt<std::string> tokens{
      "tokens",
      cl::desc("safetensors file with `tokens` [micro_batches x data_parallel x sequences, T + 1]"),
      cl::value_desc("file"), cl::cat(options())};
  cl::opt<std::string> out{"out", cl::desc("safetensors file to write"), cl::value_desc("file"),
                           cl::Required, cl::cat(options())};
  cl::opt<bool> gradients{"gradients", cl::desc("also the gradient of every parameter"),
                          cl::cat(options())};
  cl::opt<Precision> precision{
      "precision", cl::desc("arithmetic of f32 values"), cl::init(Precision::F64),
      cl::values(clEnumValN(Precision::F64, "f64", "f64 (the default)"),
                 clEnumValN(Precision::F32, "f32", "f32, every stored element rounded")),
      cl::cat(options())};
  cl::opt<std::string> function{"function", cl::desc("call this function, not the model"),
                                cl::value_desc("name"), cl::cat(options())};
  cl::opt<std::string> arguments{"arguments",
                                 cl::desc("safetensors file with the function's arguments"),
                                 cl::value_desc("file"), cl::cat(options())};
};

int interpret(const Flags &flags, MLIRContext &context) {
  const bool model = flags.function.empty();
  if (model && !flags.arguments.empty())
    return refuse("--arguments: goes with --function");
  if (model && (flags.weights.empty() || flags.tokens.empty()))
    return refuse("a model needs --weights and --tokens; --function calls a single function");
  if (!model && (!flags.weights.empty() || !flags.tokens.empty() || flags.gradients))
    return refuse("--function: takes --arguments, not --weights, --tokens or --gradients");
  OneLineDiagnostics diagnostics(context);
  OwningOpRef<ModuleOp> module = loadModule(flags.model, context);
  if (!module)
    return Refused;
  if (!model)
    return callFunction(*module,
                        {flags.model, flags.function, flags.arguments, flags.out, flags.precision});
  return evaluate(*module, {flags.model, flags.weights, flags.tokens, flags.out, flags.gradients,
                            flags.precision});
}

} // namespace

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  Flags flags;
  if (!parseFlags(
          argc, argv,
          "Hadal's reference interpreter of model IR: one plain rule an op, in f64\n\n"
          "  hadal-interpret model.mlir --weights W --tokens t.safetensors --out o.safetensors\n"
          "  hadal-interpret x.mlir --function f --arguments in.safetensors --out o.safetensors\n"))
    return Refused;
  ToolContext context;
  try {
    return interpret(flags, context);
  } catch (const hadal::rt::InputError &error) {
    return refuse(error.what());
  } catch (const std::bad_alloc &) {
    llvm::errs() << "error: out of memory\n";
  } catch (const std::exception &error) {
    llvm::errs() << "error: " << error.what() << '\n';
  }
  return Failed;
}
