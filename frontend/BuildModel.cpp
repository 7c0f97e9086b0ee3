// SPDX-License-Identifier: Apache-2.0
//
// The module of a model: its programs, over components.

#include "frontend/BuildModel.h"
#include "frontend/BuildLayers.h"

#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace hadal {

namespace {

/// One program under construction.
class BuildProgram {
public:
  BuildProgram(ModuleOp module, StringRef name, int64_t sequences, int64_t columns)
      : builder(module.getContext()), loc(builder.getUnknownLoc()) {
    builder.setInsertionPointToEnd(module.getBody());
    Type ids = RankedTensorType::get({sequences, columns}, builder.getI32Type());
    program = func::FuncOp::create(builder, loc, name, builder.getFunctionType(ids, {}));
    program->setAttr(kProgramAttr, builder.getUnitAttr());
    Block *block = program.addEntryBlock();
    tokens = block->getArgument(0);
    builder.setInsertionPointToEnd(block);
  }

  ValueRange apply(func::FuncOp component, ValueRange inputs, int64_t layer = -1) {
    IntegerAttr at = layer < 0 ? IntegerAttr() : builder.getI64IntegerAttr(layer);
    return ApplyOp::create(builder, loc, component.getResultTypes(),
                           FlatSymbolRefAttr::get(component), inputs, at, StringAttr(),
                           /*stage=*/IntegerAttr())
        .getOutputs();
  }
  void output(const llvm::Twine &name, Value value) {
    OutputOp::create(builder, loc, value, builder.getStringAttr(name));
  }
  /// Ends the program and puts it behind the components it applies.
  void finish() {
    func::ReturnOp::create(builder, loc);
    program->moveBefore(program->getBlock(), program->getBlock()->end());
  }

  Value tokens;

private:
  OpBuilder builder;
  Location loc;
  func::FuncOp program;
};

class BuildPrograms {
public:
  BuildPrograms(ModuleOp module, const ModelSpec &spec, const Plan &plan)
      : module(module), spec(spec), plan(plan), layers(module, spec, plan) {}

  void evaluate() {
    TokenForm form;
    form.sequences = plan.sequences;
    form.tokens = plan.windowTokens();
    BuildProgram program(module, "evaluate", form.sequences, form.tokens + 1);
    Value x = program.apply(layers.embed(form, form.tokens + 1), program.tokens)[0];
    for (int64_t layer = 0; layer < spec.numHiddenLayers; ++layer)
      x = evaluateLayer(program, form, layer, x);
    Value normed = program.apply(layers.finalNorm(form), x)[0];
    ValueRange head = program.apply(layers.headLoss(form), {normed, program.tokens});
    program.output("main_loss", head[0]);
    program.output("logits", head[1]);
    multiToken(program, form, spec.mtpInput == MtpInput::Raw ? x : normed);
    program.finish();
  }

  void generate(StringRef name, int64_t tokens) {
    TokenForm form;
    form.suffix = ("_" + name).str();
    form.tokens = tokens;
    form.cached = true;
    BuildProgram program(module, name, 1, tokens);
    Value x = program.apply(layers.embed(form, tokens), program.tokens)[0];
    for (int64_t layer = 0; layer < spec.numHiddenLayers; ++layer) {
      bool experts = spec.isMoe(layer);
      ValueRange attention = program.apply(layers.attention(form, experts), x, layer);
      // The last result is the cache.
      x = program.apply(layers.mlp(form, experts), attention.drop_back(), layer)[0];
    }
    program.output("logits", program.apply(layers.head(form), x)[0]);
    program.finish();
  }

private:
  Value evaluateLayer(BuildProgram &program, const TokenForm &form, int64_t layer, Value x) {
    using R = AttentionResults;
    bool experts = spec.isMoe(layer);
    ValueRange a = program.apply(layers.attention(form, experts), x, layer);
    SmallVector<Value> inputs{a[R::hidden], a[R::normed]};
    if (experts) {
      inputs.append({a[R::weights], a[R::offsets], a[R::source], a[R::slot]});
      std::string at = std::to_string(layer);
      program.output("experts." + at, a[R::experts]);
      program.output("expert_weights." + at, a[R::weights]);
      program.output("counts." + at, a[R::counts]);
      if (a.size() > R::balance)
        program.output("balance_loss." + at, a[R::balance]);
    }
    return program.apply(layers.mlp(form, experts), inputs, layer)[0];
  }

