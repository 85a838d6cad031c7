// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/types.hpp>
#include <parade/optimizers/rules.hpp>

namespace parade {

/// Adam (Kingma, Ba: "Adam: a method for stochastic optimization", ICLR 2015). Per element, at step t = 1, 2, …:
///
///   m ← β₁ m + (1 − β₁) g          m̂ = m / (1 − β₁ᵗ)
///   v ← β₂ v + (1 − β₂) g²         v̂ = v / (1 − β₂ᵗ)          D = √v̂ + ε
///   θ ← θ − α m̂ / D
///
/// ε stands outside the root of the corrected v̂, as in algorithm 1 of the paper and in PyTorch. Whatever the size of the gradient, the
/// first step moves an element by almost exactly α against its sign.
///
/// This is gradient descent in the diagonal metric D, with m̂ in place of the gradient. A proximal step must use the same metric, so its step
/// size is α/D. The factor 1/(1 − β₁ᵗ) belongs to m̂, not to the metric: with it, λR would weigh up to 1/(1 − β₁) times too much in the
/// first steps. An element whose gradient has always been 0 has D = ε, and the step size α/ε makes it exactly 0 under L1 at once.
struct Adam {
  double rate = 1e-3;     // base rate, ≥ 0; α after the schedule
  double beta1 = 0.9;     // β₁ in [0, 1)
  double beta2 = 0.999;   // β₂ in [0, 1)
  double epsilon = 1e-8;  // ε > 0

  /// Throws OptionError for a setting out of its range.
  void check() const { detail::check_adam("Adam", rate, beta1, beta2, epsilon); }

  /// m and v.
  Index num_states() const { return 2; }

  /// One step for a slice of θ, g and the state, all of one length.
  template <class S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at) const {
    detail::step_by_rule<S>(*this, theta, grad, state, at);
  }

  /// The step as a rule of kernels/update.hpp: call(rule).
  using RuleOf = Adam;
  template <class S, class Call>
  auto with_rule(const StepInfo& at, Call&& call) const {
    return call(Rule<S>{detail::Moments<S>{beta1, beta2}, detail::broadcast<S>(-at.rate / detail::one_minus_power(beta1, at.step)),
                        detail::AdamMetric<S>{beta2, epsilon, at.step}});
  }

  /// α/D per element, for the step that was just taken.
  template <class S>
  void step_sizes(const StateRef<S>& state, const StepInfo& at, std::type_identity_t<VectorRef<S>> sizes) const {
    const detail::AdamMetric<S> metric{beta2, epsilon, at.step};
    detail::write_step_sizes<S>(at.rate, sizes, [&, v = state[1].data()](Index i, auto load) { return metric(load(v + i)); });
  }

 private:
  template <class S>
  struct Rule {
    using V = kernels::Simd<S>;
    using Lanes = typename V::Vector;
    static constexpr int states = 2;
    detail::Moments<S> moments;
    Lanes minus_rate;
    detail::AdamMetric<S> metric;
    void operator()(Lanes& theta, Lanes grad, Lanes* state) const {
      moments(grad, state[0], state[1]);
      theta = V::fma(minus_rate, V::div(state[0], metric(state[1])), theta);
    }
  };
};

static_assert(Optimizer<Adam, float> && Optimizer<Adam, double>);
static_assert(HasStepSizes<Adam, float> && HasStepSizes<Adam, double>);

}  // namespace parade
