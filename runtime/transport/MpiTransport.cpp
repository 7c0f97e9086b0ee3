// SPDX-License-Identifier: Apache-2.0
//
// See MpiTransport.h. A message is a row of full pieces and one that is not full (maybe empty), so
// that the first piece of another size shows that two sizes differ. The channel is the tag.

#include "runtime/transport/MpiTransport.h"

#include "runtime/support/Error.h"
#include "runtime/transport/MpiLibrary.h"
#include "runtime/transport/RankProgress.h"
#include "runtime/transport/Watch.h"

#include <atomic>
#include <chrono>
#include <climits>
#include <thread>

namespace hadal::rt {

using Clock = std::chrono::steady_clock;

namespace {

class Mpi;

struct MpiState : Transport::Request::State {
  MpiState(Mpi &mpi, int peer, int channel, std::uint64_t bytes, bool sends)
      : State(peer, channel, bytes, sends), mpi(mpi) {}
  ~MpiState() override;
  Mpi &mpi;
  std::vector<MpiLibrary::Handle> pieces;
  std::size_t next = 0; // the first piece that is not done
};

class Mpi final : public MpiTransport {
public:
  Mpi(const MpiLibrary &library, int rank, int size, std::uint64_t piece)
      : MpiTransport(rank, size), library(library), piece(piece) {}

  Request send(int peer, int channel, const void *data, std::uint64_t bytes) override {
    return post(peer, channel, const_cast<void *>(data), bytes, true);
  }
  Request receive(int peer, int channel, void *data, std::uint64_t bytes) override {
    return post(peer, channel, data, bytes, false);
  }
  bool done(Request &request) override;
  void finalize() override;

  void withdraw(MpiState &state);

private:
  Request post(int peer, int channel, void *data, std::uint64_t bytes, bool sends);
  void checkSize(const MpiState &state, std::size_t index, const MpiLibrary::Status &status,
                 bool tooLong) const;
  [[noreturn]] void fail(const char *call, int code, const Request::State &state) const;

  const MpiLibrary library;
  const std::uint64_t piece;
  std::atomic<int> patience{500}; // milliseconds left for requests that are withdrawn
};

MpiState::~MpiState() {
  if (next < pieces.size())
    mpi.withdraw(*this);
}

} // namespace

Transport::Request Mpi::post(int peer, int channel, void *data, std::uint64_t bytes, bool sends) {
  check(peer, channel);
  auto state = std::make_unique<MpiState>(*this, peer, channel, bytes, sends);
  state->pieces.reserve(bytes / piece + 1);
  auto *at = static_cast<unsigned char *>(data);
  for (std::uint64_t i = 0; i <= bytes / piece; ++i) {
    const int count = int(i < bytes / piece ? piece : bytes % piece);
    void *place = count ? at + i * piece : nullptr;
    MpiLibrary::Handle handle = nullptr;
    int code =
        sends ? library.send(place, count, library.byte, peer, channel, library.world, &handle)
              : library.receive(place, count, library.byte, peer, channel, library.world, &handle);
    if (code != 0)
      fail(sends ? "MPI_Isend" : "MPI_Irecv", code, *state);
    state->pieces.push_back(handle);
  }
  return Request(std::move(state));
}

bool Mpi::done(Request &request) {
  if (request.finished())
    return true;
  auto &state = static_cast<MpiState &>(*request.get());
  while (state.next < state.pieces.size()) {
    int done = 0;
    MpiLibrary::Status status = {};
    int code = library.test(&state.pieces[state.next], &done, &status);
    const bool tooLong = !state.sends && code == MpiLibrary::kErrorTruncate;
    if (code != 0 && !tooLong)
      fail("MPI_Test", code, state);
    if (!done && !tooLong)
      return false;
    const std::size_t index = state.next++;
    if (!state.sends)
      checkSize(state, index, status, tooLong);
    if (StreamProgress *stream = StreamProgress::current())
      stream->tick();
  }
  request.finish();
  return true;
}

void Mpi::checkSize(const MpiState &state, std::size_t index, const MpiLibrary::Status &status,
                    bool tooLong) const {
  int count = 0;
  library.count(&status, library.byte, &count);
  const std::uint64_t expected = index < state.bytes / piece ? piece : state.bytes % piece;
  if (std::uint64_t(count) == expected && !tooLong)
    return;
  const bool more = std::uint64_t(count) == piece; // and maybe further pieces
  throw RunError("channel " + std::to_string(state.channel) + ": rank " +
                 std::to_string(state.peer) + " sends " + (more ? "at least " : "") +
                 std::to_string(index * piece + std::uint64_t(count)) + " bytes, rank " +
                 std::to_string(rank()) + " expects " + std::to_string(state.bytes));
}

void Mpi::fail(const char *call, int code, const Request::State &state) const {
  // Where a peer is gone, the control plane says better what happened.
  const auto limit = Clock::now() + std::chrono::milliseconds(500);
  while (attachedWatch() && Clock::now() < limit) {
    attachedWatch()->check();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  throw RunError(std::string(call) + " (rank " + std::to_string(rank()) +
                 (state.sends ? " to rank " : " from rank ") + std::to_string(state.peer) +
                 ", channel " + std::to_string(state.channel) + ", " + std::to_string(state.bytes) +
                 " bytes): " + library.describe(code));
}

// Something failed, and memory may go away that the library still reads or writes. A receive is
// cancelled; what is under way gets a moment to end. (The process ends soon, without MPI_Finalize.)
void Mpi::withdraw(MpiState &state) {
  if (!state.sends)
    for (std::size_t i = state.next; i < state.pieces.size(); ++i)
      library.cancel(&state.pieces[i]);
  for (std::size_t i = state.next; i < state.pieces.size(); ++i) {
    for (int done = 0; !done && patience > 0;) {
      MpiLibrary::Status status;
      if (library.test(&state.pieces[i], &done, &status) != 0 || done)
        break;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      --patience;
    }
  }
}

void Mpi::finalize() {
  if (int code = library.finalize())
    throw RunError("MPI_Finalize: " + library.describe(code));
}

std::unique_ptr<MpiTransport> MpiTransport::open(std::uint64_t piece) {
  if (piece < 1 || piece > INT_MAX)
    throw RunError("MPI: pieces of " + std::to_string(piece) + " bytes; allowed are 1 to " +
                   std::to_string(INT_MAX));
  MpiLibrary library = MpiLibrary::open(MpiLibrary::usualNames());
  int provided = 0, rank = 0, size = 0;
  if (int code = library.initThread(nullptr, nullptr, MpiLibrary::kThreadMultiple, &provided))
    throw RunError("MPI_Init_thread: " + library.describe(code));
  if (provided < MpiLibrary::kThreadMultiple)
    throw InputError("MPI", "this library lets one thread call it at a time (level " +
                                std::to_string(provided) +
                                "); needed is one built with MPI_THREAD_MULTIPLE (level 3)");
  library.setErrorHandler(library.world, library.errorsReturn);
  library.rank(library.world, &rank);
  library.size(library.world, &size);
  return std::make_unique<Mpi>(library, rank, size, piece);
}

} // namespace hadal::rt
