// SPDX-License-Identifier: Apache-2.0
//
// Rules of the join of multi-token prediction.

#include "dialects/Hadal/Reference/Rules.h"

using namespace mlir;

namespace hadal::reference {

template <typename Real> static void interpret(Real, MtpJoinOp op, Frame &frame) {
  auto embedding = frame.read<Real>(op.getEmbedding()), hidden = frame.read<Real>(op.getHidden());
  auto y = frame.zeros<Real>(op.getResult());
  bool embeddingFirst = op.getHalfOrder() == HalfOrder::EmbeddingFirst;
  int64_t d = embedding.size(2), e = embeddingFirst ? 0 : d, h = embeddingFirst ? d : 0;
  for (int64_t b = 0; b < y.size(0); ++b)
    for (int64_t t = 0; t < y.size(1); ++t)
      for (int64_t i = 0; i < d; ++i) {
        y(b, t, e + i) = embedding(b, t, i);
        y(b, t, h + i) = hidden(b, t, i);
      }
  frame.set(op.getResult(), y);
}

template <typename Real> static void interpret(Real, MtpJoinGradientOp op, Frame &frame) {
  auto g = frame.read<Real>(op.getGradient());
  auto embedding = frame.zeros<Real>(op.getEmbeddingGradient());
  auto hidden = frame.zeros<Real>(op.getHiddenGradient());
  bool embeddingFirst = op.getHalfOrder() == HalfOrder::EmbeddingFirst;
  int64_t d = embedding.size(2), e = embeddingFirst ? 0 : d, h = embeddingFirst ? d : 0;
  for (int64_t b = 0; b < g.size(0); ++b)
    for (int64_t t = 0; t < g.size(1); ++t)
      for (int64_t i = 0; i < d; ++i) {
        embedding(b, t, i) = g(b, t, e + i);
        hidden(b, t, i) = g(b, t, h + i);
      }
  frame.set(op.getEmbeddingGradient(), embedding);
  frame.set(op.getHiddenGradient(), hidden);
}

void addMultiTokenRules(RuleTable &table) { table.add<MtpJoinOp, MtpJoinGradientOp>(); }

} // namespace hadal::reference
