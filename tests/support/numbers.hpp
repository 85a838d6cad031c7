// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include <parade/core/random.hpp>
#include <parade/core/types.hpp>

// Numbers for tests: random ones that are the same on every machine, and their comparison bit by bit.
namespace numbers {

/// Uniform in [low, high); another stream gives other numbers.
template <class S>
parade::Matrix<S> random_matrix(parade::Index rows, parade::Index cols, std::uint64_t stream, double low = -2, double high = 2) {
  const parade::Random random{1, parade::Purpose::user, stream};
  parade::Matrix<S> matrix(rows, cols);
  for (parade::Index i = 0; i < matrix.size(); ++i)
    matrix.data()[i] = static_cast<S>(random.uniform(static_cast<std::uint64_t>(i), low, high));
  return matrix;
}

template <class S>
parade::Vector<S> random_vector(parade::Index size, std::uint64_t stream, double low = -2, double high = 2) {
  return random_matrix<S>(size, 1, stream, low, high);
}

/// Same shape and same bits: tells +0 from −0, and finds a NaN equal to itself.
template <class A, class B>
bool same_bits(const Eigen::DenseBase<A>& a, const Eigen::DenseBase<B>& b) {
  static_assert(std::is_same_v<typename A::Scalar, typename B::Scalar>);
  if (a.rows() != b.rows() || a.cols() != b.cols()) return false;
  for (parade::Index j = 0; j < a.cols(); ++j)
    for (parade::Index i = 0; i < a.rows(); ++i) {
      const auto x = a.derived().coeff(i, j), y = b.derived().coeff(i, j);
      if (std::memcmp(&x, &y, sizeof x) != 0) return false;
    }
  return true;
}

}  // namespace numbers
