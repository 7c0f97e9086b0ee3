// SPDX-License-Identifier: Apache-2.0
//
// See LocalControl.h.

#include "runtime/transport/LocalControl.h"

#include "runtime/transport/Agreement.h"
#include "runtime/transport/Judge.h"

#include <chrono>

namespace hadal::rt {

using Clock = std::chrono::steady_clock;
static constexpr std::chrono::milliseconds kTick(50);

class LocalControl::Endpoint final : public ControlPlane {
public:
  Endpoint(LocalControl &world, int rank, int size, const ControlOptions &options)
      : ControlPlane(rank, size, options), world(world) {}

  void agree(const Identity &identity) override { world.agree(*this, identity); }
  void fail(int exitCode, const std::string &message) override {
    Failure failure;
    failure.kind = exitCode == 2 ? Failure::Kind::Refused : Failure::Kind::Failed;
    failure.rank = rank();
    failure.what = message;
    world.failAll(failure);
  }
  void finish() override { world.finish(*this); }
  void vanish() override {
    Failure failure;
    failure.kind = Failure::Kind::Died;
    failure.rank = rank();
    failure.what = "rank " + std::to_string(rank()) + " died: its thread ended without a goodbye";
    failure.last = progress().snapshot();
    failure.before = 0;
    world.failAll(failure);
  }
  void settle() override {}

  using ControlPlane::conclude;
  using ControlPlane::end;

private:
  LocalControl &world;
};

LocalControl::LocalControl(int ranks, const ControlOptions &options)
    : options(options), identities(static_cast<std::size_t>(ranks)),
      done(static_cast<std::size_t>(ranks)) {
  for (int rank = 0; rank < ranks; ++rank)
    endpoints.push_back(std::make_unique<Endpoint>(*this, rank, ranks, options));
  if (ranks > 1)
    thread = std::thread([this] { monitor(); });
}

LocalControl::~LocalControl() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    closing = true;
  }
  changed.notify_all();
  if (thread.joinable())
    thread.join();
}

ControlPlane &LocalControl::endpoint(int rank) { return *endpoints[std::size_t(rank)]; }

void LocalControl::failAll(const Failure &failure) {
  std::lock_guard<std::mutex> lock(mutex);
  if (failed)
    return;
  failed = true;
  const bool refused = failure.kind == Failure::Kind::Refused;
  for (const auto &endpoint : endpoints) {
    const bool dead = failure.kind == Failure::Kind::Died && endpoint->rank() == failure.rank;
    endpoint->conclude(failure, refused ? endpoint == endpoints.front() : !dead);
  }
  changed.notify_all();
}

void LocalControl::agree(Endpoint &rank, const Identity &identity) {
  std::unique_lock<std::mutex> lock(mutex);
  identities[std::size_t(rank.rank())] = identity;
  if (++agreeing == int(endpoints.size())) {
    agreeing = 0;
    ++round;
    std::string text = difference(identities);
    lock.unlock();
    if (!text.empty()) {
      Failure failure;
      failure.kind = Failure::Kind::Refused;
      failure.what = text;
      failAll(failure);
    }
    changed.notify_all();
  } else {
    const std::uint64_t mine = round;
    changed.wait(lock, [&] { return round != mine || failed; });
    lock.unlock();
  }
  rank.watch().check();
}

void LocalControl::finish(Endpoint &rank) {
  std::unique_lock<std::mutex> lock(mutex);
  done[std::size_t(rank.rank())] = true;
  ++finished;
  changed.notify_all();
  changed.wait(lock, [&] { return finished == int(endpoints.size()) || failed; });
  lock.unlock();
  rank.watch().check();
}

void LocalControl::monitor() {
  Judge judge(int(endpoints.size()), options);
  const auto start = Clock::now();
  std::unique_lock<std::mutex> lock(mutex);
  while (!closing && !failed) {
    if (changed.wait_for(lock, kTick, [&] { return closing || failed; }))
      break;
    const double now = std::chrono::duration<double>(Clock::now() - start).count();
    for (std::size_t rank = 0; rank < done.size(); ++rank)
      if (done[rank])
        judge.finished(int(rank));
    lock.unlock();
    for (const auto &endpoint : endpoints)
      judge.heard(endpoint->rank(), endpoint->progress().snapshot(), now);
    if (options.signal && options.signal())
      judge.hurry();
    if (std::optional<Failure> failure = judge.verdict(now))
      failAll(*failure);
    lock.lock();
  }
  // Failed: threads get a while to end by themselves.
  const auto limit = std::chrono::duration<double>(options.grace);
  if (failed && !changed.wait_for(lock, limit, [&] { return closing; }))
    endpoints.front()->end(endpoints.front()->exitCode());
}

} // namespace hadal::rt
