// SPDX-License-Identifier: MIT
#include <cstdint>
#include <vector>

#include <parade/data/cache.hpp>
#include <parade/data/cached.hpp>
#include <parade/losses/multilabel_logistic.hpp>
#include <parade/models/linear.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/sparse.hpp"
#include "support/temporary_folder.hpp"

namespace label_sets_test {

using namespace parade;

TEST_CASE("a model of label sets trained from a cache has the bits of one trained in memory, and learns") {
  constexpr Index n = 203, d = 40, k = 4;
  const TemporaryFolder folder;
  const auto rows = sparse::random_rows<float>(d, n, 3);
  // The label of the row, and label 3 where there are more than 4 entries.
  Vector<std::int64_t> ends(n + 1);
  std::vector<Label> ids;
  ends[0] = 0;
  for (Index i = 0; i < n; ++i) {
    if (i % 10 != 0) ids.push_back(rows.labels()[i]);
    if (rows.offsets()[i + 1] - rows.offsets()[i] > 4) ids.push_back(3);
    ends[i + 1] = static_cast<std::int64_t>(ids.size());
  }
  const auto sets = SparseRows<float>(rows.offsets(), rows.indices(), rows.values(), d)
                        .with_label_sets(ends, Vector<Label>::Map(ids.data(), static_cast<Index>(ids.size())));
  const auto in_memory = sets.with_label_set_targets();
  Trainer trainer{Linear<float>{d, k}, MultilabelLogistic{}, L2{.lambda = 1e-3}, Sgd{.rate = 0.5, .momentum = 0.5}};
  for (const Index block : {7, 50}) {
    write_cache(folder.path / "sets", sets, {.rows_per_block = block});
    const CachedRows<float> cached{folder.path / "sets", {.window_blocks = 3}};
    REQUIRE(cached.num_targets() == k);
    FitOptions options{.epochs = 5, .batch_size = 10, .seed = 4, .threads = 1, .windows = cached.windows()};
    const Summary expected = trainer.fit(in_memory, options);
    const Evaluation evaluated = trainer.evaluate(in_memory);
    CHECK(expected.history.back().loss < 0.9 * expected.history.front().loss);
    for (const int threads : {1, 3}) {
      options.threads = threads;
      CHECK(trainer.fit(cached, options).theta_hash == expected.theta_hash);
      CHECK(trainer.evaluate(cached).loss == evaluated.loss);
      CHECK(trainer.scores(cached) == trainer.scores(in_memory));
    }
  }
  write_cache(folder.path / "sets", sets, {.num_labels = 9});
  CHECK_THROWS_AS(trainer.fit(CachedRows<float>{folder.path / "sets"}, {.batch_size = 10}), DataError);
}

}  // namespace label_sets_test
