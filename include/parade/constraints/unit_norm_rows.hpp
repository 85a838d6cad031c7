// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include <parade/constraints/metric.hpp>
#include <parade/constraints/sphere.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/groups.hpp>

namespace parade {

/// Each row's ‖θ‖₂ = 1: atoms of a dictionary, directions. Of a weight (k,d), a row is all that leads to one output. After every step:
///
///   Π(θ)_i = θ_i / (1 + μ α_i),  μ > −1 / max α such that ‖Π(θ)‖₂ = 1          C(θ) = ½ Σ (‖θ‖₂ − 1)²
///
/// For one step size α in the row that is θ/‖θ‖₂. Π(3, 4) = (0.6, 0.8), and C(3, 4) = 8.
///
/// The sphere is not convex: a point inside of it can have several nearest points, Π is not continuous there, and what is known of projected
/// gradient steps on convex sets (one optimum, convergence from anywhere) is not known here. One of the nearest points is always taken, and always
/// the same one: a row of zeros becomes 1 at the first element whose step is the largest (at equal steps: the first element).
/// Feasible means: to 8 eps of θ's scalar. What is feasible is left as it is. What is not finite never becomes finite.
struct UnitNormRows {
  /// C of a parameter (rows, cols), in double; 0 after `parameter_project`.
  template <class T>
  double parameter_violation(const Eigen::MatrixBase<T>& theta) const {
    using S = typename T::Scalar;
    kernels::Sum squares;
    kernels::for_each_group<S>(Groups::rows, ConstMatrixRef<S>{theta}, [&](const auto& row) {
      const double outside = kernels::norm(row) - 1;
      if (std::abs(outside) <= detail::feasible<S>) return;
      squares.add(kernels::product(outside, outside));
    });
    return squares.value() / 2;
  }

  /// θ ← Π(θ), in place.
  template <class T>
  void parameter_project(MatrixRef<typename T::Scalar> theta, const Eigen::MatrixBase<T>& steps) const {
    using S = typename T::Scalar;
    kernels::for_each_group<S>(Groups::rows, theta, ConstMatrixRef<S>{steps}, [](const auto& row, const auto& row_steps) {
      if (std::abs(kernels::norm(row) - 1) <= detail::feasible<S>) return;
      detail::project_on_sphere(row, 1, detail::Metric<S>{row_steps});
    });
  }
};

}  // namespace parade
