// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include <parade/concepts/loss.hpp>
#include <parade/core/types.hpp>

namespace parade {

/// Logistic loss, for two classes and one output:
///
///   J(z, y) = log(1 + exp(−s z)),  s = +1 if y > 0, else −1          ∂J/∂z = −s / (1 + exp(s z))
///
/// The labels are {0, 1} or {−1, +1}. P(y > 0) = 1 / (1 + exp(−z)).
/// Domain: z ∈ ℝ; J > 0, finite for every finite z, and linear in −s z where it is large. J = log 2 and ∂J/∂z = −s/2 at z = 0.
struct Logistic {
  using Target = Label;

  std::string check_outputs(Index k) const { return k == 1 ? "" : "Logistic needs a model with 1 output (SoftmaxCrossEntropy takes k)"; }
  std::string check_target(Label y, Index) const {
    return y >= -1 && y <= 1 ? "" : "the labels of Logistic must be 0 and 1, or else -1 and +1";
  }

  /// Z (1,m), y (m) → J (m), ∂J/∂Z (1,m). `scores` may be any Eigen expression. z = NaN gives J = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const TargetsRef<Label, typename Z::Scalar>& labels,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    const ConstMatrixRef<S> z{scores};
    PARADE_ASSERT(z.rows() == 1 && labels.size() == z.cols() && values.size() == z.cols());
    PARADE_ASSERT(dscores.rows() == 1 && dscores.cols() == z.cols());
    // One call of the C library's exp and log1p an element, the same at every position. Their last bits may differ between machines.
    for (Index j = 0; j < z.cols(); ++j) {
      const bool positive = labels[j] > 0;
      const S u = positive ? -z(0, j) : z(0, j);  // −s z
      const S e = std::exp(-std::abs(u));         // never overflows
      const S slope = (u < 0 ? e : S{1}) / (1 + e);
      values[j] = std::max(u, S{0}) + std::log1p(e);
      dscores(0, j) = positive ? -slope : slope;
    }
  }
};

static_assert(Loss<Logistic, float> && Loss<Logistic, double>);

}  // namespace parade
