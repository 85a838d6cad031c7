// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include <parade/concepts/loss.hpp>
#include <parade/core/types.hpp>

namespace parade {

/// Squared error, for regression on k real targets a sample:
///
///   J(z, y) = ½‖z − y‖²          ∂J/∂z = z − y
///
/// Domain: z, y ∈ ℝᵏ, k ≥ 1; J ≥ 0, and 0 only at z = y. J = 2 and ∂J/∂z = 2 at z = 2, y = 0. The mean of y is what makes the mean J least.
struct SquaredError {
  using SampleBySampleOf = SquaredError;
  using Target = Real;

  /// Z (k,m), Y (k,m) → J (m), ∂J/∂Z (k,m). `scores` may be any Eigen expression. A NaN in a column gives J = NaN.
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const ConstMatrixRef<typename Z::Scalar>& targets,
                          VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores) const {
    using S = typename Z::Scalar;
    const ConstMatrixRef<S> z{scores};
    PARADE_ASSERT(targets.rows() == z.rows() && targets.cols() == z.cols() && values.size() == z.cols());
    PARADE_ASSERT(dscores.rows() == z.rows() && dscores.cols() == z.cols());
    for (Index j = 0; j < z.cols(); ++j) {
      S squares = 0;
      for (Index i = 0; i < z.rows(); ++i) {
        const S difference = z(i, j) - targets(i, j);
        squares = std::fma(difference, difference, squares);
        dscores(i, j) = difference;
      }
      values[j] = squares / 2;
    }
  }

  /// Of ½(z − y)²: ½u² + u y (Kim, Koh, Lustig, Boyd, Gorinevsky 2007).
  double conjugate(double u, double y) const { return u * std::fma(0.5, u, y); }
};

static_assert(Loss<SquaredError, float> && Loss<SquaredError, double>);
static_assert(HasConjugate<SquaredError>);

}  // namespace parade
