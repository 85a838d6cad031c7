// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>

#include <parade/concepts/argument.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>

namespace parade {

/// Which step an optimizer takes, and how large.
struct StepInfo {
  double rate = 0;        // α after the schedule
  std::int64_t step = 1;  // t, 1-based: the first update of θ is step 1
};

/// The same slice of each of an optimizer's state vectors, which are like θ and start at zero: `state[0]` may be the momentum.
template <class Scalar>
class StateRef {
 public:
  /// Vector i begins at data + i · stride; the slice has `size` elements.
  StateRef(Scalar* data, Index stride, Index size) : data_(data), stride_(stride), size_(size) {}
  Eigen::Map<Vector<Scalar>> operator[](Index i) const { return {data_ + i * stride_, size_}; }

 private:
  Scalar* data_;
  Index stride_;
  Index size_;
};

template <class O>
concept HasRate = requires(const O optimizer) {
  { optimizer.rate } -> std::convertible_to<double>;
};

template <class O>
concept HasNumStates = requires(const O optimizer) {
  { optimizer.num_states() } -> std::convertible_to<Index>;
};

template <class O, class Scalar>
concept HasStep = requires(const O optimizer, detail::Argument<VectorRef<Scalar>> theta,
                           const detail::Argument<ConstVectorRef<Scalar>>& grad, const StateRef<Scalar>& state, const StepInfo& at) {
  optimizer.step(theta, grad, state, at);
};

template <class O, class Scalar>
concept HasStepSizes = requires(const O optimizer, const StateRef<Scalar>& state, const StepInfo& at,
                                detail::Argument<VectorRef<Scalar>> sizes) {
  optimizer.step_sizes(state, at, sizes);
};

/// A member of that name means to be that function: a slip is not passed over.
template <class O, class Scalar>
concept SoundStepSizes = bool(!requires { &O::step_sizes; } || HasStepSizes<O, Scalar>);

/// What is measured for an optimizer that scales its step by norms, of one parameter or of all together.
struct Norms {
  double theta = 0;  // ‖θ‖₂ before the step
  double grad = 0;   // ‖g‖₂ as `measure` left it
};

template <class O, class Scalar>
concept HasMeasure = requires(const O optimizer, detail::Argument<VectorRef<Scalar>> grad,
                              const detail::Argument<ConstVectorRef<Scalar>>& theta, const StateRef<Scalar>& state, const StepInfo& at) {
  optimizer.measure(grad, theta, state, at);
};

template <class O>
concept HasFactor = requires(const O optimizer, const Norms& parameter, const Norms& all, const ParameterBlock& block, const StepInfo& at) {
  { optimizer.factor(parameter, all, block, at) } -> std::convertible_to<double>;
};

template <class O, class Scalar>
concept HasScaledStep = requires(const O optimizer, detail::Argument<VectorRef<Scalar>> theta,
                                 const detail::Argument<ConstVectorRef<Scalar>>& grad, const StateRef<Scalar>& state, const StepInfo& at,
                                 double factor) {
  optimizer.step(theta, grad, state, at, factor);
};

/// MeasuredOptimizer: its step is scaled by norms, which are known only when the whole gradient is: layer-wise rates, clipping by the norm. Then
/// a step is two passes.
///   1. `measure(grad, theta, state, at)`, const, elementwise: sees a slice of g, θ and the state; may replace g by a direction and change the
///      state.
///   2. `factor(parameter, all, block, at)`, const: a number for one parameter, from its norms, those of all parameters together, and its name, shape
///      and role. Norms are summed in double in an order of their own, the same for any number of threads.
///   3. `step(theta, grad, state, at, factor)`, const, elementwise: the step, with what `measure` made of g.
template <class O, class Scalar>
concept MeasuredOptimizer = HasMeasure<O, Scalar> && HasFactor<O> && HasScaledStep<O, Scalar>;

/// An optimizer that keeps an average of θ: the number of that state vector.
template <class O>
concept HasAverage = requires(const O optimizer) {
  { optimizer.average_state() } -> std::convertible_to<Index>;
};

template <class O>
concept HasForParameter = requires(const O optimizer, const ParameterBlock& block) {
  { optimizer.for_parameter(block) } -> std::same_as<O>;
};

namespace detail {

/// A part that refuses settings, or parameters that they do not fit.
template <class P>
concept HasCheck = requires(const P part) {
  part.check();
}
|| requires(const P part, const ParameterList& parameters) { part.check(parameters); };

/// A member of one of these names means to be that function.
/// bool(…) here and in the concepts of the other parts of a Trainer: compilers that compare its constructors write out all combinations of the
/// alternatives (||), and these are more than Clang 14 has memory for.
template <class O, class Scalar>
concept SoundOptimizer = SoundStepSizes<O, Scalar> && bool((!requires { &O::measure; } || MeasuredOptimizer<O, Scalar>)&&(!requires {
  &O::for_parameter;
} || HasForParameter<O>)&&(!requires { &O::check; } || HasCheck<O>));

}  // namespace detail

/// Optimizer: θ ← θ − α(…): one step, elementwise.
///
/// Requirements for a type O and a scalar S:
///   1. `rate`, a member convertible to double: the base rate, which the schedule turns into α.
///   2. `num_states()`: how many vectors like θ it keeps.
///   3. `step(theta, grad, state, at)`, const: updates a slice of θ and of its state from the same slice of g. An element depends on that
///      element of θ, g and the state alone: the update runs over fixed blocks of θ in parallel. Or else the functions of a MeasuredOptimizer.
///
/// Not required: `step_sizes(state, at, sizes)`, which writes the step size that each element took in this step: α/D_ii for a method with
/// a diagonal metric D. Without it the step size is α. Either is taken times the factor of a MeasuredOptimizer. It is what a proximal regularizer and a projection
/// of whole parameters are given. `for_parameter(const ParameterBlock&)`, returning an O with as many states: what that parameter is
/// stepped with, where settings are not the same for all. `check()` may throw OptionError for a setting that breaks a rule; it is called
/// before training starts.
/// See also: Schedule, parade::Sgd, parade::Adam.
template <class O, class Scalar>
concept Optimizer = HasRate<O> && HasNumStates<O> &&(HasStep<O, Scalar> || MeasuredOptimizer<O, Scalar>)&&detail::SoundOptimizer<O, Scalar>;

}  // namespace parade
