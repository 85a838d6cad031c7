// SPDX-License-Identifier: MIT
#pragma once

#include <limits>
#include <type_traits>

#include <parade/concepts/optimizer.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/math.hpp>
#include <parade/optimizers/rules.hpp>

namespace parade {

/// Adam for sparse data (Kingma, Ba: "Adam: a method for stochastic optimization", ICLR 2015; lazy as in PyTorch's documentation of
/// torch.optim.SparseAdam: only moments and parameters that have a gradient are updated). Per element, at step t = 1, 2, …:
///
///   g = 0:  nothing; θ, m and v stay
///   g ≠ 0:  m ← β₁ m + (1 − β₁) g          m̂ = m / (1 − β₁ᵗ)
///           v ← β₂ v + (1 − β₂) g²         v̂ = v / (1 − β₂ᵗ)          D = √v̂ + ε
///           θ ← θ − α m̂ / D
///
/// t counts all steps, also those that leave the element alone. Where no gradient is exactly 0 this is Adam, to the bit. Else it is another
/// algorithm: under Adam, m and v of a feature that does not occur fade, and θ goes on moving by what is left of m; here all three wait for
/// the feature, and m and v are means over the steps in which it came. Example: β₁ = 0.9, gradients 1, 0 in steps 1 and 2. Adam takes a step
/// of α and then one of 0.67 α; this one takes a step of α and then none.
///
/// What decides is g, not whether the feature occurs: PyTorch moves a feature that occurs with a gradient of exactly 0 (−0 too; a stored 0, or
/// terms that cancel), this one does not, since dense data could not tell the two apart. So sparse and dense data give the same to rounding, but
/// for sums that are exactly 0 in one order of summation and not in another.
///
/// Step sizes for a proximal step on dense data are α/D, as under Adam, and 0 where there has been no gradient. On sparse data there is no L1: D depends on t, so that the thresholds of the
/// steps in which a feature does not occur have no sum that is known without v.
struct LazyAdam {
  double rate = 1e-3;     // base rate, ≥ 0; α after the schedule
  double beta1 = 0.9;     // β₁ in [0, 1)
  double beta2 = 0.999;   // β₂ in [0, 1)
  double epsilon = 1e-8;  // ε > 0

  /// Throws OptionError for a setting out of its range.
  void check() const { detail::check_adam("LazyAdam", rate, beta1, beta2, epsilon); }

  /// m and v.
  Index num_states() const { return 2; }

  /// For sparse data: without a gradient neither θ nor m and v change, but D does.
  using ZeroGradientOf = LazyAdam;
  ZeroGradient zero_gradient() const { return ZeroGradient::waits; }

  /// One step for a slice of θ, g and the state, all of one length.
  template <class S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at) const {
    detail::step_by_rule<S>(*this, theta, grad, state, at);
  }

  /// The step as a rule of kernels/update.hpp: call(rule).
  using RuleOf = LazyAdam;
  template <class S, class Call>
  auto with_rule(const StepInfo& at, Call&& call) const {
    return call(Rule<S>{detail::Moments<S>{beta1, beta2}, detail::broadcast<S>(-at.rate / detail::one_minus_power(beta1, at.step)),
                        detail::AdamMetric<S>{beta2, epsilon, at.step}});
  }

  /// α/D per element, for the step that was just taken; 0 where no gradient has come yet, since D = ε would make of it 1/ε times the usual.
  template <class S>
  void step_sizes(const StateRef<S>& state, const StepInfo& at, std::type_identity_t<VectorRef<S>> sizes) const {
    const detail::AdamMetric<S> metric{beta2, epsilon, at.step};
    detail::write_step_sizes<S>(at.rate, sizes, [&, v = state[1].data()](Index i, auto load) { return metric(load(v + i)); });
    for (Index i = 0; i < sizes.size(); ++i)
      if (state[1][i] == 0) sizes[i] = 0;
  }

 private:
  template <class S>
  struct Rule {
    using V = kernels::Simd<S>;
    using Lanes = typename V::Vector;
    static constexpr int states = 2;
    detail::Moments<S> moments;
    Lanes minus_rate;
    detail::AdamMetric<S> metric;
    void operator()(Lanes& theta, Lanes grad, Lanes* state) const {
      Lanes m = state[0], v = state[1];
      moments(grad, m, v);
      const auto moved = V::fma(minus_rate, V::div(m, metric(v)), theta);
      // |g| below the least number is 0; a NaN is not, and goes on
      const auto is_zero = V::less(detail::magnitude<S>(grad), V::broadcast(std::numeric_limits<S>::denorm_min()));
      state[0] = V::select(is_zero, state[0], m);
      state[1] = V::select(is_zero, state[1], v);
      theta = V::select(is_zero, theta, moved);
    }
  };
};

static_assert(Optimizer<LazyAdam, float> && Optimizer<LazyAdam, double>);
static_assert(HasStepSizes<LazyAdam, float> && HasStepSizes<LazyAdam, double>);

}  // namespace parade
