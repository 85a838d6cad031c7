// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include <parade/core/types.hpp>
#include <parade/kernels/simd.hpp>

namespace parade::detail {

/// Calls f(integral_constant n) for n in 1 … Most, known only at run time.
template <int Most, class F>
void with_constant(Index n, const F& f) {
  if constexpr (Most == 1) {
    f(std::integral_constant<int, 1>{});
  } else {
    if (n == Most) return f(std::integral_constant<int, Most>{});
    with_constant<Most - 1>(n, f);
  }
}

}  // namespace parade::detail

namespace parade::kernels {

/// body(i, load, store) for the elements from i on, a vector's width at a time, the last ones by masked loads and stores.
/// Always inlined: else what the body captures would go through memory in every turn.
template <class Scalar, class Body>
[[gnu::always_inline]] inline void for_each_vector(Index size, const Body& body) {
  using V = Simd<Scalar>;
  const auto load = [](const Scalar* p) { return V::load(p); };
  const auto store = [](Scalar* p, typename V::Vector x) { V::store(p, x); };
  Index i = 0;
  for (; i + V::width <= size; i += V::width) body(i, load, store);
  const auto load_rest = [rest = size - i](const Scalar* p) { return V::load_first(p, rest); };
  const auto store_rest = [rest = size - i](Scalar* p, typename V::Vector x) { V::store_first(p, x, rest); };
  if (i < size) body(i, load_rest, store_rest);
}

}  // namespace parade::kernels
