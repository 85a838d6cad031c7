// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <type_traits>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>
#include <parade/optimizers/rules.hpp>

namespace parade {

/// Lion (Chen et al.: "Symbolic discovery of optimization algorithms", NeurIPS 2023): the sign of a look-ahead momentum,
///
///   u = β₁ m + (1 − β₁) g
///   θ ← (1 − αλ) θ − α sign(u)           sign(0) is 0
///   m ← β₂ m + (1 − β₂) g
///
/// One vector of state, and a step of the same size α for every element, whatever its gradient: α is set 3 to 10 times smaller than for
/// AdamW, and λ as many times larger. The decay λ is decoupled, as in AdamW, and spares biases the same way. The step size for a proximal
/// regularizer is α; but α sign(u) does not shrink near a minimum, so that exact zeros come and go: prefer another method for sparse θ.
struct Lion {
  double rate = 1e-4;       // base rate, ≥ 0; α after the schedule
  double beta1 = 0.9;       // β₁ in [0, 1)
  double beta2 = 0.99;      // β₂ in [0, 1)
  double weight_decay = 0;  // λ ≥ 0
  bool biases = false;      // whether biases decay too

  /// Throws OptionError for a setting out of its range.
  void check() const {
    detail::check_not_negative("Lion.rate", rate);
    detail::check_below_one("Lion.beta1", beta1);
    detail::check_below_one("Lion.beta2", beta2);
    detail::check_not_negative("Lion.weight_decay", weight_decay);
  }

  /// The same without weight decay for biases, unless `biases`.
  Lion for_parameter(const ParameterBlock& block) const {
    Lion own = *this;
    if (block.role == Role::bias && !biases) own.weight_decay = 0;
    return own;
  }

  /// m.
  Index num_states() const { return 1; }

  /// One step for a slice of θ, g and the state, all of one length.
  template <class S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at) const {
    detail::step_by_rule<S>(*this, theta, grad, state, at);
  }

  /// The step as a rule of kernels/update.hpp: call(rule).
  using RuleOf = Lion;
  template <class S, class Call>
  auto with_rule(const StepInfo& at, Call&& call) const {
    return call(Rule<S>{detail::broadcast<S>(beta1), detail::broadcast<S>(1 - beta1), detail::broadcast<S>(beta2),
                        detail::broadcast<S>(1 - beta2), detail::broadcast<S>(-at.rate),
                        detail::broadcast<S>(std::fma(-at.rate, weight_decay, 1.0))});
  }

 private:
  template <class S>
  struct Rule {
    using V = kernels::Simd<S>;
    using Lanes = typename V::Vector;
    static constexpr int states = 1;
    Lanes keep1, fresh1, keep2, fresh2, minus_rate, keep;
    void operator()(Lanes& theta, Lanes grad, Lanes* state) const {
      const auto zero = V::broadcast(0), one = V::broadcast(1);
      const auto u = V::fma(keep1, state[0], V::mul(fresh1, grad));
      const auto sign = V::select(V::less(zero, u), one, V::select(V::less(u, zero), V::neg(one), u));  // u: 0 or NaN
      theta = V::fma(minus_rate, sign, V::mul(keep, theta));
      state[0] = V::fma(keep2, state[0], V::mul(fresh2, grad));
    }
  };
};

static_assert(Optimizer<Lion, float> && Optimizer<Lion, double>);

}  // namespace parade
