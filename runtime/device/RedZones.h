// SPDX-License-Identifier: Apache-2.0
//
// Memory that no kernel may touch. In a build with the address sanitizer, kernels compiled with
// --check-memory stop there; elsewhere these functions do nothing.

#ifndef HADAL_RUNTIME_DEVICE_REDZONES_H
#define HADAL_RUNTIME_DEVICE_REDZONES_H

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HADAL_RED_ZONES 1
#include <sanitizer/asan_interface.h>
#endif
#endif

namespace hadal::rt {

#ifdef HADAL_RED_ZONES
constexpr bool kRedZones = true;
inline void forbid(const void *memory, std::size_t bytes) {
  __asan_poison_memory_region(memory, bytes);
}
inline void allow(const void *memory, std::size_t bytes) {
  __asan_unpoison_memory_region(memory, bytes);
}
#else
constexpr bool kRedZones = false;
inline void forbid(const void *, std::size_t) {}
inline void allow(const void *, std::size_t) {}
#endif

} // namespace hadal::rt

#endif
