// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/simd.hpp>
#include <parade/optimizers/rules.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/optimizers/wrapper.hpp>

namespace parade {

/// An optimizer that sees g clipped by its norm (Pascanu, Mikolov, Bengio: "On the difficulty of training recurrent neural networks", ICML 2013):
///
///   g ← g · limit / ‖g‖₂                 where ‖g‖₂ > limit, over all parameters together; then the step of the optimizer
///
///   parade::ClipNorm{parade::Adam{}, 1}
///
/// With limit = 1, g = (3, 4) becomes (0.6, 0.8), and (0.3, 0.4) stays to the bit. g is here the whole gradient, with λ∇R of a smooth
/// regularizer. torch.nn.utils.clip_grad_norm_ divides by ‖g‖ + 10⁻⁶ as a guard against 0, which is not needed where only norms above
/// the limit are divided by: its steps differ by the share 10⁻⁶/‖g‖, and shrink norms that are below the limit by less than 10⁻⁶.
///
/// A norm that is not finite makes the step NaN, so that a trainer refuses it: else a g too large to be squared would be scaled to 0.
/// State, `step_sizes` and what else there is are the optimizer's.
template <class O>
struct ClipNorm : detail::Wrapper<O, ClipNorm<O>> {
  double limit;  // > 0

  ClipNorm(O inner, double most) : detail::Wrapper<O, ClipNorm<O>>(std::move(inner)), limit(most) {}

  using detail::Wrapper<O, ClipNorm<O>>::check;
  /// Throws OptionError for a setting out of its range, here or in the optimizer.
  void check() const {
    this->check_optimizer("ClipNorm");
    detail::check_positive("ClipNorm.limit", limit);
  }

  Index num_states() const { return this->optimizer.num_states(); }

  /// Where the optimizer keeps an average of θ, if it does.
  Index average_state() const requires HasAverage<O> { return this->optimizer.average_state(); }

  /// Nothing: the norm is that of g as it is.
  template <class S>
    requires HasStep<O, S>
  void measure(std::type_identity_t<VectorRef<S>>, const std::type_identity_t<ConstVectorRef<S>>&, const StateRef<S>&,
               const StepInfo&) const {}

  /// The same for every parameter.
  double factor(const Norms&, const Norms& all, const ParameterBlock&, const StepInfo&) const {
    if (!std::isfinite(all.grad)) return std::numeric_limits<double>::quiet_NaN();
    return all.grad > limit ? limit / all.grad : 1;
  }

  /// The optimizer's step with factor · g.
  template <class S>
    requires HasStep<O, S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at, double factor) const {
    detail::step_on_changed<S>(this->optimizer, theta, grad, state, at, Scaled<S>{detail::broadcast<S>(factor)});
  }

 private:
  template <class S>
  struct Scaled {
    using V = kernels::Simd<S>;
    typename V::Vector factor;
    auto operator()(typename V::Vector grad) const { return V::mul(factor, grad); }
  };
};

static_assert(MeasuredOptimizer<ClipNorm<Sgd>, float> && MeasuredOptimizer<ClipNorm<Sgd>, double>);

}  // namespace parade
