// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/data/sampler.hpp>
#include <parade/engine/team.hpp>

namespace parade {

/// What to do when a loss, a gradient or the new θ is not finite. The step is never taken; θ and the optimizer's vectors stay as they were.
enum class OnDivergence {
  stop,        // end the run; the summary says where
  skip,        // leave the batch out and go on
  halve_rate,  // leave the batch out and go on with half the rate
};

/// How `Trainer::fit` runs. All fields are checked before anything starts. Of these, the bits of θ depend on epochs, batch_size, seed,
/// shard_size, shuffle, windows, warm_start, on_divergence and svrg; never on threads.
struct FitOptions {
  Index epochs = 10;       // passes over the data, in [0, 2³² − 1]
  Index batch_size = 128;  // samples a step over all workers, in [1, n]; the last batch of an epoch may be smaller
  std::uint64_t seed = 0;  // of the starting θ and of the order of the samples
  int threads = 0;         // ≥ 1; 0: as many as the process may really use
  Index shard_size = 0;  // samples a shard, ≥ 1, for at most 65535 shards a batch; 0: a rule that reads the batch size alone (ShardPlan)
  bool shuffle = true;   // a new order every epoch; else the order of the data
  bool warm_start = false;  // go on from the θ, optimizer vectors and step count that the trainer holds
  bool check_data = true;   // one pass over the data before the start: finite features and targets, labels in range
  OnDivergence on_divergence = OnDivergence::stop;
  /// Variance-reduced gradients, for convex problems that are to be solved to many digits (SVRG; Johnson, Zhang, NIPS 2013; with a proximal step Xiao, Zhang
  /// 2014): every `svrg` epochs the gradient G over all data at the θ̃ of that moment is computed, and each step takes
  ///   g ← g_B(θ) − g_B(θ̃) + G          for its batch B
  /// whose noise goes to 0 as θ and θ̃ go to the optimum, so that a constant rate converges. A step costs two gradients. Epochs are counted from the start
  /// of this fit. Data that comes window by window is streamed once for each G. On sparse rows only for a Linear model with Sgd without momentum, and L2 or no
  /// regularizer: there G moves every feature in every step, which is put off until it is read (SparseTraining::begin_anchor). 0: plain.
  Index svrg = 0;
  /// The order in which the same data would come if it were larger than memory: see WindowOrder, Cached. Without shuffle it is the order of the data in any case.
  WindowShuffle windows = {};

  /// Throws OptionError naming the field, the value and the rule. n: samples in the data.
  void check(Index n) const {
    constexpr Index most_epochs = (Index{1} << 32) - 1;  // each has random numbers of its own: see Random
    if (epochs < 0 || epochs > most_epochs) throw OptionError(detail::text("epochs must be in [0, ", most_epochs, "]; got ", epochs));
    if (batch_size < 1 || batch_size > n)
      throw OptionError(detail::text("batch_size must be in [1, n]; got ", batch_size, " (n = ", n, ")"));
    Team::check(threads);
    if (shard_size < 0) throw OptionError(detail::text("shard_size must be at least 1, or 0 for the default; got ", shard_size));
    if (svrg < 0) throw OptionError(detail::text("svrg must be at least 1, epochs between two gradients over all data, or 0; got ", svrg));
    windows.check();
  }
};

/// How `Trainer::partial_fit` runs its one step.
struct StepOptions {
  std::uint64_t seed = 0;  // of the starting θ, when the trainer holds none yet
  int threads = 0;         // ≥ 1; 0: as many as the process may really use
  Index shard_size = 0;    // samples, ≥ 1; 0: a rule that reads the batch size alone (ShardPlan)
  bool check_data = true;  // finite features and targets, labels in range
};

}  // namespace parade
