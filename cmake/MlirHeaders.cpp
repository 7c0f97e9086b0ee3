// SPDX-License-Identifier: Apache-2.0
//
// The translation unit that carries the precompiled MLIR headers; it holds nothing else.

#include "cmake/MlirHeaders.h"
