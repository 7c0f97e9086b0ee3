// SPDX-License-Identifier: Apache-2.0
//
// A case of test/oracle as a module on the interpreter.

#ifndef HADAL_TEST_UNIT_INTERPRET_ORACLEMODEL_H
#define HADAL_TEST_UNIT_INTERPRET_ORACLEMODEL_H

#include "dialects/Hadal/Reference/Group.h"

#include "mlir/IR/OwningOpRef.h"

#include <nlohmann/json.hpp>
#include <optional>

namespace hadal {

/// How far the module has gone through the compiler.
enum class Stage { Imported, Fused };

class OracleModel {
public:
  /// Imports the case, takes it to the stage and loads its weights.
  OracleModel(const std::string &name, Stage stage);

  std::string path(const std::string &file) const { return folder + "/" + file; }
  nlohmann::json json(const std::string &file) const;
  void setScalar(const std::string &name, reference::Tensor value) {
    interpreter->store.set(BindingKind::Scalar, name, std::move(value));
  }

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::optional<reference::Group> group;         ///< of one rank
  reference::Interpreter *interpreter = nullptr; ///< that rank

private:
  std::string folder;
};

} // namespace hadal

#endif // HADAL_TEST_UNIT_INTERPRET_ORACLEMODEL_H
