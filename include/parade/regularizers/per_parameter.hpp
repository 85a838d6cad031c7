// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <string>
#include <tuple>
#include <utility>

#include <parade/concepts/constraint.hpp>
#include <parade/concepts/optimizer.hpp>
#include <parade/concepts/regularizer.hpp>
#include <parade/core/error.hpp>
#include <parade/core/parameters.hpp>

namespace parade {

/// Several regularizers, or several constraints, each for parameters of its own: their sum, where two smooth ones meet on a parameter.
///
///   PerParameter{Only{L2{.lambda = 1e-4}, "layer0.weight"}, Only{L1{.lambda = 1e-3}, "layer1.weight"}}
///
/// It has no value and no step of its own, since these do not know which parameter a slice of θ belongs to: whoever does asks for the parts,
/// `for_each_part(block, call)`.
template <class... Parts>
class PerParameter {
 public:
  explicit PerParameter(Parts... parts) requires(sizeof...(Parts) > 0) : parts_(std::move(parts)...) {}

  const std::tuple<Parts...>& parts() const { return parts_; }

  /// call(part) for each part that is for this block, in order.
  template <class Call>
  void for_each_part(const ParameterBlock& block, Call&& call) const {
    each([&](const auto& part) {
      if (detail::applies_to(part, block)) call(part);
    });
  }

  bool applies_to(const ParameterBlock& block) const {
    bool any = false;
    for_each_part(block, [&](const auto&) { any = true; });
    return any;
  }

  /// For parts that change with time.
  void begin_step(const StepInfo& at) requires(detail::HasBeginStep<Parts> || ...) {
    const auto begin = [&](auto& part) {
      if constexpr (requires { part.begin_step(at); }) part.begin_step(at);
    };
    std::apply([&](auto&... part) { (begin(part), ...); }, parts_);
  }

  /// What a part refuses.
  void check() const {
    each([](const auto& part) {
      if constexpr (requires { part.check(); }) part.check();
    });
  }

  /// What a part refuses; and throws OptionError where two proximal steps, or two projections, meet on a parameter: one after the other is not the
  /// step of both.
  void check(const ParameterList& parameters) const {
    each([&](const auto& part) {
      if constexpr (requires { part.check(parameters); }) part.check(parameters);
    });
    for (const auto& block : parameters) {
      int steps = 0;
      for_each_part(block, [&]<class Part>(const Part&) { steps += is_a_step<Part>; });
      if (steps > 1)
        throw OptionError(detail::text("PerParameter must have at most one proximal step or projection for a parameter; got ", steps,
                                       " for '", block.name, "'"));
    }
  }

 private:
  template <class Part, class S>
  static constexpr bool is_a_step_of = HasProx<Part, S> || HasProject<Part, S> ||
                                       requires(const Part part, detail::Argument<MatrixRef<S>> theta,
                                                const detail::Argument<ConstMatrixRef<S>>& steps) {
    part.parameter_prox(theta, steps);
  }
  || requires(const Part part, detail::Argument<MatrixRef<S>> theta, const detail::Argument<ConstMatrixRef<S>>& steps) {
    part.parameter_project(theta, steps);
  };
  template <class Part>
  static constexpr bool is_a_step = is_a_step_of<Part, float> || is_a_step_of<Part, double>;

  template <class Call>
  void each(const Call& call) const {
    std::apply([&](const auto&... part) { (call(part), ...); }, parts_);
  }

  std::tuple<Parts...> parts_;
};

}  // namespace parade
