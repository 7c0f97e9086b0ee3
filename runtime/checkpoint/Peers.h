// SPDX-License-Identifier: Apache-2.0
//
// The ranks that write or read a checkpoint together, as far as files need each other: texts to
// rank 0 and from it. Where a rank fails, all fail alike.

#ifndef HADAL_RUNTIME_CHECKPOINT_PEERS_H
#define HADAL_RUNTIME_CHECKPOINT_PEERS_H

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace hadal::rt {

/// All ranks call the same functions in the same order; a call throws when a peer is gone.
class Peers {
public:
  virtual ~Peers() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Everyone's text in the order of ranks, at rank 0; nothing elsewhere.
  virtual std::vector<std::string> gather(const std::string &text) = 0;
  /// Rank 0's text, on all ranks.
  virtual std::string broadcast(const std::string &text) = 0;
};

/// A single rank.
class Alone : public Peers {
public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::vector<std::string> gather(const std::string &text) override { return {text}; }
  std::string broadcast(const std::string &text) override { return text; }
};

/// Does `work` on all ranks, and returns what it returned on each, at rank 0 (nothing elsewhere).
/// Where it throws InputError or RunError on some, all throw what the lowest of them threw.
std::vector<nlohmann::json> collect(Peers &peers, const std::function<nlohmann::json()> &work);

/// Does `work` at rank 0 and returns what it returned on all ranks; they throw what it throws.
nlohmann::json fromFirst(Peers &peers, const std::function<nlohmann::json()> &work);

/// Does `work` on all ranks and returns when all are done; throws like collect.
void together(Peers &peers, const std::function<void()> &work);

} // namespace hadal::rt

#endif
