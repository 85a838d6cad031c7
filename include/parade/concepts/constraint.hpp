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

template <class C, class Scalar>
concept HasParameterViolation = requires(const C constraint, const detail::Argument<ConstMatrixRef<Scalar>>& theta) {
  { constraint.parameter_violation(theta) } -> std::convertible_to<double>;
};

template <class C, class Scalar>
concept HasParameterProject = requires(const C constraint, detail::Argument<MatrixRef<Scalar>> theta,
                                       const detail::Argument<ConstMatrixRef<Scalar>>& steps) {
  constraint.parameter_project(theta, steps);
};

/// ParameterConstraint: a projection of whole parameters: onto a ball, a simplex, rows of norm 1.
///   1. `parameter_violation(theta)` returns C of one whole parameter (rows, cols); C ≥ 0, and 0 after `parameter_project`, to rounding.
///   2. `parameter_project(theta, steps)`: theta ← argmin over the feasible u of Σ_i (u_i − theta_i)² / (2 steps_i), where `steps` (rows, cols) are
///      the step sizes that the optimizer took, as for a regularizer's `prox`: in the optimizer's own metric. Where they are all equal, as for
///      SGD, that is the nearest point. (The nearest point in another metric than the step's would lead to another θ than the constrained optimum.)
///   3. Both are const. A parameter is done by one thread, in a pass of its own after the step.
template <class C, class Scalar>
concept ParameterConstraint = HasParameterViolation<C, Scalar> && HasParameterProject<C, Scalar>;

namespace detail {

template <class C, class Scalar>
concept HasUpdate = requires(C constraint, const ConstVectorRef<Scalar>& theta) {
  constraint.update(theta);
};
template <class C>
concept HasReset = requires(C constraint) {
  constraint.reset();
};

}  // namespace detail

/// WholeConstraint: a term of the gradient that reads all of θ at once, with a state of its own: an augmented Lagrangian.
///   1. `static constexpr bool of_whole_theta = true`.
///   2. `add_gradient(theta, grad)` adds its gradient at θ (P) to grad (P); `value(theta)` and `violation(theta)`, each convertible to double, are what
///      it adds to the objective, and how far θ is from feasible.
///   3. Not required: `applies_to(const ParameterBlock&)`: whose part of the gradient is taken; without it, of all parameters but statistics.
/// It is called on one thread, before the step, and need not be const. Not required: `update(theta)`, called after every epoch, for multipliers;
/// `reset()`, called where a fit starts anew. Statistics get nothing of the gradient.
template <class C, class Scalar>
concept WholeConstraint = C::of_whole_theta && detail::SoundHooksOfTerm<C> && bool((!requires {
                            &C::update;
                          } || detail::HasUpdate<C, Scalar>)&&(!requires { &C::reset; } || detail::HasReset<C>)) &&
                          requires(C constraint, const ConstVectorRef<Scalar>& theta, VectorRef<Scalar> grad) {
  constraint.add_gradient(theta, grad);
  { constraint.value(theta) } -> std::convertible_to<double>;
  { constraint.violation(theta) } -> std::convertible_to<double>;
};

namespace detail {

/// A function of one of these names means to be that kind: a slip in one is not passed over because another is right.
template <class C, class Scalar>
concept SoundKinds = bool(SoundHooksOfTerm<C> && (!requires { &C::add_gradient; } || HasSmoothTerm<C, Scalar>)&&(!requires {
                            &C::project;
                          } || HasProject<C, Scalar>)&&(!requires { &C::parameter_project; } || HasParameterProject<C, Scalar>));

template <class C, class Scalar>
concept OneConstraint = WholeConstraint<C, Scalar> ||
    ((PenaltyConstraint<C, Scalar> || ProjectionConstraint<C, Scalar> || ParameterConstraint<C, Scalar>)&&SoundKinds<C, Scalar>);

template <class C, class Scalar>
inline constexpr bool are_constraints = false;
template <class... Cs, class Scalar>
inline constexpr bool are_constraints<std::tuple<Cs...>, Scalar> = ((OneConstraint<Cs, Scalar> && !WholeConstraint<Cs, Scalar>)&&...);

template <class C, class Scalar>
concept SeveralConstraints = HasParts<C> && are_constraints<PartsOf<C>, Scalar>;

}  // namespace detail

/// Constraint: a penalty, a projection, or a projection of whole parameters. It enters once a step, never once a shard.
///
/// Not required: `applies_to(const ParameterBlock&)`; without it, all blocks but the biases. (Statistics are never constrained.)
/// `begin_step(const StepInfo&)`, not const, is called once before every step, also one that is then not taken: a β that grows with the step's number, say.
/// `check()` and `check(const ParameterList&)` as for a Regularizer. Or several of them, as PerParameter; or one for all of θ: WholeConstraint.
/// See also: parade::NoConstraint, parade::Box, parade::Simplex, parade::AugmentedLagrangian, Regularizer.
template <class C, class Scalar>
concept Constraint = (PenaltyConstraint<C, Scalar> || ProjectionConstraint<C, Scalar> || ParameterConstraint<C, Scalar> ||
                      WholeConstraint<C, Scalar> ||
                      detail::SeveralConstraints<C, Scalar>)&&(WholeConstraint<C, Scalar> || detail::SoundKinds<C, Scalar>);

}  // namespace parade
