// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

#include <parade/data/cache.hpp>
#include <parade/data/cached.hpp>
#include <parade/data/splits.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/linear.hpp>
#include <parade/optimizers/sgd.hpp>

#include "support/sparse_sums.hpp"
#include "support/temporary_folder.hpp"

namespace sparse_momentum_test {

// SGD with momentum on sparse rows: a feature that does not occur goes on moving, which is made up for when it is read. The result is that of dense data,
// to rounding.

namespace {

using namespace parade;
using sparse::check_same;
using sparse::check_same_hash;
using sparse::Rates;
using sparse::Ridge;

constexpr Index n = 97, d = 40;

/// One Trainer for all of the tests.
auto make(const Sgd& sgd, const Ridge& ridge = {}, Index features = d, Index outputs = 3, const Rates& rates = {}) {
  return Trainer{Linear<double>{features, outputs}, SoftmaxCrossEntropy{}, ridge, sgd, rates};
}

const Sgd heavy{.rate = 0.1, .momentum = 0.9}, damped{.rate = 0.3, .momentum = 0.8, .dampening = 0.4},
    nesterov{.rate = 0.05, .momentum = 0.95, .nesterov = true};

}  // namespace

TEST_CASE("SGD with momentum on sparse rows is that on dense data, with and without L2") {
  const Sgd sgd = GENERATE(heavy, damped, nesterov);
  const Ridge ridge = GENERATE(values<Ridge>({{}, {0.05}, {0.05, false, true}, {0.05, true, true}}));
  const Index b = GENERATE(1, 7, 97);
  const auto seed = GENERATE(as<std::uint64_t>(), 3, 8);
  CAPTURE(sgd.momentum, ridge.lambda, ridge.in_prox, ridge.biases, b, seed);
  const auto rows = sparse::random_rows<double>(d, n, 3);
  auto a = make(sgd, ridge), c = make(sgd, ridge);
  FitOptions options{.epochs = 4, .batch_size = b, .seed = seed, .threads = seed == 3 ? 1 : 3};
  check_same(a, c, rows, options, 2000);
  options.warm_start = true;  // v belongs to the same elements
  options.epochs = 2;
  check_same(a, c, rows.with_weights(training::sample_weights(n)), options, 10000);
  check_same(a, c, sparse::random_rows<double>(d, n, 3, false), options, 10000);
  CHECK((a.theta() - c.theta()).cwiseAbs().maxCoeff() > 0);  // they are not the same computation
}

TEST_CASE("a feature that is missed for thousands of steps is where the dense computation has it, also when the table of steps is full") {
  const Ridge ridge = GENERATE(values<Ridge>({{}, {0.002}}));
  const Index count = 9000;
  const auto some = sparse::random_rows<double>(d, n, 3);
  Vector<std::int64_t> offsets(count + 1);
  std::vector<std::int32_t> indices;
  std::vector<double> values;
  Vector<Label> labels(count);
  offsets[0] = 0;
  for (Index i = 0; i < count; ++i) {
    const Index row = i % n;
    for (Index e = some.offsets()[row]; e < some.offsets()[row + 1]; ++e) {
      if (some.indices()[e] >= 8 && i % 1500 != row) continue;  // rare
      indices.push_back(some.indices()[e]);
      values.push_back(some.values()[e]);
    }
    if (i == 10 || i == 8990) {  // twice
      indices.push_back(static_cast<std::int32_t>(d - 1));
      values.push_back(2);
    }
    offsets[i + 1] = static_cast<std::int64_t>(indices.size());
    labels[i] = some.labels()[row];
  }
  const auto rows = SparseRows<double>(offsets, Vector<std::int32_t>::Map(indices.data(), static_cast<Index>(indices.size())),
                                       Vector<double>(Vector<double>::Map(values.data(), static_cast<Index>(values.size()))), d)
                        .with_labels(labels);
  auto a = make(heavy, ridge), c = make(heavy, ridge);
  check_same(a, c, rows, {.epochs = 1, .batch_size = 1, .shuffle = false}, 20000);
  CHECK(a.parameter("weight").col(d - 1).cwiseAbs().minCoeff() > 1e-4);
}

TEST_CASE("where the rate is too large for L2, all features move in every step, and one that leaves the range of numbers is seen") {
  const auto rows = sparse::random_rows<double>(d, n, 3);
  const Sgd sgd = GENERATE(heavy, nesterov);
  const double limit = sgd.nesterov ? 2 * 1.95 / (0.05 * 2.9) : 2 * 1.9 / 0.1;
  const double factor = GENERATE(0.99, 1.01, 1.3);
  CAPTURE(sgd.nesterov, factor);
  auto a = make(sgd, {factor * limit, false, true}), c = make(sgd, {factor * limit, false, true});
  check_same(a, c, rows, {.epochs = 2, .batch_size = 7}, factor < 1 ? 1e5 : 1e7);  // both amplify what rounding leaves
  FitOptions options{.epochs = 400, .batch_size = 7, .threads = 2};
  Vector<double> theta = Vector<double>::Zero(a.theta().size());
  theta[3 * (d - 1)] = 1e300;  // of the feature that never occurs
  options.warm_start = true;
  a.set_theta(theta);
  c.set_theta(theta);
  const Summary x = a.fit(rows, options), y = c.fit(sparse::dense(rows), options);
  CHECK(x.stop_reason == y.stop_reason);
  if (factor != 1.01) CHECK(x.steps == y.steps);  // there λθ leaves the range of numbers before θ does, which only dense data need
  if (factor < 1) CHECK(x.stop_reason == StopReason::completed);
  if (factor > 1.1 && !sgd.nesterov) CHECK(x.stop_reason == StopReason::diverged);
  CHECK(a.theta().allFinite());
}

TEST_CASE("rates of which each is small enough for L2, but which together make theta grow, are seen as on dense data") {
  const Index rows_of = 1100;  // float would leave its range after 112
  Vector<std::int64_t> offsets = Vector<std::int64_t>::Ones(rows_of + 1);
  offsets[0] = 0;
  Vector<Label> labels(rows_of);
  for (Index i = 0; i < rows_of; ++i) labels[i] = static_cast<Label>(i % 3);
  const auto rows = SparseRows<double>(offsets, Vector<std::int32_t>::Constant(1, 30), Vector<double>::Ones(1), d).with_labels(labels);
  const FitOptions options{.epochs = 1, .batch_size = 1, .seed = 1, .threads = 2, .shuffle = false};
  const Rates rates{{3.7, 0.0}};
  auto a = make({.rate = 1, .momentum = 0.9}, {.lambda = 1}, d, 3, rates),
       b = make({.rate = 1, .momentum = 0.9}, {.lambda = 1}, d, 3, rates);
  const Summary x = a.fit(rows, options), y = b.fit(sparse::dense(rows), options);
  CHECK(y.divergences.size() == 1);
  CHECK(x.divergences.size() == 1);
  CHECK(x.steps == y.steps);
  CHECK(a.theta().allFinite());
  CHECK(a.fit(rows, options).theta_hash == x.theta_hash);  // nothing of a run is kept for the next

  // In epochs of a step each, and step by step.
  const auto ten = SparseRows<double>(rows.offsets().head(11), rows.indices(), rows.values(), d).with_labels(labels.head(10));
  const FitOptions whole{.epochs = 1100, .batch_size = 10, .seed = 1, .threads = 2};
  const Summary u = a.fit(ten, whole), v = b.fit(sparse::dense(ten), whole);
  CHECK(u.divergences.size() == 1);
  CHECK(u.steps == v.steps);
  CHECK(a.theta().allFinite());

  const auto by_hand = [&](auto& trainer, const auto& data) {
    trainer.initialize(1);
    for (int i = 0; i < 1100; ++i) try {
        trainer.partial_fit(data);
      } catch (const std::runtime_error&) {
        return i;
      }
    return -1;
  };
  const int taken = by_hand(a, ten);
  CHECK(taken > 100);
  CHECK(taken == by_hand(b, sparse::dense(ten)));
  CHECK(a.theta().allFinite());
}

TEST_CASE("products of steps that grow stay in range where theta is small or 0") {
  constexpr Index count = 3000;
  Vector<std::int64_t> offsets(count + 1);
  std::iota(offsets.data(), offsets.data() + count + 1, std::int64_t{0});
  const auto rows = SparseRows<double>(std::move(offsets), Vector<std::int32_t>::Zero(count), Vector<double>::Ones(count), 2)
                        .with_targets(Matrix<double>::Zero(1, count));
  for (const double small : {0.0, 1e-30, 1e-3}) {
    CAPTURE(small);
    const auto make_one = [&] {
      Trainer trainer{Linear<double>{2, 1}, SquaredError{}, Ridge{.lambda = 1}, Sgd{.rate = 1, .momentum = 0.9}, Rates{{3.7, 0.0}}};
      Vector<double> theta(3);
      theta << 0, small, 0;
      trainer.set_theta(theta);
      return trainer;
    };
    auto lazy = make_one(), dense = make_one();
    const FitOptions options{.epochs = 1, .batch_size = 1, .threads = 1, .shuffle = false, .warm_start = true};
    const auto of_lazy = lazy.fit(rows, options), of_dense = dense.fit(sparse::dense(rows), options);
    CHECK(of_lazy.steps == of_dense.steps);
    CHECK(of_lazy.divergences.size() == of_dense.divergences.size());
    CHECK(lazy.theta().allFinite());
    CHECK((lazy.theta() - dense.theta()).cwiseAbs().maxCoeff() <= 1e-9 * dense.theta().cwiseAbs().maxCoeff());
  }
}

TEST_CASE("growth by momentum within the range of numbers changes nothing, and depends on no part of a run") {
  const auto rows = sparse::random_rows<double>(d, n, 3);
  const Rates rates{{3.7, 0.0}};
  const auto trainer = [&] { return make({.rate = 1, .momentum = 0.9}, {.lambda = 1}, d, 3, rates); };
  auto a = trainer(), b = trainer();
  const FitOptions options{.epochs = 2, .batch_size = 1, .seed = 1, .threads = 2};
  const Summary whole = a.fit(rows, options);
  REQUIRE(whole.stop_reason == StopReason::completed);
  CHECK(a.theta().cwiseAbs().maxCoeff() > 1e6);
  FitOptions one = options;
  one.epochs = 1;
  b.fit(rows, one);
  one.warm_start = true;
  CHECK(b.fit(rows, one).theta_hash == whole.theta_hash);
}

TEST_CASE("theta after training with momentum on sparse rows has the same bits for any number of threads") {
  const auto rows = sparse::many_rows<double>(500);
  const Ridge ridge = GENERATE(values<Ridge>({{}, {1e-3}}));
  const auto trainer = [&] { return make(nesterov, ridge, rows.num_features()); };
  check_same_hash(trainer(), rows, {.epochs = 2, .batch_size = 150, .seed = 5});
  check_same_hash(trainer(), rows, {.epochs = 1, .batch_size = 7, .seed = 5});
  check_same_hash(trainer(), rows.with_weights(training::sample_weights(500)), {.epochs = 2, .batch_size = 500, .seed = 5});
  auto a = trainer(), c = trainer();
  check_same(a, c, rows, {.epochs = 2, .batch_size = 149, .seed = 5, .threads = 3}, 2000);

  const TemporaryFolder folder;
  write_cache(folder.path / "rows", rows, {.rows_per_block = 37});
  const CachedRows<double> cached{folder.path / "rows", {.window_blocks = 5}};
  const FitOptions options{.epochs = 2, .batch_size = 50, .seed = 2, .threads = 2, .windows = cached.windows()};
  CHECK(a.fit(cached, options).theta_hash == a.fit(rows, options).theta_hash);
}

TEST_CASE("momentum on sparse rows: callbacks, partial_fit, and a run in parts see theta as it is") {
  const auto rows = sparse::random_rows<double>(d, n, 3);
  const FitOptions options{.epochs = 2, .batch_size = 7, .seed = 3};
  auto plain = make(heavy, {0.05}), looked_at = make(heavy, {0.05}), dense = make(heavy, {0.05});
  const std::uint64_t expected = plain.fit(rows, options).theta_hash;
  struct Look {
    decltype(plain)* trainer;
    std::vector<Vector<double>> seen;
    void on_step(const StepReport&) { seen.push_back(trainer->theta()); }
  } look{&looked_at, {}}, of_dense{&dense, {}};
  CHECK(looked_at.fit(rows, options, look).theta_hash == expected);
  dense.fit(sparse::dense(rows), options, of_dense);
  REQUIRE(look.seen.size() == of_dense.seen.size());
  for (std::size_t i = 0; i < look.seen.size(); ++i) CHECK((look.seen[i] - of_dense.seen[i]).cwiseAbs().maxCoeff() < 1e-13);

  struct Throw {
    void on_step(const StepReport& report) {
      if (report.step == 9) throw std::runtime_error("enough");
    }
  } thrower;
  CHECK_THROWS_WITH(looked_at.fit(rows, options, thrower), "enough");
  CHECK((looked_at.theta() - look.seen[8]).isZero(0));

  FitOptions one = options;
  one.epochs = 1;
  looked_at.fit(rows, one);
  one.warm_start = true;
  CHECK(looked_at.fit(rows, one).theta_hash == expected);

  auto a = make(damped, {0.05}), c = make(damped, {0.05});
  for (int i = 0; i < 6; ++i) {
    const BatchSum x = i % 2 == 0 ? a.partial_fit(rows) : a.partial_fit(sparse::dense(rows)), y = c.partial_fit(sparse::dense(rows));
    CHECK(std::abs(x.loss - y.loss) < 1e-12 * y.loss);
  }
  CHECK((a.theta() - c.theta()).cwiseAbs().maxCoeff() < 1e-13);

  // The bits of fits of one step, also of other data in between, and after a step that was not taken.
  const auto others = sparse::many_rows<double>(100).with_labels(Vector<Label>::Zero(100));
  auto by_hand = make(nesterov, {0.05}, others.num_features()), by_fit = make(nesterov, {0.05}, others.num_features());
  by_hand.initialize(1);
  by_fit.initialize(1);
  const auto fit_once = [&](const auto& data) {
    return by_fit.fit(data, {.epochs = 1, .batch_size = data.size(), .threads = 1, .shuffle = false, .warm_start = true}).theta_hash;
  };
  for (int i = 0; i < 4; ++i) {
    const auto part = i == 2 ? others : rows_of(others, std::vector<Index>{5, 17, i});
    by_hand.partial_fit(part, {.threads = 3});
    CHECK(theta_hash(by_hand.theta()) == fit_once(part));
  }
}

TEST_CASE("a step with momentum that is not finite leaves theta and v as they were") {
  const int threads = GENERATE(1, 3);
  const Index first_bad = GENERATE(330, 5);
  const Ridge ridge = GENERATE(values<Ridge>({{1e-3}, {40}}));  // the second moves all features in every step
  CAPTURE(threads, first_bad, ridge.lambda);
  const auto rows = sparse::many_rows<double>(400);
  Vector<double> weights = Vector<double>::Ones(400), values = rows.values();
  weights[first_bad] = 1e307;
  values.segment(first_bad * 30, 30) *= 100;
  const auto bad =
      SparseRows<double>(rows.offsets(), rows.indices(), values, rows.num_features()).with_labels(rows.labels()).with_weights(weights);
  const FitOptions options{
      .epochs = 1, .batch_size = 100, .seed = 5, .threads = threads, .shuffle = false, .on_divergence = OnDivergence::skip};
  auto a = make(heavy, ridge, rows.num_features()), b = make(heavy, ridge, rows.num_features());
  const Summary summary = a.fit(bad, options);
  REQUIRE(summary.divergences.size() == 1);
  CHECK(summary.divergences[0].step == first_bad / 100 + 1);
  if (first_bad == 5) CHECK(summary.divergences[0].parameter == "weight");  // later the loss may be infinite, too
  Vector<double> without = Vector<double>::Ones(400);
  without.segment(first_bad / 100 * 100, 100).setZero();
  CHECK(b.fit(rows.with_weights(without), options).theta_hash == summary.theta_hash);
  FitOptions more = options;
  more.warm_start = true;
  CHECK(a.fit(rows, more).theta_hash == b.fit(rows, more).theta_hash);
}

}  // namespace sparse_momentum_test
