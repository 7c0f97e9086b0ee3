// SPDX-License-Identifier: Apache-2.0
//
// What the programs of all ranks put out, brought together at rank 0.

#ifndef HADAL_RUNTIME_TRAIN_OUTPUTS_H
#define HADAL_RUNTIME_TRAIN_OUTPUTS_H

#include "runtime/program/Executor.h"

#include <map>
#include <string>
#include <vector>

namespace hadal::rt {

/// A tensor of a program, copied.
struct Output {
  bundle::DType dtype = bundle::DType::f32;
  std::vector<std::int64_t> shape;
  std::vector<unsigned char> bytes;

  template <typename T> const T *as() const { return reinterpret_cast<const T *>(bytes.data()); }
  std::int64_t elements() const { return std::int64_t(bytes.size()) / elementBytes(dtype); }
};
/// By name.
using Outputs = std::map<std::string, Output>;

/// The part of `outputs` whose names start with `prefix`, by the number that follows it.
std::map<std::int64_t, const Output *> numbered(const Outputs &outputs, const std::string &prefix);

/// Which buffers: those named so, or (where the name ends with a dot) all that start so.
struct OutputName {
  std::string name;
  bool everyReplica = true; // else replica 0's are taken, because all have the same
};

class OutputGather {
public:
  /// `program` is this rank's; all ranks ask for the same names.
  OutputGather(const Executor &program, const Bundle &bundle, const RankLinks &links,
               const std::vector<OutputName> &names);

  /// All ranks call it. At rank 0: what each replica's ranks have, by replica (of what several
  /// have, the lowest rank's). Elsewhere nothing.
  std::vector<Outputs> collect() const;

private:
  struct Piece {
    std::string name;
    bundle::DType dtype;
    std::vector<std::int64_t> shape;
    std::size_t bytes;
  };
  static std::vector<Piece> piecesOf(const bundle::Program &program, bool firstReplica,
                                     const std::vector<OutputName> &names);

  const Executor &program;
  const RankLinks links;
  std::size_t replicas;
  std::vector<std::vector<Piece>> pieces; // by rank; only this rank's elsewhere than at rank 0
};

} // namespace hadal::rt

#endif
