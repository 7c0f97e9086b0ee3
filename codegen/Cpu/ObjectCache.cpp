// SPDX-License-Identifier: Apache-2.0
//
// See ObjectCache.h. A file holds the digest of the object and the object.

#include "codegen/Cpu/ObjectCache.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

namespace hadal::cpu {

ObjectCache::ObjectCache() {
  if (std::optional<std::string> named = sys::Process::GetEnv("HADAL_CACHE"))
    folder = *named;
  if (isOn() && sys::fs::create_directories(folder))
    folder.clear();
}

static std::string digest(ArrayRef<StringRef> parts) {
  SHA256 hash;
  for (StringRef part : parts)
    hash.update(part);
  return toHex(hash.final(), /*LowerCase=*/true);
}

std::string ObjectCache::keyOf(const Module &module, StringRef options) const {
  SmallVector<char, 0> code;
  raw_svector_ostream stream(code);
  WriteBitcodeToFile(module, stream);
  return digest({LLVM_VERSION_STRING, "\0", options, "\0", StringRef(code.data(), code.size())});
}

static std::string pathOf(StringRef folder, StringRef key) {
  SmallString<128> path(folder);
  sys::path::append(path, key + ".o");
  return std::string(path);
}

bool ObjectCache::find(StringRef key, ObjectBytes &object) const {
  if (!isOn())
    return false;
  auto file = MemoryBuffer::getFile(pathOf(folder, key), /*IsText=*/false,
                                    /*RequiresNullTerminator=*/false);
  if (!file)
    return false;
  StringRef bytes = (*file)->getBuffer();
  constexpr size_t kDigest = 64;
  if (bytes.size() <= kDigest || digest({bytes.drop_front(kDigest)}) != bytes.take_front(kDigest))
    return false;
  object.assign(bytes.begin() + kDigest, bytes.end());
  return true;
}

void ObjectCache::keep(StringRef key, const ObjectBytes &object) const {
  if (!isOn())
    return;
  StringRef bytes(object.data(), object.size());
  Expected<sys::fs::TempFile> file = sys::fs::TempFile::create(pathOf(folder, key) + ".%%%%%%");
  if (!file) {
    consumeError(file.takeError());
    return;
  }
  raw_fd_ostream stream(file->FD, /*shouldClose=*/false);
  stream << digest({bytes}) << bytes;
  stream.flush();
  if (stream.has_error()) {
    stream.clear_error();
    consumeError(file->discard());
    return;
  }
  consumeError(file->keep(pathOf(folder, key)));
}

} // namespace hadal::cpu
