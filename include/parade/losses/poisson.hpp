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

/// Poisson loss with log link, for k counts a sample: z is the logarithm of the mean, μ = exp(z). It is the negative log-likelihood of a
/// Poisson distribution without the term log y!, which z does not change:
///
///   J(z, y) = Σ_i exp(z_i) − y_i z_i          ∂J/∂z_i = exp(z_i) − y_i
///
/// It is PyTorch's poisson_nll_loss, and scikit-learn's HalfPoissonLoss.
/// Domain: z ∈ ℝᵏ, k ≥ 1, y_i ≥ 0 and whole or not; J is finite where exp(z) is (z below 709 in double, 88 in float), and may be negative.
/// J = 1 and ∂J/∂z = 1 − y at z = 0. The mean of y is what makes the mean J least.
struct Poisson {
  using SampleBySampleOf = Poisson;
  using Target = Real;

  /// The rule that a target breaks, or "".
  std::string check_target(double y, Index) const { return y >= 0 ? "" : "the targets of Poisson must be at least 0"; }

  /// Z (k,m), Y (k,m) → J (m), ∂J/∂Z (k,m). `scores` may be any Eigen expression. A NaN in a column, or a target out of the
  /// domain, gives J = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const ConstMatrixRef<typename Z::Scalar>& targets,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    detail::for_each_output(
        scores, targets, values, dscores,
        [](const S* z, S* mean, S*, Index count) { kernels::transform(z, mean, count, [](auto x) { return kernels::exp<S>(x); }); },
        [](S z, S y, S mean, S, S& sum, S& slope) {
          const S count = y >= 0 ? y : std::numeric_limits<S>::quiet_NaN();
          sum += count == 0 ? mean : std::fma(-count, z, mean);  // 0 · −∞ is 0 here
          slope = mean - count;
        });
  }
};

static_assert(Loss<Poisson, float> && Loss<Poisson, double>);

}  // namespace parade
