// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>
#include <utility>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/simd.hpp>
#include <parade/optimizers/rules.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/optimizers/wrapper.hpp>

namespace parade {

/// An optimizer that sees each element of g clipped to ±limit:
///
///   g ← min(max(g, −limit), limit)       then the step of the optimizer
///
///   parade::ClipValue{parade::Sgd{.rate = 0.1}, 0.5}
///
/// With limit = 0.5, g = (3, −0.2) becomes (0.5, −0.2): unlike ClipNorm this turns the direction. g is here the whole gradient, with λ∇R of a
/// smooth regularizer. NaN stays NaN; an infinite element would become ±limit, but a trainer refuses a step whose g is not finite
/// before that. State, `step_sizes` and what else there is are the optimizer's.
template <class O>
struct ClipValue : detail::Wrapper<O, ClipValue<O>> {
  double limit;  // > 0

  ClipValue(O inner, double most) : detail::Wrapper<O, ClipValue<O>>(std::move(inner)), limit(most) {}

  using detail::Wrapper<O, ClipValue<O>>::check;
  /// Throws OptionError for a setting out of its range, here or in the optimizer.
  void check() const {
    this->check_optimizer("ClipValue");
    detail::check_positive("ClipValue.limit", limit);
  }

  Index num_states() const { return this->optimizer.num_states(); }

  /// Where the optimizer keeps an average of θ, if it does.
  Index average_state() const requires HasAverage<O> { return this->optimizer.average_state(); }

  /// One step for a slice of θ, g and the state, all of one length.
  template <class S>
    requires HasStep<O, S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at) const {
    detail::step_on_changed<S>(this->optimizer, theta, grad, state, at, clip<S>());
  }

  /// The step as a rule of kernels/update.hpp: call(rule).
  template <class S, class Call>
    requires detail::GivesRule<O, S>
  auto with_rule(const StepInfo& at, Call&& call) const {
    return detail::with_rule_on_changed<S>(this->optimizer, at, clip<S>(), std::forward<Call>(call));
  }

  // Of a MeasuredOptimizer: the norms are those after clipping.
  template <class S>
    requires MeasuredOptimizer<O, S>
  void measure(std::type_identity_t<VectorRef<S>> grad, const std::type_identity_t<ConstVectorRef<S>>& theta, const StateRef<S>& state,
               const StepInfo& at) const {
    kernels::for_each_vector<S>(grad.size(),
                                [g = grad.data(), clip = clip<S>()](Index i, auto load, auto store) { store(g + i, clip(load(g + i))); });
    this->optimizer.measure(grad, theta, state, at);
  }
  template <class S>
    requires MeasuredOptimizer<O, S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at, double factor) const {
    this->optimizer.step(theta, grad, state, at, factor);
  }

 private:
  template <class S>
  struct Clip {
    using V = kernels::Simd<S>;
    typename V::Vector low, high;
    auto operator()(typename V::Vector grad) const { return V::max(low, V::min(high, grad)); }  // NaN stays
  };
  template <class S>
  Clip<S> clip() const {
    return {detail::broadcast<S>(-limit), detail::broadcast<S>(limit)};
  }
};

static_assert(Optimizer<ClipValue<Sgd>, float> && Optimizer<ClipValue<Sgd>, double>);

}  // namespace parade
