// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include <parade/core/hash.hpp>
#include <parade/data/sparse_rows.hpp>
#include <parade/prepare/hash_features.hpp>

#include "support/catch.hpp"

namespace {

using namespace parade;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::Message;

template <class T>
Vector<T> vector(const std::vector<T>& values) {
  return Eigen::Map<const Vector<T>>(values.data(), static_cast<Index>(values.size()));
}

std::uint64_t hash(std::uint32_t number) {
  const std::vector<std::byte> bytes{std::byte(number & 255), std::byte(number >> 8 & 255), std::byte(number >> 16 & 255),
                                     std::byte(number >> 24)};
  return hash_bytes(bytes);
}
std::int32_t hashed(std::uint32_t number, int bits) {
  return static_cast<std::int32_t>((hash(number) ^ (hash(number) >> 32)) % (std::uint64_t{1} << bits));
}

/// n rows of up to 40 entries; values only where `values`.
template <class Scalar>
SparseRows<Scalar> random_rows(Index n, Index features, unsigned seed, bool values) {
  std::uint64_t state = seed;
  const auto next = [&] { return (state = state * 6364136223846793005u + 1442695040888963407u) >> 33; };
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> indices;
  std::vector<Scalar> all;
  for (Index i = 0; i < n; ++i) {
    std::map<std::int32_t, Scalar> row;
    for (std::uint64_t j = next() % 41; j > 0; --j)
      row[static_cast<std::int32_t>(next() % static_cast<std::uint64_t>(features))] = static_cast<Scalar>(next() % 1000) / 7 - 70;
    for (const auto& [index, value] : row) {
      indices.push_back(index);
      if (values) all.push_back(value);
    }
    offsets.push_back(static_cast<std::int64_t>(indices.size()));
  }
  return {vector(offsets), vector(indices), vector(all), features};
}

template <class Scalar>
bool same(const SparseRows<Scalar>& a, const SparseRows<Scalar>& b) {
  return a.num_features() == b.num_features() && a.offsets() == b.offsets() && a.indices() == b.indices() && a.all_ones() == b.all_ones() &&
         a.values() == b.values();
}

}  // namespace

TEST_CASE("a feature becomes the one that the formula gives") {
  CHECK(hashed(1, 20) == 171283);  // worked out in Python: what was trained must be found again by every later version
  CHECK(hashed(0, 31) == 1357604234);
  CHECK(hashed(2147483647, 28) == 124234164);
  for (const std::int32_t number : {0, 1, 77, 255, 256, 65536, 2147483647})
    for (const int bits : {1, 8, 18, 28, 31}) {
      const SparseRows<float> rows{vector<std::int64_t>({0, 1}), vector<std::int32_t>({number}), vector<float>({2.5f}), Index{1} << 31};
      const auto result = hash_features(rows, {.bits = bits});
      CHECK(result.num_features() == Index{1} << bits);
      REQUIRE(result.nonzeros() == 1);
      CHECK(result.indices()[0] == hashed(static_cast<std::uint32_t>(number), bits));
      CHECK(result.values()[0] == 2.5f);
      const auto with_base = hash_features(rows, {.bits = bits, .index_base = 1});  // 2^31 − 1 + 1 has no sign
      CHECK(with_base.indices()[0] == hashed(static_cast<std::uint32_t>(number) + 1, bits));
      const auto with_signs = hash_features(rows, {.bits = bits, .signs = true});
      CHECK(with_signs.values()[0] == (hash(static_cast<std::uint32_t>(number)) >> 63 != 0 ? -2.5f : 2.5f));
    }
}

TEST_CASE("hashed rows are the dense sums, at every size and on every number of threads") {
  for (const Index n : {0, 1, 2, 7, 257, 1021})
    for (const bool values : {false, true})
      for (const bool signs : {false, true})
        for (const int bits : {1, 3, 10}) {
          CAPTURE(n, values, signs, bits);
          const auto rows = random_rows<double>(n, 5000, static_cast<unsigned>(n) + 1, values);
          const HashFeaturesOptions options{.bits = bits, .signs = signs};
          const auto result = hash_features(rows, options, 1);
          REQUIRE(result.size() == n);
          for (Index i = 0; i < n; ++i) {
            std::map<std::int32_t, double> expected;
            for (std::size_t j = 0; j < rows[i].indices.size(); ++j) {
              const auto number = static_cast<std::uint32_t>(rows[i].indices[j]);
              expected[hashed(number, bits)] += (signs && hash(number) >> 63 != 0 ? -1 : 1) * rows[i].value(j);
            }
            REQUIRE(result[i].indices.size() == expected.size());
            std::size_t j = 0;
            for (const auto& [index, value] : expected) {
              CHECK(result[i].indices[j] == index);
              CHECK(result[i].value(j++) == value);  // the same order of addition: the same bits
            }
          }
          for (const int threads : {2, 3, 5, 8}) CHECK(same(result, hash_features(rows, options, threads)));
        }
}

