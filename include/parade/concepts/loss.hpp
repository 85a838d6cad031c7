// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <string>
#include <type_traits>

#include <parade/concepts/argument.hpp>
#include <parade/concepts/sample_by_sample.hpp>
#include <parade/core/types.hpp>

namespace parade {

template <class L>
concept HasTarget = std::same_as<typename L::Target, Label> || std::same_as<typename L::Target, Real>;

template <class L, class Scalar>
concept HasValueAndGradient = requires(const L loss, const detail::Argument<ConstMatrixRef<Scalar>>& scores,
                                       const detail::Argument<TargetsRef<typename L::Target, Scalar>>& targets,
                                       detail::Argument<VectorRef<Scalar>> values, detail::Argument<MatrixRef<Scalar>> dscores) {
  loss.value_and_gradient(scores, targets, values, dscores);
};

/// Loss: J, one value per sample, and ∂J/∂Z. The engine sums, so that sample weights, the order of the sum and the search for a bad
/// sample live in one place.
///
/// Requirements for a type L and a scalar S:
///   1. `L::Target` is parade::Label (a class per sample) or parade::Real (a column of k real targets per sample).
///   2. `value_and_gradient(scores, targets, values, dscores)`, const:
///        scores   const ConstMatrixRef<S>&      Z  (k,m)
///        targets  const TargetsRef<Target,S>&   y  (m) for Label, Y (k,m) for Real
///        values   VectorRef<S>                  (m)    overwritten with J of each sample
///        dscores  MatrixRef<S>                  (k,m)  overwritten with ∂J/∂Z; no weights, no division by m or b
///      Column j of the results depends on column j of the arguments alone.
///
/// Not required: a check of targets. A loss that has `check_outputs(Index k)`, `check_target(Label y, Index k)` or for real targets `check_target(double y, Index k)`, each returning
/// an empty std::string or the rule that was broken, has them called before training starts. `static constexpr bool two_classes = true` says
/// that its labels are 0 and 1 or else −1 and +1: data that has both 0 and −1 is then refused. A promise: SampleBySample. For duality gaps:
/// HasConjugate.
/// See also: parade::SquaredError, parade::Logistic, parade::SoftmaxCrossEntropy, parade::Hinge, parade::testing::check_loss.
template <class L, class Scalar>
concept Loss = HasTarget<L> && HasValueAndGradient<L, Scalar>;

template <class L>
concept ChecksOutputs = requires(const L loss, Index outputs) {
  { loss.check_outputs(outputs) } -> std::convertible_to<std::string>;
};

template <class L>
concept ChecksTarget = requires(const L loss, Label label, Index outputs) {
  { loss.check_target(label, outputs) } -> std::convertible_to<std::string>;
};

template <class L>
concept ChecksRealTarget = requires(const L loss, double target, Index outputs) {
  { loss.check_target(target, outputs) } -> std::convertible_to<std::string>;
};

template <class L>
concept HasTwoClasses = L::two_classes;

namespace detail {

/// A label, or one real target.
template <class L>
using OneTarget = std::conditional_t<std::same_as<typename L::Target, Label>, Label, double>;

}  // namespace detail

/// A loss that is convex in Z and a sum over the outputs, J = Σ_c f(z_c, y_c), and knows the conjugate of f: `conjugate(u, y)`, const, in
/// double, is
///
///   f*(u, y) = sup_z (u z − f(z, y)),   ∞ where that has no bound
///
/// It must be finite for every slope that `value_and_gradient` gives, and for 0. With it a linear model has a duality gap: see
/// parade::duality_gap.
template <class L>
concept HasConjugate = HasTarget<L> && requires(const L loss, double slope, detail::OneTarget<L> target) {
  { loss.conjugate(slope, target) } -> std::convertible_to<double>;
};

/// The same for a loss on probabilities, which is no sum over the outputs: the slope of a sample (k) is p − q, with q a distribution that the
/// label y stands for and p any other.
///   1. `conjugate(u, y)`, const, in double, of a whole slope u (k): finite where u + q is a distribution, to rounding.
///   2. `target_share(c, y, k)`, const, is q_c.
template <class L>
concept HasColumnConjugate = HasTarget<L> &&
    requires(const L loss, const detail::Argument<ConstVectorRef<double>>& slopes, detail::OneTarget<L> target, Index c) {
  { loss.conjugate(slopes, target) } -> std::convertible_to<double>;
  { loss.target_share(c, target, c) } -> std::convertible_to<double>;
};

/// And whose slope jumps, so that the slopes at an optimum are not yet a solution of the dual problem: `conjugate_step(u, y, z, h)`, const,
/// in double, is what makes f*(v, y) − z v + ½h (v − u)² least over v; h ≥ 0.
template <class L>
concept HasConjugateStep = HasConjugate<L> && requires(const L loss, double slope, detail::OneTarget<L> target, double score, double bend) {
  { loss.conjugate_step(slope, target, score, bend) } -> std::convertible_to<double>;
};

}  // namespace parade
