// SPDX-License-Identifier: MIT
#pragma once

#include <parade/concepts/constraint.hpp>
#include <parade/core/parameters.hpp>

namespace parade {

/// C(θ) = 0: every θ is feasible, and no block of θ is looked at. Nothing is left of it in a compiled program.
struct NoConstraint {
  static constexpr bool applies_to(const ParameterBlock&) { return false; }

  template <class T>
  static constexpr double violation(const Eigen::MatrixBase<T>&) {
    return 0;
  }
  template <class T>
  static constexpr void add_gradient(const Eigen::MatrixBase<T>&, const VectorRef<typename T::Scalar>&) {}

  using NothingOf = NoConstraint;  // see engine/update.hpp
};

static_assert(PenaltyConstraint<NoConstraint, float> && PenaltyConstraint<NoConstraint, double>);

}  // namespace parade
