// SPDX-License-Identifier: Apache-2.0
//
// Execution of a bundle's programs. A program is prepared once (whatever does not depend on routing
// is resolved beforehand) and then runs on as many threads as it has streams, the first of which is
// the calling thread; between streams only events order. Kernels share one pool of threads.

#ifndef HADAL_RUNTIME_PROGRAM_EXECUTOR_H
#define HADAL_RUNTIME_PROGRAM_EXECUTOR_H

#include "runtime/program/Collectives.h"
#include "runtime/program/Events.h"
#include "runtime/program/Store.h"
#include "runtime/transport/RankProgress.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace hadal::rt {

struct RankGrid;

/// A typed window of memory.
struct View {
  unsigned char *data = nullptr;
  bundle::DType dtype = bundle::DType::f32;
  std::vector<std::int64_t> shape;
  std::int64_t elements = 0;

  std::int64_t bytes() const { return elements * elementBytes(dtype); }
  template <typename T> T *as() const { return reinterpret_cast<T *>(data); }
};

/// What one kernel cost so far.
struct KernelCost {
  std::string symbol;
  std::int64_t calls = 0;
  double seconds = 0;
};

/// A rank's way to the others and to who watches over it. All null: a rank alone.
struct RankLinks {
  Transport *transport = nullptr;
  Watch *watch = nullptr;
  RankProgress *progress = nullptr;

  int rank() const { return transport ? transport->rank() : 0; }
  int size() const { return transport ? transport->size() : 1; }
};

/// When an instruction ran, in nanoseconds of the steady clock (one clock for all ranks of a
/// machine). A batch of transfers has one span, named by its first instruction.
struct InstructionSpan {
  std::uint32_t instruction;
  std::int64_t start, end;
};

/// What an exchange_counts told: rows this rank sends and receives, pairs of token and expert among
/// the latter.
struct ExchangedRows {
  std::uint32_t instruction;
  std::int64_t sent, received, routed;
};

class Executor : public InstructionNames {
public:
  /// Prepares the program `name` of this rank. Throws InputError when there is none, or when it is
  /// for several ranks and there are no links.
  Executor(Store &store, ThreadPool &pool, const std::string &name, const RankLinks &links = {});
  ~Executor() override;
  Executor(const Executor &) = delete;
  Executor &operator=(const Executor &) = delete;

  /// `step`: for messages. What an instruction throws gets rank, step, instruction and shapes.
  void run(std::int64_t step = -1);

  bool has(const std::string &name) const { return views.count(name) != 0; }
  /// The buffer of that name; throws RunError when the program has none.
  const View &view(const std::string &name) const;
  /// All buffers whose name starts with `prefix`, with the rest of the name.
  std::vector<std::pair<std::string, View>> viewsWithPrefix(const std::string &prefix) const;
  /// Sets a scalar buffer, converted to its type; does nothing when the program has none of that
  /// name.
  void setScalar(const std::string &name, double value);
  /// Reads a scalar buffer as f64.
  double scalar(const std::string &name) const;

  const bundle::Program &table() const { return program; }
  /// "program gradients: mlp_moe_F, layer 3, micro-batch 2".
  std::string describe(std::uint32_t instruction) const override;

  /// Floating-point operations of one run as the compiler counted them (the most there can be,
  /// where routing decides).
  double flops() const { return totalFlops; }
  /// Switches time keeping per kernel on (it costs a little) and reads it.
  void keepTimes(bool on) { timing = on; }
  std::vector<KernelCost> costs() const;

  /// Switches on that runs keep what each stream did when; off, it costs nothing.
  void keepSpans(bool on) { spanning = on; }
  /// Of the last run, by stream.
  const std::vector<InstructionSpan> &spans(std::uint32_t stream) const;
  /// Of the last run with spans, in the order of one stream.
  const std::vector<ExchangedRows> &exchanges() const { return exchanged; }

