// SPDX-License-Identifier: Apache-2.0
//
// See Costs.h.

#include "frontend/Costs.h"

namespace hadal {

namespace {

constexpr NumberRange kTime{0, 1e300}, kRate{0, 1e300, /*aboveLow=*/true};

const char *const kKinds[] = {"attn(F)", "attn(B)",     "attn(W)",     "mlp(F)",     "mlp(B)",
                              "mlp(W)",  "dispatch(F)", "dispatch(B)", "combine(F)", "combine(B)"};

void readLink(ObjectReader &machine, const std::string &key, LinkCost &link) {
  ObjectReader reader = machine.object(key);
  link.bytesPerSecond = reader.number("bytes_per_s", kRate, link.bytesPerSecond);
  link.latency = reader.number("latency_us", kTime, link.latency);
  reader.refuseUnknown();
}

void readMachine(ObjectReader &root, ComponentCosts &costs) {
  ObjectReader machine = root.object("machine");
  costs.flops = machine.number("flops_per_s", kRate, costs.flops);
  costs.memory = machine.number("memory_bytes_per_s", kRate, costs.memory);
  costs.launch = machine.number("launch_us", kTime, costs.launch);
  readLink(machine, "node", costs.node);
  readLink(machine, "network", costs.network);
  machine.refuseUnknown();
}

void readComponents(ObjectReader &root, ComponentCosts &costs) {
  const JsonValue *value = root.take("components");
  ObjectReader components = root.object("components");
  if (value && value->kind == JsonValue::Kind::Object)
    for (const std::string &name : value->keys)
      costs.components[name] = components.number(name, kTime);
}

void readKinds(ObjectReader &root, ComponentCosts &costs) {
  ObjectReader kinds = root.object("kinds");
  if (!root.has("kinds"))
    return;
  costs.kindTokens = kinds.number("tokens", kRate);
  for (const char *kind : kKinds)
    if (kinds.has(kind))
      costs.kinds[kind] = kinds.number(kind, kTime);
  // What a chunk takes by itself decides nothing here.
  ObjectReader alone = kinds.object("alone");
  for (const char *kind : kKinds)
    if (alone.has(kind))
      alone.number(kind, kTime);
  alone.refuseUnknown();
  kinds.refuseUnknown();
}

} // namespace

Checked<ComponentCosts> parseCosts(const std::string &text, const std::string &file) {
  Checked<JsonValue> tree = parseJson(text, file);
  if (!tree)
    return tree.error();
  InputReport report{file, std::nullopt, {}};
  ObjectReader root(report, &*tree, "");
  ComponentCosts costs;
  readMachine(root, costs);
  readComponents(root, costs);
  readKinds(root, costs);
  root.refuseUnknown();
  if (report.error)
    return *report.error;
  return costs;
}

} // namespace hadal
