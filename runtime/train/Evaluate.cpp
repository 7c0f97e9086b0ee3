// SPDX-License-Identifier: Apache-2.0
//
// See Evaluate.h.

#include "runtime/train/Evaluate.h"

#include "runtime/checkpoint/Safetensors.h"
#include "runtime/program/Parameters.h"
#include "runtime/support/Error.h"
#include "runtime/train/TrainingStep.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <unistd.h>

namespace hadal::rt {

namespace {

/// A tensor of the output file, grown micro-batch by micro-batch.
struct Output {
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape; // of one micro-batch; shape[0] grows
  std::vector<unsigned char> bytes;

  void append(const void *data, std::size_t count) {
    const auto *from = static_cast<const unsigned char *>(data);
    bytes.insert(bytes.end(), from, from + count);
  }
};

class Evaluation {
public:
  Evaluation(Store &store, ThreadPool &pool)
      : store(store), bundle(store.bundle()), program(store, pool, "evaluate") {}

  /// Runs one micro-batch of ids [sequences, T + 1] and appends its outputs.
  void microBatch(const std::int32_t *ids) {
    const View &tokens = program.view("tokens");
    std::memcpy(tokens.data, ids, std::size_t(tokens.bytes()));
    program.run();
    if (program.has("logits"))
      appendFloats("logits", program.view("logits"));
    for (const auto &[depth, view] : program.viewsWithPrefix("mtp_logits."))
      appendFloats("mtp_logits." + depth, view);
    for (const auto &[layer, view] : program.viewsWithPrefix("experts."))
      appendIds("experts." + prefix(layer), view);
    for (const auto &[layer, view] : program.viewsWithPrefix("expert_weights."))
      appendRows("expert_weights." + prefix(layer), view);
    addCounts();
    addLosses();
    ++microBatches;
  }

  /// Puts losses and counts into the outputs.
  void finish() {
    losses.main /= double(microBatches);
    losses.balance /= double(microBatches);
    for (double &loss : losses.mtp)
      loss /= double(microBatches);
    losses.computeTotal(valueAt(bundle.mtpWeightPhases(), 1));
    addDoubles("loss", {losses.total});
    addDoubles("main_loss", {losses.main});
    addDoubles("balance_loss", {losses.balance});
    addDoubles("mtp_losses", losses.mtp);
    for (const auto &[name, values] : counts) {
      Output &out = outputs["counts." + name];
      out.dtype = DType::I64;
      out.shape = {std::int64_t(values.size())};
      out.append(values.data(), values.size() * sizeof(std::int64_t));
    }
  }

  void addGradients(ThreadPool &pool, const std::vector<std::int32_t> &ids) {
    TrainingStep step(store, pool);
    std::copy(ids.begin(), ids.end(), step.tokens());
    step.computeGradients(1);
    for (const ParameterTensor &tensor : parameterTensors(bundle)) {
      if (!tensor.parameter->trained() || tensor.parameter->gradient() < 0)
        continue;
      Output &out = outputs["gradient." + tensor.name];
      out.shape = tensor.shape;
      out.append(tensor.in(store, tensor.parameter->gradient()),
                 std::size_t(tensor.elements) * sizeof(float));
    }
  }

  void write(const std::string &path) const {
    std::vector<TensorInfo> infos;
    for (const auto &[name, out] : outputs) {
      TensorInfo info;
      info.name = name;
      info.dtype = out.dtype;
      info.shape = out.shape;
      infos.push_back(std::move(info));
    }
    std::string temporary = path + ".tmp-" + std::to_string(::getpid());
    SafetensorsWriter writer(temporary, std::move(infos));
    for (const auto &[name, out] : outputs)
      writer.append(out.bytes.data(), out.bytes.size());
    writer.finish();
    std::error_code failed;
    std::filesystem::rename(temporary, path, failed);
    if (failed)
      throw RunError(path + ": cannot be written: " + failed.message());
  }

private:
  static std::string prefix(const std::string &layer) { return "model.layers." + layer + ".mlp"; }

