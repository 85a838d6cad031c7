// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include <parade/concepts/loss.hpp>
#include <parade/core/types.hpp>
#include <parade/losses/two_classes.hpp>

namespace parade {

/// Squared hinge loss, for two classes and one output: the L2 support vector machine (Chang, Hsieh, Lin 2008: "Coordinate descent method
/// for large-scale L2-loss linear support vector machines"):
///
///   J(z, y) = max(0, 1 − s z)²,  s = +1 if y > 0, else −1          ∂J/∂z = −2 s max(0, 1 − s z)
///
/// The labels are {0, 1} or {−1, +1}. Smooth where Hinge has a kink, and harder on outliers.
/// Domain: z ∈ ℝ; J ≥ 0, and finite where the square is. J = 1 and ∂J/∂z = −2s at z = 0; J = 9 and ∂J/∂z = −6s at s z = −2.
struct SquaredHinge {
  using SampleBySampleOf = SquaredHinge;
  using Target = Label;
  static constexpr bool two_classes = true;

  std::string check_outputs(Index k) const { return detail::check_one_output("SquaredHinge", k); }
  std::string check_target(Label y, Index) const { return detail::check_two_classes("SquaredHinge", y); }

  /// Z (1,m), y (m) → J (m), ∂J/∂Z (1,m). `scores` may be any Eigen expression. z = NaN gives J = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const TargetsRef<Label, typename Z::Scalar>& labels,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    detail::for_each_margin(scores, labels, values, dscores, [](S u, S& slope) {
      const S gap = std::max(1 - u, S{0});  // in this order NaN stays NaN
      slope = gap == 0 ? S{0} : -2 * gap;
      return std::fma(gap, gap, S{0});
    });
  }

  /// ¼a² − a for a = −s u ≥ 0, else ∞ (Fan, Chang, Hsieh, Wang, Lin 2008: "LIBLINEAR", by its dual problem).
  double conjugate(double u, Label y) const {
    const double a = y > 0 ? -u : u;
    return a < 0 ? std::numeric_limits<double>::infinity() : std::fma(a / 4, a, -a);
  }
};

static_assert(Loss<SquaredHinge, float> && Loss<SquaredHinge, double>);
static_assert(HasConjugate<SquaredHinge>);

}  // namespace parade
