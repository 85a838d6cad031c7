// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include <parade/concepts/regularizer.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/core/error.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/update.hpp>

namespace parade {

/// Ridge, or Tikhonov, regularization (Hoerl, Kennard 1970), a term of the gradient:
///
///   λR(θ) = ½λ‖θ‖²          λ∇R(θ) = λθ
///
/// Domain: any θ; λR ≥ 0, and 0 only at θ = 0. With λ = 1 and θ = (3, 4): λR = 12.5, λ∇R = (3, 4).
/// Plain SGD with L2 shrinks θ by the factor 1 − αλ a step. Under Adam that is not so: λθ is scaled like the rest of the gradient, and
/// decoupled weight decay is another method.
struct L2 {
  double lambda = 0;    // λ ≥ 0
  bool biases = false;  // whether biases are shrunk too

  /// Throws OptionError unless λ is finite and at least 0.
  void check() const {
    if (!(lambda >= 0 && std::isfinite(lambda))) throw OptionError(detail::text("L2.lambda must be finite and at least 0; got ", lambda));
  }

  bool applies_to(const ParameterBlock& block) const { return biases || block.role != Role::bias; }

  /// For sparse data.
  using ShrinkageOf = L2;
  Shrinkage shrinkage() const { return {.l2 = lambda, .l1 = 0}; }

  /// λR, summed in double, element after element.
  template <class T>
  double value(const Eigen::MatrixBase<T>& theta) const {
    const ConstVectorRef<typename T::Scalar> t{theta};
    double squares = 0;
    for (Index i = 0; i < t.size(); ++i) squares = std::fma(static_cast<double>(t[i]), static_cast<double>(t[i]), squares);
    return lambda / 2 * squares;
  }

  /// g += λθ.
  template <class T>
  void add_gradient(const Eigen::MatrixBase<T>& theta, VectorRef<typename T::Scalar> grad) const {
    using S = typename T::Scalar;
    const ConstVectorRef<S> view{theta};
    PARADE_ASSERT(grad.size() == view.size());
    const auto weight = static_cast<S>(lambda);
    const S* __restrict t = view.data();
    S* __restrict g = grad.data();
    for (Index i = 0, size = view.size(); i < size; ++i) g[i] = std::fma(weight, t[i], g[i]);
  }

  /// The same as a term of kernels/update.hpp.
  using TermOf = L2;
  template <class S>
  auto term() const {
    return kernels::ScaledTheta<S>{kernels::Simd<S>::broadcast(static_cast<S>(lambda))};
  }
};

static_assert(SmoothRegularizer<L2, float> && SmoothRegularizer<L2, double>);

}  // namespace parade
