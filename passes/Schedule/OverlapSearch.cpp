// SPDX-License-Identifier: Apache-2.0
//
// The order of a pair by a cost model: list scheduling on two streams. See Overlap.h.

#include "passes/Schedule/Overlap.h"

#include <algorithm>
#include <functional>

using namespace hadal::pipe;

namespace {

using Steps = std::vector<OverlapStep>;

/// Both chunks in one list; what a step needs is an index into it.
struct Pair {
  std::vector<const OverlapStep *> steps;
  std::vector<std::vector<size_t>> after, before;
  size_t forward = 0; ///< steps of the forward chunk, which come first

  Pair(const Steps &front, const Steps &back) : forward(front.size()) {
    add(front);
    add(back);
    before.resize(steps.size());
    for (size_t step = 0; step < steps.size(); ++step)
      for (size_t needed : after[step])
        before[needed].push_back(step);
  }

  OverlapSlot slot(size_t step) const {
    return step < forward ? OverlapSlot{false, step} : OverlapSlot{true, step - forward};
  }
  size_t index(const OverlapSlot &slot) const {
    return slot.backward ? forward + slot.step : slot.step;
  }

private:
  /// Steps of a kind keep their order.
  void add(const Steps &chunk) {
    const size_t base = steps.size(), none = ~size_t(0);
    size_t last[3] = {none, none, none}; // computes, exchanges, weight gradients
    for (const OverlapStep &step : chunk) {
      std::vector<size_t> needed;
      needed.reserve(step.after.size() + 2);
      for (size_t other : step.after)
        needed.push_back(base + other);
      const bool weights = step.phase == ComponentPhase::WeightGradient;
      size_t &mine = last[weights ? 2 : step.exchanges() ? 1 : 0];
      if (mine != none)
        needed.push_back(mine);
      if (weights && last[0] != none) // behind its own backward part
        needed.push_back(last[0]);
      mine = steps.size();
      steps.push_back(&step);
      after.push_back(std::move(needed));
    }
  }
};

/// Where two streams stand.
class Clock {
public:
  explicit Clock(const Pair &pair) : pair(pair), ends(pair.steps.size(), 0) {}

  double startOf(size_t step) const {
    double start = free[pair.steps[step]->exchanges()];
    for (size_t needed : pair.after[step])
      start = std::max(start, ends[needed]);
    return start;
  }
  void run(size_t step) {
    ends[step] = startOf(step) + pair.steps[step]->cost;
    free[pair.steps[step]->exchanges()] = ends[step];
  }
  double end() const { return std::max(free[0], free[1]); }

private:
  const Pair &pair;
  std::vector<double> ends;
  double free[2] = {0, 0};
};

using Order = std::vector<size_t>;

double timeOf(const Pair &pair, const Order &order) {
  Clock clock(pair);
  for (size_t step : order)
    clock.run(step);
  return clock.end();
}

/// Of what can start first, what is most urgent.
Order schedule(const Pair &pair, const std::vector<double> &urgency) {
  Clock clock(pair);
  std::vector<size_t> missing, ready;
  for (size_t step = 0; step < pair.steps.size(); ++step) {
    missing.push_back(pair.after[step].size());
    if (pair.after[step].empty())
      ready.push_back(step);
  }
  Order order;
  while (!ready.empty()) {
    auto best = std::min_element(ready.begin(), ready.end(), [&](size_t a, size_t b) {
      const double startA = clock.startOf(a), startB = clock.startOf(b);
      if (startA != startB)
        return startA < startB;
      return urgency[a] != urgency[b] ? urgency[a] > urgency[b] : a < b;
    });
    const size_t step = *best;
    ready.erase(best);
    clock.run(step);
    order.push_back(step);
    for (size_t next : pair.before[step])
      if (--missing[next] == 0)
        ready.push_back(next);
  }
  return order;
}

/// The length of the longest way from a step to the end; exchanges count `weight` times.
std::vector<double> waysToEnd(const Pair &pair, double weight) {
  std::vector<double> ways(pair.steps.size(), 0);
  for (size_t step = pair.steps.size(); step-- > 0;) {
    for (size_t next : pair.before[step])
      ways[step] = std::max(ways[step], ways[next]);
    ways[step] += pair.steps[step]->cost * (pair.steps[step]->exchanges() ? weight : 1);
  }
  return ways;
}

std::vector<Order> candidates(const Pair &pair, const Order &published) {
  std::vector<Order> orders = {published};
  const size_t count = pair.steps.size();
  Order inTurn(count);
  for (size_t step = 0; step < count; ++step)
    inTurn[step] = step;
  orders.push_back(inTurn);
  std::rotate(inTurn.begin(), inTurn.begin() + std::ptrdiff_t(pair.forward), inTurn.end());
  orders.push_back(inTurn);
  std::vector<double> place(count), direction(count);
  for (size_t i = 0; i < count; ++i) {
    place[published[i]] = -double(i);
    direction[i] = i < pair.forward ? 1 : 0;
  }
  orders.push_back(schedule(pair, place));
  for (double sign : {1.0, -1.0}) {
    for (double &each : direction)
      each *= sign;
    orders.push_back(schedule(pair, direction));
  }
  for (double weight : {1.0, 2.0, 4.0})
    orders.push_back(schedule(pair, waysToEnd(pair, weight)));
  return orders;
}

Order indicesOf(const Pair &pair, const std::vector<OverlapSlot> &slots) {
  Order order;
  for (const OverlapSlot &slot : slots)
    order.push_back(pair.index(slot));
  return order;
}

} // namespace

double hadal::pipe::timeOfOverlap(const Steps &forward, const Steps &backward,
                                  const std::vector<OverlapSlot> &order) {
  Pair pair(forward, backward);
  return timeOf(pair, indicesOf(pair, order));
}

std::vector<OverlapSlot> hadal::pipe::searchOverlap(const Steps &forward, const Steps &backward) {
  Pair pair(forward, backward);
  std::vector<Order> orders =
      candidates(pair, indicesOf(pair, overlapAsPublished(forward, backward)));
  const Order *best = &orders.front();
  double least = timeOf(pair, *best);
  for (const Order &order : orders)
    if (double time = timeOf(pair, order); time < least) {
      least = time;
      best = &order;
    }
  std::vector<OverlapSlot> slots;
  for (size_t step : *best)
    slots.push_back(pair.slot(step));
  return slots;
}
