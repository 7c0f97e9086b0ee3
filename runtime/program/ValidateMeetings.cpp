// SPDX-License-Identifier: Apache-2.0
//
// What several ranks do together: transfers between two, collectives of groups.

#include "runtime/program/ValidateRules.h"

#include "runtime/program/Terms.h"
#include "runtime/program/Uses.h"
#include "runtime/support/Error.h"

namespace hadal::rt {

namespace {

/// What a transferred buffer is of: who wrote it before the send, who uses it first behind the
/// receive. Sums and copies in between are of a micro-batch, too.
struct Origin {
  std::int32_t microBatch = -1;
  bool forward = false;
};

/// One end of a transfer.
struct End {
  std::uint32_t instruction;
  Origin origin;
};

class TransferCheck {
public:
  explicit TransferCheck(const ProgramSet &set) : set(set) {}

  std::uint64_t run() {
    for (std::size_t rank = 0; rank < set.ranks.size(); ++rank)
      collect(std::uint32_t(rank));
    std::uint64_t count = 0;
    for (auto &[pair, sent] : sends)
      count += match(pair.first, pair.second, sent, receives[pair]);
    for (auto &[pair, received] : receives)
      match(pair.first, pair.second, sends[pair], received);
    return count;
  }

private:
  using Pair = std::pair<std::uint32_t, std::uint32_t>; // from, to

  static Origin originOf(const bundle::Instruction &launch) {
    return {launch.micro_batch(), launch.phase() && launch.phase()->string_view() == "F"};
  }

  void collect(std::uint32_t rank) {
    const bundle::Program &program = set.program(rank);
    std::vector<Origin> writers(sizeOf(program.buffers()));
    for (std::uint32_t i = 0; i < sizeOf(program.instructions()); ++i) {
      const bundle::Instruction &instruction = set.instruction(rank, i);
      if (isTransfer(instruction.opcode())) {
        const std::uint32_t buffer = instruction.operands()->Get(0);
        const bool sent = instruction.opcode() == bundle::Opcode::send;
        const std::uint32_t peer = std::uint32_t(instruction.peer());
        auto &list = sent ? sends[{rank, peer}] : receives[{peer, rank}];
        list.push_back({i, sent ? writers[buffer] : Origin()});
        if (!sent)
          opened.push_back({rank, buffer, peer, list.size() - 1});
        continue;
      }
      if (instruction.opcode() == bundle::Opcode::launch)
        forEachUse(*set.table, instruction, [&](std::uint32_t buffer, Use use) {
          if (use != Use::Read)
            writers[buffer] = originOf(instruction);
          firstUse(rank, buffer, originOf(instruction));
        });
    }
    opened.clear();
  }

  /// Gives the last receive into a buffer its origin.
  void firstUse(std::uint32_t rank, std::uint32_t buffer, const Origin &origin) {
    for (std::size_t i = opened.size(); i-- > 0;)
      if (opened[i].buffer == buffer) {
        receives[{opened[i].peer, rank}][opened[i].place].origin = origin;
        opened.erase(opened.begin() + std::ptrdiff_t(i));
        return;
      }
  }

  std::uint64_t match(std::uint32_t from, std::uint32_t to, const std::vector<End> &sent,
                      const std::vector<End> &received) const {
    for (std::size_t i = 0; i < std::min(sent.size(), received.size()); ++i)
      compare(from, to, sent[i], received[i]);
    if (sent.size() > received.size())
      throw InputError(set.place(from, sent[received.size()].instruction) +
                       " meets no receive: rank " + std::to_string(to) + " receives " +
                       std::to_string(received.size()) + " times from rank " +
                       std::to_string(from));
    if (received.size() > sent.size())
      throw InputError(set.place(to, received[sent.size()].instruction) + " meets no send: rank " +
                       std::to_string(from) + " sends " + std::to_string(sent.size()) +
                       " times to rank " + std::to_string(to));
    return sent.size();
  }

  void compare(std::uint32_t from, std::uint32_t to, const End &sent, const End &received) const {
    const bundle::Instruction &send = set.instruction(from, sent.instruction);
    const bundle::Instruction &receive = set.instruction(to, received.instruction);
    const std::string both =
        set.place(from, sent.instruction) + " meets " + set.place(to, received.instruction);
    auto bufferOf = [&](std::uint32_t rank, const bundle::Instruction &of) -> auto & {
      return *set.program(rank).buffers()->Get(of.operands()->Get(0));
    };
    const std::string ours = typeText(bufferOf(from, send)),
                      theirs = typeText(bufferOf(to, receive));
    if (ours != theirs)
      throw InputError(both + ": " + ours + " is sent, " + theirs + " received");
    if (send.stream() != receive.stream())
      throw InputError(both + ": they are on streams " + std::to_string(send.stream()) + " and " +
                       std::to_string(receive.stream()));
    const Origin &a = sent.origin, &b = received.origin;
    if (a.microBatch >= 0 && b.microBatch >= 0 &&
        (a.microBatch != b.microBatch || a.forward != b.forward))
      throw InputError(both + ": " + originText(a) + " is sent, and used as " + originText(b));
  }

  static std::string originText(const Origin &origin) {
    return std::string(origin.forward ? "a value" : "a gradient") + " of micro-batch " +
           std::to_string(origin.microBatch);
  }

