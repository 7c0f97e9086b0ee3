// SPDX-License-Identifier: Apache-2.0
//
// A training step of a bundle, simulated: the very instructions that the executor runs, with times
// from a cost model, over all ranks. Replicas of a pipeline rank run one program and cost the same,
// so each pipeline rank is simulated once: what goes between its replicas (exchanges of routed
// rows, sums) takes its time on it.

#ifndef HADAL_RUNTIME_SIMULATE_PROGRAM_H
#define HADAL_RUNTIME_SIMULATE_PROGRAM_H

#include "runtime/simulate/Chunk.h"
#include "runtime/simulate/Costs.h"
#include "runtime/simulate/Engine.h"
#include "runtime/trace/ChromeTrace.h"

#include <string>
#include <unordered_map>
#include <vector>

namespace hadal::rt {

struct Drawing;

/// Of one pipeline rank, in microseconds. Busy: its compute stream works. Exposed communication:
/// it does not while a transfer, an exchange or a sum is under way. Bubble: the rest.
struct RoleTimes {
  double busy = 0, exposed = 0, bubble = 0;
};

/// What traces and messages call an instruction: the component, "dispatch(F)", "transfer", ...
std::string instructionName(const bundle::Bundle &table, const bundle::Instruction &instruction);
/// Its layer, micro-batch and chunk, where it has them, for traces.
ChromeTrace::Arguments argumentsOf(const bundle::Program &program,
                                   const bundle::Instruction &instruction);
/// Whether it is more than a sign for others, or memory that comes and goes.
bool takesTime(bundle::Opcode opcode);

/// Consecutive ranks of a node, where nobody says otherwise.
inline constexpr int kRanksPerNode = 8;

class ProgramRun {
public:
  /// Simulates one step (gradients and update). `ranksPerNode` consecutive ranks share a node.
  /// Throws InputError when the bundle does not train, RunError when its ranks wait for ever.
  ProgramRun(const bundle::Bundle &table, const Costs &costs, int ranksPerNode);

  double makespan() const { return engine.makespan(); }
  const std::vector<RoleTimes> &roles() const { return times; }
  /// {"makespan_us", "ranks": [{"rank", "busy_us", "bubble_us", "exposed_communication_us",
  /// "peak_bytes": {...}}]}, all ranks; memory for balanced routing.
  std::string report() const;
  void print(std::ostream &out) const;
  void trace(const std::string &set, ChromeTrace &trace) const;
  /// The chunks of the step by pipeline rank.
  Drawing drawing() const;
  /// Microseconds that the instructions of a pipeline rank take by the cost model, once those who
  /// meet are there; by instruction of the bundle, a batch of transfers by its first.
  std::unordered_map<const bundle::Instruction *, double> durations(std::uint32_t role) const;
  /// Names of a pipeline rank's streams.
  const std::vector<std::string> &streamsOf(std::uint32_t role) const { return streamNames[role]; }

private:
  struct Place {
    std::uint32_t role, program, instruction;
    double duration; // us, without waiting
  };
  struct Part; // a program of a role while it is added

  void add(std::uint32_t role, const bundle::Program &program);
  void addInstruction(Part &part, std::uint32_t index);
  void addBatch(Part &part, std::uint32_t index);
  double addSum(const Part &part, const bundle::Instruction &instruction, Engine::Id stream);
  double launchTime(const Part &part, const bundle::Instruction &instruction) const;
  double exchangeTime(const Part &part, const bundle::Instruction &instruction) const;
  double sumTime(const Part &part, const bundle::Instruction &instruction) const;
  bool sameNode(std::int64_t rank, std::int64_t other) const;
  /// Whether it belongs to no overlapped pair.
  static bool isAlone(const bundle::Program &program, const bundle::Instruction &instruction);
  void join(std::uint32_t role);
  void run();
  void measure();
  bool isWork(Engine::Id id) const;
  const bundle::Instruction &at(Engine::Id id) const;
  std::string nameOf(Engine::Id id) const;
  std::vector<ChunkPart> partsAt(Engine::Id id) const;

  const bundle::Bundle &table;
  const Costs &costs;
  const int perNode;
  std::int64_t replicas = 1, members = 1;
  Engine engine;
  std::vector<const bundle::Program *> programs;
  std::vector<Place> places;                         // by instruction of the engine
  std::vector<std::vector<Engine::Id>> streams;      // by role
  std::vector<std::vector<std::string>> streamNames; // by role
  std::map<std::vector<int>, Engine::Id> groups;     // by pipeline ranks
  std::vector<RoleTimes> times;
};

} // namespace hadal::rt

#endif
