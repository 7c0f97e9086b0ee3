// SPDX-License-Identifier: Apache-2.0
//
// A model's weights by Hugging Face name: a folder (with model.safetensors.index.json, or every
// *.safetensors in it) or one file. Values are handed out as f32.

#ifndef HADAL_RUNTIME_CHECKPOINT_WEIGHTS_H
#define HADAL_RUNTIME_CHECKPOINT_WEIGHTS_H

#include "runtime/checkpoint/Safetensors.h"

#include <memory>
#include <string>
#include <vector>

namespace hadal::rt {

/// A tensor a model needs.
struct WeightSpec {
  std::string name;
  std::vector<std::int64_t> shape;
  /// Not empty: an optional copy that must equal the tensor of this name bit for bit.
  std::string copyOf;
  /// Of a copy: its values are looked at (among several ranks one does).
  bool compare = true;
};

class Weights {
public:
  /// Opens all files. Throws InputError: nothing there, a broken file, a name in two files, an
  /// index that names what is not there.
  explicit Weights(const std::string &path);

  /// Refuses, by name, what is missing, misshapen, unexpected, of an unusable type, or a copy that
  /// differs. `rotary_emb.inv_freq` is ignored. F8_E4M3 needs NAME_scale_inv: f32, one scale for
  /// each 128x128 block (ceil(out/128) x ceil(in/128)).
  void check(const std::vector<WeightSpec> &specs) const;
  bool contains(const std::string &name) const { return tensors.count(name) != 0; }
  /// Writes the f32 values of a tensor; call check first.
  void read(const std::string &name, float *out) const;
  const std::string &path() const { return origin; }

private:
  struct Place {
    const SafetensorsFile *file;
    const TensorInfo *info;
  };
  void openFile(const std::string &path);
  void openIndex(const std::string &folder, const std::string &index);
  const Place &place(const std::string &name) const;
  void checkType(const Place &at) const;

  std::string origin;
  std::vector<std::unique_ptr<SafetensorsFile>> files;
  std::map<std::string, Place> tensors;
};

} // namespace hadal::rt

#endif
