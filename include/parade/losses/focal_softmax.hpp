// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include <parade/concepts/loss.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/math.hpp>
#include <parade/losses/softmax.hpp>

namespace parade {

/// Focal loss for k classes and k outputs (Lin et al. 2017: "Focal loss for dense object detection", there for two classes): the
/// cross-entropy of the softmax, with the samples that are right already made light. With p_i = exp(z_i) / Σ_l exp(z_l) and L = −log p_y:
///
///   J(z, y) = (1 − p_y)^γ L          ∂J/∂z_y = −(1 − p_y)^γ (1 − p_y + γ p_y L)
///                                    ∂J/∂z_i =  (1 − p_y)^γ (p_i + γ p_y L p_i / (1 − p_y))   for i ≠ y
///
/// The labels are 0 … k−1. γ = 0 is parade::SoftmaxCrossEntropy. The paper's factors α are class weights: see parade::sample_weights.
/// Domain: z ∈ ℝᵏ, k ≥ 2; J ≥ 0, finite wherever the difference of two scores is. J = (1 − 1/k)^γ log k where all scores are equal.
struct FocalSoftmax {
  using SampleBySampleOf = FocalSoftmax;
  using Target = Label;

  double gamma = 2;  // γ ≥ 0; 2 is the paper's best

  /// Throws OptionError for a setting out of its range.
  void check() const {
    if (!(gamma >= 0 && std::isfinite(gamma)))
      throw OptionError(detail::text("FocalSoftmax.gamma must be finite and at least 0; got ", gamma));
  }
  std::string check_outputs(Index k) const {
    return k >= 2 ? "" : "FocalSoftmax needs a model with at least 2 outputs (FocalLogistic takes 1)";
  }
  std::string check_target(Label y, Index k) const { return detail::check_class("FocalSoftmax", y, k); }

  /// Z (k,m), y (m) → J (m), ∂J/∂Z (k,m). `scores` may be any Eigen expression.
  /// A score of NaN or +∞ gives a J that is not finite. A label out of range touches no memory: it gives J = NaN and ∂J/∂z = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const TargetsRef<Label, typename Z::Scalar>& labels,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    const ConstMatrixRef<S> z{scores};
    PARADE_ASSERT(z.rows() >= 1 && labels.size() == z.cols() && values.size() == z.cols());
    PARADE_ASSERT(dscores.rows() == z.rows() && dscores.cols() == z.cols());
    const S power = static_cast<S>(gamma);
    constexpr Index chunk = 64;
    detail::SoftmaxParts<S> parts[chunk];
    S weight[chunk];  // (1 − p_y)^γ
    for (Index first = 0; first < z.cols(); first += chunk) {
      const Index count = std::min(chunk, z.cols() - first);
      S* value = values.data() + first;
      for (Index c = 0; c < count; ++c) {
        const auto part = parts[c] = detail::softmax_parts<S>(z, first + c, labels[first + c], &dscores(0, first + c));
        value[c] = (part.own - 1) + part.others;
        weight[c] = part.others / (part.own + part.others);
      }
      kernels::transform(value, count, [](auto x) { return kernels::log1p<S>(x); });
      kernels::transform(weight, count, [](auto x) { return kernels::log<S>(x); });
      for (Index c = 0; c < count; ++c) weight[c] = power == 0 ? S{0} : power * weight[c];  // not 0 · ∞
      kernels::transform(weight, count, [](auto x) { return kernels::exp<S>(x); });
      for (Index c = 0; c < count; ++c) {
        const auto& part = parts[c];
        const S entropy = value[c] + part.gap, sum = part.own + part.others;  // L
        const S p = power * (part.own / sum), pull = p * entropy;             // γ p_y, γ p_y L
        S* slopes = &dscores(0, first + c);
        for (Index i = 0; i < z.rows(); ++i) {
          if (i == labels[first + c]) {
            slopes[i] = std::fma(-weight[c], std::fma(p, entropy, part.others / sum), S{0});
          } else {
            const S share = slopes[i] == 0 ? S{0} : slopes[i] / part.others;  // p_i / (1 − p_y), not 0 / 0
            slopes[i] = std::fma(weight[c], std::fma(pull, share, slopes[i] / sum), S{0});
          }
        }
        value[c] = std::fma(weight[c], entropy, S{0});
      }
    }
  }
};

static_assert(Loss<FocalSoftmax, float> && Loss<FocalSoftmax, double>);

}  // namespace parade
