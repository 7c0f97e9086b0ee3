// SPDX-License-Identifier: Apache-2.0
//
// Sums, shards and exchanges over local ranks, against loops that do the same in one place.

#include "runtime/program/Collectives.h"
#include "runtime/support/Error.h"
#include "runtime/transport/LocalTransport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>
#include <thread>

using namespace hadal::rt;

namespace {

void onRanks(int ranks, const std::function<void(const Lane &)> &body, int threads = 1) {
  LocalWorld world(ranks);
  std::vector<std::exception_ptr> thrown(static_cast<std::size_t>(ranks));
  std::vector<std::thread> all;
  for (int rank = 0; rank < ranks; ++rank)
    all.emplace_back([&, rank] {
      try {
        MemoryCounter counter;
        Staging staging(counter);
        ThreadPool pool(threads);
        body(Lane{world.endpoint(rank), 3, staging, threads > 1 ? &pool : nullptr});
      } catch (...) {
        thrown[std::size_t(rank)] = std::current_exception();
      }
    });
  for (std::thread &thread : all)
    thread.join();
  for (const std::exception_ptr &exception : thrown)
    if (exception)
      std::rethrow_exception(exception);
}

/// Values of very different sizes, so that another order gives other bits.
std::vector<float> randomValues(std::int64_t count, std::mt19937 &random) {
  std::uniform_real_distribution<float> mantissa(-1, 1);
  std::uniform_int_distribution<int> exponent(-12, 12);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float &value : values)
    value = std::ldexp(mantissa(random), exponent(random));
  return values;
}

/// accumulators[rank][slot], each padded to `padded` elements.
using Accumulators = std::vector<std::vector<std::vector<float>>>;

/// One element of a sum, as the contract says it.
float serialSum(const ShardedSum &sum, const Accumulators &accumulators, std::size_t element) {
  float total = 0;
  for (std::size_t a = 0; a < sum.sums.size(); ++a) {
    float part = 0;
    for (std::size_t t = 0; t < sum.sums[a].size(); ++t) {
      const SumTerm &term = sum.sums[a][t];
      float replicas = accumulators[std::size_t(term.ranks[0])][term.slot][element];
      for (std::size_t r = 1; r < term.ranks.size(); ++r)
        replicas += accumulators[std::size_t(term.ranks[r])][term.slot][element];
      part = t ? part + replicas : replicas;
    }
    total = a ? total + part : part;
  }
  return total;
}

/// Two pipeline ranks of `replicas` replicas hold a tensor, each with two accumulators; halves are
/// summed, and the second accumulator added behind.
ShardedSum twoCopies(int replicas, std::int64_t elements, std::int64_t block) {
  ShardedSum sum;
  std::vector<int> copies[2];
  for (int copy = 0; copy < 2; ++copy)
    for (int r = 0; r < replicas; ++r) {
      copies[copy].push_back(copy * replicas + r);
      sum.members.push_back(copy * replicas + r);
    }
  sum.sums = {{{copies[0], 0}, {copies[1], 0}}, {{copies[1], 1}, {copies[0], 1}}};
  sum.elements = elements;
  const std::int64_t holders = 2 * replicas, blocks = (elements + block - 1) / block;
  sum.window = std::min((blocks + holders - 1) / holders * block, elements);
  return sum;
}

