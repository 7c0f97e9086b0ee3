// SPDX-License-Identifier: Apache-2.0
//
// See Evaluate.h.

#include "runtime/train/Evaluate.h"

#include "runtime/checkpoint/Safetensors.h"
#include "runtime/support/Error.h"
#include "runtime/train/TrainingStep.h"
#include "runtime/transport/Fault.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <unistd.h>

namespace hadal::rt {

namespace {

/// A tensor of the output file, grown micro-batch by micro-batch.
struct FileTensor {
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape; // of one micro-batch; shape[0] grows
  std::vector<unsigned char> bytes;

  void append(const void *data, std::size_t count) {
    const auto *from = static_cast<const unsigned char *>(data);
    bytes.insert(bytes.end(), from, from + count);
  }
  void grow(const std::vector<std::int64_t> &more) {
    if (shape.empty())
      shape = more;
    else
      shape[0] += more[0];
  }
};

std::vector<OutputName> outputNames() {
  return {{"logits"},          {"mtp_logits."}, {"experts."},  {"counts."},
          {"expert_weights."}, {"main_loss"},   {"mtp_loss."}, {"balance_loss."}};
}

class Evaluation {
public:
  explicit Evaluation(Rank &rank)
      : rank(rank), bundle(rank.bundle), program(rank.store, rank.pool, "evaluate", rank.links),
        gather(program, bundle, rank.links, outputNames()) {
    setPlaceScalars(program, rank.layout);
    losses.mtp.assign(std::size_t(bundle.model().mtp_depth()), 0);
  }

  /// Runs micro-batch `m` of all replicas on the rows of a step and appends their outputs.
  void microBatch(std::int64_t m, const TokenTable &table) {
    const bundle::Training &training = bundle.training();
    if (program.has("tokens")) {
      const View &tokens = program.view("tokens");
      const std::int64_t row =
          (m * training.data_parallel() + rank.layout.place().replica) * training.sequences();
      std::memcpy(tokens.data, table.ids.data() + row * table.columns, std::size_t(tokens.bytes()));
    }
    program.run();
    for (const Outputs &replica : gather.collect())
      append(replica);
  }

  /// Puts losses and counts into the outputs.
  void finish() {
    losses.finish(batches, valueAt(bundle.mtpWeightPhases(), 1));
    addDoubles("loss", {losses.total});
    addDoubles("main_loss", {losses.main});
    addDoubles("balance_loss", {losses.balance});
    addDoubles("mtp_losses", losses.mtp);
    for (const auto &[name, values] : counts) {
      FileTensor &out = tensors["counts." + name];
      out.dtype = DType::I64;
      out.shape = {std::int64_t(values.size())};
      out.append(values.data(), values.size() * sizeof(std::int64_t));
    }
  }

  /// Each rank's gradients, or its shards of them, to rank 0.
  void addGradients(const TokenTable &table) {
    TrainingStep step(rank.store, rank.pool, rank.links);
    step.readTokens([&](std::int64_t row, std::int32_t *out) {
      std::copy_n(table.ids.data() + row * table.columns, table.columns, out);
    });
    step.computeGradients(1);
    std::vector<Transport::Request> requests;
    for (int other = 0; other < rank.context.size; ++other) {
      if (!rank.first() && other != rank.context.rank)
        continue;
      const Layout layout(bundle, other);
      for (const HeldTensor &tensor : layout.tensors())
        if (tensor.parameter->trained() && tensor.gradientStorage >= 0)
          moveGradient(tensor, other, requests);
    }
    rank.context.transport.wait(requests);
  }

  void write(const std::string &path) const {
    std::vector<TensorInfo> infos;
    for (const auto &[name, out] : tensors) {
      TensorInfo info;
      info.name = name;
      info.dtype = out.dtype;
      info.shape = out.shape;
      infos.push_back(std::move(info));
    }
    std::string temporary = path + ".tmp-" + std::to_string(::getpid());
    SafetensorsWriter writer(temporary, std::move(infos));
    for (const auto &[name, out] : tensors)
      writer.append(out.bytes.data(), out.bytes.size());
    writer.finish();
    std::error_code failed;
    std::filesystem::rename(temporary, path, failed);
    if (failed)
      throw RunError(path + ": cannot be written: " + failed.message());
  }

private:
  static std::string prefix(std::int64_t layer) {
    return "model.layers." + std::to_string(layer) + ".mlp";
  }

  /// Elements [begin, end) of a gradient that rank `owner` has.
  void moveGradient(const HeldTensor &tensor, int owner,
                    std::vector<Transport::Request> &requests) {
    const auto bytes = std::uint64_t(tensor.end - tensor.begin) * sizeof(float);
    if (!rank.first()) {
      requests.push_back(rank.context.transport.send(
          0, kMainChannel, tensor.gradient(rank.store) + tensor.begin, bytes));
      return;
    }
    FileTensor &out = tensors["gradient." + tensor.name];
    out.shape = tensor.shape;
    out.bytes.resize(std::size_t(tensor.elements) * sizeof(float));
    unsigned char *to = out.bytes.data() + std::uint64_t(tensor.begin) * sizeof(float);
    if (owner == 0)
      std::copy_n(tensor.gradient(rank.store) + tensor.begin, tensor.end - tensor.begin,
                  reinterpret_cast<float *>(to));
    else
      requests.push_back(rank.context.transport.receive(owner, kMainChannel, to, bytes));
  }

