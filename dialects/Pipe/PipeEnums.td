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
  I32EnumCase<"Arena", 9, "arena">,
  I32EnumCase<"Rows", 10, "rows">]> {
  let cppNamespace = "::hadal::pipe";
}

def Pipe_GroupScope : I32Enum<"GroupScope", "which ranks take part in a collective", [
  I32EnumCase<"Holders", 0, "holders">,
  I32EnumCase<"ExpertHolders", 1, "expert_holders">]> {
  let cppNamespace = "::hadal::pipe";
}

def Pipe_Direction : I32Enum<"Direction", "way of routed rows", [
  I32EnumCase<"Scatter", 0, "scatter">,
  I32EnumCase<"Gather", 1, "gather">]> {
  let cppNamespace = "::hadal::pipe";
}

def Pipe_RowCount : I32Enum<"RowCount", "which number of rows routing decides", [
  I32EnumCase<"Received", 0, "received">,
  I32EnumCase<"Routed", 1, "routed">]> {
  let cppNamespace = "::hadal::pipe";
}

#endif // HADAL_DIALECTS_PIPE_PIPEENUMS_TD
