// SPDX-License-Identifier: Apache-2.0
//
// See Outputs.h.

#include "runtime/train/Outputs.h"

#include "runtime/program/Layout.h"
#include "runtime/support/Error.h"

#include "runtime/transport/Collectives.h"

#include <cstring>

namespace hadal::rt {

std::map<std::int64_t, const Output *> numbered(const Outputs &outputs, const std::string &prefix) {
  std::map<std::int64_t, const Output *> found;
  for (auto at = outputs.lower_bound(prefix);
       at != outputs.end() && at->first.compare(0, prefix.size(), prefix) == 0; ++at)
    found[std::stoll(at->first.substr(prefix.size()))] = &at->second;
  return found;
}

static bool matches(const OutputName &wanted, const std::string &name) {
  if (wanted.name.back() != '.')
    return name == wanted.name;
  return name.compare(0, wanted.name.size(), wanted.name) == 0;
}

std::vector<OutputGather::Piece> OutputGather::piecesOf(const bundle::Program &program,
                                                        bool firstReplica,
                                                        const std::vector<OutputName> &names) {
  std::vector<Piece> pieces;
  for (std::uint32_t i = 0; i < countOf(program.buffers()); ++i) {
    const bundle::Buffer &buffer = *program.buffers()->Get(i);
    bool wanted = false;
    for (const OutputName &name : names)
      wanted |= matches(name, buffer.name()->str()) && (firstReplica || name.everyReplica);
    if (!wanted || buffer.rows() != bundle::RowCount::fixed)
      continue;
    Piece piece{buffer.name()->str(), buffer.dtype(), {}, 0};
    for (std::uint32_t d = 0; d < countOf(buffer.shape()); ++d)
      piece.shape.push_back(buffer.shape()->Get(d));
    piece.bytes = std::size_t(elementsOf(buffer.shape()) * elementBytes(buffer.dtype()));
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

OutputGather::OutputGather(const Executor &program, const Bundle &bundle, const RankLinks &links,
                           const std::vector<OutputName> &names)
    : program(program), links(links) {
  const RankGrid grid(bundle.training());
  replicas = std::size_t(grid.dataParallel);
  const int first = links.rank(), last = first ? first + 1 : links.size();
  pieces.resize(std::size_t(last));
  for (int rank = first; rank < last; ++rank) {
    const RankPlace place = grid.place(rank);
    pieces[std::size_t(rank)] =
        piecesOf(rank == first ? program.table()
                               : bundle.program(program.table().name()->str(),
                                                std::uint32_t(place.pipelineRank)),
                 place.replica == 0, names);
  }
}

std::vector<Outputs> OutputGather::collect() const {
  Bytes own;
  for (const Piece &piece : pieces[std::size_t(links.rank())]) {
    const View &view = program.view(piece.name);
    own.insert(own.end(), view.data, view.data + piece.bytes);
  }
  std::vector<Bytes> all;
  if (links.transport)
    all = gather(*links.transport, everyone(*links.transport), kMainChannel, 0, own.data(),
                 own.size());
  else
    all.push_back(std::move(own));
  std::vector<Outputs> byReplica(links.rank() ? 0 : replicas);
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    const unsigned char *at = all[rank].data();
    for (const Piece &piece : pieces[rank]) {
      if (piece.bytes > std::size_t(all[rank].data() + all[rank].size() - at))
        throw RunError("rank " + std::to_string(rank) + " sent fewer outputs than its program has");
      byReplica[rank % replicas].emplace(piece.name,
                                         Output{piece.dtype, piece.shape, {at, at + piece.bytes}});
      at += piece.bytes;
    }
  }
  return byReplica;
}

} // namespace hadal::rt
