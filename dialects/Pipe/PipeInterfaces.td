// SPDX-License-Identifier: Apache-2.0
//
// What instructions share.

#ifndef HADAL_DIALECTS_PIPE_PIPEINTERFACES_TD
#define HADAL_DIALECTS_PIPE_PIPEINTERFACES_TD

include "mlir/IR/OpBase.td"

def Pipe_InstructionOpInterface : OpInterface<"InstructionOpInterface"> {
  let cppNamespace = "::hadal::pipe";
  let description = "An entry of a program's list of instructions.";
  let methods = [InterfaceMethod<"The stream it runs on, an index into the program's streams.", "uint64_t", "getStream">];
}

#endif // HADAL_DIALECTS_PIPE_PIPEINTERFACES_TD
