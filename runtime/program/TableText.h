// SPDX-License-Identifier: Apache-2.0
//
// How messages about a bundle's table call things, and small questions to it.

#ifndef HADAL_RUNTIME_PROGRAM_TABLETEXT_H
#define HADAL_RUNTIME_PROGRAM_TABLETEXT_H

#include "runtime/program/bundle_generated.h"

#include <string>

namespace hadal::rt {

/// The number of entries; 0 of a missing vector.
template <typename T> std::uint32_t sizeOf(const flatbuffers::Vector<T> *vector) {
  return vector ? vector->size() : 0;
}

/// Bytes of a row of a buffer (all but the first size), and of all of it.
std::uint64_t rowBytes(const bundle::Buffer &buffer);
std::uint64_t bytesOf(const bundle::Buffer &buffer);

/// What an instruction is good for, as traces call it: "forward", "input gradient", "weight
/// gradient", "optimizer"; "communication", "memory".
const char *categoryOf(const bundle::Instruction &instruction);
/// "program gradients of rank 3".
std::string programText(const bundle::Program &program);
/// "f32 [4, 256, 64]".
std::string typeText(const bundle::Buffer &buffer);
/// "instruction 12 (compute: launch attn_moe_F layer 3 micro-batch 0)".
std::string instructionText(const bundle::Bundle &table, const bundle::Program &program,
                            std::uint32_t index);

} // namespace hadal::rt

#endif
