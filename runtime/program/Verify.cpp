// SPDX-License-Identifier: Apache-2.0
//
// The checks that make it safe to execute a bundle's table: nothing the executor does with it can
// leave a buffer. (The checksum says that a file is as written; this says that it was written
// well.)

#include "runtime/program/Bundle.h"
#include "runtime/support/Error.h"

#include <set>

namespace hadal::rt {

std::int64_t elementBytes(bundle::DType type) {
  switch (type) {
  case bundle::DType::f64:
  case bundle::DType::i64:
    return 8;
  case bundle::DType::f32:
  case bundle::DType::i32:
    return 4;
  case bundle::DType::bf16:
  case bundle::DType::f16:
    return 2;
  case bundle::DType::u8:
  case bundle::DType::e4m3:
  case bundle::DType::e5m2:
    return 1;
  }
  return 0;
}

std::int64_t elementsOf(const flatbuffers::Vector<std::int64_t> *shape) {
  std::int64_t count = 1;
  for (std::uint32_t i = 0; i < countOf(shape); ++i)
    if (shape->Get(i) < 0 || __builtin_mul_overflow(count, shape->Get(i), &count))
      throw InputError("shape", "dimension " + std::to_string(shape->Get(i)) + " is impossible");
  return count;
}

namespace {

class TableVerifier {
public:
  TableVerifier(const bundle::Bundle &table, const std::string &file) : table(table), file(file) {}

  void run() {
    expect(table.training()->sequences() > 0 && table.training()->tokens() > 0 &&
               table.training()->micro_batches() > 0 && table.training()->data_parallel() > 0,
           "training", "sizes of the micro-batch are not positive");
    expect(table.model()->vocab_size() > 0, "model", "vocab_size is not positive");
    checkParameters();
    for (std::uint32_t i = 0; i < countOf(table.components()); ++i)
      checkComponent(*table.components()->Get(i));
    std::set<std::string> names;
    for (std::uint32_t i = 0; i < countOf(table.programs()); ++i) {
      const bundle::Program &program = *table.programs()->Get(i);
      expect(names.insert(program.name()->str()).second, "program " + program.name()->str(),
             "is there twice");
      checkProgram(program);
    }
    if (const bundle::Rotary *rotary = table.rotary())
      expect(rotary->positions() >= 0 && rotary->positions() < (std::int64_t(1) << 40), "rotary",
             "has an impossible number of positions");
  }

private:
  void expect(bool holds, const std::string &place, const std::string &message) const {
    if (!holds)
      throw InputError(file, place + ": " + message);
  }

  std::uint64_t storageBytes(std::uint32_t index) const {
    return table.storages()->Get(index)->bytes();
  }

  void checkTensorStorage(const std::string &place, std::int64_t index, std::int64_t elements,
                          std::int64_t bytesEach) const {
    expect(index >= 0 && index < std::int64_t(countOf(table.storages())), place,
           "names storage " + std::to_string(index) + "; there are " +
               std::to_string(countOf(table.storages())));
    expect(storageBytes(std::uint32_t(index)) / std::uint64_t(bytesEach) >= std::uint64_t(elements),
           place, "its storage is too small");
  }

  void checkParameters() const {
    for (std::uint32_t i = 0; i < countOf(table.parameters()); ++i) {
      const bundle::Parameter &parameter = *table.parameters()->Get(i);
      std::string place = "parameter " + parameter.name()->str();
      std::int64_t elements = elementsOf(parameter.shape());
      checkTensorStorage(place, parameter.storage(), elements, 4);
      for (std::int64_t index : {parameter.gradient(), parameter.moment1(), parameter.moment2()})
        if (index >= 0)
          checkTensorStorage(place, index, elements, 4);
      bool stack = parameter.experts() > 0;
      expect(stack == (parameter.name()->str().find("{expert}") != std::string::npos) &&
                 (!stack || (countOf(parameter.shape()) > 1 &&
                             parameter.shape()->Get(0) == parameter.experts())),
             place, "its shape is not that of a stack of its experts");
    }
  }

