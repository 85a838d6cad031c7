// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <parade/callbacks/validate.hpp>
#include <parade/data/cache.hpp>
#include <parade/data/cached.hpp>
#include <parade/layers/dense.hpp>
#include <parade/layers/dropout.hpp>
#include <parade/layers/elementwise.hpp>
#include <parade/layers/flatten.hpp>
#include <parade/layers/normalization.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/models/mlp.hpp>
#include <parade/models/sequential.hpp>
#include <parade/regularizers/only.hpp>

#include "support/sparse_sums.hpp"
#include "support/temporary_folder.hpp"

namespace sparse_mlp_test {

// Networks on sparse rows: what they give on the same samples as dense data, to rounding.

namespace {

using namespace parade;
using Catch::Matchers::ContainsSubstring;
using sparse::AnyOptimizer, sparse::Both, sparse::Halving, sparse::Rates;

constexpr Index n = 97, d = 40;

static_assert(SparseModel<Mlp<float>> && SparseModel<Sequential<double, Dense>> && SparseModel<Sequential<float, Dense, Relu, Dense>>);
static_assert(!SparseModel<Sequential<float, Relu, Dense>> && !SparseModel<Sequential<float, Dense, Flatten, Dense>>);

/// tanh, since where a ReLU has its corner the two roundings may fall on either side.
template <class S = double>
auto mlp(const AnyOptimizer& optimizer, const Both& both = {}, std::vector<Index> sizes = {d, 5, 4, 3}, const Rates& rates = {}) {
  return Trainer{Mlp<S>{std::move(sizes), Activation::tanh}, SoftmaxCrossEntropy{}, both, optimizer, rates};
}

/// Running statistics, random numbers by sample, and several rows of a shard that belong together.
auto network(const AnyOptimizer& optimizer, const Both& both = {}, Index features = d) {
  return Trainer{Sequential{Dense{features, 6, {.initialization = Initialization::glorot}}, BatchNorm{}, Tanh{}, Dropout{0.3}, Dense{6, 3}},
                 SoftmaxCrossEntropy{}, both, optimizer, Halving{}};
}

}  // namespace

TEST_CASE("an Mlp on sparse rows is an Mlp on dense data, with every optimizer and regularizer that there is") {
  struct Pair {
    AnyOptimizer optimizer;
    Both both;
  };
  const auto pair = GENERATE(values<Pair>({{{AnyOptimizer::sgd, 0.3}, {}},
                                           {{AnyOptimizer::sgd, 0.3}, {0.05, 0}},
                                           {{AnyOptimizer::sgd, 0.3}, {0, 0.01}},
                                           {{AnyOptimizer::sgd, 0.3}, {0.05, 0.01, true}},
                                           {{AnyOptimizer::momentum, 0.1}, {}},
                                           {{AnyOptimizer::momentum, 0.1}, {0.05, 0, true}},
                                           {{AnyOptimizer::nesterov, 0.03}, {0.05, 0}},
                                           {{AnyOptimizer::adagrad, 0.1}, {}},
                                           {{AnyOptimizer::adagrad, 0.1}, {0, 0.01}},
                                           {{AnyOptimizer::lazy_adam, 0.02}, {}},
                                           {{AnyOptimizer::ftrl, 0.1}, {}}}));
  const Index b = GENERATE(1, 7, 97);
  CAPTURE(int{pair.optimizer.kind}, pair.both.l2, pair.both.l1, b);
  const FitOptions options{.epochs = 4, .batch_size = b, .seed = 3};
  auto a = mlp(pair.optimizer, pair.both), c = mlp(pair.optimizer, pair.both);
  const auto rows = sparse::random_rows<double>(d, n, 3);
  check_same(a, c, rows, options, 4000);
  CHECK((a.predict(rows).array() == c.predict(sparse::dense(rows)).array()).all());
  FitOptions more = options;  // and on from there: states belong to the same elements, and steps are counted on
  more.warm_start = true;
  more.epochs = 2;
  check_same(a, c, rows.with_weights(training::sample_weights(n)), more, 20000);
  check_same(a, c, sparse::random_rows<double>(d, n, 3, false), options, 4000);
  if (pair.both.l1 > 0) CHECK((a.theta().array() == 0).count() > 5);
  CHECK((a.theta() - c.theta()).cwiseAbs().maxCoeff() > 0);  // they are not the same computation
}

TEST_CASE("an Mlp without hidden layers on sparse rows") {
  const auto rows = sparse::random_rows<double>(d, n, 3);
  auto a = mlp({AnyOptimizer::sgd, 0.3}, {0.01, 0.001}, {d, 3}), c = mlp({AnyOptimizer::sgd, 0.3}, {0.01, 0.001}, {d, 3});
  check_same(a, c, rows, {.epochs = 3, .batch_size = 7, .seed = 3}, 1000);
}

TEST_CASE("a regularizer without a lazy form may be for the layers behind the first, and validation data may be sparse") {
  const auto rows = sparse::random_rows<double>(d, n, 3);
  const auto make = [](const char* block) {
    return Trainer{Mlp<double>{{d, 5, 3}, Activation::sigmoid}, SoftmaxCrossEntropy{}, Only{Both{0.1, 0.01}, block},
                   AnyOptimizer{AnyOptimizer::sgd, 0.3}};
  };
  static_assert(!HasShrinkage<Only<Both>>);
  auto a = make("layer1.weight"), c = make("layer1.weight");
  check_same(a, c, rows, {.epochs = 3, .batch_size = 7, .seed = 3}, 1000);
  const Summary summary = a.fit(rows, {.epochs = 3, .batch_size = 7, .seed = 3}, Validate{rows});
  CHECK(summary.history.back().validation->loss == a.evaluate(rows).loss);
  auto refused = make("layer0.weight");
  CHECK_THROWS_WITH(refused.fit(rows, {.batch_size = 7}), ContainsSubstring("the regularizer has no exact lazy form"));
}

TEST_CASE("a Sequential in float with batch normalization and dropout on sparse rows is that on dense data") {
  const Index b = GENERATE(7, 97);
  const auto optimizer = GENERATE(values<AnyOptimizer>({{AnyOptimizer::sgd, 0.1}, {AnyOptimizer::adagrad, 0.02}}));
  const Both both{optimizer.kind == AnyOptimizer::sgd ? 0.01 : 0, 0};
  auto a = network(optimizer, both), c = network(optimizer, both);
  const auto rows = sparse::random_rows<float>(d, n, 3);
  const FitOptions options{.epochs = 2, .batch_size = b, .seed = 3, .shard_size = 20};
  check_same(a, c, rows, options, 2000);
  CHECK(a.parameter("layer1.running_mean").cwiseAbs().maxCoeff() > 0);
  check_same(a, c, rows.with_weights(training::sample_weights(n)), options, 2000);
}

TEST_CASE("theta of a network after training on sparse rows has the same bits for any number of threads") {
  const auto rows = sparse::many_rows<float>(500);
  const Index f = rows.num_features();
  const auto weighted = rows.with_weights(training::sample_weights(500));
  check_same_hash(network({AnyOptimizer::sgd, 0.1}, {1e-3, 1e-4}, f), rows, {.epochs = 2, .batch_size = 150, .seed = 5});
  check_same_hash(network({AnyOptimizer::adagrad, 0.01}, {0, 1e-4}, f), weighted, {.epochs = 1, .batch_size = 99, .seed = 5});
  check_same_hash(network({AnyOptimizer::lazy_adam, 0.01}, {}, f), weighted, {.epochs = 1, .batch_size = 101, .seed = 5});
}

TEST_CASE("a network with Dropout on sparse rows from a cache gives the bits of memory") {
  const TemporaryFolder folder;
  const auto rows = sparse::random_rows<float>(d, n);
  write_cache(folder.path / "rows", rows, {.rows_per_block = 10});
  const CachedRows<float> cached{folder.path / "rows", {.window_blocks = 3}};
  auto trainer = network({AnyOptimizer::sgd, 0.1});
  const FitOptions options{.epochs = 2, .batch_size = 9, .seed = 4, .threads = 2, .windows = cached.windows()};
  const std::uint64_t expected = trainer.fit(rows, options).theta_hash;
  CHECK(trainer.fit(cached, options).theta_hash == expected);
}

/// λ grows with every step, and is for the second layer alone.
struct Growing {
  double now = 0;

