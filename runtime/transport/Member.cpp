// SPDX-License-Identifier: Apache-2.0
//
// The other ranks' end of the control plane.

#include "runtime/transport/Hub.h"
#include "runtime/transport/Judge.h"
#include "runtime/transport/SocketBase.h"

#include <asio/connect.hpp>
#include <asio/post.hpp>

namespace hadal::rt {

using asio::ip::tcp;
using nlohmann::json;

namespace {

class Member final : public SocketBase {
public:
  Member(int rank, int size, const std::string &address, const ControlOptions &options);
  ~Member() override { stopThread(); }

  void agree(const Identity &identity) override;
  void finish() override;
  void fail(int exitCode, const std::string &message) override;
  void settle() override;

protected:
  void tick() override;
  void beat() override {
    session->send({{"kind", "progress"}, {"progress", progress().snapshot().encode()}});
  }
  void hurry() override {
    judge.hurry();
    session->send({{"kind", "stopping"}});
  }
  void tell(const Failure &failure) override {
    if (failure.rank == rank())
      session->send({{"kind", "failure"}, {"failure", failure.encode()}});
  }
  bool settled() const override { return answered || (session->flushed() && unsaid.empty()); }
  void closeAll() override { session->close(); }

private:
  tcp::socket connect(const std::vector<std::string> &hosts, unsigned short port);
  void receive(const json &message);
  void lost(const std::string &reason);

  std::shared_ptr<Session> session;
  Judge judge; // of the hub alone
  ProcessId hub;
  std::atomic<bool> answered{false}; // the hub knows of a failure
  std::string unsaid;                // a message that the hub is to report; of the main thread
  std::uint64_t rounds = 0;          // read under the base's lock
  bool ended = false;                // as above
};

} // namespace

Member::Member(int rank, int size, const std::string &address, const ControlOptions &options)
    : SocketBase(rank, size, options), judge(1, options) {
  json where = json::parse(address, nullptr, false);
  if (!where.is_object() || where.value("protocol", 0) != kControlProtocol)
    throw RunError("control plane: rank 0 speaks another protocol than rank " +
                   std::to_string(rank) + "; all ranks must run the same hadal-run");
  session = std::make_shared<Session>(connect(where.at("hosts"), where.at("port")));
  const ProcessId self = ProcessId::own();
  session->start([this](const json &message) { receive(message); },
                 [this](const std::string &reason) { lost(reason); });
  session->send({{"kind", "hello"},
                 {"secret", where.at("secret")},
                 {"rank", rank},
                 {"machine", self.machine},
                 {"pid", self.pid},
                 {"started", self.started}});
  judge.heard(0, RankSnapshot(), now());
  startThread();
}

/// Tries one address after the other; a firewall may swallow what goes to some of them.
tcp::socket Member::connect(const std::vector<std::string> &hosts, unsigned short port) {
  std::string tried;
  const double limit = options.connect / double(std::max<std::size_t>(1, hosts.size()));
  for (const std::string &host : hosts) {
    tcp::socket socket(io);
    asio::error_code result = asio::error::timed_out;
    const tcp::endpoint endpoint(asio::ip::make_address(host), port);
    bool called = false;
    socket.async_connect(endpoint, [&](asio::error_code error) {
      result = error;
      called = true;
    });
    const double start = now();
    while (!called && now() - start < limit)
      io.run_one_for(std::chrono::milliseconds(50));
    if (called && !result)
      return socket;
    socket.close(result);
    while (!called)
      io.run_one();
    tried += (tried.empty() ? "" : ", ") + host + " (" + result.message() + ")";
  }
  throw RunError("control plane: rank " + std::to_string(rank()) +
                 " cannot connect to rank 0; tried port " + std::to_string(port) + " of " + tried);
}

void Member::receive(const json &message) {
  const std::string kind = message.at("kind");
  if (kind == "progress") {
    message.at("machine").get_to(hub.machine);
    message.at("pid").get_to(hub.pid);
    message.at("started").get_to(hub.started);
    judge.heard(0, RankSnapshot::decode(message.at("progress")), now());
  } else if (kind == "agreed") {
    change([&] { ++rounds; });
  } else if (kind == "ended") {
    session->close();
    change([&] { ended = true; });
  } else if (kind == "failure") {
    answered = true;
    Failure failure = Failure::decode(message.at("failure"));
    decide(failure);
  }
}

void Member::lost(const std::string &reason) {
  if (ended || concluded())
    return;
  if (wasStopped())
    return gaveUp();
  Failure failure = judge.failureOf(0, Failure::Kind::Died,
                                    "rank 0 died: " + reason + " without a goodbye", now());
  failure.process = hub;
  decide(failure);
}

void Member::tick() {
  if (ended)
    return;
  if (std::optional<Failure> failure = judge.silent(now())) {
    failure->process = hub;
    decide(*failure);
  }
}

void Member::agree(const Identity &identity) {
  std::uint64_t before = 0;
  change([&] { before = rounds; }); // only answers to this thread's calls move it on
  asio::post(io, [this, identity] { session->send({{"kind", "agree"}, {"identity", identity}}); });
  waitFor([&] { return rounds != before; });
}

void Member::finish() {
  asio::post(io, [this] { session->send({{"kind", "goodbye"}}); });
  waitFor([&] { return ended; });
}

void Member::fail(int exitCode, const std::string &message) {
  if (exitCode == 2 && !concluded())
    unsaid = message;
  SocketBase::fail(exitCode, message);
}

void Member::settle() {
  SocketBase::settle();
  if (!unsaid.empty() && !answered)
    write(unsaid); // nobody else does
}

std::unique_ptr<ControlPlane> openHub(int size, bool oneMachine, const ControlOptions &options,
                                      std::string &address) {
  auto hub = std::make_unique<Hub>(size, oneMachine, options);
  address = hub->address();
  return hub;
}

std::unique_ptr<ControlPlane> joinHub(int rank, int size, const std::string &address,
                                      const ControlOptions &options) {
  return std::make_unique<Member>(rank, size, address, options);
}

} // namespace hadal::rt
