// SPDX-License-Identifier: Apache-2.0
//
// Files as the runtime needs them: read-only maps, whole small files, durable writes.

#ifndef HADAL_RUNTIME_SUPPORT_FILE_H
#define HADAL_RUNTIME_SUPPORT_FILE_H

#include "runtime/support/Checksum.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hadal::rt {

/// A file mapped read-only. Throws InputError when it cannot be opened. Movable, not copyable.
class MappedFile {
public:
  MappedFile() = default;
  explicit MappedFile(const std::string &path);
  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&other) noexcept;
  ~MappedFile();

  const std::string &path() const { return name; }
  const unsigned char *data() const { return bytes; }
  std::uint64_t size() const { return length; }

private:
  std::string name;
  const unsigned char *bytes = nullptr;
  std::uint64_t length = 0;
};

/// A file being written: checksummed as it goes, on disk for certain after finish(). Throws
/// RunError (disk full, no permission). Left unfinished it stays on disk as it is; its folder is
/// temporary.
class DurableFile {
public:
  explicit DurableFile(const std::string &path);
  DurableFile(const DurableFile &) = delete;
  DurableFile &operator=(const DurableFile &) = delete;
  ~DurableFile();

  void write(const void *data, std::uint64_t bytes);
  /// Flushes to the disk and closes.
  void finish();
  std::uint64_t size() const { return written; }
  std::string checksum() const { return sum.hex(); }

private:
  std::string name;
  int descriptor = -1;
  std::uint64_t written = 0;
  Checksum sum;
};

/// The whole of a small file. Throws InputError.
std::string readFile(const std::string &path);
/// Throws InputError when a file cannot be written there; for what is written at the end of a long
/// run. Leaves a file that is there as it is, and none where there is none.
void requireWritable(const std::string &path);
/// The checksum of a file's content as in DurableFile::checksum. Throws InputError.
std::string checksumOfFile(const std::string &path);
/// Makes the entries of a folder durable (fsync of the folder). Throws RunError.
void syncFolder(const std::string &path);

} // namespace hadal::rt

#endif
