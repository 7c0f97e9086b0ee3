// SPDX-License-Identifier: Apache-2.0
//
// See World.h.

#include "runtime/transport/World.h"

#include "runtime/transport/Fault.h"
#include "runtime/transport/LocalControl.h"
#include "runtime/transport/LocalTransport.h"
#include "runtime/transport/MpiTransport.h"
#include "runtime/transport/SocketControl.h"

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>
#include <thread>

#include <unistd.h>

namespace hadal::rt {

using Clock = std::chrono::steady_clock;
using Body = std::function<void(RankContext &)>;

// --- signals
// ---------------------------------------------------------------------------------------------------------

static std::atomic<int> caughtSignal{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler stores it");

int stopSignal() { return caughtSignal.load(std::memory_order_relaxed); }

namespace {

/// SIGINT and SIGTERM are caught while this lives.
class CatchSignals {
public:
  CatchSignals() {
    caughtSignal = 0;
    struct sigaction action = {};
    action.sa_handler = [](int signal) { caughtSignal = signal; };
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGINT, &action, &interrupt);
    ::sigaction(SIGTERM, &action, &terminate);
  }
  ~CatchSignals() {
    ::sigaction(SIGINT, &interrupt, nullptr);
    ::sigaction(SIGTERM, &terminate, nullptr);
  }
  CatchSignals(const CatchSignals &) = delete;
  CatchSignals &operator=(const CatchSignals &) = delete;

private:
  struct sigaction interrupt = {}, terminate = {};
};

/// Ends the process unless destroyed in time.
class Deadline {
public:
  Deadline(double seconds, std::string message)
      : thread([this, seconds, message = std::move(message)] {
          std::unique_lock<std::mutex> lock(mutex);
          if (wake.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return over; }))
            return;
          std::fprintf(stderr, "error: %s\n", message.c_str());
          ::_exit(1);
        }) {}
  ~Deadline() {
    {
      std::lock_guard<std::mutex> lock(mutex);
      over = true;
    }
    wake.notify_all();
    thread.join();
  }
  Deadline(const Deadline &) = delete;
  Deadline &operator=(const Deadline &) = delete;

private:
  std::mutex mutex;
  std::condition_variable wake;
  bool over = false;
  std::thread thread; // last: uses the others
};

} // namespace

// --- one rank
// --------------------------------------------------------------------------------------------------------

static void runRank(RankContext &context, const Identity &identity, const Body &body) {
  StreamProgress::Use use(context.progress.stream(0));
  ControlPlane &control = context.control;
  try {
    Identity all = identity;
    all.emplace_back("number of ranks", std::to_string(context.size));
    control.agree(all);
    body(context);
    control.finish();
  } catch (const InjectedDeath &) {
    control.vanish();
  } catch (const InputError &error) {
    control.fail(2, error.what());
  } catch (const std::bad_alloc &) {
    control.fail(1, "out of memory");
  } catch (const std::exception &error) {
    // After a PeerError everything is said, and this does nothing.
    control.fail(1, error.what());
  }
}

// --- threads as ranks
// ------------------------------------------------------------------------------------------------

static int runLocal(const Launch &launch, const Identity &identity, const Body &body,
                    const WorldOptions &options, int threads) {
  setRanksAreThreads(true);
  const int ranks = launch.size;
  LocalWorld world(ranks);
  LocalControl control(ranks, options.control);
  auto runOne = [&](int rank) {
    ControlPlane &plane = control.endpoint(rank);
    Transport &transport = world.endpoint(rank);
    transport.attach(&plane.watch());
    RankContext context{rank,    ranks, transport, plane, plane.watch(), plane.progress(),
                        threads, launch};
    runRank(context, identity, body);
  };
  if (ranks == 1) {
    runOne(0);
    return control.endpoint(0).exitCode();
  }
  std::vector<std::thread> running;
  running.reserve(std::size_t(ranks));
  for (int rank = 0; rank < ranks; ++rank)
    running.emplace_back(runOne, rank);
  for (std::thread &thread : running)
    thread.join();
  return control.endpoint(0).exitCode();
}

// --- processes as ranks
// ----------------------------------------------------------------------------------------------

