// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>

#include <parade/concepts/regularizer.hpp>
#include <parade/core/types.hpp>

namespace parade {

template <class C, class Scalar>
concept HasViolation = requires(const C constraint, const detail::Argument<ConstVectorRef<Scalar>>& theta) {
  { constraint.violation(theta) } -> std::convertible_to<double>;
};

template <class C, class Scalar>
concept HasProject = requires(const C constraint, detail::Argument<VectorRef<Scalar>> theta) {
  constraint.project(theta);
};

/// PenaltyConstraint: βC(θ), where C(θ) ≥ 0 measures violation and is 0 when θ is feasible.
///   1. `violation(theta)` returns C of a slice of θ (without β), convertible to double.
///   2. `add_gradient(theta, grad)` adds β∇C of that slice: plus, since violation is a cost to be made small.
///   3. Both are const and separable over slices, as for a regularizer.
template <class C, class Scalar>
concept PenaltyConstraint = HasViolation<C, Scalar> && HasSmoothTerm<C, Scalar>;

/// ProjectionConstraint: θ ← Π_C(θ), the nearest feasible point, last in every step. A projection is the proximal step of an indicator.
///   1. `violation(theta)` as above; it is 0 after `project`.
///   2. `project(theta)` replaces a slice of θ by its nearest feasible point. Doing it twice is doing it once.
///   3. Both are const and separable over slices.
template <class C, class Scalar>
concept ProjectionConstraint = HasViolation<C, Scalar> && HasProject<C, Scalar>;

namespace detail {

/// A function of either name means to be that kind: a slip in one is not passed over because the other is right.
template <class C, class Scalar>
concept SoundKinds = (!requires { &C::add_gradient; } || HasSmoothTerm<C, Scalar>)&&(!requires { &C::project; } || HasProject<C, Scalar>);

}  // namespace detail

/// Constraint: a penalty or a projection. It enters once a step, never once a shard.
///
/// Not required: `applies_to(const ParameterBlock&)`; without it, all blocks but the biases.
/// See also: parade::NoConstraint, parade::Box, Regularizer.
template <class C, class Scalar>
concept Constraint = (PenaltyConstraint<C, Scalar> || ProjectionConstraint<C, Scalar>)&&detail::SoundKinds<C, Scalar>;

}  // namespace parade
