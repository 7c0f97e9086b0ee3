# SPDX-License-Identifier: Apache-2.0
#
# What the lit tests and the unit tests share: the environment of the sanitizers and a limit on the time of one test.

if config.sanitize:
    config.environment["ASAN_OPTIONS"] = "detect_leaks=0:detect_stack_use_after_return=0"
    config.environment["UBSAN_OPTIONS"] = "print_stacktrace=1"
    config.environment["ASAN_SYMBOLIZER_PATH"] = config.llvm_tools_dir + "/llvm-symbolizer"
    config.available_features.add("sanitize")

supported, _ = lit_config.maxIndividualTestTimeIsSupported
if supported:
    lit_config.maxIndividualTestTime = 900 if config.sanitize else 300
