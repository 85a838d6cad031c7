// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/types.hpp>
#include <parade/optimizers/rules.hpp>

namespace parade {

/// AMSGrad (Reddi, Kale, Kumar: "On the convergence of Adam and beyond", ICLR 2018): Adam with the largest v so far in its metric,
///
///   u ← max(u, v)            D = √u / √(1 − β₂ᵗ) + ε
///   θ ← θ − α m̂ / D
///
/// m, v, m̂ and the settings are those of Adam. A rare large gradient is then not forgotten while it still matters, which Adam's proof of
/// convergence lacked. PyTorch's definition (`amsgrad=True`): the maximum is that of the v before its correction. A type of its own, since
/// it keeps a vector more: Adam pays nothing for it.
struct AmsGrad {
  double rate = 1e-3;     // base rate, ≥ 0; α after the schedule
  double beta1 = 0.9;     // β₁ in [0, 1)
  double beta2 = 0.999;   // β₂ in [0, 1)
  double epsilon = 1e-8;  // ε > 0

  /// Throws OptionError for a setting out of its range.
  void check() const { detail::check_adam("AmsGrad", rate, beta1, beta2, epsilon); }

  /// m, v and u.
  Index num_states() const { return 3; }

  /// One step for a slice of θ, g and the state, all of one length.
  template <class S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at) const {
    detail::step_by_rule<S>(*this, theta, grad, state, at);
  }

  /// The step as a rule of kernels/update.hpp: call(rule).
  using RuleOf = AmsGrad;
  template <class S, class Call>
  auto with_rule(const StepInfo& at, Call&& call) const {
    return call(Rule<S>{detail::Moments<S>{beta1, beta2}, detail::broadcast<S>(-at.rate / detail::one_minus_power(beta1, at.step)),
                        detail::AdamMetric<S>{beta2, epsilon, at.step}});
  }

  /// α/D per element, for the step that was just taken.
  template <class S>
  void step_sizes(const StateRef<S>& state, const StepInfo& at, std::type_identity_t<VectorRef<S>> sizes) const {
    const detail::AdamMetric<S> metric{beta2, epsilon, at.step};
    detail::write_step_sizes<S>(at.rate, sizes, [&, u = state[2].data()](Index i, auto load) { return metric(load(u + i)); });
  }

 private:
  template <class S>
  struct Rule {
    using V = kernels::Simd<S>;
    using Lanes = typename V::Vector;
    static constexpr int states = 3;
    detail::Moments<S> moments;
    Lanes minus_rate;
    detail::AdamMetric<S> metric;
    void operator()(Lanes& theta, Lanes grad, Lanes* state) const {
      moments(grad, state[0], state[1]);
      state[2] = V::max(state[2], state[1]);  // v if it is NaN
      theta = V::fma(minus_rate, V::div(state[0], metric(state[2])), theta);
    }
  };
};

static_assert(Optimizer<AmsGrad, float> && Optimizer<AmsGrad, double>);
static_assert(HasStepSizes<AmsGrad, float> && HasStepSizes<AmsGrad, double>);

}  // namespace parade
