// SPDX-License-Identifier: Apache-2.0
//
// XXH64 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md) with seed 0, streaming: the checksum of
// checkpoint files. It guards against damage, not against malice.

#ifndef HADAL_RUNTIME_SUPPORT_CHECKSUM_H
#define HADAL_RUNTIME_SUPPORT_CHECKSUM_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace hadal::rt {

class Checksum {
public:
  void update(const void *data, std::size_t bytes) {
    if (!bytes)
      return; // `data` may be null
    const auto *p = static_cast<const unsigned char *>(data);
    total += bytes;
    if (held + bytes < 32) {
      std::memcpy(buffer + held, p, bytes);
      held += bytes;
      return;
    }
    if (held) {
      std::size_t take = 32 - held;
      std::memcpy(buffer + held, p, take);
      block(buffer);
      p += take;
      bytes -= take;
      held = 0;
    }
    for (; bytes >= 32; p += 32, bytes -= 32)
      block(p);
    std::memcpy(buffer, p, bytes);
    held = bytes;
  }

  std::uint64_t value() const {
    std::uint64_t h = total < 32 ? kPrime5 : merged();
    h += total;
    const unsigned char *p = buffer;
    std::size_t left = held;
    for (; left >= 8; p += 8, left -= 8)
      h = rotate(h ^ round(0, load64(p)), 27) * kPrime1 + kPrime4;
    if (left >= 4) {
      std::uint32_t word;
      std::memcpy(&word, p, 4);
      h = rotate(h ^ (word * kPrime1), 23) * kPrime2 + kPrime3;
      p += 4;
      left -= 4;
    }
    for (; left; ++p, --left)
      h = rotate(h ^ (*p * kPrime5), 11) * kPrime1;
    h = (h ^ (h >> 33)) * kPrime2;
    h = (h ^ (h >> 29)) * kPrime3;
    return h ^ (h >> 32);
  }

  /// The value as 16 hexadecimal digits.
  std::string hex() const {
    static const char digits[] = "0123456789abcdef";
    std::string text(16, '0');
    std::uint64_t v = value();
    for (int i = 15; i >= 0; --i, v >>= 4)
      text[i] = digits[v & 15];
    return text;
  }

private:
  static constexpr std::uint64_t kPrime1 = 0x9E3779B185EBCA87, kPrime2 = 0xC2B2AE3D27D4EB4F,
                                 kPrime3 = 0x165667B19E3779F9, kPrime4 = 0x85EBCA77C2B2AE63,
                                 kPrime5 = 0x27D4EB2F165667C5;
  static std::uint64_t rotate(std::uint64_t v, int by) { return (v << by) | (v >> (64 - by)); }
  static std::uint64_t round(std::uint64_t lane, std::uint64_t in) {
    return rotate(lane + in * kPrime2, 31) * kPrime1;
  }
  static std::uint64_t load64(const unsigned char *p) {
    std::uint64_t word;
    std::memcpy(&word, p, 8);
    return word;
  }
  void block(const unsigned char *p) {
    for (int i = 0; i < 4; ++i)
      lanes[i] = round(lanes[i], load64(p + 8 * i));
  }
  std::uint64_t merged() const {
    std::uint64_t h =
        rotate(lanes[0], 1) + rotate(lanes[1], 7) + rotate(lanes[2], 12) + rotate(lanes[3], 18);
    for (std::uint64_t lane : lanes)
      h = (h ^ round(0, lane)) * kPrime1 + kPrime4;
    return h;
  }

  std::uint64_t lanes[4] = {kPrime1 + kPrime2, kPrime2, 0, 0 - kPrime1};
  std::uint64_t total = 0;
  unsigned char buffer[32] = {};
  std::size_t held = 0;
};

} // namespace hadal::rt

#endif
