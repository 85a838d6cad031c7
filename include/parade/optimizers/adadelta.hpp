// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/types.hpp>
#include <parade/optimizers/rules.hpp>

namespace parade {

/// Adadelta (Zeiler: "ADADELTA: an adaptive learning rate method", 2012): steps in the unit of θ, sized by the steps before them.
///
///   v ← ρ v + (1 − ρ) g²                 D = √(v + ε) / √(u + ε)
///   δ = g / D
///   u ← ρ u + (1 − ρ) δ²
///   θ ← θ − α δ
///
/// PyTorch's definition. Steps start near √(ε/(1 − ρ)) and grow from there, so ε sets the pace of the first steps: it is no guard
/// alone. α = 1 is the method as published.
///
/// The step size for a proximal regularizer is α/D with the u after the step, since the one before it is gone: from √ρ times to √2 times
/// the one that the step took, and nearly that one as soon as steps vary slowly.
struct Adadelta {
  double rate = 1;        // base rate, ≥ 0; α after the schedule
  double rho = 0.9;       // ρ in [0, 1)
  double epsilon = 1e-6;  // ε > 0

  /// Throws OptionError for a setting out of its range.
  void check() const {
    detail::check_not_negative("Adadelta.rate", rate);
    detail::check_below_one("Adadelta.rho", rho);
    detail::check_epsilon("Adadelta.epsilon", epsilon);
  }

  /// v and u.
  Index num_states() const { return 2; }

  /// One step for a slice of θ, g and the state, all of one length.
  template <class S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at) const {
    detail::step_by_rule<S>(*this, theta, grad, state, at);
  }

  /// The step as a rule of kernels/update.hpp: call(rule).
  using RuleOf = Adadelta;
  template <class S, class Call>
  auto with_rule(const StepInfo& at, Call&& call) const {
    return call(
        Rule<S>{detail::broadcast<S>(rho), detail::broadcast<S>(1 - rho), detail::broadcast<S>(epsilon), detail::broadcast<S>(-at.rate)});
  }

  /// α/D per element, with v and u as they are after the step.
  template <class S>
  void step_sizes(const StateRef<S>& state, const StepInfo& at, std::type_identity_t<VectorRef<S>> sizes) const {
    using V = kernels::Simd<S>;
    const auto offset = detail::broadcast<S>(epsilon);
    const auto root = [&](auto x) { return kernels::sqrt(V::add(x, offset)); };
    detail::write_step_sizes<S>(at.rate, sizes, [&, v = state[0].data(), u = state[1].data()](Index i, auto load) {
      return V::div(root(load(v + i)), root(load(u + i)));
    });
  }

 private:
  template <class S>
  struct Rule {
    using V = kernels::Simd<S>;
    using Lanes = typename V::Vector;
    static constexpr int states = 2;
    Lanes keep, fresh, epsilon, minus_rate;
    void operator()(Lanes& theta, Lanes grad, Lanes* state) const {
      state[0] = V::fma(keep, state[0], V::mul(V::mul(fresh, grad), grad));
      const auto inverse = V::div(kernels::sqrt(V::add(state[1], epsilon)), kernels::sqrt(V::add(state[0], epsilon)));  // 1/D
      const auto delta = V::mul(inverse, grad);
      state[1] = V::fma(keep, state[1], V::mul(V::mul(fresh, delta), delta));
      theta = V::fma(minus_rate, delta, theta);
    }
  };
};

static_assert(Optimizer<Adadelta, float> && Optimizer<Adadelta, double>);
static_assert(HasStepSizes<Adadelta, float> && HasStepSizes<Adadelta, double>);

}  // namespace parade
