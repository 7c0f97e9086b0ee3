// SPDX-License-Identifier: Apache-2.0
//
// The optimizer tensors of a checkpoint, read in any parts, whatever parts they were written in.

#ifndef HADAL_RUNTIME_CHECKPOINT_PARTEDTENSORS_H
#define HADAL_RUNTIME_CHECKPOINT_PARTEDTENSORS_H

#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/checkpoint/Safetensors.h"

#include <map>
#include <memory>
#include <mutex>

namespace hadal::rt {

class PartedTensors {
public:
  /// Throws InputError when the checkpoint's description of parts makes no sense.
  explicit PartedTensors(const FoundCheckpoint &found);

  /// Writes elements [begin, end) of the f32 tensor `name` of that shape to out[0, end - begin).
  /// Throws InputError naming file and tensor: missing, of another type or shape, with elements
  /// that no part or two parts have. Any number of threads may call it; a file is opened when it is
  /// first needed.
  void read(const std::string &name, const std::vector<std::int64_t> &shape, std::int64_t begin,
            std::int64_t end, float *out);

private:
  struct Part {
    std::string file;
    std::int64_t begin = 0, end = 0;
  };
  void scanFiles(const FoundCheckpoint &found);
  void readIndex(const FoundCheckpoint &found);
  const SafetensorsFile &open(const std::string &name);
  const unsigned char *data(const std::string &name, const Part &part,
                            const std::vector<std::int64_t> &shape, std::int64_t elements);

  std::string folder;
  std::map<std::string, std::vector<Part>> tensors; // parts ascending
  std::mutex mutex;                                 // guards files
  std::map<std::string, std::unique_ptr<SafetensorsFile>> files;
};

} // namespace hadal::rt

#endif
