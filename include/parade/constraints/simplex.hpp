// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <type_traits>

#include <parade/constraints/metric.hpp>
#include <parade/constraints/threshold.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/groups.hpp>

namespace parade {

/// θ_i ≥ 0 and Σ θ_i = total in each group: weights of a mixture, probabilities, a portfolio. Kept by a projection after every step:
///
///   Π(θ)_i = max(0, θ_i − α_i τ),  τ such that Σ Π(θ)_i = total          C(θ) = ½‖θ − Π₁(θ)‖², Π₁ with all α_i = 1
///
/// (Held, Wolfe, Crowder 1974). The group is the whole parameter, or each of its rows or columns. With total = 1:
/// Π(0.5, 0.25, 0.75) = (1/3, 1/12, 7/12), Π(3, 0) = (1, 0), and C(3, 0) = 2. For α = (1, 3): Π(1, 1) = (0.75, 0.25).
/// Feasible means: no element below 0, and the sum right to 8 eps of θ's scalar. What is feasible is left as it is. An element that is not finite
/// makes its group NaN.
struct Simplex {
  double total = 1;               // ≥ 0
  Groups groups = Groups::whole;  // what sums to it

  /// Throws OptionError unless the total is finite and at least 0.
  void check() const {
    if (!(total >= 0 && std::isfinite(total))) throw OptionError(detail::text("Simplex.total must be finite and at least 0; got ", total));
  }

  /// C of a parameter (rows, cols), in double; 0 after `parameter_project`.
  template <class T>
  double parameter_violation(const Eigen::MatrixBase<T>& theta) const {
    using S = typename T::Scalar;
    kernels::Sum squares;
    kernels::for_each_group<S>(groups, ConstMatrixRef<S>{theta}, [&](const auto& group) {
      if (holds(group)) return;
      const auto at = [&](Index i) { return static_cast<double>(group[i]); };
      const auto tau = nearest(group.size, at, detail::Euclidean{});
      for (Index i = 0; i < group.size; ++i) {
        const double outside = at(i) - projected(at(i), 1, tau);
        squares.add(kernels::product(outside, outside));
      }
    });
    return squares.value() / 2;
  }

  /// θ ← Π(θ), in place.
  template <class T>
  void parameter_project(MatrixRef<typename T::Scalar> theta, const Eigen::MatrixBase<T>& steps) const {
    using S = typename T::Scalar;
    kernels::for_each_group<S>(groups, theta, ConstMatrixRef<S>{steps}, [&](const auto& group, const auto& group_steps) {
      if (holds(group)) return;
      detail::with_metric<S>(group_steps, [&](const auto& step) {
        const auto at = [&](Index i) { return static_cast<double>(group[i]); };
        const auto tau = nearest(group.size, at, step);
        for (Index i = 0; i < group.size; ++i) group[i] = static_cast<S>(projected(at(i), step(i), tau));
      });
    });
  }

 private:
  template <class S>
  bool holds(const kernels::Strided<S>& group) const {
    kernels::Sum sum;
    for (Index i = 0; i < group.size; ++i) {
      if (!(group[i] >= 0)) return false;
      sum.add(static_cast<double>(group[i]));
    }
    return std::abs(sum.value() - total) <= total * detail::feasible<std::remove_const_t<S>>;
  }

  template <class At, class Step>
  detail::Threshold nearest(Index size, const At& at, const Step& step) const {
    return total > 0 ? detail::threshold(size, total, at, step) : detail::Threshold{};
  }

  double projected(double x, double step, const detail::Threshold& tau) const {
    if (total == 0) return x - x;  // 0, or NaN for what is not finite
    const double rest = tau.rest(x, step);
    return rest <= 0 ? 0 : rest;
  }
};

}  // namespace parade
