// SPDX-License-Identifier: Apache-2.0
//
// See CallFunction.h.

#include "tools/hadal-interpret/CallFunction.h"

#include "runtime/support/Error.h"
#include "tools/hadal-interpret/TensorFile.h"
#include "tools/support/CommandLine.h"

#include <memory>
#include <set>

using namespace mlir;
using hadal::reference::Interpreter;
using hadal::reference::Tensor;
using hadal::reference::TensorPtr;

namespace hadal::tools {

/// The name under which a bound argument is found in the file.
static std::string fileName(BindingAttr binding) {
  BindingKind kind = binding.getKind();
  bool prefixed =
      kind == BindingKind::Gradient || kind == BindingKind::Moment1 || kind == BindingKind::Moment2;
  std::string name = binding.getName().str();
  return prefixed ? (stringifyEnum(kind) + "." + name).str() : name;
}

namespace {
/// The tensors of the arguments' file; at the end none may be left over.
class Arguments {
public:
  explicit Arguments(const std::string &path) {
    if (!path.empty())
      file = std::make_unique<rt::SafetensorsFile>(path);
  }

  /// The tensor of an argument; null where the file has none.
  TensorPtr take(func::FuncOp function, unsigned argument) {
    std::vector<std::string> names = {"arg" + std::to_string(argument)};
    if (auto name = function.getArgAttrOfType<StringAttr>(argument, "hadal.name"))
      names.push_back(name.str());
    if (BindingAttr binding = bindingOf(function, argument))
      names.push_back(fileName(binding));
    for (const std::string &name : names) {
      const rt::TensorInfo *info = file ? file->find(name) : nullptr;
      if (!info)
        continue;
      Tensor tensor = readTensor(*file, *info);
      used.insert(name);
      if (const rt::TensorInfo *scales = file->find(name + "_scale");
          scales && llvm::isa<ScaledType>(function.getArgumentTypes()[argument])) {
        tensor.scales = readTensor(*file, *scales).reals;
        used.insert(scales->name);
      }
      return std::make_shared<Tensor>(std::move(tensor));
    }
    return nullptr;
  }

  /// Throws where a tensor is no argument of the function.
  void checkAllUsed(const std::string &function) const {
    for (const rt::TensorInfo &info : file ? file->tensors() : std::vector<rt::TensorInfo>())
      if (!used.count(info.name))
        throw rt::InputError(file->path(),
                             "tensor " + info.name + ": is no argument of @" + function);
  }

private:
  std::unique_ptr<rt::SafetensorsFile> file; ///< null: no arguments are given
  std::set<std::string> used;
};
} // namespace

static void addResult(const std::string &name, Type type, const Tensor &result,
                      std::map<std::string, StoredTensor> &out) {
  auto scaled = dyn_cast<ScaledType>(type);
  Type element = scaled ? scaled.getElement() : cast<RankedTensorType>(type).getElementType();
  out[name] = {dtypeOf(element), result};
  if (!scaled)
    return;
  Tensor scales;
  scales.shape = reference::shapeOf(scaled.scalesType());
  scales.reals = result.scales;
  out[name + "_scale"] = {rt::DType::F32, scales};
}

int callFunction(ModuleOp module, const FunctionFlags &flags) {
  auto function = module.lookupSymbol<func::FuncOp>(flags.function);
  if (!function)
    return refuse(flags.model + ": has no function @" + flags.function);
  Arguments file(flags.arguments);
  Interpreter interpreter(module, flags.precision);
  Interpreter::Values arguments;
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    BindingAttr binding = bindingOf(function, i);
    TensorPtr tensor = file.take(function, i);
    if (!tensor && !binding)
      return refuse((flags.arguments.empty() ? flags.model : flags.arguments) + ": argument arg" +
                    llvm::Twine(i) + " of @" + flags.function + " is missing");
    if (tensor && binding)
      interpreter.store.set(binding.getKind(), binding.getName().str(), std::move(tensor));
    else if (tensor)
      arguments.push_back(std::move(tensor));
  }
  file.checkAllUsed(flags.function);
  FailureOr<Interpreter::Values> results = interpreter.call(flags.function, arguments);
  if (failed(results))
    return Refused;
  std::map<std::string, StoredTensor> out;
  for (auto [i, result] : llvm::enumerate(*results))
    addResult("result" + std::to_string(i), function.getResultTypes()[i], *result, out);
  for (const auto &[name, output] : interpreter.outputs)
    out[name] = {output->isInteger ? rt::DType::I64 : rt::DType::F64, *output};
  writeTensors(flags.out, out);
  return Done;
}

} // namespace hadal::tools
