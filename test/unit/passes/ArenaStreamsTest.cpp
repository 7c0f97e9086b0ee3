// SPDX-License-Identifier: Apache-2.0
//
// Arenas of random programs of three streams: two buffers share memory only where every use of one
// has ended before any use of the other starts. Order is found here by reachability.

#include "passes/Memory/Passes.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FormatVariadic.h"

#include "gtest/gtest.h"

#include <bitset>
#include <random>

using namespace mlir;
using namespace hadal;

namespace {

constexpr size_t kMost = 256;

/// A random program: buffers that are used for a while, events, transfers in batches on stream 2.
std::string randomProgram(std::mt19937 &random) {
  const int buffers = 4 + int(random() % 30), instructions = 10 + int(random() % 120);
  std::string text = "func.func private @two(%x: tensor<16xf32>, %y: tensor<16xf32>)\n"
                     "pipe.program @p rank 0 streams [\"compute\", \"experts\", \"pipeline\"] {\n";
  for (int i = 0; i < buffers; ++i)
    text += llvm::formatv("%b{0} = pipe.buffer {1}arena : tensor<16xf32>\n", i,
                          random() % 20 ? "" : llvm::formatv("\"n{0}\" ", i).str())
                .str();
  int events = 0, batch = 0;
  for (int i = 0; i < instructions; ++i) {
    const int stream = int(random() % 3);
    auto buffer = [&] { // moves on through the list
      return std::min(buffers - 1, i * buffers / instructions + int(random() % 4));
    };
    const unsigned kind = random() % 10;
    if (kind < 2)
      text += llvm::formatv("pipe.record {0} stream {1}\n", events++, stream).str();
    else if (kind < 5 && events)
      text += llvm::formatv("pipe.wait {0} stream {1}\n",
                            events - 1 - int(random() % unsigned(std::min(events, 3))), stream)
                  .str();
    else if (stream == 2)
      text += llvm::formatv("pipe.{0} 1 batch {1} stream 2\n",
                            random() % 2 ? llvm::formatv("send %b{0} to", buffer()).str()
                                         : llvm::formatv("receive %b{0} from", buffer()).str(),
                            random() % 2 ? batch : ++batch)
                  .str();
    else
      text += llvm::formatv("pipe.launch @two(%b{0}, %b{1}) stream {2} phase<F>\n", buffer(),
                            buffer(), stream)
                  .str();
  }
  return text + "}\n";
}

/// What ends before what starts, by instructions.
class Order {
public:
  explicit Order(pipe::ProgramOp program) {
    int64_t unit = -1;
    SmallVector<int64_t> last(3, -1), batches(3, -1);
    llvm::DenseMap<uint64_t, int64_t> records;
    for (auto instruction : program.getOps<pipe::InstructionOpInterface>()) {
      const uint64_t stream = instruction.getStream();
      int64_t batch = -1;
      if (auto send = dyn_cast<pipe::SendOp>(*instruction))
        batch = int64_t(send.getBatch());
      if (auto receive = dyn_cast<pipe::ReceiveOp>(*instruction))
        batch = int64_t(receive.getBatch());
      if (batch < 0 || batch != batches[stream]) {
        ++unit;
        if (last[stream] >= 0)
          add(last[stream], unit);
        last[stream] = unit;
      }
      batches[stream] = batch;
      units[instruction] = last[stream];
      if (auto record = dyn_cast<pipe::RecordOp>(*instruction))
        records[record.getEvent()] = last[stream];
      if (auto wait = dyn_cast<pipe::WaitOp>(*instruction))
        add(records[wait.getEvent()], last[stream]);
    }
  }
  bool precedes(Operation *a, Operation *b) const {
    return before[units.lookup(b)].test(size_t(units.lookup(a)));
  }

private:
  void add(int64_t from, int64_t to) {
    before[to] |= before[from];
    before[to].set(size_t(from));
  }
  llvm::DenseMap<Operation *, int64_t> units;
  std::array<std::bitset<kMost>, kMost> before;
};

void expectSound(pipe::ProgramOp program) {
  auto order = std::make_unique<Order>(program);
  SmallVector<pipe::BufferOp> buffers(program.getOps<pipe::BufferOp>());
  auto allBefore = [&](pipe::BufferOp a, pipe::BufferOp b) {
    if (a.getName())
      return false; // lives to the end
    for (Operation *user : a->getUsers())
      for (Operation *other : b->getUsers())
        if (!order->precedes(user, other))
          return false;
    return true;
  };
  for (auto [i, a] : llvm::enumerate(buffers)) {
    ASSERT_TRUE(a.getOffset() && *a.getOffset() + 64 <= program.getArenaAttr().getBytes());
    for (pipe::BufferOp b : ArrayRef(buffers).take_front(i))
      if (*a.getOffset() == *b.getOffset() && !a->use_empty() && !b->use_empty())
        EXPECT_TRUE(allBefore(a, b) || allBefore(b, a)) << "buffer " << i;
  }
}

TEST(ArenaStreams, BuffersThatMayLiveTogetherShareNothing) {
  MLIRContext context;
  context.loadDialect<pipe::PipeDialect, HadalDialect, func::FuncDialect>();
  context.disableMultithreading();
  std::mt19937 random(5);
  int64_t all = 0, shared = 0;
  for (int round = 0; round < 150; ++round) {
    const std::string text = randomProgram(random);
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
    ASSERT_TRUE(module) << text;
    PassManager passes(&context);
    passes.addPass(createPlanArenasPass());
    ASSERT_TRUE(succeeded(passes.run(*module)));
    auto program = *module->getOps<pipe::ProgramOp>().begin();
    expectSound(program);
    if (testing::Test::HasFailure())
      FAIL() << text;
    const int64_t count = llvm::range_size(program.getOps<pipe::BufferOp>());
    all += count;
    shared += count - program.getArenaAttr().getBytes() / 64;
  }
  // Places are used again: the check has something to find.
  EXPECT_GT(shared, all / 4);
}

} // namespace
