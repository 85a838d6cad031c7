// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <string>

#include <parade/concepts/loss.hpp>
#include <parade/core/types.hpp>

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

  std::string check_outputs(Index k) const { return k == 1 ? "" : "Hinge needs a model with 1 output"; }
  std::string check_target(Label y, Index) const {
    return y >= -1 && y <= 1 ? "" : "the labels of Hinge must be 0 and 1, or else -1 and +1";
  }

  /// Z (1,m), y (m) → J (m), ∂J/∂Z (1,m). `scores` may be any Eigen expression. z = NaN gives J = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const TargetsRef<Label, typename Z::Scalar>& labels,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    const ConstMatrixRef<S> z{scores};
    PARADE_ASSERT(z.rows() == 1 && labels.size() == z.cols() && values.size() == z.cols());
    PARADE_ASSERT(dscores.rows() == 1 && dscores.cols() == z.cols());
    for (Index j = 0; j < z.cols(); ++j) {
      const bool positive = labels[j] > 0;
      const S gap = 1 - (positive ? z(0, j) : -z(0, j));  // 1 − s z
      values[j] = std::max(gap, S{0});                    // in this order NaN stays NaN
      dscores(0, j) = gap <= 0 ? S{0} : positive ? S{-1} : S{1};
    }
  }
};

static_assert(Loss<Hinge, float> && Loss<Hinge, double>);

}  // namespace parade
