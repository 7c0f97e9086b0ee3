// SPDX-License-Identifier: Apache-2.0
//
// See PairCosts.h. The rules are those of the simulator (runtime/simulate/Costs.h).

#include "passes/Schedule/PairCosts.h"

#include "dialects/Hadal/Hadal.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::pipe;

/// Consecutive ranks that share a node, as `hadal-run simulate` takes it where nobody says.
constexpr int64_t kRanksPerNode = 8;

FailureOr<PairCosts> PairCosts::of(ModuleOp module, const Rates &rates, int64_t tokens) {
  PairCosts found;
  found.rates = rates;
  found.tokens = double(tokens);
  auto text = module->getAttrOfType<StringAttr>(kCostsAttr);
  if (!text)
    return found;
  Checked<ComponentCosts> costs = parseCosts(text.str(), kCostsAttr.str());
  if (!costs)
    return module.emitError(costs.error().message());
  found.given = *costs;
  return found;
}

/// "attn(F)".
static std::string nameOf(ComponentKind kind, ComponentPhase phase) {
  StringRef name = kind == ComponentKind::Attention  ? "attn"
                   : kind == ComponentKind::Mlp      ? "mlp"
                   : kind == ComponentKind::Dispatch ? "dispatch"
                                                     : "combine";
  StringRef letter = phase == ComponentPhase::Forward    ? "F"
                     : phase == ComponentPhase::Backward ? "B"
                                                         : "W";
  return (name + "(" + letter + ")").str();
}

std::optional<double> PairCosts::ofKind(ComponentKind kind, ComponentPhase phase) const {
  if (!given || kind == ComponentKind::Other)
    return std::nullopt;
  auto found = given->kinds.find(nameOf(kind, phase));
  if (found == given->kinds.end())
    return std::nullopt;
  return found->second * tokens / given->kindTokens;
}

double PairCosts::launch(StringRef component, ComponentKind kind, ComponentPhase phase,
                         double flops, double bytes) const {
  if (!given)
    return 1e6 * std::max(flops / rates.flops, bytes / rates.memoryBytes);
  if (auto own = given->components.find(component.str()); own != given->components.end())
    return own->second;
  // Dense MLPs and what brings parts together are of no kind.
  bool measured = kind == ComponentKind::Attention ||
                  (component.contains("mlp_moe") && !component.contains("merge"));
  if (std::optional<double> time = measured ? ofKind(kind, phase) : std::nullopt)
    return *time;
  return given->launch + 1e6 * std::max(flops / given->flops, bytes / given->memory);
}

double PairCosts::exchange(ComponentKind kind, ComponentPhase phase, double bytes,
                           int64_t members) const {
  if (!given)
    return 1e6 * bytes / rates.exchangeBytes;
  if (std::optional<double> time = ofKind(kind, phase))
    return *time;
  // What goes to other nodes and what stays in this one goes at once.
  int64_t near = std::min(members, kRanksPerNode), far = members - near;
  auto over = [&](const LinkCost &link, int64_t ranks) {
    return link.latency + 1e6 * bytes * double(ranks) / double(members) / link.bytesPerSecond;
  };
  return std::max(over(given->node, near - 1), far ? over(given->network, far) : 0);
}
