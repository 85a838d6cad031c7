// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include <parade/concepts/loss.hpp>
#include <parade/core/types.hpp>
#include <parade/losses/two_classes.hpp>

namespace parade {

/// Modified Huber loss, for two classes and one output (Zhang 2004: "Solving large scale linear prediction problems using stochastic
/// gradient descent algorithms"): the squared hinge loss up to a margin of −1, and linear beyond, so that outliers pull with a bounded
/// force. With the margin u = s z, s = +1 if y > 0, else −1:
///
///   J(z, y) = max(0, 1 − u)² if u ≥ −1, else −4u          ∂J/∂z = −2 s max(0, 1 − u) if u ≥ −1, else −4s
///
/// The labels are {0, 1} or {−1, +1}. It is that of scikit-learn's SGDClassifier.
/// Domain: z ∈ ℝ; J ≥ 0, with a continuous slope. J = 1 and ∂J/∂z = −2s at z = 0; J = 12 and ∂J/∂z = −4s at u = −3.
struct ModifiedHuber {
  using SampleBySampleOf = ModifiedHuber;
  using Target = Label;
  static constexpr bool two_classes = true;

  std::string check_outputs(Index k) const { return detail::check_one_output("ModifiedHuber", k); }
  std::string check_target(Label y, Index) const { return detail::check_two_classes("ModifiedHuber", y); }

  /// Z (1,m), y (m) → J (m), ∂J/∂Z (1,m). `scores` may be any Eigen expression. z = NaN gives J = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const TargetsRef<Label, typename Z::Scalar>& labels,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    detail::for_each_margin(scores, labels, values, dscores, [](S u, S& slope) {
      if (u < -1) {
        slope = -4;
        return -4 * u;
      }
      const S gap = std::max(1 - u, S{0});  // in this order NaN stays NaN
      slope = gap == 0 ? S{0} : -2 * gap;
      return std::fma(gap, gap, S{0});
    });
  }
};

static_assert(Loss<ModifiedHuber, float> && Loss<ModifiedHuber, double>);

}  // namespace parade
