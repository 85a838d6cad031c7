// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/data/sampler.hpp>

#include "support/catch.hpp"

namespace {

using parade::Batches;
using parade::EpochOrder;
using parade::Index;
using parade::OptionError;

std::vector<Index> listed(std::span<const Index> samples) { return {samples.begin(), samples.end()}; }

std::vector<Index> first_indices(std::size_t n) {
  std::vector<Index> indices(n);
  std::iota(indices.begin(), indices.end(), Index{0});
  return indices;
}

/// The rule, as its documentation states it.
std::vector<Index> reference_order(Index n, std::uint64_t seed, std::uint64_t epoch) {
  const parade::Random random{seed, parade::Purpose::shuffle, epoch};
  auto order = first_indices(static_cast<std::size_t>(n));
  const auto rank = [&](Index i) { return std::pair{random.bits(static_cast<std::uint64_t>(i)), i}; };
  std::sort(order.begin(), order.end(), [&](Index a, Index b) { return rank(a) < rank(b); });
  return order;
}

}  // namespace

TEST_CASE("an epoch's order is that of the keys, for every n, seed and epoch") {
  for (const Index n : {0, 1, 2, 3, 4, 5, 17, 64, 1000, 60000})
    for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0xFFFFFFFFFFFFFFFF}}) {
      EpochOrder order{n, seed};
      for (const Index epoch : {Index{0}, Index{1}, Index{2}, Index{0xFFFFFFFF}, Index{0}}) {
        CAPTURE(n, seed, epoch);
        CHECK((listed(order.shuffle(epoch)) == reference_order(n, seed, static_cast<std::uint64_t>(epoch))));
      }
    }
  EpochOrder large{140000, 7};  // on large pages
  CHECK((listed(large.shuffle(3)) == reference_order(140000, 7, 3)));
  CHECK((listed(large.in_order()) == first_indices(140000)));
  EpochOrder copy = large;
  CHECK((listed(copy.shuffle(1)) == reference_order(140000, 7, 1)));
  CHECK((listed(EpochOrder{std::move(large)}.shuffle(2)) == reference_order(140000, 7, 2)));
}

TEST_CASE("equal keys stay in the order of their indices, and keys need not be uniform") {
  const std::vector<std::vector<std::uint64_t>> cases{
      {},
      {5},
      std::vector<std::uint64_t>(300, 7),
      {3, 1, 3, 1, 3, 1, 0, ~std::uint64_t{0}, 0, ~std::uint64_t{0}},
      {std::uint64_t{1} << 63, (std::uint64_t{1} << 63) + 1, 1, std::uint64_t{1} << 63, 0, 1},
      {9, 8, 7, 6, 5, 4, 3, 2, 1, 0},
  };
  for (const auto& keys : cases)
    for (const std::size_t buckets : {2u, 4u, 256u}) {
      auto expected = first_indices(keys.size());
      std::stable_sort(expected.begin(), expected.end(),
                       [&](Index a, Index b) { return keys[static_cast<std::size_t>(a)] < keys[static_cast<std::size_t>(b)]; });
      std::vector<std::size_t> room(buckets);
      std::vector<Index> order(keys.size());
      parade::detail::sort_by_key(keys, room, order);
      CHECK(order == expected);
    }
}

TEST_CASE("the first order of seed 1 is this one on every machine") {
  EpochOrder order{10, 1};
  CHECK(listed(order.shuffle(0)) == std::vector<Index>{3, 4, 0, 8, 9, 5, 2, 6, 1, 7});
  CHECK(listed(order.shuffle(1)) == std::vector<Index>{3, 5, 1, 0, 9, 8, 7, 4, 2, 6});
}

TEST_CASE("samples keep their order when others are added behind them") {
  EpochOrder small{1000, 3}, large{1500, 3};
  std::vector<Index> common;
  for (const Index i : large.shuffle(4))
    if (i < 1000) common.push_back(i);
  CHECK(listed(small.shuffle(4)) == common);
}

TEST_CASE("each sample is at each place equally often") {
  constexpr Index n = 12, epochs = 6000;
  EpochOrder order{n, 2024};
  std::vector<double> count(n * n, 0.0);
  for (Index epoch = 0; epoch < epochs; ++epoch) {
    const auto samples = order.shuffle(epoch);
    for (std::size_t place = 0; place < n; ++place) ++count[place * n + static_cast<std::size_t>(samples[place])];
  }
  constexpr double expected = static_cast<double>(epochs) / n, degrees = (n - 1) * (n - 1);
  double chi_square = 0;
  for (const double c : count) chi_square += (c - expected) * (c - expected) / expected;
  // Mean `degrees`, variance 2 · degrees: six standard deviations either way.
  CHECK(chi_square < degrees + 6 * std::sqrt(2 * degrees));
  CHECK(chi_square > degrees - 6 * std::sqrt(2 * degrees));
}

