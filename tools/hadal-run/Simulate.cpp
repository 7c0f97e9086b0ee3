// SPDX-License-Identifier: Apache-2.0
//
// hadal-run simulate.

#include "runtime/simulate/Drawing.h"
#include "runtime/simulate/Order.h"
#include "runtime/simulate/Pair.h"
#include "runtime/simulate/Report.h"
#include "runtime/support/Error.h"
#include "runtime/trace/ChromeTrace.h"
#include "tools/hadal-run/Commands.h"

#include <fstream>
#include <iostream>
#include <memory>

namespace hadal::rt {

namespace {

struct SimulateFlags {
  std::string bundle, order, times, pair, report, trace;
};

} // namespace

static void simulateOrder(const SimulateFlags &flags) {
  if (flags.times.empty())
    throw InputError("--times", "is needed with --order, as --times F=1,I=1,W=1,pair=3");
  const Order order = loadOrder(flags.order);
  const ChunkTimes times = parseTimes(flags.times, order.hasPairs(), "--times");
  const OrderRun run = simulateOrder(order, times);
  if (!flags.trace.empty()) {
    ChromeTrace trace(flags.trace);
    traceOrder(run, "predicted", trace);
    trace.finish();
  }
  if (!flags.report.empty())
    writeReport(flags.report, orderReport(order, run, times));
  printOrder(order, run, times, std::cout);
}

static void simulatePair(const SimulateFlags &flags) {
  if (!flags.times.empty())
    throw InputError("--times", "goes with --order; a pair's file has the times itself");
  const PairTimes measured = loadPair(flags.pair), simulated = simulatePair(measured);
  if (!flags.trace.empty()) {
    ChromeTrace trace(flags.trace);
    tracePair(simulated, "predicted", trace);
    tracePair(measured, "measured", trace);
    trace.finish();
  }
  if (!flags.report.empty())
    writeReport(flags.report, pairReport(simulated));
  printPair(measured, simulated, std::cout);
}

void addSimulate(CLI::App &app) {
  auto flags = std::make_shared<SimulateFlags>();
  CLI::App *command = app.add_subcommand(
      "simulate", "Tells before any launch how long a schedule takes and where it waits.");
  command->add_option("bundle", flags->bundle, "a bundle (.hadal): not supported yet");
  command->add_option("--order", flags->order,
                      "an order, as hadal-compile --schedule-only prints it");
  command->add_option("--times", flags->times,
                      "with --order: durations, as F=1,I=1,W=1,pair=3; B is I + W, transfers are "
                      "free");
  command->add_option("--pair", flags->pair, "measured components of an overlapped pair (JSON)");
  command->add_option("--report", flags->report, "write what was found into this file (JSON)");
  command->add_option("--trace", flags->trace,
                      "write a trace into this file, for Perfetto or chrome://tracing");
  command->callback([flags] {
    if (!flags->bundle.empty())
      throw InputError("simulate",
                       "found " + flags->bundle +
                           "; bundles are not supported yet, supported are --order and --pair");
    if (flags->order.empty() == flags->pair.empty())
      throw InputError("simulate", "one of --order and --pair is needed");
    flags->pair.empty() ? simulateOrder(*flags) : simulatePair(*flags);
    if (!std::cout.flush())
      throw RunError("the output cannot be written");
  });
}

void inspectOrder(const OrderPicture &picture) {
  const Order order = loadOrder(picture.order);
  const ChunkTimes times = parseTimes(picture.times, order.hasPairs(), "--times");
  const Drawing drawing = drawingOf(order, simulateOrder(order, times));
  if (!picture.svg.empty()) {
    std::ofstream file(picture.svg, std::ios::binary);
    drawSvg(drawing, file);
    if (!file.flush())
      throw InputError(picture.svg, "cannot be written");
  }
  if (picture.text)
    drawText(drawing, styleOf(stdout), std::cout);
}

} // namespace hadal::rt
