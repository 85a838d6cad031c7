// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>
#include <type_traits>
#include <vector>

#include <parade/constraints/metric.hpp>
#include <parade/core/error.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/groups.hpp>

namespace parade {

/// One linear equation, aᵀθ = value, in each group; kept by a projection after every step:
///
///   Π(θ)_i = θ_i − α_i a_i (aᵀθ − value) / Σ_j α_j a_j²          C(θ) = ½ (aᵀθ − value)² / ‖a‖²
///
/// `coefficients` is a, one number for each element of a group, of a whole parameter column by column; none at all stands for ones:
/// AffineEquality{} lets every group sum to 0. With a = (1, 2), value = 0: Π(3, 1) = (2, −1), and C(3, 1) = 2.5. For α = (2, 1), a = (1, 1):
/// Π(3, 0) = (1, −1).
/// Feasible means: to 8 eps of θ's scalar, relative to Σ |a_i θ_i| + |value|. What is feasible is left as it is. What is not finite never becomes
/// finite. Several equations at once are parade::AffineEqualities.
struct AffineEquality {
  std::vector<double> coefficients = {};  // a; empty: ones
  double value = 0;
  Groups groups = Groups::whole;  // what the equation is for

  /// Throws OptionError unless all numbers are finite and a is not 0.
  void check() const {
    bool zero = !coefficients.empty();
    for (std::size_t i = 0; i < coefficients.size(); ++i) {
      if (!std::isfinite(coefficients[i]))
        throw OptionError(detail::text("AffineEquality.coefficients must be finite; got ", coefficients[i], " at ", i));
      zero = zero && coefficients[i] == 0;
    }
    if (zero) throw OptionError("AffineEquality.coefficients must not be all 0: no θ, or any θ, would solve the equation");
    if (!std::isfinite(value)) throw OptionError(detail::text("AffineEquality.value must be finite; got ", value));
  }

  /// C of a parameter (rows, cols), in double; 0 after `parameter_project`. Throws OptionError where a is not as long as a group.
  template <class T>
  double parameter_violation(const Eigen::MatrixBase<T>& theta) const {
    using S = typename T::Scalar;
    kernels::Sum squares;
    kernels::for_each_group<S>(groups, ConstMatrixRef<S>{theta}, [&](const auto& group) {
      check_size(group.size);
      const Residual residual = of(group);
      if (residual.is_rounding) return;
      const double distance = residual.value / std::sqrt(weight(group.size, detail::Euclidean{}));
      squares.add(kernels::product(distance, distance));
    });
    return squares.value() / 2;
  }

  /// θ ← Π(θ), in place. Throws OptionError where a is not as long as a group.
  template <class T>
  void parameter_project(MatrixRef<typename T::Scalar> theta, const Eigen::MatrixBase<T>& steps) const {
    using S = typename T::Scalar;
    kernels::for_each_group<S>(groups, theta, ConstMatrixRef<S>{steps}, [&](const auto& group, const auto& group_steps) {
      check_size(group.size);
      const detail::Metric<S> step{group_steps};
      // Once is enough, but for the rounding of θ where that is large beside Π(θ): each turn takes away all but eps of it.
      for (int turn = 0; turn < 4; ++turn) {
        const Residual residual = of(group);
        if (residual.is_rounding) return;
        const double tau = residual.value / weight(group.size, step);
        for (Index i = 0; i < group.size; ++i)
          group[i] = static_cast<S>(std::fma(-step(i) * coefficient(i), tau, static_cast<double>(group[i])));
      }
    });
  }

 private:
  struct Residual {
    double value;      // aᵀθ − value
    bool is_rounding;  // no more than the rounding of θ explains
  };

  double coefficient(Index i) const { return coefficients.empty() ? 1 : coefficients[static_cast<std::size_t>(i)]; }

  void check_size(Index size) const {
    if (!coefficients.empty() && static_cast<Index>(coefficients.size()) != size)
      throw OptionError(detail::text("AffineEquality.coefficients must have one number for each element of a group: ", size, "; got ",
                                     coefficients.size()));
  }

  template <class S>
  Residual of(const kernels::Strided<S>& group) const {
    kernels::Sum sum, sizes;
    for (Index i = 0; i < group.size; ++i) {
      const double term = kernels::product(coefficient(i), static_cast<double>(group[i]));
      sum.add(term);
      sizes.add(std::abs(term));
    }
    sum.add(-value);
    return {sum.value(), std::abs(sum.value()) <= (sizes.value() + std::abs(value)) * detail::feasible<std::remove_const_t<S>>};
  }

  /// Σ ŝ_i a_i²
  template <class Step>
  double weight(Index size, const Step& step) const {
    kernels::Sum sum;
    for (Index i = 0; i < size; ++i) sum.add(kernels::product(step(i) * coefficient(i), coefficient(i)));
    return sum.value();
  }
};

}  // namespace parade
