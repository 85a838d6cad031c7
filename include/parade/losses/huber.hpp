// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>

#include <parade/concepts/loss.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/losses/elementwise.hpp>

namespace parade {

/// Huber loss, for regression on k real targets a sample (Huber 1964: "Robust estimation of a location parameter"): squared error for small
/// differences, and linear beyond δ, so that an outlier pulls with a force of at most δ. With d_i = z_i − y_i:
///
///   J(z, y) = Σ_i ½d_i² if |d_i| ≤ δ, else δ(|d_i| − ½δ)          ∂J/∂z_i = d_i clipped to [−δ, δ]
///
/// It is that of PyTorch. Divided by δ it is PyTorch's smooth L1 loss.
/// Domain: z, y ∈ ℝᵏ, k ≥ 1; J ≥ 0, with a continuous slope. With δ = 1: J = ½ and ∂J/∂z = 1 at z = 1, y = 0; J = 2.5 and ∂J/∂z = 1
/// at z = 3, y = 0.
struct Huber {
  using SampleBySampleOf = Huber;
  using Target = Real;

  double delta = 1;  // δ > 0, in the units of y

  /// Throws OptionError for a setting out of its range.
  void check() const {
    if (!(delta > 0 && std::isfinite(delta))) throw OptionError(detail::text("Huber.delta must be finite and above 0; got ", delta));
  }

  /// Z (k,m), Y (k,m) → J (m), ∂J/∂Z (k,m). `scores` may be any Eigen expression. A NaN in a column gives J = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const ConstMatrixRef<typename Z::Scalar>& targets,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    const S most = static_cast<S>(delta);
    detail::for_each_output(scores, targets, values, dscores, [most](S z, S y, S& sum, S& slope) {
      const S difference = z - y, size = std::abs(difference);
      sum = size > most ? std::fma(most, size - most / 2, sum) : std::fma(size / 2, size, sum);
      slope = difference < -most ? -most : difference > most ? most : difference;
    });
  }

  /// Of Huber's loss of z − y: ½u² + u y for |u| ≤ δ.
  double conjugate(double u, double y) const {
    return std::abs(u) > delta ? std::numeric_limits<double>::infinity() : u * std::fma(0.5, u, y);
  }
};

static_assert(HasConjugate<Huber>);
static_assert(Loss<Huber, float> && Loss<Huber, double>);

}  // namespace parade
