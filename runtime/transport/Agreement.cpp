// SPDX-License-Identifier: Apache-2.0
//
// See Agreement.h.

#include "runtime/transport/Agreement.h"

#include <algorithm>
#include <map>

namespace hadal::rt {

static std::string listOf(const std::vector<int> &ranks) {
  constexpr std::size_t kMost = 8;
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < std::min(ranks.size(), kMost); ++i)
    text += (i ? ", " : "") + std::to_string(ranks[i]);
  if (ranks.size() > kMost)
    text += " and " + std::to_string(ranks.size() - kMost) + " more";
  return text;
}

static std::string differenceIn(const std::string &what, const std::vector<std::string> &values) {
  std::vector<std::string> order;
  std::map<std::string, std::vector<int>> ranks;
  for (std::size_t rank = 0; rank < values.size(); ++rank) {
    if (ranks[values[rank]].empty())
      order.push_back(values[rank]);
    ranks[values[rank]].push_back(int(rank));
  }
  if (order.size() < 2)
    return "";
  std::string text = "ranks differ in " + what + ":";
  for (std::size_t i = 0; i < order.size() && i < 4; ++i)
    text += (i ? ", " : " ") + order[i] + " (" + listOf(ranks[order[i]]) + ")";
  if (order.size() > 4)
    text += ", ...";
  return text;
}

std::string difference(const std::vector<Identity> &byRank) {
  std::vector<std::string> names, values;
  for (const Identity &identity : byRank) {
    std::string &list = names.emplace_back();
    for (const auto &item : identity)
      list += (list.empty() ? "" : ", ") + item.first;
  }
  std::string text = differenceIn("what they agree on", names);
  for (std::size_t item = 0; text.empty() && item < byRank.front().size(); ++item) {
    values.clear();
    for (const Identity &identity : byRank)
      values.push_back(identity[item].second);
    text = differenceIn(byRank.front()[item].first, values);
  }
  return text;
}

} // namespace hadal::rt
