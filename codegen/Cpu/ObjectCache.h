// SPDX-License-Identifier: Apache-2.0
//
// Machine code of kernels that was made before: with the environment variable HADAL_CACHE naming a
// folder, a kernel is compiled once, whatever model or plan it stands in.

#ifndef HADAL_CODEGEN_CPU_OBJECTCACHE_H
#define HADAL_CODEGEN_CPU_OBJECTCACHE_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"

#include <string>

namespace llvm {
class Module;
} // namespace llvm

namespace hadal::cpu {

/// An object file's bytes.
using ObjectBytes = llvm::SmallVector<char, 0>;

class ObjectCache {
public:
  /// The folder of HADAL_CACHE; without the variable nothing is found and nothing kept.
  ObjectCache();

  bool isOn() const { return !folder.empty(); }
  /// Names the object of `module`: a digest of its code, of this LLVM, and of `options` (whatever
  /// else decides the bytes).
  std::string keyOf(const llvm::Module &module, llvm::StringRef options) const;
  /// Fills in the object; false where it is not there or damaged.
  bool find(llvm::StringRef key, ObjectBytes &object) const;
  /// Keeps an object. One that cannot be written is not kept; readers never see half a file.
  void keep(llvm::StringRef key, const ObjectBytes &object) const;

private:
  std::string folder;
};

} // namespace hadal::cpu

#endif // HADAL_CODEGEN_CPU_OBJECTCACHE_H
