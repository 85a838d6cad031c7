// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>
#include <string>

#include <parade/concepts/loss.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/math.hpp>

namespace parade {

/// Cross-entropy of the softmax of the scores, for k classes and k outputs:
///
///   J(z, y) = −log p_y = log Σ_i exp(z_i) − z_y,   p_i = exp(z_i) / Σ_l exp(z_l)          ∂J/∂z_i = p_i − [i = y]
///
/// The labels are 0 … k−1.
/// Domain: z ∈ ℝᵏ, k ≥ 2; J > 0. The largest score is subtracted first, so that exp never overflows and J is finite wherever the difference
/// of two scores is. J = log k and ∂J/∂z = 1/k − [i = y] where all scores are equal.
struct SoftmaxCrossEntropy {
  using SampleBySampleOf = SoftmaxCrossEntropy;
  using Target = Label;

  std::string check_outputs(Index k) const {
    return k >= 2 ? "" : "SoftmaxCrossEntropy needs a model with at least 2 outputs (Logistic takes 1)";
  }
  std::string check_target(Label y, Index k) const {
    return y >= 0 && y < k ? "" : detail::text("the labels of SoftmaxCrossEntropy with ", k, " outputs must be in [0, ", k - 1, "]");
  }

  /// Z (k,m), y (m) → J (m), ∂J/∂Z (k,m). `scores` may be any Eigen expression.
  /// A score of NaN or +∞ gives a J that is not finite. A label out of range touches no memory: it gives J = NaN and ∂J/∂z = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const TargetsRef<Label, typename Z::Scalar>& labels,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    const ConstMatrixRef<S> z{scores};
    PARADE_ASSERT(z.rows() >= 1 && labels.size() == z.cols() && values.size() == z.cols());
    PARADE_ASSERT(dscores.rows() == z.rows() && dscores.cols() == z.cols());
    const S nan = std::numeric_limits<S>::quiet_NaN();
    constexpr Index chunk = 64;
    S gaps[chunk];  // max_i z_i − z_y
    for (Index first = 0; first < z.cols(); first += chunk) {
      const Index count = std::min(chunk, z.cols() - first);
      for (Index c = 0; c < count; ++c) {
        const Index j = first + c, y = labels[j];
        const bool known = y >= 0 && y < z.rows();
        S top = z(0, j);
        for (Index i = 1; i < z.rows(); ++i) top = std::max(top, z(i, j));
        gaps[c] = top - (known ? z(y, j) : nan);
        S* exps = &dscores(0, j);
        for (Index i = 0; i < z.rows(); ++i) exps[i] = z(i, j) - top;
        kernels::transform(exps, z.rows(), [](auto x) { return kernels::exp<S>(x); });
        S others = 0;  // Σ_{i≠y} exp(z_i − top)
        for (Index i = 0; i < z.rows(); ++i)
          if (i != y) others += exps[i];
        const S own = known ? exps[y] : nan, sum = own + others;
        // Where y has the largest score, own is 1: J = log1p(others) and ∂J/∂z_y = −others / sum keep their digits as p_y goes to 1.
        values[j] = (own - 1) + others;
        for (Index i = 0; i < z.rows(); ++i) exps[i] = (i == y ? -others : exps[i]) / sum;
      }
      S* value = values.data() + first;
      kernels::transform(value, count, [](auto x) { return kernels::log1p<S>(x); });
      for (Index c = 0; c < count; ++c) value[c] += gaps[c];
    }
  }
};

static_assert(Loss<SoftmaxCrossEntropy, float> && Loss<SoftmaxCrossEntropy, double>);

}  // namespace parade
