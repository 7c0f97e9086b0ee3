// SPDX-License-Identifier: Apache-2.0
//
// See Executor.h: kernels and streams.

#include "runtime/program/Executor.h"

#include "runtime/device/Accesses.h"
#include "runtime/device/RedZones.h"
#include "runtime/program/Layout.h"
#include "runtime/program/Uses.h"
#include "runtime/support/Error.h"
#include "runtime/transport/Fault.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>
#include <set>
#include <thread>

namespace hadal::rt {

using bundle::RowCount;
using Clock = std::chrono::steady_clock;

static std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch())
      .count();
}

// --- kernels ---

void Executor::launch(const Call &call, StreamProgress *progress) {
  const KernelArguments arguments{pointers.data() + call.pointers, sizes.data() + call.sizes};
  const KernelFunction function = bundle.kernel(call.kernel);
  const auto start = timing ? Clock::now() : Clock::time_point();
  pool.parallel(call.grid, [&](std::int64_t begin, std::int64_t end, int thread) {
    const Memory &room = scratch[std::size_t(thread)];
    if (kRedZones) {
      const std::uint64_t own = bundle.table().kernels()->Get(call.kernel)->scratch_bytes();
      allow(room.data(), std::size_t(own));
      forbid(room.data() + own, std::size_t(room.size() - own));
    }
    function(&arguments, begin, end, room.data());
    if (progress)
      progress->tick();
  });
  if (!timing)
    return;
  KernelCost &cost = times[call.kernel];
  cost.seconds += std::chrono::duration<double>(Clock::now() - start).count();
  ++cost.calls;
}

/// Leaves of the program's arena only what its buffers cover.
void Executor::forbidGaps() {
  std::set<std::uint32_t> arenas;
  auto arenaOf = [&](const bundle::Buffer &buffer) {
    return buffer.rows() == RowCount::fixed &&
           bundle.table().storages()->Get(buffer.storage())->kind() == bundle::StorageKind::arena;
  };
  for (const bundle::Buffer *buffer : *program.buffers())
    if (arenaOf(*buffer) && arenas.insert(buffer->storage()).second)
      forbid(store.at(buffer->storage()),
             std::size_t(bundle.table().storages()->Get(buffer->storage())->bytes()));
  for (std::uint32_t i = 0; i < buffers.size(); ++i)
    if (arenaOf(*program.buffers()->Get(i)))
      allow(buffers[i].data, std::size_t(buffers[i].bytes()));
}

/// The same for a component's frame.
void Executor::forbidGaps(const bundle::Component &component) {
  forbid(frame.data(), frame.size());
  for (std::uint32_t i = 0; i < countOf(component.temporary_offsets()); ++i)
    if (!component.temporary_rows() || component.temporary_rows()->Get(i) == RowCount::fixed)
      allow(frame.data() + component.temporary_offsets()->Get(i),
            std::size_t(component.temporary_bytes()->Get(i)));
}

/// Of a launch, for the thread sanitizer: only events order its buffers with those of other
/// streams.
void Executor::tellAccesses(const Step &step) const {
  forEachUse(bundle.table(), *program.instructions()->Get(step.instruction),
             [&](std::uint32_t buffer, Use use) {
               const auto bytes = std::size_t(bytesNow(buffer));
               (use == Use::Read ? reads : writes)(buffers[buffer].data, bytes);
             });
}

void Executor::runCalls(const Step &step, StreamProgress *progress) {
  const bundle::Instruction &instruction = *program.instructions()->Get(step.instruction);
  if (kRedZones)
    forbidGaps(*bundle.table().components()->Get(instruction.component()));
  if (kAccesses)
    tellAccesses(step);
  for (std::size_t i = step.first; i < step.first + step.count; ++i)
    launch(calls[i], progress);
}

namespace {

/// Memory for a launch's temporaries of one class, while it lasts.
class RowFrame {
public:
  RowFrame(RowPool &pool, std::uint64_t rowBytes, std::int64_t rows)
      : pool(pool), rows(std::uint64_t(std::max<std::int64_t>(0, rows) + 15) / 16 * 16) {
    if (!rowBytes || rows < 0)
      return;
    memory = pool.allocate(rowBytes * this->rows, MemoryUse::Activations);
    writes(memory, std::size_t(rowBytes * this->rows));
  }
  ~RowFrame() {
    if (memory)
      pool.free(memory);
  }
  RowFrame(const RowFrame &) = delete;
  RowFrame &operator=(const RowFrame &) = delete;
  unsigned char *at(std::uint64_t offset) const { return memory + offset * rows; }

private:
  RowPool &pool;
  std::uint64_t rows; // whole groups of 16 keep every temporary aligned
  unsigned char *memory = nullptr;
};

} // namespace

void Executor::runRowCalls(const Step &step, StreamProgress *progress) {
  const RowsLaunch &rows = rowsLaunches[step.plan];
  const bundle::Component &component = *rows.component;
  const std::int64_t received = rowsBy(rows.counts, RowCount::received);
  const std::int64_t routed = rowsBy(rows.counts, RowCount::routed);
  const RowFrame receivedFrame(store.rows(), component.received_row_bytes(), received);
  const RowFrame routedFrame(store.rows(), component.routed_row_bytes(), routed);
  for (const Patch &patch : rows.patches) {
    if (!patch.temporary) {
      bytesNow(patch.index); // it has memory
      pointers[patch.pointer] = buffers[patch.index].data;
      continue;
    }
    const bool isRouted = component.temporary_rows()->Get(patch.index) == RowCount::routed;
    pointers[patch.pointer] = (isRouted ? routedFrame : receivedFrame)
                                  .at(component.temporary_offsets()->Get(patch.index));
  }
  if (kRedZones)
    forbidGaps(component);
  if (kAccesses)
    tellAccesses(step);
  for (std::size_t i = 0; i < step.count; ++i) {
    const bundle::KernelCall &table = *component.calls()->Get(std::uint32_t(i));
    Call &call = calls[step.first + i];
    if (table.rows() != RowCount::fixed) {
      const std::int64_t n = table.rows() == RowCount::routed ? routed : received;
      const std::int64_t block = std::max<std::int64_t>(1, table.rows_block());
      if (table.rows_size() >= 0)
        sizes[call.sizes + std::size_t(table.rows_size())] = n;
      call.grid = table.grid_fixed() + table.grid_per_block() * ((n + block - 1) / block);
    }
    launch(call, progress);
  }
}

