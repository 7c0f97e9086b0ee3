// SPDX-License-Identifier: Apache-2.0
//
// See StepClocks.h.

#include "runtime/train/StepClocks.h"

#include "runtime/transport/Collectives.h"

#include <chrono>
#include <fstream>
#include <limits>

#include <unistd.h>

namespace hadal::rt {

RankClock RankClock::steady() {
  RankClock clock;
  clock.now = [] {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  };
  // The kernel's id since it started, the same in all of its containers.
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  if (!std::getline(file, clock.machine)) {
    char name[256] = {};
    ::gethostname(name, sizeof name - 1);
    clock.machine = name;
  }
  return clock;
}

static constexpr int kRounds = 8;

/// Rank 0's side, of a rank elsewhere.
static std::int64_t ask(Transport &transport, int rank, const RankClock &clock) {
  std::int64_t offset = 0, fastest = std::numeric_limits<std::int64_t>::max();
  for (int round = 0; round < kRounds; ++round) {
    const char question = 0;
    std::int64_t theirs = 0;
    const std::int64_t asked = clock.now();
    Transport::Request sent = transport.send(rank, kMainChannel, &question, 1);
    Transport::Request answer = transport.receive(rank, kMainChannel, &theirs, sizeof theirs);
    transport.wait(sent);
    transport.wait(answer);
    const std::int64_t answered = clock.now();
    if (answered - asked < fastest) {
      fastest = answered - asked;
      offset = asked + fastest / 2 - theirs;
    }
  }
  return offset;
}

static void answer(Transport &transport, const RankClock &clock) {
  for (int round = 0; round < kRounds; ++round) {
    char question = 0;
    Transport::Request asked = transport.receive(0, kMainChannel, &question, 1);
    transport.wait(asked);
    const std::int64_t mine = clock.now();
    Transport::Request sent = transport.send(0, kMainChannel, &mine, sizeof mine);
    transport.wait(sent);
  }
}

std::vector<std::int64_t> clockOffsets(Transport &transport, const RankClock &clock) {
  const Group all = everyone(transport);
  const std::vector<Bytes> machines =
      gather(transport, all, kMainChannel, 0, clock.machine.data(), clock.machine.size());
  std::vector<unsigned char> elsewhere(all.size(), 0);
  for (std::size_t rank = 0; rank < machines.size(); ++rank)
    elsewhere[rank] = machines[rank] != machines[0];
  broadcast(transport, all, kMainChannel, 0, elsewhere.data(), elsewhere.size());
  if (transport.rank() != 0) {
    if (elsewhere[std::size_t(transport.rank())])
      answer(transport, clock);
    return {};
  }
  std::vector<std::int64_t> offsets(all.size(), 0);
  for (std::size_t rank = 0; rank < all.size(); ++rank)
    if (elsewhere[rank])
      offsets[rank] = ask(transport, int(rank), clock);
  return offsets;
}

} // namespace hadal::rt
