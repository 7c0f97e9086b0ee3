// SPDX-License-Identifier: Apache-2.0
//
// hadal-run simulate.

#include "runtime/program/Bundle.h"
#include "runtime/simulate/Drawing.h"
#include "runtime/simulate/Order.h"
#include "runtime/simulate/Pair.h"
#include "runtime/simulate/Program.h"
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
  std::string bundle, costs, order, times, pair, report, trace, svg;
  int ranksPerNode = kRanksPerNode;
  bool schedule = false;
};

} // namespace

/// What is simulated of a bundle.
static void requireTraining(const Bundle &bundle) {
  for (std::int64_t role = 0; role < bundle.training().pipeline_ranks(); ++role)
    for (const char *name : {"gradients", "update"})
      bundle.program(name, std::uint32_t(role));
}

static void draw(const Drawing &drawing, const std::string &svg, bool text) {
  if (!svg.empty()) {
    std::ofstream file(svg, std::ios::binary);
    drawSvg(drawing, file);
    if (!file.flush())
      throw InputError(svg, "cannot be written");
  }
  if (text)
    drawText(drawing, styleOf(stdout), std::cout);
}

static void refuseOfBundles(const SimulateFlags &flags) {
  if (!flags.costs.empty())
    throw InputError("--costs", "goes with a bundle; the times of an order are its --times");
  if (flags.ranksPerNode != kRanksPerNode)
    throw InputError("--ranks-per-node", "goes with a bundle");
}

static void simulateOrder(const SimulateFlags &flags) {
  refuseOfBundles(flags);
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
  draw(drawingOf(order, run), flags.svg, flags.schedule);
  printOrder(order, run, times, std::cout);
}

static void simulatePair(const SimulateFlags &flags) {
  refuseOfBundles(flags);
  if (flags.schedule || !flags.svg.empty())
    throw InputError("--schedule, --svg", "draw a bundle's step or an order; a pair has --trace");
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

static void simulateBundle(const SimulateFlags &flags) {
  if (!flags.times.empty())
    throw InputError("--times", "goes with --order; a bundle's times come from --costs");
  if (flags.ranksPerNode < 1)
    throw InputError("--ranks-per-node",
                     std::to_string(flags.ranksPerNode) + "; allowed are numbers from 1");
  const Costs costs = flags.costs.empty() ? Costs() : Costs::load(flags.costs);
  const Bundle bundle(flags.bundle, /*execute=*/false);
  requireTraining(bundle);
  for (const std::string &name : costs.strangers(bundle.table()))
    std::cerr << "warning: " << flags.costs << ": components." << name
              << ": the bundle has no such component\n";
  const ProgramRun run(bundle.table(), costs, flags.ranksPerNode);
  if (!flags.trace.empty()) {
    ChromeTrace trace(flags.trace);
    run.trace("predicted", trace);
    trace.finish();
  }
  if (!flags.report.empty())
    writeReport(flags.report, run.report());
  if (!flags.svg.empty() || flags.schedule)
    draw(run.drawing(), flags.svg, flags.schedule);
  run.print(std::cout);
}

void addSimulate(CLI::App &app) {
  auto flags = std::make_shared<SimulateFlags>();
  CLI::App *command = app.add_subcommand(
      "simulate", "Tells before any launch how long a schedule takes and where it waits.");
  auto file = [&](const char *name, std::string &value, const char *what) {
    command->add_option(name, value, what)->type_name("FILE");
  };
  file("bundle", flags->bundle,
       "a bundle (.hadal), also of a dry run: one training step over all its ranks");
  file("--costs", flags->costs,
       "with a bundle: rates of a machine, measured times of components (bench --profile) or of "
       "kinds of components (JSON; default: closed forms for a few CPU cores)");
  command
      ->add_option("--ranks-per-node", flags->ranksPerNode,
                   "with a bundle: consecutive ranks that share a node")
      ->type_name("N")
      ->capture_default_str();
  file("--order", flags->order, "an order, as hadal-compile --schedule-only prints it");
  command
      ->add_option("--times", flags->times,
                   "with --order: durations, as F=1,I=1,W=1,pair=3; B is I + W, transfers are free")
      ->type_name("LIST");
  file("--pair", flags->pair, "measured components of an overlapped pair (JSON)");
  command->add_flag("--schedule", flags->schedule,
                    "draw the step, or the order: ranks down, time across");
  file("--svg", flags->svg, "the same as a picture, into this file");
  file("--report", flags->report, "write what was found (JSON)");
  file("--trace", flags->trace, "write what happens when, for Perfetto (ui.perfetto.dev)");
  command->footer(
      "  hadal-run simulate model.hadal --costs costs.json --schedule --report r.json\n"
      "  hadal-run simulate --order order.json --times F=1,I=1,W=1,pair=3 --trace t.json\n"
      "  hadal-run simulate --pair measured.json\n\n" +
      app.get_footer());
  command->callback([flags] {
    if (flags->bundle.empty() + flags->order.empty() + flags->pair.empty() != 2)
      throw InputError("simulate", "one of a bundle, --order and --pair is needed");
    if (!flags->bundle.empty())
      simulateBundle(*flags);
    else if (!flags->order.empty())
      simulateOrder(*flags);
    else
      simulatePair(*flags);
    if (!std::cout.flush())
      throw RunError("the output cannot be written");
  });
}

void inspectOrder(const OrderPicture &picture) {
  const Order order = loadOrder(picture.order);
  const ChunkTimes times = parseTimes(picture.times, order.hasPairs(), "--times");
  draw(drawingOf(order, simulateOrder(order, times)), picture.svg, picture.text);
}

void inspectStep(const Bundle &bundle, const std::string &svg, bool text) {
  requireTraining(bundle);
  const Costs costs;
  draw(ProgramRun(bundle.table(), costs, kRanksPerNode).drawing(), svg, text);
}

} // namespace hadal::rt
