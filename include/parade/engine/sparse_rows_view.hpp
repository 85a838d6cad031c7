// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include <parade/concepts/sparse.hpp>
#include <parade/core/shard_plan.hpp>
#include <parade/core/types.hpp>
#include <parade/engine/team.hpp>
#include <parade/kernels/finite.hpp>
#include <parade/kernels/prefetch.hpp>

namespace parade::detail {

/// The rows of sparse data as they lie in memory.
template <class Value>
struct SparseRowsView {
  const std::int64_t* offsets;
  const std::int32_t* indices;
  const Value* values;  // null: all are 1

  template <SparseData D>
  explicit SparseRowsView(const D& data)
      : offsets(data.offsets().data()), indices(data.indices().data()), values(data.all_ones() ? nullptr : data.values().data()) {}

  Index begin(Index row) const { return offsets[row]; }
  Index end(Index row) const { return offsets[row + 1]; }

  /// Rows are visited in an order that no prefetcher of the hardware can guess: entries asked for some rows ahead are there in time.
  void prefetch_place(Index row) const { kernels::prefetch(offsets + row); }
  void prefetch(Range entries) const {
    const auto count = static_cast<std::size_t>(entries.size());
    kernels::prefetch(indices + entries.begin, count * sizeof(std::int32_t));
    if (values) kernels::prefetch(values + entries.begin, count * sizeof(Value));
  }
};
template <SparseData D>
SparseRowsView(const D&) -> SparseRowsView<typename D::Value>;

inline constexpr Index sparse_prefetch_distance = 4;  // rows; twice that for where they are

/// One part of a row's score, in the canonical order: four sums, entry e goes to sum e mod 4, in order, and (s₀ + s₁) + (s₂ + s₃) at the end. One chain
/// would wait for each multiply-add before the next. `weight(i)` is the weight of feature i.
template <class Scalar, bool Ones, class Value, class Weight>
Scalar row_score(const std::int32_t* indices, const Value* values, Index count, const Weight& weight) {
  Scalar sum[4] = {0, 0, 0, 0};
  const auto add = [&](Index entry, Scalar& to) {
    const Scalar w = weight(indices[entry]);
    if constexpr (Ones)
      to += w;
    else
      to = std::fma(static_cast<Scalar>(values[entry]), w, to);
  };
  Index entry = 0;
  for (; entry + 4 <= count; entry += 4) {
    add(entry, sum[0]);
    add(entry + 1, sum[1]);
    add(entry + 2, sum[2]);
    add(entry + 3, sum[3]);
  }
  for (; entry < count; ++entry) add(entry, sum[entry % 4]);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/// The same for k outputs, into out (k). `weight(i, c)`; `sums` has room for 4k numbers.
template <class Scalar, bool Ones, class Value, class Weight>
void row_scores(const std::int32_t* indices, const Value* values, Index count, Index k, const Weight& weight, Scalar* sums, Scalar* out) {
  std::fill_n(sums, 4 * k, Scalar{0});
  for (Index entry = 0; entry < count; ++entry) {
    Scalar* to = sums + (entry % 4) * k;
    const Index feature = indices[entry];
    if constexpr (Ones) {
      for (Index c = 0; c < k; ++c) to[c] += weight(feature, c);
    } else {
      const auto x = static_cast<Scalar>(values[entry]);
      for (Index c = 0; c < k; ++c) to[c] = std::fma(x, weight(feature, c), to[c]);
    }
  }
  for (Index c = 0; c < k; ++c) out[c] = (sums[c] + sums[k + c]) + (sums[2 * k + c] + sums[3 * k + c]);
}

/// The features cut into ranges that hold about as many of the first entries of the data each, and where these ranges begin in every row. Twice as many
/// ranges have the same bounds, and one more between each two.
class SparseCut {
 public:
  template <SparseData D>
  void make(const D& data, const SparseShape& shape, Index ranges, Team& team) {
    ranges_ = ranges;
    begins_.assign(static_cast<std::size_t>(ranges) + 1, data.num_features());
    begins_[0] = 0;
    const auto count = static_cast<Index>(shape.seen.size());
    for (Index r = 1; count > 0 && r < ranges; ++r)
      begins_[static_cast<std::size_t>(r)] = shape.seen[static_cast<std::size_t>(part_of(count, ranges, r).begin)];
    change_rows(data, team);
  }

  /// The same ranges for other rows.
  template <SparseData D>
  void change_rows(const D& data, Team& team) {
    const SparseRowsView rows(data);
    const Index n = data.size(), inner = ranges_ - 1;
    if (inner == 0) return;
    if (splits_.size() < static_cast<std::size_t>(n * inner)) splits_ = std::vector<std::uint32_t>(static_cast<std::size_t>(n * inner));
    constexpr Index piece = 4096, short_row = 512, at_once = 4;
    team.for_each((n + piece - 1) / piece, [&](Index task, int) {
      for (Index row = task * piece; row < std::min(n, (task + 1) * piece); ++row) {
        const std::int32_t *begin = rows.indices + rows.begin(row), *end = rows.indices + rows.end(row), *at = begin;
        std::uint32_t* split = splits_.data() + row * inner;
        if (end - begin <= short_row) {  // counted without a branch, in vectors: a search would be wrong about every other turn
          for (Index r = 0; r < inner; r += at_once) {
            std::int32_t last[at_once];
            std::uint32_t count[at_once] = {};
            for (Index i = 0; i < at_once; ++i)
              last[i] = static_cast<std::int32_t>(begins_[static_cast<std::size_t>(std::min(r + i, inner - 1)) + 1] - 1);
            for (const std::int32_t* index = begin; index != end; ++index)
              for (Index i = 0; i < at_once; ++i) count[i] += *index <= last[i] ? 1u : 0u;
            std::copy_n(count, std::min(at_once, inner - r), split + r);
          }
        } else {
          for (Index r = 0; r < inner; ++r) {
            at = std::lower_bound(at, end, begins_[static_cast<std::size_t>(r) + 1]);
            split[r] = static_cast<std::uint32_t>(at - begin);
          }
        }
      }
    });
  }

  Index ranges() const { return ranges_; }
  Range features(Index range) const { return {begins_[static_cast<std::size_t>(range)], begins_[static_cast<std::size_t>(range) + 1]}; }

  /// The entries of a row, which has the entries `all`, in the ranges from `first` to before `last`.
  Range entries(Index row, Range all, Index first, Index last) const {
    const std::uint32_t* split = splits_.data() + row * (ranges_ - 1);
    return {first == 0 ? all.begin : all.begin + split[first - 1], last == ranges_ ? all.end : all.begin + split[last - 1]};
  }
  Range entries(Index row, Range all, Index range) const { return entries(row, all, range, range + 1); }
  void prefetch(Index row) const { kernels::prefetch(splits_.data() + row * (ranges_ - 1)); }

 private:
  Index ranges_ = 1;
  std::vector<Index> begins_;          // (ranges + 1) features
  std::vector<std::uint32_t> splits_;  // (ranges − 1, n): entries of the row before each range but the first
};

/// max |x| of all entries as Scalar, infinite if one is not finite then.
template <class Scalar, SparseData D>
double largest_value(const D& data, Team& team) {
  if (data.all_ones()) return 1;
  const SparseRowsView rows(data);
  constexpr Index piece = 1 << 16;
  const Index nonzeros = rows.offsets[data.size()];
  std::vector<double> largest(static_cast<std::size_t>((nonzeros + piece - 1) / piece));
  team.for_each(static_cast<Index>(largest.size()), [&](Index task, int) {
    const auto* values = rows.values + task * piece;
    const Index count = std::min(piece, nonzeros - task * piece);
    double& most = largest[static_cast<std::size_t>(task)];
    if constexpr (std::is_same_v<typename D::Value, float> || std::is_same_v<typename D::Value, double>) {
      // Rounding keeps the order, so the largest of what is rounded is the largest, rounded.
      most = static_cast<double>(static_cast<Scalar>(kernels::largest_size(values, count)));
    } else {
      std::vector<Scalar> scalars(static_cast<std::size_t>(count));
      std::transform(values, values + count, scalars.begin(), [](const auto& value) { return static_cast<Scalar>(value); });
      most = static_cast<double>(kernels::largest_size(scalars.data(), count));
    }
  });
  return largest.empty() ? 0 : *std::max_element(largest.begin(), largest.end());
}

}  // namespace parade::detail
