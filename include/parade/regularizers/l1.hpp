// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include <parade/concepts/regularizer.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/core/error.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>

namespace parade {

/// Lasso regularization (Tibshirani 1996), a proximal step after the gradient's: the soft threshold, which gives exact zeros:
///
///   λR(θ) = λ‖θ‖₁          prox(θ)_i = sign(θ_i) max(0, |θ_i| − α_i λ)
///
/// α_i is the step size that the optimizer took for element i. Domain: any θ; λR ≥ 0, and 0 only at θ = 0.
/// With λ = 1 and θ = (3, −4): λR = 7. With αλ = 1: prox(3, −0.5, −4) = (2, 0, −3). A zero is always +0.
struct L1 {
  double lambda = 0;    // λ ≥ 0
  bool biases = false;  // whether biases are shrunk too

  /// Throws OptionError unless λ is finite and at least 0.
  void check() const {
    if (!(lambda >= 0 && std::isfinite(lambda))) throw OptionError(detail::text("L1.lambda must be finite and at least 0; got ", lambda));
  }

  bool applies_to(const ParameterBlock& block) const { return biases || block.role != Role::bias; }

  /// For sparse data.
  using ShrinkageOf = L1;
  Shrinkage shrinkage() const { return {.l2 = 0, .l1 = lambda}; }

  /// λR, summed in double, element after element.
  template <class T>
  double value(const Eigen::MatrixBase<T>& theta) const {
    const ConstVectorRef<typename T::Scalar> t{theta};
    double sum = 0;
    for (Index i = 0; i < t.size(); ++i) sum += std::abs(static_cast<double>(t[i]));
    return lambda * sum;
  }

  /// The soft threshold, in place. NaN stays NaN.
  template <class T>
  void prox(VectorRef<typename T::Scalar> theta, const Eigen::MatrixBase<T>& steps) const {
    using S = typename T::Scalar;
    const ConstVectorRef<S> view{steps};
    PARADE_ASSERT(theta.size() == view.size());
    const auto weight = static_cast<S>(-lambda);
    S* __restrict t = theta.data();
    const S* __restrict step = view.data();
    for (Index i = 0, size = view.size(); i < size; ++i) {
      const S left = std::fma(weight, step[i], std::abs(t[i]));  // |θ_i| − α_i λ
      t[i] = left <= 0 ? S{0} : std::copysign(left, t[i]);
    }
  }
};

static_assert(ProximalRegularizer<L1, float> && ProximalRegularizer<L1, double>);

}  // namespace parade
