// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/engine/sparse_rows_view.hpp>

#include "support/catch.hpp"
#include "support/sparse.hpp"

namespace sparse_rows_view_test {

using namespace parade;

TEST_CASE("the score of a row is four sums, entry by entry, and their sum") {
  const auto count = static_cast<Index>(GENERATE(0, 1, 3, 4, 5, 8, 11, 75));
  CAPTURE(count);
  const Vector<float> weights = training::random_vector<float>(2000, 7), values = training::random_vector<float>(count, 8);
  std::vector<std::int32_t> indices;
  for (Index i = 0; i < count; ++i) indices.push_back(static_cast<std::int32_t>(17 * i + i % 3));
  float sum[4] = {0, 0, 0, 0}, ones[4] = {0, 0, 0, 0};
  for (Index e = 0; e < count; ++e) {
    const float w = weights[indices[static_cast<std::size_t>(e)]];
    sum[e % 4] = std::fma(values[e], w, sum[e % 4]);
    ones[e % 4] += w;
  }
  const auto weight = [&](Index i) { return weights[i]; };
  CHECK(detail::row_score<float, false>(indices.data(), values.data(), count, weight) == (sum[0] + sum[1]) + (sum[2] + sum[3]));
  CHECK(detail::row_score<float, true>(indices.data(), values.data(), count, weight) == (ones[0] + ones[1]) + (ones[2] + ones[3]));

  // and of k outputs, each by itself: output c reads the weight of feature i + c
  std::vector<float> sums(12), out(3);
  detail::row_scores<float, false>(
      indices.data(), values.data(), count, 3, [&](Index i, Index c) { return weights[i + c]; }, sums.data(), out.data());
  for (Index c = 0; c < 3; ++c)
    CHECK(out[static_cast<std::size_t>(c)] ==
          detail::row_score<float, false>(indices.data(), values.data(), count, [&](Index i) { return weights[i + c]; }));
}

TEST_CASE("a cut of the features gives every entry of every row to one range") {
  const auto rows = sparse::random_rows<float>(60, 200);
  const Index ranges = GENERATE(1, 2, 4, 7);
  Team team(2);
  detail::SparseCut cut;
  cut.make(rows, sparse_shape(rows), ranges, team);
  REQUIRE(cut.ranges() == ranges);
  CHECK(cut.features(0).begin == 0);
  CHECK(cut.features(ranges - 1).end == 60);
  std::vector<Index> entries(static_cast<std::size_t>(ranges));
  for (Index row = 0; row < rows.size(); ++row) {
    const Range all{rows.offsets()[row], rows.offsets()[row + 1]};
    Index at = all.begin;
    for (Index r = 0; r < ranges; ++r) {
      const Range part = cut.entries(row, all, r), features = cut.features(r);
      CHECK(part.begin == at);
      at = part.end;
      entries[static_cast<std::size_t>(r)] += part.size();
      for (Index e = part.begin; e < part.end; ++e) CHECK((rows.indices()[e] >= features.begin && rows.indices()[e] < features.end));
    }
    CHECK(at == all.end);
  }
  // as many entries each, as far as single features allow
  const Index fair = rows.nonzeros() / ranges;
  for (const Index count : entries) CHECK(count < 2 * fair + 100);
}

TEST_CASE("data without rows or entries is cut too") {
  Team team(1);
  detail::SparseCut cut;
  const SparseRows<double> nothing, empty(Vector<std::int64_t>::Zero(4), {}, {}, 10);
  cut.make(nothing, sparse_shape(nothing), 3, team);
  CHECK(cut.features(2).end == 0);
  cut.make(empty, sparse_shape(empty), 3, team);
  CHECK(cut.features(2).end == 10);
  CHECK(cut.entries(1, {0, 0}, 1) == Range{0, 0});
}

namespace {

/// Rows whose values have a type of the user's own choice.
template <class T>
struct RowsOf {
  using Value = T;
  Vector<std::int64_t> row_offsets;
  Vector<std::int32_t> features;
  std::vector<T> entries;

  explicit RowsOf(std::vector<T> all) : row_offsets(2), features(static_cast<Index>(all.size())), entries(std::move(all)) {
    row_offsets << 0, features.size();
    for (Index i = 0; i < features.size(); ++i) features[i] = static_cast<std::int32_t>(i);
  }
  Index size() const { return 1; }
  Index num_features() const { return features.size(); }
  const Vector<std::int64_t>& offsets() const { return row_offsets; }
  const Vector<std::int32_t>& indices() const { return features; }
  const std::vector<T>& values() const { return entries; }
  bool all_ones() const { return false; }
  bool has_labels() const { return false; }
  bool has_weights() const { return false; }
  Index num_targets() const { return 0; }
};

}  // namespace

TEMPLATE_TEST_CASE("the largest value of rows, whatever type they hold", "", float, double, std::int8_t, std::int32_t, std::int64_t) {
  const int threads = GENERATE(1, 3);
  Team team(threads);
  for (const Index size : {1, 17, (1 << 16) + 3}) {
    std::vector<TestType> all(static_cast<std::size_t>(size), TestType{1});
    CHECK(detail::largest_value<float>(RowsOf<TestType>(all), team) == 1);
    all.back() = TestType{-100};
    CHECK(detail::largest_value<float>(RowsOf<TestType>(all), team) == 100);
    CHECK(detail::largest_value<double>(RowsOf<TestType>(all), team) == 100);
    if constexpr (!std::is_integral_v<TestType>) {
      for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
        all.front() = static_cast<TestType>(bad);
        CHECK(std::isinf(detail::largest_value<float>(RowsOf<TestType>(all), team)));
      }
    }
  }
}

TEST_CASE("the largest value beyond what the model's scalar holds is infinite") {
  Team team(1);
  CHECK(std::isinf(detail::largest_value<float>(RowsOf<double>({1, -1e300}), team)));
  CHECK(detail::largest_value<double>(RowsOf<double>({1, -1e300}), team) == 1e300);
  CHECK(detail::largest_value<float>(RowsOf<double>({}), team) == 0);
}

}  // namespace sparse_rows_view_test
