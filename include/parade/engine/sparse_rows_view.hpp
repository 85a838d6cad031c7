// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include <parade/concepts/sparse.hpp>
#include <parade/core/shard_plan.hpp>
#include <parade/core/types.hpp>
#include <parade/engine/team.hpp>
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
  /// As many ranges as a row has usually dozens of entries, 1 to 8: shorter parts of rows take longer to find than to compute.
  template <SparseData D>
  static Index usual_ranges(const D& data) {
    return std::clamp<Index>(data.offsets()[data.size()] / std::max<Index>(data.size(), 1) / 32, 1, 8);
  }

  template <SparseData D>
  void make(const D& data, Index ranges, Team& team) {
    const SparseRowsView rows(data);
    const Index n = data.size(), nonzeros = rows.offsets[n];
    ranges_ = ranges;
    begins_.assign(static_cast<std::size_t>(ranges) + 1, data.num_features());
    begins_[0] = 0;
    if (ranges > 1 && nonzeros > 0) {
      const Index first = std::min<Index>(nonzeros, 1 << 16), count = std::min<Index>(first, 1 << 12);
      std::vector<std::int32_t> seen(static_cast<std::size_t>(count));
      for (Index i = 0; i < count; ++i) seen[static_cast<std::size_t>(i)] = rows.indices[part_of(first, count, i).begin];
      std::sort(seen.begin(), seen.end());
      for (Index r = 1; r < ranges; ++r)
        begins_[static_cast<std::size_t>(r)] = seen[static_cast<std::size_t>(part_of(count, ranges, r).begin)];
    }
    splits_.resize(static_cast<std::size_t>(n * (ranges - 1)));
    constexpr Index piece = 4096;
    if (ranges > 1)
      team.for_each((n + piece - 1) / piece, [&](Index task, int) {
        for (Index row = task * piece; row < std::min(n, (task + 1) * piece); ++row) {
          const std::int32_t *begin = rows.indices + rows.begin(row), *end = rows.indices + rows.end(row), *at = begin;
          for (Index r = 1; r < ranges; ++r) {
            at = std::lower_bound(at, end, begins_[static_cast<std::size_t>(r)]);
            splits_[static_cast<std::size_t>(row * (ranges - 1) + r - 1)] = static_cast<std::uint32_t>(at - begin);
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

/// max |x| of all entries, infinite if one is not finite.
template <SparseData D>
double largest_value(const D& data, Team& team) {
  if (data.all_ones()) return 1;
  const SparseRowsView rows(data);
  constexpr Index piece = 1 << 16;
  const Index nonzeros = rows.offsets[data.size()];
  std::vector<double> largest(static_cast<std::size_t>((nonzeros + piece - 1) / piece));
  team.for_each(static_cast<Index>(largest.size()), [&](Index task, int) {
    const auto* values = rows.values + task * piece;
    const Index count = std::min(piece, nonzeros - task * piece);
    using Value = typename D::Value;
    Value most[16] = {};
    bool finite = true;
    Index e = 0;
    for (; e + 16 <= count; e += 16)
      for (Index i = 0; i < 16; ++i) {
        const Value size = std::abs(values[e + i]);
        finite &= size <= std::numeric_limits<Value>::max();
        most[i] = size > most[i] ? size : most[i];
      }
    for (; e < count; ++e) {
      const Value size = std::abs(values[e]);
      finite &= size <= std::numeric_limits<Value>::max();
      most[0] = size > most[0] ? size : most[0];
    }
    largest[static_cast<std::size_t>(task)] =
        finite ? static_cast<double>(*std::max_element(most, most + 16)) : std::numeric_limits<double>::infinity();
  });
  return largest.empty() ? 0 : *std::max_element(largest.begin(), largest.end());
}

}  // namespace parade::detail
