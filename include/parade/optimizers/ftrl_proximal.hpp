// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

#include <parade/concepts/optimizer.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/math.hpp>
#include <parade/optimizers/rules.hpp>

namespace parade {

/// FTRL-Proximal, follow the proximally regularized leader (McMahan et al.: "Ad click prediction: a view from the trenches", KDD 2013),
/// with L1 and L2 regularization of its own:
///
///   n' = n + g²                          σ = (√n' − √n) / α
///   z ← z + g − σ θ,   n ← n'
///   θ ← 0                                where |z| ≤ λ₁
///   θ ← −(z − sign(z) λ₁) / ((β + √n)/α + λ₂)      elsewhere
///
/// On convex losses it is as accurate as Adagrad, with exact zeros that stay: θ is computed anew in every step from sums over all of them,
/// and λ₁ weighs against all gradients so far. (So λ₁ is on the scale of their sum: about √t times that of a λ in F(θ).)
///
/// Three things that the paper leaves open. z is kept times α, so that a schedule acts on the gradients to come, and not on θ as it is: α'
/// after the schedule weighs g, the base rate stands in all else. θ starts from where it is, by the z that belongs to it, where the paper
/// starts from 0; without gradients it stays, up to rounding. And regularization here covers every element, biases too.
///
/// θ comes from z and n alone: what a proximal regularizer or a projection does to it after the step is not built upon by the next.
/// Use `l1` and `l2` instead. The step size for one is α/(β + √n).
struct FtrlProximal {
  double rate = 0.1;  // base rate, ≥ 0; α
  double beta = 1;    // β > 0
  double l1 = 0;      // λ₁ ≥ 0
  double l2 = 0;      // λ₂ ≥ 0

  /// Throws OptionError for a setting out of its range.
  void check() const {
    detail::check_not_negative("FtrlProximal.rate", rate);
    detail::check_positive("FtrlProximal.beta", beta);
    detail::check_not_negative("FtrlProximal.l1", l1);
    detail::check_not_negative("FtrlProximal.l2", l2);
  }

  /// αz and n.
  Index num_states() const { return 2; }

  /// For sparse data: without a gradient z and n stay, and with them θ.
  using ZeroGradientOf = FtrlProximal;
  ZeroGradient zero_gradient() const { return ZeroGradient::returns; }

  /// One step for a slice of θ, g and the state, all of one length.
  template <class S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at) const {
    detail::step_by_rule<S>(*this, theta, grad, state, at);
  }

  /// The step as a rule of kernels/update.hpp: call(rule).
  using RuleOf = FtrlProximal;
  template <class S, class Call>
  auto with_rule(const StepInfo& at, Call&& call) const {
    const auto alpha = detail::broadcast<S>(at.rate), threshold = detail::broadcast<S>(std::fma(rate, l1, 0.0)),
               base = detail::broadcast<S>(std::fma(rate, l2, beta));
    if (at.step == 1) return call(Rule<S, true>{alpha, threshold, base});
    return call(Rule<S, false>{alpha, threshold, base});
  }

  /// α/(β + √n) per element, for the step that was just taken.
  template <class S>
  void step_sizes(const StateRef<S>& state, const StepInfo& at, std::type_identity_t<VectorRef<S>> sizes) const {
    using V = kernels::Simd<S>;
    const auto offset = detail::broadcast<S>(beta);
    detail::write_step_sizes<S>(at.rate, sizes,
                                [&, n = state[1].data()](Index i, auto load) { return V::add(kernels::sqrt(load(n + i)), offset); });
  }

 private:
  template <class S, bool First>
  struct Rule {
    using V = kernels::Simd<S>;
    using Lanes = typename V::Vector;
    static constexpr int states = 2;
    Lanes alpha, threshold, base;  // α', αλ₁, β + αλ₂
    void operator()(Lanes& theta, Lanes grad, Lanes* state) const {
      Lanes &z = state[0], &n = state[1];
      if constexpr (First) {  // the z with which the last line gives θ for n = 0
        const auto size = detail::magnitude<S>(theta);
        const auto start = detail::with_sign<S>(V::fma(size, base, threshold), V::neg(theta));
        z = V::select(V::less(size, V::broadcast(std::numeric_limits<S>::denorm_min())), V::broadcast(0), start);  // NaN stays
      }
      const auto root = kernels::sqrt(n);
      n = V::fma(grad, grad, n);
      const auto new_root = kernels::sqrt(n);
      z = V::fma(V::sub(root, new_root), theta, V::fma(alpha, grad, z));
      const auto excess = V::max(V::broadcast(0), V::sub(detail::magnitude<S>(z), threshold));  // NaN stays
      theta = V::div(detail::with_sign<S>(excess, V::neg(z)), V::add(base, new_root));
    }
  };
};

static_assert(Optimizer<FtrlProximal, float> && Optimizer<FtrlProximal, double>);
static_assert(HasStepSizes<FtrlProximal, float> && HasStepSizes<FtrlProximal, double>);

}  // namespace parade
