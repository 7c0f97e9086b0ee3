// SPDX-License-Identifier: Apache-2.0
//
// FP8 tiles: the type, and shapes.

#include "dialects/Hadal/Hadal.h"
#include "dialects/Hadal/ShapeCheck.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace hadal;

// --- !hadal.scaled
// ---------------------------------------------------------------------------------------------------

/// `<200x300xf8E4M3FN, 128x128, f32>`.
Type ScaledType::parse(AsmParser &parser) {
  SMLoc place = parser.getCurrentLocation();
  SmallVector<int64_t> sizes, tile;
  Type element;
  if (parser.parseLess() || parser.parseDimensionList(sizes, /*allowDynamic=*/false) ||
      parser.parseType(element) || parser.parseComma() ||
      parser.parseDimensionList(tile, /*allowDynamic=*/false, /*withTrailingX=*/false) ||
      parser.parseComma())
    return {};
  FailureOr<TileScale> rule = FieldParser<TileScale>::parse(parser);
  if (failed(rule) || parser.parseGreater())
    return {};
  if (sizes.size() != 2 || tile.size() != 2) {
    parser.emitError(place, "expected two sizes and two tile sizes, found ")
        << sizes.size() << " and " << tile.size();
    return {};
  }
  return parser.getChecked<ScaledType>(place, parser.getContext(), sizes[0], sizes[1], element,
                                       tile[0], tile[1], *rule);
}

void ScaledType::print(AsmPrinter &printer) const {
  printer << '<' << getRows() << 'x' << getColumns() << 'x' << getElement() << ", " << getTileRows()
          << 'x' << getTileColumns() << ", " << stringifyTileScale(getRule()) << '>';
}

static bool isTile(int64_t rows, int64_t columns) {
  return (rows == 1 || rows == 128) && (columns == 1 || columns == 128) && rows * columns > 1;
}

LogicalResult ScaledType::verify(llvm::function_ref<InFlightDiagnostic()> emitError, int64_t rows,
                                 int64_t columns, Type element, int64_t tileRows,
                                 int64_t tileColumns, TileScale) {
  constexpr int64_t limit = int64_t(1) << 24; // C1: positive; their product fits 48 bits
  if (rows <= 0 || columns <= 0 || rows > limit || columns > limit)
    return emitError() << "expected sizes from 1 to 2^24, found " << rows << "x" << columns;
  if (!isTile(tileRows, tileColumns)) // C1
    return emitError() << "expected a tile of 1x128, 128x1 or 128x128, found " << tileRows << "x"
                       << tileColumns;
  if (!isa<Float8E4M3FNType, Float8E5M2Type>(element)) // C2
    return emitError() << "expected elements f8E4M3FN or f8E5M2, found " << element;
  return success();
}

RankedTensorType ScaledType::elementsType() const {
  return RankedTensorType::get({getRows(), getColumns()}, getElement());
}

static SmallVector<int64_t> scalesShape(int64_t rows, int64_t columns, int64_t tileRows,
                                        int64_t tileColumns) {
  return {llvm::divideCeilSigned(rows, tileRows), llvm::divideCeilSigned(columns, tileColumns)};
}

RankedTensorType ScaledType::scalesType() const {
  return RankedTensorType::get(
      scalesShape(getRows(), getColumns(), getTileRows(), getTileColumns()),
      Float32Type::get(getContext()));
}

// --- ops
// -------------------------------------------------------------------------------------------------------------

LogicalResult QuantizeOp::verify() {
  ScaledType scaled = getResult().getType();
  ArrayRef<int64_t> shape = getInput().getType().getShape();
  if (shape != ArrayRef<int64_t>({scaled.getRows(), scaled.getColumns()})) // C1
    return emitOpError("expected 'input' to be ")
           << scaled.getRows() << "x" << scaled.getColumns() << ", found " << getInput().getType();
  return success();
}

LogicalResult DequantizeOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                             Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  auto type = dyn_cast<ScaledType>(adaptor.getInput().getType());
  if (!check.require(static_cast<bool>(type), "'input' to be a scaled matrix"))
    return failure();
  return check.infer(types, check.f32({type.getRows(), type.getColumns()}));
}

LogicalResult ScaledLinearOp::inferReturnTypes(MLIRContext *context,
                                               std::optional<Location> location, Adaptor adaptor,
                                               SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  auto input = dyn_cast<ScaledType>(adaptor.getInput().getType());
  auto weight = dyn_cast<ScaledType>(adaptor.getWeight().getType());
  if (!check.require(input && weight, "'input' and 'weight' to be scaled matrices"))
    return failure();
  check.require(input.getTileRows() == 1 && input.getTileColumns() == 128,
                "'input' in tiles of 1x128, found " + Twine(input.getTileRows()) + "x" +
                    Twine(input.getTileColumns())); // C2
  check.require(weight.getTileColumns() == 128, "'weight' in tiles of 128x128 or 1x128, found " +
                                                    Twine(weight.getTileRows()) + "x" +
                                                    Twine(weight.getTileColumns()));
  check.require(input.getColumns() == weight.getColumns(),
                "'input' to have " + Twine(weight.getColumns()) +
                    " columns, those of 'weight', found " + Twine(input.getColumns()));
  int64_t interval = check.positive("interval", adaptor.getInterval()); // C1
  check.require(128 % interval == 0, "interval to divide 128, found " + Twine(interval));
  return check.infer(types, check.f32({input.getRows(), weight.getRows()}));
}

LogicalResult QuantizeTilesOp::inferReturnTypes(MLIRContext *context,
                                                std::optional<Location> location, Adaptor adaptor,
                                                SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor input = check.tensor("input", adaptor.getInput(), 2);
  int64_t rows = adaptor.getTileRows(), columns = adaptor.getTileColumns();
  Type element = adaptor.getElement();
  check.require(isTile(rows, columns),
                "a tile of 1x128, 128x1 or 128x128, found " + Twine(rows) + "x" + Twine(columns));
  check.require(isa<Float8E4M3FNType, Float8E5M2Type>(element), "element f8E4M3FN or f8E5M2");
  if (!check.ok())
    return failure();
  return check.infer(types, {check.result(input.shape, element),
                             check.f32(scalesShape(input.dim(0), input.dim(1), rows, columns))});
}

LogicalResult DequantizeTilesOp::inferReturnTypes(MLIRContext *context,
                                                  std::optional<Location> location, Adaptor adaptor,
                                                  SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor elements = check.tensor("elements", adaptor.getElements(), 2);
  CheckedTensor scales = check.tensor("scales", adaptor.getScales(), 2);
  int64_t rows = check.positive("tile_rows", adaptor.getTileRows());
  int64_t columns = check.positive("tile_columns", adaptor.getTileColumns());
  check.shape(scales, scalesShape(elements.dim(0), elements.dim(1), rows, columns));
  return check.infer(types, check.f32(elements.shape));
}
