// SPDX-License-Identifier: Apache-2.0
//
// Parameters of a bundle, and the rotary tables' numbers.

#include "codegen/Bundle/Tables.h"
#include "frontend/WeightNames.h"

using namespace mlir;
using namespace hadal;

static LogicalResult fillRotary(Export &out) {
  const ModelSpec &spec = out.spec;
  StorageTable &storages = out.storages;
  bundle::BundleT &table = out.table;
  table.rotary = std::make_unique<bundle::RotaryT>();
  table.rotary->frequencies = spec.rotaryFrequencies();
  table.rotary->amplitude = spec.rotaryAmplitude();
  int64_t row = 4 * int64_t(table.rotary->frequencies.size());
  for (const std::string &name : storages.names(pipe::StorageKind::Constant)) {
    int64_t bytes = storages.bytes(uint32_t(storages.find(pipe::StorageKind::Constant, name)));
    if ((name != "rotary_cos" && name != "rotary_sin") || bytes % row)
      return out.module.emitError("binds constant \"")
             << name << "\" of " << bytes
             << " bytes; the runtime makes rotary_cos and rotary_sin in rows of " << row
             << " bytes";
    table.rotary->positions = std::max(table.rotary->positions, bytes / row);
  }
  return success();
}

static bundle::Initial initial(Init init) {
  switch (init) {
  case Init::Normal:
    return bundle::Initial::normal;
  case Init::Ones:
    return bundle::Initial::ones;
  case Init::Zeros:
    return bundle::Initial::zeros;
  }
  llvm_unreachable("unknown initial value");
}

/// On one rank every program has all of a parameter.
static LogicalResult checkWhole(Export &out, const ParameterInfo &info) {
  for (auto kind : {pipe::StorageKind::Parameter, pipe::StorageKind::Gradient,
                    pipe::StorageKind::Moment1, pipe::StorageKind::Moment2})
    if (int32_t index = out.storages.find(kind, info.name);
        index >= 0 && out.storages.bytes(uint32_t(index)) != info.elements() * 4)
      return out.module.emitError("binds ") << stringifyStorageKind(kind) << " \"" << info.name
                                            << "\" with " << out.storages.bytes(uint32_t(index))
                                            << " bytes; the model's has " << info.elements() * 4;
  return success();
}

static LogicalResult checkNames(Export &out) {
  for (auto program : out.module.getOps<pipe::ProgramOp>())
    for (auto buffer : program.getOps<pipe::BufferOp>())
      if (buffer.getKind() == pipe::StorageKind::Parameter &&
          !out.parameters.contains(*buffer.getStorage()))
        return out.module.emitError("binds weight \"")
               << *buffer.getStorage() << "\", which the model of " << kSpecAttr
               << " does not have";
  return success();
}

LogicalResult hadal::fillParameters(Export &out) {
  for (const ParameterInfo &info : parameters(out.spec)) {
    const bool narrow = out.plan.precision != Precision::F32; // held in less than f32
    if (out.alone() && !narrow && failed(checkWhole(out, info)))
      return failure();
    auto parameter = std::make_unique<bundle::ParameterT>();
    parameter->name = info.name;
    parameter->shape = info.shape;
    parameter->experts = info.experts;
    parameter->layer = int32_t(info.layer);
    parameter->initial = initial(info.init);
    parameter->trained = info.trained;
    parameter->decay = info.decay;
    int32_t held = narrow ? out.storages.find(pipe::StorageKind::Parameter, info.name) : -1;
    parameter->storage =
        held >= 0 ? uint32_t(held)
                  : out.storages.add(pipe::StorageKind::Parameter, info.name, info.elements() * 4);
    if (out.alone()) {
      parameter->gradient = out.storages.find(pipe::StorageKind::Gradient, info.name);
      parameter->moment1 = out.storages.find(pipe::StorageKind::Moment1, info.name);
      parameter->moment2 = out.storages.find(pipe::StorageKind::Moment2, info.name);
    }
    out.table.parameters.push_back(std::move(parameter));
  }
  if (failed(checkNames(out)))
    return failure();
  return fillRotary(out);
}
