// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <type_traits>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>

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

  /// One step for a slice of θ, g and the state, all of one length.
  template <class S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at) const {
    PARADE_ASSERT(grad.size() == theta.size());
    const Index size = theta.size();
    const auto minus_rate = static_cast<S>(-at.rate);
    S* __restrict t = theta.data();
    const S* __restrict g = grad.data();
    if (num_states() == 0) {
      for (Index i = 0; i < size; ++i) t[i] = std::fma(minus_rate, g[i], t[i]);
      return;
    }
    const auto mu = static_cast<S>(momentum);
    const auto fresh = static_cast<S>(at.step == 1 ? 1 : 1 - dampening);
    const bool ahead = nesterov;
    S* __restrict v = state[0].data();
    for (Index i = 0; i < size; ++i) {
      v[i] = std::fma(mu, v[i], fresh * g[i]);  // v starts at 0, so the first v is g
      t[i] = std::fma(minus_rate, ahead ? std::fma(mu, v[i], g[i]) : v[i], t[i]);
    }
  }
};

static_assert(Optimizer<Sgd, float> && Optimizer<Sgd, double>);

}  // namespace parade
