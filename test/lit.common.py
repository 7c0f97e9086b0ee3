# SPDX-License-Identifier: Apache-2.0
#
# What the lit tests and the unit tests share: the environment of the sanitizers, a limit on the time of one test, and the
# machine code of kernels, which is made once for all tests.

import os

config.environment["HADAL_CACHE"] = os.path.join(config.hadal_build_dir, "test", "kernels")

if config.sanitize:
    config.environment["ASAN_OPTIONS"] = "detect_leaks=1:detect_stack_use_after_return=1"
    config.environment["UBSAN_OPTIONS"] = "print_stacktrace=1"
    config.environment["ASAN_SYMBOLIZER_PATH"] = config.llvm_tools_dir + "/llvm-symbolizer"
    config.available_features.add("sanitize")

if config.sanitize_threads:
    suppressions = os.path.join(config.hadal_source_dir, "test", "tsan-suppressions.txt")
    # No test takes this exit code for the failure it expects.
    config.environment["TSAN_OPTIONS"] = f"halt_on_error=1:exitcode=66:atexit_sleep_ms=0:second_deadlock_stack=1:suppressions={suppressions}"
    config.environment["TSAN_SYMBOLIZER_PATH"] = config.llvm_tools_dir + "/llvm-symbolizer"

supported, _ = lit_config.maxIndividualTestTimeIsSupported
if supported:
    lit_config.maxIndividualTestTime = 900 if config.sanitize or config.sanitize_threads else 300
