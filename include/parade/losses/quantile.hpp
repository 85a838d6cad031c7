// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include <parade/concepts/loss.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/losses/elementwise.hpp>

namespace parade {

/// Quantile loss, also called pinball loss, for regression on k real targets a sample (Koenker, Bassett 1978: "Regression quantiles"): what
/// lies above the prediction costs τ a unit, what lies below 1 − τ. With d_i = z_i − y_i:
///
///   J(z, y) = Σ_i max((1 − τ) d_i, −τ d_i)          ∂J/∂z_i = 1 − τ if d_i > 0, −τ if d_i < 0
///
/// At the kink, d_i = 0, every slope in [−τ, 1 − τ] is a subgradient; the one given is 0.
/// Domain: z, y ∈ ℝᵏ, k ≥ 1; J ≥ 0, and 0 only at z = y. With τ = 0.9: J = 1.8 at z = 0, y = 2; J = 0.2 at z = 2, y = 0. The τ-quantile of
/// y makes the mean J least; τ = ½ gives half the absolute error, and the median.
struct Quantile {
  using SampleBySampleOf = Quantile;
  using Target = Real;

  double quantile = 0.5;  // τ in (0, 1)

  /// Throws OptionError for a setting out of its range.
  void check() const {
    if (!(quantile > 0 && quantile < 1)) throw OptionError(detail::text("Quantile.quantile must be in (0, 1); got ", quantile));
  }

  /// Z (k,m), Y (k,m) → J (m), ∂J/∂Z (k,m). `scores` may be any Eigen expression. A NaN in a column gives J = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const ConstMatrixRef<typename Z::Scalar>& targets,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    const S above = static_cast<S>(1 - quantile), below = static_cast<S>(-quantile);
    detail::for_each_output(scores, targets, values, dscores, [above, below](S z, S y, S& sum, S& slope) {
      const S difference = z - y;
      slope = difference > 0 ? above : difference < 0 ? below : difference + S{0};  // 0, or NaN
      sum = std::fma(difference > 0 ? above : below, difference, sum);
    });
  }
};

static_assert(Loss<Quantile, float> && Loss<Quantile, double>);

}  // namespace parade
