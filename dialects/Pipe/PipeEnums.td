// SPDX-License-Identifier: Apache-2.0
//
// Enumerations of the pipe dialect.

#ifndef HADAL_DIALECTS_PIPE_PIPEENUMS_TD
#define HADAL_DIALECTS_PIPE_PIPEENUMS_TD

include "mlir/IR/EnumAttr.td"

def Pipe_StorageKind : I32Enum<"StorageKind", "where a buffer lies", [
  I32EnumCase<"Parameter", 0, "parameter">,
  I32EnumCase<"Gradient", 1, "gradient">,
  I32EnumCase<"Moment1", 2, "moment1">,
  I32EnumCase<"Moment2", 3, "moment2">,
  I32EnumCase<"State", 4, "state">,
  I32EnumCase<"Scalar", 5, "scalar">,
  I32EnumCase<"Constant", 6, "constant">,
  I32EnumCase<"Input", 7, "input">,
  I32EnumCase<"Output", 8, "output">,
  I32EnumCase<"Arena", 9, "arena">]> {
  let cppNamespace = "::hadal::pipe";
}

#endif // HADAL_DIALECTS_PIPE_PIPEENUMS_TD
