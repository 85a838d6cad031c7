// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <type_traits>

#include <parade/concepts/optimizer.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/update.hpp>

namespace parade {

/// Stochastic gradient descent, plain, with momentum (Polyak 1964), or with Nesterov's momentum (Sutskever et al. 2013). Per element:
///
///   v ← g                   at the first step
///   v ← μ v + (1 − δ) g     at every other step
///   θ ← θ − α v             or, with Nesterov's momentum, θ ← θ − α (g + μ v)
///
/// μ is the momentum and δ the dampening. Without momentum v is g, and no state is kept. PyTorch's definition: α is not inside v, so that
/// a schedule acts at once, and a steady gradient g moves θ by −α(1 − δ)/(1 − μ) g a step.
/// The step size for a proximal regularizer is α.
struct Sgd {
  double rate = 0.01;     // base rate, ≥ 0; α after the schedule
  double momentum = 0;    // μ in [0, 1)
  double dampening = 0;   // δ in [0, 1]
  bool nesterov = false;  // needs momentum > 0 and dampening = 0

  /// Throws OptionError for a setting out of its range.
  void check() const {
    if (!(rate >= 0 && std::isfinite(rate))) throw OptionError(detail::text("Sgd.rate must be finite and at least 0; got ", rate));
    if (!(momentum >= 0 && momentum < 1)) throw OptionError(detail::text("Sgd.momentum must be in [0, 1); got ", momentum));
    if (!(dampening >= 0 && dampening <= 1)) throw OptionError(detail::text("Sgd.dampening must be in [0, 1]; got ", dampening));
    if (nesterov && !(momentum > 0 && dampening == 0))
      throw OptionError(detail::text("Sgd.nesterov needs momentum above 0 and dampening 0; got ", momentum, " and ", dampening));
  }

  /// v with momentum, nothing without.
  Index num_states() const { return momentum > 0 ? 1 : 0; }

  /// For sparse data: with momentum an element goes on moving without a gradient.
  using ZeroGradientOf = Sgd;
  ZeroGradient zero_gradient() const { return momentum > 0 ? ZeroGradient::moves : ZeroGradient::linear; }

  /// One step for a slice of θ, g and the state, all of one length.
  template <class S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at) const {
    PARADE_ASSERT(grad.size() == theta.size());
    S* v = num_states() > 0 ? state[0].data() : nullptr;
    with_rule<S>(at, [&](const auto& rule) { kernels::apply<S>(rule, theta.size(), grad.data(), theta.data(), v, 0); });
  }

  /// The step as a rule of kernels/update.hpp: call(rule).
  using RuleOf = Sgd;
  template <class S, class Call>
  auto with_rule(const StepInfo& at, Call&& call) const {
    using V = kernels::Simd<S>;
    const auto all = [](double x) { return V::broadcast(static_cast<S>(x)); };
    const auto minus_rate = all(-at.rate), mu = all(momentum);
    const auto fresh = all(at.step == 1 ? 1 : 1 - dampening);  // v starts at 0, so the first v is g
    if (num_states() == 0) return call(Plain<S>{minus_rate});
    if (nesterov) return call(Momentum<S, true>{minus_rate, mu, fresh});
    return call(Momentum<S, false>{minus_rate, mu, fresh});
  }

 private:
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

}  // namespace parade
