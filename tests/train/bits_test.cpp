// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <vector>

#include <parade/constraints/box.hpp>
#include <parade/data/sampler.hpp>
#include <parade/engine/serial_gradient.hpp>
#include <parade/losses/hinge.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/linear.hpp>
#include <parade/models/mlp.hpp>
#include <parade/optimizers/adam.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/regularizers/no_regularizer.hpp>
#include <parade/schedules/cosine.hpp>
#include <parade/schedules/step_decay.hpp>
#include <parade/schedules/warmup.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace bits_test {

// One run, one hash: θ after a run on any number of threads, in any surroundings, and the same θ from a slow loop on one thread.

namespace {

using parade::Adam, parade::FitOptions, parade::Index, parade::L1, parade::L2, parade::Linear, parade::Mlp, parade::NoRegularizer,
    parade::Sgd;
using parade::SoftmaxCrossEntropy, parade::Trainer, parade::Vector;

template <class T, class D>
std::uint64_t hash_of(T trainer, const D& data, FitOptions options, int threads) {
  options.threads = threads;
  const auto summary = trainer.fit(data, options);
  REQUIRE(summary.stop_reason == parade::StopReason::completed);
  REQUIRE(trainer.theta().allFinite());
  REQUIRE(summary.theta_hash == parade::theta_hash(trainer.theta()));
  return summary.theta_hash;
}

/// make() gives a fresh trainer: its hash must be the same for every number of threads.
template <class Make, class D>
std::uint64_t same_hash(const Make& make, const D& data, const FitOptions& options,
                        const std::vector<int>& threads = training::thread_counts) {
  const std::uint64_t expected = hash_of(make(), data, options, 1);
  for (const int t : threads) {
    CAPTURE(t, options.batch_size, options.shard_size);
    CHECK(hash_of(make(), data, options, t) == expected);
  }
  return expected;
}

const std::vector<Sgd> all_sgd{{.rate = 0.1}, {.rate = 0.05, .momentum = 0.9}, {.rate = 0.05, .momentum = 0.9, .nesterov = true}};

/// Plain SGD with L2 on the weights, as a textbook has it: one thread, one vector, no blocks.
template <class M, class L, class S = typename M::Scalar>
Vector<S> textbook(const M& model, const L& loss, double lambda, const Sgd& sgd, const parade::DenseData<S>& data,
                   const FitOptions& options) {
  const auto parameters = model.parameters();
  Vector<S> theta(parameters.size()), grad, velocity = Vector<S>::Zero(parameters.size());
  model.initialize(theta, options.seed);
  const parade::SerialGradient<M, L> serial(model, loss, options.shard_size);
  for (Index epoch = 0; epoch < options.epochs; ++epoch)
    for (const auto batch : parade::Batches(data.size(), {options.batch_size, options.seed, epoch, options.shuffle})) {
      const auto sum = serial.sum(theta, data, batch, grad);
      for (Index i = 0; i < grad.size(); ++i) grad[i] /= static_cast<S>(sum.weight);
      for (const auto& block : parameters)
        for (Index i = block.offset; block.role == parade::Role::weight && i < block.offset + block.size(); ++i)
          grad[i] = std::fma(static_cast<S>(lambda), theta[i], grad[i]);
      for (Index i = 0; i < grad.size(); ++i) {
        S slope = grad[i];
        if (sgd.momentum > 0) {
          velocity[i] = std::fma(static_cast<S>(sgd.momentum), velocity[i], grad[i]);
          slope = sgd.nesterov ? std::fma(static_cast<S>(sgd.momentum), velocity[i], grad[i]) : velocity[i];
        }
        theta[i] = std::fma(static_cast<S>(-sgd.rate), slope, theta[i]);
      }
    }
  return theta;
}

}  // namespace

