// SPDX-License-Identifier: Apache-2.0
//
// See ExportOrder.h.

#include "passes/Schedule/ExportOrder.h"

#include "dialects/Hadal/Hadal.h"
#include "dialects/Pipe/Pipe.h"
#include "passes/Schedule/Order.h"
#include "passes/Schedule/RankLayout.h"

#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::pipe;

static void print(StringRef algorithm, const Order &order, int64_t microBatches, raw_ostream &os) {
  os << "{\n\"schedule\": \"" << algorithm << "\",\n\"ranks\": " << order.size()
     << ",\n\"micro_batches\": " << microBatches << ",\n\"order\": [\n";
  for (auto [rank, row] : llvm::enumerate(order)) {
    os << (rank ? ",\n[\n" : "[\n");
    llvm::interleave(row, os, [&](const std::string &entry) { os << '"' << entry << '"'; }, ",\n");
    os << "\n]";
  }
  os << "\n]\n}";
}

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
  print(algorithm, orderOf(algorithm, ranks, microBatches), microBatches, os);
  return success();
}

LogicalResult hadal::pipe::exportOrder(ModuleOp module, raw_ostream &os) {
  auto schedules = module.getOps<ScheduleOp>();
  if (schedules.empty() && !module->hasAttr(kPlanAttr))
    return module.emitError("expects a pipe.schedule or the attribute ")
           << kPlanAttr << "; the module has neither";
  FailureOr<RankLayout> layout = RankLayout::of(module);
  if (failed(layout))
    return failure();
  Order order;
  if (!schedules.empty() && (*schedules.begin()).getOrder())
    order = orderOf(*schedules.begin());
  else
    order = orderOf(layout->algorithm, layout->ranks, layout->microBatches);
  print(layout->algorithm, order, layout->microBatches, os);
  return success();
}
