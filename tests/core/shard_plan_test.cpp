// SPDX-License-Identifier: MIT
#include <algorithm>
#include <limits>

#include <parade/core/shard_plan.hpp>

#include "support/catch.hpp"

using parade::Index, parade::Range, parade::ShardPlan;

TEST_CASE("shards cover a batch exactly, in order, with sizes that differ by one at most") {
  for (const Index b : {1, 2, 3, 31, 32, 33, 97, 127, 128, 129, 512, 997, 1000, 1024, 1025, 60000})
    for (const Index shard_size : {0, 1, 2, 7, 31, 32, 33, 1000, 100000}) {
      CAPTURE(b, shard_size);
      const ShardPlan plan(b, shard_size);
      Index at = 0, smallest = b, largest = 0;
      for (Index s = 0; s < plan.shards(); ++s) {
        REQUIRE(plan[s].begin == at);
        at = plan[s].end;
        smallest = std::min(smallest, plan[s].size());
        largest = std::max(largest, plan[s].size());
      }
      CHECK(at == b);
      CHECK(smallest >= 1);
      CHECK(largest <= plan.shard_size());
      CHECK(largest - smallest <= 1);
      CHECK(plan.batch_size() == b);
      if (shard_size > 0) {
        CHECK(plan.shard_size() == std::min(shard_size, b));
        CHECK(plan.shards() == (b + shard_size - 1) / shard_size);
      }
    }
}

TEST_CASE("a batch of one sample or below the shard size is one shard, and an empty batch has none") {
  CHECK(ShardPlan(1, 0).shards() == 1);
  CHECK(ShardPlan(1, 1)[0] == Range{0, 1});
  CHECK(ShardPlan(31, 32).shards() == 1);
  CHECK(ShardPlan(32, 32).shards() == 1);
  CHECK(ShardPlan(33, 32).shards() == 2);
  CHECK(ShardPlan(0, 32).shards() == 0);
  CHECK(ShardPlan(0, 0).shards() == 0);
  constexpr Index most = std::numeric_limits<Index>::max();
  CHECK(ShardPlan(31, most).shards() == 1);
  CHECK(ShardPlan(31, most)[0] == Range{0, 31});
  CHECK(ShardPlan(0, most).shards() == 0);
}

TEST_CASE("the default shard size is at least 32 samples and makes at most 32 shards") {
  for (Index b = 1; b <= 5000; ++b) {
    const ShardPlan plan(b, 0);
    REQUIRE(plan.shard_size() >= 32);
    REQUIRE(plan.shards() <= 32);
    REQUIRE(plan.shards() >= std::min<Index>(32, b / 32));
  }
  // Part of the promise: another rule gives other bits.
  CHECK(ShardPlan(128, 0).shards() == 4);
  CHECK(ShardPlan(512, 0).shards() == 16);
  CHECK(ShardPlan(1024, 0).shards() == 32);
  CHECK(ShardPlan(60000, 0).shards() == 32);
  CHECK(ShardPlan(10, 4)[1] == Range{3, 6});
}

TEST_CASE("a smaller batch is cut into no more shards, and none of them is larger") {
  for (const Index shard_size : {0, 1, 7, 32})
    for (Index b = 2; b <= 2100; ++b) {
      const ShardPlan large(b, shard_size), small(b - 1, shard_size);
      REQUIRE(small.shards() <= large.shards());
      REQUIRE(small.shard_size() <= large.shard_size());
    }
}
