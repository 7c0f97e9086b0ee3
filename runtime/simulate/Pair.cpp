// SPDX-License-Identifier: Apache-2.0
//
// See Pair.h.

#include "runtime/simulate/Pair.h"

#include "runtime/simulate/Engine.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"
#include "runtime/trace/ChromeTrace.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

namespace hadal::rt {

static constexpr const char *kNames[kPairParts] = {
    "combine(B)", "attn(F)", "mlp(B)",  "dispatch(F)", "dispatch(B)",
    "mlp(W)",     "mlp(F)",  "attn(B)", "attn(W)",     "combine(F)"};

const char *pairPartName(PairPart part) { return kNames[int(part)]; }

bool onCommunicationStream(PairPart part) {
  return part == PairPart::CombineB || part == PairPart::DispatchF || part == PairPart::DispatchB ||
         part == PairPart::CombineF;
}

static bool before(const PairComponent &a, const PairComponent &b) {
  return a.layer != b.layer ? a.layer < b.layer : a.part < b.part;
}

// --- reading ----------------------------------------------------------------------------------

namespace {

class Reader {
public:
  explicit Reader(const std::string &file) : file(file) {}

  PairTimes read(const nlohmann::json &json) {
    allow(json, "the pair",
          {"source", "unit", "pair_span_us", "compute_streams_busy_us", "comm_stream_busy_us",
           "components"});
    if (!json.contains("components") || !json["components"].is_array() ||
        json["components"].empty())
      fail("components: needed is a list of one component at least");
    for (std::size_t i = 0; i < json["components"].size(); ++i) {
      here = "components[" + std::to_string(i) + "]";
      times.push_back(component(json["components"][i]));
    }
    std::sort(times.begin(), times.end(), before);
    for (std::size_t i = 1; i < times.size(); ++i)
      if (times[i].layer == times[i - 1].layer && times[i].part == times[i - 1].part)
        fail("components: found " + std::string(pairPartName(times[i].part)) + " of layer " +
             std::to_string(times[i].layer) + " twice; allowed is once");
    checkLayers();
    return times;
  }

private:
  [[noreturn]] void fail(const std::string &what) const { throw InputError(file, what); }

  void allow(const nlohmann::json &json, std::string place,
             const std::vector<std::string> &keys) const {
    if (!json.is_object())
      fail(place + ": found " + json.type_name() + "; allowed is an object");
    std::string list;
    for (const std::string &key : keys)
      list.append(list.empty() ? "" : ", ").append(key);
    for (const auto &[key, value] : json.items())
      if (std::find(keys.begin(), keys.end(), key) == keys.end())
        fail(place.append(": found key \"").append(key).append("\"; allowed are ").append(list));
  }

  double number(const nlohmann::json &json, const char *key) const {
    if (!json.contains(key) || !json[key].is_number() || json[key].get<double>() < 0 ||
        json[key].get<double>() > 1e15)
      fail(here + "." + key + ": found " + (json.contains(key) ? json[key].dump() : "nothing") +
           "; needed is a number from 0 to 1e15");
    return json[key].get<double>();
  }

  PairComponent component(const nlohmann::json &json) const {
    allow(json, here, {"layer", "component", "stream", "start_us", "end_us", "busy_us"});
    PairComponent component;
    const double layer = number(json, "layer");
    if (layer != std::floor(layer) || layer > 100000)
      fail(here + ".layer: found " + json["layer"].dump() + "; allowed are 0 to 100000");
    component.layer = int(layer);
    component.part = part(json);
    const char *stream = onCommunicationStream(component.part) ? "comm" : "compute";
    if (json.contains("stream") && json["stream"] != stream)
      fail(here + ".stream: found " + json["stream"].dump() + "; allowed for " +
           pairPartName(component.part) + " is \"" + stream + "\"");
    component.start = number(json, "start_us");
    component.end = number(json, "end_us");
    if (component.end < component.start)
      fail(here + ".end_us: found " + json["end_us"].dump() + ", before start_us");
    return component;
  }

  PairPart part(const nlohmann::json &json) const {
    std::string list;
    for (int i = 0; i < kPairParts; ++i) {
      if (json.contains("component") && json["component"] == kNames[i])
        return PairPart(i);
      list += (i ? ", " : "") + std::string(kNames[i]);
    }
    fail(here + ".component: found " +
         (json.contains("component") ? json["component"].dump() : "nothing") + "; allowed are " +
         list);
  }