  void grow(Output &out, std::vector<std::int64_t> shape) {
    if (out.shape.empty())
      out.shape = std::move(shape);
    else
      out.shape[0] += shape[0];
  }
  void appendFloats(const std::string &name, const View &view) {
    Output &out = outputs[name];
    grow(out, view.shape);
    out.append(view.data, std::size_t(view.bytes()));
  }
  /// [B, T, K] as [B*T, K].
  static std::vector<std::int64_t> rowsOf(const View &view) {
    std::int64_t last = view.shape.empty() ? 1 : view.shape.back();
    return {last ? view.elements / last : 0, last};
  }
  void appendRows(const std::string &name, const View &view) {
    Output &out = outputs[name];
    grow(out, rowsOf(view));
    out.append(view.data, std::size_t(view.bytes()));
  }
  void appendIds(const std::string &name, const View &view) {
    Output &out = outputs[name];
    out.dtype = DType::I64;
    grow(out, rowsOf(view));
    std::vector<std::int64_t> wide(view.as<std::int32_t>(),
                                   view.as<std::int32_t>() + view.elements);
    out.append(wide.data(), wide.size() * sizeof(std::int64_t));
  }
  void addCounts() {
    for (const auto &[name, values] : readCounts(program)) {
      std::vector<std::int64_t> &sum = counts[name];
      sum.resize(values.size());
      std::transform(values.begin(), values.end(), sum.begin(), sum.begin(), std::plus<>());
    }
  }
  void addLosses() {
    losses.main += program.scalar("main_loss");
    // Layers ascending; names sort "10" before "9".
    std::map<std::int64_t, double> balance;
    for (const auto &[layer, view] : program.viewsWithPrefix("balance_loss."))
      balance[std::stoll(layer)] = *view.as<double>();
    for (const auto &[layer, value] : balance)
      losses.balance += value;
    losses.mtp.resize(std::size_t(bundle.model().mtp_depth()));
    for (std::size_t k = 0; k < losses.mtp.size(); ++k)
      losses.mtp[k] += program.scalar("mtp_loss." + std::to_string(k + 1));
  }
  void addDoubles(const std::string &name, const std::vector<double> &values) {
    Output &out = outputs[name];
    out.dtype = DType::F64;
    out.shape = {std::int64_t(values.size())};
    out.append(values.data(), values.size() * sizeof(double));
  }

  Store &store;
  const Bundle &bundle;
  Executor program;
  std::map<std::string, Output> outputs;
  std::map<std::string, std::vector<std::int64_t>> counts;
  Losses losses;
  std::int64_t microBatches = 0;
};

} // namespace

void evaluateToFile(Store &store, ThreadPool &pool, const std::string &tokensFile,
                    const std::string &out, bool gradients) {
  const Bundle &bundle = store.bundle();
  const std::int64_t rows = bundle.rowsPerStep(), columns = bundle.training().tokens() + 1;
  TokenTable table = readTokenTable(tokensFile, bundle.model().vocab_size());
  if (table.rows != rows || table.columns != columns)
    throw InputError(tokensFile, "tokens: shape " + shapeText({table.rows, table.columns}) +
                                     "; one step of this bundle takes " +
                                     shapeText({rows, columns}) +
                                     " (micro_batches x data_parallel x sequences, tokens + 1)");
  if (gradients)
    bundle.program("gradients"); // refuses early
  Evaluation evaluation(store, pool);
  for (std::int64_t row = 0; row < rows; row += bundle.training().sequences())
    evaluation.microBatch(table.ids.data() + row * columns);
  evaluation.finish();
  if (gradients)
    evaluation.addGradients(pool, table.ids);
  evaluation.write(out);
}

Validation::Validation(Store &store, ThreadPool &pool, const Rows &rows, const std::string &file)
    : bundle(store.bundle()), program(store, pool, "evaluate"), rows(rows) {
  const std::int64_t sequences = bundle.training().sequences(),
                     need = bundle.training().tokens() + 1;
  if (rows.heldOutTokens() < need)
    throw InputError(file, "holds out " + std::to_string(rows.heldOutTokens()) +
                               " tokens for validation; one window needs " + std::to_string(need));
  constexpr std::int64_t kWindows = 64;
  count = std::max(sequences, kWindows / sequences * sequences);
}

double Validation::run() {
  const std::int64_t sequences = bundle.training().sequences(),
                     columns = bundle.training().tokens() + 1;
  auto *tokens = program.view("tokens").as<std::int32_t>();
  double sum = 0;
  for (std::int64_t window = 0; window < count; window += sequences) {
    for (std::int64_t b = 0; b < sequences; ++b)
      rows.readHeldOut(window + b, count, tokens + b * columns);
    program.run();
    sum += program.scalar("main_loss");
  }
  return sum / double(count / sequences);
}

} // namespace hadal::rt
