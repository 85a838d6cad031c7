// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/optimizers/rules.hpp>

namespace parade {

/// RMSprop (Tieleman, Hinton: lecture 6.5 of "Neural networks for machine learning", 2012), also centered (Graves 2013) and with momentum:
///
///   v ← αₛ v + (1 − αₛ) g²               αₛ is `smoothing`
///   a ← αₛ a + (1 − αₛ) g                only if centered
///   D = √v + ε                           or, centered, √(v − a²) + ε: the deviation of g instead of its size
///   b ← μ b + g/D                        without momentum b is g/D, and no b is kept
///   θ ← θ − α b
///
/// PyTorch's definition: nothing corrects for v = 0 at the start, so that the first step moves an element by α/√(1 − αₛ), ten times α
/// by default. Where rounding makes v − a² negative, it is 0. The step size for a proximal regularizer is α/D, and with momentum
/// (1 − μᵗ)/(1 − μ) times that, since b is the sum of so many steps: see Sgd.
struct RmsProp {
  double rate = 0.01;       // base rate, ≥ 0; α after the schedule
  double smoothing = 0.99;  // αₛ in [0, 1); above 0 if centered
  double epsilon = 1e-8;    // ε > 0
  double momentum = 0;      // μ in [0, 1)
  bool centered = false;

  /// Throws OptionError for a setting out of its range.
  void check() const {
    detail::check_not_negative("RmsProp.rate", rate);
    detail::check_below_one("RmsProp.smoothing", smoothing);
    detail::check_epsilon("RmsProp.epsilon", epsilon);
    detail::check_below_one("RmsProp.momentum", momentum);
    if (centered && !(smoothing > 0)) throw OptionError("RmsProp.centered needs smoothing above 0; got 0");
  }

  /// v; a if centered; b with momentum: in this order.
  Index num_states() const { return 1 + (centered ? 1 : 0) + (momentum > 0 ? 1 : 0); }

  /// One step for a slice of θ, g and the state, all of one length.
  template <class S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at) const {
    detail::step_by_rule<S>(*this, theta, grad, state, at);
  }

  /// The step as a rule of kernels/update.hpp: call(rule).
  using RuleOf = RmsProp;
  template <class S, class Call>
  auto with_rule(const StepInfo& at, Call&& call) const {
    const auto keep = detail::broadcast<S>(smoothing), fresh = detail::broadcast<S>(1 - smoothing), mu = detail::broadcast<S>(momentum),
               minus_rate = detail::broadcast<S>(-at.rate), offset = detail::broadcast<S>(epsilon);
    if (centered && momentum > 0) return call(Rule<S, true, true>{keep, fresh, mu, minus_rate, {offset}});
    if (centered) return call(Rule<S, true, false>{keep, fresh, mu, minus_rate, {offset}});
    if (momentum > 0) return call(Rule<S, false, true>{keep, fresh, mu, minus_rate, {offset}});
    return call(Rule<S, false, false>{keep, fresh, mu, minus_rate, {offset}});
  }

  /// α/D per element, or with momentum its multiple, for the step that was just taken.
  template <class S>
  void step_sizes(const StateRef<S>& state, const StepInfo& at, std::type_identity_t<VectorRef<S>> sizes) const {
    const double rate_of_step = momentum > 0 ? at.rate * (detail::one_minus_power(momentum, at.step) / (1 - momentum)) : at.rate;
    const Metric<S> metric{detail::broadcast<S>(epsilon)};
    const S* v = state[0].data();
    if (centered)
      detail::write_step_sizes<S>(rate_of_step, sizes,
                                  [&, a = state[1].data()](Index i, auto load) { return metric(load(v + i), load(a + i)); });
    else
      detail::write_step_sizes<S>(rate_of_step, sizes, [&](Index i, auto load) { return metric(load(v + i)); });
  }

 private:
  template <class S>
  struct Metric {
    using V = kernels::Simd<S>;
    using Lanes = typename V::Vector;
    Lanes epsilon;
    auto operator()(Lanes v) const { return V::add(kernels::sqrt(v), epsilon); }
    auto operator()(Lanes v, Lanes a) const { return (*this)(V::max(V::broadcast(0), V::fma(V::neg(a), a, v))); }  // NaN stays
  };

  template <class S, bool Centered, bool Momentum>
  struct Rule {
    using V = kernels::Simd<S>;
    using Lanes = typename V::Vector;
    static constexpr int states = 1 + (Centered ? 1 : 0) + (Momentum ? 1 : 0);
    Lanes keep, fresh, mu, minus_rate;
    Metric<S> metric;
    void operator()(Lanes& theta, Lanes grad, Lanes* state) const {
      state[0] = V::fma(keep, state[0], V::mul(V::mul(fresh, grad), grad));
      if constexpr (Centered) state[1] = V::fma(keep, state[1], V::mul(fresh, grad));
      auto step = V::div(grad, Centered ? metric(state[0], state[1]) : metric(state[0]));
      if constexpr (Momentum) step = state[states - 1] = V::fma(mu, state[states - 1], step);
      theta = V::fma(minus_rate, step, theta);
    }
  };
};

static_assert(Optimizer<RmsProp, float> && Optimizer<RmsProp, double>);
static_assert(HasStepSizes<RmsProp, float> && HasStepSizes<RmsProp, double>);

}  // namespace parade
