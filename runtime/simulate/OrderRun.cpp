// SPDX-License-Identifier: Apache-2.0
//
// See Order.h: the simulation of orders.

#include "runtime/simulate/Drawing.h"
#include "runtime/simulate/Engine.h"
#include "runtime/simulate/Order.h"
#include "runtime/support/Error.h"
#include "runtime/trace/ChromeTrace.h"

#include <algorithm>
#include <cstdio>
#include <map>

namespace hadal::rt {

static std::uint64_t numberOf(const ChunkPart &part) {
  return std::uint64_t(part.microBatch) << 2 | std::uint64_t(part.direction) << 1 |
         (part.kind == 'F' ? 0 : 1);
}

static ChunkPart partOf(std::uint64_t number) {
  return {number & 1 ? 'B' : 'F', int(number >> 1 & 1), int(number >> 2)};
}

namespace {

/// An order in the engine's terms.
struct OrderProgram {
  Engine engine;
  std::vector<std::pair<int, const OrderStep *>> steps; ///< by instruction: rank and step

  OrderProgram(const Order &order, const ChunkTimes &times) {
    for (int rank = 0; rank < order.ranks; ++rank) {
      const Engine::Id stream = engine.addStream(rank, "compute");
      for (const OrderStep &step : order.steps[std::size_t(rank)]) {
        if (step.batch.empty()) {
          engine.work(stream, times.of(step));
        } else {
          std::vector<Message> batch;
          batch.reserve(step.batch.size());
          for (const OrderTransfer &transfer : step.batch)
            batch.push_back({transfer.send, transfer.peer, numberOf(transfer.part), 0, true, 0});
          engine.transfer(stream, batch);
        }
        steps.emplace_back(rank, &step);
      }
    }
  }

  void run(const std::string &file) {
    const Outcome outcome = engine.run();
    if (outcome.finished())
      return;
    std::string why =
        engine.explain(outcome, {[&](Engine::Id id) { return steps[id].second->text(); },
                                 [](std::uint64_t what) { return partOf(what).text(); }});
    why.pop_back(); // the last line's end
    for (std::size_t at = why.find('\n'); at != why.npos; at = why.find('\n', at))
      why.replace(at, 1, "; ");
    throw RunError(file + ": deadlock: " + why);
  }
};

/// Counts what waits on one rank.
struct Waiting {
  int activations = 0, deferred = 0;

