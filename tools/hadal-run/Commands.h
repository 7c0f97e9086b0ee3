// SPDX-License-Identifier: Apache-2.0
//
// The commands of hadal-run: each adds its flags to the command line and returns what to do.

#ifndef HADAL_TOOLS_HADAL_RUN_COMMANDS_H
#define HADAL_TOOLS_HADAL_RUN_COMMANDS_H

#include <CLI/CLI.hpp>

namespace hadal::rt {

void addTrain(CLI::App &app, int argc, char **argv);
void addGenerate(CLI::App &app);
void addEvaluate(CLI::App &app);
void addInspect(CLI::App &app);
void addVerify(CLI::App &app);
void addSimulate(CLI::App &app);
void addBench(CLI::App &app);

/// --device and --threads, which most commands share.
struct DeviceFlags {
  std::string device = "cpu";
  int threads = 0; // 0: all this process may use
  bool canPace = false;

  /// `canPace`: the command knows the paced device.
  void add(CLI::App &command, bool canPace = false);
  bool paced() const { return device == "paced"; }
  /// The number of threads; refuses devices that are not there.
  int resolve() const;
  /// The same for one of several ranks: 0 where nothing was asked for.
  int perRank() const { return resolve(), threads; }
};

/// --local-ranks, of the commands that run on several ranks.
void addRanks(CLI::App &command, int &localRanks);

/// How a command ends that has said itself what went wrong.
struct Ended {
  int code;
};
/// Throws Ended unless the code is 0.
inline void endUnlessDone(int code) {
  if (code)
    throw Ended{code};
}

class Bundle;

/// What inspect draws of an order.
struct OrderPicture {
  std::string order, times, svg;
  bool text = false;
};
void inspectOrder(const OrderPicture &picture);
/// Draws a step of a bundle over all its ranks, at closed forms, as text and into `svg`.
void inspectStep(const Bundle &bundle, const std::string &svg, bool text);

} // namespace hadal::rt

#endif
