// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/real_power.hpp>
#include <parade/optimizers/rules.hpp>

namespace parade {

/// NAdam (Dozat: "Incorporating Nesterov momentum into Adam", ICLR workshop 2016): Adam that looks ahead,
///
///   μₜ = β₁ (1 − ½ 0.96^{tψ})            ψ is `momentum_decay`; Mₜ = μ₁ μ₂ … μₜ
///   θ ← θ − α [ (1 − μₜ)/(1 − Mₜ) g + μₜ₊₁/(1 − Mₜ₊₁) m ] / D
///
/// m, v and D are those of Adam. PyTorch's definition, as it is documented and, since its version 2.0, computed. With ψ = 0.004 the momentum
/// starts at β₁/2 and is within a hundredth of β₁ after some 24 000 steps. The step size for a proximal regularizer is α/D times the sum of
/// the weights.
///
/// Mₜ is a function of t alone, so that a resumed run goes on with the same bits. It is below 2^−60, and so without effect, after some
/// 40/(1 − β₁) steps; until then a step begins with up to as many products.
struct NAdam {
  double rate = 2e-3;             // base rate, ≥ 0; α after the schedule
  double beta1 = 0.9;             // β₁ in [0, 1)
  double beta2 = 0.999;           // β₂ in [0, 1)
  double epsilon = 1e-8;          // ε > 0
  double momentum_decay = 0.004;  // ψ ≥ 0

  /// Throws OptionError for a setting out of its range.
  void check() const {
    detail::check_adam("NAdam", rate, beta1, beta2, epsilon);
    detail::check_not_negative("NAdam.momentum_decay", momentum_decay);
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
  using RuleOf = NAdam;
  template <class S, class Call>
  auto with_rule(const StepInfo& at, Call&& call) const {
    const auto [of_grad, of_mean] = weights(at.step);
    return call(Rule<S>{detail::Moments<S>{beta1, beta2}, detail::broadcast<S>(of_grad), detail::broadcast<S>(of_mean),
                        detail::broadcast<S>(-at.rate), detail::AdamMetric<S>{beta2, epsilon, at.step}});
  }

  /// α/D per element, times the sum of the weights of g and of the gradients in m, which is nearly 1.
  template <class S>
  void step_sizes(const StateRef<S>& state, const StepInfo& at, std::type_identity_t<VectorRef<S>> sizes) const {
    const detail::AdamMetric<S> metric{beta2, epsilon, at.step};
    const auto [of_grad, of_mean] = weights(at.step);
    const double sum = std::fma(of_mean, detail::one_minus_power(beta1, at.step), of_grad);
    detail::write_step_sizes<S>(at.rate * sum, sizes, [&, v = state[1].data()](Index i, auto load) { return metric(load(v + i)); });
  }

 private:
  struct Weights {
    double of_grad, of_mean;  // (1 − μₜ)/(1 − Mₜ), μₜ₊₁/(1 − Mₜ₊₁)
  };
  Weights weights(std::int64_t t) const {
    // With the last factors of μₜ and Mₜ apart: a rounded product must not be subtracted, which compilers may fuse or not.
    const double shrink = shrinkage(t), before = mu_product(t - 1), mu = beta1 * shrink, next = beta1 * shrinkage(t + 1);
    return {std::fma(-beta1, shrink, 1.0) / std::fma(-before, mu, 1.0), next / std::fma(-(before * mu), next, 1.0)};
  }

  /// μₜ/β₁ = 1 − ½ 0.96^{tψ}
  double shrinkage(std::int64_t t) const { return std::fma(-0.5, detail::real_power(0.96, static_cast<double>(t) * momentum_decay), 1.0); }

  /// μ₁ μ₂ … μₜ, 0 when below 2^−60
  double mu_product(std::int64_t t) const {
    const double ratio = detail::real_power(0.96, momentum_decay);
    double product = 1, power = ratio;
    for (std::int64_t s = 1; s <= t; ++s, power *= ratio) {
      product *= beta1 * std::fma(-0.5, power, 1.0);
      if (product < 0x1p-60) return 0;
    }
    return product;
  }

  template <class S>
  struct Rule {
    using V = kernels::Simd<S>;
    using Lanes = typename V::Vector;
    static constexpr int states = 2;
    detail::Moments<S> moments;
    Lanes of_grad, of_mean, minus_rate;
    detail::AdamMetric<S> metric;
    void operator()(Lanes& theta, Lanes grad, Lanes* state) const {
      moments(grad, state[0], state[1]);
      const auto direction = V::fma(of_mean, state[0], V::mul(of_grad, grad));
      theta = V::fma(minus_rate, V::div(direction, metric(state[1])), theta);
    }
  };
};

static_assert(Optimizer<NAdam, float> && Optimizer<NAdam, double>);
static_assert(HasStepSizes<NAdam, float> && HasStepSizes<NAdam, double>);

}  // namespace parade
