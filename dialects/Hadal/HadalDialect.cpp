// SPDX-License-Identifier: Apache-2.0
//
// Registration of the hadal dialect.

#include "dialects/Hadal/Hadal.h"
#include "dialects/Hadal/ShapeCheck.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace hadal;

#include "dialects/Hadal/HadalDialect.cpp.inc"
#include "dialects/Hadal/HadalEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Hadal/HadalAttributes.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Hadal/HadalInterfaces.cpp.inc"
#include "dialects/Hadal/HadalTypes.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/Hadal/HadalOps.cpp.inc"

void HadalDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Hadal/HadalAttributes.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/Hadal/HadalTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Hadal/HadalOps.cpp.inc"
      >();
}
