// SPDX-License-Identifier: Apache-2.0
//
// See MpiRanks.h.

#include "test/unit/runtime/MpiRanks.h"

#include "runtime/transport/Collectives.h"
#include "runtime/transport/Fault.h"
#include "runtime/transport/MpiTransport.h"
#include "runtime/transport/World.h"
#include "test/unit/runtime/ExchangeModel.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <thread>

#include <unistd.h>

namespace hadal::rt {

static void expect(bool holds, const std::string &what) {
  if (!holds)
    throw RunError("failed: " + what);
}

/// A message of so many bytes around the ring of ranks.
static void ring(Transport &transport, int channel, std::size_t bytes) {
  const int n = transport.size(), me = transport.rank(), left = (me + n - 1) % n;
  std::vector<unsigned char> out(bytes), in(bytes, 255);
  for (std::size_t i = 0; i < bytes; ++i)
    out[i] = static_cast<unsigned char>(i * 7 + std::size_t(me));
  std::vector<Transport::Request> both;
  both.push_back(transport.receive(left, channel, in.data(), bytes));
  both.push_back(transport.send((me + 1) % n, channel, out.data(), bytes));
  transport.wait(both);
  for (std::size_t i = 0; i < bytes; ++i)
    expect(in[i] == static_cast<unsigned char>(i * 7 + std::size_t(left)), "ring");
}

static void collectives(Transport &transport) {
  const Group all = everyone(transport);
  const int n = transport.size();
  std::int64_t sums[2] = {transport.rank(), 1};
  allReduce(transport, all, 0, sums, 2);
  expect(sums[0] == n * (n - 1) / 2 && sums[1] == n, "allReduce");
  for (int root = 0; root < n; ++root) {
    int value = transport.rank();
    broadcast(transport, all, 0, root, &value, sizeof value);
    expect(value == root, "broadcast");
    std::vector<Bytes> got =
        gather(transport, all, 0, root, sums, std::uint64_t(transport.rank()) * 4);
    expect(got.size() == (root == transport.rank() ? std::size_t(n) : 0U), "gather");
    for (std::size_t i = 0; i < got.size(); ++i)
      expect(got[i].size() == i * 4, "gather sizes");
    barrier(transport, all, 0);
  }
}

static void manyThreads(Transport &transport) {
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int channel = 10; channel < 13; ++channel)
    threads.emplace_back([&, channel] {
      try {
        for (std::size_t i = 0; i < 100; ++i)
          ring(transport, channel, i * i);
      } catch (const std::exception &) {
        ++failures;
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  expect(failures == 0, "many threads");
}

/// What size `sent` meets `expected` as, with pieces of 16 bytes.
static std::string meet(Transport &transport, int channel, std::size_t sent, std::size_t expected) {
  std::vector<unsigned char> memory(std::max(sent, expected));
  std::string message = "nothing was thrown";
  if (transport.rank() == 0) {
    Transport::Request request = transport.send(1, channel, memory.data(), sent);
    while (!transport.done(request))
      std::this_thread::yield(); // messages this small go out by themselves
  } else if (transport.rank() == 1) {
    Transport::Request request = transport.receive(0, channel, memory.data(), expected);
    try {
      transport.wait(request);
    } catch (const RunError &error) {
      message = error.what();
    }
  }
  return message;
}

static void sizes(Transport &transport) {
  struct {
    std::size_t sent, expected;
    const char *found;
  } cases[] = {{4, 8, "sends 4"},
               {0, 8, "sends 0"},
               {8, 4, "sends 8"},
               {8, 0, "sends 8"},
               {40, 16, "sends at least 32"},
               {16, 32, "sends 16"},
               {32, 16, "sends at least 32"},
               {33, 40, "sends 33"}};
  int channel = 100;
  for (const auto &c : cases) {
    std::string message = meet(transport, channel, c.sent, c.expected);
    std::string wanted = "channel " + std::to_string(channel) + ": rank 0 " + c.found +
                         " bytes, rank 1 expects " + std::to_string(c.expected);
    const bool same = message == wanted;
    if (transport.rank() == 1)
      expect(same, message.append("; expected: ").append(wanted));
    ++channel;
  }
}

static int transfer() {
  std::unique_ptr<MpiTransport> transport = MpiTransport::open(16); // 2 GiB in small
  try {
    for (std::size_t bytes : {0, 1, 15, 16, 17, 31, 32, 33, 1000, 100000})
      ring(*transport, 3, bytes);
    Transport::Request self[2] = {transport->receive(transport->rank(), 4, nullptr, 0),
                                  transport->send(transport->rank(), 4, nullptr, 0)};
    transport->wait(self, 2);
    expect(randomExchanges(*transport, 20).empty(), "exchange");
    collectives(*transport);
    manyThreads(*transport);
    sizes(*transport);
    barrier(*transport, everyone(*transport), 0);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "error: rank %d: %s\n", transport->rank(), error.what());
    std::fflush(stderr);
    ::_exit(1);
  }
  transport->finalize();
  if (transport->rank() == 0)
    std::printf("all arrived\n");
  return 0;
}

namespace {
struct StepNames : InstructionNames {
  std::string describe(std::uint32_t instruction) const override {
    return instruction ? "exchange rows" : "compute";
  }
};
} // namespace

/// Says in a file that this rank has come to `step`, and which process it is.
static void note(int rank, int step) {
  const char *folder = std::getenv("HADAL_TEST_FOLDER");
  std::string path = std::string(folder ? folder : ".") + "/rank" + std::to_string(rank);
  std::ofstream(path + ".new") << ::getpid() << " " << step << "\n";
  std::rename((path + ".new").c_str(), path.c_str());
}

/// One step of a pretended program: computing, an all-to-all, computing.
static void step(RankContext &context, int step, const StepNames &names) {
  StreamProgress &stream = context.progress.stream(0);
  context.progress.step(step);
  StreamProgress::Program program(stream, names);
  for (std::uint32_t i = 0; i < 3; ++i) {
    stream.at(0);
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    faultAt(context.rank, step, i ? "backward" : "forward");
    stream.at(1);
    if (!exchangeRound(context.transport, everyone(context.transport), step))
      throw RunError("wrong bytes");
  }
}

static int steps(const std::string &part) {
  const bool differ = part == "differ", nan = part == "nan", refuse = part == "refuse";
  const Launch launch = findLaunch(0);
  const std::string first = differ && launch.rank == 2 ? "8" : "7";
  WorldOptions options;
  options.bodyStops = part == "stops";
  const int code = runWorld(
      launch, {{"bundle", "12ab"}, {"first step", first}},
      [&](RankContext &context) {
        StepNames names;
        const int count = part == "ends" ? 20 : 100000;
        std::int64_t stops = 0;
        for (int i = 0; i < count && !stops; ++i) {
          note(context.rank, i);
          if (nan && i == 20 && context.rank == 1)
            throw RunError("step 20: the loss is NaN");
          if (refuse && i == 20)
            throw InputError("--data", "no such file");
          step(context, i, names);
          stops = stopSignal() != 0;
          allReduce(context.transport, everyone(context.transport), kMainChannel, &stops, 1);
        }
        if (part == "ends" && context.rank == 3)
          std::this_thread::sleep_for(std::chrono::milliseconds(1500));
      },
      options);
  if (code == 0 && launch.rank == 0)
    std::printf("all ended\n");
  return code;
}

int playPart(const std::string &part) { return part == "transfer" ? transfer() : steps(part); }

} // namespace hadal::rt
