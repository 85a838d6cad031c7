// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <parade/data/subset.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/linear.hpp>
#include <parade/models/mlp.hpp>
#include <parade/optimizers/adam.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/no_regularizer.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace divergence_test {

// A number that is not finite: the step is not taken, and the summary says where it came from.

namespace {

using parade::FitOptions, parade::Index, parade::Linear, parade::OnDivergence, parade::Sgd, parade::StopReason, parade::Subset,
    parade::Trainer;

constexpr Index n = 60, b = 20;

/// Regression on finite data, where the squared error of sample 34 overflows: it is in batch 2 and, with shards of 4, in shard 3.
parade::DenseData<double> data_with_a_bomb() {
  parade::Matrix<double> y = training::random_matrix<double>(2, n, 4);
  y(1, 34) = 1e200;
  return training::regression_data<double>(5, n, 2).with_targets(y);
}

auto trainer_of(Sgd sgd = {.rate = 0.1, .momentum = 0.9}) {
  return Trainer{Linear<double>(5, 2), parade::SquaredError{}, parade::NoRegularizer{}, sgd};
}

FitOptions options_of(int threads, OnDivergence policy, Index epochs = 2) {
  return {.epochs = epochs, .batch_size = b, .threads = threads, .shard_size = 4, .shuffle = false, .on_divergence = policy};
}

/// z = slope·x + offset, whose gradient by the offset is NaN while a feature is above 5, though every loss is finite.
struct HalfBroken {
  using Scalar = double;
  struct Workspace {
    parade::Matrix<double> scores;
  };
  parade::ParameterList parameters() const { return {{"slope", 1, 1}, {"offset", 1, 1, parade::Role::bias}}; }
  Index num_inputs() const { return 1; }
  Index num_outputs() const { return 1; }
  void initialize(parade::VectorRef<double> theta, std::uint64_t) const { theta.setZero(); }
  parade::ConstMatrixRef<double> forward(const parade::ConstVectorRef<double>& theta, const parade::ConstMatrixRef<double>& x,
                                         Workspace& w) const {
    w.scores = (theta[0] * x).array() + theta[1];
    return w.scores;
  }
  void add_gradient(const parade::ConstVectorRef<double>&, const parade::ConstMatrixRef<double>& x,
                    const parade::ConstMatrixRef<double>& dscores, Workspace&, parade::VectorRef<double> grad) const {
    grad[0] += x.cwiseProduct(dscores).sum();
    grad[1] += x.maxCoeff() > 5 ? std::numeric_limits<double>::quiet_NaN() : dscores.sum();
  }
};

}  // namespace

TEST_CASE("a loss that is not finite stops the run, and the summary names step, shard and sample on any number of threads") {
  const auto data = data_with_a_bomb();
  auto before = trainer_of();
  before.fit(Subset{data, training::first_samples(b)}, options_of(1, OnDivergence::stop, 1));
  for (const int threads : training::thread_counts) {
    CAPTURE(threads);
    auto trainer = trainer_of();
    const auto summary = trainer.fit(data, options_of(threads, OnDivergence::stop));
    CHECK(summary.stop_reason == StopReason::diverged);
    CHECK(summary.steps == 1);
    CHECK(summary.history.empty());
    REQUIRE(summary.divergences.size() == 1);
    const auto& where = summary.divergences.front();
    CHECK(where.step == 2);
    CHECK(where.epoch == 1);
    CHECK(where.shard == 3);
    CHECK(where.sample == 34);
    CHECK(where.parameter.empty());
    CHECK(where.text() == "step 2 (epoch 1), shard 3, sample 34: its loss is not finite");
    CHECK(trainer.theta() == before.theta());
    CHECK_THAT(summary.full(), Catch::Matchers::ContainsSubstring("diverged") && Catch::Matchers::ContainsSubstring(where.text()));
  }
}

TEST_CASE("a batch that is not finite can be left out: theta is that of the other batches") {
  const auto data = data_with_a_bomb();
  std::vector<Index> without;  // the batch of sample 34
  for (Index i = 0; i < n; ++i)
    if (i < b || i >= 2 * b) without.push_back(i);
  auto expected = trainer_of();
  expected.fit(Subset{data, without}, options_of(1, OnDivergence::stop));
  for (const int threads : {1, 2, 4}) {
    CAPTURE(threads);
    auto trainer = trainer_of();
    const auto summary = trainer.fit(data, options_of(threads, OnDivergence::skip));
    CHECK(summary.stop_reason == StopReason::completed);
    CHECK(summary.steps == 4);
    REQUIRE(summary.divergences.size() == 2);
    CHECK(summary.divergences[1].epoch == 2);
    CHECK(summary.divergences[1].sample == 34);
    CHECK(summary.notes().size() >= 2);
    CHECK(trainer.theta() == expected.theta());
    for (const auto& epoch : summary.history) {
      CHECK(epoch.samples == n - b);
      CHECK(std::isfinite(epoch.loss));
    }
  }
}

TEST_CASE("the rate can be halved at every batch that is not finite, and stays so") {
  const auto data = data_with_a_bomb();
  for (const int threads : {1, 3}) {
    auto trainer = trainer_of({.rate = 0.08});
    const auto summary = trainer.fit(data, options_of(threads, OnDivergence::halve_rate, 3));
    CHECK(summary.stop_reason == StopReason::completed);
    CHECK(summary.steps == 6);
    REQUIRE(summary.history.size() == 3);
    CHECK(summary.history[0].rate == 0.04);
    CHECK(summary.history[1].rate == 0.02);
    CHECK(summary.history[2].rate == 0.01);
    CHECK(trainer.theta().allFinite());
  }
}

