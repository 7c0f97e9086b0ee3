// SPDX-License-Identifier: Apache-2.0
//
// Counter-based random numbers: every value is a function of (key, counter) alone, so nothing
// depends on threads, ranks or the order of calls. Philox4x32-10 (Salmon et al., "Parallel random
// numbers: as easy as 1, 2, 3", SC 2011), and a permutation of [0, n) with random access built on
// it.

#ifndef HADAL_RUNTIME_SUPPORT_RANDOM_H
#define HADAL_RUNTIME_SUPPORT_RANDOM_H

#include <array>
#include <cstdint>
#include <string_view>

namespace hadal::rt {

/// Four independent 32-bit words for one (key, counter).
inline std::array<std::uint32_t, 4> philox(std::uint64_t key, std::uint64_t high,
                                           std::uint64_t low) {
  std::array<std::uint32_t, 4> x = {std::uint32_t(low), std::uint32_t(low >> 32),
                                    std::uint32_t(high), std::uint32_t(high >> 32)};
  std::uint32_t k0 = std::uint32_t(key), k1 = std::uint32_t(key >> 32);
  for (int round = 0; round < 10; ++round) {
    std::uint64_t a = std::uint64_t(0xD2511F53) * x[0], b = std::uint64_t(0xCD9E8D57) * x[2];
    x = {std::uint32_t(b >> 32) ^ x[1] ^ k0, std::uint32_t(b), std::uint32_t(a >> 32) ^ x[3] ^ k1,
         std::uint32_t(a)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return x;
}

/// FNV-1a of a name: turns a parameter's name into a counter's high word.
inline std::uint64_t hashName(std::string_view name) {
  std::uint64_t h = 0xCBF29CE484222325;
  for (unsigned char c : name)
    h = (h ^ c) * 0x100000001B3;
  return h;
}

/// A uniform number in (0, 1) from 53 of 64 random bits, never 0 or 1.
inline double toUnit(std::uint32_t high, std::uint32_t low) {
  std::uint64_t bits = (std::uint64_t(high) << 32 | low) >> 11;
  return (double(bits) + 0.5) * 0x1p-53;
}

/// Position `index` of a pseudo-random permutation of [0, size), chosen by (key, stream): a Feistel
/// network over the next even power of two, walked until it falls inside. Needs index < size.
inline std::uint64_t permute(std::uint64_t key, std::uint64_t stream, std::uint64_t size,
                             std::uint64_t index) {
  int half = 1;
  while (half < 32 && (std::uint64_t(1) << (2 * half)) < size)
    ++half;
  const std::uint64_t mask = (std::uint64_t(1) << half) - 1;
  do {
    std::uint64_t left = index >> half, right = index & mask;
    for (std::uint64_t round = 0; round < 8; ++round) {
      std::uint64_t mixed = philox(key, stream, round << 32 | right)[0] & mask;
      std::uint64_t next = left ^ mixed;
      left = right;
      right = next;
    }
    index = left << half | right;
  } while (index >= size);
  return index;
}

} // namespace hadal::rt

#endif
