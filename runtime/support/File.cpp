// SPDX-License-Identifier: Apache-2.0
//
// See File.h.

#include "runtime/support/File.h"

#include "runtime/support/Error.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace hadal::rt {

MappedFile::MappedFile(const std::string &path) : name(path) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    throw InputError(path, std::string("cannot be opened: ") + std::strerror(errno));
  struct stat info;
  if (::fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(descriptor);
    throw InputError(path, "is not a regular file");
  }
  length = std::uint64_t(info.st_size);
  if (length) {
    void *map = ::mmap(nullptr, length, PROT_READ, MAP_PRIVATE, descriptor, 0);
    int error = errno;
    ::close(descriptor);
    if (map == MAP_FAILED)
      throw InputError(path, std::string("cannot be mapped: ") + std::strerror(error));
    bytes = static_cast<const unsigned char *>(map);
  } else {
    ::close(descriptor);
  }
}

MappedFile::MappedFile(MappedFile &&other) noexcept { *this = std::move(other); }

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
  std::swap(name, other.name);
  std::swap(bytes, other.bytes);
  std::swap(length, other.length);
  return *this;
}

MappedFile::~MappedFile() {
  if (bytes)
    ::munmap(const_cast<unsigned char *>(bytes), length);
}

static RunError writeError(const std::string &path) {
  return RunError(path + ": cannot be written: " + std::strerror(errno));
}

DurableFile::DurableFile(const std::string &path) : name(path) {
  descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (descriptor < 0)
    throw writeError(path);
}

DurableFile::~DurableFile() {
  if (descriptor >= 0)
    ::close(descriptor);
}

void DurableFile::write(const void *data, std::uint64_t bytes) {
  const auto *from = static_cast<const unsigned char *>(data);
  sum.update(from, bytes);
  written += bytes;
  while (bytes) {
    // A single write() moves less than 2 GiB on Linux.
    ssize_t done = ::write(descriptor, from, bytes < (1u << 30) ? bytes : (1u << 30));
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0)
      throw writeError(name);
    from += done;
    bytes -= std::uint64_t(done);
  }
}

void DurableFile::finish() {
  if (::fsync(descriptor) != 0)
    throw writeError(name);
  int closing = std::exchange(descriptor, -1);
  if (::close(closing) != 0)
    throw writeError(name);
}

std::string readFile(const std::string &path) {
  MappedFile file(path);
  return std::string(reinterpret_cast<const char *>(file.data()), file.size());
}

void requireWritable(const std::string &path) {
  struct stat info;
  const bool there = ::stat(path.c_str(), &info) == 0;
  if (there && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode))
    return; // a pipe or a device, which opening may change
  int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor < 0)
    throw InputError(path, std::string("cannot be written: ") + std::strerror(errno));
  ::close(descriptor);
  if (!there)
    ::unlink(path.c_str());
}

std::string checksumOfFile(const std::string &path) {
  MappedFile file(path);
  Checksum sum;
  sum.update(file.data(), file.size());
  return sum.hex();
}

void syncFolder(const std::string &path) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0)
    throw writeError(path);
  bool failed = ::fsync(descriptor) != 0;
  int error = errno;
  ::close(descriptor);
  errno = error;
  // Some network file systems cannot sync folders and say so with EINVAL.
  if (failed && error != EINVAL)
    throw writeError(path);
}

} // namespace hadal::rt
