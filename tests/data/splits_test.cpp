// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

#include <parade/data/dense_data.hpp>
#include <parade/data/splits.hpp>

#include "support/catch.hpp"

namespace {

using namespace parade;
using Catch::Matchers::Message;

std::vector<Index> first_indices(Index n) {
  std::vector<Index> indices(static_cast<std::size_t>(n));
  std::iota(indices.begin(), indices.end(), Index{0});
  return indices;
}

/// Labels −1, 3, 4, … in no order, label c the rarer the larger c is.
Vector<Label> some_labels(Index n, Index classes, std::uint64_t seed) {
  const Random random{seed, Purpose::user};
  Vector<Label> labels(n);
  for (Index i = 0; i < n; ++i) {
    const double u = random.uniform(static_cast<std::uint64_t>(i));
    const auto c = static_cast<Label>(u * u * static_cast<double>(classes));
    labels[i] = c == 0 ? -1 : c + 2;
  }
  return labels;
}

Index count(const std::vector<Index>& part, const Vector<Label>& labels, Label label) {
  return std::count_if(part.begin(), part.end(), [&](Index i) { return labels[i] == label; });
}

void check_partition(Index n, const std::vector<const std::vector<Index>*>& parts) {
  std::vector<Index> all;
  for (const auto* part : parts) {
    CHECK(std::is_sorted(part->begin(), part->end()));
    all.insert(all.end(), part->begin(), part->end());
  }
  std::sort(all.begin(), all.end());
  CHECK(all == first_indices(n));
}

/// Rows with 0, 1 or 2 entries, with all that rows can have.
SparseRows<float> some_rows(bool values) {
  return SparseRows<float>(Vector<std::int64_t>{{0, 1, 1, 3, 4}}, Vector<std::int32_t>{{2, 0, 3, 1}},
                           values ? Vector<float>{{5, 6, 7, 8}} : Vector<float>(), 4)
      .with_labels(Vector<Label>{{10, 11, 12, 13}})
      .with_weights(Vector<double>{{1, 0, 3, 4}})
      .with_targets(Matrix<double>{{0.5, 1.5, 2.5, 3.5}})
      .with_queries(Vector<std::int64_t>{{1, 1, 2, 2}})
      .with_label_sets(Vector<std::int64_t>{{0, 2, 2, 3, 4}}, Vector<Label>{{1, 5, 0, 3}});
}

}  // namespace

TEST_CASE("three parts hold each sample once and have the sizes that were asked for") {
  for (const Index n : {0, 1, 2, 3, 10, 101, 1000})
    for (const auto& [validation, test] :
         {std::pair{0.1, 0.1}, std::pair{0.0, 0.3}, std::pair{0.5, 0.5}, std::pair{1.0, 0.0}, std::pair{0.0, 0.0}})
      for (const std::uint64_t seed : {0u, 7u}) {
        CAPTURE(n, validation, test, seed);
        const auto split = split_indices(n, {.validation = validation, .test = test, .seed = seed});
        check_partition(n, {&split.train, &split.validation, &split.test});
        const auto rounded = [n](double share) { return static_cast<std::size_t>(std::llround(share * static_cast<double>(n))); };
        CHECK(split.test.size() == rounded(test));
        CHECK(split.validation.size() == std::min(rounded(validation), static_cast<std::size_t>(n) - split.test.size()));
      }
  const auto counted = split_indices(100, {.validation = 0, .test = 7});
  CHECK((counted.test.size() == 7 && counted.validation.empty() && counted.train.size() == 93));
}

TEST_CASE("a split is a function of the seed, the same on every machine") {
  const auto split = split_indices(20, {.validation = 3, .test = 4, .seed = 1});
  CHECK(split.test == std::vector<Index>{3, 13, 14, 16});
  CHECK(split.validation == std::vector<Index>{6, 11, 17});
  CHECK(split_indices(20, {.validation = 3, .test = 4, .seed = 2}).test != split.test);
  // A larger test part keeps what a smaller one has.
  const auto more = split_indices(20, {.validation = 0, .test = 9, .seed = 1}).test;
  CHECK(std::includes(more.begin(), more.end(), split.test.begin(), split.test.end()));
}

TEST_CASE("stratified parts have their share of each label, rounded up or down") {
  for (const Index n : {1, 5, 17, 100, 997})
    for (const Index classes : {1, 2, 3, 10, 60})
      for (const auto& [validation, test] :
           {std::pair{0.1, 0.1}, std::pair{0.34, 0.33}, std::pair{0.05, 0.6}, std::pair{0.0, 0.2}, std::pair{0.5, 0.5}})
        for (const std::uint64_t seed : {1u, 2u, 3u}) {
          CAPTURE(n, classes, validation, test, seed);
          const auto labels = some_labels(n, classes, seed);
          const auto split = stratified_split_indices(labels, {.validation = validation, .test = test, .seed = seed});
          check_partition(n, {&split.train, &split.validation, &split.test});
          const auto plain = split_indices(n, {.validation = validation, .test = test, .seed = seed});
          CHECK(split.train.size() == plain.train.size());
          CHECK(split.validation.size() == plain.validation.size());
          CHECK(split.test.size() == plain.test.size());
          std::map<Label, Index> sizes;
          for (const Label label : labels) ++sizes[label];
          for (const auto& [label, size] : sizes)
            for (const auto* part : {&split.train, &split.validation, &split.test}) {
              const double share = static_cast<double>(size) * static_cast<double>(part->size()) / static_cast<double>(n);
              CHECK(std::abs(static_cast<double>(count(*part, labels, label)) - share) < 1);
            }
        }
}

