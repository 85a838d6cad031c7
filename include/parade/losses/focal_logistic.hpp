// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include <parade/concepts/loss.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/math.hpp>
#include <parade/losses/two_classes.hpp>

namespace parade {

/// Focal loss for two classes and one output (Lin et al. 2017: "Focal loss for dense object detection"): the logistic loss, with the
/// samples that are right already made light, so that many easy ones do not drown a few hard ones. With the margin u = s z, s = +1
/// if y > 0, else −1, and p = 1 / (1 + exp(−u)), the probability of the sample's class:
///
///   J(z, y) = −(1 − p)^γ log p          ∂J/∂z = −s (1 − p)^γ (1 − p − γ p log p)
///
/// The labels are {0, 1} or {−1, +1}. γ = 0 is parade::Logistic. The paper's factor α for the positive class is a class weight: see
/// parade::sample_weights.
/// Domain: z ∈ ℝ; J ≥ 0, finite for every finite z, and near −u where u is far below 0. At z = 0, J = 2^−γ log 2 and
/// ∂J/∂z = −s 2^−γ (1 + γ log 2) / 2.
struct FocalLogistic {
  using SampleBySampleOf = FocalLogistic;
  using Target = Label;
  static constexpr bool two_classes = true;

  double gamma = 2;  // γ ≥ 0; 2 is the paper's best

  /// Throws OptionError for a setting out of its range.
  void check() const {
    if (!(gamma >= 0 && std::isfinite(gamma)))
      throw OptionError(detail::text("FocalLogistic.gamma must be finite and at least 0; got ", gamma));
  }
  std::string check_outputs(Index k) const { return detail::check_one_output("FocalLogistic", k, "FocalSoftmax"); }
  std::string check_target(Label y, Index) const { return detail::check_two_classes("FocalLogistic", y); }

  /// Z (1,m), y (m) → J (m), ∂J/∂Z (1,m). `scores` may be any Eigen expression. z = NaN gives J = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const TargetsRef<Label, typename Z::Scalar>& labels,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    const ConstMatrixRef<S> z{scores};
    PARADE_ASSERT(z.rows() == 1 && labels.size() == z.cols() && values.size() == z.cols());
    PARADE_ASSERT(dscores.rows() == 1 && dscores.cols() == z.cols());
    const S power = static_cast<S>(gamma);
    constexpr Index chunk = 64;
    S minus_margin[chunk], p[chunk], wrong[chunk], weight[chunk];  // −u, p, 1 − p, (1 − p)^γ
    for (Index first = 0; first < z.cols(); first += chunk) {
      const Index count = std::min(chunk, z.cols() - first);
      S* value = values.data() + first;
      for (Index j = 0; j < count; ++j) {
        minus_margin[j] = labels[first + j] > 0 ? -z(0, first + j) : z(0, first + j);
        p[j] = -minus_margin[j];
      }
      kernels::transform(minus_margin, value, count, [](auto x) { return kernels::softplus<S>(x); });  // −log p
      kernels::transform(minus_margin, wrong, count, [](auto x) { return kernels::sigmoid<S>(x); });
      kernels::transform(p, weight, count, [](auto x) { return kernels::softplus<S>(x); });  // −log(1 − p)
      kernels::transform(p, count, [](auto x) { return kernels::sigmoid<S>(x); });
      for (Index j = 0; j < count; ++j) weight[j] = power == 0 ? S{0} : -power * weight[j];  // not 0 · ∞
      kernels::transform(weight, count, [](auto x) { return kernels::exp<S>(x); });
      for (Index j = 0; j < count; ++j) {
        const S slope = std::fma(weight[j], std::fma(power * p[j], value[j], wrong[j]), S{0});
        dscores(0, first + j) = labels[first + j] > 0 ? -slope : slope;
        value[j] = std::fma(weight[j], value[j], S{0});
      }
    }
  }
};

static_assert(Loss<FocalLogistic, float> && Loss<FocalLogistic, double>);

}  // namespace parade
