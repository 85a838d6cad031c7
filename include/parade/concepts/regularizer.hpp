// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>

#include <parade/concepts/argument.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>

namespace parade {

template <class R, class Scalar>
concept HasPenaltyValue = requires(const R regularizer, const detail::Argument<ConstVectorRef<Scalar>>& theta) {
  { regularizer.value(theta) } -> std::convertible_to<double>;
};

/// A term that is added to the gradient: `add_gradient(theta, grad)`: grad += λ∇R(theta).
template <class R, class Scalar>
concept HasSmoothTerm = requires(const R term, const detail::Argument<ConstVectorRef<Scalar>>& theta,
                                 detail::Argument<VectorRef<Scalar>> grad) {
  term.add_gradient(theta, grad);
};

/// A term that is a step of its own after the gradient's: `prox(theta, steps)`: theta ← argmin_u λR(u) + Σ_i (u_i − theta_i)² / (2 steps_i).
template <class R, class Scalar>
concept HasProx = requires(const R term, detail::Argument<VectorRef<Scalar>> theta, const detail::Argument<ConstVectorRef<Scalar>>& steps) {
  term.prox(theta, steps);
};

/// SmoothRegularizer: λR(θ) with a gradient.
///   1. `value(theta)` returns λR of a slice of θ, convertible to double.
///   2. `add_gradient(theta, grad)` adds λ∇R of that slice.
///   3. Both are const, and separable: the value of a whole is the sum of the values of its parts, and the gradient of a part is that part
///      of the gradient, since the update runs over fixed blocks of θ in parallel.
template <class R, class Scalar>
concept SmoothRegularizer = HasPenaltyValue<R, Scalar> && HasSmoothTerm<R, Scalar>;

/// ProximalRegularizer: λR(θ) that is not smooth, by a proximal step after the gradient step (Parikh, Boyd: "Proximal algorithms", 2014).
///   1. `value(theta)` as above.
///   2. `prox(theta, steps)` replaces a slice of θ by its proximal point; `steps` (same length) are the step sizes that the optimizer took
///      per element: α for SGD, α/D_ii for a method with a diagonal metric D (Adam). It gives exact zeros where R has a kink.
///   3. Both are const and separable.
template <class R, class Scalar>
concept ProximalRegularizer = HasPenaltyValue<R, Scalar> && HasProx<R, Scalar>;

template <class R, class Scalar>
concept HasParameterValue = requires(const R regularizer, const detail::Argument<ConstMatrixRef<Scalar>>& theta) {
  { regularizer.parameter_value(theta) } -> std::convertible_to<double>;
};

template <class R, class Scalar>
concept HasParameterProx = requires(const R term, detail::Argument<MatrixRef<Scalar>> theta,
                                    const detail::Argument<ConstMatrixRef<Scalar>>& steps) {
  term.parameter_prox(theta, steps);
};

/// ParameterRegularizer: λR(θ) that is not separable over the elements of a parameter, only over the parameters: a norm of each row, say.
///   1. `parameter_value(theta)` returns λR of one whole parameter (rows, cols), convertible to double.
///   2. `parameter_prox(theta, steps)` replaces it by its proximal point; `steps` (rows, cols) as for `prox`.
///   3. Both are const. A parameter is done by one thread, in a pass of its own after the step; other threads do other parameters.
template <class R, class Scalar>
concept ParameterRegularizer = HasParameterValue<R, Scalar> && HasParameterProx<R, Scalar>;

namespace detail {

/// A function of one of these names means to be that term: a slip in one is not passed over because another is right.
template <class R, class Scalar>
concept SoundTerms = (!requires { &R::add_gradient; } || HasSmoothTerm<R, Scalar>)&&(!requires {
  &R::prox;
} || HasProx<R, Scalar>)&&(!requires { &R::parameter_prox; } || HasParameterProx<R, Scalar>);

}  // namespace detail

/// Regularizer: smooth, proximal, or both (each part then enters in its own way), or one of whole parameters. It enters once a step, never once
/// a shard, and λ is part of it.
///
/// Not required: `applies_to(const ParameterBlock&)`, which says which blocks of θ it is for; without it, all but the biases. (Statistics are
/// never regularized.) `begin_step(const StepInfo&)`, not const, is called once before every step: for what changes with time.
/// See also: parade::NoRegularizer, parade::L2, parade::L1, Constraint.
template <class R, class Scalar>
concept Regularizer = (SmoothRegularizer<R, Scalar> || ProximalRegularizer<R, Scalar> ||
                       ParameterRegularizer<R, Scalar>)&&detail::SoundTerms<R, Scalar>;

namespace detail {

/// Whether a regularizer or constraint is for this block of θ: what it says itself, else every block but the biases; never a statistic.
template <class Term>
bool applies_to(const Term& term, const ParameterBlock& block) {
  if (block.role == Role::statistic) return false;
  if constexpr (requires {
                  { term.applies_to(block) } -> std::convertible_to<bool>;
                })
    return term.applies_to(block);
  else
    return block.role != Role::bias;
}

}  // namespace detail
}  // namespace parade
