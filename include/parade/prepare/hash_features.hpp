// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/hash.hpp>
#include <parade/core/shard_plan.hpp>
#include <parade/core/types.hpp>
#include <parade/data/sparse_rows.hpp>
#include <parade/engine/team.hpp>

namespace parade {

struct HashFeaturesOptions {
  int bits = 18;       // 2^bits features; from 1 to 31
  bool signs = false;  // half the features count negative, by their hash
  int index_base = 0;  // what feature 0 is called in the file: `index_base` of the report of read_libsvm. 0 or 1
};

namespace detail {

/// Of the feature with that number: FNV-1a of its four bytes, the least significant first.
inline std::uint64_t hash_of_feature(std::uint32_t number) {
  std::byte bytes[4];
  for (int b = 0; b < 4; ++b) bytes[b] = static_cast<std::byte>(number >> (8 * b) & 255);
  return hash_bytes(bytes);
}

}  // namespace detail

/// The hashing trick: any number of features becomes 2^bits, with no dictionary, and no pass over the data to make one.
///
///   z_k = Σ_{i: h(i) = k} s(i) x_i          h(i) = (g ⊕ ⌊g / 2^32⌋) mod 2^bits, g = FNV-1a of the number i + index_base as four bytes, little-endian
///                                           s(i) = 1, or with `signs` −1 where g ≥ 2^63
///
///   const auto [rows, report] = parade::read_libsvm<float>("clicks.svm");
///   const auto small = parade::hash_features(rows, {.bits = 22, .index_base = report.index_base});     // 2^22 features, labels and all else as before
///
/// Nothing is fitted: training and test data need only the same bits and signs, and each the index_base that it was read with, so that a number in a
/// file is the same feature whether or not that file has a feature 0. Features that meet are added up, in double and in the order of their
/// numbers; with about as many features as 2^bits a feature meets another with probability 1 − 1/e, with a tenth as many, 0.1. With `signs`
/// what others add has mean 0, so that inner products of samples stay as they were on average (Weinberger, Dasgupta, Langford, Smola,
/// Attenberg: "Feature hashing for large scale multitask learning", ICML 2009); without, as Vowpal Wabbit does it, ones stay ones, and rows
/// without values stay so unless features meet in a row. Of a table's texts: Encoding::hashed.
///
/// `rows`: n rows of any number of features; the result has 2^bits, and at most as many entries. Each row by itself, on `threads` threads (0: all), the
/// same bits on any number of them. Throws OptionError for an option out of range, DataError for a value that is not finite, or a sum that
/// is too large for Scalar.
template <class Scalar>
SparseRows<Scalar> hash_features(const SparseRows<Scalar>& rows, const HashFeaturesOptions& options = {}, int threads = 0) {
  if (options.bits < 1 || options.bits > 31) throw OptionError(detail::text("bits must be in [1, 31]; got ", options.bits));
  if (options.index_base < 0 || options.index_base > 1)
    throw OptionError(detail::text("index_base must be 0 or 1; got ", options.index_base));
  struct Piece {
    std::vector<std::int32_t> indices;
    std::vector<Scalar> values;
    bool all_ones = true;
  };
  const Index n = rows.size(), count = std::clamp<Index>(n / 256, 1, 4096);
  std::vector<Piece> pieces(static_cast<std::size_t>(count));
  Vector<std::int64_t> offsets(n + 1);  // at first each from the beginning of its piece
  offsets[0] = 0;
  Team team{threads};
  team.for_each(count, [&](Index p, int) {
    Piece& piece = pieces[static_cast<std::size_t>(p)];
    // Of each entry its new index, and below it its place in the row: that order decides how sums are rounded.
    std::vector<std::uint64_t> keys;
    std::vector<double> values;
    const Range range = part_of(n, count, p);
    for (Index i = range.begin; i < range.end; ++i) {
      const auto row = rows[i];
      keys.clear(), values.clear();
      for (std::size_t j = 0; j < row.indices.size(); ++j) {
        const std::uint64_t hash =
            detail::hash_of_feature(static_cast<std::uint32_t>(row.indices[j]) + static_cast<std::uint32_t>(options.index_base));
        const auto value = static_cast<double>(row.value(j));
        keys.push_back(static_cast<std::uint64_t>(detail::folded_hash(hash, options.bits)) << 32 | j);
        values.push_back(options.signs && hash >> 63 != 0 ? -value : value);
      }
      std::sort(keys.begin(), keys.end());
      for (std::size_t j = 0; j < keys.size();) {
        const std::uint64_t index = keys[j] >> 32;
        double sum = 0;
        for (; j < keys.size() && keys[j] >> 32 == index; ++j) sum += values[keys[j] & 0xffffffff];
        piece.indices.push_back(static_cast<std::int32_t>(index));
        piece.values.push_back(static_cast<Scalar>(sum));
        piece.all_ones &= sum == 1;
      }
      offsets[i + 1] = static_cast<std::int64_t>(piece.indices.size());
    }
  });
  bool all_ones = rows.all_ones();
  for (Index p = 0, begin = 0; p < count; ++p) {
    const Piece& piece = pieces[static_cast<std::size_t>(p)];
    const Range range = part_of(n, count, p);
    offsets.segment(range.begin + 1, range.size()).array() += begin;
    begin += static_cast<Index>(piece.indices.size());
    all_ones &= piece.all_ones;
  }
  Vector<std::int32_t> indices(offsets[n]);
  Vector<Scalar> values(all_ones ? 0 : offsets[n]);
  team.for_each(count, [&](Index p, int) {
    const Piece& piece = pieces[static_cast<std::size_t>(p)];
    const Index begin = offsets[part_of(n, count, p).begin];
    std::copy(piece.indices.begin(), piece.indices.end(), indices.data() + begin);
    if (!all_ones) std::copy(piece.values.begin(), piece.values.end(), values.data() + begin);
  });
  return rows.with_entries(std::move(offsets), std::move(indices), std::move(values), Index{1} << options.bits);
}

}  // namespace parade
