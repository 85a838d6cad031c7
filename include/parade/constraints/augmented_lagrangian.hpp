// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <utility>

#include <parade/concepts/constraint.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>

namespace parade {

/// `count()` functions of the whole of θ (P), of a user's own, as one side of a constraint:
///   1. `count()`, their number; the same at all times.
///   2. `values(theta, out)` writes them (count).
///   3. `add_gradient(theta, weights, grad)` adds Σ_i weights_i ∇f_i(θ) to grad (P).
template <class F, class Scalar>
concept VectorFunction = requires(const F functions, const ConstVectorRef<Scalar>& theta, VectorRef<double> out,
                                  const ConstVectorRef<double>& weights, VectorRef<Scalar> grad) {
  { functions.count() } -> std::convertible_to<Index>;
  functions.values(theta, out);
  functions.add_gradient(theta, weights, grad);
};

/// No function.
struct NoFunctions {
  Index count() const { return 0; }
  template <class T>
  void values(const Eigen::MatrixBase<T>&, const VectorRef<double>&) const {}
  template <class T>
  void add_gradient(const Eigen::MatrixBase<T>&, const ConstVectorRef<double>&, const VectorRef<typename T::Scalar>&) const {}
};

/// How β begins and grows.
struct AugmentedLagrangianOptions {
  double beta = 1;       // β > 0, to begin with
  double growth = 10;    // ≥ 1
  double enough = 0.25;  // in (0, 1): how far the violation must fall for β to stay
  double max_beta = 1e8;

  /// Throws OptionError for a setting out of its range.
  void check() const {
    if (!(beta > 0 && std::isfinite(beta)))
      throw OptionError(detail::text("AugmentedLagrangian.beta must be finite and above 0; got ", beta));
    if (!(growth >= 1 && std::isfinite(growth)))
      throw OptionError(detail::text("AugmentedLagrangian.growth must be finite and at least 1; got ", growth));
    if (!(enough > 0 && enough < 1)) throw OptionError(detail::text("AugmentedLagrangian.enough must be in (0, 1); got ", enough));
    if (!(max_beta >= beta && std::isfinite(max_beta)))
      throw OptionError(detail::text("AugmentedLagrangian.max_beta must be finite and at least beta; got ", max_beta, " and ", beta));
  }
};

/// h(θ) = 0 and g(θ) ≤ 0 by multipliers ν, μ ≥ 0 and a penalty β > 0 (Hestenes 1969; Powell 1969; for g Rockafellar 1973): the term
///
///   A(θ)  = Σ ν_i h_i + ½β Σ h_i² + 1/(2β) Σ [max(0, μ_j + β g_j)² − μ_j²]
///   ∇A(θ) = Σ (ν_i + β h_i) ∇h_i + Σ max(0, μ_j + β g_j) ∇g_j
///
/// is added to the objective; when θ is near a minimum of that,
///
///   ν ← ν + β h(θ),   μ ← max(0, μ + β g(θ)),   and β ← growth · β if the violation is above `enough` of what it was the last time.
///
/// At a fixed point of both, h = 0, g ≤ 0, μ_j g_j = 0, and ∇A is Σ ν_i ∇h_i + Σ μ_j ∇g_j: the conditions of Karush, Kuhn and Tucker. Other than with a
/// penalty alone, β need not go to infinity. With h(θ) = θ − 1, β = 2 and ν = 0: A(3) = 4 and ∇A(3) = 4; after `update` at 3, ν = 4.
///
/// As the constraint of a Trainer it is updated after every epoch, and its violation is in the reports: give an epoch enough steps for θ to come near a
/// minimum. It works on the whole of θ, and it has a state. Not safe to use from several threads at once.
template <class Equalities, class Inequalities = NoFunctions>
class AugmentedLagrangian {
 public:
  static constexpr bool of_whole_theta = true;  // see WholeConstraint

  explicit AugmentedLagrangian(Equalities equalities, Inequalities inequalities = {}, const AugmentedLagrangianOptions& options = {})
      : equalities_(std::move(equalities)), inequalities_(std::move(inequalities)), options_(options) {
    options.check();
    reset();
  }

