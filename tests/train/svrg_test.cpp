// SPDX-License-Identifier: MIT
#include <cmath>

#include <parade/layers/dense.hpp>
#include <parade/layers/elementwise.hpp>
#include <parade/layers/normalization.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/linear.hpp>
#include <parade/models/sequential.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace svrg_test {

using parade::Index, parade::Vector;

namespace {

parade::Trainer<parade::Linear<double>, parade::Logistic, parade::L1, parade::Sgd> trainer() {
  return {parade::Linear<double>{6}, parade::Logistic{}, parade::L1{.lambda = 0.02}, parade::Sgd{.rate = 0.5}};
}

}  // namespace

TEST_CASE("with variance-reduced gradients a constant rate reaches the optimum on minibatches, which it does not without") {
  const auto data = training::labelled_data<double>(6, 101, 2).with_weights(training::sample_weights(101));
  parade::FitOptions options{.epochs = 400, .batch_size = 8, .seed = 1, .threads = 2, .svrg = 2};
  auto reduced = trainer(), plain = trainer();
  const auto summary = reduced.fit(data, options);
  CHECK(reduced.residual(data) < 1e-12);
  CHECK(summary.zeros > 0);
  options.svrg = 0;
  plain.fit(data, options);
  CHECK(plain.residual(data) > 1e-3);
}

TEST_CASE("variance-reduced gradients have one hash on any number of threads, and the first step of an anchor is that of all data") {
  const auto data = training::labelled_data<double>(6, 101, 2);
  parade::FitOptions options{.epochs = 3, .batch_size = 24, .seed = 1, .threads = 1, .shard_size = 5, .svrg = 1};
  const auto one = trainer().fit(data, options).theta_hash;
  for (const int threads : training::thread_counts) {
    options.threads = threads;
    CHECK(trainer().fit(data, options).theta_hash == one);
  }

  // At θ̃ the gradients of the batch cancel, and G is left.
  struct Stop {
    parade::Signal on_step(const parade::StepReport&) { return parade::Signal::stop; }
  };
  auto whole = trainer(), first = trainer();
  whole.fit(data, {.epochs = 1, .batch_size = 101, .seed = 1});
  first.fit(data, options, Stop{});
  CHECK((whole.theta() - first.theta()).cwiseAbs().maxCoeff() < 1e-15);
  options.svrg = -1;
  CHECK_THROWS_AS(trainer().fit(data, options), parade::OptionError);
}

TEST_CASE("what is not finite at an anchor is left out, or ends the run and is named") {
  Vector<double> targets = Vector<double>::Ones(40);
  targets[17] = 1e200;  // its loss overflows, its gradient does not
  const auto data = parade::DenseData<double>(training::random_matrix<double>(3, 40, 1)).with_targets(targets.transpose());
  parade::Trainer trainer{parade::Linear<double>{3}, parade::SquaredError{}, parade::L1{}, parade::Sgd{.rate = 0.1}};
  parade::FitOptions options{
      .epochs = 4, .batch_size = 10, .seed = 1, .shuffle = false, .on_divergence = parade::OnDivergence::skip, .svrg = 1};
  const auto skipped = trainer.fit(data, options);
  CHECK(skipped.steps == 12);
  CHECK(trainer.theta().cwiseAbs().maxCoeff() < 2);
  options.on_divergence = parade::OnDivergence::stop;
  const auto stopped = trainer.fit(data, options);
  CHECK(stopped.stop_reason == parade::StopReason::diverged);
  REQUIRE(stopped.divergences.size() == 1);
  CHECK(stopped.divergences[0].sample == 17);
}

TEST_CASE("variance is not reduced of what is measured") {
  const auto data = training::labelled_data<double>(6, 60, 3);
  parade::Trainer trainer{parade::make_sequential<double>(parade::Dense{6, 8}, parade::BatchNorm{}, parade::Relu{}, parade::Dense{8, 3}),
                          parade::SoftmaxCrossEntropy{}, parade::L2{.lambda = 0.1}, parade::Sgd{.rate = 0.1}};
  trainer.fit(data, {.epochs = 6, .batch_size = 10, .seed = 3, .svrg = 5});
  CHECK(trainer.parameter("layer1.running_variance").minCoeff() > 0);
}

}  // namespace svrg_test
