// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include <parade/core/cos_pi.hpp>
#include <parade/core/random.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/math.hpp>

namespace parade {

/// How the starting weights of a layer are drawn; its biases start at 0. All but `orthogonal` are uniform in [−r, r). `inputs` and `outputs` are the numbers
/// of each that one weight meets: of a dense layer its inputs and outputs, of a convolution in · height · width and out · height · width of the kernel.
enum class Initialization {
  he,          // r = √(6 / inputs)               for ReLU (He, Zhang, Ren, Sun: "Delving deep into rectifiers", ICCV 2015)
  glorot,      // r = √(6 / (inputs + outputs))   for tanh, sigmoid and none (Glorot, Bengio, AISTATS 2010)
  zero,        // r = 0                           for convex models
  lecun,       // r = √(3 / inputs)               variance 1 / inputs (LeCun, Bottou, Orr, Müller: "Efficient backprop", 1998)
  orthogonal,  // W Wᵀ = 1 or Wᵀ W = 1: a random rotation, or a part of one (Saxe, McClelland, Ganguli, ICLR 2014)
};

namespace detail {

/// A number of the standard normal distribution, by Box and Muller; the same on every machine.
inline double normal(const Random& random, std::uint64_t index) {
  const double u = random.uniform(2 * index), v = random.uniform(2 * index + 1);
  double logarithm[1] = {1 - u};  // in (0, 1]
  kernels::transform(logarithm, Index{1}, [](auto x) { return kernels::log<double>(x); });
  return std::sqrt(-2 * logarithm[0]) * cos_pi(v < 0.5 ? 2 * v : 2 - 2 * v);  // cos(2πv)
}

/// Q (n,k), k ≤ n, column by column: what Gram and Schmidt make of a matrix of normal numbers, each column twice (Giraud et al., 2005): uniform
/// among all with orthonormal columns, and orthonormal to some roundings. Sums are chains of fused multiply-adds, in order.
inline std::vector<double> random_orthonormal(Index n, Index k, const Random& random) {
  std::vector<double> q(static_cast<std::size_t>(n * k));
  for (std::size_t i = 0; i < q.size(); ++i) q[i] = normal(random, i);
  const auto dot = [n](const double* a, const double* b) {
    double sum = 0;
    for (Index i = 0; i < n; ++i) sum = std::fma(a[i], b[i], sum);
    return sum;
  };
  for (Index j = 0; j < k; ++j) {
    double* column = q.data() + j * n;
    for (int twice = 0; twice < 2; ++twice) {
      for (Index before = 0; before < j; ++before) {
        const double* other = q.data() + before * n;
        const double share = dot(column, other);
        for (Index i = 0; i < n; ++i) column[i] = std::fma(-share, other[i], column[i]);
      }
      const double length = std::sqrt(dot(column, column));
      for (Index i = 0; i < n; ++i) column[i] /= length;
    }
  }
  return q;
}

/// weight (rows, cols), element i in memory from Random{seed, Purpose::initialize, stream}: only arithmetic, a square root and functions of our own, so
/// that it has the same bits on any machine.
template <class Scalar>
void initialize_weight(Eigen::Map<Matrix<Scalar>> weight, Initialization how, std::uint64_t seed, std::uint64_t stream, Index num_inputs,
                       Index num_outputs) {
  const auto inputs = static_cast<double>(num_inputs), outputs = static_cast<double>(num_outputs);
  const Random random(seed, Purpose::initialize, stream);
  if (how == Initialization::orthogonal) {
    const Index rows = weight.rows(), cols = weight.cols(), n = std::max(rows, cols), k = std::min(rows, cols);
    const std::vector<double> q = random_orthonormal(n, k, random);
    for (Index j = 0; j < cols; ++j)
      for (Index i = 0; i < rows; ++i)
        weight(i, j) = static_cast<Scalar>(q[static_cast<std::size_t>(rows >= cols ? i + j * n : j + i * n)]);
    return;
  }
  const double fan = how == Initialization::glorot ? inputs + outputs : inputs;
  const double r = how == Initialization::zero || fan == 0 ? 0 : std::sqrt((how == Initialization::lecun ? 3 : 6) / fan);
  for (Index i = 0; i < weight.size(); ++i) {
    // 2u − 1 is exact, so no compiler can round r(2u − 1) in two ways.
    weight.data()[i] = static_cast<Scalar>(r * (2 * random.uniform(static_cast<std::uint64_t>(i)) - 1));
  }
}

/// Of a dense layer: weight (outputs, inputs).
template <class Scalar>
void initialize_weight(Eigen::Map<Matrix<Scalar>> weight, Initialization how, std::uint64_t seed, std::uint64_t stream) {
  initialize_weight<Scalar>(weight, how, seed, stream, weight.cols(), weight.rows());
}

}  // namespace detail
}  // namespace parade
