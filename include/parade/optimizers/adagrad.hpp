// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <type_traits>

#include <parade/concepts/optimizer.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/types.hpp>
#include <parade/optimizers/rules.hpp>

namespace parade {

/// Adagrad (Duchi, Hazan, Singer: "Adaptive subgradient methods for online learning and stochastic optimization", JMLR 2011):
///
///   G ← G + g²                           before the first step G is `initial_accumulator`
///   α' = α / (1 + (t − 1) η)             η is `rate_decay`                   D = √G + ε
///   θ ← θ − α' g / D
///
/// PyTorch's definition. G only grows, so that an element's steps shrink like 1/√t where its gradients stay, and rare features keep large
/// ones: made for sparse, convex problems. Without an initial accumulator the first step moves an element by α against the sign of g. An
/// element whose gradient has always been 0 has D = ε, and the step size α'/ε makes it exactly 0 under L1 at once.
struct Adagrad {
  double rate = 0.01;              // base rate, ≥ 0; α after the schedule
  double rate_decay = 0;           // η ≥ 0
  double initial_accumulator = 0;  // ≥ 0
  double epsilon = 1e-10;          // ε > 0

  /// Throws OptionError for a setting out of its range.
  void check() const {
    detail::check_not_negative("Adagrad.rate", rate);
    detail::check_not_negative("Adagrad.rate_decay", rate_decay);
    detail::check_not_negative("Adagrad.initial_accumulator", initial_accumulator);
    detail::check_epsilon("Adagrad.epsilon", epsilon);
  }

  /// G.
  Index num_states() const { return 1; }

  /// For sparse data: without a gradient neither θ nor G changes. The step size is α'/D.
  using ZeroGradientOf = Adagrad;
  ZeroGradient zero_gradient() const { return ZeroGradient::rests; }
  double effective_rate(const StepInfo& at) const { return decayed(at); }

  /// One step for a slice of θ, g and the state, all of one length.
  template <class S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at) const {
    detail::step_by_rule<S>(*this, theta, grad, state, at);
  }

  /// The step as a rule of kernels/update.hpp: call(rule).
  using RuleOf = Adagrad;
  template <class S, class Call>
  auto with_rule(const StepInfo& at, Call&& call) const {
    return call(Rule<S>{detail::broadcast<S>(at.step == 1 ? initial_accumulator : 0), detail::broadcast<S>(-decayed(at)),
                        detail::broadcast<S>(epsilon)});
  }

  /// α'/D per element, for the step that was just taken.
  template <class S>
  void step_sizes(const StateRef<S>& state, const StepInfo& at, std::type_identity_t<VectorRef<S>> sizes) const {
    using V = kernels::Simd<S>;
    const auto offset = detail::broadcast<S>(epsilon);
    detail::write_step_sizes<S>(decayed(at), sizes,
                                [&, sum = state[0].data()](Index i, auto load) { return V::add(kernels::sqrt(load(sum + i)), offset); });
  }

 private:
  /// α'
  double decayed(const StepInfo& at) const { return at.rate / std::fma(static_cast<double>(at.step - 1), rate_decay, 1.0); }

  template <class S>
  struct Rule {
    using V = kernels::Simd<S>;
    using Lanes = typename V::Vector;
    static constexpr int states = 1;
    Lanes start, minus_rate, epsilon;  // states start at 0, so what G starts with is added in the first step
    void operator()(Lanes& theta, Lanes grad, Lanes* state) const {
      state[0] = V::fma(grad, grad, V::add(state[0], start));
      theta = V::fma(minus_rate, V::div(grad, V::add(kernels::sqrt(state[0]), epsilon)), theta);
    }
  };
};

static_assert(Optimizer<Adagrad, float> && Optimizer<Adagrad, double>);
static_assert(HasStepSizes<Adagrad, float> && HasStepSizes<Adagrad, double>);

}  // namespace parade
