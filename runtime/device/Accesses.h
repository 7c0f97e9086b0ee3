// SPDX-License-Identifier: Apache-2.0
//
// What kernels read and write. In a build with the thread sanitizer, which does not instrument
// kernels, these functions tell it; elsewhere they do nothing.

#ifndef HADAL_RUNTIME_DEVICE_ACCESSES_H
#define HADAL_RUNTIME_DEVICE_ACCESSES_H

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HADAL_ACCESSES 1
extern "C" void __tsan_read_range(void *memory, unsigned long bytes);
extern "C" void __tsan_write_range(void *memory, unsigned long bytes);
#endif
#endif

namespace hadal::rt {

#ifdef HADAL_ACCESSES
constexpr bool kAccesses = true;
inline void reads(void *memory, std::size_t bytes) { __tsan_read_range(memory, bytes); }
inline void writes(void *memory, std::size_t bytes) { __tsan_write_range(memory, bytes); }
#else
constexpr bool kAccesses = false;
inline void reads(void *, std::size_t) {}
inline void writes(void *, std::size_t) {}
#endif

} // namespace hadal::rt

#endif
