// SPDX-License-Identifier: Apache-2.0
//
// See Store.h.

#include "dialects/Hadal/Reference/Store.h"

namespace hadal::reference {

void Store::set(BindingKind kind, const std::string &name, Tensor tensor) {
  set(kind, name, std::make_shared<Tensor>(std::move(tensor)));
}

void Store::set(BindingKind kind, const std::string &name, TensorPtr tensor) {
  tensors[size_t(kind)][name] = std::move(tensor);
}

TensorPtr Store::find(BindingKind kind, const std::string &name) const {
  const Named &named = all(kind);
  auto at = named.find(name);
  return at == named.end() ? nullptr : at->second;
}

Store::Named Store::take(BindingKind kind) {
  Named out;
  out.swap(tensors[size_t(kind)]);
  return out;
}

} // namespace hadal::reference
