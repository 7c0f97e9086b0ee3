// SPDX-License-Identifier: Apache-2.0
//
// Registration of the pipe dialect, and what its ops can be asked.

#include "dialects/Pipe/Pipe.h"
#include "dialects/Pipe/Stored.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::pipe;

#include "dialects/Pipe/PipeDialect.cpp.inc"
#include "dialects/Pipe/PipeEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Pipe/PipeAttributes.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Pipe/PipeInterfaces.cpp.inc"
#include "dialects/Pipe/PipeTypes.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/Pipe/PipeOps.cpp.inc"

void PipeDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Pipe/PipeAttributes.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/Pipe/PipeTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Pipe/PipeOps.cpp.inc"
      >();
}

bool pipe::isBufferType(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.hasStaticShape() && tensor.getElementType().isIntOrFloat();
}

int64_t pipe::bytesOf(RankedTensorType type) {
  return type.getNumElements() * ((type.getElementTypeBitWidth() + 7) / 8);
}

RankedTensorType BufferOp::tensorType() { return cast<RankedTensorType>(getType()); }

int64_t BufferOp::bytes() { return storedBytes(tensorType(), storedOf(*this)); }

void BufferOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  if (std::optional<StringRef> name = getName() ? getName() : getStorage())
    setName(getResult(), *name);
}
