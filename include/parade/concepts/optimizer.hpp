// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>

#include <parade/concepts/argument.hpp>
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
concept SoundStepSizes = !requires {
  &O::step_sizes;
}
|| HasStepSizes<O, Scalar>;

/// Optimizer: θ ← θ − α(…): one step, elementwise.
///
/// Requirements for a type O and a scalar S:
///   1. `rate`, a member convertible to double: the base rate, which the schedule turns into α.
///   2. `num_states()`: how many vectors like θ it keeps.
///   3. `step(theta, grad, state, at)`, const: updates a slice of θ and of its state from the same slice of g. An element depends on that
///      element of θ, g and the state alone: the update runs over fixed blocks of θ in parallel.
///
/// Not required: `step_sizes(state, at, sizes)`, which writes the step size that each element took in this step: α/D_ii for a method with
/// a diagonal metric D. Without it the step size is α. It is what a proximal regularizer is given. `check()` may throw OptionError for a
/// setting that breaks a rule; it is called before training starts.
/// See also: Schedule, parade::Sgd, parade::Adam.
template <class O, class Scalar>
concept Optimizer = HasRate<O> && HasNumStates<O> && HasStep<O, Scalar> && SoundStepSizes<O, Scalar>;

}  // namespace parade
