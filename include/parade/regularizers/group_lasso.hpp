// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include <parade/core/error.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/groups.hpp>

namespace parade {

/// Group lasso (Yuan, Lin 2006): whole groups of a parameter become 0 together. With p_g elements in group g:
///
///   λR(θ) = λ Σ_g √p_g ‖θ_g‖₂          prox(θ)_g = max(0, 1 − αλ√p_g / ‖θ_g‖₂) θ_g          for one step size α in the group
///
/// The groups are the rows of a parameter (the default: for a weight (k,d), an output is left out), its columns (an input is left out: the choice
/// of features for all outputs at once), or the whole parameter. With λ = 1, the one row θ = (3, 4): λR = 5√2. With αλ√2 = 1:
/// prox(3, 4) = (2.4, 3.2), and prox(0.3, 0.4) = (0, 0).
///
/// Where the step sizes α_i in a group differ, the group is 0 if ‖θ_i / α_i‖₂ ≤ λ√p_g, and else θ_i ν / (ν + α_i), where ν > 0 is the root of
/// ‖θ_i / (ν + α_i)‖₂ = λ√p_g; λ√p_g ν is then the norm of the result. An element whose step size is 0 stays as it is.
/// Domain: any θ; λR ≥ 0, and 0 only at θ = 0. A zero is always +0. NaN stays NaN.
struct GroupLasso {
  double lambda = 0;             // λ ≥ 0
  Groups groups = Groups::rows;  // what becomes 0 together
  bool biases = false;           // whether biases are shrunk too

  /// Throws OptionError unless λ is finite and at least 0.
  void check() const {
    if (!(lambda >= 0 && std::isfinite(lambda)))
      throw OptionError(detail::text("GroupLasso.lambda must be finite and at least 0; got ", lambda));
  }

  bool applies_to(const ParameterBlock& block) const { return biases || block.role != Role::bias; }

  /// λR of a parameter (rows, cols), in double.
  template <class T>
  double parameter_value(const Eigen::MatrixBase<T>& theta) const {
    using S = typename T::Scalar;
    kernels::Sum sum;
    kernels::for_each_group<S>(groups, ConstMatrixRef<S>{theta}, [&](const auto& group) {
      sum.add(kernels::product(std::sqrt(static_cast<double>(group.size)), kernels::norm(group)));
    });
    return lambda * sum.value();
  }

  /// The proximal point of a parameter (rows, cols), in place.
  template <class T>
  void parameter_prox(MatrixRef<typename T::Scalar> theta, const Eigen::MatrixBase<T>& steps) const {
    using S = typename T::Scalar;
    if (lambda == 0) return;
    kernels::for_each_group<S>(groups, theta, ConstMatrixRef<S>{steps}, [&](const auto& group, const auto& step) {
      shrink<S>(group, step, lambda * std::sqrt(static_cast<double>(group.size)));
    });
  }

 private:
  template <class S>
  static void shrink(const kernels::Strided<S>& theta, const kernels::Strided<const S>& steps, double weight) {
    const double scale = kernels::square_scale(theta), target = weight * scale;
    double least = std::numeric_limits<double>::infinity(), most = 0;
    for (Index i = 0; i < steps.size; ++i) {
      least = std::min(least, static_cast<double>(steps[i]));
      most = std::max(most, static_cast<double>(steps[i]));
    }
    if (most == 0) return;

    const auto norm_at = [&](double nu) -> kernels::SecularNorm {
      kernels::Sum squares;
      double slope = 0;
      for (Index i = 0; i < theta.size; ++i) {
        if (theta[i] == 0) continue;  // also where ν + α_i is 0
        const double below = nu + static_cast<double>(steps[i]);
        const double value = static_cast<double>(theta[i]) * scale / below, square = kernels::product(value, value);
        squares.add(square);
        slope += square / below;
      }
      return {std::sqrt(squares.value()), slope};
    };
    // N(ν) ≥ ‖θ‖ / (ν + the largest step), and N(ν) ≥ ‖θ where the step is the smallest‖ / (ν + that step): a ν that makes one of these the
    // target is left of the root. Where all steps are the same it is the root.
    kernels::Sum squares, squares_of_least;
    for (Index i = 0; i < theta.size; ++i) {
      const double value = static_cast<double>(theta[i]) * scale, square = kernels::product(value, value);
      squares.add(square);
      if (static_cast<double>(steps[i]) == least) squares_of_least.add(square);
    }
    const double start = std::max({0.0, std::sqrt(squares.value()) / target - most, std::sqrt(squares_of_least.value()) / target - least});
    if (start == 0 && norm_at(0).norm <= target) {
      for (Index i = 0; i < theta.size; ++i) theta[i] = S{0};
      return;
    }
    const double nu = kernels::secular_root(start, target, norm_at);
    for (Index i = 0; i < theta.size; ++i) {
      const double factor = theta[i] == 0 ? 0 : nu / (nu + static_cast<double>(steps[i]));
      const auto kept = static_cast<S>(static_cast<double>(theta[i]) * factor);
      theta[i] = kept == 0 ? S{0} : kept;
    }
  }
};

}  // namespace parade
