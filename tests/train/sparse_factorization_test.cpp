// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include <parade/data/cache.hpp>
#include <parade/data/cached.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/models/factorization_machine.hpp>

#include "support/sparse_sums.hpp"
#include "support/temporary_folder.hpp"

namespace sparse_factorization_test {

// A factorization machine on sparse rows: what it gives on the same samples as dense data, to rounding.

namespace {

using namespace parade;
using Catch::Matchers::ContainsSubstring;
using sparse::AnyOptimizer, sparse::Both, sparse::Rates;

constexpr Index n = 97, d = 40, r = 3;

template <class S>
auto machine(const AnyOptimizer& optimizer, const Both& both = {}, Index features = d, const Rates& rates = {}) {
  return Trainer{FactorizationMachine<S>{features, r}, Logistic{}, both, optimizer, rates};
}

/// Without rows of one entry: there the factors' gradient is 0, and on dense data what rounding leaves of two terms that cancel, which an optimizer that
/// divides by the size of a gradient makes a step of. As in sparse::random_rows, but for these rows, which are empty.
template <class S>
SparseRows<S> rows_of_pairs(bool values = true) {
  const auto all = sparse::random_rows<S>(d, n, 2, values);
  std::vector<std::int32_t> indices;
  std::vector<S> entries;
  Vector<std::int64_t> offsets = Vector<std::int64_t>::Zero(n + 1);
  for (Index i = 0; i < n; ++i) {
    if (all.offsets()[i + 1] - all.offsets()[i] > 1)
      for (Index e = all.offsets()[i]; e < all.offsets()[i + 1]; ++e) {
        indices.push_back(all.indices()[e]);
        if (values) entries.push_back(all.values()[e]);
      }
    offsets[i + 1] = static_cast<std::int64_t>(indices.size());
  }
  return SparseRows<S>(offsets, Vector<std::int32_t>::Map(indices.data(), static_cast<Index>(indices.size())),
                       Vector<S>(Vector<S>::Map(entries.data(), static_cast<Index>(entries.size()))), d)
      .with_labels(all.labels());
}

}  // namespace

TEST_CASE("a factorization machine on sparse rows is that on dense data, with every optimizer and regularizer that there is") {
  struct Pair {
    AnyOptimizer optimizer;
    Both both;
  };
  const auto pair = GENERATE(values<Pair>({{{AnyOptimizer::sgd, 0.3}, {}},
                                           {{AnyOptimizer::sgd, 0.3}, {0.05, 0}},
                                           {{AnyOptimizer::sgd, 0.3}, {0, 0.003}},
                                           {{AnyOptimizer::sgd, 0.3}, {0.05, 0.003, true}},
                                           {{AnyOptimizer::momentum, 0.1}, {}},
                                           {{AnyOptimizer::momentum, 0.1}, {0.05, 0, true}},
                                           {{AnyOptimizer::nesterov, 0.03}, {0.05, 0}},
                                           {{AnyOptimizer::adagrad, 0.1}, {}},
                                           {{AnyOptimizer::adagrad, 0.1}, {0, 0.003}},
                                           {{AnyOptimizer::lazy_adam, 0.02}, {}},
                                           {{AnyOptimizer::ftrl, 0.1}, {}}}));
  const Index b = GENERATE(1, 7, 97);
  CAPTURE(int{pair.optimizer.kind}, pair.both.l2, pair.both.l1, b);
  const FitOptions options{.epochs = 4, .batch_size = b, .seed = 3};
  auto a = machine<double>(pair.optimizer, pair.both), c = machine<double>(pair.optimizer, pair.both);
  const auto rows = rows_of_pairs<double>();
  check_same(a, c, rows, options, 4000);
  FitOptions more = options;  // and on from there: states belong to the same elements, and steps are counted on
  more.warm_start = true;
  more.epochs = 2;
  check_same(a, c, rows.with_weights(training::sample_weights(n)), more, 20000);
  check_same(a, c, rows_of_pairs<double>(false), options, 4000);
  if (pair.both.l1 > 0) CHECK((a.theta().array() == 0).count() > r + 1);
  CHECK((a.theta() - c.theta()).cwiseAbs().maxCoeff() > 0);  // they are not the same computation
}

TEST_CASE("a factorization machine in float on sparse rows, and with rows of one entry") {
  const Index b = GENERATE(1, 8, 33);
  auto a = machine<float>({AnyOptimizer::sgd, 0.3}, {0.01, 0}), c = machine<float>({AnyOptimizer::sgd, 0.3}, {0.01, 0});
  check_same(a, c, sparse::random_rows<float>(d, n), {.epochs = 3, .batch_size = b, .seed = 3}, 500);
  check_same(a, c, sparse::random_rows<float>(d, n, 2, false).with_weights(training::sample_weights(n)),
             {.epochs = 3, .batch_size = b, .seed = 3}, 500);
  auto three = machine<float>({AnyOptimizer::lazy_adam, 0.02}), other = machine<float>({AnyOptimizer::lazy_adam, 0.02});
  check_same(three, other, rows_of_pairs<float>(), {.epochs = 2, .batch_size = b, .seed = 3}, 20000);
}

TEST_CASE("the factors of a feature that is always alone in its sample have a gradient of exactly 0") {
  Vector<std::int64_t> offsets(n + 1);
  Vector<std::int32_t> indices(n);
  Vector<Label> labels(n);
  offsets[0] = 0;
  for (Index i = 0; i < n; ++i) {
    offsets[i + 1] = i + 1;
    indices[i] = static_cast<std::int32_t>(i % (d / 2));
    labels[i] = static_cast<Label>(i % 3 == 0);
  }
  const auto rows = SparseRows<float>(offsets, indices, training::random_vector<float>(n, 3), d).with_labels(labels);
  auto trainer = machine<float>({AnyOptimizer::lazy_adam, 0.02});
  trainer.initialize(3);
  const Matrix<float> factors = trainer.parameter("factors");
  trainer.fit(rows, {.epochs = 2, .batch_size = 7, .seed = 3});
  CHECK(trainer.parameter("factors") == factors);
  CHECK(trainer.parameter("weight").leftCols(d / 2).cwiseAbs().minCoeff() > 0);
}

TEST_CASE(
    "a factorization machine where the rate is large for the regularizer: the factor of a step is small, 0, negative, below minus 1") {
  const double factor = GENERATE(0.3, 1e-3, 1e-14, 0.0, -0.5, -1.0, -1.2), l1 = GENERATE(0.0, 0.002);
  const Index b = GENERATE(1, 7);
  CAPTURE(factor, l1, b);
  const Both both{(1 - factor) / 0.05, l1};
  auto a = machine<double>({AnyOptimizer::sgd, 0.05}, both), c = machine<double>({AnyOptimizer::sgd, 0.05}, both);
  check_same(a, c, sparse::random_rows<double>(d, n), {.epochs = factor < -1 && b == 1 ? 1 : 3, .batch_size = b, .seed = 3}, 20000);
}

TEST_CASE(
    "a factorization machine: a row without weight does not count, and a feature that does not occur may not leave the range of numbers") {
  const auto rows = sparse::random_rows<double>(d, n);
  Vector<double> weights = Vector<double>::Ones(n);
  weights[8] = 0;
  Vector<double> values = rows.values();
  for (Index e = rows.offsets()[8]; e < rows.offsets()[9]; ++e) values[e] = 1e300;  // infinite in float
  REQUIRE(rows.offsets()[9] > rows.offsets()[8]);
  const auto absent = SparseRows<double>(rows.offsets(), rows.indices(), values, d).with_labels(rows.labels()).with_weights(weights);
  auto trainer = machine<float>({AnyOptimizer::sgd, 0.1}, {21, 0});  // every θ times −1.1
  const FitOptions options{.epochs = 1, .batch_size = 7, .seed = 3, .check_data = false};
  const std::uint64_t expected = trainer.fit(rows.with_weights(weights), options).theta_hash;
  CHECK(trainer.fit(absent, options).theta_hash == expected);

  Vector<float> theta = trainer.theta();
  const Index last = trainer.parameters()["weight"].offset + d - 1;
  theta[last] = 3e38F;
  trainer.set_theta(theta);
  CHECK(trainer.partial_fit(rows).samples == n);  // 3.3e38 still is a number
  CHECK(trainer.theta()[last] == -1.1F * 3e38F);
  theta[last] = 3.2e38F;
  trainer.set_theta(theta);
  CHECK_THROWS_AS(trainer.partial_fit(rows), std::runtime_error);
  CHECK(trainer.theta() == theta);
}

TEST_CASE("theta of a factorization machine after training on sparse rows has the same bits for any number of threads") {
  const auto rows = sparse::many_rows<float>(700);
  const SparseRows<float> ones = SparseRows<float>(rows.offsets(), rows.indices(), {}, rows.num_features()).with_labels(rows.labels());
  const FitOptions options{.epochs = 2, .batch_size = 150, .seed = 5};
  const Index f = rows.num_features();
  check_same_hash(machine<float>({AnyOptimizer::sgd, 0.5}, {1e-3, 1e-4}, f), rows, options);
  check_same_hash(machine<float>({AnyOptimizer::adagrad, 0.1}, {0, 1e-4}, f), ones, options);
  check_same_hash(machine<float>({AnyOptimizer::lazy_adam, 0.01}, {}, f), rows.with_weights(training::sample_weights(700)),
                  {.epochs = 1, .batch_size = 33, .seed = 5, .shard_size = 10});
}

TEST_CASE("a factorization machine on sparse rows from a cache gives the bits of memory, and callbacks see theta as it is") {
  const TemporaryFolder folder;
  const auto rows = sparse::random_rows<float>(d, n);
  write_cache(folder.path / "rows", rows, {.rows_per_block = 10});
  const CachedRows<float> cached{folder.path / "rows", {.window_blocks = 3}};
  auto trainer = machine<float>({AnyOptimizer::sgd, 0.3}, {0.05, 1e-3});
  FitOptions options{.epochs = 3, .batch_size = 9, .seed = 4, .threads = 2, .windows = cached.windows()};
  const std::uint64_t expected = trainer.fit(rows, options).theta_hash;
  const Evaluation evaluated = trainer.evaluate(rows);
  CHECK(trainer.fit(cached, options).theta_hash == expected);
  CHECK(trainer.evaluate(cached).loss == evaluated.loss);
  CHECK(trainer.scores(cached) == trainer.scores(rows));
  CHECK(trainer.predict(cached) == trainer.predict(rows));

  const auto many = sparse::many_rows<float>(700);  // of steps that are shared
  write_cache(folder.path / "many", many, {.rows_per_block = 37});
  const CachedRows<float> in_windows{folder.path / "many", {.window_blocks = 5}};
  auto shared = machine<float>({AnyOptimizer::adagrad, 0.1}, {0, 1e-4}, many.num_features());
  FitOptions steps{.epochs = 2, .batch_size = 150, .seed = 2, .threads = 1, .windows = in_windows.windows()};
  const std::uint64_t alone = shared.fit(many, steps).theta_hash;
  for (const int threads : {1, 2, 3, 8}) {
    steps.threads = threads;
    CHECK(shared.fit(in_windows, steps).theta_hash == alone);
  }

  struct Look {
    decltype(trainer)* own;
    std::vector<Vector<float>> seen;
    void on_step(const StepReport&) { seen.push_back(own->theta()); }
  } look{&trainer, {}};
  CHECK(trainer.fit(rows, options, look).theta_hash == expected);
  auto other = machine<float>({AnyOptimizer::sgd, 0.3}, {0.05, 1e-3});
  Look dense{&other, {}};
  other.fit(sparse::dense(rows), options, dense);
  REQUIRE(look.seen.size() == dense.seen.size());
  for (std::size_t i = 0; i < look.seen.size(); ++i) CHECK((look.seen[i] - dense.seen[i]).cwiseAbs().maxCoeff() < 1e-5F);
}

TEST_CASE("partial_fit of a factorization machine takes sparse rows, and dense and sparse steps may follow each other") {
  const auto rows = rows_of_pairs<double>();
  const AnyOptimizer optimizer = GENERATE(values<AnyOptimizer>({{AnyOptimizer::sgd, 0.3}, {AnyOptimizer::adagrad, 0.1}}));
  auto a = machine<double>(optimizer), c = machine<double>(optimizer);
  for (int i = 0; i < 6; ++i) {
    const BatchSum x = i % 2 == 0 ? a.partial_fit(rows) : a.partial_fit(sparse::dense(rows)), y = c.partial_fit(sparse::dense(rows));
    CHECK(std::abs(x.loss - y.loss) < 1e-12 * y.loss);
    CHECK(x.weight == y.weight);
  }
  CHECK((a.theta() - c.theta()).cwiseAbs().maxCoeff() < 1e-12);
}

TEST_CASE("growth of a factorization machine by momentum is seen where no row has the features, and what only might grow is left alone") {
  auto made = machine<float>({AnyOptimizer::momentum, 1});
  made.initialize(1);
  REQUIRE(made.theta().segment(made.parameters()["factors"].offset, r * d).cwiseAbs().minCoeff() > 0);
  sparse::check_growth(
      [](const Rates& rates) {
        return machine<float>({AnyOptimizer::momentum, 1}, {1, 0}, d, rates);
      },
      d, made.theta(), true);
}

TEST_CASE("a factorization machine: what has no exact lazy form is refused, and a step that is not finite leaves all as it was") {
  auto rows = sparse::many_rows<float>(400);
  const Index f = rows.num_features();
  const auto refused = [&](const AnyOptimizer& optimizer, const Both& both, const std::string& why) {
    auto trainer = machine<float>(optimizer, both, f);
    trainer.initialize(1);
    const Vector<float> theta = trainer.theta();
    CHECK_THROWS_WITH(trainer.fit(rows, {.epochs = 1, .batch_size = 7}), ContainsSubstring(why) && ContainsSubstring("Sgd without"));
    CHECK(trainer.theta() == theta);
  };
  refused({AnyOptimizer::momentum, 0.1}, {0, 0.1}, "L1 has no exact lazy form with momentum");
  refused({AnyOptimizer::adagrad, 0.1}, {0.1, 0}, "L2 has no exact lazy form");
  refused({AnyOptimizer::lazy_adam, 0.1}, {0, 0.1}, "L1 has no exact lazy form");

  // Two rows of the same large values and other labels: the loss of neither overflows float, the gradient of one does.
  const int threads = GENERATE(1, 3);
  const auto kind = GENERATE(AnyOptimizer::sgd, AnyOptimizer::adagrad);
  const Index first_bad = GENERATE(330, 4);
  CAPTURE(threads, int{kind}, first_bad);
  Vector<float> values = rows.values();
  Vector<std::int32_t> indices = rows.indices();
  Vector<Label> labels = rows.labels();
  Vector<double> weights = Vector<double>::Ones(400);
  for (Index i = first_bad; i < first_bad + 2; ++i) {
    weights[i] = 1e15;
    labels[i] = static_cast<Label>(i % 2);
    values.segment(i * 30, 30).setConstant(1e13F);
    indices.segment(i * 30, 30) = rows.indices().segment(first_bad * 30, 30);
  }
  const auto bad = SparseRows<float>(rows.offsets(), indices, values, f).with_labels(labels).with_weights(weights);
  const FitOptions options{
      .epochs = 1, .batch_size = 100, .seed = 5, .threads = threads, .shuffle = false, .on_divergence = OnDivergence::skip};
  const Both both{0, kind == AnyOptimizer::sgd ? 1e-4 : 0};
  auto a = machine<float>({kind, 0.1}, both, f), b = machine<float>({kind, 0.1}, both, f);
  const Summary summary = a.fit(bad, options);
  REQUIRE(summary.divergences.size() == 1);
  CHECK(summary.divergences[0].step == first_bad / 100 + 1);
  CHECK_THAT(summary.divergences[0].text(), ContainsSubstring("the gradient of 'factors' is not finite"));
  // Without that batch.
  Vector<double> without = Vector<double>::Ones(400);
  without.segment(first_bad / 100 * 100, 100).setZero();
  CHECK(b.fit(rows.with_weights(without), options).theta_hash == summary.theta_hash);
  FitOptions more = options;
  more.warm_start = true;
  CHECK(a.fit(rows, more).theta_hash == b.fit(rows, more).theta_hash);
}

}  // namespace sparse_factorization_test