TEST_CASE("a gradient that is not finite, where the loss is, stops the run and names the parameter") {
  parade::Matrix<double> x = training::random_matrix<double>(1, n, 1);
  x(0, 45) = 6;  // batch 3, shard 1
  const auto data = parade::DenseData<double>(x).with_targets(training::random_matrix<double>(1, n, 2));
  for (const int threads : {1, 2, 4}) {
    CAPTURE(threads);
    Trainer trainer{HalfBroken{}, parade::SquaredError{}, parade::NoRegularizer{}, parade::Adam{.rate = 0.1}};
    trainer.fit(Subset{data, training::first_samples(2 * b)}, options_of(1, OnDivergence::stop, 1));
    const auto before = parade::theta_hash(trainer.theta());
    const auto summary = trainer.fit(data, options_of(threads, OnDivergence::stop));
    REQUIRE(summary.divergences.size() == 1);
    const auto& where = summary.divergences.front();
    CHECK(where.step == 3);
    CHECK(where.shard == 1);
    CHECK(where.sample == -1);
    CHECK(where.parameter == "offset");
    CHECK(where.text() == "step 3 (epoch 1), shard 1: the gradient of 'offset' is not finite");
    CHECK(parade::theta_hash(trainer.theta()) == before);
  }
}

TEST_CASE("a step that leads out of the finite numbers is not taken") {
  const auto data = training::regression_data<double>(5, n, 2);
  for (const int threads : {1, 2, 4}) {
    auto trainer = trainer_of({.rate = 1e308});
    trainer.initialize(0);
    trainer.set_theta(parade::Vector<double>::Constant(12, 1e3));
    const auto before = trainer.theta();
    auto options = options_of(threads, OnDivergence::stop);
    options.warm_start = true;
    const auto summary = trainer.fit(data, options);
    CHECK(summary.stop_reason == StopReason::diverged);
    CHECK(summary.steps == 0);
    REQUIRE(summary.divergences.size() == 1);
    CHECK(summary.divergences.front().text() == "step 1 (epoch 1): the sum over the shards, or a new parameter, is not finite");
    CHECK(trainer.theta() == before);
  }
}

TEST_CASE("partial_fit throws when a number is not finite, and theta and the optimizer are as before") {
  const auto bad = Subset{data_with_a_bomb(), {30, 31, 32, 33, 34, 35}};
  const auto good = training::regression_data<double>(5, n, 2);
  auto trainer = trainer_of(), untouched = trainer_of();
  const parade::StepOptions options{.seed = 1, .threads = 2, .shard_size = 4};
  trainer.partial_fit(good, options);
  untouched.partial_fit(good, options);
  CHECK_THROWS_WITH(trainer.partial_fit(bad, options), Catch::Matchers::ContainsSubstring("the step was not taken") &&
                                                           Catch::Matchers::ContainsSubstring("sample 4: its loss is not finite"));
  CHECK(trainer.theta() == untouched.theta());
  trainer.partial_fit(good, options);  // the momentum, too, is as it was
  untouched.partial_fit(good, options);
  CHECK(trainer.theta() == untouched.theta());
  CHECK(trainer.steps() == 2);
}

TEST_CASE("a vector of the optimizer that overflows stops the run, though theta is finite, and such a weight is an error") {
  // g² overflows in float where g does not: Adam would divide by infinity for ever after.
  const parade::Matrix<float> x = parade::Matrix<float>::Constant(1, 4, 1e22f);
  const auto large = parade::DenseData<float>(x).with_targets(parade::Matrix<double>::Constant(1, 4, 1));
  const FitOptions options{.epochs = 1, .batch_size = 4};
  Trainer adam{parade::LinearRegression<float>(1, 1), parade::SquaredError{}, parade::NoRegularizer{}, parade::Adam{}};
  CHECK(adam.fit(large, options).stop_reason == StopReason::diverged);
  CHECK(adam.theta().allFinite());

  const parade::Matrix<float> one = parade::Matrix<float>::Ones(1, 4);
  const auto heavy = parade::DenseData<float>(one)
                         .with_targets(parade::Matrix<double>::Constant(1, 4, 1))
                         .with_weights(parade::Vector<double>::Constant(4, 1e39));
  Trainer sgd{parade::LinearRegression<float>(1, 1), parade::SquaredError{}, parade::NoRegularizer{}, Sgd{}};
  CHECK_THROWS_AS(sgd.fit(heavy, options), parade::DataError);
}

TEST_CASE("float overflows are found as those of double are") {
  const auto data = training::labelled_data<float>(5, n, 3);
  for (const int threads : {1, 3}) {
    Trainer trainer{parade::Mlp<float>{5, 7, 3}, parade::SoftmaxCrossEntropy{}, parade::NoRegularizer{}, Sgd{.rate = 1e30}};
    const auto summary = trainer.fit(data, options_of(threads, OnDivergence::stop, 20));
    CHECK(summary.stop_reason == StopReason::diverged);
    CHECK(trainer.theta().allFinite());
  }
}

}  // namespace divergence_test
