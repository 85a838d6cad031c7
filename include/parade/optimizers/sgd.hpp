// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include <parade/concepts/optimizer.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/error.hpp>
#include <parade/core/power.hpp>
#include <parade/core/types.hpp>
#include <parade/optimizers/rules.hpp>

namespace parade {

/// Stochastic gradient descent, plain, with momentum (Polyak 1964), or with Nesterov's momentum (Sutskever et al. 2013). Per element:
///
///   v ← g                   at the first step
///   v ← μ v + (1 − δ) g     at every other step
///   θ ← θ − α v             or, with Nesterov's momentum, θ ← θ − α (g + μ v)
///
/// μ is the momentum and δ the dampening. Without momentum v is g, and no state is kept. PyTorch's definition: α is not inside v, so that
/// a schedule acts at once, and a steady gradient g moves θ by −α(1 − δ)/(1 − μ) g a step.
///
/// The step size for a proximal regularizer is α times the sum of the weights that v gives to the gradients so far,
///
///   w = μᵗ⁻¹ + (1 − δ)(1 − μᵗ⁻¹)/(1 − μ)             α w, or α(1 + μ w) with Nesterov's momentum
///
/// so α at first, and α(1 − δ)/(1 − μ) in the long run: with α alone, θ would come to rest where λ is 1/(1 − μ) times too weak.
struct Sgd {
  double rate = 0.01;     // base rate, ≥ 0; α after the schedule
  double momentum = 0;    // μ in [0, 1)
  double dampening = 0;   // δ in [0, 1]
  bool nesterov = false;  // needs momentum > 0 and dampening = 0

  /// Throws OptionError for a setting out of its range.
  void check() const {
    detail::check_not_negative("Sgd.rate", rate);
    detail::check_below_one("Sgd.momentum", momentum);
    detail::check_share("Sgd.dampening", dampening);
    if (nesterov && !(momentum > 0 && dampening == 0))
      throw OptionError(detail::text("Sgd.nesterov needs momentum above 0 and dampening 0; got ", momentum, " and ", dampening));
  }

  /// v with momentum, nothing without.
  Index num_states() const { return momentum > 0 ? 1 : 0; }

  /// For sparse data: with momentum an element goes on moving without a gradient, by a linear map.
  using ZeroGradientOf = Sgd;
  ZeroGradient zero_gradient() const { return momentum > 0 ? ZeroGradient::glides : ZeroGradient::linear; }
  LinearStep linear_step(const StepInfo& at) const {
    const double fresh = at.step == 1 ? 1 : 1 - dampening, by_state = nesterov ? -at.rate * momentum : -at.rate;  // θ ← θ + by_state v …
    return {.theta_of_state = by_state * momentum,
            .theta_of_gradient = nesterov ? std::fma(by_state, fresh, -at.rate) : by_state * fresh,  // … − α g
            .state_of_state = momentum,
            .state_of_gradient = fresh,
            .step_size = at.rate * steps_of_gradient(at.step)};
  }

  /// One step for a slice of θ, g and the state, all of one length.
  template <class S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at) const {
    detail::step_by_rule<S>(*this, theta, grad, state, at);
  }

  /// The step as a rule of kernels/update.hpp: call(rule).
  using RuleOf = Sgd;
  template <class S, class Call>
  auto with_rule(const StepInfo& at, Call&& call) const {
    const auto minus_rate = detail::broadcast<S>(-at.rate), mu = detail::broadcast<S>(momentum);
    const auto fresh = detail::broadcast<S>(at.step == 1 ? 1 : 1 - dampening);  // v starts at 0, so the first v is g
    if (num_states() == 0) return call(Plain<S>{minus_rate});
    if (nesterov) return call(Momentum<S, true>{minus_rate, mu, fresh});
    return call(Momentum<S, false>{minus_rate, mu, fresh});
  }

  /// The same for every element.
  template <class S>
  void step_sizes(const StateRef<S>&, const StepInfo& at, std::type_identity_t<VectorRef<S>> sizes) const {
    sizes.setConstant(static_cast<S>(at.rate * steps_of_gradient(at.step)));
  }

 private:
  /// By how many of its steps a gradient that never changes moves θ in step t.
  double steps_of_gradient(std::int64_t t) const {
    if (num_states() == 0) return 1;
    const double weight =
        t == 1 ? 1 : std::fma(1 - dampening, detail::one_minus_power(momentum, t - 1) / (1 - momentum), detail::power(momentum, t - 1));
    return nesterov ? std::fma(momentum, weight, 1.0) : weight;
  }

  template <class S>
  struct Plain {
    using V = kernels::Simd<S>;
    using Lanes = typename V::Vector;
    static constexpr int states = 0;
    Lanes minus_rate;
    void operator()(Lanes& theta, Lanes grad, Lanes*) const { theta = V::fma(minus_rate, grad, theta); }
  };
  template <class S, bool Nesterov>
  struct Momentum {
    using V = kernels::Simd<S>;
    using Lanes = typename V::Vector;
    static constexpr int states = 1;
    Lanes minus_rate, mu, fresh;
    void operator()(Lanes& theta, Lanes grad, Lanes* v) const {
      v[0] = V::fma(mu, v[0], V::mul(fresh, grad));
      theta = V::fma(minus_rate, Nesterov ? V::fma(mu, v[0], grad) : v[0], theta);
    }
  };
};

static_assert(Optimizer<Sgd, float> && Optimizer<Sgd, double>);
static_assert(HasStepSizes<Sgd, float> && HasStepSizes<Sgd, double>);

}  // namespace parade
