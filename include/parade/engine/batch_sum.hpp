// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include <parade/core/shard_plan.hpp>
#include <parade/core/types.hpp>

namespace parade {

/// What a batch, or a shard of it, adds up to besides the gradient. Sums, never means: the one division is by `weight`, after the reduction.
struct BatchSum {
  double loss = 0;    // Σ w_i J_i
  double weight = 0;  // W = Σ w_i
  Index samples = 0;  // b

  friend BatchSum operator+(const BatchSum& a, const BatchSum& b) { return {a.loss + b.loss, a.weight + b.weight, a.samples + b.samples}; }
};

namespace detail {

/// Adds some samples to the sum, one after the other, from J and the weights (empty where each is 1). A weight of 0 is absence: what such a sample
/// would have given, were it not a number, does not count.
template <class Scalar>
void add_samples(BatchSum& sum, const Vector<Scalar>& values, const Vector<double>& weights, Range samples) {
  sum.samples += samples.size();
  if (weights.size() == 0) sum.weight += static_cast<double>(samples.size());
  for (Index i = samples.begin; i < samples.end; ++i) {
    if (weights.size() == 0) {
      sum.loss += static_cast<double>(values[i]);
    } else if (const double w = weights[i]; w != 0) {
      sum.loss = std::fma(w, static_cast<double>(values[i]), sum.loss);
      sum.weight += w;
    }
  }
}

}  // namespace detail
}  // namespace parade