void checkSum(const ShardedSum &sum, std::mt19937 &random, int threads) {
  const std::size_t ranks = sum.members.size();
  const auto padded = std::int64_t(ranks) * sum.window;
  Accumulators accumulators(ranks);
  for (auto &slots : accumulators)
    for (int slot = 0; slot < 2; ++slot) {
      slots.push_back(randomValues(padded, random));
      std::fill(slots.back().begin() + sum.elements, slots.back().end(), 0.0f);
    }
  std::vector<float> expected;
  for (std::int64_t i = 0; i < sum.elements; ++i)
    expected.push_back(serialSum(sum, accumulators, std::size_t(i)));
  std::vector<std::vector<float>> whole(ranks);
  onRanks(
      int(ranks),
      [&](const Lane &lane) {
        const auto rank = std::size_t(lane.transport.rank());
        auto &slots = accumulators[rank];
        // The shard is the rank's own window of the first accumulator.
        float *shard = slots[0].data() + std::int64_t(rank) * sum.window;
        reduceScatter(lane, sum, {{slots[0].data(), slots[1].data()}, {}}, shard);
        whole[rank].assign(std::size_t(padded), 0.0f);
        std::copy_n(shard, sum.window, whole[rank].data() + std::int64_t(rank) * sum.window);
        allGather(lane, sum.members, whole[rank].data(), sum.elements, sum.window, sizeof(float));
      },
      threads);
  for (const std::vector<float> &values : whole) {
    ASSERT_EQ(
        0, std::memcmp(values.data(), expected.data(), std::size_t(sum.elements) * sizeof(float)));
    for (std::int64_t i = sum.elements; i < padded; ++i)
      ASSERT_EQ(0.0f, values[std::size_t(i)]);
  }
}

TEST(Sums, HaveTheBitsOfTheSerialSum) {
  std::mt19937 random(1);
  for (int replicas : {1, 2, 3})
    for (std::int64_t elements : {1, 7, 64, 65, 1000, 5000})
      checkSum(twoCopies(replicas, elements, 64), random, 1);
}

TEST(Sums, ManyMessagesAndThreads) {
  std::mt19937 random(2);
  checkSum(twoCopies(1, 1200001, 65536), random, 2);
}

TEST(Sums, OfOneRankIsItsOwn) {
  std::mt19937 random(3);
  ShardedSum sum;
  sum.members = {0};
  sum.sums = {{{{0}, 0}}, {{{0}, 1}}};
  sum.elements = sum.window = 100;
  checkSum(sum, random, 1);
}

TEST(Sums, SmallTensorsLieWithOneHolder) {
  std::mt19937 random(4);
  ShardedSum sum = twoCopies(2, 40, 64);
  EXPECT_EQ(40, sum.window); // not 64: the padding of each holder would be larger than the tensor
  checkSum(sum, random, 1);
}

/// Each slot is a half. Summed one after the other, the first in windows of its own, they give the
/// bits of one sum; the third rank has nothing and gets its window.
void checkHalves(std::int64_t elements, std::int64_t window, std::mt19937 &random) {
  constexpr std::size_t kRanks = 3;
  ShardedSum all, first, second;
  all.sums = {{{{0, 1}, 0}, {{0, 1}, 1}}};
  first.sums = {{{{0, 1}, 0}}};
  second.sums = {{{{}, 0}, {{0, 1}, 0}}};
  for (ShardedSum *sum : {&all, &first, &second}) {
    sum->members = {0, 1, 2};
    sum->elements = elements;
    sum->window = window;
  }
  Accumulators accumulators(kRanks);
  for (std::size_t rank = 0; rank < 2; ++rank)
    for (int half = 0; half < 2; ++half)
      accumulators[rank].push_back(randomValues(elements, random));
  onRanks(int(kRanks), [&](const Lane &lane) {
    const auto rank = std::size_t(lane.transport.rank());
    auto own = [&](std::size_t half) {
      return rank < 2 ? std::vector<const float *>{accumulators[rank][half].data()}
                      : std::vector<const float *>();
    };
    std::vector<float> parked(std::size_t(window), 7.0f), shard(std::size_t(window), 7.0f);
    reduceScatter(lane, first, {own(0), {}}, parked.data());
    reduceScatter(lane, second, {own(1), {parked.data()}}, shard.data());
    for (std::int64_t i = 0; i < window; ++i) {
      const std::int64_t element = std::int64_t(rank) * window + i;
      ASSERT_EQ(element < elements ? serialSum(all, accumulators, std::size_t(element)) : 7.0f,
                shard[std::size_t(i)]);
    }
  });
}

