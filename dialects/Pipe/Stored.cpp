// SPDX-License-Identifier: Apache-2.0
//
// See Stored.h.

#include "dialects/Pipe/Stored.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::pipe;

static constexpr int64_t kScaleBytes = 4;

StringRef pipe::stringifyStored(Stored stored) {
  switch (stored) {
  case Stored::E4M3:
    return "e4m3";
  case Stored::E4M3Blocks:
    return "e4m3_blocks";
  case Stored::E5M6:
    return "e5m6";
  case Stored::BF16:
    return "bf16";
  case Stored::F32:
    return "f32";
  }
  llvm_unreachable("unknown format");
}

std::optional<Stored> pipe::parseStored(StringRef text) {
  return llvm::StringSwitch<std::optional<Stored>>(text)
      .Case("e4m3", Stored::E4M3)
      .Case("e4m3_blocks", Stored::E4M3Blocks)
      .Case("e5m6", Stored::E5M6)
      .Case("bf16", Stored::BF16)
      .Case("f32", Stored::F32)
      .Default(std::nullopt);
}

static int64_t tiles(int64_t size) { return (size + kScaleTile - 1) / kScaleTile; }

int64_t pipe::storedBytes(RankedTensorType type, Stored stored) {
  if (!type.getElementType().isF32() || stored == Stored::F32)
    return bytesOf(type);
  const int64_t elements = type.getNumElements();
  if (stored == Stored::BF16)
    return 2 * elements;
  if (elements == 0)
    return 0;
  const int64_t rank = type.getRank(), last = rank ? type.getShape().back() : 1;
  if (stored == Stored::E4M3Blocks) {
    if (rank < 2)
      return elements + kScaleBytes * int64_t(llvm::divideCeil(uint64_t(elements),
                                                               uint64_t(kScaleTile * kScaleTile)));
    const int64_t rows = type.getDimSize(rank - 2), matrices = elements / (rows * last);
    return elements + kScaleBytes * matrices * tiles(rows) * tiles(last);
  }
  const int64_t rows = elements / last;
  const int64_t row = stored == Stored::E5M6 ? (12 * last + 7) / 8 : last;
  return rows * (row + kScaleBytes * tiles(last));
}

static Stored formatOf(Attribute attribute) {
  auto text = dyn_cast_or_null<StringAttr>(attribute);
  return text ? parseStored(text.getValue()).value_or(Stored::F32) : Stored::F32;
}

Stored pipe::storedOf(BufferOp buffer) { return formatOf(buffer->getAttr(kStoredAttr)); }

Stored pipe::storedOf(Value value) {
  if (auto result = dyn_cast<OpResult>(value)) {
    auto list = result.getOwner()->getAttrOfType<ArrayAttr>(kStoredAttr);
    return list && result.getResultNumber() < list.size() ? formatOf(list[result.getResultNumber()])
                                                          : Stored::F32;
  }
  auto argument = cast<BlockArgument>(value);
  auto function = dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp());
  return function ? formatOf(function.getArgAttr(argument.getArgNumber(), kStoredAttr))
                  : Stored::F32;
}
