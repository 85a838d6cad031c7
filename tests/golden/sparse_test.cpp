// SPDX-License-Identifier: MIT
// Tier 2 of the promise for training on sparse rows: as golden_test.cpp, but the engines for sparse rows take the steps, since a Trainer takes much
// longer to compile. Where a change of the mathematics moves the bits on purpose, a failing check shows the new ones.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

#include <parade/core/hash.hpp>
#include <parade/engine/sparse_sums_training.hpp>
#include <parade/engine/sparse_training.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/models/factorization_machine.hpp>
#include <parade/models/linear.hpp>
#include <parade/models/mlp.hpp>

#include "support/catch.hpp"
#include "support/sparse_sums.hpp"
#include "support/training.hpp"

namespace {

using namespace parade;
using sparse::AnyOptimizer, sparse::Both;

/// The hash of θ after three passes over all rows in batches of b, at a rate that falls; every fifth row counts for a half. The trainer settles
/// where an epoch ends, and so does this.
template <template <class, class, class, class> class Training, class M>
std::string train(const M& model, const AnyOptimizer& optimizer, const Both& both, Index b, int threads, Index entries = 30) {
  using S = typename M::Scalar;
  auto rows = sparse::many_rows<S>(201, entries);
  Vector<double> weights = Vector<double>::Ones(rows.size());
  for (Index i = 0; i < rows.size(); i += 5) weights[i] = 0.5;
  rows = rows.with_weights(weights);
  Team team(threads);
  Training<M, Logistic, Both, AnyOptimizer> training(model, {}, both, optimizer, team);
  training.check();
  training.reserve(rows, b);
  TrainingState<S> state(model.parameters().size(), optimizer.num_states());
  model.initialize(state.theta, 5);
  const auto samples = training::first_samples(rows.size());
  std::int64_t step = 0;
  team.run([&] {
    if constexpr (SumsFeatures<M>)
      training.begin(state, 0, both);
    else
      training.begin(state, 0);
    for (int epoch = 0; epoch < 3; ++epoch) {
      for (std::size_t first = 0; first < samples.size(); first += static_cast<std::size_t>(b)) {
        const auto batch = std::span<const Index>(samples).subspan(first, std::min(static_cast<std::size_t>(b), samples.size() - first));
        const BatchSum sum = [&] {
          if constexpr (SumsFeatures<M>)
            return training.accumulate(rows, batch, {7, step});
          else
            return training.accumulate(rows, batch);
        }();
        ++step;
        REQUIRE(training.update(rows, sum.weight, {optimizer.rate / static_cast<double>(1 + step / 4), step}));
      }
      training.settle();
    }
  });
  REQUIRE(state.theta.allFinite());
  return hash_text(theta_hash(state.theta));
}

std::string linear(const AnyOptimizer& optimizer, const Both& both, Index b = 16, int threads = 1, Index entries = 30) {
  return train<SparseTraining>(Linear<float>(50 * entries), optimizer, both, b, threads, entries);
}

}  // namespace

TEST_CASE("the bits of linear models trained on sparse rows are those of every machine") {
  CHECK(linear({AnyOptimizer::sgd, 2}, {}) == "f2d4a1d42ea36c15");
  CHECK(linear({AnyOptimizer::sgd, 2}, {0.01, 0}) == "71e375655e5534d5");
  CHECK(linear({AnyOptimizer::sgd, 2}, {0, 0.001}) == "74e5ac2d70d46be2");
  CHECK(linear({AnyOptimizer::sgd, 2}, {0.01, 0.001, true}, 7, 3) == "db8e1b07fe41d3fb");
  CHECK(linear({AnyOptimizer::sgd, 2}, {0.01, 0}, 32, 2, 140) == "201c388f4044641d");  // features in several ranges
  CHECK(linear({AnyOptimizer::momentum, 0.5}, {}) == "84df28f2d0e26064");
  CHECK(linear({AnyOptimizer::nesterov, 0.2}, {0.01, 0}, 3) == "b970d5a0e434a7cb");
  CHECK(linear({AnyOptimizer::adagrad, 0.1}, {}) == "21fe1ac48bb543c3");
  CHECK(linear({AnyOptimizer::adagrad, 0.1}, {0, 0.001}) == "b9d7fa06a07a8e0d");
  CHECK(linear({AnyOptimizer::lazy_adam, 0.02}, {}) == "ce667def693307c8");
  CHECK(linear({AnyOptimizer::ftrl, 0.1}, {}) == "39d12faf77cc15cf");
}

TEST_CASE("the bits of factorization machines and networks trained on sparse rows are those of every machine") {
  const FactorizationMachine<float> machine(1500, 5);
  CHECK(train<SparseSumsTraining>(machine, {AnyOptimizer::sgd, 0.5}, {0.01, 0.001}, 16, 2) == "0aa98c4f0a353c13");
  CHECK(train<SparseSumsTraining>(machine, {AnyOptimizer::nesterov, 0.05}, {0.01, 0}, 16, 1) == "d205325a6de526af");
  CHECK(train<SparseSumsTraining>(machine, {AnyOptimizer::adagrad, 0.1}, {0, 0.001}, 16, 1) == "7a01479e2314c1db");
  CHECK(train<SparseSumsTraining>(machine, {AnyOptimizer::lazy_adam, 0.02}, {}, 16, 1) == "7737fb0df7617fd1");
  const Mlp<double> network({1500, 6, 4, 1}, Activation::tanh);
  CHECK(train<SparseSumsTraining>(network, {AnyOptimizer::sgd, 0.5}, {0.01, 0.001}, 16, 2) == "3ed558af786ccb24");
  CHECK(train<SparseSumsTraining>(network, {AnyOptimizer::momentum, 0.1}, {0.01, 0}, 16, 1) == "2cbc5d2905a34ce6");
  CHECK(train<SparseSumsTraining>(network, {AnyOptimizer::lazy_adam, 0.02}, {}, 16, 1) == "0f158807b51007c0");
}
