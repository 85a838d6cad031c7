// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstdint>
#include <tuple>
#include <vector>

#include <parade/core/random.hpp>
#include <parade/data/sampler.hpp>

#include "support/catch.hpp"

namespace {

using namespace parade;

/// The order as the rule says it, step by step.
std::vector<Index> by_the_rule(Index n, const WindowShuffle& windows, std::uint64_t seed, Index epoch) {
  using Keyed = std::vector<std::pair<std::uint64_t, Index>>;
  const auto epoch_of = static_cast<std::uint64_t>(epoch);
  Keyed blocks;
  for (Index j = 0; j * windows.block < n; ++j)
    blocks.emplace_back(Random{seed, Purpose::blocks, epoch_of}.bits(static_cast<std::uint64_t>(j)), j);
  std::sort(blocks.begin(), blocks.end());
  std::vector<Index> order;
  for (std::size_t first = 0; first < blocks.size(); first += static_cast<std::size_t>(windows.blocks)) {
    Keyed samples;
    for (std::size_t b = first; b < std::min(blocks.size(), first + static_cast<std::size_t>(windows.blocks)); ++b)
      for (Index i = blocks[b].second * windows.block; i < std::min(n, (blocks[b].second + 1) * windows.block); ++i)
        samples.emplace_back(Random{seed, Purpose::shuffle, epoch_of}.bits(static_cast<std::uint64_t>(i)), i);
    std::sort(samples.begin(), samples.end());
    for (const auto& [key, i] : samples) order.push_back(i);
  }
  return order;
}

std::vector<Index> listed(std::span<const Index> samples) { return {samples.begin(), samples.end()}; }

}  // namespace

TEST_CASE("the order in windows is the one that its rule says, each sample once") {
  const auto [n, block, blocks] = GENERATE(table<Index, Index, Index>(
      {{0, 3, 2}, {1, 1, 1}, {10, 1, 1}, {10, 3, 1}, {10, 3, 2}, {100, 7, 4}, {100, 7, 100}, {100, 1000, 3}, {1000, 1, 37}}));
  CAPTURE(n, block, blocks);
  const WindowShuffle windows{block, blocks};
  EpochOrder order{n, 5, windows};
  for (const Index epoch : {0, 1, 7}) {
    const auto expected = by_the_rule(n, windows, 5, epoch);
    CHECK(listed(order.shuffle(epoch)) == expected);
    auto sorted = expected;
    std::sort(sorted.begin(), sorted.end());
    CHECK(listed(order.in_order()) == sorted);
  }
  if (n > 0) {
    std::vector<Index> of_batches;
    for (const auto batch : Batches{n, {.batch_size = 1, .seed = 5, .epoch = 7, .windows = windows}}) of_batches.push_back(batch[0]);
    CHECK(of_batches == by_the_rule(n, windows, 5, 7));
  }
}

TEST_CASE("one window for all blocks is the order without windows") {
  EpochOrder plain{500, 3}, windows{500, 3, {.block = 20, .blocks = 25}};
  for (const Index epoch : {0, 1}) CHECK(listed(plain.shuffle(epoch)) == listed(windows.shuffle(epoch)));
}

TEST_CASE("a window's blocks rise, and its places are those of its samples among them") {
  WindowOrder order{100, {.block = 7, .blocks = 4}, 9};
  CHECK(order.windows() == 4);
  for (const bool shuffle : {true, false}) {
    order.begin(2, shuffle);
    Index visited = 0;
    for (Index w = 0; w < order.windows(); ++w) {
      const auto blocks = listed(order.blocks(w));
      CHECK(std::is_sorted(blocks.begin(), blocks.end()));
      std::vector<Index> rows;
      for (const Index block : blocks)
        for (Index i = 7 * block; i < std::min<Index>(100, 7 * (block + 1)); ++i) rows.push_back(i);
      const auto samples = listed(order.samples(w)), places = listed(order.places(w));
      REQUIRE(samples.size() == rows.size());
      for (std::size_t s = 0; s < samples.size(); ++s) {
        CHECK(rows[static_cast<std::size_t>(places[s])] == samples[s]);
        if (!shuffle) CHECK(samples[s] == visited + static_cast<Index>(s));
      }
      visited += static_cast<Index>(samples.size());
    }
    CHECK(visited == 100);
  }
}

TEST_CASE("which blocks share a window is drawn anew each epoch, and the order by the seed") {
  WindowOrder order{1000, {.block = 10, .blocks = 5}, 9}, other{1000, {.block = 10, .blocks = 5}, 10};
  order.begin(0);
  const auto first = listed(order.blocks(0));
  order.begin(1);
  other.begin(0);
  CHECK(listed(order.blocks(0)) != first);
  CHECK(listed(other.blocks(0)) != first);
}

TEST_CASE("windows of nothing are refused") {
  CHECK_THROWS_WITH((WindowOrder{10, {.block = 0}, 1}), "windows.block must be at least 1 sample; got 0");
  CHECK_THROWS_WITH((WindowOrder{10, {.block = -1}, 1}), "windows.block must be at least 1 sample, or 0 for no windows; got -1");
  CHECK_THROWS_WITH((EpochOrder{10, 1, {.block = 1, .blocks = 0}}), "windows.blocks must be at least 1; got 0");
  CHECK_THROWS_AS((WindowOrder{-1, {.block = 1}, 1}), OptionError);
  WindowOrder order{10, {.block = 1}, 1};
  CHECK_THROWS_AS(order.begin(-1), OptionError);
}