// --- streams ---

void Executor::execute(Stream &stream, const Step &step) {
  auto operand = [&](std::uint32_t i) {
    return program.instructions()->Get(step.instruction)->operands()->Get(i);
  };
  switch (step.kind) {
  case Step::Calls:
    return runCalls(step, stream.progress);
  case Step::RowCalls:
    return runRowCalls(step, stream.progress);
  case Step::Zero:
    std::memset(buffers[operand(0)].data, 0, std::size_t(bytesNow(operand(0))));
    return;
  case Step::Copy:
    std::memmove(buffers[operand(1)].data, buffers[operand(0)].data,
                 std::size_t(bytesNow(operand(0))));
    return;
  case Step::Record:
    return events->record(program.instructions()->Get(step.instruction)->event());
  case Step::Wait: {
    const std::uint32_t event = program.instructions()->Get(step.instruction)->event();
    if (events->recorded(event))
      return;
    if (stream.progress)
      stream.progress->waitsForEvent();
    events->wait(event, links.watch);
    if (stream.progress)
      stream.progress->computes();
    return;
  }
  case Step::Messages:
    return exchangeMessages(stream, step);
  case Step::Allocate:
    return allocateRows(*program.instructions()->Get(step.instruction));
  case Step::Free:
    return freeRows(operand(0));
  default:
    return communicate(stream, step);
  }
}

/// Where tests let a rank die or stall: named by opcode and by phase.
void Executor::maybeFail(const Step &step) const {
  if (!links.transport)
    return;
  auto at = [&](std::uint32_t index) {
    const bundle::Instruction &instruction = *program.instructions()->Get(index);
    faultAt(links.rank(), this->step, bundle::EnumNameOpcode(instruction.opcode()));
    if (instruction.phase())
      faultAt(links.rank(), this->step, instruction.phase()->string_view());
  };
  at(step.instruction);
  if (step.kind == Step::Messages)
    for (std::size_t i = step.first + 1; i < step.first + step.count; ++i)
      at(messages[i].instruction);
}

namespace {

/// The thread belongs to a stream of the program while this lives.
class Entered {
public:
  Entered(StreamProgress *stream, const InstructionNames &names) : stream(stream) {
    if (stream) {
      stream->enter(names);
      use.emplace(*stream);
    }
  }
  ~Entered() {
    use.reset();
    if (stream)
      stream->leave();
  }
  Entered(const Entered &) = delete;
  Entered &operator=(const Entered &) = delete;

private:
  StreamProgress *stream;
  std::optional<StreamProgress::Use> use;
};

} // namespace

void Executor::runStream(Stream &stream) {
  const Entered entered(stream.progress, *this);
  std::uint32_t at = 0;
  try {
    for (const Step &step : stream.steps) {
      at = step.instruction;
      if (stream.progress)
        stream.progress->at(at);
      maybeFail(step);
      const std::int64_t start = spanning ? now() : 0;
      if (!pace || (step.kind != Step::Calls && step.kind != Step::RowCalls))
        execute(stream, step);
      if (pace)
        pace(*program.instructions()->Get(at));
      if (spanning)
        stream.spans.push_back({at, start, now()});
    }
  } catch (const PeerError &) {
    throw; // reported already
  } catch (const InjectedDeath &) {
    throw;
  } catch (const StreamStopped &) {
    throw;
  } catch (const std::exception &error) {
    throw RunError(place(at) + shapes(at) + ": " + error.what());
  }
}

/// One thread a stream. What failed first counts; the others are got out of their waits.
void Executor::runThreads() {
  std::mutex mutex;
  std::exception_ptr failure;
  auto guarded = [&](Stream &stream) {
    try {
      runStream(stream);
    } catch (...) {
      {
        std::lock_guard<std::mutex> lock(mutex);
        if (!failure)
          failure = std::current_exception();
      }
      events->stop();
      if (links.watch)
        links.watch->abandon();
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < streams.size(); ++i)
    threads.emplace_back([&, i] { guarded(*streams[i]); });
  guarded(*streams[0]);
  for (std::thread &thread : threads)
    thread.join();
  if (failure)
    std::rethrow_exception(failure);
}

void Executor::run(std::int64_t step) {
  this->step = step;
  if (kRedZones)
    forbidGaps();
  for (const std::unique_ptr<Stream> &stream : streams)
    stream->spans.clear();
  exchanged.clear();
  if (streams.size() == 1)
    return runStream(*streams[0]);
  events->reset();
  runThreads();
}

const std::vector<InstructionSpan> &Executor::spans(std::uint32_t stream) const {
  static const std::vector<InstructionSpan> none;
  for (const std::unique_ptr<Stream> &own : streams)
    if (own->number == stream)
      return own->spans;
  return none;
}

} // namespace hadal::rt
