// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include <parade/core/types.hpp>

// What the losses on real targets share that are a sum over the outputs: J(z, y) = Σ_i f(z_i, y_i), ∂J/∂z_i = f′(z_i, y_i).
namespace parade::detail {

/// The sign of x: −1, 0 or +1, and NaN for NaN.
template <class S>
S sign(S x) {
  return x > 0 ? S{1} : x < 0 ? S{-1} : x + S{0};
}

/// Z (k,m), Y (k,m) → J (m), ∂J/∂Z (k,m), element by element, the outputs of a sample in order. add(z, y, sum, slope) adds f(z, y) to the
/// sum (so that a product is a multiply-add there) and sets slope = f′(z, y).
template <class Z, class Add>
void for_each_output(const Eigen::MatrixBase<Z>& scores, const ConstMatrixRef<typename Z::Scalar>& targets,
                     VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores, const Add& add) {
  using S = typename Z::Scalar;
  const ConstMatrixRef<S> z{scores};
  PARADE_ASSERT(targets.rows() == z.rows() && targets.cols() == z.cols() && values.size() == z.cols());
  PARADE_ASSERT(dscores.rows() == z.rows() && dscores.cols() == z.cols());
  for (Index j = 0; j < z.cols(); ++j) {
    S sum = 0;
    for (Index i = 0; i < z.rows(); ++i) add(z(i, j), targets(i, j), sum, dscores(i, j));
    values[j] = sum;
  }
}

/// The same for an f with elementary functions. functions(z, a, b, count) fills a[0 … count) and b[0 … count) with two of them, of the
/// scores z[0 … count); add(z, y, a, b, sum, slope) is given both. Elements are taken by the chunk, so that vectors are full also for
/// one output.
template <class Z, class Functions, class Add>
void for_each_output(const Eigen::MatrixBase<Z>& scores, const ConstMatrixRef<typename Z::Scalar>& targets,
                     VectorRef<typename Z::Scalar> values, MatrixRef<typename Z::Scalar> dscores, const Functions& functions,
                     const Add& add) {
  using S = typename Z::Scalar;
  const ConstMatrixRef<S> z{scores};
  PARADE_ASSERT(z.rows() >= 1 && targets.rows() == z.rows() && targets.cols() == z.cols() && values.size() == z.cols());
  PARADE_ASSERT(dscores.rows() == z.rows() && dscores.cols() == z.cols());
  constexpr Index chunk = 64;
  S own[chunk], a[chunk], b[chunk] = {};
  const Index k = z.rows(), size = k * z.cols();
  for (Index first = 0; first < size; first += chunk) {
    const Index count = std::min(chunk, size - first);
    Index i = first % k, j = first / k;
    for (Index e = 0, row = i, column = j; e < count; ++e) {
      own[e] = z(row, column);
      if (++row == k) row = 0, ++column;
    }
    functions(static_cast<const S*>(own), static_cast<S*>(a), static_cast<S*>(b), count);
    for (Index e = 0; e < count; ++e) {
      if (i == 0) values[j] = 0;
      add(own[e], targets(i, j), a[e], b[e], values[j], dscores(i, j));
      if (++i == k) i = 0, ++j;
    }
  }
}

}  // namespace parade::detail
