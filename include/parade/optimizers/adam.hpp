// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/error.hpp>
#include <parade/core/power.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/simd.hpp>
#include <parade/kernels/sqrt.hpp>

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
    using V = kernels::Simd<S>;
    const auto keep1 = broadcast<S>(beta1), fresh1 = broadcast<S>(1 - beta1);
    const auto keep2 = broadcast<S>(beta2), fresh2 = broadcast<S>(1 - beta2);
    const auto minus_rate = broadcast<S>(-at.rate / one_minus_power(beta1, at.step));
    const Metric<S> metric{*this, at};
    const S* g = grad.data();
    S *t = theta.data(), *m = state[0].data(), *v = state[1].data();
    for_each_vector<S>(theta.size(), [&](Index i, auto load, auto store) {
      const auto gi = load(g + i);
      const auto mi = V::fma(keep1, load(m + i), V::mul(fresh1, gi));
      const auto vi = V::fma(keep2, load(v + i), V::mul(V::mul(fresh2, gi), gi));
      store(m + i, mi);
      store(v + i, vi);
      store(t + i, V::fma(minus_rate, V::div(mi, metric(vi)), load(t + i)));
    });
  }

  /// α/D per element, for the step that was just taken.
  template <class S>
  void step_sizes(const StateRef<S>& state, const StepInfo& at, std::type_identity_t<VectorRef<S>> sizes) const {
    using V = kernels::Simd<S>;
    const auto alpha = broadcast<S>(at.rate);
    const Metric<S> metric{*this, at};
    const S* v = state[1].data();
    S* out = sizes.data();
    for_each_vector<S>(sizes.size(), [&](Index i, auto load, auto store) { store(out + i, V::div(alpha, metric(load(v + i)))); });
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

  /// body(i, load, store) for the elements from i on, a vector's width at a time, the last ones by masked loads and stores. Every operation
  /// on a lane is rounded correctly, so an element has the same bits whatever its place.
  template <class S, class Body>
  static void for_each_vector(Index size, const Body& body) {
    using V = kernels::Simd<S>;
    Index i = 0;
    for (; i + V::width <= size; i += V::width) body(i, V::load, V::store);
    const auto load_rest = [rest = size - i](const S* p) { return V::load_first(p, rest); };
    const auto store_rest = [rest = size - i](S* p, typename V::Vector x) { V::store_first(p, x, rest); };
    if (i < size) body(i, load_rest, store_rest);
  }
};

static_assert(Optimizer<Adam, float> && Optimizer<Adam, double>);
static_assert(HasStepSizes<Adam, float> && HasStepSizes<Adam, double>);

}  // namespace parade
