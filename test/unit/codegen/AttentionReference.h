// SPDX-License-Identifier: Apache-2.0
//
// Attention in f64 by plain loops, and how tests of its kernels compare.

#ifndef HADAL_TEST_UNIT_CODEGEN_ATTENTIONREFERENCE_H
#define HADAL_TEST_UNIT_CODEGEN_ATTENTIONREFERENCE_H

#include "test/unit/codegen/KernelHarness.h"

#include <cmath>
#include <vector>

namespace hadal::test {

/// Relative error in the Frobenius norm.
inline double relativeError(const HostTensor &got, const std::vector<double> &expected) {
  if (size_t(got.elements()) != expected.size())
    return INFINITY;
  double difference = 0, size = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference += std::pow(double(got.f32()[i]) - expected[i], 2);
    size += expected[i] * expected[i];
  }
  double error = std::sqrt(difference / (size > 0 ? size : 1.0));
  return std::isnan(error) ? INFINITY : error;
}

struct AttentionCase {
  int64_t sequences, tokens, heads, nope, rotary, values;

  int64_t depth() const { return nope + rotary; }
  double scale() const { return 1.0 / std::sqrt(double(depth())); }
  std::vector<int64_t> query() const { return {sequences, tokens, heads * depth()}; }
  std::vector<int64_t> keyValue() const { return {sequences, tokens, heads * (nope + values)}; }
  std::vector<int64_t> keyRotary() const { return {sequences, tokens, rotary}; }
  std::vector<int64_t> output() const { return {sequences, tokens, heads * values}; }
  std::vector<int64_t> logs() const { return {sequences, heads, tokens}; }
};

inline std::string typeOf(const std::vector<int64_t> &shape) {
  std::string text = "tensor<";
  for (int64_t size : shape)
    text += std::to_string(size) + "x";
  return text + "f32>";
}

/// Forward results and, for a gradient of the output, the gradients.
struct AttentionResults {
  std::vector<double> output, logs, query, keyValue, keyRotary;
};

inline AttentionResults attention(const AttentionCase &c, const HostTensor &query,
                                  const HostTensor &keyValue, const HostTensor &keyRotary,
                                  const HostTensor *gradient) {
  AttentionResults all;
  int64_t rows = c.sequences * c.tokens, d = c.depth(), n = c.nope, w = c.nope + c.values;
  all.output.resize(size_t(rows * c.heads * c.values));
  all.logs.resize(size_t(rows * c.heads));
  all.query.resize(size_t(query.elements()));
  all.keyValue.resize(size_t(keyValue.elements()));
  all.keyRotary.resize(size_t(keyRotary.elements()));
  for (int64_t b = 0; b < c.sequences; ++b)
    for (int64_t h = 0; h < c.heads; ++h)
      for (int64_t t = 0; t < c.tokens; ++t) {
        int64_t row = b * c.tokens + t, q = (row * c.heads + h) * d;
        std::vector<double> weights;
        double largest = -INFINITY, sum = 0;
        for (int64_t s = 0; s <= t; ++s) {
          int64_t key = ((b * c.tokens + s) * c.heads + h) * w,
                  rotary = (b * c.tokens + s) * c.rotary;
          double score = 0;
          for (int64_t i = 0; i < d; ++i)
            score += double(query.f32()[q + i]) *
                     (i < n ? keyValue.f32()[key + i] : keyRotary.f32()[rotary + i - n]);
          weights.push_back(score * c.scale());
          largest = std::max(largest, weights.back());
        }
        for (double score : weights)
          sum += std::exp(score - largest);
        double log = largest + std::log(sum), delta = 0;
        all.logs[size_t((b * c.heads + h) * c.tokens + t)] = log;
        for (double &weight : weights)
          weight = std::exp(weight - log);
        for (int64_t i = 0; i < c.values; ++i) {
          int64_t at = (row * c.heads + h) * c.values + i;
          for (int64_t s = 0; s <= t; ++s)
            all.output[size_t(at)] +=
                weights[size_t(s)] * keyValue.f32()[((b * c.tokens + s) * c.heads + h) * w + n + i];
          if (gradient)
            delta += gradient->f32()[at] * all.output[size_t(at)];
        }
        for (int64_t s = 0; gradient && s <= t; ++s) {
          int64_t key = ((b * c.tokens + s) * c.heads + h) * w,
                  rotary = (b * c.tokens + s) * c.rotary;
          const float *g = gradient->f32() + (row * c.heads + h) * c.values;
          double product = 0, weight = weights[size_t(s)];
          for (int64_t i = 0; i < c.values; ++i) {
            product += double(g[i]) * keyValue.f32()[key + n + i];
            all.keyValue[size_t(key + n + i)] += weight * g[i];
          }
          double ds = weight * (product - delta) * c.scale();
          for (int64_t i = 0; i < d; ++i) {
            bool plain = i < n;
            all.query[size_t(q + i)] +=
                ds * (plain ? keyValue.f32()[key + i] : keyRotary.f32()[rotary + i - n]);
            (plain ? all.keyValue[size_t(key + i)] : all.keyRotary[size_t(rotary + i - n)]) +=
                ds * query.f32()[q + i];
          }
        }
      }
  return all;
}

} // namespace hadal::test

#endif // HADAL_TEST_UNIT_CODEGEN_ATTENTIONREFERENCE_H
