// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include <parade/concepts/regularizer.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/core/error.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>

namespace parade {

/// Elastic net (Zou, Hastie 2005): lasso and ridge in one proximal step. With ρ for `l1_ratio`:
///
///   λR(θ) = λ (ρ‖θ‖₁ + ½(1 − ρ)‖θ‖²)          prox(θ)_i = sign(θ_i) max(0, |θ_i| − α_i λρ) / (1 + α_i λ(1 − ρ))
///
/// α_i is the step size that the optimizer took for element i. scikit-learn's parametrization: its `alpha` is λ here. Domain: any θ; λR ≥ 0, and 0
/// only at θ = 0. With λ = 2, ρ = ½ and θ = (3, −4): λR = 19.5. With α = 1: prox(3, −0.5, −4) = (1, 0, −1.5). A zero is always +0.
///
/// Its smooth half is in the proximal step too, not in the gradient: no λ is too large for a step size, and under Adam it is not scaled by the
/// gradient's history. The optimum is the same either way. ρ = 1 is parade::L1; ρ = 0 has the optimum of parade::L2, by other steps.
struct ElasticNet {
  double lambda = 0;      // λ ≥ 0
  double l1_ratio = 0.5;  // ρ in [0, 1]
  bool biases = false;    // whether biases are shrunk too

  /// Throws OptionError for a setting out of its range.
  void check() const {
    if (!(lambda >= 0 && std::isfinite(lambda)))
      throw OptionError(detail::text("ElasticNet.lambda must be finite and at least 0; got ", lambda));
    if (!(l1_ratio >= 0 && l1_ratio <= 1)) throw OptionError(detail::text("ElasticNet.l1_ratio must be in [0, 1]; got ", l1_ratio));
  }

  bool applies_to(const ParameterBlock& block) const { return biases || block.role != Role::bias; }

  /// For sparse data.
  using ShrinkageOf = ElasticNet;
  Shrinkage shrinkage() const { return {.l2 = lambda * (1 - l1_ratio), .l1 = lambda * l1_ratio, .l2_in_prox = true}; }

  /// λR, summed in double, element after element.
  template <class T>
  double value(const Eigen::MatrixBase<T>& theta) const {
    const ConstVectorRef<typename T::Scalar> view{theta};
    double sum = 0, squares = 0;
    for (Index i = 0; i < view.size(); ++i) {
      const auto t = static_cast<double>(view[i]);
      sum += std::abs(t);
      squares = std::fma(t, t, squares);
    }
    return lambda * std::fma(l1_ratio, sum, (1 - l1_ratio) / 2 * squares);
  }

  /// The proximal point, in place. NaN stays NaN.
  template <class T>
  void prox(VectorRef<typename T::Scalar> theta, const Eigen::MatrixBase<T>& steps) const {
    using S = typename T::Scalar;
    const ConstVectorRef<S> view{steps};
    PARADE_ASSERT(theta.size() == view.size());
    const auto minus_l1 = static_cast<S>(-lambda * l1_ratio), l2 = static_cast<S>(lambda * (1 - l1_ratio));
    S* __restrict t = theta.data();
    const S* __restrict step = view.data();
    for (Index i = 0, size = view.size(); i < size; ++i) {
      const S left = std::fma(minus_l1, step[i], std::abs(t[i])) / std::fma(l2, step[i], S{1});
      t[i] = left <= 0 ? S{0} : std::copysign(left, t[i]);
    }
  }
};

static_assert(ProximalRegularizer<ElasticNet, float> && ProximalRegularizer<ElasticNet, double>);

}  // namespace parade