  void count(const OrderStep &step, OrderRun::Rank &rank) {
    for (const ChunkPart &part : step.parts) {
      activations += part.kind == 'F' ? 1 : part.kind == 'W' ? 0 : -1;
      deferred += part.kind == 'I' ? 1 : part.kind == 'W' ? -1 : 0;
      rank.activations = std::max(rank.activations, activations);
      rank.deferred = std::max(rank.deferred, deferred);
    }
  }
};

} // namespace

/// Connects the chunks that compute something with those that use it on another rank.
static void findFlows(const OrderProgram &program, const std::vector<std::size_t> &chunkOf,
                      OrderRun &run) {
  std::map<std::pair<int, std::uint64_t>, std::size_t> at; // rank, what it makes -> chunk
  for (Engine::Id id = 0; id < program.engine.instructions(); ++id)
    for (const ChunkPart &part : program.steps[id].second->parts)
      if (part.kind != 'W')
        at[{program.steps[id].first, numberOf(part)}] = chunkOf[id];
  for (const auto &[rank, step] : program.steps)
    for (const OrderTransfer &transfer : step->batch)
      if (transfer.send)
        run.flows.emplace_back(at.at({rank, numberOf(transfer.part)}),
                               at.at({transfer.peer, numberOf(transfer.part)}));
}

OrderRun simulateOrder(const Order &order, const ChunkTimes &times) {
  OrderProgram program(order, times);
  program.run(order.file);
  OrderRun run;
  run.makespan = program.engine.makespan();
  run.ranks.resize(std::size_t(order.ranks));
  std::vector<Waiting> waiting(run.ranks.size());
  std::vector<std::size_t> chunkOf(program.engine.instructions());
  for (Engine::Id id = 0; id < program.engine.instructions(); ++id) {
    const auto &[rank, step] = program.steps[id];
    const Span &span = program.engine.span(id);
    if (step->parts.empty())
      continue;
    chunkOf[id] = run.chunks.size();
    run.chunks.push_back({rank, span.start, span.end, step->parts});
    run.ranks[std::size_t(rank)].busy += span.end - span.start;
    waiting[std::size_t(rank)].count(*step, run.ranks[std::size_t(rank)]);
  }
  for (OrderRun::Rank &rank : run.ranks)
    rank.bubble = run.makespan - rank.busy;
  findFlows(program, chunkOf, run);
  return run;
}

double OrderRun::largestBubble() const {
  double largest = 0;
  for (const Rank &rank : ranks)
    largest = std::max(largest, rank.bubble);
  return largest;
}

std::optional<ClosedForm> closedForm(const Order &order, const ChunkTimes &times) {
  if (!order.trains())
    return std::nullopt;
  const double P = order.ranks, B = times.I + times.W;
  const double pair = times.pair.value_or(times.F + B);
  ClosedForm form;
  if (order.schedule == "1f1b") {
    form.formula = "(P - 1)(F + B)";
    form.bubble = (P - 1) * (times.F + B);
  } else if (order.schedule == "zb1p") {
    form.formula = "(P - 1)(F + I - W)";
    form.bubble = (P - 1) * (times.F + times.I - times.W);
    form.holds = order.microBatches < order.ranks ? "M >= P" : "";
  } else {
    const bool folded = order.schedule == "dualpipev";
    form.formula = folded ? "(P - 1)(pair + B - 3W)" : "(P/2 - 1)(pair + B - 3W)";
    form.bubble = (folded ? P - 1 : P / 2 - 1) * (pair + B - 3 * times.W);
    form.holds = order.microBatches < 2 * order.ranks ? "M >= 2P" : "";
  }
  return form;
}

static const char *categoryOf(const TimedChunk &chunk) {
  switch (chunk.parts.size() == 2 ? 'P' : chunk.parts[0].kind) {
  case 'P':
    return "pair";
  case 'F':
    return "forward";
  case 'B':
    return "backward";
  case 'I':
    return "input gradient";
  default:
    return "weight gradient";
  }
}

static std::string nameOf(const TimedChunk &chunk) {
  std::string name;
  for (const ChunkPart &part : chunk.parts)
    name += (name.empty() ? "" : "+") + part.text();
  return name;
}

void traceOrder(const OrderRun &run, const std::string &label, ChromeTrace &trace) {
  std::vector<ChromeTrace::Track> tracks;
  for (std::size_t rank = 0; rank < run.ranks.size(); ++rank) {
    const int process = trace.process(label + ": rank " + std::to_string(rank), int(rank));
    tracks.push_back(trace.track(process, "compute"));
  }
  std::vector<ChromeTrace::Slice> slices;
  slices.reserve(run.chunks.size());
  for (const TimedChunk &chunk : run.chunks)
    slices.push_back(trace.slice(tracks[std::size_t(chunk.rank)], nameOf(chunk), categoryOf(chunk),
                                 chunk.start, chunk.end));
  for (const auto &[from, to] : run.flows)
    trace.flow("transfer", slices[from], slices[to]);
}

Drawing drawingOf(const Order &order, const OrderRun &run) {
  Drawing drawing;
  char figures[96];
  std::snprintf(figures, sizeof figures, "makespan %.6g, largest bubble %.6g", run.makespan,
                run.largestBubble());
  drawing.title = order.schedule + ", " + std::to_string(order.ranks) + " ranks, " +
                  std::to_string(order.microBatches) + " micro-batches: " + figures;
  drawing.ranks = order.ranks;
  drawing.chunks = run.chunks;
  for (TimedChunk &chunk : drawing.chunks)
    for (ChunkPart &part : chunk.parts)
      part.microBatch = order.wholeMicroBatch(part);
  return drawing;
}

} // namespace hadal::rt