TEST_CASE("folds hold each sample once, and stratified ones as many of each label, give or take one") {
  for (const Index n : {2, 3, 10, 101, 500})
    for (const Index k : {2, 3, 5, 10})
      for (const bool shuffle : {false, true}) {
        if (k > n) continue;
        CAPTURE(n, k, shuffle);
        const auto labels = some_labels(n, 4, 5);
        for (const bool stratified : {false, true}) {
          const FoldOptions options{.folds = k, .shuffle = shuffle, .seed = 3};
          const auto folds = stratified ? stratified_k_fold(labels, options) : k_fold(n, options);
          REQUIRE(static_cast<Index>(folds.size()) == k);
          std::vector<const std::vector<Index>*> tests;
          for (const auto& fold : folds) {
            tests.push_back(&fold.test);
            check_partition(n, {&fold.train, &fold.test});
            CHECK((static_cast<Index>(fold.test.size()) == n / k || static_cast<Index>(fold.test.size()) == (n + k - 1) / k));
            for (const Label label : {-1, 3, 4, 5}) {
              const auto all = static_cast<double>((labels.array() == label).count());
              if (stratified) CHECK(std::abs(static_cast<double>(count(fold.test, labels, label)) - all / static_cast<double>(k)) < 1);
            }
          }
          check_partition(n, tests);
        }
      }
  CHECK(k_fold(5, {.folds = 2, .shuffle = false})[0].test == std::vector<Index>{0, 1});
  CHECK(k_fold(9, {.folds = 3, .seed = 1})[0].test != k_fold(9, {.folds = 3, .seed = 2})[0].test);
  CHECK(k_fold(20, {.folds = 3, .seed = 1})[0].test == std::vector<Index>{3, 4, 5, 13, 15, 16});
  CHECK(stratified_k_fold(some_labels(20, 3, 1), {.folds = 3, .seed = 1})[0].test == std::vector<Index>{4, 7, 9, 11, 13, 15, 17});
}

TEST_CASE("rows of sparse data are copied with all that belongs to them") {
  for (const bool values : {true, false}) {
    const auto data = some_rows(values);
    const std::vector<Index> samples{3, 1, 0, 3};
    const auto rows = rows_of(data, samples);
    CHECK(rows.size() == 4);
    CHECK(rows.num_features() == 4);
    CHECK(rows.all_ones() == data.all_ones());
    const Matrix<float> before = data.to_dense(), after = rows.to_dense();
    for (Index s = 0; s < 4; ++s) {
      const Index i = samples[static_cast<std::size_t>(s)];
      CHECK(after.col(s) == before.col(i));
      CHECK(rows.label(s) == data.label(i));
      CHECK(rows.weights()[s] == data.weights()[i]);
      CHECK(rows.targets()(0, s) == data.targets()(0, i));
      CHECK(rows.queries()[s] == data.queries()[i]);
      CHECK(std::equal(rows.label_set(s).begin(), rows.label_set(s).end(), data.label_set(i).begin(), data.label_set(i).end()));
    }
    CHECK(rows_of(data, std::vector<Index>{}).size() == 0);
    CHECK_THROWS_MATCHES(rows_of(data, std::vector<Index>{0, 4}), DataError, Message("samples[1] must be in [0, n); got 4 (n = 4)"));
  }
}

TEST_CASE("cross-validation calls with the parts of each fold, of dense and of sparse data") {
  const auto folds = k_fold(4, {.folds = 2, .shuffle = false});
  const auto size_and_first = [](const auto& train, const auto& test) { return std::pair{train.size(), test.label(0)}; };
  const std::vector<std::pair<Index, Label>> expected{{2, 10}, {2, 12}};
  const auto data = DenseData<float>{Matrix<float>::Zero(1, 4)}.with_labels(Vector<Label>{{10, 11, 12, 13}});
  CHECK(cross_validate(data, folds, size_and_first) == expected);
  CHECK(cross_validate(some_rows(true), folds, size_and_first) == expected);
}

TEST_CASE("sizes that are none are refused") {
  CHECK_THROWS_MATCHES(
      split_indices(10, {.test = 1.5}), OptionError,
      Message("test, as a share of the data, must be in [0, 1]; got 1.5 (a number of samples is given as a whole number)"));
  CHECK_THROWS_WITH(split_indices(10, {.validation = std::numeric_limits<double>::quiet_NaN()}),
                    Catch::Matchers::ContainsSubstring("got nan"));
  CHECK_THROWS_MATCHES(split_indices(10, {.test = 11}), OptionError, Message("test must be in [0, n]; got 11 (n = 10)"));
  CHECK_THROWS_MATCHES(split_indices(10, {.validation = 0.7, .test = 0.7}), OptionError,
                       Message("validation and test must be at most n samples together; got 7 and 7 (n = 10)"));
  CHECK_THROWS_MATCHES(split_indices(-1), OptionError, Message("the number of samples must be at least 0; got -1"));
  CHECK_THROWS_MATCHES(k_fold(10, {.folds = 1}), OptionError, Message("folds must be in [2, n]; got 1 (n = 10)"));
  CHECK_THROWS_MATCHES(k_fold(10, {.folds = 11}), OptionError, Message("folds must be in [2, n]; got 11 (n = 10)"));
}
