// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include <parade/data/cache.hpp>
#include <parade/data/cached.hpp>
#include <parade/data/splits.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/models/linear.hpp>
#include <parade/models/mlp.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/l1.hpp>

#include "support/sparse_sums.hpp"
#include "support/temporary_folder.hpp"

namespace sparse_svrg_test {

// Variance-reduced gradients on sparse rows: the gradient over all data moves every feature in every step, which is made up for when it is read. The result is
// that of dense data, to rounding.

namespace {

using namespace parade;
using sparse::check_same;
using sparse::check_same_hash;
using sparse::Halving;
using sparse::Ridge;

constexpr Index n = 97, d = 40;

auto make(const Ridge& ridge, double rate = 0.3, Index features = d) {
  return Trainer{Linear<double>{features, 3}, SoftmaxCrossEntropy{}, ridge, Sgd{.rate = rate}, Halving{}};
}
auto constant(const Ridge& ridge, double rate, Index features = d) {
  return Trainer{Linear<double>{features, 3}, SoftmaxCrossEntropy{}, ridge, Sgd{.rate = rate}};
}

}  // namespace

TEST_CASE("variance-reduced gradients on sparse rows are those on dense data, with and without L2") {
  const Ridge ridge = GENERATE(values<Ridge>({{}, {0.05}, {0.05, false, true}, {0.05, true, true}}));
  const Index b = GENERATE(1, 7, 97);
  const Index every = GENERATE(1, 2);
  CAPTURE(ridge.lambda, ridge.in_prox, ridge.biases, b, every);
  const auto rows = sparse::random_rows<double>(d, n, 3);
  auto a = make(ridge), c = make(ridge), plain = make(ridge);
  FitOptions options{.epochs = 4, .batch_size = b, .seed = 3, .threads = every == 1 ? 1 : 3, .svrg = every};
  check_same(a, c, rows, options, 2000);
  options.warm_start = true;
  options.epochs = 3;
  check_same(a, c, rows.with_weights(training::sample_weights(n)), options, 4000);
  check_same(a, c, sparse::random_rows<double>(d, n, 3, false), options, 8000);
  CHECK((a.theta() - c.theta()).cwiseAbs().maxCoeff() > 0);  // they are not the same computation
  options.svrg = 0;
  check_same(a, c, rows, options, 10000);  // plain steps after it
}

TEST_CASE("variance-reduced gradients where the rate is large for L2: the factor of a step is small, 0, negative, below minus 1") {
  const auto rows = sparse::random_rows<double>(d, n, 3);
  const double product = GENERATE(0.9, 1.0, 1.5, 1.9, 2.02);
  const double rate = 0.2;
  CAPTURE(product);
  auto a = constant({product / rate}, rate), c = constant({product / rate}, rate);
  check_same(a, c, rows, {.epochs = 3, .batch_size = 7, .seed = 2, .threads = 2, .svrg = 1}, 1e5);
}

TEST_CASE("with variance-reduced gradients a constant rate reaches the optimum on sparse rows, which it does not without") {
  const auto rows = sparse::random_rows<double>(d, n, 3).with_weights(training::sample_weights(n));
  auto reduced = constant({0.02}, 0.5), plain = constant({0.02}, 0.5);
  FitOptions options{.epochs = 300, .batch_size = 8, .seed = 1, .threads = 2, .svrg = 2};
  reduced.fit(rows, options);
  CHECK(reduced.residual(sparse::dense(rows)) < 1e-12);
  options.svrg = 0;
  plain.fit(rows, options);
  CHECK(plain.residual(sparse::dense(rows)) > 1e-3);
}

TEST_CASE("theta after variance-reduced training on sparse rows has the same bits for any number of threads, from a cache, and in parts") {
  const auto rows = sparse::many_rows<double>(500);
  const Ridge ridge = GENERATE(values<Ridge>({{}, {1e-3}}));
  const auto trainer = [&] { return make(ridge, 0.3, rows.num_features()); };
  check_same_hash(trainer(), rows, {.epochs = 2, .batch_size = 150, .seed = 5, .svrg = 1});
  check_same_hash(trainer(), rows, {.epochs = 2, .batch_size = 7, .seed = 5, .svrg = 2});
  check_same_hash(trainer(), rows.with_weights(training::sample_weights(500)), {.epochs = 2, .batch_size = 500, .seed = 5, .svrg = 1});

  const TemporaryFolder folder;
  write_cache(folder.path / "rows", rows, {.rows_per_block = 37});
  const CachedRows<double> cached{folder.path / "rows", {.window_blocks = 5}};
  FitOptions options{.epochs = 4, .batch_size = 50, .seed = 2, .threads = 2, .svrg = 2, .windows = cached.windows()};
  auto a = trainer(), b = trainer();
  const std::uint64_t expected = a.fit(rows, options).theta_hash;
  CHECK(b.fit(cached, options).theta_hash == expected);
  options.epochs = 2;
  b.fit(cached, options);
  options.warm_start = true;
  CHECK(b.fit(rows, options).theta_hash == expected);
}

TEST_CASE("callbacks see theta as it is in the midst of variance-reduced training on sparse rows") {
  const auto rows = sparse::random_rows<double>(d, n, 3);
  const FitOptions options{.epochs = 2, .batch_size = 7, .seed = 3, .svrg = 1};
  auto plain = make({0.05}), looked_at = make({0.05}), dense = make({0.05});
  struct Look {
    decltype(plain)* trainer;
    std::vector<Vector<double>> seen;
    void on_step(const StepReport&) { seen.push_back(trainer->theta()); }
  } look{&looked_at, {}}, of_dense{&dense, {}};
  CHECK(looked_at.fit(rows, options, look).theta_hash == plain.fit(rows, options).theta_hash);
  dense.fit(sparse::dense(rows), options, of_dense);
  REQUIRE(look.seen.size() == of_dense.seen.size());
  for (std::size_t i = 0; i < look.seen.size(); ++i) CHECK((look.seen[i] - of_dense.seen[i]).cwiseAbs().maxCoeff() < 1e-13);
}

TEST_CASE(
    "a step with variance-reduced gradients that is not finite leaves theta as it was, and what is not finite at an anchor is left out or "
    "named") {
  const int threads = GENERATE(1, 3);
  const auto rows = sparse::many_rows<double>(400);
  Vector<double> weights = Vector<double>::Ones(400), values = rows.values();
  weights[330] = 1e307;
  values.segment(330 * 30, 30) *= 1e4;
  const auto bad =
      SparseRows<double>(rows.offsets(), rows.indices(), values, rows.num_features()).with_labels(rows.labels()).with_weights(weights);
  FitOptions options{
      .epochs = 2, .batch_size = 100, .seed = 5, .threads = threads, .shuffle = false, .on_divergence = OnDivergence::skip, .svrg = 1};
  auto a = make({1e-3}, 0.3, rows.num_features()), b = make({1e-3}, 0.3, rows.num_features());
  const Summary summary = a.fit(bad, options);
  CHECK(summary.steps == 6);  // two steps were not taken; nor is their batch in the gradient over all data
  Vector<double> without = Vector<double>::Ones(400);
  without.segment(300, 100).setZero();
  CHECK(b.fit(rows.with_weights(without), options).theta_hash == summary.theta_hash);
  options.on_divergence = OnDivergence::stop;
  const Summary stopped = a.fit(bad, options);
  CHECK(stopped.stop_reason == StopReason::diverged);
  CHECK(stopped.steps == 0);
  REQUIRE(stopped.divergences.size() == 1);
  CHECK(stopped.divergences[0].parameter == "weight");
}

TEST_CASE("a feature that the gradient over all data would bring out of the range of numbers ends a run on sparse rows as on dense data") {
  // Feature 1 occurs in the first sample alone, with a slope that is almost as large as there are numbers.
  const auto rows = SparseRows<double>(Vector<std::int64_t>{{0, 2, 3, 4, 5}}, Vector<std::int32_t>{{0, 1, 0, 0, 0}},
                                       Vector<double>{{1e-3, 1.6e308, 1, 1, 1}}, 3)
                        .with_labels(Vector<Label>{{0, 1, 2, 1}});
  const FitOptions options{.epochs = 1, .batch_size = 1, .seed = 0, .shuffle = false, .svrg = 1};
  const double rate = GENERATE(0.3, 12.0);
  CAPTURE(rate);
  const auto in_order = rows_of(rows, std::vector<Index>{1, 2, 3, 0});
  auto x = constant({}, rate, 3), y = constant({}, rate, 3);
  const Summary s = x.fit(in_order, options), t = y.fit(sparse::dense(in_order), options);
  CHECK(s.stop_reason == t.stop_reason);
  CHECK(s.steps == t.steps);
  CHECK(x.theta().allFinite());
}

TEST_CASE("variance-reduced gradients without an exact lazy form are refused before anything is changed") {
  const auto rows = sparse::random_rows<double>(d, n);
  const auto refused = [&](auto trainer, const char* why) {
    trainer.initialize(1);
    const Vector<double> theta = trainer.theta();
    CHECK_THROWS_WITH(trainer.fit(rows, {.batch_size = 7, .svrg = 1}), Catch::Matchers::ContainsSubstring(why));
    CHECK(trainer.theta() == theta);
  };
  refused(Trainer{Linear<double>{d, 3}, SoftmaxCrossEntropy{}, L1{.lambda = 0.1}, Sgd{.rate = 0.1}},
          "exact lazy form for Sgd without momentum");
  refused(Trainer{Linear<double>{d, 3}, SoftmaxCrossEntropy{}, Ridge{}, Sgd{.rate = 0.1, .momentum = 0.9}}, "Sgd without momentum");
  refused(Trainer{Mlp<double>{d, 4, 3}, SoftmaxCrossEntropy{}, Ridge{}, Sgd{.rate = 0.1}}, "for a model that is not linear");
}

TEST_CASE("theta over a scale that has become small stays in the range of numbers") {
  constexpr int count = 41;  // the second feature, with a large gradient, occurs in the last step only
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> indices;
  std::vector<float> values;
  Vector<Label> labels(count);
  for (int i = 0; i < count; ++i) {
    indices.push_back(0);
    values.push_back(1);
    if (i == count - 1) {
      indices.push_back(1);
      values.push_back(1e31f);
    }
    offsets.push_back(static_cast<std::int64_t>(indices.size()));
    labels[i] = i % 2;
  }
  const auto vector = []<class T>(std::vector<T>& from) {
    return Vector<T>(Eigen::Map<Vector<T>>(from.data(), static_cast<Index>(from.size())));
  };
  const auto rows = SparseRows<float>(vector(offsets), vector(indices), vector(values), 3).with_labels(labels);
  for (const bool in_prox : {false, true}) {
    CAPTURE(in_prox);
    const auto make_one = [&] {
      return Trainer{Linear<float>{3, 2}, SoftmaxCrossEntropy{}, Ridge{.lambda = 1, .in_prox = in_prox}, Sgd{.rate = 0.5}};
    };
    auto lazy = make_one(), dense = make_one();
    struct Stop {
      Signal on_step(const StepReport& report) { return report.step == 38 ? Signal::stop : Signal::go_on; }
    } first, second;
    const FitOptions options{.epochs = 1, .batch_size = 1, .threads = 1, .shuffle = false, .svrg = 1};
    CHECK(lazy.fit(rows, options, first).divergences.empty());
    CHECK(dense.fit(sparse::dense(rows), options, second).divergences.empty());
    CHECK((lazy.theta() - dense.theta()).cwiseAbs().maxCoeff() <= 1e-4f * dense.theta().cwiseAbs().maxCoeff());
  }
}

TEST_CASE("a gradient over all data that is not finite stops the steps of its anchor, as on dense data, and is forgotten with it") {
  const auto rows = SparseRows<double>(Vector<std::int64_t>{{0, 2, 4, 5, 6}}, Vector<std::int32_t>{{0, 1, 0, 1, 0, 2}},
                                       Vector<double>{{1, 1.7e308, 1, 1.7e308, 1, 1}}, 3)
                        .with_labels(Vector<Label>{{0, 0, 1, 1}})
                        .with_weights(Vector<double>{{1.5, 1.5, 1, 1}});
  auto lazy = constant({}, 1e-3, 3), dense = constant({}, 1e-3, 3);
  const FitOptions options{
      .epochs = 3, .batch_size = 1, .threads = 1, .shuffle = false, .warm_start = true, .on_divergence = OnDivergence::skip, .svrg = 1};
  lazy.set_theta(Vector<double>::Zero(12));
  dense.set_theta(Vector<double>::Zero(12));
  const auto of_lazy = lazy.fit(rows, options), of_dense = dense.fit(sparse::dense(rows), options);
  CHECK(of_lazy.divergences.size() == of_dense.divergences.size());
  CHECK(of_lazy.steps == of_dense.steps);
  CHECK(lazy.theta() == dense.theta());
}

}  // namespace sparse_svrg_test
