// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>

#include <parade/concepts/constraint.hpp>
#include <parade/constraints/box.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>

namespace parade {

/// lower ≤ θ_i ≤ upper by a cost, half the squared distance to the box, as a term of the gradient:
///
///   βC(θ) = ½β Σ_i max(0, lower − θ_i, θ_i − upper)²          β∇C(θ) = β(θ − Π(θ)),  Π the projection of parade::Box
///
/// θ may leave the box where the loss gains from it; the larger β, the less. SGD needs αβ < 2.
/// Domain: any θ; C ≥ 0, and 0 in the box. With bounds −1 and 1: C(3, −2, 0.5) = 2.5, ∇C(3, −2, 0.5) = (2, −1, 0).
struct BoxPenalty {
  double beta = 1;  // β ≥ 0
  double lower = -std::numeric_limits<double>::infinity();
  double upper = std::numeric_limits<double>::infinity();

  /// Throws OptionError unless β is finite and at least 0, and the box holds a finite number.
  void check() const {
    if (!(beta >= 0 && std::isfinite(beta))) throw OptionError(detail::text("BoxPenalty.beta must be finite and at least 0; got ", beta));
    box().check();
  }

  /// C, without β, summed in double, element after element. NaN gives NaN.
  template <class T>
  double violation(const Eigen::MatrixBase<T>& theta) const {
    return box().violation(theta);
  }

  /// g += β(θ − Π(θ)).
  template <class T>
  void add_gradient(const Eigen::MatrixBase<T>& theta, VectorRef<typename T::Scalar> grad) const {
    using S = typename T::Scalar;
    const ConstVectorRef<S> view{theta};
    PARADE_ASSERT(grad.size() == view.size());
    const auto nearest = box().projection<S>();
    const auto weight = static_cast<S>(beta);
    const S* __restrict t = view.data();
    S* __restrict g = grad.data();
    for (Index i = 0, size = view.size(); i < size; ++i) g[i] = std::fma(weight, t[i] - nearest(t[i]), g[i]);
  }

 private:
  Box box() const { return {.lower = lower, .upper = upper}; }
};

static_assert(PenaltyConstraint<BoxPenalty, float> && PenaltyConstraint<BoxPenalty, double>);

}  // namespace parade
