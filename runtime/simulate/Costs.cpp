// SPDX-License-Identifier: Apache-2.0
//
// See Costs.h.

#include "runtime/simulate/Costs.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace hadal::rt {

static const char *const kKinds[] = {"attn(F)",    "attn(B)",   "attn(W)",     "mlp(F)",
                                     "mlp(B)",     "mlp(W)",    "dispatch(F)", "dispatch(B)",
                                     "combine(F)", "combine(B)"};

std::string kindOf(const std::string &component, const std::string &phase) {
  auto has = [&](const char *part) { return component.find(part) != std::string::npos; };
  if (has("attn_"))
    return "attn(" + phase + ")";
  if (has("mlp_moe") && !has("merge"))
    return "mlp(" + phase + ")";
  return {};
}

/// Reads the file; here is where a message points.
class CostsReader {
public:
  CostsReader(const std::string &file, Costs &costs) : file(file), costs(costs) {}

  void read(const nlohmann::json &json) {
    allow(json, "", {"machine", "components", "kinds"});
    if (json.contains("machine"))
      machine(json["machine"]);
    if (json.contains("components"))
      components(json["components"]);
    if (json.contains("kinds"))
      kinds(json["kinds"]);
  }

private:
  void components(const nlohmann::json &json) const {
    requireObject(json, "components");
    for (const auto &[name, value] : json.items())
      costs.components[name] = number(value, "components." + name);
  }
  [[noreturn]] void fail(const std::string &place, const std::string &message) const {
    throw InputError(file, (place.empty() ? "" : place + ": ") + message);
  }
  void requireObject(const nlohmann::json &json, const std::string &place) const {
    if (!json.is_object())
      fail(place, std::string("found ").append(json.type_name()).append("; allowed is an object"));
  }
  void allow(const nlohmann::json &json, const std::string &place,
             const std::vector<std::string> &keys) const {
    requireObject(json, place);
    std::string allowed;
    for (const std::string &key : keys)
      allowed.append(allowed.empty() ? "; allowed are " : ", ").append(key);
    for (const auto &[key, value] : json.items())
      if (std::find(keys.begin(), keys.end(), key) == keys.end())
        fail(place, std::string("found key ").append(key).append(allowed));
  }
  double number(const nlohmann::json &json, const std::string &place, bool positive = false) const {
    const double value = json.is_number() ? json.get<double>() : -1;
    if (!std::isfinite(value) || value < 0 || (positive && value == 0))
      fail(place,
           "found " + json.dump() + "; allowed are numbers " + (positive ? "above 0" : "from 0"));
    return value;
  }
  void take(const nlohmann::json &json, const std::string &place, const char *key, double &into,
            bool positive = false) const {
    if (json.contains(key))
      into = number(json[key], place + "." + key, positive);
  }
  void link(const nlohmann::json &json, const std::string &place, LinkRate &into) const {
    allow(json, place, {"bytes_per_s", "latency_us"});
    take(json, place, "bytes_per_s", into.bytesPerSecond, true);
    take(json, place, "latency_us", into.latency);
  }
  void machine(const nlohmann::json &json) const {
    allow(json, "machine", {"flops_per_s", "memory_bytes_per_s", "launch_us", "node", "network"});
    take(json, "machine", "flops_per_s", costs.rates.flops, true);
    take(json, "machine", "memory_bytes_per_s", costs.rates.memory, true);
    take(json, "machine", "launch_us", costs.rates.launch);
    if (json.contains("node"))
      link(json["node"], "machine.node", costs.rates.node);
    if (json.contains("network"))
      link(json["network"], "machine.network", costs.rates.network);
  }
  void kinds(const nlohmann::json &json) const {
    const std::vector<std::string> names(std::begin(kKinds), std::end(kKinds));
    std::vector<std::string> keys = names;
    keys.insert(keys.end(), {"alone", "tokens"});
    allow(json, "kinds", keys);
    if (!json.contains("tokens"))
      fail("kinds.tokens", "is missing; the times of kinds are for so many tokens");
    costs.kindTokens = number(json["tokens"], "kinds.tokens", true);
    for (const auto &[name, value] : json.items())
      if (name != "tokens" && name != "alone")
        costs.kinds[name] = number(value, "kinds." + name);
    if (!json.contains("alone"))
      return;
    allow(json["alone"], "kinds.alone", names);
    for (const auto &[name, value] : json["alone"].items())
      costs.kindsAlone[name] = number(value, "kinds.alone." + name);
  }

  const std::string &file;
  Costs &costs;
};

Costs Costs::load(const std::string &path) {
  Costs costs;
  CostsReader(path, costs).read(parseJson(readFile(path), path));
  costs.from = path;
  return costs;
}

std::vector<std::string> Costs::strangers(const bundle::Bundle &table) const {
  std::set<std::string> known;
  for (const bundle::Component *component : *table.components())
    known.insert(component->name()->str());
  std::vector<std::string> found;
  for (const auto &[name, time] : components)
    if (!known.count(name))
      found.push_back(name);
  return found;
}

double Costs::kind(const std::string &name, double tokens, bool alone) const {
  auto found = alone ? kindsAlone.find(name) : kindsAlone.end();
  if (found == kindsAlone.end())
    found = kinds.find(name);
  return found == kinds.end() ? -1 : found->second * tokens / kindTokens;
}

/// The part of `most` that `rows` is; all where there are none.
static double share(std::int64_t rows, std::int64_t most) {
  return most > 0 ? double(rows) / double(most) : 1;
}

double Costs::launch(const bundle::Component &component, const std::string &phase, double tokens,
                     const ExchangeRows &rows, const ExchangeRows &most, bool alone) const {
  const std::string name = component.name()->str();
  if (auto found = components.find(name); found != components.end())
    return found->second;
  if (double time = kind(kindOf(name, phase), tokens, alone); time >= 0)
    return time;
  double flops = component.flops(), counted = 0, fraction = 1;
  if (const auto *byRows = component.row_flops(); byRows && byRows->size() == 2) {
    counted = byRows->Get(0) * (1 - share(rows.received, most.received)) +
              byRows->Get(1) * (1 - share(rows.routed, most.routed));
    if (byRows->Get(0) + byRows->Get(1) > 0)
      fraction = share(rows.routed, most.routed);
  }
  flops -= counted;
  return std::max(flops / rates.flops, component.bytes() * fraction / rates.memory) * 1e6 +
         rates.launch;
}

double Costs::move(double bytes) const { return bytes / rates.memory * 1e6; }

double Costs::message(double bytes, bool sameNode) const {
  const LinkRate &link = sameNode ? rates.node : rates.network;
  return link.latency + bytes / link.bytesPerSecond * 1e6;
}

double Costs::exchange(bool scatter, const std::string &phase, double tokens, double nodeBytes,
                       double networkBytes, bool alone) const {
  // Backwards, dispatch brings gradients home and combine sends them out.
  const bool forward = phase != "B";
  const char *name = scatter == forward ? "dispatch" : "combine";
  const std::string called = std::string(name) + "(" + (forward ? "F" : "B") + ")";
  if (double time = kind(called, tokens, alone); time >= 0)
    return time;
  // What goes to other nodes and what stays in this one goes at once.
  const double node = nodeBytes / rates.node.bytesPerSecond * 1e6 + rates.node.latency;
  const double network =
      networkBytes > 0 ? networkBytes / rates.network.bytesPerSecond * 1e6 + rates.network.latency
                       : 0;
  return std::max(node, network);
}

} // namespace hadal::rt