  /// A launch calls this instead of its kernels, every other instruction when it is done; a batch
  /// of transfers with its first instruction.
  using Pace = std::function<void(const bundle::Instruction &)>;
  void setPace(Pace pace) { this->pace = std::move(pace); }

private:
  struct Call {
    std::uint32_t kernel;
    std::int64_t grid;
    std::size_t pointers, sizes; // where they start in the vectors below
  };
  /// A pointer of a launch that changes from run to run.
  struct Patch {
    std::size_t pointer;
    bool temporary;      // of a frame of rows; else a buffer of rows
    std::uint32_t index; // of the temporary or buffer
  };
  /// A launch whose rows routing decides.
  struct RowsLaunch {
    const bundle::Component *component;
    std::int64_t counts; // buffer, -1: none
    std::vector<Patch> patches;
  };
  struct Step {
    enum Kind : std::uint8_t {
      Calls,
      RowCalls,
      Zero,
      Copy,
      Record,
      Wait,
      Messages,
      ExchangeCounts,
      ScatterRows,
      GatherRows,
      Allocate,
      Free,
      ReduceScatter,
      AllGather,
      TotalSquares,
      AllReduce
    };
    Kind kind;
    std::uint32_t instruction = 0;
    std::size_t first = 0, count = 0; // Calls, RowCalls: calls; Messages: messages
    std::size_t plan = 0;             // RowCalls, ReduceScatter, ...: in the vectors below
  };
  struct Message {
    bool sends;
    int peer;
    std::uint32_t buffer, instruction;
  };
  struct Stream {
    explicit Stream(MemoryCounter &counter) : staging(counter) {}
    std::uint32_t number = 0;
    std::vector<Step> steps;
    Staging staging;
    StreamProgress *progress = nullptr;
    bool launches = false;
    std::vector<InstructionSpan> spans;
  };
  struct Rows; // frames of a launch, by class

  // Prepare.cpp
  void prepareBuffers();
  void prepareMemory();
  void prepareStreams();
  void prepareStep(Stream &stream, std::uint32_t index);
  Step prepareLaunch(const bundle::Instruction &instruction, std::uint32_t index);
  bool patchFor(const bundle::Slot &slot, const bundle::Instruction &instruction,
                const bundle::Component &component, Patch &patch) const;
  void prepareMessage(Stream &stream, std::uint32_t index);
  Step prepareSum(const bundle::Instruction &instruction, std::uint32_t index);
  Step prepareSquares(const bundle::Instruction &instruction, std::uint32_t index);
  void requireLinks(std::uint32_t index) const;
  const bundle::Group &groupOf(std::int64_t index) const;

  // Executor.cpp
  void runStream(Stream &stream);
  void runThreads();
  void execute(Stream &stream, const Step &step);
  void maybeFail(const Step &step) const;
  void runCalls(const Step &step, StreamProgress *progress);
  void runRowCalls(const Step &step, StreamProgress *progress);
  void launch(const Call &call, StreamProgress *progress);
  void tellAccesses(const Step &step) const;
  void forbidGaps();
  void forbidGaps(const bundle::Component &component);
  std::string textOf(std::uint32_t instruction) const;
  std::string instructionAt(std::uint32_t instruction) const;
  std::string place(std::uint32_t instruction) const;
  std::string shapes(std::uint32_t instruction) const;

  // Communicate.cpp
  void communicate(Stream &stream, const Step &step);
  void exchangeMessages(Stream &stream, const Step &step);
  void exchangeCountsOf(const Lane &lane, const Step &step);
  void moveRows(const Lane &lane, const Step &step);
  void allocateRows(const bundle::Instruction &instruction);
  void freeRows(std::uint32_t buffer);
  std::int64_t rowsBy(std::int64_t counts, bundle::RowCount rows) const;
  std::int64_t bytesNow(std::uint32_t buffer) const;
  bundle::RowCount rowsOf(std::uint32_t buffer) const;

  Store &store;
  const Bundle &bundle;
  ThreadPool &pool;
  const RankLinks links;
  const std::unique_ptr<const RankGrid> grid;
  const bundle::Program &program;
  std::vector<View> buffers;      // those of rows: while they are allocated
  std::vector<std::int64_t> live; // rows of buffers that have them
  std::map<std::string, View> views;
  std::vector<std::unique_ptr<Stream>> streams; // those that do something, by number
  std::unique_ptr<Events> events;
  std::vector<Call> calls;
  std::vector<void *> pointers;
  std::vector<std::int64_t> sizes;
  std::vector<RowsLaunch> rowsLaunches;
  std::vector<Message> messages;
  std::vector<ShardedSum> sums;
  std::vector<std::vector<OrderedPart>> squares;
  std::vector<int> experts; // the expert group
  Memory frame;
  std::vector<Memory> scratch; // one a thread
  double totalFlops = 0;
  std::int64_t step = -1;
  bool timing = false, spanning = false;
  std::vector<ExchangedRows> exchanged;
  Pace pace;
  std::vector<KernelCost> times; // by kernel
};

} // namespace hadal::rt

#endif
