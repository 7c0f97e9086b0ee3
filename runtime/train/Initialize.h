// SPDX-License-Identifier: Apache-2.0
//
// Initial values of parameters: a function of (seed, name, element) only, on any machine.

#ifndef HADAL_RUNTIME_TRAIN_INITIALIZE_H
#define HADAL_RUNTIME_TRAIN_INITIALIZE_H

#include <cstdint>
#include <string>

namespace hadal::rt {

/// The value below which a standard normal lies with probability p, 0 < p < 1 (Wichura, algorithm
/// AS 241, PPND16: relative accuracy 1e-16). Uses no library function whose last bit could differ.
double normalQuantile(double p);

/// Writes elements [begin, end) of the tensor `name` (its Hugging Face name) to out[0, end -
/// begin): normal, mean 0, standard deviation `deviation`.
void initializeNormal(std::uint64_t seed, const std::string &name, double deviation,
                      std::int64_t begin, std::int64_t end, float *out);

} // namespace hadal::rt

#endif
