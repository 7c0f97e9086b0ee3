// SPDX-License-Identifier: Apache-2.0
//
// What passes ask of hadal ops and functions: memory of updates, names of bindings, floating-point
// operations, gradients.

#include "dialects/Hadal/Hadal.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"

#include "gtest/gtest.h"

using namespace hadal;
using namespace mlir;

namespace {

class HadalOps : public testing::Test {
protected:
  HadalOps() {
    context.loadDialect<HadalDialect>();
    context.getDiagEngine().registerHandler([this](Diagnostic &diagnostic) {
      errors += diagnostic.str() + "\n";
      return success();
    });
  }

  /// The function @f of a module.
  func::FuncOp parse(const std::string &text) {
    module = parseSourceString<ModuleOp>(text, &context);
    EXPECT_TRUE(module) << errors;
    return module ? module->lookupSymbol<func::FuncOp>("f") : func::FuncOp();
  }
  template <typename OpTy> OpTy find(func::FuncOp function) {
    OpTy found;
    function.walk([&](OpTy op) { found = op; });
    EXPECT_TRUE(found);
    return found;
  }
  /// Floating-point operations of the one op in a body.
  double flops(const std::string &arguments, const std::string &op) {
    func::FuncOp function = parse("func.func @f(" + arguments + ") {\n" + op + "\nreturn\n}");
    return flopsOf(&function.front().front());
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  std::string errors;
};

TEST_F(HadalOps, UpdatedArgumentThroughOpsAndKernels) {
  func::FuncOp function = parse(R"mlir(
    func.func @f(%g: tensor<2x4xf32>, %x: tensor<2x8xf32>, %acc: tensor<4x8xf32>)
        -> (tensor<2x4xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>) {
      %once = hadal.weight_gradient %g, %x, %acc : tensor<2x4xf32>, tensor<2x8xf32>, tensor<4x8xf32>
      %twice:2 = hadal.kernel(%x, %g, %once) : (tensor<2x8xf32>, tensor<2x4xf32>, tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
      ^bb0(%a: tensor<2x8xf32>, %b: tensor<2x4xf32>, %c: tensor<4x8xf32>):
        %first = hadal.weight_gradient %b, %a, %c : tensor<2x4xf32>, tensor<2x8xf32>, tensor<4x8xf32>
        %second = hadal.weight_gradient %b, %a, %first : tensor<2x4xf32>, tensor<2x8xf32>, tensor<4x8xf32>
        %new = hadal.add %second, %second : tensor<4x8xf32>, tensor<4x8xf32>
        hadal.yield %new, %second : tensor<4x8xf32>, tensor<4x8xf32>
      }
      return %g, %twice#0, %twice#1, %acc : tensor<2x4xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>
    })mlir");
  auto kernel = find<KernelOp>(function);
  EXPECT_EQ(kernel.getUpdatedOperand(0), -1);
  EXPECT_EQ(kernel.getUpdatedOperand(1), 2);
  EXPECT_EQ(updatedArgument(function, 0), 0); // an argument that is returned lies where it lay
  EXPECT_EQ(updatedArgument(function, 1), -1);
  EXPECT_EQ(updatedArgument(function, 2), 2);
  EXPECT_EQ(updatedArgument(function, 3), 2);
  EXPECT_EQ(updatedArgument(function, 4), -1); // no such result
}

TEST_F(HadalOps, UpdatedArgumentOfADeclaration) {
  func::FuncOp function = parse("func.func private @f(tensor<4xf32>) -> tensor<4xf32>");
  EXPECT_EQ(updatedArgument(function, 0), -1);
}

TEST_F(HadalOps, AdamwUpdatesThree) {
  func::FuncOp function = parse(R"mlir(
    func.func @f(%g: tensor<4xf32>, %p: tensor<4xf32>, %m: tensor<4xf32>, %v: tensor<4xf32>, %s: tensor<f64>, %c: tensor<f32>)
        -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
      %n:3 = hadal.adamw %p, %g, %m, %v, %s, %s, %s, %c {beta1 = 0.9 : f64, beta2 = 0.9 : f64, epsilon = 1.0 : f64, weight_decay = 0.0 : f64}
          : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<f64>, tensor<f64>, tensor<f64>, tensor<f32>
      return %n#0, %n#1, %n#2 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
    })mlir");
  EXPECT_EQ(updatedArgument(function, 0), 1);
  EXPECT_EQ(updatedArgument(function, 1), 2);
  EXPECT_EQ(updatedArgument(function, 2), 3);
}

TEST_F(HadalOps, BoundNames) {
  func::FuncOp function = parse(R"mlir(
    func.func private @c(tensor<f32> {hadal.bind = #hadal.binding<weight, "a.{layer}.{expert}.{layer}">})
    func.func private @d(tensor<f32> {hadal.bind = #hadal.binding<moment1, "{parameter}">})
    func.func @f() {
      hadal.apply @c layer 12 () : () -> ()
      hadal.apply @d parameter "x.{layer}" () : () -> ()
      return
    })mlir");
  auto applies = llvm::to_vector(function.getOps<ApplyOp>());
  auto nameOf = [&](ApplyOp apply) {
    auto component = module->lookupSymbol<func::FuncOp>(apply.getComponent());
    return boundName(bindingOf(component, 0), apply);
  };
  EXPECT_EQ(nameOf(applies[0]), "a.12.{expert}.12");
  EXPECT_EQ(nameOf(applies[1]), "x.{layer}");
}

TEST_F(HadalOps, Flops) {
  EXPECT_EQ(flops("%x: tensor<2x3x8xf32>, %w: tensor<5x8xf32>",
                  "hadal.linear %x, %w : tensor<2x3x8xf32>, tensor<5x8xf32>"),
            2.0 * 6 * 8 * 5);
  EXPECT_EQ(flops("%x: tensor<2x3x5xf32>, %w: tensor<5x8xf32>",
                  "hadal.linear %x, %w {transpose_weight} : tensor<2x3x5xf32>, tensor<5x8xf32>"),
            2.0 * 6 * 8 * 5);
  EXPECT_EQ(flops("%g: tensor<6x5xf32>, %x: tensor<6x8xf32>, %a: tensor<5x8xf32>",
                  "hadal.weight_gradient %g, %x, %a : tensor<6x5xf32>, tensor<6x8xf32>, "
                  "tensor<5x8xf32>"),
            2.0 * 6 * 8 * 5);
  EXPECT_EQ(flops("%r: tensor<6x8xf32>, %w: tensor<4x5x8xf32>, %o: tensor<5xi64>",
                  "hadal.grouped_linear %r, %w, %o : tensor<6x8xf32>, tensor<4x5x8xf32>, "
                  "tensor<5xi64>"),
            2.0 * 6 * 8 * 5);
  // Two sequences, two heads, six pairs of three tokens; keys 10 wide, values 5.
  EXPECT_EQ(flops("%q: tensor<2x3x20xf32>, %k: tensor<2x3x22xf32>, %r: tensor<2x3x4xf32>",
                  "hadal.attention %q, %k, %r {heads = 2 : i64, scale = 1.0 : f64} : "
                  "tensor<2x3x20xf32>, tensor<2x3x22xf32>, tensor<2x3x4xf32>"),
            2.0 * 2 * 2 * 6 * (10 + 5));
  // Scores again, the gradient of the weights, and the gradients of query, key and value.
  EXPECT_EQ(flops("%q: tensor<2x3x20xf32>, %k: tensor<2x3x22xf32>, %r: tensor<2x3x4xf32>, "
                  "%o: tensor<2x3x10xf32>, %l: tensor<2x2x3xf32>",
                  "hadal.attention_gradient %o, %q, %k, %r, %o, %l {heads = 2 : i64, scale = 1.0 : "
                  "f64} : tensor<2x3x10xf32>, tensor<2x3x20xf32>, tensor<2x3x22xf32>, "
                  "tensor<2x3x4xf32>, tensor<2x3x10xf32>, tensor<2x2x3xf32>"),
            2.0 * 2 * 2 * 6 * (3 * 10 + 2 * 5));
  EXPECT_EQ(flops("%q: tensor<1x3x20xf32>, %u: tensor<22x5xf32>",
                  "hadal.absorb_query %q, %u {heads = 2 : i64, rotary_dim = 4 : i64} : "
                  "tensor<1x3x20xf32>, tensor<22x5xf32>"),
            2.0 * 3 * 2 * 6 * 5);
  EXPECT_EQ(flops("%x: tensor<6x8xf32>", "hadal.add %x, %x : tensor<6x8xf32>, tensor<6x8xf32>"), 0);
}

/// Gradients of the one op in @f, all results with a gradient but those in `without`; every operand
/// with an accumulator where `trained`.
SmallVector<Value> gradientsOf(func::FuncOp function, Operation *op, bool trained,
                               ArrayRef<unsigned> without = {}) {
  OpBuilder builder(function.front().getTerminator());
  SmallVector<Value> gradients;
  for (OpResult result : op->getResults())
    gradients.push_back(llvm::is_contained(without, result.getResultNumber()) ? Value()
                                                                              : Value(result));
  auto accumulator = [&](unsigned operand) { return trained ? op->getOperand(operand) : Value(); };
  return cast<DifferentiableOpInterface>(op).buildGradient(builder, gradients, accumulator);
}

TEST_F(HadalOps, GradientsHaveTheirOperandsTypes) {
  const std::pair<std::string, std::string> ops[] = {
      {"%x: tensor<2x8xf32>, %w: tensor<4x8xf32>",
       "hadal.linear %x, %w : tensor<2x8xf32>, tensor<4x8xf32>"},
      {"%x: tensor<2x4xf32>, %w: tensor<4x8xf32>",
       "hadal.linear %x, %w {transpose_weight} : tensor<2x4xf32>, tensor<4x8xf32>"},
      {"%x: tensor<6x8xf32>, %w: tensor<4x5x8xf32>, %o: tensor<5xi64>",
       "hadal.grouped_linear %x, %w, %o : tensor<6x8xf32>, tensor<4x5x8xf32>, tensor<5xi64>"},
      {"%x: tensor<6x5xf32>, %w: tensor<4x5x8xf32>, %o: tensor<5xi64>",
       "hadal.grouped_linear %x, %w, %o {transpose_weight} : tensor<6x5xf32>, tensor<4x5x8xf32>, "
       "tensor<5xi64>"},
      {"%x: tensor<2x8xf32>, %w: tensor<8xf32>",
       "hadal.rms_norm %x, %w {epsilon = 0.0 : f64} : tensor<2x8xf32>, tensor<8xf32>"},
      {"%x: tensor<2x8xf32>, %s: tensor<2xf32>",
       "hadal.swiglu %x, %x scaled_by %s : tensor<2x8xf32>, tensor<2x8xf32>, tensor<2xf32>"},
      {"%x: tensor<2x8xf32>", "hadal.swiglu %x, %x : tensor<2x8xf32>, tensor<2x8xf32>"},
      {"%x: tensor<2x8xf32>", "hadal.split %x {size = 3 : i64} : tensor<2x8xf32>"},
      {"%x: tensor<2x8xf32>, %y: tensor<2x3xf32>",
       "hadal.concat %x, %y : tensor<2x8xf32>, tensor<2x3xf32>"},
      {"%i: tensor<2x5xi32>, %t: tensor<9x8xf32>",
       "hadal.embedding %i, %t {offset = 1 : i64, tokens = 4 : i64} : tensor<2x5xi32>, "
       "tensor<9x8xf32>"},
      {"%q: tensor<2x3x20xf32>, %k: tensor<2x3x22xf32>, %r: tensor<2x3x4xf32>",
       "hadal.attention %q, %k, %r {heads = 2 : i64, scale = 1.0 : f64} : tensor<2x3x20xf32>, "
       "tensor<2x3x22xf32>, tensor<2x3x4xf32>"},
      {"%l: tensor<2x3x4xf32>, %b: tensor<4xf32>",
       "hadal.route %l, %b {epsilon = 0.0 : f64, groups = 2 : i64, kept_groups = 1 : i64, "
       "normalize = true, scaling_factor = 1.0 : f64, top_k = 2 : i64} : tensor<2x3x4xf32>, "
       "tensor<4xf32>"},
      {"%e: tensor<2x3x8xf32>, %h: tensor<2x4x8xf32>",
       "hadal.mtp_join %e, %h : tensor<2x3x8xf32>, tensor<2x4x8xf32>"},
  };
  for (const auto &[arguments, text] : ops) {
    func::FuncOp function = parse("func.func @f(" + arguments + ") {\n" + text + "\nreturn\n}");
    ASSERT_TRUE(function);
    Operation *op = &function.front().front();
    SmallVector<Value> gradients = gradientsOf(function, op, /*trained=*/true);
    ASSERT_EQ(gradients.size(), op->getNumOperands()) << text;
    unsigned found = 0;
    for (auto [gradient, operand] : llvm::zip(gradients, op->getOperands()))
      if (gradient) {
        ++found;
        EXPECT_EQ(gradient.getType(), operand.getType()) << text;
      }
    EXPECT_GT(found, 0u) << text;
    EXPECT_TRUE(succeeded(verify(function))) << text << errors;
  }
}

TEST_F(HadalOps, GradientsOfUntrainedWeightsAreNull) {
  func::FuncOp function = parse(R"mlir(
    func.func @f(%x: tensor<2x8xf32>, %w: tensor<4x8xf32>) {
      %y = hadal.linear %x, %w : tensor<2x8xf32>, tensor<4x8xf32>
      return
    })mlir");
  SmallVector<Value> gradients = gradientsOf(function, &function.front().front(), false);
  EXPECT_TRUE(gradients[0]);
  EXPECT_FALSE(gradients[1]);
}

TEST_F(HadalOps, HalfAGradientOfSplit) {
  func::FuncOp function = parse(R"mlir(
    func.func @f(%x: tensor<2x8xf32>) {
      %a, %b = hadal.split %x {size = 3 : i64} : tensor<2x8xf32>
      return
    })mlir");
  Operation *split = &function.front().front();
  auto concat = gradientsOf(function, split, false, {1})[0].getDefiningOp<ConcatOp>();
  ASSERT_TRUE(concat);
  EXPECT_EQ(concat.getFirst(), split->getResult(0));
  EXPECT_TRUE(concat.getSecond().getDefiningOp<arith::ConstantOp>());
  EXPECT_FALSE(gradientsOf(function, split, false, {0, 1})[0]);
}

TEST_F(HadalOps, RouteNeedsEitherGradient) {
  func::FuncOp function = parse(R"mlir(
    func.func @f(%l: tensor<2x3x4xf32>, %b: tensor<4xf32>) {
      %e, %w, %s = hadal.route %l, %b {epsilon = 0.0 : f64, groups = 2 : i64, kept_groups = 1 : i64, normalize = true, scaling_factor = 1.0 : f64, top_k = 2 : i64} : tensor<2x3x4xf32>, tensor<4xf32>
      return
    })mlir");
  Operation *route = &function.front().front();
  for (unsigned absent : {1, 2}) {
    auto gradient =
        gradientsOf(function, route, false, {0, absent})[0].getDefiningOp<RouteGradientOp>();
    ASSERT_TRUE(gradient);
    EXPECT_EQ(bool(gradient.getWeightsGradient()), absent != 1);
    EXPECT_EQ(bool(gradient.getScoresGradient()), absent != 2);
  }
  EXPECT_FALSE(gradientsOf(function, route, false, {0, 1, 2})[0]);
  EXPECT_TRUE(succeeded(verify(function))) << errors;
}

/// Attribute values at the ends of their range are refused or accepted, but never end the program.
TEST_F(HadalOps, ExtremeAttributes) {
  const std::string arguments =
      "%x: tensor<1x3x12xf32>, %c: tensor<8x2xf32>, %u: tensor<12x5xf32>, %i: tensor<1x4xi32>, "
      "%t: tensor<9x12xf32>, %k: tensor<2x64x9xf32>, %b: tensor<2xi32>, %p: tensor<i32>, "
      "%bias: tensor<12xf32>";
  const std::string ops[] = {
      "hadal.rope %x, %c, %c {heads = A : i64, rotary_dim = B : i64} : tensor<1x3x12xf32>, "
      "tensor<8x2xf32>, tensor<8x2xf32>",
      "hadal.split %x {size = A : i64} : tensor<1x3x12xf32>",
      "hadal.embedding %i, %t {offset = A : i64, tokens = B : i64} : tensor<1x4xi32>, "
      "tensor<9x12xf32>",
      "hadal.attention %x, %x, %x {heads = A : i64, scale = 1.0 : f64} : tensor<1x3x12xf32>, "
      "tensor<1x3x12xf32>, tensor<1x3x12xf32>",
      "hadal.cached_attention %x, %u, %k, %b, %p {heads = A : i64, rotary_dim = B : i64, scale = "
      "1.0 : f64} : tensor<1x3x12xf32>, tensor<12x5xf32>, tensor<2x64x9xf32>, tensor<2xi32>, "
      "tensor<i32>",
      "hadal.absorb_query %x, %u {heads = A : i64, rotary_dim = B : i64} : tensor<1x3x12xf32>, "
      "tensor<12x5xf32>",
      "hadal.latent_attention %x, %k, %b, %p {heads = A : i64, latent_dim = B : i64, scale = 1.0 "
      ": f64} : tensor<1x3x12xf32>, tensor<2x64x9xf32>, tensor<2xi32>, tensor<i32>",
      "hadal.expand_value %x, %u {heads = A : i64, value_dim = B : i64} : tensor<1x3x12xf32>, "
      "tensor<12x5xf32>",
      "hadal.route %x, %bias {epsilon = 0.0 : f64, groups = A : i64, kept_groups = B : i64, "
      "normalize = true, scaling_factor = 1.0 : f64, top_k = A : i64} : tensor<1x3x12xf32>, "
      "tensor<12xf32>",
      "hadal.sort_by_expert %i3 {expert_count = A : i64} : tensor<1x4x1xi32>",
      "hadal.sequence_balance %x {alpha = 1.0 : f64, top_k = A : i64} : tensor<1x3x12xf32>",
      "hadal.cross_entropy %x, %i {divisor = A : i64, offset = B : i64} : tensor<1x3x12xf32>, "
      "tensor<1x4xi32>",
      "hadal.mtp_join_gradient %x {hidden_tokens = A : i64} : tensor<1x3x12xf32>",
      "hadal.quantize_tiles %t {amax_floor = 0.0 : f64, element = f8E4M3FN, power_of_two = false, "
      "tile_rows = A : i64, tile_columns = B : i64} : tensor<9x12xf32>",
  };
  const char *values[] = {"-9223372036854775808", "-1", "0", "1", "3", "4611686018427387905",
                          "9223372036854775807"};
  unsigned refused = 0, accepted = 0;
  for (const std::string &op : ops)
    for (const char *a : values)
      for (const char *b : values) {
        std::string text =
            "func.func @f(" + arguments + ", %i3: tensor<1x4x1xi32>) {\n" + op + "\nreturn\n}";
        for (size_t at; (at = text.find("= A ")) != text.npos;)
          text.replace(at + 2, 1, a);
        for (size_t at; (at = text.find("= B ")) != text.npos;)
          text.replace(at + 2, 1, b);
        errors.clear();
        bool parsed = bool(parseSourceString<ModuleOp>(text, &context));
        EXPECT_EQ(parsed, errors.empty()) << text;
        ++(parsed ? accepted : refused);
      }
  EXPECT_GT(accepted, 10u);
  EXPECT_GT(refused, 100u);
}

} // namespace
