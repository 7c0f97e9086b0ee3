// SPDX-License-Identifier: Apache-2.0
//
// Rank 0's end of the control plane: hears all ranks, judges, and tells everyone.

#ifndef HADAL_RUNTIME_TRANSPORT_HUB_H
#define HADAL_RUNTIME_TRANSPORT_HUB_H

#include "runtime/transport/Judge.h"
#include "runtime/transport/SocketBase.h"

namespace hadal::rt {

class Hub final : public SocketBase {
public:
  Hub(int size, bool oneMachine, const ControlOptions &options);
  ~Hub() override;

  /// For the other ranks: where to connect to, and a secret that shows who belongs here.
  std::string address() const { return text; }

  void agree(const Identity &identity) override;
  void finish() override;

protected:
  void tick() override;
  void beat() override;
  void hurry() override { judge.hurry(); }
  void tell(const Failure &failure) override;
  bool settled() const override;
  void closeAll() override;

private:
  struct Member {
    std::shared_ptr<Session> session; // null: not there yet, or gone
    ProcessId process;
    bool joined = false, done = false;
  };
  Member &member(int rank) { return members[std::size_t(rank)]; }
  void listen(bool oneMachine);
  void accept();
  void join(const std::shared_ptr<Session> &session, const nlohmann::json &hello, int &rank);
  void receive(int rank, const nlohmann::json &message);
  void lost(int rank, const std::string &reason);
  void broadcast(const nlohmann::json &message);
  void give(int rank, const Identity &identity);
  void checkJoined();
  void farewell(int rank);

  asio::ip::tcp::acceptor acceptor;
  std::string secret, text;
  std::vector<Member> members; // by rank; that of rank 0 has no session
  Judge judge;
  std::vector<Identity> identities; // of the round, by rank
  int given = 0;
  std::uint64_t rounds = 0; // that ended; read under the base's lock
  bool ended = false;       // all are done; as above
};

} // namespace hadal::rt

#endif
