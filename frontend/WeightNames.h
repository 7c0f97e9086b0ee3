// SPDX-License-Identifier: Apache-2.0
//
// The parameters of a model under their Hugging Face names: as the compiler holds them (routed
// experts stacked), and as a checkpoint holds them (experts one by one, FP8 blocks with scales, the
// MTP layers' copies). Free of MLIR.

#ifndef HADAL_FRONTEND_WEIGHTNAMES_H
#define HADAL_FRONTEND_WEIGHTNAMES_H

#include "frontend/ModelSpec.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hadal {

/// Initial values: normal with the plan's initializer_range, ones (norms), zeros (router bias).
enum class Init : uint8_t { Normal, Ones, Zeros };
const char *name(Init); ///< normal | ones | zeros

/// One parameter. Weights are [out, in]; a stack of routed experts is [experts, out, in] under a
/// name with `{expert}`.
struct ParameterInfo {
  std::string name;
  std::vector<int64_t> shape;
  int64_t experts = 0; ///< 0: not a stack
  Init init = Init::Normal;
  bool trained = true;    ///< by the optimizer; the router bias is not
  bool decay = false;     ///< weight decay applies (matrices)
  bool quantised = false; ///< stored in FP8 blocks where the config has quantization_config
  int64_t layer = -1;     ///< -1: outside the layers; MTP layers follow the last main one
  int64_t elements() const;
};

/// All parameters in manifest order: embedding; layers ascending (MTP's too); final norm; head.
/// Within a layer: input_layernorm, self_attn.*, post_attention_layernorm, mlp.*, then MTP's enorm,
/// hnorm, eh_proj, shared_head.norm.
std::vector<ParameterInfo> parameters(const ModelSpec &spec);

/// `model.layers.3.mlp.experts.{expert}.up_proj.weight` and 7 give
/// `model.layers.3.mlp.experts.7.up_proj.weight`; a name without `{expert}` stays as it is.
std::string expandName(std::string_view nameTemplate, int64_t expert);

/// One tensor of a checkpoint.
struct ManifestEntry {
  std::string name;
  std::vector<int64_t> shape;
  WeightType type = WeightType::F32;
  bool copy =
      false; ///< an MTP layer's copy of embedding or head: optional on load, equal to the main one
  int64_t elements() const;
};

/// Every tensor as a checkpoint of this config holds it, in the order of parameters(): stacks
/// expert by expert, an FP8 tensor followed by its `weight_scale_inv`, an MTP layer followed by its
/// copies of embedding and head. Norms, embedding, head, router and eh_proj keep the config's type,
/// the router bias F32.
std::vector<ManifestEntry> manifest(const ModelSpec &spec);

/// `[{"name", "shape", "dtype"}, ...]`, one tensor a line; dtypes as safetensors spells them.
std::string manifestJson(const std::vector<ManifestEntry> &entries);

} // namespace hadal

#endif // HADAL_FRONTEND_WEIGHTNAMES_H
