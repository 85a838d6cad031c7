// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include <parade/concepts/loss.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/math.hpp>
#include <parade/losses/softmax.hpp>

namespace parade {

/// Cross-entropy of the softmax of the scores, for k classes and k outputs:
///
///   J(z, y) = −log p_y = log Σ_i exp(z_i) − z_y,   p_i = exp(z_i) / Σ_l exp(z_l)          ∂J/∂z_i = p_i − [i = y]
///
/// The labels are 0 … k−1. With label smoothing ε (Szegedy et al. 2016: "Rethinking the Inception architecture") the class counts for
/// 1 − ε, and all k classes share ε:
///
///   J(z, y) = −Σ_i q_i log p_i,   q_i = (1 − ε) [i = y] + ε/k          ∂J/∂z_i = p_i − q_i
///
/// Domain: z ∈ ℝᵏ, k ≥ 2; J > 0. The largest score is subtracted first, so that exp never overflows and J is finite wherever the difference
/// of two scores is. J = log k where all scores are equal, and there ∂J/∂z = 1/k − q.
struct SoftmaxCrossEntropy {
  using SampleBySampleOf = SoftmaxCrossEntropy;
  using Target = Label;

  double label_smoothing = 0;  // ε in [0, 1)

  /// Throws OptionError for a setting out of its range.
  void check() const {
    if (!(label_smoothing >= 0 && label_smoothing < 1))
      throw OptionError(detail::text("SoftmaxCrossEntropy.label_smoothing must be in [0, 1); got ", label_smoothing));
  }
  std::string check_outputs(Index k) const {
    return k >= 2 ? "" : "SoftmaxCrossEntropy needs a model with at least 2 outputs (Logistic takes 1)";
  }
  std::string check_target(Label y, Index k) const { return detail::check_class("SoftmaxCrossEntropy", y, k); }

  /// Z (k,m), y (m) → J (m), ∂J/∂Z (k,m). `scores` may be any Eigen expression.
  /// A score of NaN or +∞ gives a J that is not finite. A label out of range touches no memory: it gives J = NaN and ∂J/∂z = NaN. A score
  /// of −∞ is a probability of 0: J = ∞ if it is that of y, or with label smoothing of any class.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const TargetsRef<Label, typename Z::Scalar>& labels,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    const ConstMatrixRef<S> z{scores};
    PARADE_ASSERT(z.rows() >= 1 && labels.size() == z.cols() && values.size() == z.cols());
    PARADE_ASSERT(dscores.rows() == z.rows() && dscores.cols() == z.cols());
    constexpr Index chunk = 64;
    S gaps[chunk];  // Σ_i q_i (top − z_i)
    for (Index first = 0; first < z.cols(); first += chunk) {
      const Index count = std::min(chunk, z.cols() - first);
      for (Index c = 0; c < count; ++c) {
        const Index j = first + c, y = labels[j];
        S* slopes = &dscores(0, j);
        const auto part = detail::softmax_parts<S>(z, j, y, slopes);
        const S sum = part.own + part.others;
        gaps[c] = part.gap;
        values[j] = (part.own - 1) + part.others;
        for (Index i = 0; i < z.rows(); ++i) slopes[i] = (i == y ? -part.others : slopes[i]) / sum;
        if (label_smoothing != 0) smooth(z, j, y, part.top, gaps[c], slopes);
      }
      S* value = values.data() + first;
      kernels::transform(value, count, [](auto x) { return kernels::log1p<S>(x); });
      for (Index c = 0; c < count; ++c) value[c] += gaps[c];
    }
  }

  /// q_c of the label y, for k classes.
  double target_share(Index c, Label y, Index k) const {
    return (c == y ? 1 - label_smoothing : 0) + label_smoothing / static_cast<double>(k);
  }

  /// The conjugate of J in z: Σ_c p_c log p_c, where p = u + q must be a distribution, to rounding; else ∞.
  double conjugate(const ConstVectorRef<double>& u, Label y) const {
    constexpr double rounding = 1e-14;
    double entropy = 0, all = 0;
    for (Index c = 0; c < u.size(); ++c) {
      const double p = u[c] + target_share(c, y, u.size());
      if (p < -rounding) return std::numeric_limits<double>::infinity();
      all += p;
      if (p <= 0) continue;
      double log = p;
      kernels::transform(&log, 1, [](auto x) { return kernels::log<double>(x); });
      entropy = std::fma(p, log, entropy);
    }
    return std::abs(all - 1) > rounding * static_cast<double>(u.size() + 1) ? std::numeric_limits<double>::infinity() : entropy;
  }

 private:
  /// top − z_y → Σ_i q_i (top − z_i), p_i − [i = y] → p_i − q_i, for column j of Z.
  template <class S>
  void smooth(const ConstMatrixRef<S>& z, Index j, Index y, S top, S& gap, S* slopes) const {
    const S share = static_cast<S>(label_smoothing / static_cast<double>(z.rows()));  // ε/k
    S all = 0;
    for (Index i = 0; i < z.rows(); ++i) all = std::fma(share, top - z(i, j), all);
    gap = std::fma(static_cast<S>(1 - label_smoothing), gap, all);
    for (Index i = 0; i < z.rows(); ++i) slopes[i] += i == y ? static_cast<S>(label_smoothing) - share : -share;
  }
};

static_assert(HasColumnConjugate<SoftmaxCrossEntropy>);
static_assert(Loss<SoftmaxCrossEntropy, float> && Loss<SoftmaxCrossEntropy, double>);

}  // namespace parade
