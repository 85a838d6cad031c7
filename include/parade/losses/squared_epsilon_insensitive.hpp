// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include <parade/concepts/loss.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/losses/elementwise.hpp>

namespace parade {

/// Squared ε-insensitive loss, for regression on k real targets a sample: L2 support vector regression (Ho, Lin 2012: "Large-scale linear
/// support vector regression"). A difference of up to ε costs nothing. With e_i = max(0, |z_i − y_i| − ε):
///
///   J(z, y) = Σ_i e_i²          ∂J/∂z_i = 2 e_i sign(z_i − y_i)
///
/// It is that of scikit-learn's SGDRegressor and LinearSVR. With ε = 0 it is twice parade::SquaredError, which has a ½.
/// Domain: z, y ∈ ℝᵏ, k ≥ 1; J ≥ 0, with a continuous slope. With ε = 0.5: J = 4 and ∂J/∂z = 4 at z = 2.5, y = 0.
struct SquaredEpsilonInsensitive {
  using SampleBySampleOf = SquaredEpsilonInsensitive;
  using Target = Real;

  double epsilon = 0.1;  // ε ≥ 0, in the units of y

  /// Throws OptionError for a setting out of its range.
  void check() const {
    if (!(epsilon >= 0 && std::isfinite(epsilon)))
      throw OptionError(detail::text("SquaredEpsilonInsensitive.epsilon must be finite and at least 0; got ", epsilon));
  }

  /// Z (k,m), Y (k,m) → J (m), ∂J/∂Z (k,m). `scores` may be any Eigen expression. A NaN in a column gives J = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const ConstMatrixRef<typename Z::Scalar>& targets,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    const S free = static_cast<S>(epsilon);
    detail::for_each_output(scores, targets, values, dscores, [free](S z, S y, S& sum, S& slope) {
      const S difference = z - y, gap = std::abs(difference) - free;
      const S excess = gap <= 0 ? S{0} : gap;  // in this order NaN stays NaN
      sum = std::fma(excess, excess, sum);
      slope = difference < 0 ? -2 * excess : 2 * excess;
    });
  }
};

static_assert(Loss<SquaredEpsilonInsensitive, float> && Loss<SquaredEpsilonInsensitive, double>);

}  // namespace parade
