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

/// Adam with decoupled weight decay (Loshchilov, Hutter: "Decoupled weight decay regularization", ICLR 2019):
///
///   θ ← (1 − αλ) θ           then the step of Adam, θ ← θ − α m̂ / D
///
/// λ never enters g, so that θ decays at the same pace whatever the size of its gradients; in L2 under Adam it does not. PyTorch's
/// definition: the pace follows the schedule. With rate = 0.01 and λ = 0.1, an element without gradient loses a thousandth a step.
/// The decay is no part of F(θ): a reported penalty does not hold it. The step size for a proximal regularizer is α/D, as with Adam.
///
/// `step` sees no parameters, only elements, and decays all of them. What spares the biases is `for_parameter`, by which a trainer asks
/// for the settings of one parameter.
struct AdamW {
  double rate = 1e-3;          // base rate, ≥ 0; α after the schedule
  double beta1 = 0.9;          // β₁ in [0, 1)
  double beta2 = 0.999;        // β₂ in [0, 1)
  double epsilon = 1e-8;       // ε > 0
  double weight_decay = 0.01;  // λ ≥ 0
  bool biases = false;         // whether biases decay too, as in PyTorch

  /// Throws OptionError for a setting out of its range.
  void check() const {
    detail::check_adam("AdamW", rate, beta1, beta2, epsilon);
    detail::check_not_negative("AdamW.weight_decay", weight_decay);
  }

  /// The same without weight decay for biases, unless `biases`.
  AdamW for_parameter(const ParameterBlock& block) const {
    AdamW own = *this;
    if (block.role == Role::bias && !biases) own.weight_decay = 0;
    return own;
  }

  /// m and v.
  Index num_states() const { return 2; }

  /// One step for a slice of θ, g and the state, all of one length.
  template <class S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at) const {
    detail::step_by_rule<S>(*this, theta, grad, state, at);
  }

  /// The step as a rule of kernels/update.hpp: call(rule).
  using RuleOf = AdamW;
  template <class S, class Call>
  auto with_rule(const StepInfo& at, Call&& call) const {
    return call(Rule<S>{detail::Moments<S>{beta1, beta2}, detail::broadcast<S>(-at.rate / detail::one_minus_power(beta1, at.step)),
                        detail::broadcast<S>(std::fma(-at.rate, weight_decay, 1.0)), detail::AdamMetric<S>{beta2, epsilon, at.step}});
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
    Lanes minus_rate, keep;
    detail::AdamMetric<S> metric;
    void operator()(Lanes& theta, Lanes grad, Lanes* state) const {
      moments(grad, state[0], state[1]);
      theta = V::fma(minus_rate, V::div(state[0], metric(state[1])), V::mul(keep, theta));
    }
  };
};

static_assert(Optimizer<AdamW, float> && Optimizer<AdamW, double>);
static_assert(HasStepSizes<AdamW, float> && HasStepSizes<AdamW, double>);

}  // namespace parade
