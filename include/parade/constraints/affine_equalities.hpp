// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>

#include <parade/constraints/metric.hpp>
#include <parade/core/error.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/groups.hpp>

namespace parade {

/// Several linear equations, Aθ = c, in each group; kept by a projection after every step (Boyd, Vandenberghe: "Convex optimization", 2004,
/// section 8.1):
///
///   Π(θ) = θ − S Aᵀ (A S Aᵀ)⁻¹ (Aθ − c),   S = diag(α)          C(θ) = ½ (Aθ − c)ᵀ (A Aᵀ)⁻¹ (Aθ − c)
///
///   AffineEqualities{A, c}          A (m,d): an equation a row, a number for each element of a group, of a whole parameter column by column; c (m)
///
/// With A = (1 1 1; 1 0 −1), c = (1, 0): Π(1, 0, 0) = (½, 0, ½), and C(1, 0, 0) = ¼. For α = (1, 2, 1): Π(1, 1, 0) = (¼, ½, ¼). One
/// equation is parade::AffineEquality, which needs no factorization. The factor of A Aᵀ is made once; where the steps differ from element
/// to element, that of A S Aᵀ in every step, in m²d operations.
///
/// A has at most 32 rows, none of which may be a combination of others. OptionError says which one is, and whether no θ solves the
/// equations or it is one too many. Feasible means: to 8 eps of θ's scalar, for each equation relative to Σ |a_i θ_i| + |c|. What is
/// feasible is left as it is. What is not finite never becomes finite. Where steps differ by so much that in their metric the rows cannot
/// be told apart, the smaller ones count as 2⁻³² of the largest, then as 2⁻¹⁶, then as equal.
class AffineEqualities {
 public:
  static constexpr Index most_equations = 32;

  Groups groups;  // what the equations are for

  /// Throws what `check` throws.
  AffineEqualities(Matrix<double> coefficients, Vector<double> values, Groups of = Groups::whole)
      : groups(of), coefficients_(std::move(coefficients)), values_(std::move(values)) {
    check();
    factorize(detail::Euclidean{}, factor_);
  }

  const Matrix<double>& coefficients() const { return coefficients_; }  // A (m,d)
  const Vector<double>& values() const { return values_; }              // c (m)

  /// Throws OptionError unless shapes fit, all numbers are finite, and the rows are independent of each other.
  void check() const {
    const Index m = coefficients_.rows();
    if (m < 1 || m > most_equations)
      throw OptionError(detail::text("AffineEqualities.coefficients must have 1 to ", most_equations, " rows; got ", m));
    if (values_.size() != m)
      throw OptionError(detail::text("AffineEqualities.values must have one number for each equation: ", m, "; got ", values_.size()));
    for (Index i = 0; i < m; ++i) {
      for (Index j = 0; j < coefficients_.cols(); ++j)
        if (!std::isfinite(coefficients_(i, j)))
          throw OptionError(
              detail::text("AffineEqualities.coefficients must be finite; got ", coefficients_(i, j), " in row ", i, ", column ", j));
      if (!std::isfinite(values_[i]))
        throw OptionError(detail::text("AffineEqualities.values must be finite; got ", values_[i], " at ", i));
    }
    Factor factor;
    const Index dependent = factorize(detail::Euclidean{}, factor);
    if (dependent == independent) {
      for (Index i = 0; i < m; ++i)
        if (!std::isfinite(factor[at(i, i)]))
          throw OptionError(
              detail::text("AffineEqualities.coefficients must have rows with a norm in the range of numbers; row ", i, " has not"));
      return;
    }
    if (coefficients_.row(dependent).isZero(0))
      throw OptionError(detail::text("AffineEqualities.coefficients must have no row of zeros; row ", dependent, " is one"));
    throw OptionError(detail::text(
        "AffineEqualities.coefficients must have rows that are no combination of others, nor within a part of 2^-17 of one; row ",
        dependent,
        contradicts(dependent, factor)
            ? " is, with another value: no θ solves the equations, or, if it is not exactly one, centre and scale the rows until it is none"
            : " is, with the same value: leave it out, or, if it is another equation, centre and scale the rows until it is none"));
  }

  /// C of a parameter (rows, cols), in double; 0 after `parameter_project`. Throws OptionError where A is not as wide as a group is long.
  template <class T>
  double parameter_violation(const Eigen::MatrixBase<T>& theta) const {
    using S = typename T::Scalar;
    kernels::Sum squares;
    kernels::for_each_group<S>(groups, ConstMatrixRef<S>{theta}, [&](const auto& group) {
      check_size(group.size);
      Numbers residual;
      if (are_rounding(group, residual)) return;
      solve_lower(factor_, residual);
      for (Index i = 0; i < count(); ++i) squares.add(kernels::product(residual[at(i)], residual[at(i)]));
    });
    return squares.value() / 2;
  }

  /// θ ← Π(θ), in place. Throws OptionError where A is not as wide as a group is long.
  template <class T>
  void parameter_project(MatrixRef<typename T::Scalar> theta, const Eigen::MatrixBase<T>& steps) const {
    using S = typename T::Scalar;
    kernels::for_each_group<S>(groups, theta, ConstMatrixRef<S>{steps}, [&](const auto& group, const auto& group_steps) {
      check_size(group.size);
      const detail::Metric<S> metric{group_steps};
      if (metric.is_euclidean()) return project(group, detail::Euclidean{}, factor_);
      Numbers residual;
      if (are_rounding(group, residual)) return;
      Factor factor;
      for (const double least : {0x1p-64, 0x1p-32, 0x1p-16}) {
        const auto step = [&](Index i) {
          const double own = metric(i);
          return own < least ? least : own;  // NaN stays
        };
        if (factorize(step, factor) == independent) return project(group, step, factor);
      }
      project(group, detail::Euclidean{}, factor_);
    });
  }

