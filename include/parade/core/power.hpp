// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace parade::detail {

/// baseⁿ for n ≥ 0 by repeated squaring: products alone, so the same bits on every machine, which std::pow does not promise.
/// Relative error below n · 2^−53.
constexpr double power(double base, std::int64_t n) {
  double result = 1;
  for (; n > 0; n /= 2, base *= base)
    if (n % 2 == 1) result *= base;
  return result;
}

}  // namespace parade::detail
