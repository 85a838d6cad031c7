// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <type_traits>

#include <parade/constraints/metric.hpp>
#include <parade/constraints/sphere.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/groups.hpp>

namespace parade {

/// ‖θ‖₂ ≤ radius in each group, kept by a projection after every step:
///
///   Π(θ)_i = θ_i / (1 + μ α_i),  μ ≥ 0 such that ‖Π(θ)‖₂ = radius, or θ if ‖θ‖₂ ≤ radius          C(θ) = ½ Σ max(0, ‖θ‖₂ − radius)²
///
/// For one step size α in the group that is θ · radius/‖θ‖₂. The group is the whole parameter, or each of its rows or columns.
/// With radius = 1: Π(3, 4) = (0.6, 0.8), and C(3, 4) = 8.
/// Feasible means: to 8 eps of θ's scalar. What is feasible is left as it is. What is not finite never becomes finite.
struct L2Ball {
  double radius = 1;              // ≥ 0
  Groups groups = Groups::whole;  // what has that norm

  /// Throws OptionError unless the radius is finite and at least 0.
  void check() const {
    if (!(radius >= 0 && std::isfinite(radius)))
      throw OptionError(detail::text("L2Ball.radius must be finite and at least 0; got ", radius));
  }

  /// C of a parameter (rows, cols), in double; 0 after `parameter_project`.
  template <class T>
  double parameter_violation(const Eigen::MatrixBase<T>& theta) const {
    using S = typename T::Scalar;
    kernels::Sum squares;
    kernels::for_each_group<S>(groups, ConstMatrixRef<S>{theta}, [&](const auto& group) {
      const double norm = kernels::norm(group);
      if (norm <= bound<S>()) return;
      squares.add(kernels::product(norm - radius, norm - radius));
    });
    return squares.value() / 2;
  }

  /// θ ← Π(θ), in place.
  template <class T>
  void parameter_project(MatrixRef<typename T::Scalar> theta, const Eigen::MatrixBase<T>& steps) const {
    using S = typename T::Scalar;
    kernels::for_each_group<S>(groups, theta, ConstMatrixRef<S>{steps}, [&](const auto& group, const auto& group_steps) {
      if (kernels::norm(group) <= bound<S>()) return;
      if (radius > 0) return detail::project_on_sphere(group, radius, detail::Metric<S>{group_steps});
      for (Index i = 0; i < group.size; ++i) group[i] -= group[i];  // 0, or NaN for what is not finite
    });
  }

 private:
  template <class S>
  double bound() const {
    return radius * (1 + detail::feasible<S>);
  }
};

/// Each row's ‖θ‖₂ ≤ radius: max-norm regularization (Srebro, Rennie, Jaakkola 2004; Srivastava et al. 2014 with dropout). Of a weight (k,d), a
/// row is all that leads to one output. With radius = 1: the rows (3, 4) and (0, 0.5) become (0.6, 0.8) and (0, 0.5).
/// It is L2Ball{.radius = radius, .groups = Groups::rows}.
struct MaxNormRows {
  double radius = 1;  // ≥ 0; 3 or 4 is usual beside dropout

  /// Throws OptionError unless the radius is finite and at least 0.
  void check() const {
    if (!(radius >= 0 && std::isfinite(radius)))
      throw OptionError(detail::text("MaxNormRows.radius must be finite and at least 0; got ", radius));
  }

  /// C of a parameter (rows, cols), in double; 0 after `parameter_project`.
  template <class T>
  double parameter_violation(const Eigen::MatrixBase<T>& theta) const {
    return balls().parameter_violation(theta);
  }

  /// θ ← Π(θ), in place.
  template <class T>
  void parameter_project(MatrixRef<typename T::Scalar> theta, const Eigen::MatrixBase<T>& steps) const {
    balls().parameter_project(theta, steps);
  }

 private:
  L2Ball balls() const { return {.radius = radius, .groups = Groups::rows}; }
};

}  // namespace parade