 private:
  using Numbers = std::array<double, static_cast<std::size_t>(most_equations)>;
  using Factor = std::array<double, static_cast<std::size_t>(most_equations*(most_equations + 1) / 2)>;  // L, row by row

  static constexpr Index independent = -1;
  static constexpr double least_pivot = 0x1p-34;  // of what a row had before those above it were taken out: a sine of 2⁻¹⁷

  static std::size_t at(Index i) { return static_cast<std::size_t>(i); }
  static std::size_t at(Index i, Index j) { return static_cast<std::size_t>(i * (i + 1) / 2 + j); }
  Index count() const { return coefficients_.rows(); }

  void check_size(Index size) const {
    if (coefficients_.cols() != size)
      throw OptionError(detail::text("AffineEqualities.coefficients must have one column for each element of a group: ", size, "; got ",
                                     coefficients_.cols()));
  }

  /// L of L Lᵀ = A S Aᵀ (Cholesky, Banachiewicz). Returns the first row that is a combination of those above it, whose part of L is solved
  /// for then, or `independent`. NaN goes through.
  template <class Step>
  Index factorize(const Step& step, Factor& factor) const {
    const Index m = count();
    for (Index i = 0; i < m; ++i) {
      double whole = 0, left = 0;
      for (Index k = 0; k <= i; ++k) {
        kernels::Sum sum;
        for (Index j = 0; j < coefficients_.cols(); ++j) sum.add(kernels::product(step(j) * coefficients_(i, j), coefficients_(k, j)));
        if (k == i) whole = sum.value();
        for (Index l = 0; l < k; ++l) sum.add(kernels::product(-factor[at(i, l)], factor[at(k, l)]));
        left = sum.value();
        if (k < i) factor[at(i, k)] = left / factor[at(k, k)];
      }
      if (left <= least_pivot * whole) return i;
      factor[at(i, i)] = std::sqrt(left);
    }
    return independent;
  }

  /// r ← L⁻¹ r
  void solve_lower(const Factor& factor, Numbers& r) const {
    for (Index i = 0; i < count(); ++i) {
      double left = r[at(i)];
      for (Index k = 0; k < i; ++k) left = std::fma(-factor[at(i, k)], r[at(k)], left);
      r[at(i)] = left / factor[at(i, i)];
    }
  }
  /// r ← L⁻ᵀ r
  void solve_upper(const Factor& factor, Numbers& r) const {
    for (Index i = count() - 1; i >= 0; --i) {
      double left = r[at(i)];
      for (Index k = i + 1; k < count(); ++k) left = std::fma(-factor[at(k, i)], r[at(k)], left);
      r[at(i)] = left / factor[at(i, i)];
    }
  }

  /// Whether equation i, whose row is Σ_k y_k a_k of rows above it, has another value than they give it: Lᵀ y = the row's part of L.
  bool contradicts(Index i, const Factor& factor) const {
    Numbers y{};
    for (Index k = 0; k < i; ++k) y[at(k)] = factor[at(i, k)];
    for (Index k = i - 1; k >= 0; --k) {
      for (Index l = k + 1; l < i; ++l) y[at(k)] = std::fma(-factor[at(l, k)], y[at(l)], y[at(k)]);
      y[at(k)] /= factor[at(k, k)];
    }
    double value = -values_[i], size = std::abs(values_[i]);
    for (Index k = 0; k < i; ++k) {
      value = std::fma(y[at(k)], values_[k], value);
      size = std::fma(std::abs(y[at(k)]), std::abs(values_[k]), size);
    }
    return std::abs(value) > 0x1p-17 * size;
  }

  /// Aθ − c into `residual`. Whether it is no more than the rounding of θ explains, in each equation.
  template <class S>
  bool are_rounding(const kernels::Strided<S>& group, Numbers& residual) const {
    bool all = true;
    for (Index i = 0; i < count(); ++i) {
      kernels::Sum sum, sizes;
      for (Index j = 0; j < group.size; ++j) {
        const double term = kernels::product(coefficients_(i, j), static_cast<double>(group[j]));
        sum.add(term);
        sizes.add(std::abs(term));
      }
      sum.add(-values_[i]);
      residual[at(i)] = sum.value();
      all =
          all && std::abs(sum.value()) <= (sizes.value() + std::abs(values_[i])) * detail::feasible<std::remove_const_t<S>>;  // not for NaN
    }
    return all;
  }

  template <class S, class Step>
  void project(const kernels::Strided<S>& group, const Step& step, const Factor& factor) const {
    // Once is enough, but for what rounding leaves: each turn takes away all but some eps / least_pivot of it.
    for (int turn = 0; turn < 8; ++turn) {
      Numbers multipliers;
      if (are_rounding(group, multipliers)) return;
      solve_lower(factor, multipliers);
      solve_upper(factor, multipliers);
      for (Index j = 0; j < group.size; ++j) {
        double to = static_cast<double>(group[j]);
        for (Index i = 0; i < count(); ++i) to = std::fma(-step(j) * coefficients_(i, j), multipliers[at(i)], to);
        group[j] = static_cast<S>(to);
      }
    }
  }

  Matrix<double> coefficients_;  // A (m,d)
  Vector<double> values_;        // c (m)
  Factor factor_{};              // of A Aᵀ
};

}  // namespace parade
