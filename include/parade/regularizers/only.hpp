// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/concepts/regularizer.hpp>
#include <parade/core/error.hpp>
#include <parade/core/parameters.hpp>

namespace parade {

/// A regularizer or constraint for some of the parameters only:
///
///   Only{L2{.lambda = 1e-4}, "layer0.weight", "layer1.weight"}
///   Only{MaxNormRows{.radius = 3}, [](const ParameterBlock& block) { return block.name.starts_with("layer0"); }}
///
/// Names or predicate decide alone: what they say holds for biases too, and whatever `Part` itself would apply to. In all else it is a `Part`.
template <class Part>
class Only : public Part {
 public:
  template <std::convertible_to<std::string>... Names>
    requires(sizeof...(Names) > 0)
  explicit Only(Part part, Names... names) : Part(std::move(part)), names_{std::string(std::move(names))...} {}

  template <std::predicate<const ParameterBlock&> Predicate>
  Only(Part part, Predicate predicate) : Part(std::move(part)), predicate_(std::move(predicate)) {}

  bool applies_to(const ParameterBlock& block) const {
    return predicate_ ? predicate_(block) : std::find(names_.begin(), names_.end(), block.name) != names_.end();
  }

  /// What `Part` refuses.
  void check() const {
    if constexpr (requires(const Part& part) { part.check(); }) Part::check();
  }

  /// Throws OptionError for a name that no parameter has, and what `Part` refuses of the parameters that it is for.
  void check(const ParameterList& parameters) const {
    for (const auto& name : names_) {
      if (parameters.contains(name)) continue;
      std::string known;
      for (const auto& block : parameters) known += (known.empty() ? "" : ", ") + block.name;
      throw OptionError(detail::text("Only must name parameters of the model: ", known, "; got '", name, "'"));
    }
    if constexpr (requires(const Part& part) { part.check(parameters); }) {
      ParameterList own;
      for (const auto& block : parameters)
        if (applies_to(block) && block.role != Role::statistic) {
          ParameterBlock as_weight = block;  // else Part would leave biases out
          as_weight.role = Role::weight;
          own.add(std::move(as_weight));
        }
      Part::check(own);
    }
  }

  /// What can be done to an element in a register stays so.
  using TermOf = std::conditional_t < requires { requires std::same_as<typename Part::TermOf, Part>; }
  , Only, void > ;

 private:
  std::vector<std::string> names_;
  std::function<bool(const ParameterBlock&)> predicate_;
};

}  // namespace parade
