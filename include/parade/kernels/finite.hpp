// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <parade/core/types.hpp>

namespace parade::kernels {

/// Whether all `size` numbers are finite: none has the exponent of infinity and NaN. Without a branch a number, so that compilers use
/// whole vectors, and on the bits, so that no assumption about NaN can take it away.
template <class Scalar>
bool all_finite(const Scalar* x, Index size) {
  using Bits = std::conditional_t<sizeof(Scalar) == 4, std::uint32_t, std::uint64_t>;
  static_assert(sizeof(Scalar) == sizeof(Bits));
  constexpr Bits exponent = sizeof(Scalar) == 4 ? Bits{0x7F800000u} : static_cast<Bits>(0x7FF0000000000000u);
  Bits bad = 0;
  for (Index i = 0; i < size; ++i) bad |= (std::bit_cast<Bits>(x[i]) & exponent) == exponent ? Bits{1} : Bits{0};
  return bad == 0;
}

/// max |x|, infinite if one is not finite. On the bits, whose order is that of the numbers, NaN last: a maximum of integers needs no order, and so takes whole
/// vectors.
template <class Scalar>
Scalar largest_size(const Scalar* x, Index size) {
  using Bits = std::conditional_t<sizeof(Scalar) == 4, std::int32_t, std::int64_t>;
  static_assert(std::is_floating_point_v<Scalar> && sizeof(Scalar) == sizeof(Bits));
  Bits largest = 0;
  for (Index i = 0; i < size; ++i) {
    const Bits own = std::bit_cast<Bits>(x[i]) & std::numeric_limits<Bits>::max();
    largest = own > largest ? own : largest;
  }
  const auto result = std::bit_cast<Scalar>(largest);
  return all_finite(&result, 1) ? result : std::numeric_limits<Scalar>::infinity();
}

}  // namespace parade::kernels
