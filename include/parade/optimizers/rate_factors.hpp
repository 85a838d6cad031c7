// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/error.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>
#include <parade/optimizers/rules.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/optimizers/wrapper.hpp>

namespace parade {

/// An optimizer with rates of their own for some parameters: α f for a parameter with the factor f, α for all others.
///
///   parade::RateFactors{parade::Sgd{.rate = 0.1}, {{"layer0.weight", 0.1}, {"layer0.bias", 0}}}
///
/// Here layer0's weights learn at a tenth of the rate, and its biases stay as they are. What an optimizer scales by its rate is scaled too: weight decay,
/// the step size of a proximal regularizer. With the factor 0 nothing moves but the optimizer's state, and a projection.
template <class O>
struct RateFactors : detail::Wrapper<O, RateFactors<O>> {
  std::vector<std::pair<std::string, double>> factors;  // of parameters by name, each finite and ≥ 0

  RateFactors(O inner, std::vector<std::pair<std::string, double>> by_name)
      : detail::Wrapper<O, RateFactors<O>>(std::move(inner)), factors(std::move(by_name)) {}

  /// Throws OptionError for a setting out of its range, here or in the optimizer.
  void check() const {
    this->check_optimizer("RateFactors");
    for (const auto& [name, factor] : factors) detail::check_not_negative(("the factor of '" + name + "' in RateFactors").c_str(), factor);
  }
  /// Throws OptionError for a name that no parameter has.
  void check(const ParameterList& parameters) const {
    for (const auto& [name, factor] : factors)
      if (!parameters.contains(name)) {
        std::string known;
        for (const auto& block : parameters) known += (known.empty() ? "" : ", ") + block.name;
        throw OptionError(detail::text("RateFactors must name parameters of the model: ", known, "; got '", name, "'"));
      }
    if constexpr (requires(const O& o) { o.check(parameters); }) this->optimizer.check(parameters);
  }

  Index num_states() const { return this->optimizer.num_states(); }

  /// Where the optimizer keeps an average of θ, if it does.
  Index average_state() const requires HasAverage<O> { return this->optimizer.average_state(); }

  /// The same with that parameter's factor, which its steps are taken with.
  RateFactors for_parameter(const ParameterBlock& block) const {
    RateFactors own = *this;
    for (const auto& [name, factor] : factors)
      if (name == block.name) own.own_factor_ = factor;
    own.factors.clear();  // a copy for every parameter needs no names
    if constexpr (HasForParameter<O>) own.optimizer = this->optimizer.for_parameter(block);
    return own;
  }

  template <class S>
    requires HasStep<O, S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at) const {
    this->optimizer.step(theta, grad, state, scaled(at));
  }

  /// The step as a rule of kernels/update.hpp: call(rule).
  template <class S, class Call>
    requires detail::GivesRule<O, S>
  auto with_rule(const StepInfo& at, Call&& call) const {
    return this->optimizer.template with_rule<S>(scaled(at), std::forward<Call>(call));
  }

  template <class S>
    requires HasStepSizes<O, S>
  void step_sizes(const StateRef<S>& state, const StepInfo& at, std::type_identity_t<VectorRef<S>> sizes) const {
    this->optimizer.step_sizes(state, scaled(at), sizes);
  }
  template <class S>
    requires(!HasStepSizes<O, S>)
  void step_sizes(const StateRef<S>&, const StepInfo& at, std::type_identity_t<VectorRef<S>> sizes) const {
    sizes.setConstant(static_cast<S>(scaled(at).rate));
  }

  // Of a MeasuredOptimizer.
  template <class S>
    requires MeasuredOptimizer<O, S>
  void measure(std::type_identity_t<VectorRef<S>> grad, const std::type_identity_t<ConstVectorRef<S>>& theta, const StateRef<S>& state,
               const StepInfo& at) const {
    this->optimizer.measure(grad, theta, state, scaled(at));
  }
  template <class S>
    requires MeasuredOptimizer<O, S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at, double factor) const {
    this->optimizer.step(theta, grad, state, scaled(at), factor);
  }

 private:
  StepInfo scaled(const StepInfo& at) const { return {at.rate * own_factor_, at.step}; }

  double own_factor_ = 1;
};

template <class O>
RateFactors(O, std::vector<std::pair<std::string, double>>) -> RateFactors<O>;

static_assert(Optimizer<RateFactors<Sgd>, float> && Optimizer<RateFactors<Sgd>, double> && HasForParameter<RateFactors<Sgd>>);

}  // namespace parade
