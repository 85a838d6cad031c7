// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include <parade/concepts/loss.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/losses/elementwise.hpp>

namespace parade {

/// ε-insensitive loss, for regression on k real targets a sample: linear support vector regression (Vapnik 1995: "The nature of statistical
/// learning theory"). A difference of up to ε costs nothing:
///
///   J(z, y) = Σ_i max(0, |z_i − y_i| − ε)          ∂J/∂z_i = sign(z_i − y_i) if |z_i − y_i| > ε, else 0
///
/// At the kinks, |z_i − y_i| = ε, the slope given is 0. It is that of scikit-learn's SGDRegressor and LinearSVR.
/// Domain: z, y ∈ ℝᵏ, k ≥ 1; J ≥ 0. With ε = 0.1: J = 0.4 and ∂J/∂z = 1 at z = 0.5, y = 0. With ε = 0 it is the absolute error.
struct EpsilonInsensitive {
  using SampleBySampleOf = EpsilonInsensitive;
  using Target = Real;

  double epsilon = 0.1;  // ε ≥ 0, in the units of y

  /// Throws OptionError for a setting out of its range.
  void check() const {
    if (!(epsilon >= 0 && std::isfinite(epsilon)))
      throw OptionError(detail::text("EpsilonInsensitive.epsilon must be finite and at least 0; got ", epsilon));
  }

  /// Z (k,m), Y (k,m) → J (m), ∂J/∂Z (k,m). `scores` may be any Eigen expression. A NaN in a column gives J = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const ConstMatrixRef<typename Z::Scalar>& targets,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    const S free = static_cast<S>(epsilon);
    detail::for_each_output(scores, targets, values, dscores, [free](S z, S y, S& sum, S& slope) {
      const S difference = z - y, excess = std::abs(difference) - free;
      const bool within = excess <= 0;  // false for NaN
      sum += within ? S{0} : excess;
      slope = within ? S{0} : detail::sign(difference);
    });
  }
};

static_assert(Loss<EpsilonInsensitive, float> && Loss<EpsilonInsensitive, double>);

}  // namespace parade
