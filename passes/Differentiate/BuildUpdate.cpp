// SPDX-License-Identifier: Apache-2.0
//
// The pass --hadal-build-update: the optimizer's part of a training step.

#include "frontend/WeightNames.h"
#include "passes/Differentiate/ProgramBuilder.h"
#include "passes/Differentiate/Settings.h"

#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace hadal {

#define GEN_PASS_DEF_HADALBUILDUPDATE
#include "passes/Differentiate/Passes.h.inc"

namespace {

/// Writes @update and its components.
class UpdateProgram {
public:
  UpdateProgram(Operation *position, const Settings &settings)
      : settings(settings), out("update", position, {}), f32(Float32Type::get(out.context())),
        f64(Float64Type::get(out.context())), infos(parameters(settings.spec)) {}

  void run() {
    for (const ParameterInfo &info : infos)
      if (info.trained)
        out.applyToParameter(squares(info), {}, info.name);
    ApplyOp clip = out.apply(clipFactor(), {});
    out.output("gradient_norm", clip->getResult(0));
    for (const ParameterInfo &info : infos)
      if (info.trained)
        out.applyToParameter(adamw(info), {clip->getResult(1)}, info.name);
    for (int64_t layer = 0; layer < settings.spec.layers(); ++layer)
      if (settings.spec.isMoe(layer))
        out.applyToLayer(biasUpdate(), {}, layer);
    out.finish();
  }

private:
  Type scalar(Type element) { return RankedTensorType::get({}, element); }
  Type typeOf(const ParameterInfo &info) { return RankedTensorType::get(info.shape, f32); }
  ArgumentSpec totalSquares() {
    return {scalar(f64), out.binding(BindingKind::State, "gradient_squares")};
  }
  ArgumentSpec scalarInput(StringRef name) {
    return {scalar(f64), out.binding(BindingKind::Scalar, name)};
  }

  /// Adds the squares of a gradient to the total.
  func::FuncOp squares(const ParameterInfo &info) {
    BindingAttr gradient = out.binding(BindingKind::Gradient, "{parameter}");
    return out.component("squares_" + shapeName(typeOf(info)), PhaseKind::Update,
                         {{typeOf(info), gradient}, totalSquares()},
                         [](OpBuilder &builder, ValueRange values) -> SmallVector<Value> {
                           Location loc = values[0].getLoc();
                           Value blocks = SquareSumOp::create(builder, loc, values[0]);
                           return {AccumulateSquaresOp::create(builder, loc, blocks, values[1])};
                         });
  }

  func::FuncOp clipFactor() {
    FloatAttr norm = FloatAttr::get(f64, settings.plan.clipNorm);
    return out.component(
        "clip_factor", PhaseKind::Update, {totalSquares()},
        [&](OpBuilder &builder, ValueRange values) -> SmallVector<Value> {
          return ClipFactorOp::create(builder, values[0].getLoc(), values[0], norm)->getResults();
        });
  }

  func::FuncOp adamw(const ParameterInfo &info) {
    const Plan &plan = settings.plan;
    double decay = info.decay ? plan.weightDecay : 0;
    Type type = typeOf(info);
    std::string name = (info.decay ? "adamw_" : "adamw_no_decay_") + shapeName(type);
    ArgumentSpec arguments[] = {{type, out.binding(BindingKind::Weight, "{parameter}")},
                                {type, out.binding(BindingKind::Gradient, "{parameter}")},
                                {type, out.binding(BindingKind::Moment1, "{parameter}")},
                                {type, out.binding(BindingKind::Moment2, "{parameter}")},
                                scalarInput("learning_rate"),
                                scalarInput("correction1"),
                                scalarInput("correction2"),
                                {scalar(f32), {}}};
    return out.component(
        name, PhaseKind::Update, arguments,
        [&](OpBuilder &builder, ValueRange values) -> SmallVector<Value> {
          auto number = [&](double value) { return builder.getF64FloatAttr(value); };
          return AdamwOp::create(builder, values[0].getLoc(), values[0], values[1], values[2],
                                 values[3], values[4], values[5], values[6], values[7],
                                 number(plan.beta1), number(plan.beta2), number(plan.adamEps),
                                 number(decay))
              ->getResults();
        });
  }

  func::FuncOp biasUpdate() {
    int64_t experts = settings.spec.numRoutedExperts;
    StringRef bias = "model.layers.{layer}.mlp.gate.e_score_correction_bias";
    return out.component(
        "bias_update", PhaseKind::Update,
        {{RankedTensorType::get({experts}, f32), out.binding(BindingKind::Weight, bias)},
         {RankedTensorType::get({experts}, IntegerType::get(out.context(), 64)),
          out.binding(BindingKind::State, "counts.{layer}")},
         scalarInput("bias_speed")},
        [](OpBuilder &builder, ValueRange values) -> SmallVector<Value> {
          return {
              BiasUpdateOp::create(builder, values[0].getLoc(), values[0], values[1], values[2])};
        });
  }

  const Settings &settings;
  ProgramBuilder out;
  Type f32, f64;
  std::vector<ParameterInfo> infos;

public:
  /// Components of the update, and parameters trained.
  std::pair<unsigned, unsigned> counts() {
    llvm::StringSet<> applied;
    for (auto apply : out.program().getOps<ApplyOp>())
      applied.insert(apply.getComponent());
    return {applied.size(),
            llvm::count_if(infos, [](const ParameterInfo &info) { return info.trained; })};
  }
};

class BuildUpdate : public impl::HadalBuildUpdateBase<BuildUpdate> {
public:
  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (!wantsProgram(module, "train"))
      return;
    if (Operation *other = module.lookupSymbol("update")) {
      other->emitError("the name @update is that of the program of the optimizer");
      return signalPassFailure();
    }
    FailureOr<Settings> settings = readSettings(module);
    if (failed(settings))
      return signalPassFailure();
    Operation *last = nullptr;
    for (auto function : module.getOps<func::FuncOp>())
      last = function;
    if (!last) {
      module.emitError("expected programs, found an empty module");
      return signalPassFailure();
    }
    UpdateProgram update(last, *settings);
    update.run();
    auto [components, trained] = update.counts();
    numUpdateComponents = components;
    numParameters = trained;
  }
};

} // namespace

} // namespace hadal
