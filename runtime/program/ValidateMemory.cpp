// SPDX-License-Identifier: Apache-2.0
//
// Uses of memory, in the order of the list (which streams and events only loosen): each one must
// start after the conflicting ones before it have ended. It is enough to remember the last write of
// a piece of memory and the last read on each stream: what came before them is ordered already.

#include "runtime/program/Uses.h"
#include "runtime/program/ValidateRules.h"
#include "runtime/support/Error.h"

#include <array>

namespace hadal::rt {

namespace {

constexpr std::size_t kMostStreams = 8;
constexpr std::uint32_t kNobody = ~0u;

/// Memory that was last used as a whole. Instructions are kept as index + 1; 0: none.
struct Piece {
  std::uint64_t end = 0;
  enum State : std::uint8_t { Outside, Absent, Empty, Full } state = Outside;
  std::uint32_t writer = 0, buffer = kNobody;
  std::array<std::uint32_t, kMostStreams> readers{};
};

/// The pieces of a storage by where they begin.
using Pieces = std::map<std::uint64_t, Piece>;

class MemoryCheck {
public:
  MemoryCheck(const bundle::Bundle &table, const RankProgram &rank)
      : table(table), program(*rank.program), timeline(rank.timeline),
        storages(sizeOf(table.storages()) + sizeOf(program.buffers())) {
    if (timeline.streams() > kMostStreams)
      throw InputError(programText(program) + ": has " + std::to_string(timeline.streams()) +
                       " streams; the most is " + std::to_string(kMostStreams));
  }

  std::uint64_t run() {
    for (current = 0; current < sizeOf(program.instructions()); ++current)
      forEachUse(table, *program.instructions()->Get(current),
                 [&](std::uint32_t buffer, Use use) { apply(buffer, use); });
    for (std::uint32_t i = 0; i < sizeOf(program.buffers()); ++i)
      if (isRows(i) && !piecesOf(i).empty() && piecesOf(i).begin()->second.state != Piece::Absent)
        throw InputError(programText(program) + ": " + nameOf(i) + " is allocated and never freed");
    return uses;
  }

private:
  const bundle::Buffer &at(std::uint32_t buffer) const { return *program.buffers()->Get(buffer); }
  bool isRows(std::uint32_t buffer) const { return at(buffer).rows() != bundle::RowCount::fixed; }
  bundle::StorageKind kindOf(std::uint32_t buffer) const {
    return table.storages()->Get(at(buffer).storage())->kind();
  }
  std::string nameOf(std::uint32_t buffer) const { return "buffer " + at(buffer).name()->str(); }
  std::string text(std::uint32_t instruction) const {
    return instructionText(table, program, instruction);
  }
  [[noreturn]] void refuse(const std::string &message) const {
    throw InputError(programText(program) + ": " + text(current) + " " + message);
  }

  /// Memory that the program finds empty: nobody outside it writes there. (Gradients are zeroed by
  /// the program that makes them.)
  bool startsEmpty(std::uint32_t buffer) const {
    const bundle::StorageKind kind = kindOf(buffer);
    return kind == bundle::StorageKind::arena || kind == bundle::StorageKind::output ||
           (kind == bundle::StorageKind::gradient && program.name()->string_view() == "gradients");
  }

  Pieces &piecesOf(std::uint32_t buffer) {
    return storages[isRows(buffer) ? sizeOf(table.storages()) + buffer : at(buffer).storage()];
  }

  /// The bytes of a storage that a buffer may mean; those of a shard depend on the replica.
  std::pair<std::uint64_t, std::uint64_t> rangeOf(std::uint32_t buffer) const {
    if (isRows(buffer))
      return {0, 1};
    std::uint64_t length = bytesOf(at(buffer));
    if (at(buffer).shard_group() >= 0)
      length = table.storages()->Get(at(buffer).storage())->bytes() - at(buffer).offset();
    return {at(buffer).offset(), at(buffer).offset() + length};
  }

