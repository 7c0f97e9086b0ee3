// SPDX-License-Identifier: Apache-2.0
//
// See Peers.h.

#include "runtime/checkpoint/Peers.h"

#include "runtime/support/Error.h"

namespace hadal::rt {

using nlohmann::json;

static std::string textOf(const json &value) {
  // A message may quote a path that is no UTF-8.
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// What `work` returned, or what it threw, as it travels.
static json outcome(const std::function<json()> &work) {
  try {
    return {{"value", work()}};
  } catch (const InputError &error) {
    return {{"refused", error.what()}};
  } catch (const RunError &error) {
    return {{"failed", error.what()}};
  }
}

static void throwFailure(const json &outcome) {
  if (outcome.contains("refused"))
    throw InputError(outcome["refused"].get<std::string>());
  if (outcome.contains("failed"))
    throw RunError(outcome["failed"].get<std::string>());
}

std::vector<json> collect(Peers &peers, const std::function<json()> &work) {
  if (peers.size() == 1)
    return {work()};
  std::vector<std::string> texts = peers.gather(textOf(outcome(work)));
  std::vector<json> values;
  json verdict = json::object();
  for (std::size_t rank = 0; rank < texts.size(); ++rank) {
    json result = json::parse(texts[rank]);
    if (result.contains("value"))
      values.push_back(std::move(result["value"]));
    else if (verdict.empty())
      for (const auto &[kind, message] : result.items())
        verdict[kind] = "rank " + std::to_string(rank) + ": " + message.get<std::string>();
  }
  throwFailure(json::parse(peers.broadcast(textOf(verdict))));
  return values;
}

json fromFirst(Peers &peers, const std::function<json()> &work) {
  if (peers.size() == 1)
    return work();
  json result =
      json::parse(peers.broadcast(peers.rank() == 0 ? textOf(outcome(work)) : std::string()));
  throwFailure(result);
  return result["value"];
}

void together(Peers &peers, const std::function<void()> &work) {
  collect(peers, [&] {
    work();
    return json();
  });
}

} // namespace hadal::rt