  double beta() const { return beta_; }
  const Vector<double>& equality_multipliers() const { return nu_; }    // ν
  const Vector<double>& inequality_multipliers() const { return mu_; }  // μ

  /// ν = 0, μ = 0, and β as given.
  void reset() {
    nu_ = h_ = Vector<double>::Zero(equalities_.count());
    mu_ = g_ = Vector<double>::Zero(inequalities_.count());
    beta_ = options_.beta;
    violation_ = std::numeric_limits<double>::infinity();
  }

  /// A(θ), in double.
  template <class T>
  double value(const Eigen::MatrixBase<T>& theta) {
    evaluate(ConstVectorRef<typename T::Scalar>{theta});
    double linear = 0, squares = 0, bent = 0;
    for (Index i = 0; i < h_.size(); ++i) {
      linear = std::fma(nu_[i], h_[i], linear);
      squares = std::fma(h_[i], h_[i], squares);
    }
    for (Index j = 0; j < g_.size(); ++j) {
      const double shifted = positive(std::fma(beta_, g_[j], mu_[j]));
      bent = std::fma(shifted, shifted, std::fma(-mu_[j], mu_[j], bent));
    }
    return std::fma(beta_ / 2, squares, linear) + bent / (2 * beta_);
  }

  /// grad (P) += ∇A(θ).
  template <class T>
  void add_gradient(const Eigen::MatrixBase<T>& theta, VectorRef<typename T::Scalar> grad) {
    const ConstVectorRef<typename T::Scalar> view{theta};
    evaluate(view);
    for (Index i = 0; i < h_.size(); ++i) h_[i] = std::fma(beta_, h_[i], nu_[i]);
    for (Index j = 0; j < g_.size(); ++j) g_[j] = positive(std::fma(beta_, g_[j], mu_[j]));
    equalities_.add_gradient(view, ConstVectorRef<double>(h_), grad);
    inequalities_.add_gradient(view, ConstVectorRef<double>(g_), grad);
  }

  /// The largest of |h_i|, g_j and 0.
  template <class T>
  double violation(const Eigen::MatrixBase<T>& theta) {
    evaluate(ConstVectorRef<typename T::Scalar>{theta});
    double worst = 0;
    const auto see = [&](double x) {
      if (std::isnan(x) || x > worst) worst = x;  // NaN is the worst, and stays
    };
    for (Index i = 0; i < h_.size(); ++i) see(std::abs(h_[i]));
    for (Index j = 0; j < g_.size(); ++j) see(g_[j]);
    return worst;
  }

  /// New multipliers and β from θ, near a minimum of the objective with A. Returns `violation(theta)`. Nothing changes if that is not finite.
  template <class T>
  double update(const Eigen::MatrixBase<T>& theta) {
    const double worst = violation(theta);
    if (!std::isfinite(worst)) return worst;
    for (Index i = 0; i < h_.size(); ++i) nu_[i] = std::fma(beta_, h_[i], nu_[i]);
    for (Index j = 0; j < g_.size(); ++j) mu_[j] = positive(std::fma(beta_, g_[j], mu_[j]));
    if (worst > options_.enough * violation_) beta_ = std::min(options_.growth * beta_, options_.max_beta);
    violation_ = worst;
    return worst;
  }

 private:
  static double positive(double x) { return x <= 0 ? 0 : x; }  // NaN stays

  template <class S>
  void evaluate(const ConstVectorRef<S>& theta) {
    equalities_.values(theta, VectorRef<double>(h_));
    inequalities_.values(theta, VectorRef<double>(g_));
  }

  Equalities equalities_;
  Inequalities inequalities_;
  AugmentedLagrangianOptions options_;
  Vector<double> nu_, mu_;
  Vector<double> h_, g_;  // values, and in add_gradient the weights of the gradients
  double beta_ = 1;
  double violation_ = 0;  // at the last update
};

static_assert(VectorFunction<NoFunctions, float> && VectorFunction<NoFunctions, double>);
static_assert(WholeConstraint<AugmentedLagrangian<NoFunctions>, float> && Constraint<AugmentedLagrangian<NoFunctions>, double>);

}  // namespace parade