  void apply(std::uint32_t buffer, Use use) {
    ++uses;
    const auto [begin, end] = rangeOf(buffer);
    if (begin == end)
      return;
    Pieces &pieces = piecesOf(buffer);
    if (pieces.empty())
      pieces[0] = start(buffer);
    split(pieces, begin);
    split(pieces, end);
    const auto first = pieces.find(begin), last = pieces.lower_bound(end);
    for (auto piece = first; piece != last; ++piece)
      check(buffer, use, piece->second);
    if (use == Use::Read) {
      for (auto piece = first; piece != last; ++piece)
        piece->second.readers[timeline.streamOf(current)] = current + 1;
      return;
    }
    Piece made;
    made.end = end;
    made.state = use == Use::Free       ? Piece::Absent
                 : use == Use::Allocate ? Piece::Empty
                                        : Piece::Full;
    made.writer = current + 1;
    made.buffer = buffer;
    first->second = made;
    pieces.erase(std::next(first), last);
  }

  Piece start(std::uint32_t buffer) const {
    Piece piece;
    piece.end = isRows(buffer) ? 1 : table.storages()->Get(at(buffer).storage())->bytes();
    piece.state = isRows(buffer)        ? Piece::Absent
                  : startsEmpty(buffer) ? Piece::Empty
                                        : Piece::Outside;
    return piece;
  }

  static void split(Pieces &pieces, std::uint64_t at) {
    auto next = pieces.upper_bound(at);
    auto piece = std::prev(next);
    if (piece->first == at || piece->second.end <= at)
      return;
    Piece rest = piece->second;
    piece->second.end = at;
    pieces.emplace_hint(next, at, rest);
  }

  void check(std::uint32_t buffer, Use use, const Piece &piece) const {
    if (isRows(buffer))
      checkRoom(buffer, use, piece);
    if (piece.writer && !ordered(piece.writer, use))
      race(buffer, piece.buffer, piece.writer, use);
    if (use != Use::Read)
      for (std::uint32_t reader : piece.readers)
        if (reader && !ordered(reader, use))
          race(buffer, kNobody, reader, use);
    if (use != Use::Read && use != Use::Update)
      return;
    if (piece.state == Piece::Empty)
      refuse("reads " + nameOf(buffer) + " before anything is written there");
    if (!isRows(buffer) && kindOf(buffer) == bundle::StorageKind::arena && piece.buffer != buffer)
      refuse("reads " + nameOf(buffer) + ", but in its place lies " + nameOf(piece.buffer) +
             " since " + text(piece.writer - 1));
  }

  void checkRoom(std::uint32_t buffer, Use use, const Piece &piece) const {
    if (use == Use::Allocate) {
      if (piece.state != Piece::Absent)
        refuse("allocates " + nameOf(buffer) + ", which " + text(piece.writer - 1) +
               " left allocated");
    } else if (piece.state == Piece::Absent) {
      refuse((use == Use::Free ? "frees " : "uses ") + nameOf(buffer) +
             (piece.writer ? ", which is free since " + text(piece.writer - 1)
                           : ", which is not allocated before"));
    }
  }

  bool ordered(std::uint32_t earlier, Use use) const {
    return timeline.precedes(earlier - 1, current) ||
           (use == Use::WriteInPlace && earlier - 1 == current);
  }

  [[noreturn]] void race(std::uint32_t buffer, std::uint32_t other, std::uint32_t earlier,
                         Use use) const {
    std::string message = use == Use::Read ? "reads " : "writes ";
    message += nameOf(buffer);
    if (earlier - 1 == current)
      refuse(message + " and uses the same memory through another operand");
    message += " while " + text(earlier - 1) + " may still use ";
    message += other == kNobody || other == buffer ? "that memory" : nameOf(other) + " there";
    refuse(message + ": no event orders them");
  }

  const bundle::Bundle &table;
  const bundle::Program &program;
  const Timeline &timeline;
  std::vector<Pieces> storages;
  std::uint32_t current = 0;
  std::uint64_t uses = 0;
};

} // namespace

std::uint64_t checkMemory(const bundle::Bundle &table, const RankProgram &rank) {
  return MemoryCheck(table, rank).run();
}

} // namespace hadal::rt