  /// One micro-batch of one replica.
  void append(const Outputs &outputs) {
    if (auto logits = outputs.find("logits"); logits != outputs.end())
      appendFloats("logits", logits->second, logits->second.shape);
    for (const auto &[depth, output] : numbered(outputs, "mtp_logits."))
      appendFloats("mtp_logits." + std::to_string(depth), *output, output->shape);
    for (const auto &[layer, output] : numbered(outputs, "experts."))
      appendIds("experts." + prefix(layer), *output);
    for (const auto &[layer, output] : numbered(outputs, "expert_weights."))
      appendFloats("expert_weights." + prefix(layer), *output, rowsOf(*output));
    for (const auto &[name, values] : readCounts(outputs)) {
      std::vector<std::int64_t> &sum = counts[name];
      sum.resize(values.size());
      std::transform(values.begin(), values.end(), sum.begin(), sum.begin(), std::plus<>());
    }
    losses.add(outputs);
    ++batches;
  }
  void appendFloats(const std::string &name, const Output &output,
                    const std::vector<std::int64_t> &shape) {
    FileTensor &out = tensors[name];
    out.grow(shape);
    out.append(output.bytes.data(), output.bytes.size());
  }
  /// [B, T, K] as [B*T, K].
  static std::vector<std::int64_t> rowsOf(const Output &output) {
    std::int64_t last = output.shape.empty() ? 1 : output.shape.back();
    return {last ? output.elements() / last : 0, last};
  }
  void appendIds(const std::string &name, const Output &output) {
    FileTensor &out = tensors[name];
    out.dtype = DType::I64;
    out.grow(rowsOf(output));
    std::vector<std::int64_t> wide(output.as<std::int32_t>(),
                                   output.as<std::int32_t>() + output.elements());
    out.append(wide.data(), wide.size() * sizeof(std::int64_t));
  }
  void addDoubles(const std::string &name, const std::vector<double> &values) {
    FileTensor &out = tensors[name];
    out.dtype = DType::F64;
    out.shape = {std::int64_t(values.size())};
    out.append(values.data(), values.size() * sizeof(double));
  }

  Rank &rank;
  const Bundle &bundle;
  Executor program;
  OutputGather gather;
  std::map<std::string, FileTensor> tensors;
  std::map<std::string, std::vector<std::int64_t>> counts;
  Losses losses;
  std::int64_t batches = 0;
};

} // namespace

void evaluateToFile(Rank &rank, const std::string &tokensFile, const std::string &out,
                    bool gradients) {
  const Bundle &bundle = rank.bundle;
  const std::int64_t rows = bundle.rowsPerStep(), columns = bundle.training().tokens() + 1;
  TokenTable table = readTokenTable(tokensFile, bundle.model().vocab_size());
  if (table.rows != rows || table.columns != columns)
    throw InputError(tokensFile, "tokens: shape " + shapeText({table.rows, table.columns}) +
                                     "; one step of this bundle takes " +
                                     shapeText({rows, columns}) +
                                     " (micro_batches x data_parallel x sequences, tokens + 1)");
  if (gradients)
    bundle.program("gradients"); // refuses early
  Evaluation evaluation(rank);
  rank.context.progress.step(1);
  for (std::int64_t m = 0; m < bundle.training().micro_batches(); ++m)
    evaluation.microBatch(m, table);
  if (rank.first())
    evaluation.finish();
  if (gradients)
    evaluation.addGradients(table);
  if (rank.first())
    evaluation.write(out);
}

Validation::Validation(Rank &rank, const Rows &rows, const std::string &file)
    : rank(rank), bundle(rank.bundle), program(rank.store, rank.pool, "evaluate", rank.links),
      outputs(program, bundle, rank.links, {{"main_loss"}}), rows(rows) {
  const std::int64_t sequences = bundle.training().sequences(),
                     need = bundle.training().tokens() + 1;
  if (rows.heldOutTokens() < need)
    throw InputError(file, "holds out " + std::to_string(rows.heldOutTokens()) +
                               " tokens for validation; one window needs " + std::to_string(need));
  constexpr std::int64_t kWindows = 64;
  count = std::max(sequences, kWindows / sequences * sequences);
  setPlaceScalars(program, rank.layout);
}

/// The windows of a batch, where this rank reads them.
void Validation::fill(std::int64_t batch) {
  if (!program.has("tokens"))
    return;
  const std::int64_t sequences = bundle.training().sequences(),
                     columns = bundle.training().tokens() + 1;
  auto *tokens = program.view("tokens").as<std::int32_t>();
  for (std::int64_t b = 0; b < sequences; ++b)
    rows.readHeldOut(batch * sequences + b, count, tokens + b * columns);
}

double Validation::run(std::int64_t step) {
  const std::int64_t replicas = bundle.training().data_parallel(),
                     batches = count / bundle.training().sequences();
  faultAt(rank.context.rank, step, "validation");
  double sum = 0;
  for (std::int64_t first = 0; first < batches; first += replicas) {
    // Replicas that have none left compute the last batch again: exchanges need all.
    fill(std::min(first + rank.layout.place().replica, batches - 1));
    program.run(step);
    std::int64_t batch = first;
    for (const Outputs &replica : outputs.collect())
      if (batch++ < batches)
        sum += *replica.at("main_loss").as<double>();
  }
  return broadcastDouble(rank.links, sum / double(batches));
}

} // namespace hadal::rt