TEST(Sums, HalvesOneAfterTheOther) {
  std::mt19937 random(7);
  checkHalves(5000, 2048, random);
  checkHalves(40, 40, random); // all of it lies with the first
  checkHalves(700001, 262144, random);
}

TEST(Sums, ParkedWindowsAreThere) {
  ShardedSum sum;
  sum.members = {0};
  sum.sums = {{{{}, 1}}};
  sum.elements = sum.window = 1;
  try {
    onRanks(1, [&](const Lane &lane) {
      float parked = 1, shard = 0;
      reduceScatter(lane, sum, {{}, {&parked}}, &shard);
    });
    FAIL() << "nothing was thrown";
  } catch (const RunError &error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("a sum names parked window 1 of 1"));
  }
}

TEST(Sums, NormIsAddedInOrder) {
  std::mt19937 random(5);
  constexpr int kRanks = 4;
  std::vector<std::vector<double>> numbers(kRanks);
  for (auto &list : numbers)
    for (float value : randomValues(6, random))
      list.push_back(double(value) * (1 + 1e-9));
  numbers[2].clear(); // a rank with nothing
  const std::vector<OrderedPart> parts = {{3, 0, 2}, {0, 0, 6}, {1, 2, 4}, {1, 0, 2}, {3, 2, 4}};
  double expected = 0;
  for (const OrderedPart &part : parts)
    for (std::int64_t i = 0; i < part.count; ++i)
      expected += numbers[std::size_t(part.rank)][std::size_t(part.offset + i)];
  onRanks(kRanks, [&](const Lane &lane) {
    const int rank = lane.transport.rank();
    EXPECT_EQ(expected, totalInOrder(lane, numbers[std::size_t(rank)],
                                     rank ? std::vector<OrderedPart>() : parts));
  });
}

/// A token's place and where it goes.
struct Routing {
  int members;
  std::int64_t tokens;
  std::vector<std::vector<std::vector<std::int32_t>>> sent; // [from][to]: tokens

  Routing(int members, std::int64_t tokens) : members(members), tokens(tokens) {
    sent.assign(std::size_t(members), std::vector<std::vector<std::int32_t>>(std::size_t(members)));
  }
};

float valueAt(int rank, std::int32_t token, std::int64_t column) {
  return float(rank * 10000 + token * 10 + column);
}

