// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <utility>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/check_option.hpp>
#include <parade/optimizers/averaging.hpp>
#include <parade/optimizers/sgd.hpp>

namespace parade {

/// An optimizer that also keeps the plain mean θ̄ of the θ from update `start` on; θ itself is trained as without it, to the bit.
///
///   θ̄ = mean of θₜ for t = start, start + every, start + 2 every, …          t updates made; θₜ is taken in when it enters step t + 1
///
///   parade::PolyakAverage{parade::Sgd{.rate = 0.1}, 1000}          // Polyak, Juditsky 1992; Ruppert 1988: the mean over a path
///   parade::PolyakAverage{parade::Sgd{.rate = 0.1}, 1000, 50}      // stochastic weight averaging (Izmailov et al. 2018): once in 50
///
/// Averaging lets SGD keep a large rate: the noise is averaged out. With every = 1 the variance of θ̄ reaches the best order that there is
/// on a strongly convex objective. For SWA set `every` to the steps of an epoch, and `start` to where the rate becomes steady.
///
/// Before `start` updates have been made, θ̄ is the θ that entered the last step: no average yet, but no wrong one. Why it is that θ and not the
/// one that left it: see Ema.
template <class O>
struct PolyakAverage : detail::Averaging<O, PolyakAverage<O>> {
  std::int64_t start;  // updates made before the first θ that is taken in, ≥ 0
  std::int64_t every;  // updates from one θ that is taken in to the next, ≥ 1

  explicit PolyakAverage(O inner, std::int64_t first = 0, std::int64_t period = 1)
      : detail::Averaging<O, PolyakAverage<O>>(std::move(inner)), start(first), every(period) {}

  using detail::Averaging<O, PolyakAverage<O>>::check;
  /// Throws OptionError for a setting out of its range, here or in the optimizer.
  void check() const {
    this->check_optimizer("PolyakAverage");
    detail::check_option(start >= 0, "PolyakAverage.start", "at least 0", start);
    detail::check_option(every >= 1, "PolyakAverage.every", "at least 1", every);
  }

  /// The weight that the θ that enters step t is taken into the average with.
  double weight(std::int64_t t) const {
    const std::int64_t since = t - 1 - start;
    if (since < 0) return 1;
    return since % every == 0 ? 1 / (static_cast<double>(since / every) + 1) : 0;
  }
};

static_assert(Optimizer<PolyakAverage<Sgd>, float> && Optimizer<PolyakAverage<Sgd>, double>);

}  // namespace parade
