// SPDX-License-Identifier: Apache-2.0
//
// See Ranks.h.

#include "runtime/train/Ranks.h"

#include "runtime/support/Error.h"

#include <cstdio>

namespace hadal::rt {

/// A rank alone has no use for messages, nor for somebody to watch it.
static RankLinks linksOf(RankContext &context) {
  if (context.size == 1)
    return {};
  return {&context.transport, &context.watch, &context.progress};
}

Rank::Rank(RankContext &context, const Bundle &bundle)
    : context(context), bundle(bundle), layout(bundle, context.rank), links(linksOf(context)),
      pool(context.threads), store(bundle) {}

static std::shared_ptr<const Bundle> open(const Launch &launch, const std::string &path) {
  auto bundle = std::make_shared<const Bundle>(path);
  checkWorldSize(launch, RankGrid(bundle->training()).ranks(), path);
  return bundle;
}

static std::string hexadecimal(std::uint64_t value) {
  char text[20];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

int runRanks(const Launch &launch, const std::string &path, const Identity &identity,
             const WorldOptions &options, const std::function<void(Rank &)> &body) {
  // Threads share one bundle; processes each open their own, once they can tell each other of it.
  std::shared_ptr<const Bundle> shared;
  if (launch.kind != Launch::Kind::Mpi)
    shared = open(launch, path);
  return runWorld(
      launch, {},
      [&](RankContext &context) {
        std::shared_ptr<const Bundle> bundle = shared ? shared : open(launch, path);
        if (context.size > 1) {
          Identity all = {{"bundle (checksum)", hexadecimal(bundle->checksum())}};
          all.insert(all.end(), identity.begin(), identity.end());
          context.control.agree(all);
        }
        Rank rank(context, *bundle);
        body(rank);
      },
      options);
}

} // namespace hadal::rt
