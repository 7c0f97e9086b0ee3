// SPDX-License-Identifier: Apache-2.0
//
// The outer header of a bundle (.hadal): 64 bytes, little-endian, before the FlatBuffers table and
// the blob, which both start at multiples of 64. Its checksum covers every other byte of the file.
// Standard library only: the compiler writes with sealBundle, the runtime reads with openBundle.

#ifndef HADAL_RUNTIME_PROGRAM_HEADER_H
#define HADAL_RUNTIME_PROGRAM_HEADER_H

#include "runtime/support/Checksum.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace hadal::rt {

constexpr char kBundleMagic[8] = {'H', 'A', 'D', 'A', 'L', 'B', 'D', 'L'};
/// 2: programs of many ranks.
constexpr std::uint32_t kBundleVersion = 2;

struct BundleHeader {
  char magic[8];
  std::uint32_t version;
  std::uint32_t flags; // none defined: 0
  std::uint64_t totalBytes;
  std::uint64_t tableBytes;
  std::uint64_t blobBytes;
  std::uint64_t checksum; // XXH64 of the whole file with this field zero
  unsigned char padding[16];
};
static_assert(sizeof(BundleHeader) == 64, "the header is 64 bytes on disk");

/// The two parts of an opened bundle; they point into the bytes given to openBundle.
struct BundleParts {
  std::string_view table;
  std::string_view blob;
};

inline std::uint64_t alignBundlePart(std::uint64_t offset) { return (offset + 63) / 64 * 64; }

inline std::uint64_t bundleChecksum(BundleHeader header, std::string_view rest) {
  header.checksum = 0;
  Checksum sum;
  sum.update(&header, sizeof header);
  sum.update(rest.data(), rest.size());
  return sum.value();
}

/// The bytes of a bundle file made of a FlatBuffers table and a blob.
inline std::string sealBundle(std::string_view table, std::string_view blob) {
  const std::uint64_t blobOffset = alignBundlePart(sizeof(BundleHeader) + table.size());
  std::string file(blobOffset + blob.size(), '\0');
  std::memcpy(&file[sizeof(BundleHeader)], table.data(), table.size());
  if (!blob.empty())
    std::memcpy(&file[blobOffset], blob.data(), blob.size());
  BundleHeader header = {};
  std::memcpy(header.magic, kBundleMagic, sizeof kBundleMagic);
  header.version = kBundleVersion;
  header.totalBytes = file.size();
  header.tableBytes = table.size();
  header.blobBytes = blob.size();
  header.checksum = bundleChecksum(header, std::string_view(file).substr(sizeof header));
  std::memcpy(&file[0], &header, sizeof header);
  return file;
}

/// Checks magic, version, lengths and checksum of a whole bundle file. Returns an empty string and
/// sets `parts`, or the reason why the file is refused.
inline std::string openBundle(std::string_view file, BundleParts &parts) {
  BundleHeader header;
  if (file.size() < sizeof header)
    return "is " + std::to_string(file.size()) + " bytes long; a bundle has a header of 64 bytes";
  std::memcpy(&header, file.data(), sizeof header);
  if (std::memcmp(header.magic, kBundleMagic, sizeof kBundleMagic) != 0)
    return "is not a Hadal bundle (it does not start with HADALBDL)";
  if (header.version != kBundleVersion)
    return "has bundle format " + std::to_string(header.version) + ", which is " +
           (header.version > kBundleVersion ? "newer" : "older") +
           " than this program's; it reads format " + std::to_string(kBundleVersion) +
           (header.version > kBundleVersion ? "" : ", compile the bundle again");
  if (file.size() < header.totalBytes)
    return "is truncated: " + std::to_string(file.size()) + " bytes of " +
           std::to_string(header.totalBytes);
  if (file.size() > header.totalBytes)
    return "has " + std::to_string(file.size()) + " bytes; its header says " +
           std::to_string(header.totalBytes);
  if (bundleChecksum(header, file.substr(sizeof header)) != header.checksum)
    return "is damaged: its checksum does not match its content";
  const std::uint64_t room = file.size() - sizeof header;
  if (header.tableBytes > room || header.blobBytes > room ||
      alignBundlePart(sizeof header + header.tableBytes) + header.blobBytes != file.size())
    return "is damaged: the lengths in its header do not add up";
  if (header.flags != 0)
    return "has flags this program does not know";
  parts.table = file.substr(sizeof header, header.tableBytes);
  parts.blob = file.substr(file.size() - header.blobBytes);
  return {};
}

} // namespace hadal::rt

#endif
