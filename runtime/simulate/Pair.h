// SPDX-License-Identifier: Apache-2.0
//
// An overlapped pair replayed by its components: the forward chunk of one micro-batch and the
// backward chunk of another, layer beside layer, on a compute and a communication stream.
//
// The file: {"components": [{"layer": 0, "component": "attn(F)", "start_us": 475, "end_us": 5308},
// ...], ...}; what a component takes is end_us - start_us. Layer l is the l-th of the forward chunk
// and the l-th of the backward chunk, in the order in which they run. Of a layer it holds the
// forward part, the backward part or both, each with its communication or without.

#ifndef HADAL_RUNTIME_SIMULATE_PAIR_H
#define HADAL_RUNTIME_SIMULATE_PAIR_H

#include <string>
#include <vector>

namespace hadal::rt {

class ChromeTrace;

/// The components of a layer in the order in which they are launched.
enum class PairPart {
  CombineB,
  AttentionF,
  MlpB,
  DispatchF,
  DispatchB,
  MlpW,
  MlpF,
  AttentionB,
  AttentionW,
  CombineF
};
constexpr int kPairParts = 10;
/// "combine(B)", ...
const char *pairPartName(PairPart part);
bool onCommunicationStream(PairPart part);

struct PairComponent {
  int layer = 0;
  PairPart part = PairPart::CombineB;
  double start = 0, end = 0;
};

/// Components in the order of the launches: by layer, then as PairPart has them.
using PairTimes = std::vector<PairComponent>;

/// Reads a measured pair. Throws InputError.
PairTimes loadPair(const std::string &file);
PairTimes parsePair(const std::string &text, const std::string &file);

/// When the components run if each takes as long as it did in `measured`. Each stream runs its
/// components in the order of the launches; besides, on both streams, a component waits for what it
/// needs:
///   forward    attn(F), dispatch(F), mlp(F), combine(F), then the next layer's
///   backward   combine(B), mlp(B), dispatch(B), attn(B), then the next layer's
///   mlp(W) waits for mlp(B), attn(W) for attn(B).
PairTimes simulatePair(const PairTimes &measured);

/// From the first start to the last end.
double makespanOf(const PairTimes &times);

/// Adds a process with its two streams to a trace.
void tracePair(const PairTimes &times, const std::string &label, ChromeTrace &trace);

} // namespace hadal::rt

#endif
