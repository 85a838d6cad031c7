// SPDX-License-Identifier: MIT
#pragma once

// To be replaced by concepts/optimizer.hpp, where these are about to stand.

#include <concepts>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/parameters.hpp>

namespace parade {

/// What is measured for an optimizer that scales its step by norms, of one parameter or of all together.
struct Norms {
  double theta = 0;  // ‖θ‖₂ before the step
  double grad = 0;   // ‖g‖₂ as `measure` left it
};

/// MeasuredOptimizer: its step is scaled by norms, which are known only when the whole gradient is. Then a step is two passes.
template <class O, class Scalar>
concept MeasuredOptimizer = requires(const O optimizer, detail::Argument<VectorRef<Scalar>> vector,
                                     const detail::Argument<ConstVectorRef<Scalar>>& fixed, const StateRef<Scalar>& state,
                                     const StepInfo& at, const Norms& norms, const ParameterBlock& block, double factor) {
  optimizer.measure(vector, fixed, state, at);
  { optimizer.factor(norms, norms, block, at) } -> std::convertible_to<double>;
  optimizer.step(vector, fixed, state, at, factor);
};

}  // namespace parade
