// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

namespace parade::kernels {

/// Asks for the line of memory at `place`, which will be read soon.
[[gnu::always_inline]] inline void prefetch(const void* place) {
  __builtin_prefetch(place);
  asm volatile("");  // GCC 12 takes a function that does nothing but prefetch for one without effects, and drops its calls
}

/// Asks for all lines of the `bytes` from `begin` on.
[[gnu::always_inline]] inline void prefetch(const void* begin, std::size_t bytes) {
  const char* from = static_cast<const char*>(begin);
  for (std::size_t at = 0; at < bytes; at += 64) prefetch(from + at);
  if (bytes > 0) prefetch(from + bytes - 1);  // the last line, which the steps may have missed: that one alone would cost as much as all
}

}  // namespace parade::kernels
