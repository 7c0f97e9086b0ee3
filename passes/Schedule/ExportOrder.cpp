// SPDX-License-Identifier: Apache-2.0
//
// See ExportOrder.h.

#include "passes/Schedule/ExportOrder.h"

#include "dialects/Pipe/Pipe.h"
#include "passes/Schedule/Order.h"

#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace hadal::pipe;

LogicalResult hadal::pipe::exportOrder(StringRef algorithm, int64_t ranks, int64_t microBatches,
                                       raw_ostream &os) {
  auto refuse = [](const Twine &message) {
    llvm::errs() << "error: --schedule-only: " << message << '\n';
    return failure();
  };
  if (!llvm::is_contained({"1f1b", "zb1p", "dualpipe", "dualpipev"}, algorithm))
    return refuse("found '" + algorithm + "'; allowed: 1f1b, zb1p, dualpipe, dualpipev");
  std::string refusal = refuseSize(algorithm, ranks, microBatches);
  if (!refusal.empty())
    return refuse(refusal);
  os << "{\n\"schedule\": \"" << algorithm << "\",\n\"ranks\": " << ranks
     << ",\n\"micro_batches\": " << microBatches << ",\n\"order\": [\n";
  Order order = orderOf(algorithm, ranks, microBatches);
  for (auto [rank, row] : llvm::enumerate(order)) {
    os << (rank ? ",\n[\n" : "[\n");
    llvm::interleave(row, os, [&](const std::string &entry) { os << '"' << entry << '"'; }, ",\n");
    os << "\n]";
  }
  os << "\n]\n}";
  return success();
}
