// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/power.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/loops.hpp>
#include <parade/kernels/simd.hpp>
#include <parade/kernels/sqrt.hpp>
#include <parade/kernels/update.hpp>

// What the optimizers' rules (see kernels/update.hpp) have in common.
namespace parade::detail {

/// x, rounded to S, in all lanes.
template <class S>
auto broadcast(double x) {
  return kernels::Simd<S>::broadcast(static_cast<S>(x));
}

/// 1 − βᵗ in double, the same on every machine.
inline double one_minus_power(double beta, std::int64_t t) { return std::fma(-power(beta, t - 1), beta, 1.0); }

/// Gives its step as a rule. A class that inherits from another one may have a step of its own, so the rule of its base does not count.
template <class O, class S>
concept GivesRule = std::same_as<typename O::RuleOf, O> && requires(const O optimizer, const StepInfo& at) {
  optimizer.template with_rule<S>(at, [](const auto&) {});
};

/// The distance of an optimizer's state vectors, of which there are `states`.
template <class S>
Index stride_of(const StateRef<S>& state, Index states) {
  return states > 1 ? state[1].data() - state[0].data() : 0;
}

/// One step of an optimizer that gives its rule, for a slice of θ, g and the state, all of one length.
template <class S, class O>
void step_by_rule(const O& optimizer, VectorRef<S>& theta, const ConstVectorRef<S>& grad, const StateRef<S>& state, const StepInfo& at) {
  PARADE_ASSERT(grad.size() == theta.size());
  const Index states = optimizer.num_states(), stride = stride_of(state, states);
  S* first = states > 0 ? state[0].data() : nullptr;
  optimizer.template with_rule<S>(
      at, [&](const auto& rule) { kernels::apply<S>(rule, theta.size(), grad.data(), theta.data(), first, stride); });
}

/// The rule of an optimizer on change(g) in place of g.
template <class S, class Inner, class Change>
struct RuleOnChanged {
  using Lanes = typename kernels::Simd<S>::Vector;
  static constexpr int states = Inner::states;
  Inner inner;
  Change change;
  void operator()(Lanes& theta, Lanes grad, Lanes* state) const { inner(theta, change(grad), state); }
};

/// call(rule) for that rule.
template <class S, class O, class Change, class Call>
auto with_rule_on_changed(const O& optimizer, const StepInfo& at, const Change& change, Call&& call) {
  return optimizer.template with_rule<S>(at, [&](const auto& rule) {
    return call(RuleOnChanged<S, std::remove_cvref_t<decltype(rule)>, Change>{rule, change});
  });
}

/// One step of an optimizer on change(g) in place of g. Without a rule it is given piece after piece: a step is elementwise.
template <class S, class O, class Change>
void step_on_changed(const O& optimizer, VectorRef<S>& theta, const ConstVectorRef<S>& grad, const StateRef<S>& state, const StepInfo& at,
                     const Change& change) {
  PARADE_ASSERT(grad.size() == theta.size());
  const Index states = optimizer.num_states(), stride = stride_of(state, states);
  S* first = states > 0 ? state[0].data() : nullptr;
  if constexpr (GivesRule<O, S>) {
    with_rule_on_changed<S>(optimizer, at, change,
                            [&](const auto& rule) { kernels::apply<S>(rule, theta.size(), grad.data(), theta.data(), first, stride); });
  } else {
    constexpr Index most = 512;
    alignas(64) S piece[most];
    for (Index begin = 0; begin < theta.size(); begin += most) {
      const Index size = std::min(most, theta.size() - begin);
      kernels::for_each_vector<S>(size,
                                  [&, g = grad.data() + begin](Index i, auto load, auto store) { store(piece + i, change(load(g + i))); });
      const VectorRef<S> slice = theta.segment(begin, size);
      const ConstVectorRef<S> changed = Vector<S>::Map(piece, size);
      optimizer.step(slice, changed, StateRef<S>{first ? first + begin : nullptr, stride, size}, at);
    }
  }
}

/// sizes ← α / D, D = metric(i, load) for the elements from i on.
template <class S, class Metric>
void write_step_sizes(double rate, VectorRef<S>& sizes, const Metric& metric) {
  using V = kernels::Simd<S>;
  const auto alpha = broadcast<S>(rate);
  S* out = sizes.data();
  kernels::for_each_vector<S>(sizes.size(), [&](Index i, auto load, auto store) { store(out + i, V::div(alpha, metric(i, load))); });
}

/// The running means of Adam and its kin: m ← β₁ m + (1 − β₁) g and v ← β₂ v + (1 − β₂) g².
template <class S>
struct Moments {
  using V = kernels::Simd<S>;
  using Lanes = typename V::Vector;
  Lanes keep1, fresh1, keep2, fresh2;

  Moments(double beta1, double beta2)
      : keep1(broadcast<S>(beta1)), fresh1(broadcast<S>(1 - beta1)), keep2(broadcast<S>(beta2)), fresh2(broadcast<S>(1 - beta2)) {}
  void operator()(Lanes grad, Lanes& m, Lanes& v) const {
    m = V::fma(keep1, m, V::mul(fresh1, grad));
    v = V::fma(keep2, v, V::mul(V::mul(fresh2, grad), grad));
  }
};

/// Their metric, D = √v / √(1 − β₂ᵗ) + ε.
template <class S>
struct AdamMetric {
  using V = kernels::Simd<S>;
  typename V::Vector scale, epsilon;

  AdamMetric(double beta2, double eps, std::int64_t t)
      : scale(broadcast<S>(1 / std::sqrt(one_minus_power(beta2, t)))), epsilon(broadcast<S>(eps)) {}
  auto operator()(typename V::Vector v) const { return V::fma(scale, kernels::sqrt(v), epsilon); }
};

}  // namespace parade::detail
