// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <type_traits>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/simd.hpp>
#include <parade/kernels/update.hpp>
#include <parade/optimizers/rules.hpp>
#include <parade/optimizers/trust_ratio.hpp>

namespace parade {

/// LARS, layer-wise adaptive rate scaling (You, Gitman, Ginsburg: "Large batch training of convolutional networks", 2017): momentum, with a rate for
/// every parameter that makes its step a fixed share of its norm,
///
///   f = η ‖θ‖ / (‖g‖ + λ‖θ‖)             of that parameter; 1 where ‖θ‖ or ‖g‖ is 0, and for biases
///   v ← μ v + f (g + λθ)
///   θ ← θ − α v
///
/// η is `trust` and λ the weight decay. With ‖θ‖ = 2, ‖g‖ = 0.5, λ = 0 and η = 0.001: f = 0.004, a step of α · 0.001 · ‖θ‖. It lets a
/// network be trained with batches of many thousands. The rate is that of the batch size, often 1 to 30, with a warm-up.
///
/// As in Sgd, α stands outside v, where the paper has it inside: the same for a steady α, and a schedule acts at once. λ is the method's
/// own, since it knows ‖g‖ and ‖θ‖ apart: use it in place of L2. Biases, whose norms say little, take the step of momentum SGD without decay,
/// unless `biases`.
struct Lars {
  double rate = 1;          // base rate, ≥ 0; α after the schedule
  double momentum = 0.9;    // μ in [0, 1)
  double weight_decay = 0;  // λ ≥ 0
  double trust = 0.001;     // η > 0
  bool biases = false;      // whether biases are scaled and decay too

  /// Throws OptionError for a setting out of its range.
  void check() const {
    detail::check_not_negative("Lars.rate", rate);
    detail::check_below_one("Lars.momentum", momentum);
    detail::check_not_negative("Lars.weight_decay", weight_decay);
    detail::check_positive("Lars.trust", trust);
  }

  /// The same without weight decay for biases, unless `biases`.
  Lars for_parameter(const ParameterBlock& block) const {
    Lars own = *this;
    if (block.role == Role::bias && !biases) own.weight_decay = 0;
    return own;
  }

  /// v with momentum, nothing without.
  Index num_states() const { return momentum > 0 ? 1 : 0; }

  /// Nothing: the norms are those of g and θ as they are.
  template <class S>
  void measure(std::type_identity_t<VectorRef<S>>, const std::type_identity_t<ConstVectorRef<S>>&, const StateRef<S>&,
               const StepInfo&) const {}

  /// f. NaN for a norm that is not finite.
  double factor(const Norms& parameter, const Norms&, const ParameterBlock& block, const StepInfo&) const {
    if (block.role == Role::bias && !biases) return detail::one_if_finite(parameter);
    return detail::trust_ratio(parameter, trust, std::fma(weight_decay, parameter.theta, parameter.grad));
  }

  /// One step for a slice of θ, g and the state, all of one length.
  template <class S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at, double factor) const {
    PARADE_ASSERT(grad.size() == theta.size());
    const auto minus_rate = detail::broadcast<S>(-at.rate), mu = detail::broadcast<S>(momentum), f = detail::broadcast<S>(factor),
               lambda = detail::broadcast<S>(weight_decay);
    if (momentum > 0)
      kernels::apply<S>(Rule<S, 1>{minus_rate, mu, f, lambda}, theta.size(), grad.data(), theta.data(), state[0].data(), 0);
    else
      kernels::apply<S>(Rule<S, 0>{minus_rate, mu, f, lambda}, theta.size(), grad.data(), theta.data(), nullptr, 0);
  }

 private:
  template <class S, int States>
  struct Rule {
    using V = kernels::Simd<S>;
    using Lanes = typename V::Vector;
    static constexpr int states = States;
    Lanes minus_rate, mu, factor, lambda;
    void operator()(Lanes& theta, Lanes grad, Lanes* v) const {
      auto step = V::mul(factor, V::fma(lambda, theta, grad));
      if constexpr (States == 1) step = v[0] = V::fma(mu, v[0], step);
      theta = V::fma(minus_rate, step, theta);
    }
  };
};

static_assert(MeasuredOptimizer<Lars, float> && MeasuredOptimizer<Lars, double>);

}  // namespace parade
