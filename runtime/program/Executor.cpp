// SPDX-License-Identifier: Apache-2.0
//
// See Executor.h.

#include "runtime/program/Executor.h"

#include "runtime/device/RedZones.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <set>

namespace hadal::rt {

Store::Store(const Bundle &bundle) : owner(bundle), memories(countOf(bundle.table().storages())) {}

/// cos or sin of position * frequency, times the amplitude: computed in f64, rounded once.
static void fillRotary(const bundle::Rotary &rotary, bool cosine, float *out, std::uint64_t room) {
  const std::uint32_t pairs = countOf(rotary.frequencies());
  for (std::int64_t position = 0; position < rotary.positions(); ++position)
    for (std::uint32_t j = 0; j < pairs; ++j) {
      if (!room--)
        return;
      double angle = double(position) * rotary.frequencies()->Get(j);
      *out++ = float((cosine ? std::cos(angle) : std::sin(angle)) * rotary.amplitude());
    }
}

unsigned char *Store::at(std::uint32_t index) {
  Memory &memory = memories[index];
  if (memory.data())
    return memory.data();
  const bundle::Storage &storage = *owner.table().storages()->Get(index);
  // An empty storage has an address too.
  memory = Memory(std::max<std::uint64_t>(storage.bytes(), 64));
  total += memory.size();
  if (storage.kind() == bundle::StorageKind::constant) {
    std::string name = storage.name()->str();
    if ((name != "rotary_cos" && name != "rotary_sin") || !owner.table().rotary())
      throw InputError(owner.path(), "storage " + name +
                                         ": is a constant this program does not know; "
                                         "it knows rotary_cos and rotary_sin");
    fillRotary(*owner.table().rotary(), name == "rotary_cos",
               reinterpret_cast<float *>(memory.data()), storage.bytes() / 4);
  }
  return memory.data();
}

Executor::Executor(Store &store, ThreadPool &pool, const std::string &name)
    : store(store), bundle(store.bundle()), pool(pool), program(bundle.program(name)) {
  const bundle::Bundle &table = bundle.table();
  for (std::uint32_t i = 0; i < countOf(program.buffers()); ++i) {
    const bundle::Buffer &buffer = *program.buffers()->Get(i);
    View view;
    view.data = store.at(buffer.storage()) + buffer.offset();
    view.dtype = buffer.dtype();
    for (std::uint32_t d = 0; d < countOf(buffer.shape()); ++d)
      view.shape.push_back(buffer.shape()->Get(d));
    view.elements = elementsOf(buffer.shape());
    views.emplace(buffer.name()->str(), view);
    buffers.push_back(std::move(view));
  }
  std::uint64_t frameBytes = 0, scratchBytes = 64;
  for (std::uint32_t i = 0; i < countOf(program.instructions()); ++i) {
    const bundle::Instruction &instruction = *program.instructions()->Get(i);
    if (instruction.opcode() == bundle::Opcode::launch)
      frameBytes =
          std::max(frameBytes, table.components()->Get(instruction.component())->frame_bytes());
  }
  for (std::uint32_t i = 0; i < countOf(table.kernels()); ++i) {
    scratchBytes = std::max(scratchBytes, table.kernels()->Get(i)->scratch_bytes());
    times.push_back({table.kernels()->Get(i)->symbol()->str(), 0, 0});
  }
  frame = Memory(frameBytes + 64);
  for (int thread = 0; thread < pool.threads(); ++thread)
    scratch.emplace_back(scratchBytes);

  for (std::uint32_t i = 0; i < countOf(program.instructions()); ++i) {
    const bundle::Instruction &instruction = *program.instructions()->Get(i);
    auto operand = [&](std::uint32_t n) -> const View & {
      return buffers[instruction.operands()->Get(n)];
    };
    Step step{Step::Zero};
    step.instruction = i;
    switch (instruction.opcode()) {
    case bundle::Opcode::launch:
      prepareLaunch(instruction, i);
      continue;
    case bundle::Opcode::zero:
      step.to = operand(0).data;
      step.bytes = operand(0).bytes();
      break;
    case bundle::Opcode::copy:
      step.kind = Step::Copy;
      step.from = operand(0).data;
      step.to = operand(1).data;
      step.bytes = operand(0).bytes();
      if (operand(1).bytes() != step.bytes)
        throw InputError(bundle.path(),
                         describe(i) + ": copies between buffers of different sizes");
      break;
    case bundle::Opcode::record:
    case bundle::Opcode::wait:
      continue; // one thread issues all streams in list order, and a wait follows its record
    default:
      throw InputError(bundle.path(), describe(i) + ": is of an opcode that is not executed yet");
    }
    steps.push_back(step);
  }
}

void Executor::prepareLaunch(const bundle::Instruction &instruction, std::uint32_t index) {
  const bundle::Component &component = *bundle.table().components()->Get(instruction.component());
  Step step{Step::Calls};
  step.instruction = index;
  step.first = calls.size();
  step.count = countOf(component.calls());
  totalFlops += component.flops();
  for (std::uint32_t c = 0; c < step.count; ++c) {
    const bundle::KernelCall &call = *component.calls()->Get(c);
    calls.push_back({call.kernel(), call.grid(), pointers.size(), sizes.size()});
    for (std::uint32_t s = 0; s < countOf(call.slots()); ++s) {
      const bundle::Slot *slot = call.slots()->Get(s);
      pointers.push_back(slot->temporary()
                             ? frame.data() + component.temporary_offsets()->Get(slot->index())
                             : buffers[instruction.operands()->Get(slot->index())].data);
    }
    for (std::uint32_t s = 0; s < countOf(call.sizes()); ++s)
      sizes.push_back(call.sizes()->Get(s));
  }
  steps.push_back(step);
}

std::string Executor::describe(std::uint32_t index) const {
  const bundle::Instruction &instruction = *program.instructions()->Get(index);
  std::string text = "program " + program.name()->str() + ": instruction " + std::to_string(index);
  if (instruction.opcode() == bundle::Opcode::launch)
    text += " (" + bundle.table().components()->Get(instruction.component())->name()->str() + ")";
  return text;
}

void Executor::launch(const Call &call) {
  const KernelArguments arguments{pointers.data() + call.pointers, sizes.data() + call.sizes};
  const KernelFunction function = bundle.kernel(call.kernel);
  pool.parallel(call.grid, [&](std::int64_t begin, std::int64_t end, int thread) {
    function(&arguments, begin, end, scratch[std::size_t(thread)].data());
  });
}

/// Leaves of the program's arena only what its buffers cover.
void Executor::forbidGaps() {
  std::set<std::uint32_t> arenas;
  for (const bundle::Buffer *buffer : *program.buffers()) {
    const bundle::Storage &storage = *bundle.table().storages()->Get(buffer->storage());
    if (storage.kind() == bundle::StorageKind::arena && arenas.insert(buffer->storage()).second)
      forbid(store.at(buffer->storage()), std::size_t(storage.bytes()));
  }
  for (std::uint32_t i = 0; i < buffers.size(); ++i)
    if (arenas.count(program.buffers()->Get(i)->storage()))
      allow(buffers[i].data, std::size_t(buffers[i].bytes()));
}

/// The same for a component's frame.
void Executor::forbidGaps(const bundle::Component &component) {
  forbid(frame.data(), frame.size());
  for (std::uint32_t i = 0; i < countOf(component.temporary_offsets()); ++i)
    allow(frame.data() + component.temporary_offsets()->Get(i),
          std::size_t(component.temporary_bytes()->Get(i)));
}

void Executor::run() {
  using Clock = std::chrono::steady_clock;
  if (kRedZones)
    forbidGaps();
  for (const Step &step : steps) {
    switch (step.kind) {
    case Step::Zero:
      std::memset(step.to, 0, std::size_t(step.bytes));
      break;
    case Step::Copy:
      std::memmove(step.to, step.from, std::size_t(step.bytes));
      break;
    case Step::Calls:
      if (kRedZones)
        forbidGaps(*bundle.table().components()->Get(
            program.instructions()->Get(step.instruction)->component()));
      for (std::size_t i = step.first; i < step.first + step.count; ++i) {
        if (!timing) {
          launch(calls[i]);
          continue;
        }
        auto start = Clock::now();
        launch(calls[i]);
        KernelCost &cost = times[calls[i].kernel];
        cost.seconds += std::chrono::duration<double>(Clock::now() - start).count();
        ++cost.calls;
      }
      break;
    }
  }
}

const View &Executor::view(const std::string &name) const {
  auto found = views.find(name);
  if (found == views.end())
    throw RunError("program " + program.name()->str() + " has no buffer " + name);
  return found->second;
}

std::vector<std::pair<std::string, View>>
Executor::viewsWithPrefix(const std::string &prefix) const {
  std::vector<std::pair<std::string, View>> found;
  for (auto at = views.lower_bound(prefix);
       at != views.end() && at->first.compare(0, prefix.size(), prefix) == 0; ++at)
    found.emplace_back(at->first.substr(prefix.size()), at->second);
  return found;
}

void Executor::setScalar(const std::string &name, double value) {
  auto found = views.find(name);
  if (found == views.end())
    return;
  switch (found->second.dtype) {
  case bundle::DType::f32:
    *found->second.as<float>() = float(value);
    return;
  case bundle::DType::f64:
    *found->second.as<double>() = value;
    return;
  case bundle::DType::i32:
    *found->second.as<std::int32_t>() = std::int32_t(value);
    return;
  case bundle::DType::i64:
    *found->second.as<std::int64_t>() = std::int64_t(value);
    return;
  default:
    throw RunError("scalar " + name + " has a type that cannot be set");
  }
}

double Executor::scalar(const std::string &name) const {
  const View &at = view(name);
  switch (at.dtype) {
  case bundle::DType::f32:
    return double(*at.as<float>());
  case bundle::DType::f64:
    return *at.as<double>();
  case bundle::DType::i32:
    return double(*at.as<std::int32_t>());
  case bundle::DType::i64:
    return double(*at.as<std::int64_t>());
  default:
    throw RunError("scalar " + name + " has a type that cannot be read");
  }
}

std::vector<KernelCost> Executor::costs() const {
  std::vector<KernelCost> used;
  for (const KernelCost &cost : times)
    if (cost.calls)
      used.push_back(cost);
  std::sort(used.begin(), used.end(),
            [](const KernelCost &a, const KernelCost &b) { return a.seconds > b.seconds; });
  return used;
}

} // namespace hadal::rt
