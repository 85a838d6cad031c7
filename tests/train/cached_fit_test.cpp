// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <parade/callbacks/validate.hpp>
#include <parade/data/cache.hpp>
#include <parade/data/cached.hpp>
#include <parade/layers/dense.hpp>
#include <parade/layers/dropout.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/linear.hpp>
#include <parade/models/sequential.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/no_regularizer.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/sparse.hpp"
#include "support/temporary_folder.hpp"
#include "support/training.hpp"

// Training from a cache gives what training in memory in the same order gives, bit for bit.

namespace {

using namespace parade;

constexpr Index n = 203, d = 40;

struct Case {
  Index rows, blocks, batch;  // a block, a window, a step
};
const std::vector<Case> cases{{1, 1, 1},   {1, 3, 7},  {7, 1, 3},    {7, 4, 10},     {7, 4, 64},
                              {16, 2, 32}, {50, 3, 8}, {203, 1, 50}, {1000, 5, 203}, {25, 99, 20}};

Vector<double> some_weights() {
  Vector<double> weights(n);
  for (Index i = 0; i < n; ++i) weights[i] = i % 11 == 3 ? 0 : 0.25 * static_cast<double>(1 + i % 7);
  return weights;
}

auto sparse_trainer() { return Trainer{Linear<float>{d, 1}, Logistic{}, sparse::Both{.l2 = 0.01, .l1 = 0.001}, Sgd{.rate = 0.3}}; }


}  // namespace

TEST_CASE("training on sparse rows from a cache gives the bits of training in memory in the same order") {
  const TemporaryFolder folder;
  const auto file = folder.path / "rows.cache";
  const auto rows = sparse::random_rows<float>(d, n, 2, GENERATE(true, false)).with_weights(some_weights());
  auto trainer = sparse_trainer();
  for (const auto& [block, blocks, batch] : cases) {
    CAPTURE(block, blocks, batch);
    write_cache(file, rows, {.rows_per_block = block});
    const CachedRows<float> cached{file, {.window_blocks = blocks}};
    CHECK(cached.windows() == WindowShuffle{block, blocks});
    FitOptions options{.epochs = 3, .batch_size = batch, .seed = 4, .threads = 1, .windows = cached.windows()};
    const Summary expected = trainer.fit(rows, options);
    const Evaluation evaluated = trainer.evaluate(rows);
    const Matrix<float> scores = trainer.scores(rows);
    for (const int threads : {1, 2, 3, 8}) {
      CAPTURE(threads);
      options.threads = threads;
      if (threads == 3) options.windows = {};
      const Summary found = trainer.fit(cached, options);
      CHECK(found.theta_hash == expected.theta_hash);
      CHECK(found.steps == expected.steps);
      CHECK(found.samples == n);
      CHECK(found.history.back().loss == expected.history.back().loss);
      const Evaluation again = trainer.evaluate(cached);
      CHECK(again.loss == evaluated.loss);
      CHECK(again.accuracy == evaluated.accuracy);
      CHECK(again.confusion == evaluated.confusion);
      CHECK(trainer.scores(cached) == scores);
    }
  }
}
