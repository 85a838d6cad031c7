// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>
#include <string>

#include <parade/concepts/loss.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/math.hpp>
#include <parade/losses/elementwise.hpp>

namespace parade {

/// Logistic loss for k labels that may hold at the same time, each with an output of its own: y_i = 1 if label i holds, else 0, or a
/// probability in between. Also called binary cross-entropy with logits. With p_i = 1 / (1 + exp(−z_i)):
///
///   J(z, y) = Σ_i −y_i log p_i − (1 − y_i) log(1 − p_i) = Σ_i log(1 + exp(−|z_i|)) + |z_i| c_i,   c_i = 1 − y_i if z_i > 0, else y_i
///   ∂J/∂z_i = p_i − y_i
///
/// The last form adds up what is not negative, so that nothing overflows and nothing cancels. It is the sum over labels (PyTorch's
/// BCEWithLogitsLoss takes the mean). For one label and y in {0, 1} it is parade::Logistic.
/// Domain: z ∈ ℝᵏ, k ≥ 1, y_i ∈ [0, 1]; J ≥ 0, finite for every finite z. J = k log 2 and ∂J/∂z = ½ − y at z = 0.
struct MultilabelLogistic {
  using SampleBySampleOf = MultilabelLogistic;
  using Target = Real;

  /// The rule that a target breaks, or "".
  std::string check_target(double y, Index) const { return y >= 0 && y <= 1 ? "" : "the targets of MultilabelLogistic must be in [0, 1]"; }

  /// Z (k,m), Y (k,m) → J (m), ∂J/∂Z (k,m). `scores` may be any Eigen expression. A NaN in a column, or a target out of the
  /// domain, gives J = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const ConstMatrixRef<typename Z::Scalar>& targets,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    detail::for_each_output(
        scores, targets, values, dscores,
        [](const S* z, S* value, S* slope, Index count) {
          for (Index e = 0; e < count; ++e) value[e] = -std::abs(z[e]);
          kernels::transform(value, slope, count, [](auto x) { return kernels::sigmoid<S>(x); });  // the smaller one of p and 1 − p
          kernels::transform(value, count, [](auto x) { return kernels::softplus<S>(x); });
        },
        [](S z, S y, S value, S smaller, S& sum, S& slope) {
          const S known = y >= 0 && y <= 1 ? y : std::numeric_limits<S>::quiet_NaN();
          const S against = z > 0 ? 1 - known : known;
          sum += against == 0 ? value : std::fma(std::abs(z), against, value);  // ∞ · 0 is 0 here
          slope = z > 0 ? against - smaller : smaller - against;
        });
  }
};

static_assert(Loss<MultilabelLogistic, float> && Loss<MultilabelLogistic, double>);

}  // namespace parade
