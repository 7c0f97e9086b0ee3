// SPDX-License-Identifier: Apache-2.0
//
// What components' arguments are bound to: weights, accumulators, moments, tables, scalars, state.

#ifndef HADAL_DIALECTS_HADAL_REFERENCE_STORE_H
#define HADAL_DIALECTS_HADAL_REFERENCE_STORE_H

#include "dialects/Hadal/Hadal.h"
#include "dialects/Hadal/Reference/Tensor.h"

#include <map>
#include <string>

namespace hadal::reference {

class Store {
public:
  using Named = std::map<std::string, TensorPtr>;

  void set(BindingKind kind, const std::string &name, Tensor tensor);
  void set(BindingKind kind, const std::string &name, TensorPtr tensor);
  /// Null where nothing has that name.
  TensorPtr find(BindingKind kind, const std::string &name) const;
  const Named &all(BindingKind kind) const { return tensors.at(size_t(kind)); }
  /// Removes everything of a kind and hands it out. Accumulators, moments and state that are not
  /// there start at zero when a component asks for them.
  Named take(BindingKind kind);

private:
  std::vector<Named> tensors{size_t(getMaxEnumValForBindingKind()) + 1};
};

} // namespace hadal::reference

#endif // HADAL_DIALECTS_HADAL_REFERENCE_STORE_H
