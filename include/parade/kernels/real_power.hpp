// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <parade/core/power.hpp>
#include <parade/kernels/math.hpp>

namespace parade::detail {

/// eˣ of one number in double, with the bits of kernels::exp.
inline double exp_of(double x) {
  using V = kernels::Simd<double>;
  double lanes[V::width];
  V::store(lanes, kernels::exp<double>(V::broadcast(x)));
  return lanes[0];
}

/// log x of one number in double, with the bits of kernels::log.
inline double log_of(double x) {
  using V = kernels::Simd<double>;
  double lanes[V::width];
  V::store(lanes, kernels::log<double>(V::broadcast(x)));
  return lanes[0];
}

/// baseᵖ for base ≥ 0 and p ≥ 0, the same bits on every machine, which std::pow does not promise: products for a whole p up to 64, else
/// e^{p log base}. Relative error below (2 + 2 |p log base|) · 2^−52. 0⁰ is 1.
inline double real_power(double base, double p) {
  if (p <= 64 && p == static_cast<double>(static_cast<std::int64_t>(p))) return power(base, static_cast<std::int64_t>(p));
  return base == 0 ? 0 : exp_of(p * log_of(base));
}

}  // namespace parade::detail
