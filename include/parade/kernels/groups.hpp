// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <type_traits>

#include <parade/core/compensated_sum.hpp>
#include <parade/core/types.hpp>

// What regularizers and constraints of a whole parameter share: groups of its elements, sums in double whose error does not grow with the number
// of terms, and the root of a secular equation. All of it in a fixed order, without memory of its own, and with every product that is added to
// something rounded once: the same bits everywhere.
namespace parade {

/// Which elements of a parameter (rows, cols) belong together.
enum class Groups {
  whole,    // all of them
  rows,     // those of a row: of a weight (k,d), all that leads to one output
  columns,  // those of a column: of a weight (k,d), all that comes from one input
};

namespace kernels {

/// `size` elements, `stride` apart.
template <class S>
struct Strided {
  S* data;
  Index size;
  Index stride;
  S& operator[](Index i) const { return data[i * stride]; }
};

/// call(n, first, stride) for each group of a parameter (rows, cols) whose columns are `outer` apart. Groups of no elements are passed over.
template <class Call>
void for_each_group(Groups groups, Index rows, Index cols, const Call& call) {
  if (rows == 0 || cols == 0) return;
  if (groups == Groups::whole) return call(Index{0}, Index{0});
  for (Index i = 0, count = groups == Groups::rows ? rows : cols; i < count; ++i)
    groups == Groups::rows ? call(i, Index{0}) : call(Index{0}, i);
}

/// The group that holds the element (row, col) of a matrix.
template <class M>
auto group_of(Groups groups, M& matrix, Index row, Index col) {
  using S = std::remove_pointer_t<decltype(matrix.data())>;
  S* first = matrix.data() + row + col * matrix.outerStride();
  if (groups == Groups::rows) return Strided<S>{first, matrix.cols(), matrix.outerStride()};
  if (groups == Groups::columns) return Strided<S>{first, matrix.rows(), 1};
  if (matrix.cols() > 1 && matrix.outerStride() != matrix.rows())
    throw std::invalid_argument("a parameter must be contiguous: its columns must lie one behind the other");
  return Strided<S>{first, matrix.rows() * matrix.cols(), 1};
}

/// call(group) for each group of θ.
template <class S, class Call>
void for_each_group(Groups groups, const ConstMatrixRef<S>& theta, const Call& call) {
  for_each_group(groups, theta.rows(), theta.cols(), [&](Index row, Index col) { call(group_of(groups, theta, row, col)); });
}

/// call(group of θ, the same group of the steps).
template <class S, class Call>
void for_each_group(Groups groups, MatrixRef<S>& theta, const ConstMatrixRef<S>& steps, const Call& call) {
  PARADE_ASSERT(theta.rows() == steps.rows() && theta.cols() == steps.cols());
  for_each_group(groups, theta.rows(), theta.cols(),
                 [&](Index row, Index col) { call(group_of(groups, theta, row, col), group_of(groups, steps, row, col)); });
}

/// a·b, rounded, that a compiler does not contract with the sum that it goes into.
inline double product(double a, double b) { return std::fma(a, b, 0.0); }

/// A compensated sum. Terms that are not finite make it NaN.
class Sum : public detail::CompensatedSum {
 public:
  double value() const { return high() + low(); }
};

/// A power of two that brings the largest |x_i| near 1, so that squares neither overflow nor underflow in double; 1 for float, whose squares cannot.
template <class S>
double square_scale(const Strided<S>& x) {
  if constexpr (std::is_same_v<std::remove_const_t<S>, float>) {
    return 1;
  } else {
    double largest = 0;
    for (Index i = 0; i < x.size; ++i) largest = std::max(largest, std::abs(static_cast<double>(x[i])));  // passes over NaN
    if (largest == 0 || !std::isfinite(largest)) return 1;
    return std::ldexp(1.0, std::min(1000, -std::ilogb(largest)));
  }
}

/// ‖x‖₂; NaN if an element is not finite.
template <class S>
double norm(const Strided<S>& x) {
  const double scale = square_scale(x);
  Sum squares;
  for (Index i = 0; i < x.size; ++i) {
    const double value = static_cast<double>(x[i]) * scale;
    squares.add(product(value, value));
  }
  return std::sqrt(squares.value()) / scale;
}

/// N(x) and what Newton's method needs of N'(x).
struct SecularNorm {
  double norm;   // N(x) = √ Σ v_i²,  v_i = a_i / (p_i + x q_i),  q_i > 0
  double slope;  // Σ v_i² q_i / (p_i + x q_i) = −N N'
};

/// The root of N(x) = target by Newton's method on 1/N(x) (Reinsch 1971; Moré, Sorensen 1983), from a `start` with N(start) ≥ target.
/// 1/N is increasing and concave, and linear where all p_i/q_i are equal: the root is approached from the left and never passed.
///
/// It ends: let f = 1/target − 1/N > 0 and s = (1/N)' at the iterates. Concavity gives f'/f + s'/s ≤ 1 for the next ones f', s', so f s falls at
/// least to a quarter: after ½ log₂ of the range of f s, which `limit` exceeds (the range of doubles), and after some five steps as a rule.
template <class Evaluate>
double secular_root(double start, double target, const Evaluate& evaluate) {
  constexpr double close = 1 + 2 * std::numeric_limits<double>::epsilon();
  constexpr int limit = 1200;
  double x = start;
  for (int i = 0; i < limit; ++i) {
    const SecularNorm at = evaluate(x);
    if (!(at.norm > target * close)) break;  // also for NaN
    const double next = std::fma((at.norm - target) / target, at.norm / at.slope * at.norm, x);
    if (!(next > x)) break;
    x = next;
  }
  return x;
}

}  // namespace kernels
}  // namespace parade
