// SPDX-License-Identifier: MIT
#include <map>
#include <vector>

#include <parade/constraints/simplex.hpp>
#include <parade/layers/dense.hpp>
#include <parade/layers/dropout.hpp>
#include <parade/layers/elementwise.hpp>
#include <parade/layers/normalization.hpp>
#include <parade/losses/huber.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/models/linear.hpp>
#include <parade/models/sequential.hpp>
#include <parade/optimizers/adagrad.hpp>
#include <parade/optimizers/adamw.hpp>
#include <parade/optimizers/clip_norm.hpp>
#include <parade/optimizers/ema.hpp>
#include <parade/optimizers/polyak_average.hpp>
#include <parade/regularizers/group_lasso.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/schedules/one_cycle.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace kit_test {

// Parts of the learning kit that reach into the engine, together in a Trainer: what is drawn, measured, averaged, and done to whole parameters.
namespace {

using parade::Index, parade::Trainer;

auto network() {
  return Trainer{parade::make_sequential<double>(parade::Dense{6, 20}, parade::BatchNorm{}, parade::Relu{}, parade::Dropout{0.25},
                                                 parade::Dense{20, 4}),
                 parade::SoftmaxCrossEntropy{.label_smoothing = 0.1}, parade::L2{.lambda = 1e-3},
                 parade::ClipNorm{parade::Ema{parade::AdamW{.rate = 0.01}, 0.9}, 0.5}, parade::OneCycle{}};
}

auto groups() {
  return Trainer{parade::Linear<double>{8, 3}, parade::Huber{.delta = 0.5},
                 parade::GroupLasso{.lambda = 0.2, .groups = parade::Groups::columns}, parade::Adagrad{.rate = 0.1}};
}

const parade::FitOptions options{.epochs = 4, .batch_size = 24, .seed = 3, .threads = 1, .shard_size = 5};

template <class T, class D>
std::uint64_t hash(T trainer, const D& data, int threads, std::uint64_t seed = 3) {
  auto own = options;
  own.threads = threads;
  own.seed = seed;
  const auto summary = trainer.fit(data, own);
  REQUIRE(summary.stop_reason == parade::StopReason::completed);
  return summary.theta_hash;
}

}  // namespace

TEST_CASE("dropout, batch normalization, clipping by the norm and averages have one hash on any number of threads") {
  const auto data = training::labelled_data<double>(6, 103, 4);
  const training::SleepyData<double> sleepy(data);
  const auto one = hash(network(), data, 1);
  for (const int threads : training::thread_counts) {
    CAPTURE(threads);
    CHECK(hash(network(), data, threads) == one);
    CHECK(hash(network(), sleepy, threads) == one);
  }
  CHECK(hash(network(), data, 2, 4) != one);
}

TEST_CASE("whole parameters have one hash on any number of threads, and groups are left out whole") {
  const auto data = training::regression_data<double>(8, 103, 3);
  const auto one = hash(groups(), data, 1);
  for (const int threads : training::thread_counts) CHECK(hash(groups(), data, threads) == one);
  auto trainer = groups();
  const auto summary = trainer.fit(data, options);
  const auto weight = trainer.parameter("weight");
  Index left_out = 0;
  for (Index j = 0; j < weight.cols(); ++j) {
    const auto zeros = (weight.col(j).array() == 0).count();
    CHECK((zeros == 0 || zeros == 3));
    left_out += zeros == 3;
  }
  CHECK(left_out > 0);
  CHECK(summary.zeros == 3 * left_out);
}

TEST_CASE("statistics are learnt without rate or average, and evaluation uses them without drawing") {
  const auto data = training::labelled_data<double>(6, 120, 4);
  auto trainer = network();
  trainer.fit(data, options);
  const auto mean = trainer.parameter("layer1.running_mean");
  CHECK(mean.cwiseAbs().minCoeff() > 0);
  const auto average = trainer.averaged_theta();
  for (const auto& block : trainer.parameters()) {
    const auto of = average.segment(block.offset, block.size()), now = trainer.theta().segment(block.offset, block.size());
    CHECK((of == now) == (block.role == parade::Role::statistic));
  }
  CHECK(trainer.scores(data) == trainer.scores(data));
}

TEST_CASE("a Polyak average is the mean of the parameters that entered the steps") {
  Trainer trainer{parade::Linear<double>{8, 3}, parade::Huber{}, parade::L2{}, parade::PolyakAverage{parade::Adagrad{.rate = 0.1}}};
  trainer.initialize(1);
  CHECK(trainer.averaged_theta() == trainer.theta());
  const auto data = training::regression_data<double>(8, 40, 3);
  parade::Vector<double> sum = parade::Vector<double>::Zero(trainer.theta().size());
  for (int step = 1; step <= 9; ++step) {
    sum += trainer.theta();
    trainer.partial_fit(data);
    CHECK((trainer.averaged_theta() - sum / step).cwiseAbs().maxCoeff() < 1e-14);
  }
}

}  // namespace kit_test
