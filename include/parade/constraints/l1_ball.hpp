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

/// ‖θ‖₁ ≤ radius in each group: the lasso in its first form (Tibshirani 1996), with exact zeros. Kept by a projection after every step:
///
///   Π(θ)_i = sign(θ_i) max(0, |θ_i| − α_i τ),  τ such that ‖Π(θ)‖₁ = radius, or θ if ‖θ‖₁ ≤ radius
///   C(θ)   = ½‖θ − Π₁(θ)‖², Π₁ with all α_i = 1
///
/// (Duchi, Shalev-Shwartz, Singer, Chandra 2008). The group is the whole parameter, or each of its rows or columns. With radius = 1:
/// Π(2, −1.5, 0.25) = (0.75, −0.25, 0), and C(2, −1.5, 0.25) = 1.59375. A zero that it makes is +0.
/// Feasible means: to 8 eps of θ's scalar. What is feasible is left as it is. An element that is not finite makes its group NaN.
struct L1Ball {
  double radius = 1;              // ≥ 0
  Groups groups = Groups::whole;  // what has that norm

  /// Throws OptionError unless the radius is finite and at least 0.
  void check() const {
    if (!(radius >= 0 && std::isfinite(radius)))
      throw OptionError(detail::text("L1Ball.radius must be finite and at least 0; got ", radius));
  }

  /// C of a parameter (rows, cols), in double; 0 after `parameter_project`.
  template <class T>
  double parameter_violation(const Eigen::MatrixBase<T>& theta) const {
    using S = typename T::Scalar;
    kernels::Sum squares;
    kernels::for_each_group<S>(groups, ConstMatrixRef<S>{theta}, [&](const auto& group) {
      if (holds(group)) return;
      const auto tau = nearest(group, detail::Euclidean{});
      for (Index i = 0; i < group.size; ++i) {
        const auto x = static_cast<double>(group[i]);
        const double outside = x - projected(x, 1, tau);
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
        const auto tau = nearest(group, step);
        for (Index i = 0; i < group.size; ++i) {
          const auto u = static_cast<S>(projected(static_cast<double>(group[i]), step(i), tau));
          group[i] = u == 0 ? S{0} : u;
        }
      });
    });
  }

 private:
  template <class S>
  bool holds(const kernels::Strided<S>& group) const {
    kernels::Sum sum;
    for (Index i = 0; i < group.size; ++i) sum.add(std::abs(static_cast<double>(group[i])));
    return sum.value() <= radius * (1 + detail::feasible<std::remove_const_t<S>>);
  }

  template <class S, class Step>
  detail::Threshold nearest(const kernels::Strided<S>& group, const Step& step) const {
    if (radius == 0) return {};
    return detail::threshold(
        group.size, radius, [&](Index i) { return std::abs(static_cast<double>(group[i])); }, step);
  }

  double projected(double x, double step, const detail::Threshold& tau) const {
    if (radius == 0) return x - x;  // 0, or NaN for what is not finite
    const double rest = tau.rest(std::abs(x), step);
    return rest <= 0 ? 0 : std::copysign(rest, x);
  }
};

}  // namespace parade
