// SPDX-License-Identifier: MIT
#pragma once

#include <parade/core/types.hpp>

namespace parade {

/// What a batch, or a shard of it, adds up to besides the gradient. Sums, never means: the one division is by `weight`, after the reduction.
struct BatchSum {
  double loss = 0;    // Σ w_i J_i
  double weight = 0;  // W = Σ w_i
  Index samples = 0;  // b

  friend BatchSum operator+(const BatchSum& a, const BatchSum& b) { return {a.loss + b.loss, a.weight + b.weight, a.samples + b.samples}; }
};

}  // namespace parade
