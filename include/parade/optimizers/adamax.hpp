// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/math.hpp>
#include <parade/optimizers/rules.hpp>

namespace parade {

/// Adamax (Kingma, Ba: "Adam: a method for stochastic optimization", ICLR 2015, section 7.1): Adam with a maximum norm for the metric,
///
///   m ← β₁ m + (1 − β₁) g                m̂ = m / (1 − β₁ᵗ)
///   u ← max(β₂ u, |g| + ε)               D = u
///   θ ← θ − α m̂ / D
///
/// PyTorch's definition: ε stands inside the maximum. No g² is formed, so that gradients neither overflow nor vanish in it, and no element
/// moves by more than about α a step. The step size for a proximal regularizer is α/u: an element whose gradient has always been 0 has
/// u = ε or a little less.
struct Adamax {
  double rate = 2e-3;     // base rate, ≥ 0; α after the schedule
  double beta1 = 0.9;     // β₁ in [0, 1)
  double beta2 = 0.999;   // β₂ in [0, 1)
  double epsilon = 1e-8;  // ε > 0

  /// Throws OptionError for a setting out of its range.
  void check() const { detail::check_adam("Adamax", rate, beta1, beta2, epsilon); }

  /// m and u.
  Index num_states() const { return 2; }

  /// One step for a slice of θ, g and the state, all of one length.
  template <class S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at) const {
    detail::step_by_rule<S>(*this, theta, grad, state, at);
  }

  /// The step as a rule of kernels/update.hpp: call(rule).
  using RuleOf = Adamax;
  template <class S, class Call>
  auto with_rule(const StepInfo& at, Call&& call) const {
    return call(Rule<S>{detail::broadcast<S>(beta1), detail::broadcast<S>(1 - beta1), detail::broadcast<S>(beta2),
                        detail::broadcast<S>(epsilon), detail::broadcast<S>(-at.rate / detail::one_minus_power(beta1, at.step))});
  }

  /// α/D per element, for the step that was just taken.
  template <class S>
  void step_sizes(const StateRef<S>& state, const StepInfo& at, std::type_identity_t<VectorRef<S>> sizes) const {
    detail::write_step_sizes<S>(at.rate, sizes, [u = state[1].data()](Index i, auto load) { return load(u + i); });
  }

 private:
  template <class S>
  struct Rule {
    using V = kernels::Simd<S>;
    using Lanes = typename V::Vector;
    static constexpr int states = 2;
    Lanes keep1, fresh1, keep2, epsilon, minus_rate;
    void operator()(Lanes& theta, Lanes grad, Lanes* state) const {
      state[0] = V::fma(keep1, state[0], V::mul(fresh1, grad));
      state[1] = V::max(V::mul(keep2, state[1]), V::add(detail::magnitude<S>(grad), epsilon));  // NaN where g is
      theta = V::fma(minus_rate, V::div(state[0], state[1]), theta);
    }
  };
};

static_assert(Optimizer<Adamax, float> && Optimizer<Adamax, double>);
static_assert(HasStepSizes<Adamax, float> && HasStepSizes<Adamax, double>);

}  // namespace parade
