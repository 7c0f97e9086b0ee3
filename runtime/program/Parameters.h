// SPDX-License-Identifier: Apache-2.0
//
// A bundle's parameters from files of weights.

#ifndef HADAL_RUNTIME_PROGRAM_PARAMETERS_H
#define HADAL_RUNTIME_PROGRAM_PARAMETERS_H

#include "runtime/program/Layout.h"

#include <string>

namespace hadal::rt {

/// Reads what a rank holds from `path` (a folder or a file with all of the model's tensors); see
/// Weights.h for what is refused.
void loadWeights(Store &store, ThreadPool &pool, const Layout &layout, const std::string &path);
/// Every parameter whole.
void loadWeights(Store &store, ThreadPool &pool, const std::string &path);

} // namespace hadal::rt

#endif
