// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>
#include <string>

#include <parade/concepts/loss.hpp>
#include <parade/core/types.hpp>
#include <parade/losses/two_classes.hpp>

namespace parade {

/// Hinge loss, for two classes and one output: the linear support vector machine (Cortes, Vapnik 1995):
///
///   J(z, y) = max(0, 1 − s z),  s = +1 if y > 0, else −1          ∂J/∂z = −s if s z < 1, else 0
///
/// The labels are {0, 1} or {−1, +1}. At the kink, s z = 1, every slope between −s and 0 is a subgradient; the one given is 0.
/// Domain: z ∈ ℝ; J ≥ 0. J = 1 and ∂J/∂z = −s at z = 0.
struct Hinge {
  using SampleBySampleOf = Hinge;
  using Target = Label;
  static constexpr bool two_classes = true;

  std::string check_outputs(Index k) const { return detail::check_one_output("Hinge", k, "MulticlassHinge"); }
  std::string check_target(Label y, Index) const { return detail::check_two_classes("Hinge", y); }

  /// Z (1,m), y (m) → J (m), ∂J/∂Z (1,m). `scores` may be any Eigen expression. z = NaN gives J = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const TargetsRef<Label, typename Z::Scalar>& labels,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    detail::for_each_margin(scores, labels, values, dscores, [](S u, S& slope) {
      const S gap = 1 - u;
      slope = gap <= 0 ? S{0} : S{-1};
      return std::max(gap, S{0});  // in this order NaN stays NaN
    });
  }

  /// −a for a = −s u in [0, 1], else ∞ (Shalev-Shwartz, Zhang 2013).
  double conjugate(double u, Label y) const {
    const double a = y > 0 ? -u : u;
    return a < 0 || a > 1 ? std::numeric_limits<double>::infinity() : -a;
  }

  /// a + (1 − s z)/h, cut to [0, 1]: the step of dual coordinate descent (Hsieh, Chang, Lin, Keerthi, Sundararajan, ICML 2008).
  double conjugate_step(double u, Label y, double z, double h) const {
    const double a = y > 0 ? -u : u, gap = 1 - (y > 0 ? z : -z);
    const double next = gap == 0 ? a : std::min(std::max(a + gap / h, 0.0), 1.0);  // in this order NaN stays NaN
    return y > 0 ? -next : next;
  }
};

static_assert(Loss<Hinge, float> && Loss<Hinge, double>);
static_assert(HasConjugateStep<Hinge>);

}  // namespace parade
