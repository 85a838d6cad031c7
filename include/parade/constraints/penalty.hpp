// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include <parade/concepts/constraint.hpp>
#include <parade/constraints/box.hpp>
#include <parade/core/error.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>

namespace parade {

/// Any elementwise projection as a cost, half the squared distance to its set, as a term of the gradient:
///
///   βC(θ) = ½β ‖θ − Π(θ)‖²          β∇C(θ) = β(θ − Π(θ)),  Π the projection of `constraint`, onto a convex set
///
/// Penalty{Box{.lower = 0}, 10} has the values of BoxPenalty{.beta = 10, .lower = 0}. θ may leave the set where the loss gains from it; the larger β,
/// the less. SGD needs αβ < 2. The set must be convex, else C has kinks; and `violation` of the constraint must be ½‖θ − Π(θ)‖², as that of every
/// constraint here is. A constraint of a whole parameter has no such form yet: its gradient would need a copy of the parameter.
template <class Projection>
struct Penalty {
  Projection constraint;
  double beta = 1;  // β ≥ 0

  /// Throws OptionError unless β is finite and at least 0, and for what the constraint itself refuses.
  void check() const {
    if (!(beta >= 0 && std::isfinite(beta))) throw OptionError(detail::text("Penalty.beta must be finite and at least 0; got ", beta));
    if constexpr (requires { constraint.check(); }) constraint.check();
  }
  /// What the constraint refuses of a model.
  void check(const ParameterList& parameters) const {
    if constexpr (requires { constraint.check(parameters); }) constraint.check(parameters);
  }

  bool applies_to(const ParameterBlock& block) const { return detail::applies_to(constraint, block); }

  /// C, without β.
  template <class T>
    requires HasViolation<Projection, typename T::Scalar>
  double violation(const Eigen::MatrixBase<T>& theta) const { return static_cast<double>(constraint.violation(theta.derived())); }

  /// g += β(θ − Π(θ)), by pieces that are projected on the stack.
  template <class T>
    requires HasProject<Projection, typename T::Scalar>
  void add_gradient(const Eigen::MatrixBase<T>& theta, VectorRef<typename T::Scalar> grad) const {
    using S = typename T::Scalar;
    constexpr Index piece = 128;
    const ConstVectorRef<S> view{theta};
    PARADE_ASSERT(grad.size() == view.size());
    const auto weight = static_cast<S>(beta);
    S projected[piece];
    for (Index begin = 0; begin < view.size(); begin += piece) {
      const Index size = std::min(piece, view.size() - begin);
      const S* t = view.data() + begin;
      S* g = grad.data() + begin;
      std::copy_n(t, size, projected);
      constraint.project(Eigen::Map<Vector<S>>(projected, size));
      for (Index i = 0; i < size; ++i) g[i] = std::fma(weight, t[i] - projected[i], g[i]);
    }
  }
};

template <class Projection>
Penalty(Projection) -> Penalty<Projection>;
template <class Projection>
Penalty(Projection, double) -> Penalty<Projection>;

static_assert(PenaltyConstraint<Penalty<Box>, float> && PenaltyConstraint<Penalty<Box>, double>);
static_assert(!ProjectionConstraint<Penalty<Box>, float>);

}  // namespace parade
