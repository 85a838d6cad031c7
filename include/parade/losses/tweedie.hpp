// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>
#include <string>

#include <parade/concepts/loss.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/math.hpp>
#include <parade/losses/elementwise.hpp>
#include <parade/losses/gamma.hpp>
#include <parade/losses/poisson.hpp>

namespace parade {

/// Tweedie loss with log link, for k targets a sample whose variance is proportional to the mean to the power p: z is the logarithm of the
/// mean, μ = exp(z) (Jørgensen 1987: "Exponential dispersion models"):
///
///   J(z, y) = Σ_i μ_i^(2−p) / (2 − p) − y_i μ_i^(1−p) / (1 − p)          ∂J/∂z_i = μ_i^(2−p) − y_i μ_i^(1−p)
///
/// It is half the Tweedie deviance without its term y^(2−p) / ((1 − p)(2 − p)), which z does not change: scikit-learn's HalfTweedieLoss. p
/// between 1 and 2 is for amounts that are often exactly 0, like insurance claims; 3 is the inverse Gaussian. At p = 1 and p = 2, where the
/// formula divides by 0, it is that of parade::Poisson and parade::Gamma, the deviance's limits there.
/// Domain: z ∈ ℝᵏ, k ≥ 1; y_i ≥ 0 for p < 2, else y_i > 0; J is finite where the powers are. With p = 1.5: J = 2 + 2y and ∂J/∂z = 1 − y at
/// z = 0. The mean of y is what makes the mean J least.
struct Tweedie {
  using SampleBySampleOf = Tweedie;
  using Target = Real;

  double power = 1.5;  // p ≥ 1

  /// Throws OptionError for a setting out of its range.
  void check() const {
    if (!(power >= 1 && std::isfinite(power))) throw OptionError(detail::text("Tweedie.power must be finite and at least 1; got ", power));
  }
  /// The rule that a target breaks, or "".
  std::string check_target(double y, Index) const {
    if (power < 2) return y >= 0 ? "" : detail::text("the targets of Tweedie with power ", power, " must be at least 0");
    return y > 0 ? "" : detail::text("the targets of Tweedie with power ", power, " must be above 0");
  }

  /// Z (k,m), Y (k,m) → J (m), ∂J/∂Z (k,m). `scores` may be any Eigen expression. A NaN in a column, or a target out of the
  /// domain, gives J = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const ConstMatrixRef<typename Z::Scalar>& targets,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    if (power == 1) return Poisson{}.value_and_gradient(scores, targets, values, dscores);
    if (power == 2) return Gamma{}.value_and_gradient(scores, targets, values, dscores);
    const S one = static_cast<S>(1 - power), two = static_cast<S>(2 - power);
    const bool zero = power < 2;  // whether y may be 0
    detail::for_each_output(
        scores, targets, values, dscores,
        [one, two](const S* z, S* first, S* second, Index count) {
          for (Index e = 0; e < count; ++e) {
            first[e] = one * z[e];
            second[e] = two * z[e];
          }
          kernels::transform(first, count, [](auto x) { return kernels::exp<S>(x); });   // μ^(1−p)
          kernels::transform(second, count, [](auto x) { return kernels::exp<S>(x); });  // μ^(2−p)
        },
        [one, two, zero](S, S y, S first, S second, S& sum, S& slope) {
          const S known = y > 0 || (zero && y == 0) ? y : std::numeric_limits<S>::quiet_NaN();
          sum += known == 0 ? second / two : std::fma(-known, first / one, second / two);  // 0 · ∞ is 0 here
          slope = known == 0 ? second : std::fma(-known, first, second);
        });
  }
};

static_assert(Loss<Tweedie, float> && Loss<Tweedie, double>);

}  // namespace parade
