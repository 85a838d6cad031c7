// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <span>

#include <parade/core/shard_plan.hpp>
#include <parade/core/types.hpp>

// The canonical tree, in which everything that comes from several shards is summed, gradients as well as loss values:
//
//   tree(lo, hi) = tree(lo, mid) + tree(mid, hi),   mid = lo + the largest power of two below hi − lo
//
// Its shape depends on the number of shards alone. A contiguous range of shards is a union of O(log S) of its nodes, so that processes may
// reduce what they hold and combine the rest to the same bits. Walking the shards in order, node by node as a binary counter carries, gives this tree
// without recursion.
namespace parade::detail {

/// out[i] = the sum of parts[0][lo + i] … parts[S−1][lo + i] over the canonical tree, for the elements lo + i of `range`; S ≥ 1. Chunks of the
/// vectors that fit the L1 cache are walked one after the other, so that each part is read once and nothing else touches memory.
template <class Scalar>
void tree_sum(std::span<const Scalar* const> parts, Range range, Scalar* out) {
  constexpr Index chunk = 256;
  constexpr std::size_t levels = 33;
  alignas(64) Scalar storage[levels][chunk];  // storage[l]: a finished node over 2^l parts
  std::array<const Scalar*, levels> node{};   // where it is; a node over one part stays where the part is

  const std::size_t count = parts.size();
  for (Index begin = range.begin; begin < range.end; begin += chunk, out += chunk) {
    const Index length = std::min(chunk, range.end - begin);
    const auto add = [length](const Scalar* a, const Scalar* b, Scalar* sum) {
      for (Index i = 0; i < length; ++i) sum[i] = a[i] + b[i];
    };
    for (std::size_t s = 0; s < count; ++s) {
      const Scalar* carry = parts[s] + begin;
      const auto carries = static_cast<std::size_t>(std::countr_one(s));  // nodes of size 1, 2, 4, … that this part completes
      for (std::size_t l = 0; l < carries; ++l) {
        add(node[l], carry, storage[carries]);
        carry = storage[carries];
      }
      node[carries] = carry;
    }
    // The nodes left over, one for each bit of the count, from the small ones on the right to the large ones on the left.
    std::size_t l = static_cast<std::size_t>(std::countr_zero(count));
    const Scalar* sum = node[l];
    for (++l; (count >> l) != 0; ++l) {
      if (((count >> l) & 1) == 0) continue;
      add(node[l], sum, out);
      sum = out;
    }
    if (sum != out) std::copy_n(sum, length, out);
  }
}

/// The sum of values[0] … values[S−1] over the canonical tree; T{} for none.
template <class T>
T tree_sum(std::span<const T> values) {
  if (values.empty()) return T{};
  if (values.size() == 1) return values[0];
  const std::size_t left = std::bit_floor(values.size() - 1);
  return tree_sum(values.first(left)) + tree_sum(values.subspan(left));
}

}  // namespace parade::detail