TEMPLATE_TEST_CASE("theta has the same bits on any number of threads for every model, optimizer and regularizer", "", float, double) {
  using S = TestType;
  const training::SleepyData<S> data(training::labelled_data<S>(7, 67, 3));
  const auto weighted = data.with_weights(training::sample_weights(67));
  const FitOptions options{.epochs = 2, .batch_size = 19, .seed = 3, .shard_size = 4};
  std::vector<std::uint64_t> hashes;
  const auto run = [&](const auto& model, const auto& regularizer, const auto& optimizer) {
    const auto make = [&] { return Trainer{model, SoftmaxCrossEntropy{}, regularizer, optimizer}; };
    hashes.push_back(same_hash(make, data, options));
  };
  const auto each_regularizer = [&](const auto& model, const auto& optimizer) {
    run(model, NoRegularizer{}, optimizer);
    run(model, L2{.lambda = 0.01}, optimizer);
    run(model, L1{.lambda = 0.01}, optimizer);
  };
  const auto each_optimizer = [&](const auto& model) {
    for (const Sgd& sgd : all_sgd) each_regularizer(model, sgd);
    each_regularizer(model, Adam{.rate = 0.01});
  };
  each_optimizer(Linear<S>(7, 3));
  each_optimizer(Mlp<S>{7, 11, 3});
  for (const auto activation : {parade::Activation::tanh, parade::Activation::sigmoid}) each_optimizer(Mlp<S>({7, 11, 3}, activation));
  same_hash([] { return Trainer{Mlp<S>{7, 11, 3}, SoftmaxCrossEntropy{}, NoRegularizer{}, Sgd{.rate = 0.1}}; }, weighted, options);

  std::sort(hashes.begin(), hashes.end());
  CHECK(std::adjacent_find(hashes.begin(), hashes.end()) == hashes.end());  // each of them does something
}

TEMPLATE_TEST_CASE("theta has the same bits on any number of threads for every loss", "", float, double) {
  using S = TestType;
  const FitOptions options{.epochs = 2, .batch_size = 50, .seed = 3, .shard_size = 8};
  const Sgd sgd{.rate = 0.1};
  const auto two_classes = training::labelled_data<S>(6, 120, 2);
  same_hash([&] { return Trainer{Linear<S>(6, 1), parade::Logistic{}, NoRegularizer{}, sgd}; }, two_classes, options);
  same_hash([&] { return Trainer{Linear<S>(6, 1), parade::Hinge{}, NoRegularizer{}, sgd}; }, two_classes, options);
  const auto targets = training::regression_data<S>(6, 120, 2);
  same_hash([&] { return Trainer{Linear<S>(6, 2), parade::SquaredError{}, NoRegularizer{}, sgd}; }, targets, options);
}

TEMPLATE_TEST_CASE("theta has the same bits on any number of threads for every batch size", "", float, double) {
  using S = TestType;
  const Index n = 101;
  const auto data = training::labelled_data<S>(5, n, 3);
  const auto make = [] { return Trainer{Mlp<S>{5, 8, 3}, SoftmaxCrossEntropy{}, L2{.lambda = 1e-3}, Sgd{.rate = 0.1, .momentum = 0.9}}; };
  for (const Index b : {Index{1}, Index{3}, Index{10}, Index{32}, Index{33}, Index{97}, n})
    for (const Index shard_size : {0, 1, 10}) {
      if (b > 33 || shard_size != 1) same_hash(make, data, {.epochs = 1, .batch_size = b, .seed = 1, .shard_size = shard_size});
    }
}

TEST_CASE("theta has the same bits on any number of threads for a model of many blocks of parameters") {
  const training::SleepyData<float> data(
      training::labelled_data<float>(300, 96, 10));  // P = 21 thousand: the update has several blocks, the last one odd
  const auto make = [] {
    return Trainer{Mlp<float>{300, 67, 10}, SoftmaxCrossEntropy{}, L2{.lambda = 1e-3}, Sgd{.rate = 0.1, .momentum = 0.9}};
  };
  same_hash(make, data, {.epochs = 2, .batch_size = 48, .seed = 1, .shard_size = 5});
}

