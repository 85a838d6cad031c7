// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include <parade/concepts/loss.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/math.hpp>
#include <parade/kernels/real_power.hpp>
#include <parade/losses/two_classes.hpp>

namespace parade {

/// Logistic loss, for two classes and one output:
///
///   J(z, y) = log(1 + exp(−s z)),  s = +1 if y > 0, else −1          ∂J/∂z = −s / (1 + exp(s z))
///
/// The labels are {0, 1} or {−1, +1}. P(y > 0) = 1 / (1 + exp(−z)).
/// Domain: z ∈ ℝ; J > 0, finite for every finite z, and linear in −s z where it is large. J = log 2 and ∂J/∂z = −s/2 at z = 0.
struct Logistic {
  using SampleBySampleOf = Logistic;
  using Target = Label;
  static constexpr bool two_classes = true;

  std::string check_outputs(Index k) const { return detail::check_one_output("Logistic", k, "SoftmaxCrossEntropy"); }
  std::string check_target(Label y, Index) const { return detail::check_two_classes("Logistic", y); }

  /// Z (1,m), y (m) → J (m), ∂J/∂Z (1,m). `scores` may be any Eigen expression. z = NaN gives J = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const TargetsRef<Label, typename Z::Scalar>& labels,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    const ConstMatrixRef<S> z{scores};
    PARADE_ASSERT(z.rows() == 1 && labels.size() == z.cols() && values.size() == z.cols());
    PARADE_ASSERT(dscores.rows() == 1 && dscores.cols() == z.cols());
    constexpr Index chunk = 64;
    S slopes[chunk];
    for (Index first = 0; first < z.cols(); first += chunk) {
      const Index count = std::min(chunk, z.cols() - first);
      S* value = values.data() + first;
      for (Index j = 0; j < count; ++j) value[j] = labels[first + j] > 0 ? -z(0, first + j) : z(0, first + j);  // −s z
      kernels::transform(value, slopes, count, [](auto u) { return kernels::sigmoid<S>(u); });
      kernels::transform(value, count, [](auto u) { return kernels::softplus<S>(u); });
      for (Index j = 0; j < count; ++j) dscores(0, first + j) = labels[first + j] > 0 ? -slopes[j] : slopes[j];
    }
  }

  /// a log a + (1 − a) log(1 − a) for a = −s u in [0, 1], else ∞ (Shalev-Shwartz, Zhang 2013): −log 2 at u = ½ and at u = −½, on either
  /// side.
  double conjugate(double u, Label y) const {
    const double a = y > 0 ? -u : u, b = 1 - a;
    if (a < 0 || b < 0) return std::numeric_limits<double>::infinity();
    const double of_a = a == 0 ? 0 : std::fma(a, detail::log_of(a), 0.0);
    return b == 0 ? of_a : std::fma(b, detail::log_of(b), of_a);
  }
};

static_assert(Loss<Logistic, float> && Loss<Logistic, double>);
static_assert(HasConjugate<Logistic>);

}  // namespace parade
