// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <span>

#include <parade/core/shard_plan.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/loops.hpp>
#include <parade/kernels/simd.hpp>

// The canonical tree, in which everything that comes from several shards is summed, gradients as well as loss values:
//
//   tree(lo, hi) = tree(lo, mid) + tree(mid, hi),   mid = lo + the largest power of two below hi − lo
//
// Its shape depends on the number of shards alone. A contiguous range of shards is a union of O(log S) of its nodes, so that processes may
// reduce what they hold and combine the rest to the same bits. Walking the shards in order, node by node as a binary counter carries, gives this tree
// without recursion.
namespace parade::detail {

/// The sum over the canonical tree of N parts, N ≥ 1, for the lanes from element i on.
template <int N, class Scalar, class Load>
auto tree_of(const Scalar* const* parts, Index i, const Load& load) {
  if constexpr (N == 1) {
    return load(parts[0] + i);
  } else {
    constexpr int left = std::bit_floor(static_cast<unsigned>(N - 1));
    return kernels::Simd<Scalar>::add(tree_of<left>(parts, i, load), tree_of<N - left>(parts + left, i, load));
  }
}

/// Parts that are summed in registers: 8 consecutive ones, from a multiple of 8 on, are a node of the tree, and so are the last ones.
inline constexpr std::size_t tree_group = 8;

/// out[i] = the sum of parts[0][lo + i] … parts[S−1][lo + i] over the canonical tree, for the elements lo + i of `range`; S ≥ 1. Each part is
/// read once; what stands between lies in chunks that fit the L1 cache.
template <class Scalar>
void tree_sum(std::span<const Scalar* const> parts, Range range, Scalar* out) {
  constexpr Index chunk = 256;
  constexpr std::size_t levels = 33;
  alignas(64) Scalar storage[levels][chunk];  // storage[l]: a finished node over 2^l groups
  alignas(64) Scalar last_group[chunk];
  std::array<const Scalar*, levels> node{};  // where it is

  const std::size_t whole = parts.size() / tree_group, rest = parts.size() % tree_group;
  for (Index begin = range.begin; begin < range.end; begin += chunk, out += chunk) {
    const Index length = std::min(chunk, range.end - begin);
    const auto sum_group = [&](std::size_t first, std::size_t count, Scalar* sum) {
      with_constant<tree_group>(static_cast<Index>(count), [&](auto n) {
        kernels::for_each_vector<Scalar>(
            length, [&](Index i, auto load, auto store) { store(sum + i, tree_of<n>(parts.data() + first, begin + i, load)); });
      });
    };
    const auto add = [length](const Scalar* a, const Scalar* b, Scalar* sum) {
      for (Index i = 0; i < length; ++i) sum[i] = a[i] + b[i];
    };
    if (parts.size() <= tree_group) {
      sum_group(0, parts.size(), out);
      continue;
    }
    for (std::size_t group = 0; group < whole; ++group) {
      const auto carries = static_cast<std::size_t>(std::countr_one(group));  // nodes of 1, 2, 4, … groups that this one completes
      sum_group(group * tree_group, tree_group, storage[carries]);
      for (std::size_t l = 0; l < carries; ++l) add(node[l], storage[carries], storage[carries]);
      node[carries] = storage[carries];
    }
    // The nodes left over, one for each bit of the count of groups, from the small ones on the right to the large ones on the left.
    const Scalar* sum = nullptr;
    if (rest > 0) {
      sum_group(whole * tree_group, rest, last_group);
      sum = last_group;
    }
    for (std::size_t l = 0; (whole >> l) != 0; ++l) {
      if (((whole >> l) & 1) == 0) continue;
      if (sum != nullptr) add(node[l], sum, out);
      sum = sum != nullptr ? out : node[l];
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
