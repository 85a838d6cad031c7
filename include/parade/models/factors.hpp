// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

#include <parade/core/error.hpp>
#include <parade/core/random.hpp>
#include <parade/core/types.hpp>

namespace parade::detail {

/// The starting values of factors: uniform in [−r, r) with r = √3 · deviation, so that `deviation` is their standard deviation. Element i
/// in memory from Random{seed, Purpose::initialize, stream}: only arithmetic and a square root, so that it has the same bits on any
/// machine.
template <class Scalar>
void initialize_factors(Eigen::Map<Matrix<Scalar>> factors, double deviation, std::uint64_t seed, std::uint64_t stream) {
  const double r = std::sqrt(3.0) * deviation;
  const Random random(seed, Purpose::initialize, stream);
  for (Index i = 0; i < factors.size(); ++i) {
    // 2u − 1 is exact, so no compiler can round r(2u − 1) in two ways.
    factors.data()[i] = static_cast<Scalar>(r * (2 * random.uniform(static_cast<std::uint64_t>(i)) - 1));
  }
}

/// Factors that all start at 0 never leave it: the gradient of each is a multiple of the others.
inline double check_deviation(std::string_view model, double deviation) {
  if (!(deviation > 0 && std::isfinite(deviation)))
    throw OptionError(text("deviation of ", model, " must be finite and above 0; got ", deviation));
  return deviation;
}

/// Chains that run side by side, so that none waits for its own last step.
inline constexpr int chains = 8;

/// sums[l] = a_lᵀ b_l for the `chains` pairs of vectors of `length` elements, each ONE chain of fused multiply-adds from sums[l] on.
template <class Scalar>
void add_inner_products(Index length, const Scalar* const (&a)[chains], const Scalar* const (&b)[chains], Scalar (&sums)[chains]) {
  Scalar sum[chains];
  for (int l = 0; l < chains; ++l) sum[l] = sums[l];
  for (Index f = 0; f < length; ++f)
    for (int l = 0; l < chains; ++l) sum[l] = std::fma(a[l][f], b[l][f], sum[l]);
  for (int l = 0; l < chains; ++l) sums[l] = sum[l];
}

}  // namespace parade::detail
