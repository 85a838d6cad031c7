// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <utility>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/check_option.hpp>
#include <parade/optimizers/averaging.hpp>
#include <parade/optimizers/rules.hpp>
#include <parade/optimizers/sgd.hpp>

namespace parade {

/// An optimizer that also keeps an exponential moving average θ̄ of θ, often the better model; θ itself is trained as without it, to the bit.
/// With θ₀ at the start and θₜ after step t, and θ̄ after step T:
///
///   θ̄ = Σₜ dᵀ⁻¹⁻ᵗ θₜ / Σₜ dᵀ⁻¹⁻ᵗ          t = 0 … T − 1, d is `decay`
///   θ̄ ← θ̄ + (1 − d)/(1 − dᵀ) (θ_{T−1} − θ̄)           in step T
///
///   parade::Ema{parade::Sgd{.rate = 0.1}, 0.999}
///
/// The average is over the θ that *enter* the steps. Such a θ is final, while a proximal step or a projection may follow the step of an
/// optimizer; so θ̄ is one step behind, and lies in every convex set that θ is kept in. The division by the sum of the weights corrects
/// what Adam's does: after one step θ̄ is θ₀, not (1 − d)θ₀, and no starting value outlives its weight. At any time θ̄ is about the mean of
/// the last 1/(1 − d) of them, or of all while there are fewer.
template <class O>
struct Ema : detail::Averaging<O, Ema<O>> {
  double decay;  // d in [0, 1)

  explicit Ema(O inner, double d = 0.999) : detail::Averaging<O, Ema<O>>(std::move(inner)), decay(d) {}

  using detail::Averaging<O, Ema<O>>::check;
  /// Throws OptionError for a setting out of its range, here or in the optimizer.
  void check() const {
    this->check_optimizer("Ema");
    detail::check_below_one("Ema.decay", decay);
  }

  /// The weight that the θ that enters step t is taken into the average with.
  double weight(std::int64_t t) const { return t == 1 ? 1 : (1 - decay) / detail::one_minus_power(decay, t); }
};

static_assert(Optimizer<Ema<Sgd>, float> && Optimizer<Ema<Sgd>, double>);

}  // namespace parade
