// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include <parade/core/types.hpp>

namespace parade {

/// Half-open range of indices.
struct Range {
  Index begin = 0;
  Index end = 0;
  Index size() const { return end - begin; }
  friend bool operator==(const Range&, const Range&) = default;
};

/// The samples of part `i` when `total` are cut into `parts` contiguous pieces whose sizes differ by at most one: [⌊i·total/parts⌋, ⌊(i+1)·total/parts⌋).
constexpr Range part_of(Index total, Index parts, Index i) { return {i * total / parts, (i + 1) * total / parts}; }

/// How a minibatch is cut into shards. The rule reads the batch size and the setting `shard_size` alone, never the number of threads or
/// processes: the shards, and with them the bits of the gradient, are the same whoever computes them.
///
///   S = ⌈b / shard_size⌉ shards, shard s = [⌊s·b/S⌋, ⌊(s+1)·b/S⌋)
class ShardPlan {
 public:
  /// shard_size 0 stands for the default, `automatic_shard_size(b)`.
  constexpr ShardPlan(Index batch_size, Index shard_size)
      : batch_size_(batch_size),
        shard_size_(shard_size > 0 ? std::min(shard_size, std::max<Index>(batch_size, 1)) : automatic_shard_size(batch_size)) {}

  constexpr Index batch_size() const { return batch_size_; }                                // b
  constexpr Index shards() const { return (batch_size_ + shard_size_ - 1) / shard_size_; }  // S
  constexpr Index shard_size() const { return shard_size_; }                                // no shard is larger
  constexpr Range operator[](Index shard) const { return part_of(batch_size_, shards(), shard); }

  /// At least 32 samples, so that a product is wide enough to be fast; and at most 32 shards, so that reading S gradients stays cheap
  /// beside computing them.
  static constexpr Index automatic_shard_size(Index batch_size) { return std::max<Index>(32, (batch_size + 31) / 32); }

 private:
  Index batch_size_;
  Index shard_size_;
};

}  // namespace parade
