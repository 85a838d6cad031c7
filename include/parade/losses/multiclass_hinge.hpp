// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>
#include <string>

#include <parade/concepts/loss.hpp>
#include <parade/core/types.hpp>
#include <parade/losses/softmax.hpp>

namespace parade {

/// Hinge loss for k classes and k outputs: the multiclass support vector machine of Weston and Watkins (1999: "Support vector machines for
/// multi-class pattern recognition"). Every wrong class that comes closer than 1 to the right one costs:
///
///   J(z, y) = Σ_{i≠y} max(0, 1 − (z_y − z_i))          ∂J/∂z_i = 1 if z_y − z_i < 1, else 0, for i ≠ y;   ∂J/∂z_y = −Σ_{i≠y} ∂J/∂z_i
///
/// The labels are 0 … k−1. Not divided by the number of classes (PyTorch's multi_margin_loss is). At a kink, z_y − z_i = 1, the slope given
/// is 0.
/// Domain: z ∈ ℝᵏ, k ≥ 2; J ≥ 0. J = k − 1 and ∂J/∂z_y = −(k − 1) where all scores are equal.
struct MulticlassHinge {
  using SampleBySampleOf = MulticlassHinge;
  using Target = Label;

  std::string check_outputs(Index k) const { return k >= 2 ? "" : "MulticlassHinge needs a model with at least 2 outputs (Hinge takes 1)"; }
  std::string check_target(Label y, Index k) const { return detail::check_class("MulticlassHinge", y, k); }

  /// Z (k,m), y (m) → J (m), ∂J/∂Z (k,m). `scores` may be any Eigen expression. A NaN in a column gives J = NaN. A label out of range
  /// touches no memory: it gives J = NaN and ∂J/∂z = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const TargetsRef<Label, typename Z::Scalar>& labels,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    const ConstMatrixRef<S> z{scores};
    PARADE_ASSERT(labels.size() == z.cols() && values.size() == z.cols());
    PARADE_ASSERT(dscores.rows() == z.rows() && dscores.cols() == z.cols());
    for (Index j = 0; j < z.cols(); ++j) {
      const Index y = labels[j];
      if (y < 0 || y >= z.rows()) {
        values[j] = std::numeric_limits<S>::quiet_NaN();
        for (Index i = 0; i < z.rows(); ++i) dscores(i, j) = std::numeric_limits<S>::quiet_NaN();
        continue;
      }
      const S own = z(y, j);
      S sum = 0, slopes = 0;
      for (Index i = 0; i < z.rows(); ++i) {
        if (i == y) continue;
        const S gap = 1 - (own - z(i, j)), slope = gap <= 0 ? S{0} : S{1};
        sum += std::max(gap, S{0});  // in this order NaN stays NaN
        slopes += slope;
        dscores(i, j) = slope;
      }
      values[j] = sum;
      dscores(y, j) = 0 - slopes;
    }
  }
};

static_assert(Loss<MulticlassHinge, float> && Loss<MulticlassHinge, double>);

}  // namespace parade
