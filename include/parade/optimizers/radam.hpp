// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/power.hpp>
#include <parade/core/types.hpp>
#include <parade/optimizers/rules.hpp>

namespace parade {

/// RAdam (Liu et al.: "On the variance of the adaptive learning rate and beyond", ICLR 2020): Adam that leaves its metric out until v has
/// seen enough gradients, and then lets it in by degrees; a warm-up that is found by calculation.
///
///   ρ∞ = 2/(1 − β₂) − 1                  ρₜ = ρ∞ − 2t β₂ᵗ/(1 − β₂ᵗ)
///   r² = (ρₜ − 4)(ρₜ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρₜ)
///   D  = (√v + ε) / (r √(1 − β₂ᵗ))       where ρₜ > 5, else 1
///   θ ← θ − α m̂ / D
///
/// m, v and m̂ are those of Adam. PyTorch's definition: ε stands beside the v that is not corrected yet, and the bound is 5. With β₂ = 0.999
/// the first 5 steps are momentum alone, and r is 0.026 at step 6 and 0.65 at step 1000. Those first steps are α times the gradient, not
/// about α as the others are: where gradients are large, they are large. The step size for a proximal regularizer is α/D.
struct RAdam {
  double rate = 1e-3;     // base rate, ≥ 0; α after the schedule
  double beta1 = 0.9;     // β₁ in [0, 1)
  double beta2 = 0.999;   // β₂ in [0, 1)
  double epsilon = 1e-8;  // ε > 0

  /// Throws OptionError for a setting out of its range.
  void check() const { detail::check_adam("RAdam", rate, beta1, beta2, epsilon); }

  /// m and v.
  Index num_states() const { return 2; }

  /// One step for a slice of θ, g and the state, all of one length.
  template <class S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at) const {
    detail::step_by_rule<S>(*this, theta, grad, state, at);
  }

  /// The step as a rule of kernels/update.hpp: call(rule).
  using RuleOf = RAdam;
  template <class S, class Call>
  auto with_rule(const StepInfo& at, Call&& call) const {
    const auto minus_rate = detail::broadcast<S>(-at.rate / detail::one_minus_power(beta1, at.step));
    return call(Rule<S>{detail::Moments<S>{beta1, beta2}, minus_rate, Metric<S>{*this, at.step}});
  }

  /// α/D per element, for the step that was just taken.
  template <class S>
  void step_sizes(const StateRef<S>& state, const StepInfo& at, std::type_identity_t<VectorRef<S>> sizes) const {
    const Metric<S> metric{*this, at.step};
    detail::write_step_sizes<S>(at.rate, sizes, [&, v = state[1].data()](Index i, auto load) { return metric(load(v + i)); });
  }

 private:
  /// r √(1 − β₂ᵗ), 0 where ρₜ ≤ 5.
  double rectification(std::int64_t t) const {
    const double correction = detail::one_minus_power(beta2, t), most = 2 / (1 - beta2) - 1;
    const double length = std::fma(-2 * static_cast<double>(t), detail::power(beta2, t) / correction, most);
    if (!(length > 5)) return 0;
    return std::sqrt((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length) * correction);
  }

  /// D = scale √v + offset
  template <class S>
  struct Metric {
    using V = kernels::Simd<S>;
    typename V::Vector scale, offset;

    Metric(const RAdam& radam, std::int64_t t) {
      const double r = radam.rectification(t);
      scale = detail::broadcast<S>(r > 0 ? 1 / r : 0);
      offset = detail::broadcast<S>(r > 0 ? radam.epsilon / r : 1);
    }
    auto operator()(typename V::Vector v) const { return V::fma(scale, kernels::sqrt(v), offset); }
  };

  template <class S>
  struct Rule {
    using V = kernels::Simd<S>;
    using Lanes = typename V::Vector;
    static constexpr int states = 2;
    detail::Moments<S> moments;
    Lanes minus_rate;
    Metric<S> metric;
    void operator()(Lanes& theta, Lanes grad, Lanes* state) const {
      moments(grad, state[0], state[1]);
      theta = V::fma(minus_rate, V::div(state[0], metric(state[1])), theta);
    }
  };
};

static_assert(Optimizer<RAdam, float> && Optimizer<RAdam, double>);
static_assert(HasStepSizes<RAdam, float> && HasStepSizes<RAdam, double>);

}  // namespace parade