TEST_CASE("rows without values stay so unless features meet in a row") {
  const auto of = [](std::vector<std::int32_t> indices) {
    const auto count = static_cast<std::int64_t>(indices.size());
    return SparseRows<float>{vector<std::int64_t>({0, count}), vector(indices), {}, 1000};
  };
  CHECK(hash_features(of({1, 2, 3}), {.bits = 28}).all_ones());
  CHECK_FALSE(hash_features(of({1, 2, 3}), {.bits = 28, .signs = true}).all_ones());
  const auto met = hash_features(of({0, 1, 2, 3, 4}), {.bits = 1});
  CHECK_FALSE(met.all_ones());
  CHECK(met.values().sum() == 5);
}

TEST_CASE("the number that stands in a file is what is hashed, whichever number its first feature has") {
  const auto from_1 = random_rows<float>(100, 1000, 3, true);
  const SparseRows<float> from_0{from_1.offsets(), Vector<std::int32_t>{from_1.indices().array() + 1}, from_1.values(), 1001};
  CHECK(same(hash_features(from_0, {.bits = 9}), hash_features(from_1, {.bits = 9, .index_base = 1})));
}

TEST_CASE("hashing keeps all else that rows have") {
  const auto rows = random_rows<float>(3, 100, 1, true)
                        .with_labels(vector<Label>({2, 0, 1}))
                        .with_targets(Matrix<double>{{1.0, 2.0, 3.0}})
                        .with_weights(vector<double>({1, 0, 2.5}))
                        .with_label_sets(vector<std::int64_t>({0, 1, 1, 3}), vector<Label>({4, 0, 2}))
                        .with_queries(vector<std::int64_t>({7, 7, 9}));
  const auto result = hash_features(rows, {.bits = 4});
  CHECK(result.labels() == rows.labels());
  CHECK(result.targets() == rows.targets());
  CHECK(result.weights() == rows.weights());
  CHECK(result.label_set(2).size() == 2);
  CHECK(result.queries() == rows.queries());
}

TEST_CASE("signs are fair, features spread, and inner products stay as they were on average") {
  Index negative = 0;
  std::vector<Index> load(256);
  for (std::uint32_t number = 0; number < 65536; ++number) {
    negative += hash(number) >> 63 != 0 ? 1 : 0;
    ++load[static_cast<std::size_t>(hashed(number, 8))];
  }
  CHECK(std::abs(negative - 32768) < 5 * 128);  // √(65536 / 4) = 128
  double chi_squared = 0;                       // 255 degrees of freedom: mean 255, deviation 22.6
  for (const Index count : load) chi_squared += static_cast<double>((count - 256) * (count - 256)) / 256;
  CHECK(chi_squared < 255 + 5 * 22.6);

  // ⟨z, z'⟩ − ⟨x, x'⟩ of rows of 40 features in 2^10: with signs its mean over pairs is 0, without it is what features that meet add.
  const auto rows = random_rows<double>(400, 100000, 5, false);
  for (const bool signs : {true, false}) {
    const auto x = rows.with_values(Vector<double>::Ones(rows.nonzeros()));
    const Matrix<double> z = hash_features(x, {.bits = 10, .signs = signs}).to_dense();
    double sum = 0, squares = 0;
    for (Index i = 0; i + 1 < rows.size(); i += 2) {
      double exact = 0;
      for (const std::int32_t a : rows[i].indices)
        for (const std::int32_t b : rows[i + 1].indices) exact += a == b ? 1 : 0;
      const double difference = z.col(i).dot(z.col(i + 1)) - exact;
      sum += difference, squares += difference * difference;
    }
    const double deviation = std::sqrt(squares);
    CAPTURE(signs, sum, deviation);
    CHECK((std::abs(sum) < 4 * deviation) == signs);
  }
}

TEST_CASE("hash_features says what is wrong") {
  const auto rows = random_rows<float>(2, 10, 1, true);
  CHECK_THROWS_MATCHES(hash_features(rows, {.bits = 0}), OptionError, Message("bits must be in [1, 31]; got 0"));
  CHECK_THROWS_MATCHES(hash_features(rows, {.bits = 32}), OptionError, Message("bits must be in [1, 31]; got 32"));
  CHECK_THROWS_MATCHES(hash_features(rows, {.index_base = 2}), OptionError, Message("index_base must be 0 or 1; got 2"));
  constexpr float largest = std::numeric_limits<float>::max();
  const SparseRows<float> large{vector<std::int64_t>({0, 0, 4}), vector<std::int32_t>({0, 1, 2, 3}), Vector<float>::Constant(4, largest),
                                4};
  CHECK_THROWS_MATCHES(hash_features(large, {.bits = 1}), DataError, Message("values must be finite; got inf in row 1"));
  const auto missing = rows.with_values(Vector<float>::Constant(rows.nonzeros(), std::numeric_limits<float>::quiet_NaN()), NotFinite::keep);
  CHECK_THROWS_AS(hash_features(missing), DataError);
  CHECK_THROWS_AS(rows.with_entries(missing.offsets(), missing.indices(), missing.values(), 10), DataError);
  CHECK(rows.with_entries(missing.offsets(), missing.indices(), missing.values(), 10, NotFinite::keep).nonzeros() == rows.nonzeros());
  CHECK_THROWS_MATCHES(rows.with_entries(vector<std::int64_t>({0, 0}), {}, {}, 4), DataError,
                       Message("offsets, without the first, must have one entry for each of the n rows; got 1 (n = 2)"));
}
