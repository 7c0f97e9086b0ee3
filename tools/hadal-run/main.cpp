// SPDX-License-Identifier: Apache-2.0
//
// hadal-run: runs bundles. Exit codes: 0 done, 1 the run failed, 2 the input or a flag was refused.

#include "runtime/device/CpuDevice.h"
#include "runtime/support/Error.h"
#include "tools/hadal-run/Commands.h"

#include <cstdio>
#include <new>

namespace hadal::rt {

void DeviceFlags::add(CLI::App &command, bool canPace) {
  this->canPace = canPace;
  command
      .add_option("--device", device,
                  canPace ? "where to run: cpu, or paced: everything takes the time that the "
                            "simulator gives it, kernels compute nothing"
                          : "where to run: cpu")
      ->type_name("NAME")
      ->capture_default_str();
  command
      .add_option("--threads", threads,
                  "threads of a rank (default: the cores this process may use, shared by the ranks "
                  "of a machine)")
      ->type_name("N");
}

void addRanks(CLI::App &command, int &localRanks) {
  command
      .add_option("--local-ranks", localRanks,
                  "for a bundle of several ranks: ranks as threads of this process (else start it "
                  "with mpirun -n N or srun)")
      ->type_name("N");
}

int DeviceFlags::resolve() const {
  if (device != "cpu" && !(canPace && paced()))
    throw InputError("--device", device + " is not supported; supported " +
                                     (canPace ? "are cpu and paced" : "is cpu"));
  if (threads < 0 || threads > 4096)
    throw InputError("--threads", std::to_string(threads) + "; allowed are 1 to 4096");
  return threads ? threads : usableThreads();
}

} // namespace hadal::rt

using namespace hadal::rt;

static int refuse(const std::string &message) {
  std::fprintf(stderr, "error: %s\n", message.c_str());
  return 2;
}

/// CLI11's "Could not convert: --steps = x"; what our flags convert are numbers.
static std::string notANumber(std::string text) {
  const std::string begin = "Could not convert: ";
  const std::size_t equals = text.find(" = ");
  if (text.rfind(begin, 0) != 0 || equals == std::string::npos)
    return text;
  return text.substr(begin.size(), equals - begin.size()) + ": found " + text.substr(equals + 3) +
         "; allowed are numbers";
}

int main(int argc, char **argv) {
  CLI::App app(
      "Runs a bundle (.hadal) that hadal-compile made: trains it, generates with it, looks into "
      "it.\n\n"
      "  hadal-run train nano.hadal --data bible.txt --steps 300 --checkpoint run\n"
      "  hadal-run train nano.hadal --data bible.txt --steps 300 --checkpoint run --resume auto\n"
      "  hadal-run generate nano.hadal --weights run/step-000000300 --prompt \"In the beginning\"\n"
      "  hadal-run inspect nano.hadal\n"
      "  hadal-run simulate nano.hadal --schedule\n\n"
      "Every command has a --help of its own.");
  app.name("hadal-run");
  app.require_subcommand(1);
  app.footer("Exit codes: 0 done, 1 the run failed, 2 the input or a flag was refused.");
  addTrain(app, argc, argv);
  addGenerate(app);
  addEvaluate(app);
  addInspect(app);
  addVerify(app);
  addSimulate(app);
  addBench(app);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::CallForHelp &help) {
    return app.exit(help);
  } catch (const CLI::ConversionError &error) {
    return refuse(notANumber(error.what()) + " (--help lists what is allowed)");
  } catch (const CLI::ParseError &error) {
    return refuse(std::string(error.what()) + " (--help lists what is allowed)");
  } catch (const Ended &ended) {
    return ended.code;
  } catch (const InputError &error) {
    return refuse(error.what());
  } catch (const std::bad_alloc &) {
    std::fprintf(stderr, "error: out of memory\n");
  } catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
  }
  return 1;
}
