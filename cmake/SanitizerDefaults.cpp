// SPDX-License-Identifier: Apache-2.0
//
// Part of every executable with LLVM in it in the sanitizer build. LLVM's shared libraries are not
// instrumented: memory that their arenas and containers mark as forbidden would never be allowed
// again. Nor may the sanitizer give threads stacks for signals: LLVM puts its own in the place of
// one, and the sanitizer would unmap that.

extern "C" const char *__asan_default_options() {
  return "allow_user_poisoning=0:use_sigaltstack=0";
}