TEST_CASE("theta has the same bits on any number of threads under schedules and constraints") {
  const auto data = training::labelled_data<double>(7, 90, 3);
  const FitOptions options{.epochs = 3, .batch_size = 40, .seed = 2, .shard_size = 6};
  const Sgd sgd{.rate = 0.5};
  const Mlp<double> model{7, 9, 3};
  const auto cosine = same_hash(
      [&] {
        return Trainer{model, SoftmaxCrossEntropy{}, NoRegularizer{}, sgd, parade::Cosine{}};
      },
      data, options);
  const auto warm = same_hash(
      [&] {
        return Trainer{model, SoftmaxCrossEntropy{}, NoRegularizer{}, sgd, parade::warmup(4, 0.1, parade::StepDecay{.steps = 3})};
      },
      data, options);
  const auto make_box = [&] {
    return Trainer{model, SoftmaxCrossEntropy{}, NoRegularizer{}, sgd, parade::Box{.lower = -0.2, .upper = 0.2}};
  };
  const auto box = same_hash(make_box, data, options);
  const auto both = same_hash(
      [&] {
        return Trainer{model, SoftmaxCrossEntropy{}, NoRegularizer{}, sgd, parade::Cosine{}, parade::Box{.lower = -0.2, .upper = 0.2}};
      },
      data, options);
  CHECK(cosine != warm);
  CHECK(box != both);
  auto trainer = make_box();
  trainer.fit(data, options);
  for (const auto& block : trainer.parameters())
    if (block.role == parade::Role::weight) CHECK(trainer.parameter(block.name).cwiseAbs().maxCoeff() <= 0.2);
}

TEST_CASE("theta has the same bits when OpenMP may lend fewer threads, and when another thread keeps a core busy") {
  const training::SleepyData<float> data(training::labelled_data<float>(20, 200, 4));
  const FitOptions options{.epochs = 2, .batch_size = 64, .seed = 5, .shard_size = 7};
  const auto make = [] { return Trainer{Mlp<float>{20, 31, 4}, SoftmaxCrossEntropy{}, L2{.lambda = 1e-3}, Adam{.rate = 0.01}}; };
  training::OpenMpSettings settings;
  settings.dynamic(false);
  const auto expected = same_hash(make, data, options);
  settings.dynamic(true);
  CHECK(same_hash(make, data, options) == expected);
  settings.dynamic(false);
  const training::BusyThread busy;
  CHECK(same_hash(make, data, options) == expected);
}

TEMPLATE_TEST_CASE("training equals a slow loop on one thread, bit for bit", "", float, double) {
  using S = TestType;
  const auto data = training::labelled_data<S>(7, 83, 3).with_weights(training::sample_weights(83));
  const auto check = [&](const auto& model) {
    for (const Sgd& sgd : all_sgd)
      for (const bool shuffle : {true, false})
        for (const Index b : {1, 20, 83}) {
          if (b == 1 && !shuffle) continue;
          const FitOptions options{.epochs = 2, .batch_size = b, .seed = 4, .threads = 3, .shard_size = 6, .shuffle = shuffle};
          // A batch of weight 0 is no step; the textbook's 0/0 would not do.
          const auto& fitted = b == 1 ? training::labelled_data<S>(7, 83, 3) : data;
          Trainer trainer{model, SoftmaxCrossEntropy{}, L2{.lambda = 0.01}, sgd};
          trainer.fit(fitted, options);
          CAPTURE(sgd.momentum, sgd.nesterov, shuffle, b);
          CHECK(trainer.theta() == textbook(model, SoftmaxCrossEntropy{}, 0.01, sgd, fitted, options));
        }
  };
  check(Linear<S>(7, 3));
  check(Mlp<S>{7, 9, 3});
}

}  // namespace bits_test
