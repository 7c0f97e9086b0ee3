// SPDX-License-Identifier: Apache-2.0
//
// See Inspect.h.

#include "runtime/program/Inspect.h"

#include "runtime/program/ProofText.h"
#include "runtime/program/TableText.h"

#include <algorithm>
#include <cstdio>
#include <iomanip>
#include <set>
#include <sstream>

namespace hadal::rt {

double programFlops(const Bundle &bundle, const bundle::Program &program) {
  double flops = 0;
  for (std::uint32_t i = 0; i < countOf(program.instructions()); ++i) {
    const bundle::Instruction &instruction = *program.instructions()->Get(i);
    if (instruction.opcode() == bundle::Opcode::launch)
      flops += bundle.table().components()->Get(instruction.component())->flops();
  }
  return flops;
}

ProgramBytes programBytes(const Bundle &bundle, const bundle::Program &program, int threads) {
  const bundle::Bundle &table = bundle.table();
  ProgramBytes bytes;
  std::set<std::uint32_t> used;
  for (std::uint32_t i = 0; i < countOf(program.buffers()); ++i)
    if (program.buffers()->Get(i)->rows() == bundle::RowCount::fixed)
      used.insert(program.buffers()->Get(i)->storage());
  for (std::uint32_t index : used) {
    const bundle::Storage &storage = *table.storages()->Get(index);
    bytes.total += storage.bytes();
    switch (storage.kind()) {
    case bundle::StorageKind::parameter:
      bytes.weights += storage.bytes();
      break;
    case bundle::StorageKind::gradient:
      bytes.gradients += storage.bytes();
      break;
    case bundle::StorageKind::optimizer:
      bytes.optimizer += storage.bytes();
      break;
    case bundle::StorageKind::arena:
      bytes.stash += storage.stash();
      bytes.communication += storage.communication();
      // What the planner did not attribute (alignment, gaps) counts as activations.
      bytes.activations +=
          storage.bytes() - std::min(storage.bytes(), storage.stash() + storage.communication());
      break;
    default:
      bytes.state += storage.bytes();
    }
  }
  std::uint64_t frame = 0, scratch = 0;
  for (std::uint32_t i = 0; i < countOf(program.instructions()); ++i) {
    const bundle::Instruction &instruction = *program.instructions()->Get(i);
    if (instruction.opcode() != bundle::Opcode::launch)
      continue;
    const bundle::Component &component = *table.components()->Get(instruction.component());
    frame = std::max(frame, component.frame_bytes());
    for (std::uint32_t c = 0; c < countOf(component.calls()); ++c)
      scratch = std::max(
          scratch, table.kernels()->Get(component.calls()->Get(c)->kernel())->scratch_bytes());
  }
  bytes.scratch = frame + scratch * std::uint64_t(threads);
  bytes.total += bytes.scratch;
  return bytes;
}

static std::string grouped(double number) {
  char digits[64];
  std::snprintf(digits, sizeof digits, "%.0f", number);
  std::string text = digits;
  for (std::ptrdiff_t at = std::ptrdiff_t(text.size()) - 3; at > (text[0] == '-' ? 1 : 0); at -= 3)
    text.insert(std::size_t(at), ",");
  return text;
}

static std::string shapeOf(const flatbuffers::Vector<std::int64_t> *shape) {
  return shapeText(shape ? std::vector<std::int64_t>(shape->begin(), shape->end())
                         : std::vector<std::int64_t>());
}

static void line(std::ostream &out, const std::string &name, const std::string &value) {
  out << "  " << std::left << std::setw(34) << name << " " << value << "\n";
}

static void inspectModel(const Bundle &bundle, std::ostream &out) {
  const bundle::Model &model = bundle.model();
  std::int64_t mtp = 0;
  const std::int64_t layers = model.layers();
  std::int64_t all = 0;
  for (std::uint32_t i = 0; i < countOf(bundle.table().parameters()); ++i) {
    const bundle::Parameter &parameter = *bundle.table().parameters()->Get(i);
    all += elementsOf(parameter.shape());
    if (parameter.layer() >= layers)
      mtp += elementsOf(parameter.shape());
  }
  out << "model\n";
  line(out, "parameters", grouped(double(all)));
  line(out, "parameters of the main model", grouped(double(model.parameters_main())));
  line(out, "parameters of the MTP layers", grouped(double(mtp)));
  line(out, "parameters active for a token", grouped(double(model.parameters_active())));
  line(out, "FLOP a token, forward", grouped(model.flops_per_token()));
  line(out, "layers",
       std::to_string(layers) + " and " + std::to_string(model.mtp_depth()) + " MTP");
  line(out, "vocabulary", grouped(double(model.vocab_size())));
  line(out, "positions", grouped(double(model.max_positions())));
  const bundle::Training &training = bundle.training();
  out << "training\n";
  line(out, "rows a step",
       std::to_string(bundle.rowsPerStep()) + " (" + std::to_string(training.micro_batches()) +
           " micro-batches x " + std::to_string(training.data_parallel()) + " replicas x " +
           std::to_string(training.sequences()) + " sequences)");
  line(out, "tokens a row", std::to_string(training.tokens()));
}

static void inspectProgram(const Bundle &bundle, const bundle::Program &program,
                           std::ostream &out) {
  const int threads = usableThreads();
  ProgramBytes bytes = programBytes(bundle, program, threads);
  out << "program " << program.name()->str() << "\n";
  line(out, "instructions", grouped(double(countOf(program.instructions()))));
  line(out, "FLOP a run", grouped(programFlops(bundle, program)));
  line(out, "peak bytes",
       grouped(double(bytes.total)) + " with " + std::to_string(threads) + " threads");
  const std::pair<const char *, std::uint64_t> shares[] = {
      {"weights", bytes.weights},
      {"gradients", bytes.gradients},
      {"optimizer", bytes.optimizer},
      {"state, inputs and outputs", bytes.state},
      {"activations", bytes.activations},
      {"stash", bytes.stash},
      {"communication", bytes.communication},
      {"frame and scratch", bytes.scratch}};
  for (const auto &[name, share] : shares)
    if (share)
      line(out, std::string("  ") + name, grouped(double(share)));
}

/// Of several ranks: one line a rank and program, and the memory of each rank.
static void inspectRanks(const Bundle &bundle, std::ostream &out) {
  for (const bundle::Program *program : *bundle.table().programs())
    line(out, programText(*program),
         grouped(double(countOf(program->instructions()))) + " instructions, " +
             grouped(programFlops(bundle, *program)) + " FLOP");
  printMemory(bundle.table(), out);
}

static void inspectPrograms(const Bundle &bundle, std::ostream &out) {
  if (!countOf(bundle.table().programs()))
    return;
  if (bundle.training().pipeline_ranks() * bundle.training().data_parallel() > 1) {
    out << "programs\n";
    return inspectRanks(bundle, out);
  }
  for (const bundle::Program *program : *bundle.table().programs())
    inspectProgram(bundle, *program, out);
}

void inspect(const Bundle &bundle, std::ostream &out) {
  const bundle::Bundle &table = bundle.table();
  out << "bundle\n";
  line(out, "file", bundle.path());
  line(out, "bytes", grouped(double(bundle.fileBytes())));
  line(out, "format", std::to_string(kBundleVersion));
  if (table.producer())
    line(out, "made by", table.producer()->str());
  line(out, "target", table.target()->str() + ", " + table.cpu()->str());
  line(out, "kernels",
       std::to_string(countOf(table.kernels())) + ", " + grouped(double(bundle.object().size())) +
           " bytes of code");
  inspectModel(bundle, out);
  inspectPrograms(bundle, out);
  out << "choices\n";
  for (std::uint32_t i = 0; i < countOf(table.choices()); ++i)
    line(out, table.choices()->Get(i)->name()->str(), table.choices()->Get(i)->value()->str());
  out << "tensors of a checkpoint\n";
  for (std::uint32_t i = 0; i < countOf(table.manifest()); ++i) {
    const bundle::ManifestEntry &entry = *table.manifest()->Get(i);
    out << "  " << entry.name()->str() << " " << shapeOf(entry.shape()) << " "
        << (entry.dtype() ? entry.dtype()->str() : "F32") << "\n";
  }
}

static std::string streamName(const bundle::Program &program, std::uint32_t stream) {
  return stream < countOf(program.streams()) ? program.streams()->Get(stream)->str()
                                             : std::to_string(stream);
}

static std::string instructionText(const Bundle &bundle, const bundle::Program &program,
                                   const bundle::Instruction &instruction) {
  std::ostringstream text;
  text << bundle::EnumNameOpcode(instruction.opcode());
  if (instruction.opcode() == bundle::Opcode::launch)
    text << " " << bundle.table().components()->Get(instruction.component())->name()->str();
  if (instruction.phase() && instruction.phase()->size())
    text << " " << instruction.phase()->str();
  if (instruction.layer() >= 0)
    text << " layer " << instruction.layer();
  if (instruction.micro_batch() >= 0)
    text << " micro-batch " << instruction.micro_batch();
  if (instruction.peer() >= 0)
    text << (instruction.opcode() == bundle::Opcode::send ? " to" : " from") << " rank "
         << instruction.peer() << " batch " << instruction.batch();
  if (instruction.opcode() == bundle::Opcode::record ||
      instruction.opcode() == bundle::Opcode::wait)
    text << " event " << instruction.event();
  else
    for (std::uint32_t i = 0; i < countOf(instruction.operands()); ++i)
      text << (i ? ", " : " (")
           << program.buffers()->Get(instruction.operands()->Get(i))->name()->str();
  if (countOf(instruction.operands()))
    text << ")";
  return text.str();
}

void inspectSchedule(const Bundle &bundle, std::ostream &out) {
  for (std::uint32_t p = 0; p < countOf(bundle.table().programs()); ++p) {
    const bundle::Program &program = *bundle.table().programs()->Get(p);
    out << "program " << program.name()->str() << " rank " << program.rank() << "\n";
    std::size_t width = 0;
    for (std::uint32_t s = 0; s < countOf(program.streams()); ++s)
      width = std::max(width, streamName(program, s).size());
    std::int32_t chunk = -1;
    for (std::uint32_t i = 0; i < countOf(program.instructions()); ++i) {
      const bundle::Instruction &instruction = *program.instructions()->Get(i);
      // What is between chunks (transfers, events) stands below the one before it.
      if (instruction.chunk() >= 0 && instruction.chunk() != chunk &&
          std::uint32_t(instruction.chunk()) < countOf(program.chunks()))
        out << "  " << program.chunks()->Get(std::uint32_t(instruction.chunk()))->str() << "\n";
      chunk = std::max(chunk, instruction.chunk());
      out << std::right << std::setw(7) << i << "  " << std::left << std::setw(int(width))
          << streamName(program, instruction.stream()) << "  "
          << instructionText(bundle, program, instruction) << "\n";
    }
  }
}

} // namespace hadal::rt
