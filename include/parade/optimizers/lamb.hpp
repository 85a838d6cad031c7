// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <type_traits>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/loops.hpp>
#include <parade/kernels/simd.hpp>
#include <parade/optimizers/rules.hpp>
#include <parade/optimizers/trust_ratio.hpp>

namespace parade {

/// LAMB (You et al.: "Large batch optimization for deep learning: training BERT in 76 minutes", ICLR 2020): Adam's direction, with a rate for every
/// parameter that makes its step the share α of its norm,
///
///   r = m̂ / (√v̂ + ε) + λθ                m̂ and v̂ as in Adam
///   f = ‖θ‖ / ‖r‖                        of that parameter; 1 where ‖θ‖ or ‖r‖ is 0, and for biases
///   θ ← θ − α f r
///
/// λ is the weight decay, decoupled as in AdamW. With ‖θ‖ = 2 and ‖r‖ = 10: f = 0.2. The paper's φ(‖θ‖) is ‖θ‖ here, as in its experiments.
/// Biases, whose norms say little, take the step of Adam without decay, unless `biases`.
struct Lamb {
  double rate = 1e-3;          // base rate, ≥ 0; α after the schedule
  double beta1 = 0.9;          // β₁ in [0, 1)
  double beta2 = 0.999;        // β₂ in [0, 1)
  double epsilon = 1e-6;       // ε > 0
  double weight_decay = 0.01;  // λ ≥ 0
  bool biases = false;         // whether biases are scaled and decay too

  /// Throws OptionError for a setting out of its range.
  void check() const {
    detail::check_adam("Lamb", rate, beta1, beta2, epsilon);
    detail::check_not_negative("Lamb.weight_decay", weight_decay);
  }

  /// The same without weight decay for biases, unless `biases`.
  Lamb for_parameter(const ParameterBlock& block) const {
    Lamb own = *this;
    if (block.role == Role::bias && !biases) own.weight_decay = 0;
    return own;
  }

  /// m and v.
  Index num_states() const { return 2; }

  /// m and v of this step, and r in place of g.
  template <class S>
  void measure(std::type_identity_t<VectorRef<S>> grad, const std::type_identity_t<ConstVectorRef<S>>& theta, const StateRef<S>& state,
               const StepInfo& at) const {
    using V = kernels::Simd<S>;
    PARADE_ASSERT(grad.size() == theta.size());
    const detail::Moments<S> moments{beta1, beta2};
    const detail::AdamMetric<S> metric{beta2, epsilon, at.step};
    const auto correction = detail::broadcast<S>(1 / detail::one_minus_power(beta1, at.step)), lambda = detail::broadcast<S>(weight_decay);
    S *g = grad.data(), *m = state[0].data(), *v = state[1].data();
    kernels::for_each_vector<S>(grad.size(), [&, t = theta.data()](Index i, auto load, auto store) {
      auto mean = load(m + i), square = load(v + i);
      moments(load(g + i), mean, square);
      store(m + i, mean);
      store(v + i, square);
      store(g + i, V::fma(lambda, load(t + i), V::div(V::mul(correction, mean), metric(square))));
    });
  }

  /// f. NaN for a norm that is not finite.
  double factor(const Norms& parameter, const Norms&, const ParameterBlock& block, const StepInfo&) const {
    if (block.role == Role::bias && !biases) return detail::one_if_finite(parameter);
    return detail::trust_ratio(parameter, 1, parameter.grad);
  }

  /// θ ← θ − α f r for a slice of θ and r.
  template <class S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>&,
            const StepInfo& at, double factor) const {
    PARADE_ASSERT(grad.size() == theta.size());
    const Rule<S> rule{detail::broadcast<S>(-at.rate * factor)};
    kernels::apply<S>(rule, theta.size(), grad.data(), theta.data(), nullptr, 0);
  }

 private:
  template <class S>
  struct Rule {
    using V = kernels::Simd<S>;
    using Lanes = typename V::Vector;
    static constexpr int states = 0;
    Lanes minus_rate;
    void operator()(Lanes& theta, Lanes direction, Lanes*) const { theta = V::fma(minus_rate, direction, theta); }
  };
};

static_assert(MeasuredOptimizer<Lamb, float> && MeasuredOptimizer<Lamb, double>);

}  // namespace parade