  void multiToken(BuildProgram &program, const TokenForm &main, Value hidden) {
    for (int64_t depth = 1; depth <= spec.numNextnPredictLayers; ++depth) {
      TokenForm form = main;
      form.prefix = "mtp" + std::to_string(depth) + "_";
      form.tokens = main.tokens - depth;
      form.depth = depth;
      int64_t layer = spec.numHiddenLayers + depth - 1;
      int64_t hiddenTokens = depth == 1 ? main.tokens : form.tokens + 1;
      Value x = program.apply(layers.join(form, hiddenTokens), {program.tokens, hidden}, layer)[0];
      x = evaluateLayer(program, form, layer, x);
      hidden = program.apply(layers.finalNorm(form), x, layer)[0];
      ValueRange head = program.apply(layers.headLoss(form), {hidden, program.tokens});
      program.output("mtp_loss." + llvm::Twine(depth), head[0]);
      program.output("mtp_logits." + llvm::Twine(depth), head[1]);
    }
  }

  ModuleOp module;
  const ModelSpec &spec;
  const Plan &plan;
  BuildLayers layers;
};

} // namespace

std::optional<InputError> checkSizes(const ModelSpec &spec, const Plan &plan) {
  double tokens = std::max<double>(static_cast<double>(plan.sequences) *
                                       static_cast<double>(plan.windowTokens()),
                                   static_cast<double>(kCacheBlock));
  double rows = tokens * static_cast<double>(std::max<int64_t>(spec.numExpertsPerToken, 1)) *
                static_cast<double>(plan.expertParallel);
  auto width = [](int64_t a, int64_t b) { return static_cast<double>(a) * static_cast<double>(b); };
  double plain = std::max(
      {width(spec.vocabSize, 1), width(spec.hiddenSize, 2), width(spec.intermediateSize, 1),
       width(spec.numRoutedExperts, 1), width(spec.numSharedExperts, spec.moeIntermediateSize),
       width(spec.numAttentionHeads, spec.qkHeadDim() + spec.vHeadDim + spec.kvLoraRank)});
  double routed = std::max(width(spec.hiddenSize, 1), width(spec.moeIntermediateSize, 1));
  double cache =
      static_cast<double>(tablePositions(spec)) * width(spec.kvLoraRank + spec.qkRopeHeadDim, 1);
  constexpr double limit = 1e17; // what the dialect's tensors may hold, some room left
  double largest = std::max({tokens * plain, rows * routed, cache});
  if (largest <= limit && rows <= std::numeric_limits<int32_t>::max())
    return std::nullopt;
  return InputError{plan.file, 0, "micro_batch",
                    printNumber(tokens) + " tokens, so tensors of " + printNumber(largest) +
                        " elements",
                    "sizes that give tensors of at most " + printNumber(limit) + " elements"};
}

OwningOpRef<ModuleOp> buildModel(MLIRContext &context, const ModelSpec &spec, const Plan &plan,
                                 StringRef target, StringRef cpu, Purpose purpose) {
  context.loadDialect<HadalDialect, func::FuncDialect>();
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  Builder builder(&context);
  SmallVector<Attribute> programs;
  for (Program program : plan.programs)
    programs.push_back(builder.getStringAttr(name(program)));
  (*module)->setAttr(kSpecAttr, builder.getStringAttr(spec.text));
  (*module)->setAttr(kPlanAttr, builder.getStringAttr(plan.text));
  (*module)->setAttr(kTargetAttr, builder.getStringAttr(target));
  (*module)->setAttr(kCpuAttr, builder.getStringAttr(cpu));
  (*module)->setAttr(kProgramsAttr, builder.getArrayAttr(programs));
  if (purpose == Purpose::DryRun)
    (*module)->setAttr(kDryRunAttr, builder.getUnitAttr());
  BuildPrograms build(*module, spec, plan);
  if (plan.has(Program::Train) || plan.has(Program::Evaluate))
    build.evaluate();
  if (plan.has(Program::Generate)) {
    build.generate("prefill", kCacheBlock);
    build.generate("decode", 1);
  }
  return module;
}

FailureOr<OwningOpRef<ModuleOp>> importModel(MLIRContext &context, StringRef configFile,
                                             StringRef planFile, StringRef target, StringRef cpu,
                                             Purpose purpose) {
  auto refuse = [](const InputError &error) {
    llvm::errs() << "error: " << error.message() << '\n';
    return failure();
  };
  Checked<ModelSpec> spec = loadModelSpec(configFile.str());
  if (!spec)
    return refuse(spec.error());
  Checked<Plan> plan =
      planFile.empty() ? defaultPlan(*spec) : loadPlan(planFile.str(), *spec, purpose);
  if (!plan)
    return refuse(plan.error());
  if (std::optional<InputError> error = checkSizes(*spec, *plan))
    return refuse(*error);
  for (const std::string &warning : spec->warnings)
    llvm::errs() << "warning: " << warning << '\n';
  return buildModel(context, *spec, *plan, target, cpu, purpose);
}

} // namespace hadal