/// Everything goes out and comes back; members of the world's odd ranks only, so that places and
/// ranks differ.
void checkExchange(const Routing &routing) {
  constexpr std::int64_t kColumns = 3;
  const auto n = std::size_t(routing.members);
  onRanks(2 * routing.members, [&](const Lane &lane) {
    if (lane.transport.rank() % 2 == 0)
      return;
    std::vector<int> members;
    for (std::size_t m = 0; m < n; ++m)
      members.push_back(int(2 * m + 1));
    const auto me = std::size_t(lane.transport.rank() / 2);
    std::vector<std::int64_t> counts(2 * n), received(2 * (n + 1)), offsets(n + 1);
    std::vector<std::int32_t> order;
    for (std::size_t m = 0; m < n; ++m) {
      const auto &tokens = routing.sent[me][m];
      counts[m] = std::int64_t(tokens.size());
      counts[n + m] = 2 * counts[m];
      offsets[m + 1] = offsets[m] + counts[m];
      order.insert(order.end(), tokens.begin(), tokens.end());
    }
    exchangeCounts(lane, members, counts.data(), received.data());
    std::int64_t total = 0;
    for (std::size_t m = 0; m < n; ++m) {
      EXPECT_EQ(total, received[m]);
      EXPECT_EQ(2 * total, received[n + 1 + m]);
      total += std::int64_t(routing.sent[m][me].size());
    }
    EXPECT_EQ(total, received[n]);
    EXPECT_EQ(2 * total, received[2 * n + 1]);

    std::vector<float> values(std::size_t(routing.tokens * kColumns));
    std::vector<std::int32_t> ids(static_cast<std::size_t>(routing.tokens));
    for (std::int32_t token = 0; token < routing.tokens; ++token) {
      ids[std::size_t(token)] = token;
      for (std::int64_t c = 0; c < kColumns; ++c)
        values[std::size_t(token * kColumns + c)] = valueAt(int(me), token, c);
    }
    auto raw = [](auto &v) { return reinterpret_cast<unsigned char *>(v.data()); };
    std::vector<float> arrived(std::size_t(total * kColumns)), back(order.size() * kColumns);
    std::vector<std::int32_t> arrivedIds(static_cast<std::size_t>(total)), backIds(order.size());
    const RowsRoute route{offsets.data(), order.data(), received.data()};
    scatterRows(lane, members,
                {{raw(values), raw(arrived), kColumns * 4}, {raw(ids), raw(arrivedIds), 4}}, route);
    std::size_t row = 0;
    for (std::size_t m = 0; m < n; ++m)
      for (std::int32_t token : routing.sent[m][me]) {
        EXPECT_EQ(token, arrivedIds[row]);
        for (std::size_t c = 0; c < kColumns; ++c)
          EXPECT_EQ(valueAt(int(m), token, std::int64_t(c)), arrived[row * kColumns + c]);
        ++row;
      }
    for (float &value : arrived)
      value = -value;
    gatherRows(lane, members,
               {{raw(arrived), raw(back), kColumns * 4}, {raw(arrivedIds), raw(backIds), 4}},
               route);
    for (std::size_t i = 0; i < order.size(); ++i) {
      EXPECT_EQ(order[i], backIds[i]);
      for (std::size_t c = 0; c < kColumns; ++c)
        EXPECT_EQ(-valueAt(int(me), order[i], std::int64_t(c)), back[i * kColumns + c]);
    }
  });
}

TEST(Exchange, RandomRouting) {
  std::mt19937 random(6);
  for (int members : {1, 2, 3, 4}) {
    Routing routing(members, 20);
    for (auto &from : routing.sent)
      for (auto &to : from)
        for (std::int32_t token = 0; token < 20; ++token)
          if (random() % 3 == 0)
            to.push_back(token);
    checkExchange(routing);
  }
}

TEST(Exchange, OneMemberGetsAllAndAnotherNothing) {
  Routing routing(3, 5);
  for (auto &from : routing.sent)
    from[1] = {0, 1, 2, 3, 4};
  checkExchange(routing);
}

TEST(Exchange, NobodySendsAnything) { checkExchange(Routing(2, 4)); }

TEST(Exchange, NegativeCountsAreRefused) {
  try {
    onRanks(2, [](const Lane &lane) {
      std::vector<std::int64_t> counts = {1, lane.transport.rank() ? 1 : -3, 0, 0}, received(6);
      exchangeCounts(lane, {0, 1}, counts.data(), received.data());
    });
    FAIL() << "nothing was thrown";
  } catch (const RunError &error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("rank 0 announces -3 tokens"));
  }
}

TEST(RowPool, JoinsWhatIsGivenBackAndCounts) {
  MemoryCounter counter;
  RowPool pool(counter);
  unsigned char *a = pool.allocate(100, MemoryUse::Activations);
  unsigned char *b = pool.allocate(1000, MemoryUse::Communication);
  EXPECT_EQ(a + 128, b);
  EXPECT_EQ(128u + 1024u, totalOf(counter.current()));
  pool.free(a);
  unsigned char *c = pool.allocate(200, MemoryUse::Activations); // does not fit before b
  EXPECT_EQ(b + 1024, c);
  pool.free(b);
  EXPECT_EQ(a, pool.allocate(1152, MemoryUse::Activations)); // both gaps are one
  EXPECT_EQ(256u + 1152u, totalOf(counter.current()));
  EXPECT_EQ(256u + 1152u, totalOf(counter.peak()));
  EXPECT_EQ(0u, counter.peak()[std::size_t(MemoryUse::Communication)]);
  EXPECT_THROW(pool.free(b), RunError);
}

} // namespace