TEST_CASE("which sample follows which is as good as independent from epoch to epoch") {
  constexpr Index n = 20, epochs = 4000;
  EpochOrder order{n, 5};
  double same_neighbours = 0;
  std::vector<Index> last;
  for (Index epoch = 0; epoch < epochs; ++epoch) {
    const auto now = listed(order.shuffle(epoch));
    for (std::size_t i = 0; !last.empty() && i < n; ++i) same_neighbours += now[i] == last[i];
    last = now;
  }
  // Two random orders agree at one place on average, with variance 1.
  constexpr double pairs = epochs - 1;
  CHECK(std::abs(same_neighbours - pairs) < 6 * std::sqrt(pairs));
}

TEST_CASE("an order without shuffling is 0, 1, 2, ...") {
  EpochOrder order{5, 1};
  order.shuffle(0);
  CHECK(listed(order.in_order()) == first_indices(5));
}

TEST_CASE("a number of samples or an epoch that is none is refused") {
  CHECK_THROWS_MATCHES((EpochOrder{-1, 0}), OptionError, Catch::Matchers::Message("the number of samples must be at least 0; got -1"));
  EpochOrder order{3, 0};
  CHECK_THROWS_MATCHES(order.shuffle(-1), OptionError, Catch::Matchers::Message("epoch must be in [0, 2^32); got -1"));
  CHECK_THROWS_MATCHES(order.shuffle(Index{1} << 32), OptionError, Catch::Matchers::Message("epoch must be in [0, 2^32); got 4294967296"));
}

TEST_CASE("the batches of an epoch follow one another in its order, and only the last is smaller") {
  for (const Index n : {1, 2, 7, 60, 61, 1000})
    for (const Index b : {Index{1}, Index{2}, Index{7}, Index{32}, n})
      for (const bool shuffle : {true, false}) {
        if (b > n) continue;
        CAPTURE(n, b, shuffle);
        const Batches batches{n, {.batch_size = b, .seed = 11, .epoch = 3, .shuffle = shuffle}};
        std::vector<Index> seen;
        Index count = 0;
        for (std::span<const Index> batch : batches) {
          ++count;
          CHECK(static_cast<Index>(batch.size()) == (count < batches.size() ? b : n - (count - 1) * b));
          seen.insert(seen.end(), batch.begin(), batch.end());
        }
        CHECK(count == batches.size());
        CHECK(count == (n + b - 1) / b);
        CHECK(seen == (shuffle ? reference_order(n, 11, 3) : first_indices(static_cast<std::size_t>(n))));
        CHECK(listed(batches[0]) == std::vector<Index>(seen.begin(), seen.begin() + b));
      }
}

TEST_CASE("a loop over batches needs no name for them") {
  Index samples = 0;
  for (std::span<const Index> batch : Batches{10, {.batch_size = 4, .seed = 1}}) samples += static_cast<Index>(batch.size());
  CHECK(samples == 10);
}

TEST_CASE("batches stay valid when they are moved") {
  Batches batches{9, {.batch_size = 4, .seed = 1}};
  const auto before = listed(batches[2]);
  const auto moved = std::move(batches);
  CHECK(listed(moved[2]) == before);
  static_assert(!std::is_copy_constructible_v<Batches>);
}

TEST_CASE("a batch size that is none is refused") {
  const auto batches = [](Index n, Index b) { return Batches{n, {.batch_size = b}}; };
  CHECK_THROWS_MATCHES(batches(60000, 0), OptionError, Catch::Matchers::Message("batch_size must be in [1, n]; got 0 (n = 60000)"));
  CHECK_THROWS_MATCHES(batches(60000, -5), OptionError, Catch::Matchers::Message("batch_size must be in [1, n]; got -5 (n = 60000)"));
  CHECK_THROWS_MATCHES(batches(10, 11), OptionError, Catch::Matchers::Message("batch_size must be in [1, n]; got 11 (n = 10)"));
  CHECK_THROWS_MATCHES(batches(0, 1), OptionError, Catch::Matchers::Message("batch_size must be in [1, n]; got 1 (n = 0)"));
}
