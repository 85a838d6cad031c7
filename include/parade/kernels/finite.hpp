// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstdint>
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

}  // namespace parade::kernels
