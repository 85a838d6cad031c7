// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>
#include <string>

#include <parade/concepts/loss.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/math.hpp>
#include <parade/losses/elementwise.hpp>

namespace parade {

/// Gamma loss with log link, for k positive targets a sample whose standard deviation is proportional to their mean: z is the logarithm of
/// the mean, μ = exp(z):
///
///   J(z, y) = Σ_i z_i + y_i exp(−z_i)          ∂J/∂z_i = 1 − y_i exp(−z_i)
///
/// It is half the deviance d(y, μ) = 2(log(μ/y) + y/μ − 1) without its terms −log y − 1, which z does not change: scikit-learn's
/// HalfGammaLoss, and its mean_gamma_deviance is 2(J − log y − 1). Up to a factor also the negative log-likelihood of a gamma distribution
/// of any fixed shape.
/// Domain: z ∈ ℝᵏ, k ≥ 1, y_i > 0; J is finite where y exp(−z) is, and may be negative. J = y and ∂J/∂z = 1 − y at z = 0. The mean of y is
/// what makes the mean J least.
struct Gamma {
  using SampleBySampleOf = Gamma;
  using Target = Real;

  /// The rule that a target breaks, or "".
  std::string check_target(double y, Index) const { return y > 0 ? "" : "the targets of Gamma must be above 0"; }

  /// Z (k,m), Y (k,m) → J (m), ∂J/∂Z (k,m). `scores` may be any Eigen expression. A NaN in a column, or a target out of the
  /// domain, gives J = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const ConstMatrixRef<typename Z::Scalar>& targets,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    detail::for_each_output(
        scores, targets, values, dscores,
        [](const S* z, S* inverse, S*, Index count) {
          for (Index e = 0; e < count; ++e) inverse[e] = -z[e];
          kernels::transform(inverse, count, [](auto x) { return kernels::exp<S>(x); });  // 1/μ
        },
        [](S z, S y, S inverse, S, S& sum, S& slope) {
          const S known = y > 0 ? y : std::numeric_limits<S>::quiet_NaN();
          sum += std::fma(known, inverse, z);
          slope = std::fma(-known, inverse, S{1});
        });
  }
};

static_assert(Loss<Gamma, float> && Loss<Gamma, double>);

}  // namespace parade