  struct Opened {
    std::uint32_t rank, buffer, peer;
    std::size_t place;
  };
  const ProgramSet &set;
  std::map<Pair, std::vector<End>> sends, receives;
  std::vector<Opened> opened;
};

/// What all members of a collective must give alike.
std::string signatureOf(const ProgramSet &set, std::size_t rank,
                        const bundle::Instruction &instruction) {
  std::string text = bundle::EnumNameOpcode(instruction.opcode());
  const std::uint32_t count = sizeOf(instruction.operands());
  if (instruction.opcode() == bundle::Opcode::total_squares)
    return text + " on stream " + std::to_string(instruction.stream());
  for (std::uint32_t i = 0; i < sizeOf(instruction.parameters()); ++i)
    text += " " + set.table->parameters()->Get(instruction.parameters()->Get(i))->name()->str();
  if (count)
    text +=
        " " + typeText(*set.program(rank).buffers()->Get(instruction.operands()->Get(count - 1)));
  if (sizeOf(instruction.terms())) {
    text += " terms";
    for (const bundle::Term *term : *instruction.terms())
      text += " " + std::to_string(term->sum()) + ":" +
              (term->rank() == kParkedTerm ? "parked" : std::to_string(term->rank())) + ":" +
              std::to_string(term->slot());
  }
  return text + " on stream " + std::to_string(instruction.stream());
}

/// The collectives of a group on one rank.
using Calls = std::vector<std::uint32_t>;

void compareCalls(const ProgramSet &set, const std::string &group, std::uint32_t first,
                  const Calls &ours, std::uint32_t second, const Calls &theirs) {
  for (std::size_t i = 0; i < std::min(ours.size(), theirs.size()); ++i) {
    const std::string a = signatureOf(set, first, set.instruction(first, ours[i])),
                      b = signatureOf(set, second, set.instruction(second, theirs[i]));
    if (a != b)
      throw InputError(set.place(first, ours[i])
                           .append(" meets ")
                           .append(set.place(second, theirs[i]))
                           .append(" in group ")
                           .append(group)
                           .append(": ")
                           .append(a)
                           .append(" and ")
                           .append(b));
  }
  if (ours.size() == theirs.size())
    return;
  const bool more = ours.size() > theirs.size();
  const std::uint32_t rank = more ? first : second, other = more ? second : first;
  const std::size_t count = std::min(ours.size(), theirs.size());
  throw InputError(set.place(rank, (more ? ours : theirs)[count]) + " is call " +
                   std::to_string(count + 1) + " of group " + group + ": rank " +
                   std::to_string(other) + " makes " + std::to_string(count));
}

} // namespace

std::uint64_t checkTransfers(const ProgramSet &set) { return TransferCheck(set).run(); }

Meeting meetingOf(const ProgramSet &set, std::size_t rank, const bundle::Instruction &instruction) {
  auto list = [](const std::vector<std::uint32_t> &ranks) {
    std::string text;
    for (std::uint32_t r : ranks)
      text += (text.empty() ? "" : ", ") + std::to_string(r);
    return " [" + text + "]";
  };
  switch (instruction.opcode()) {
  case bundle::Opcode::exchange_counts:
  case bundle::Opcode::scatter_rows:
  case bundle::Opcode::gather_rows:
    return {"experts" + list({std::uint32_t(rank)}), {std::uint32_t(rank)}};
  case bundle::Opcode::total_squares: {
    std::vector<std::uint32_t> all(set.ranks.size());
    for (std::uint32_t r = 0; r < all.size(); ++r)
      all[r] = r;
    return {"all", all};
  }
  case bundle::Opcode::reduce_scatter:
  case bundle::Opcode::all_gather:
  case bundle::Opcode::all_reduce: {
    const bundle::Group &group = *set.table->groups()->Get(std::uint32_t(instruction.group()));
    std::vector<std::uint32_t> ranks(group.pipeline_ranks()->begin(),
                                     group.pipeline_ranks()->end());
    return {bundle::EnumNameGroupScope(group.scope()) + list(ranks), ranks};
  }
  default:
    return {};
  }
}

std::uint64_t checkCollectives(const ProgramSet &set) {
  std::map<std::string, std::map<std::uint32_t, Calls>> groups;
  std::map<std::string, std::vector<std::uint32_t>> members;
  std::uint64_t count = 0;
  for (std::uint32_t rank = 0; rank < set.ranks.size(); ++rank)
    for (std::uint32_t i = 0; i < sizeOf(set.program(rank).instructions()); ++i) {
      const Meeting meeting = meetingOf(set, rank, set.instruction(rank, i));
      if (meeting.ranks.empty())
        continue;
      Calls &calls = groups[meeting.group][rank];
      members[meeting.group] = meeting.ranks;
      // Replicas start what no event orders in any order.
      if (!calls.empty() && !set.ranks[rank].timeline.precedes(calls.back(), i))
        throw InputError(set.place(rank, i) + " may start beside " +
                         instructionText(*set.table, set.program(rank), calls.back()) +
                         " of the same group " + meeting.group + ": no event orders them");
      calls.push_back(i);
      ++count;
    }
  for (auto &[group, calls] : groups) {
    const std::uint32_t first = members[group].front();
    for (std::uint32_t rank : members[group])
      compareCalls(set, group, first, calls[first], rank, calls[rank]);
  }
  return count;
}

} // namespace hadal::rt
