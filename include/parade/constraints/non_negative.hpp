// SPDX-License-Identifier: MIT
#pragma once

#include <parade/concepts/constraint.hpp>
#include <parade/constraints/box.hpp>
#include <parade/core/types.hpp>

namespace parade {

/// θ_i ≥ 0 for every element: Box{.lower = 0} by its usual name, with the same bits.
///
///   Π(θ)_i = max(0, θ_i)          C(θ) = ½‖θ − Π(θ)‖²
///
/// Π(3, −2, 0.5) = (3, 0, 0.5), and C(3, −2, 0.5) = 2.
struct NonNegative {
  /// C, summed in double, element after element; 0 after `project`. NaN gives NaN.
  template <class T>
  double violation(const Eigen::MatrixBase<T>& theta) const {
    return Box{.lower = 0}.violation(theta);
  }

  /// θ ← Π(θ), in place.
  void project(VectorRef<float> theta) const { Box{.lower = 0}.project(theta); }
  void project(VectorRef<double> theta) const { Box{.lower = 0}.project(theta); }
};

static_assert(ProjectionConstraint<NonNegative, float> && ProjectionConstraint<NonNegative, double>);

}  // namespace parade