  void checkComponent(const bundle::Component &component) const {
    std::string place = "component " + component.name()->str();
    const auto *temporaries = component.temporary_offsets();
    expect(countOf(component.temporary_bytes()) == countOf(temporaries), place,
           "has another number of temporaries than of their sizes");
    for (std::uint32_t i = 0; i < countOf(temporaries); ++i)
      expect(temporaries->Get(i) <= component.frame_bytes() &&
                 component.temporary_bytes()->Get(i) <=
                     component.frame_bytes() - temporaries->Get(i),
             place, "temporary " + std::to_string(i) + " lies outside its frame");
    for (std::uint32_t c = 0; c < countOf(component.calls()); ++c) {
      const bundle::KernelCall &call = *component.calls()->Get(c);
      std::string at = place + ": call " + std::to_string(c);
      expect(call.kernel() < countOf(table.kernels()), at, "names a kernel that is not there");
      expect(call.grid() >= 0, at, "has a negative grid");
      for (std::uint32_t s = 0; s < countOf(call.slots()); ++s) {
        const bundle::Slot *slot = call.slots()->Get(s);
        expect(slot->index() < (slot->temporary() ? countOf(temporaries) : component.operands()),
               at, "names an operand that is not there");
      }
    }
  }

  void checkProgram(const bundle::Program &program) const {
    std::string place = "program " + program.name()->str();
    for (std::uint32_t i = 0; i < countOf(program.buffers()); ++i) {
      const bundle::Buffer &buffer = *program.buffers()->Get(i);
      std::string at = place + ": buffer " + buffer.name()->str();
      expect(buffer.storage() < countOf(table.storages()), at, "names a storage that is not there");
      std::uint64_t bytes =
          std::uint64_t(elementsOf(buffer.shape())) * std::uint64_t(elementBytes(buffer.dtype()));
      std::uint64_t room = storageBytes(buffer.storage());
      expect(buffer.offset() <= room && bytes <= room - buffer.offset(), at, "leaves its storage");
    }
    std::set<std::uint32_t> recorded;
    for (std::uint32_t i = 0; i < countOf(program.instructions()); ++i)
      checkInstruction(program, *program.instructions()->Get(i),
                       place + ": instruction " + std::to_string(i), recorded);
  }

  void checkInstruction(const bundle::Program &program, const bundle::Instruction &instruction,
                        const std::string &at, std::set<std::uint32_t> &recorded) const {
    const std::uint32_t operands = countOf(instruction.operands());
    for (std::uint32_t i = 0; i < operands; ++i)
      expect(instruction.operands()->Get(i) < countOf(program.buffers()), at,
             "names a buffer that is not there");
    expect(instruction.stream() == 0 || instruction.stream() < countOf(program.streams()), at,
           "names a stream that is not there");
    switch (instruction.opcode()) {
    case bundle::Opcode::launch:
      expect(instruction.component() < countOf(table.components()), at,
             "names a component that is not there");
      expect(operands == table.components()->Get(instruction.component())->operands(), at,
             "has another number of operands than its component");
      return;
    case bundle::Opcode::zero:
      expect(operands == 1, at, "zero takes one buffer");
      return;
    case bundle::Opcode::copy:
      expect(operands == 2, at, "copy takes two buffers");
      return;
    case bundle::Opcode::record:
      recorded.insert(instruction.event());
      return;
    case bundle::Opcode::wait:
      expect(recorded.count(instruction.event()) != 0, at,
             "waits for event " + std::to_string(instruction.event()) +
                 ", which is not recorded before it");
      return;
    default:
      break;
    }
    expect(false, at, "has an opcode this program does not know");
  }

  const bundle::Bundle &table;
  const std::string &file;
};

} // namespace

void verifyTable(const bundle::Bundle &table, const std::string &file) {
  TableVerifier(table, file).run();
}

} // namespace hadal::rt
