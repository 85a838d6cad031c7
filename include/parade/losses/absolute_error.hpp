// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include <parade/concepts/loss.hpp>
#include <parade/core/types.hpp>
#include <parade/losses/elementwise.hpp>

namespace parade {

/// Absolute error, for regression on k real targets a sample that may hold outliers:
///
///   J(z, y) = Σ_i |z_i − y_i|          ∂J/∂z_i = sign(z_i − y_i)
///
/// At the kink, z_i = y_i, every slope in [−1, 1] is a subgradient; the one given is 0.
/// Domain: z, y ∈ ℝᵏ, k ≥ 1; J ≥ 0, and 0 only at z = y. J = 2 and ∂J/∂z = 1 at z = 2, y = 0. A median of y makes the mean J least.
struct AbsoluteError {
  using SampleBySampleOf = AbsoluteError;
  using Target = Real;

  /// Z (k,m), Y (k,m) → J (m), ∂J/∂Z (k,m). `scores` may be any Eigen expression. A NaN in a column gives J = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const ConstMatrixRef<typename Z::Scalar>& targets,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    detail::for_each_output(scores, targets, values, dscores, [](S z, S y, S& sum, S& slope) {
      const S difference = z - y;
      sum += std::abs(difference);
      slope = detail::sign(difference);
    });
  }
};

static_assert(Loss<AbsoluteError, float> && Loss<AbsoluteError, double>);

}  // namespace parade