  /// A layer has the whole forward part, the whole backward part or both.
  void checkLayers() const {
    int layer = 0;
    for (auto at = times.begin(); at != times.end(); ++layer) {
      std::set<PairPart> has;
      for (; at != times.end() && at->layer == layer; ++at)
        has.insert(at->part);
      if (has.empty())
        fail("components: has none of layer " + std::to_string(layer) +
             "; layers are counted from 0 without gaps");
      together(layer, has, {PairPart::AttentionF, PairPart::MlpF});
      together(layer, has, {PairPart::DispatchF, PairPart::CombineF});
      together(layer, has,
               {PairPart::MlpB, PairPart::MlpW, PairPart::AttentionB, PairPart::AttentionW});
      together(layer, has, {PairPart::CombineB, PairPart::DispatchB});
      for (auto [part, need] : {std::pair(PairPart::DispatchF, PairPart::MlpF),
                                std::pair(PairPart::CombineB, PairPart::MlpB)})
        if (has.count(part) && !has.count(need))
          lacks(layer, part, need);
    }
  }

  [[noreturn]] void lacks(int layer, PairPart has, PairPart need) const {
    fail("components: layer " + std::to_string(layer) + " has " + pairPartName(has) + " but no " +
         pairPartName(need));
  }

  void together(int layer, const std::set<PairPart> &has,
                const std::vector<PairPart> &parts) const {
    for (PairPart one : parts)
      for (PairPart other : parts)
        if (has.count(one) && !has.count(other))
          lacks(layer, one, other);
  }

  std::string file, here;
  PairTimes times;
};

} // namespace

PairTimes parsePair(const std::string &text, const std::string &file) {
  return Reader(file).read(parseJson(text, file));
}

PairTimes loadPair(const std::string &file) { return parsePair(readFile(file), file); }

// --- simulation -------------------------------------------------------------------------------

namespace {

/// The chains of needs: what the last component of each did to an event.
class Chains {
public:
  explicit Chains(Engine &engine) : engine(engine) {}

  /// Appends a component behind what it needs, and marks its end for those that need it.
  Engine::Id add(const PairComponent &component, Engine::Id stream) {
    const PairPart part = component.part;
    std::optional<Engine::Id> *chain = part == PairPart::MlpW         ? &mlpB
                                       : part == PairPart::AttentionW ? &attentionB
                                       : isForward(part)              ? &forward
                                                                      : &backward;
    if (*chain)
      engine.wait(stream, **chain);
    const Engine::Id id = engine.work(stream, component.end - component.start);
    if (chain == &mlpB || chain == &attentionB)
      return id;
    *chain = engine.addEvent();
    engine.record(stream, **chain);
    if (part == PairPart::MlpB)
      mlpB = *chain;
    if (part == PairPart::AttentionB)
      attentionB = *chain;
    return id;
  }

private:
  static bool isForward(PairPart part) {
    return part == PairPart::AttentionF || part == PairPart::DispatchF || part == PairPart::MlpF ||
           part == PairPart::CombineF;
  }

  Engine &engine;
  std::optional<Engine::Id> forward, backward, mlpB, attentionB;
};

} // namespace

PairTimes simulatePair(const PairTimes &measured) {
  Engine engine;
  const Engine::Id compute = engine.addStream(0, "compute");
  const Engine::Id communication = engine.addStream(0, "communication");
  Chains chains(engine);
  // A need that is launched later than what needs it is none of this pair's: in launch order every
  // chain comes in its own order.
  PairTimes times = measured;
  std::vector<Engine::Id> ids;
  for (const PairComponent &component : times)
    ids.push_back(
        chains.add(component, onCommunicationStream(component.part) ? communication : compute));
  engine.run();
  for (std::size_t i = 0; i < times.size(); ++i) {
    times[i].start = engine.span(ids[i]).start;
    times[i].end = engine.span(ids[i]).end;
  }
  return times;
}

double makespanOf(const PairTimes &times) {
  double first = times.empty() ? 0 : times[0].start, last = first;
  for (const PairComponent &component : times) {
    first = std::min(first, component.start);
    last = std::max(last, component.end);
  }
  return last - first;
}

static const char *categoryOf(PairPart part) {
  const std::string name = pairPartName(part);
  return onCommunicationStream(part)             ? "communication"
         : name.find("(F)") != std::string::npos ? "forward"
         : name.find("(B)") != std::string::npos ? "input gradient"
                                                 : "weight gradient";
}

void tracePair(const PairTimes &times, const std::string &label, ChromeTrace &trace) {
  const std::uint32_t process = trace.process(label + ": pair", 0);
  const ChromeTrace::Track tracks[2] = {trace.track(process, "compute"),
                                        trace.track(process, "communication")};
  for (const PairComponent &component : times)
    trace.slice(tracks[onCommunicationStream(component.part)], pairPartName(component.part),
                categoryOf(component.part), component.start, component.end,
                {{"layer", std::to_string(component.layer)}});
}

} // namespace hadal::rt
