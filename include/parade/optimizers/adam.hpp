// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/error.hpp>
#include <parade/core/power.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/loops.hpp>
#include <parade/kernels/simd.hpp>
#include <parade/kernels/sqrt.hpp>
#include <parade/kernels/update.hpp>

namespace parade {

/// Adam (Kingma, Ba: "Adam: a method for stochastic optimization", ICLR 2015). Per element, at step t = 1, 2, …:
///
///   m ← β₁ m + (1 − β₁) g          m̂ = m / (1 − β₁ᵗ)
///   v ← β₂ v + (1 − β₂) g²         v̂ = v / (1 − β₂ᵗ)          D = √v̂ + ε
///   θ ← θ − α m̂ / D
///
/// ε stands outside the root of the corrected v̂, as in algorithm 1 of the paper and in PyTorch. Whatever the size of the gradient, the
/// first step moves an element by almost exactly α against its sign.
///
/// This is gradient descent in the diagonal metric D, with m̂ in place of the gradient. A proximal step must use the same metric, so its step
/// size is α/D. The factor 1/(1 − β₁ᵗ) belongs to m̂, not to the metric: with it, λR would weigh up to 1/(1 − β₁) times too much in the
/// first steps. An element whose gradient has always been 0 has D = ε, and the step size α/ε makes it exactly 0 under L1 at once.
struct Adam {
  double rate = 1e-3;     // base rate, ≥ 0; α after the schedule
  double beta1 = 0.9;     // β₁ in [0, 1)
  double beta2 = 0.999;   // β₂ in [0, 1)
  double epsilon = 1e-8;  // ε > 0

  /// Throws OptionError for a setting out of its range.
  void check() const {
    if (!(rate >= 0 && std::isfinite(rate))) throw OptionError(detail::text("Adam.rate must be finite and at least 0; got ", rate));
    if (!(beta1 >= 0 && beta1 < 1)) throw OptionError(detail::text("Adam.beta1 must be in [0, 1); got ", beta1));
    if (!(beta2 >= 0 && beta2 < 1)) throw OptionError(detail::text("Adam.beta2 must be in [0, 1); got ", beta2));
    if (!(epsilon > 0 && std::isfinite(epsilon))) throw OptionError(detail::text("Adam.epsilon must be finite and above 0; got ", epsilon));
  }

  /// m and v.
  Index num_states() const { return 2; }

  /// One step for a slice of θ, g and the state, all of one length.
  template <class S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at) const {
    PARADE_ASSERT(grad.size() == theta.size());
    const Index stride = state[1].data() - state[0].data();
    with_rule<S>(at, [&](const auto& rule) { kernels::apply<S>(rule, theta.size(), grad.data(), theta.data(), state[0].data(), stride); });
  }

  /// The step as a rule of kernels/update.hpp: call(rule).
  using RuleOf = Adam;
  template <class S, class Call>
  auto with_rule(const StepInfo& at, Call&& call) const {
    return call(Rule<S>{broadcast<S>(beta1), broadcast<S>(1 - beta1), broadcast<S>(beta2), broadcast<S>(1 - beta2),
                        broadcast<S>(-at.rate / one_minus_power(beta1, at.step)), Metric<S>{*this, at}});
  }

  /// α/D per element, for the step that was just taken.
  template <class S>
  void step_sizes(const StateRef<S>& state, const StepInfo& at, std::type_identity_t<VectorRef<S>> sizes) const {
    using V = kernels::Simd<S>;
    const auto alpha = broadcast<S>(at.rate);
    const Metric<S> metric{*this, at};
    const S* v = state[1].data();
    S* out = sizes.data();
    kernels::for_each_vector<S>(sizes.size(), [&](Index i, auto load, auto store) { store(out + i, V::div(alpha, metric(load(v + i)))); });
  }

 private:
  template <class S>
  static auto broadcast(double x) {
    return kernels::Simd<S>::broadcast(static_cast<S>(x));
  }

  /// 1 − βᵗ in double, the same on every machine.
  static double one_minus_power(double beta, std::int64_t t) { return std::fma(-detail::power(beta, t - 1), beta, 1.0); }

  /// D = √v / √(1 − β₂ᵗ) + ε for a vector of elements of v.
  template <class S>
  struct Metric {
    using V = kernels::Simd<S>;
    typename V::Vector scale, epsilon;

    Metric(const Adam& adam, const StepInfo& at)
        : scale(broadcast<S>(1 / std::sqrt(one_minus_power(adam.beta2, at.step)))), epsilon(broadcast<S>(adam.epsilon)) {}
    auto operator()(typename V::Vector v) const { return V::fma(scale, kernels::sqrt(v), epsilon); }
  };

  template <class S>
  struct Rule {
    using V = kernels::Simd<S>;
    using Lanes = typename V::Vector;
    static constexpr int states = 2;
    Lanes keep1, fresh1, keep2, fresh2, minus_rate;
    Metric<S> metric;
    void operator()(Lanes& theta, Lanes grad, Lanes* state) const {
      state[0] = V::fma(keep1, state[0], V::mul(fresh1, grad));
      state[1] = V::fma(keep2, state[1], V::mul(V::mul(fresh2, grad), grad));
      theta = V::fma(minus_rate, V::div(state[0], metric(state[1])), theta);
    }
  };
};

static_assert(Optimizer<Adam, float> && Optimizer<Adam, double>);
static_assert(HasStepSizes<Adam, float> && HasStepSizes<Adam, double>);

}  // namespace parade
