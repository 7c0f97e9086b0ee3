// SPDX-License-Identifier: Apache-2.0
//
// A bundle of a small model laid out over ranks, without programs: its table is made here by the
// rules of partition and sharding, so that loading and saving can be tested on any layout.

#ifndef HADAL_TEST_UNIT_RUNTIME_HANDMADEBUNDLE_H
#define HADAL_TEST_UNIT_RUNTIME_HANDMADEBUNDLE_H

#include "runtime/program/Bundle.h"

#include <string>
#include <vector>

namespace hadal::rt {

/// How the model is laid out.
struct TestLayout {
  std::string schedule = "1f1b";
  int pipelineRanks = 1, dataParallel = 1, expertParallel = 1;
  int microBatches = 4, sequences = 2;

  int ranks() const { return pipelineRanks * dataParallel; }
  std::string text() const;
};

/// Writes the bundle for a layout to `path`. The model: embedding (held by the last stage too, for
/// MTP), layers with a norm, a projection, a router with its bias, and a stack of 8 experts; head.
/// `roles` false: a table as bundles of one rank had it before there were roles.
void writeHandMadeBundle(const std::string &path, const TestLayout &layout, bool roles = true);

} // namespace hadal::rt

#endif