  bool applies_to(const ParameterBlock& block) const { return block.name == "layer1.weight"; }
  void begin_step(const StepInfo&) { now += 0.01; }
  template <class S>
  double value(const ConstVectorRef<S>& theta) const {
    return now * static_cast<double>(theta.squaredNorm()) / 2;
  }
  template <class S>
  void add_gradient(const ConstVectorRef<S>& theta, VectorRef<S> grad) const {
    grad += static_cast<S>(now) * theta;
  }
};

TEST_CASE("a regularizer that changes from step to step begins anew with every fit on sparse rows, and is what the penalty is of") {
  const auto rows = sparse::random_rows<double>(d, n);
  const auto dense = sparse::dense(rows);
  Trainer trainer{Mlp<double>{{d, 5, 3}, Activation::tanh}, SoftmaxCrossEntropy{}, Growing{}, Sgd{.rate = 0.1}};
  const FitOptions options{.epochs = 2, .batch_size = 20, .seed = 4};
  const Summary first = trainer.fit(rows, options), again = trainer.fit(rows, options), of_dense = trainer.fit(dense, options);
  CHECK(first.theta_hash == again.theta_hash);
  CHECK(first.history.back().penalty > 0);
  CHECK(first.history.back().penalty == Approx(of_dense.history.back().penalty).epsilon(1e-12));
}

TEST_CASE("growth of a network's first layer by momentum is seen where no row has the features, and what only might grow is left alone") {
  const auto make = [](const Rates& rates) { return mlp<float>({AnyOptimizer::momentum, 1}, {1, 0}, {d, 5, 4, 3}, rates); };
  auto made = make({});
  made.initialize(1);
  // The layers behind it are 0, and stay so: they would show what grows in any case.
  Vector<float> theta = Vector<float>::Zero(made.theta().size());
  const auto& first = made.parameters()["layer0.weight"];
  theta.segment(first.offset, first.size()) = made.theta().segment(first.offset, first.size());
  sparse::check_growth(make, d, theta, false);
}

TEST_CASE("a network on sparse rows: what has no exact lazy form is refused, and a step that is not finite leaves all as it was") {
  const auto rows = sparse::many_rows<float>(400);
  const Index f = rows.num_features();
  const auto refused = [&](const AnyOptimizer& optimizer, const Both& both, const std::string& why) {
    auto trainer = network(optimizer, both, f);
    trainer.initialize(1);
    const Vector<float> theta = trainer.theta();
    CHECK_THROWS_WITH(trainer.fit(rows, {.epochs = 1, .batch_size = 7}), ContainsSubstring(why) && ContainsSubstring("Sgd without"));
    CHECK(trainer.theta() == theta);
  };
  refused({AnyOptimizer::momentum, 0.1}, {0, 0.1}, "L1 has no exact lazy form with momentum");
  refused({AnyOptimizer::adagrad, 0.1}, {0.1, 0}, "L2 has no exact lazy form");
  refused({AnyOptimizer::lazy_adam, 0.1}, {0, 0.1}, "L1 has no exact lazy form");

  const int threads = GENERATE(1, 3);
  const auto kind = GENERATE(AnyOptimizer::sgd, AnyOptimizer::adagrad);
  const Index first_bad = GENERATE(330, 5);
  CAPTURE(threads, int{kind}, first_bad);
  // Four more numbers than there is room for, in the first layer's gradient.
  Vector<double> weights = Vector<double>::Ones(400);
  weights[first_bad] = 3e38;
  Vector<float> values = rows.values();
  values.segment(first_bad * 30, 30) *= 1000;
  const auto bad = SparseRows<float>(rows.offsets(), rows.indices(), values, f).with_labels(rows.labels()).with_weights(weights);
  const FitOptions options{
      .epochs = 1, .batch_size = 100, .seed = 5, .threads = threads, .shuffle = false, .on_divergence = OnDivergence::skip};
  auto a = network({kind, 0.01}, {}, f), b = network({kind, 0.01}, {}, f);
  const Summary summary = a.fit(bad, options);
  REQUIRE(summary.divergences.size() == 1);
  CHECK(summary.divergences[0].step == first_bad / 100 + 1);
  CHECK_THAT(summary.divergences[0].text(), ContainsSubstring("the gradient of 'layer"));
  Vector<double> without = Vector<double>::Ones(400);
  without.segment(first_bad / 100 * 100, 100).setZero();
  CHECK(b.fit(rows.with_weights(without), options).theta_hash == summary.theta_hash);
  FitOptions more = options;
  more.warm_start = true;
  CHECK(a.fit(rows, more).theta_hash == b.fit(rows, more).theta_hash);
}

}  // namespace sparse_mlp_test
