// SPDX-License-Identifier: Apache-2.0
//
// See Hub.h.

#include "runtime/transport/Hub.h"

#include "runtime/transport/Agreement.h"

#include <asio/post.hpp>

#include <algorithm>
#include <random>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/resource.h>

namespace hadal::rt {

using asio::ip::tcp;
using nlohmann::json;

static std::string name(int rank) { return "rank " + std::to_string(rank); }

static std::string makeSecret() {
  std::random_device random;
  std::string text;
  for (int i = 0; i < 4; ++i)
    text += std::to_string(random()) + (i < 3 ? "-" : "");
  return text;
}

/// The addresses of this machine that others may reach.
static std::vector<std::string> ownAddresses() {
  std::vector<std::string> result;
  ifaddrs *list = nullptr;
  if (::getifaddrs(&list) != 0)
    return result;
  for (ifaddrs *i = list; i; i = i->ifa_next) {
    if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !(i->ifa_flags & IFF_UP) ||
        (i->ifa_flags & IFF_LOOPBACK))
      continue;
    char text[INET_ADDRSTRLEN] = {};
    auto *address = reinterpret_cast<sockaddr_in *>(i->ifa_addr);
    if (::inet_ntop(AF_INET, &address->sin_addr, text, sizeof text))
      result.emplace_back(text);
  }
  ::freeifaddrs(list);
  return result;
}

/// The usual limit of open files is too low for a thousand ranks.
static void allowConnections() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

Hub::Hub(int size, bool oneMachine, const ControlOptions &options)
    : SocketBase(0, size, options), acceptor(io), secret(makeSecret()),
      members(static_cast<std::size_t>(size)), judge(size, options),
      identities(static_cast<std::size_t>(size)) {
  allowConnections();
  member(0).process = ProcessId::own();
  member(0).joined = true;
  listen(oneMachine);
  accept();
  startThread();
}

Hub::~Hub() { stopThread(); }

void Hub::listen(bool oneMachine) {
  asio::ip::address where = asio::ip::address_v4::any();
  if (oneMachine)
    where = asio::ip::address_v4::loopback();
  asio::error_code error;
  tcp::endpoint endpoint(where, 0);
  acceptor.open(endpoint.protocol(), error);
  if (!error)
    acceptor.bind(endpoint, error);
  if (!error)
    acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error)
    throw RunError("control plane: rank 0 cannot listen: " + error.message());
  json hosts = json::array({"127.0.0.1"});
  if (!oneMachine)
    hosts = ownAddresses();
  text = json({{"hosts", hosts},
               {"port", acceptor.local_endpoint().port()},
               {"secret", secret},
               {"protocol", kControlProtocol}})
             .dump();
}

void Hub::accept() {
  acceptor.async_accept([this](asio::error_code error, tcp::socket socket) {
    if (error)
      return; // closed
    auto session = std::make_shared<Session>(std::move(socket));
    auto rank = std::make_shared<int>(-1); // not known yet
    std::weak_ptr<Session> weak = session;
    session->start(
        [this, weak, rank](const json &message) {
          if (*rank >= 0)
            receive(*rank, message);
          else if (std::shared_ptr<Session> self = weak.lock())
            join(self, message, *rank);
        },
        [this, rank](const std::string &reason) {
          if (*rank >= 0)
            lost(*rank, reason);
        });
    accept();
  });
}

// Whoever does not know the secret is a stranger, and is not worth an error.
void Hub::join(const std::shared_ptr<Session> &session, const json &hello, int &rank) {
  const int claimed = hello.at("rank").get<int>();
  if (hello.at("secret") != secret || claimed < 1 || claimed >= size() || member(claimed).joined)
    return session->close();
  rank = claimed;
  member(rank).session = session;
  member(rank).joined = true;
  hello.at("machine").get_to(member(rank).process.machine);
  hello.at("pid").get_to(member(rank).process.pid);
  hello.at("started").get_to(member(rank).process.started);
  judge.heard(rank, RankSnapshot(), now());
}

void Hub::receive(int rank, const json &message) {
  const std::string kind = message.at("kind");
  if (kind == "progress") {
    judge.heard(rank, RankSnapshot::decode(message.at("progress")), now());
  } else if (kind == "agree") {
    give(rank, message.at("identity").get<Identity>());
  } else if (kind == "failure") {
    Failure failure = Failure::decode(message.at("failure"));
    if (failure.kind == Failure::Kind::Refused)
      failure.what = name(rank) + ": " + failure.what;
    decide(failure);
  } else if (kind == "goodbye") {
    farewell(rank);
  } else if (kind == "stopping") {
    judge.hurry();
  }
}

void Hub::lost(int rank, const std::string &reason) {
  member(rank).session = nullptr;
  if (ended || concluded())
    return;
  if (wasStopped())
    return gaveUp();
  Failure failure = judge.failureOf(rank, Failure::Kind::Died,
                                    name(rank) + " died: " + reason + " without a goodbye", now());
  failure.process = member(rank).process;
  decide(failure);
}

void Hub::broadcast(const json &message) {
  for (Member &m : members)
    if (m.session)
      m.session->send(message);
}

void Hub::tell(const Failure &failure) {
  broadcast({{"kind", "failure"}, {"failure", failure.encode()}});
}

bool Hub::settled() const {
  return std::none_of(members.begin(), members.end(),
                      [](const Member &m) { return m.session != nullptr; });
}

void Hub::closeAll() {
  asio::error_code ignored;
  acceptor.close(ignored);
  for (Member &m : members)
    if (m.session)
      m.session->close();
}

void Hub::checkJoined() {
  if (now() < options.connect)
    return;
  for (int rank = 1; rank < size(); ++rank)
    if (!member(rank).joined) {
      Failure failure;
      failure.kind = Failure::Kind::Died;
      failure.rank = rank;
      failure.what = name(rank) + " did not come: no connection of it within " +
                     std::to_string(int(options.connect)) + " s";
      return decide(failure);
    }
}

void Hub::tick() {
  if (ended)
    return;
  checkJoined();
  judge.heard(0, progress().snapshot(), now());
  if (std::optional<Failure> failure = concluded() ? std::nullopt : judge.verdict(now())) {
    failure->process = member(failure->rank).process;
    decide(*failure);
  }
}

void Hub::beat() {
  const ProcessId &self = member(0).process;
  broadcast({{"kind", "progress"},
             {"progress", progress().snapshot().encode()},
             {"machine", self.machine},
             {"pid", self.pid},
             {"started", self.started}});
}

void Hub::give(int rank, const Identity &identity) {
  identities[std::size_t(rank)] = identity;
  if (++given < size())
    return;
  given = 0;
  Failure failure;
  failure.kind = Failure::Kind::Refused;
  failure.what = difference(identities);
  if (!failure.what.empty())
    return decide(failure);
  broadcast({{"kind", "agreed"}});
  change([&] { ++rounds; });
}

void Hub::agree(const Identity &identity) {
  std::uint64_t before = 0;
  change([&] { before = rounds; }); // only this thread's own calls move it on
  asio::post(io, [this, identity] { give(0, identity); });
  waitFor([&] { return rounds != before; });
}

void Hub::farewell(int rank) {
  judge.finished(rank);
  if (!judge.allFinished())
    return;
  broadcast({{"kind", "ended"}});
  change([&] { ended = true; });
}

void Hub::finish() {
  asio::post(io, [this] { farewell(0); });
  waitFor([&] { return ended; });
  settle(); // the others close when they have heard it
}

} // namespace hadal::rt