/// Rank 0's text for all ranks. There is no watch yet, so this has a time limit of its own.
static void hand(Transport &transport, std::string &text, double limit) {
  constexpr std::size_t kBytes = 1024; // a size that libraries send at once
  std::vector<char> block(kBytes);
  if (text.size() >= kBytes)
    throw RunError("control plane: rank 0 has too many addresses");
  std::memcpy(block.data(), text.data(), text.size());
  std::vector<Transport::Request> requests;
  if (transport.rank() != 0)
    requests.push_back(transport.receive(0, kMainChannel, block.data(), kBytes));
  else
    for (int rank = 1; rank < transport.size(); ++rank)
      requests.push_back(transport.send(rank, kMainChannel, block.data(), kBytes));
  const auto start = Clock::now();
  for (Transport::Request &request : requests)
    while (!transport.done(request)) {
      if (std::chrono::duration<double>(Clock::now() - start).count() > limit)
        throw RunError("rank " + std::to_string(transport.rank()) + ": rank " +
                       std::to_string((*request).peer) + " did not answer within " +
                       std::to_string(int(limit)) + " s at the start");
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  text = block.data();
}

static std::unique_ptr<ControlPlane> connectControl(Transport &transport, const Launch &launch,
                                                    const ControlOptions &options) {
  std::string address;
  std::unique_ptr<ControlPlane> hub;
  const bool oneMachine = launch.localSize == launch.size;
  if (transport.rank() == 0)
    hub = openHub(transport.size(), oneMachine, options, address);
  hand(transport, address, options.connect);
  return hub ? std::move(hub) : joinHub(transport.rank(), transport.size(), address, options);
}

[[noreturn]] static void endProcess(int code) {
  std::fflush(nullptr);
  ::_exit(code);
}

static void checkFound(const MpiTransport &mpi, const Launch &launch) {
  if (mpi.size() != launch.size || mpi.rank() != launch.rank)
    throw InputError("MPI", launch.launcher + " started rank " + std::to_string(launch.rank) +
                                " of " + std::to_string(launch.size) + ", MPI sees rank " +
                                std::to_string(mpi.rank()) + " of " + std::to_string(mpi.size()) +
                                "; use the mpirun of the Open MPI that is installed, or srun "
                                "--mpi=pmix");
}

/// Once MPI is up the process ends here, except after success.
static int runMpi(const Launch &launch, const Identity &identity, const Body &body,
                  const WorldOptions &options, int threads) {
  setRanksAreThreads(false);
  CatchSignals signals;
  ControlOptions controlOptions = options.control;
  controlOptions.signal = stopSignal;
  controlOptions.signalEnds = !options.bodyStops;
  std::unique_ptr<MpiTransport> mpi = MpiTransport::open();
  try {
    checkFound(*mpi, launch);
    std::unique_ptr<ControlPlane> control = connectControl(*mpi, launch, controlOptions);
    mpi->attach(&control->watch());
    RankContext context{mpi->rank(),      mpi->size(),         *mpi,    *control,
                        control->watch(), control->progress(), threads, launch};
    runRank(context, identity, body);
    if (control->concluded()) {
      control->settle();
      endProcess(control->exitCode());
    }
  } catch (const InputError &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    endProcess(2);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    endProcess(1);
  }
  Deadline deadline(5, "rank " + std::to_string(launch.rank) +
                           ": MPI_Finalize did not end within 5 s; all work is done");
  mpi->finalize();
  return 0;
}

int runWorld(const Launch &launch, const Identity &identity, const Body &body,
             const WorldOptions &options) {
  try {
    parseFault(std::getenv("HADAL_INJECT_FAULT")); // refused before anything starts
    const int threads = options.threads ? options.threads : threadsPerRank(launch);
    if (launch.kind == Launch::Kind::Mpi)
      return runMpi(launch, identity, body, options, threads);
    if (!options.bodyStops)
      return runLocal(launch, identity, body, options, threads);
    CatchSignals signals;
    WorldOptions watched = options;
    watched.control.signal = stopSignal;
    return runLocal(launch, identity, body, watched, threads);
  } catch (const InputError &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 2;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}

} // namespace hadal::rt
