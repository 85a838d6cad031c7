// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>

#include <parade/core/types.hpp>

namespace parade {

/// Which step of a training run a gradient is for: what random numbers of the step are drawn by.
struct TrainingStep {
  std::uint64_t seed = 0;
  std::int64_t step = 0;  // steps taken before
};

/// What a model with `forward_training` is told of the shard beside its features: enough to draw the same random numbers for a sample whichever
/// worker computes it, in whatever shard.
struct TrainingContext {
  std::uint64_t seed = 0;
  std::int64_t step = 0;
  std::span<const Index> samples;   // (m): the samples of the shard's columns, as the data set numbers them
  std::span<const double> weights;  // (m), or empty where all are 1. A sample of weight 0 is absent, and its features are 0
};

}  // namespace parade
