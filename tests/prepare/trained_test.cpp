// SPDX-License-Identifier: MIT
#include <atomic>
#include <cmath>
#include <cstdint>
#include <vector>

#include <parade/core/hash.hpp>
#include <parade/data/augmented.hpp>
#include <parade/data/splits.hpp>
#include <parade/data/synthetic_digits.hpp>
#include <parade/io/model_file.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/models/linear.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/prepare/pipeline.hpp>
#include <parade/prepare/standardize.hpp>
#include <parade/regularizers/no_regularizer.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/numbers.hpp"
#include "support/temporary_folder.hpp"
#include "support/training.hpp"

namespace {

using namespace parade;
using numbers::same_bits;

using Plain = Trainer<Linear<float>, SoftmaxCrossEntropy, NoRegularizer, Sgd>;

Plain trainer() { return Plain{Linear<float>{784, 10}, SoftmaxCrossEntropy{}, NoRegularizer{}, Sgd{.rate = 0.1}}; }

}  // namespace

TEST_CASE("a trainer tells augmented data the epoch, and theta has the same bits on any number of threads") {
  const auto digits = synthetic_digits(200, 1);
  const Augmented data{digits, 1, 28, 28, {.shift = 2, .rotate = 10, .scale = 0.1, .noise = 0.02, .seed = 5}};
  const Subset part{data, split_indices(200, {.validation = 0, .test = 40}).train};
  std::vector<Vector<float>> thetas;
  for (const int threads : training::thread_counts) {
    auto one = trainer();
    one.fit(part, {.epochs = 3, .batch_size = 32, .seed = 2, .threads = threads});
    CHECK(part.data().epoch() == 2);
    thetas.push_back(one.theta());
    CHECK(same_bits(thetas.back(), thetas.front()));
  }
  // Going on is the same as not having stopped, and another epoch has other images.
  auto resumed = trainer();
  resumed.fit(part, {.epochs = 1, .batch_size = 32, .seed = 2});
  CHECK(part.data().epoch() == 0);
  resumed.fit(part, {.epochs = 2, .batch_size = 32, .seed = 2, .warm_start = true});
  CHECK(same_bits(resumed.theta(), thetas.front()));
  auto frozen = trainer();
  for (Index epoch = 0; epoch < 3; ++epoch) frozen.fit(part, {.epochs = 1, .batch_size = 32, .seed = 2, .warm_start = epoch > 0});
  CHECK(same_bits(frozen.theta(), thetas.front()));
}

TEST_CASE("what was fitted, saved and loaded predicts the same, and only the training part was looked at") {
  const TemporaryFolder folder;
  const auto digits = synthetic_digits(300, 2);
  const auto [train, validation, test] = stratified_split_indices(digits.labels(), {.validation = 0, .test = 100, .seed = 1});
  Pipeline prepare{Standardize{}};
  prepare.fit(Subset{digits, train});
  auto one = trainer();
  one.fit(prepare.transform(Subset{digits, train}), {.epochs = 2, .batch_size = 20, .threads = 2});
  save_model(folder.path / "model.npz", one.parameters(), one.theta(), prepare);

  Pipeline other{Standardize{.center = false}};
  auto two = trainer();
  two.set_theta(load_model<float>(folder.path / "model.npz", two.parameters(), other).theta);
  const Subset held_out{digits, test};
  CHECK(same_bits(two.scores(other.transform(held_out)), one.scores(prepare.transform(held_out))));
  CHECK(one.accuracy(prepare.transform(held_out)) > 0.5);
}
