// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/error.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>

namespace parade::detail {

template <class O>
concept ChecksParameters = requires(const O optimizer, const ParameterList& parameters) {
  optimizer.check(parameters);
};

/// What optimizers that wrap another one, O, have in common. Self is the wrapper. The state vectors of O are the first ones.
template <class O, class Self>
struct Wrapper {
  O optimizer;
  double rate;  // base rate: that of the optimizer

  /// The step as a rule is the wrapper's own: see its with_rule, if it has one.
  using RuleOf = Self;

  /// What that parameter is stepped with, where the optimizer has a say in it.
  Self for_parameter(const ParameterBlock& block) const requires requires(const O o) {
    { o.for_parameter(block) } -> std::same_as<O>;
  }
  {
    Self own = self();
    own.optimizer = optimizer.for_parameter(block);
    return own;
  }

  /// As those of the optimizer.
  template <class S>
    requires HasStepSizes<O, S>
  void step_sizes(const StateRef<S>& state, const StepInfo& at, std::type_identity_t<VectorRef<S>> sizes) const {
    optimizer.step_sizes(state, at, sizes);
  }

  /// That of a MeasuredOptimizer.
  double factor(const Norms& parameter, const Norms& all, const ParameterBlock& block, const StepInfo& at) const requires
      requires(const O o) {
    { o.factor(parameter, all, block, at) } -> std::convertible_to<double>;
  }
  { return optimizer.factor(parameter, all, block, at); }

  /// What the optimizer refuses of a model.
  void check(const ParameterList& parameters) const requires ChecksParameters<O> { optimizer.check(parameters); }

 protected:
  explicit Wrapper(O inner) : optimizer(std::move(inner)), rate(static_cast<double>(optimizer.rate)) {}

  const Self& self() const { return static_cast<const Self&>(*this); }

  void check_optimizer(const char* name) const {
    if constexpr (requires { optimizer.check(); }) optimizer.check();
    if (!(rate == static_cast<double>(optimizer.rate)))
      throw OptionError(text(name, ".rate must be that of its optimizer, ", optimizer.rate, "; got ", rate));
  }
};

}  // namespace parade::detail
