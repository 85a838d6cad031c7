// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <parade/data/splits.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/poisson.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/models/linear.hpp>
#include <parade/optimizers/adagrad.hpp>
#include <parade/optimizers/ftrl_proximal.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/elastic_net.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/schedules/step_decay.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/sparse.hpp"
#include "support/sparse_sums.hpp"
#include "support/training.hpp"

namespace sparse_fit_test {

// Training on sparse rows gives what training on the same samples as dense data gives, to rounding: the canonical orders of the sums differ, and what
// regularization does to a feature that does not occur is done later, in one go.

namespace {

using namespace parade;
using sparse::Both;
using sparse::check_same;
using sparse::check_same_hash;

constexpr Index n = 97, d = 40;

template <class S>
auto sgd_trainer_of(Index features, const Both& both, double rate) {
  return Trainer{Linear<S>{features}, Logistic{}, both, Sgd{.rate = rate}, StepDecay{.steps = 1000, .factor = 0.9}};
}
template <class S>
auto sgd_trainer(const Both& both, double rate, double factor = 1, Intercept intercept = Intercept::fitted) {
  return Trainer{Linear<S>{d, 1, intercept}, Logistic{}, both, Sgd{.rate = rate}, StepDecay{.steps = 10, .factor = factor}};
}

/// Rows so long, and so many, that steps are shared: 40 entries a row of 2000 features; with 140 of 20 000, features are cut into 4 ranges for the scores.
constexpr Index features_of(Index entries) { return entries > 40 ? 20000 : 2000; }
template <class S>
SparseRows<S> long_rows(Index rows, Index entries = 40) {
  const Index features = features_of(entries);
  const Random random(29, Purpose::user, 2);
  std::uint64_t at = 0;
  Vector<std::int64_t> offsets(rows + 1);
  Vector<std::int32_t> indices(rows * entries);
  Vector<S> values(rows * entries);
  Vector<Label> labels(rows);
  for (Index i = 0; i <= rows; ++i) offsets[i] = i * entries;
  for (Index i = 0; i < rows; ++i) {
    for (Index e = 0; e < entries; ++e) {
      indices[i * entries + e] =
          static_cast<std::int32_t>(e * e + static_cast<Index>(random.below(at++, static_cast<std::uint64_t>(2 * e + 1))));
      values[i * entries + e] = static_cast<S>(random.uniform(at++, -1, 1));
    }
    labels[i] = static_cast<Label>(random.below(at++, 2));
  }
  return SparseRows<S>(offsets, indices, values, features).with_labels(labels);
}

}  // namespace

TEST_CASE("SGD on sparse rows is SGD on dense data, with L2, L1, both and neither") {
  const auto [l2, l1] = GENERATE(table<double, double>({{0, 0}, {0.05, 0}, {0, 0.01}, {0.05, 0.01}}));
  const double factor = GENERATE(1.0, 0.8);
  const Index b = GENERATE(1, 7, 97);
  const bool biases = GENERATE(false, true);
  CAPTURE(l2, l1, factor, b, biases);
  auto a = sgd_trainer<double>({l2, l1, biases}, 0.3, factor), c = sgd_trainer<double>({l2, l1, biases}, 0.3, factor);
  check_same(a, c, sparse::random_rows<double>(d, n), {.epochs = 4, .batch_size = b, .seed = 3}, 500);
  if (l1 > 0) CHECK((a.theta().array() == 0).count() > 1);
}

TEST_CASE("sparse rows without values, with weights, without intercept") {
  const auto weights = training::sample_weights(n);
  const Both both{0.05, 0.01};
  const FitOptions options{.epochs = 4, .batch_size = 7, .seed = 3};
  const auto ones = sparse::random_rows<double>(d, n, 2, false);
  REQUIRE(ones.all_ones());
  for (const Intercept intercept : {Intercept::fitted, Intercept::none}) {
    auto a = sgd_trainer<double>(both, 0.3, 0.9, intercept), c = sgd_trainer<double>(both, 0.3, 0.9, intercept);
    REQUIRE(a.parameters().size() == (intercept == Intercept::none ? d : d + 1));
    check_same(a, c, ones, options, 500);
    check_same(a, c, ones.with_weights(weights), options, 500);
    check_same(a, c, sparse::random_rows<double>(d, n).with_weights(weights), options, 500);
  }
}

TEST_CASE("sparse rows where the rate is large for the regularizer: the factor of a step is small, 0, negative, below minus 1") {
  // 1 − αλ with α = 0.05
  const double factor = GENERATE(0.3, 1e-3, 1e-14, 0.0, -0.5, -1.0, -1.2);
  const double l1 = GENERATE(0.0, 0.02);
  const Index b = GENERATE(1, 7);
  CAPTURE(factor, l1, b);
  const Both both{(1 - factor) / 0.05, l1};
  auto a = sgd_trainer<double>(both, 0.05), c = sgd_trainer<double>(both, 0.05);
  check_same(a, c, sparse::random_rows<double>(d, n), {.epochs = factor < -1 && b == 1 ? 1 : 3, .batch_size = b, .seed = 3}, 5000);
}

TEST_CASE("the elastic net on sparse rows, whose L2 is in the proximal step, also where its factor is tiny") {
  const auto rows = sparse::random_rows<double>(d, n);
  const auto make = [](double lambda, bool biases) {
    return Trainer{Linear<double>{d}, Logistic{}, ElasticNet{.lambda = lambda, .l1_ratio = 0.25, .biases = biases}, Sgd{.rate = 0.5},
                   StepDecay{.steps = 10, .factor = 0.9}};
  };
  for (const double lambda : {0.01, 0.5, 1e14}) {
    CAPTURE(lambda);
    auto one = make(lambda, lambda > 0.1), other = make(lambda, lambda > 0.1);
    check_same(one, other, rows, {.epochs = 4, .batch_size = 7, .seed = 3}, 500);
  }
}

TEST_CASE("a batch at the limit between the two kinds of steps, and rows of which most are empty") {
  // As many entries as are computed directly: 16384, in batches of all 93 rows.
  constexpr Index count = 93;
  Vector<std::int64_t> offsets(count + 1);
  for (Index i = 0; i <= count; ++i) offsets[i] = i * 16384 / count;
  Vector<std::int32_t> indices(16384);
  for (Index i = 0; i < count; ++i)
    for (Index e = offsets[i]; e < offsets[i + 1]; ++e) indices[e] = static_cast<std::int32_t>((e - offsets[i]) * 5 + i % 5);
  Vector<Label> labels(count);
  for (Index i = 0; i < count; ++i) labels[i] = static_cast<Label>(i % 2);
  const auto full = SparseRows<double>(offsets, indices, {}, 1000).with_labels(labels);
  const auto make = [](Index features) {
    return Trainer{Linear<double>{features}, Logistic{}, Both{0.01, 0}, Sgd{.rate = 0.1}, StepDecay{.steps = 10, .factor = 0.9}};
  };
  check_same_hash(make(1000), full, {.epochs = 3, .batch_size = count, .seed = 5});
  auto one = make(1000), other = make(1000);
  check_same(one, other, full, {.epochs = 3, .batch_size = count, .seed = 5}, 200);

  constexpr Index many = 40000;
  Vector<std::int64_t> rare(many + 1);
  for (Index i = 0; i <= many; ++i) rare[i] = i / 10;
  Vector<std::int32_t> few(many / 10);
  for (Index e = 0; e < few.size(); ++e) few[e] = static_cast<std::int32_t>(e * 7 % 50);
  Vector<Label> classes(many);
  for (Index i = 0; i < many; ++i) classes[i] = static_cast<Label>(i % 3 == 0);
  const auto empty = SparseRows<double>(rare, few, {}, 50).with_labels(classes);
  check_same_hash(make(50), empty, {.epochs = 2, .batch_size = 20000, .seed = 5});
  auto a = make(50), b = make(50);
  check_same(a, b, empty, {.epochs = 2, .batch_size = 20000, .seed = 5}, 2000);
}

TEST_CASE("a batch may name a sample twice, and not more samples than were reserved") {
  Vector<std::int64_t> offsets(6);
  offsets << 0, 300, 301, 302, 303, 304;
  Vector<std::int32_t> indices(304);
  for (Index e = 0; e < 300; ++e) indices[e] = static_cast<std::int32_t>(e);
  for (Index e = 300; e < 304; ++e) indices[e] = static_cast<std::int32_t>(e);
  Vector<double> values = Vector<double>::Ones(304);
  values[0] = 1e200;  // so that a step has to be careful
  Vector<Label> labels(5);
  labels << 1, 0, 1, 0, 1;
  const auto rows = SparseRows<double>(offsets, indices, values, 304).with_labels(labels);
  Team team(1);
  using Training = SparseTraining<Linear<double>, Logistic, Both, Sgd>;
  Training training(Linear<double>{304}, Logistic{}, Both{}, Sgd{.rate = 1e150}, team);
  TrainingState<double> state(305, 0);
  training.reserve(rows, 4);
  const std::vector<Index> samples{0, 0, 0, 0}, too_many{0, 1, 2, 3, 4}, outside{0, 5};
  team.run([&] {
    training.begin(state, 0);
    const BatchSum sum = training.accumulate(rows, samples);
    CHECK_FALSE(training.update(rows, sum.weight, {1e150, 1}));  // 1e350
    CHECK(state.theta.isZero(0));
    CHECK(std::string(training.find_not_finite().parameter) == "");  // the gradient is finite
    CHECK_THROWS_AS(training.accumulate(rows, too_many), DataError);
    CHECK_THROWS_AS(training.accumulate(rows, outside), DataError);
  });
}

TEST_CASE("thresholds beyond all numbers leave zeros, on sparse rows too") {
  const auto rows = sparse::random_rows<double>(d, n);
  Trainer trainer{Linear<double>{d}, Logistic{}, Both{0, 1e300}, Sgd{.rate = 1e10}, StepDecay{.steps = 10, .factor = 0.9}};
  CHECK(trainer.fit(rows, {.epochs = 2, .batch_size = 7}).stop_reason == StopReason::completed);
  CHECK(trainer.parameter("weight").isZero(0));
}

TEST_CASE("weights so small that rate over weight is beyond float, on sparse rows too") {
  constexpr Index count = 300;
  Vector<std::int64_t> offsets(count + 1);
  Vector<std::int32_t> indices(count);
  Vector<float> values(count);
  Vector<Label> labels(count);
  Vector<double> weights = Vector<double>::Ones(count);
  for (Index i = 0; i < count; ++i) {
    offsets[i] = i;
    indices[i] = static_cast<std::int32_t>(i % 2);
    values[i] = static_cast<float>(1 + i % 3);
    labels[i] = static_cast<Label>(i % 5 < 2);
  }
  offsets[count] = count;
  weights[250] = weights[251] = 1e-30;
  const auto rows = SparseRows<float>(offsets, indices, values, 2).with_labels(labels);
  const FitOptions options{.epochs = 1, .batch_size = 1, .shuffle = false};
  for (const double l1 : {0.0, 1e-3}) {
    auto one = sgd_trainer_of<float>(2, {1, l1}, 0.1), other = sgd_trainer_of<float>(2, {1, l1}, 0.1);
    check_same(one, other, rows.with_weights(weights), options, 100);
    auto bare = sgd_trainer_of<float>(2, {0, l1}, 8), dense = sgd_trainer_of<float>(2, {0, l1}, 8);
    check_same(bare, dense, rows.with_weights(Vector<double>::Constant(count, 1.2e-38)), options, 1000);
  }
}

TEST_CASE("where L2 makes theta grow until it is too large, the step before is kept, on sparse rows too") {
  const auto rows = sparse::random_rows<float>(d, n);
  const FitOptions options{.epochs = 5, .batch_size = 7, .shuffle = false};
  for (const double l2 : {3.0, 30.0}) {
    CAPTURE(l2);
    auto one = sgd_trainer_of<float>(d, {l2, 0}, 1), other = sgd_trainer_of<float>(d, {l2, 0}, 1);
    const Summary a = one.fit(rows, options), b = other.fit(sparse::dense(rows), options);
    CHECK(a.stop_reason == b.stop_reason);
    CHECK(a.steps == b.steps);
    CHECK(one.theta().allFinite());
  }
}

TEST_CASE("values that the model's scalar does not hold end a run that does not check the data") {
  const SparseRows<double> rows =
      SparseRows<double>(Vector<std::int64_t>{{0, 1, 2}}, Vector<std::int32_t>{{0, 1}}, Vector<double>{{1, 1e300}}, 2)
          .with_labels(Vector<Label>{{1, 0}});
  auto trainer = sgd_trainer_of<float>(2, {}, 0.1);
  const Summary summary = trainer.fit(rows, {.epochs = 2, .batch_size = 1, .shuffle = false, .check_data = false});
  CHECK(summary.stop_reason == StopReason::diverged);
  CHECK(trainer.theta().allFinite());
}

TEST_CASE("sparse rows in float") {
  auto a = sgd_trainer<float>({0.05, 0.01}, 0.3, 0.9), c = sgd_trainer<float>({0.05, 0.01}, 0.3, 0.9);
  check_same(a, c, sparse::random_rows<float>(d, n), {.epochs = 4, .batch_size = 7, .seed = 3}, 200);
  check_same(a, c, sparse::random_rows<float>(d, n), {.epochs = 4, .batch_size = 1, .seed = 3}, 500);
}

TEST_CASE("Adagrad on sparse rows, alone and with L1 in its metric") {
  const double l1 = GENERATE(0.0, 0.003);
  const auto [decay, initial] = GENERATE(table<double, double>({{0, 0.1}, {0.1, 0.1}, {0, 0}}));
  const Index b = GENERATE(1, 7, 97);
  CAPTURE(l1, decay, initial, b);
  const auto make = [&, eta = decay, start = initial] {
    return Trainer{Linear<double>{d}, Logistic{}, Both{0, l1}, Adagrad{.rate = 0.1, .rate_decay = eta, .initial_accumulator = start},
                   StepDecay{.steps = 10, .factor = 0.9}};
  };
  auto a = make(), c = make();
  const auto rows = sparse::random_rows<double>(d, n);
  check_same(a, c, rows, {.epochs = 4, .batch_size = b, .seed = 3}, 2000);
  // and on from there: the states belong to the same elements
  check_same(a, c, rows, {.epochs = 2, .batch_size = b, .seed = 3, .warm_start = true}, 4000);
}

TEST_CASE("FTRL-Proximal on sparse rows, also from a theta that is not 0") {
  const Index b = GENERATE(1, 7, 97);
  const auto make = [] {
    return Trainer{Linear<double>{d}, Logistic{}, Both{}, FtrlProximal{.rate = 0.3, .l1 = 0.2, .l2 = 0.1},
                   StepDecay{.steps = 10, .factor = 0.9}};
  };
  auto a = make(), c = make();
  const auto rows = sparse::random_rows<double>(d, n);
  check_same(a, c, rows, {.epochs = 4, .batch_size = b, .seed = 3}, 2000);
  const Vector<double> theta = training::random_vector<double>(d + 1, 9);
  a.set_theta(theta);
  c.set_theta(theta);
  check_same(a, c, rows, {.epochs = 3, .batch_size = b, .seed = 3, .warm_start = true}, 4000);
}

TEST_CASE("several outputs on sparse rows") {
  const auto rows = sparse::random_rows<double>(d, n, 3);
  const auto make = [] {
    return Trainer{Linear<double>{d, 3}, SoftmaxCrossEntropy{}, Both{0.05, 0.01}, Sgd{.rate = 0.3}, StepDecay{.steps = 10, .factor = 0.9}};
  };
  auto a = make(), c = make();
  check_same(a, c, rows, {.epochs = 4, .batch_size = 7, .seed = 3}, 500);
  CHECK((a.predict(rows).array() == c.predict(sparse::dense(rows)).array()).all());
  CHECK(a.accuracy(rows) == c.accuracy(sparse::dense(rows)));
  check_same_hash(make(), rows, {.epochs = 2, .batch_size = 13, .seed = 3});
}

TEST_CASE("theta after training on sparse rows has the same bits for any number of threads") {
  const auto rows = long_rows<float>(1500);
  const FitOptions options{.epochs = 2, .batch_size = 300, .seed = 5};
  const auto make = [](const Both& both) {
    return Trainer{Linear<float>{2000}, Logistic{}, both, Sgd{.rate = 0.5}, StepDecay{.steps = 10, .factor = 0.9}};
  };
  check_same_hash(make({1e-3, 0}), rows, options);
  check_same_hash(make({1e-3, 1e-4}), rows, options);
  check_same_hash(make({1e-3, 1e-4}), rows, {.epochs = 1, .batch_size = 7, .seed = 5});
  check_same_hash(make({1e-3, 1e-4}), rows, {.epochs = 2, .batch_size = 1500, .seed = 5});  // in chunks, as many as the threads want
  const auto adagrad = [](double l1) {
    return Trainer{Linear<float>{2000}, Logistic{}, Both{0, l1}, Adagrad{.rate = 0.1}, StepDecay{.steps = 10, .factor = 0.9}};
  };
  check_same_hash(adagrad(0), rows, options);
  check_same_hash(adagrad(1e-3), rows, options);
}

TEST_CASE("rows so long that each range of features is a task of its own, on up to 4 threads") {
  constexpr Index count = 401, entries = 140;
  const auto plain = long_rows<double>(count, entries);
  REQUIRE(sparse_shape(plain).ranges() == 4);
  Vector<double> weights = Vector<double>::Ones(count);
  for (Index i = 0; i < count; i += 7) weights[i] = static_cast<double>(i % 3);
  const SparseRows<double> ones(plain.offsets(), plain.indices(), {}, plain.num_features());
  const auto rows = GENERATE_COPY(values({plain, plain.with_weights(weights), ones.with_labels(plain.labels())}));
  const FitOptions options{.epochs = 2, .batch_size = 64, .seed = 5};
  const auto make = [&](const Both& both) {
    return Trainer{Linear<double>{rows.num_features()}, Logistic{}, both, Sgd{.rate = 0.5}, StepDecay{.steps = 10, .factor = 0.9}};
  };
  check_same_hash(make({1e-3, 0}), rows, options);
  check_same_hash(make({1e-3, 1e-4}), rows, options);
  check_same_hash(make({1e-3, 0}), rows, {.epochs = 1, .batch_size = 401, .seed = 5});  // too large for it
  const auto several = [&] {
    return Trainer{Linear<double>{rows.num_features(), 3}, SoftmaxCrossEntropy{}, Both{1e-3, 0}, Sgd{.rate = 0.5},
                   StepDecay{.steps = 10, .factor = 0.9}};
  };
  check_same_hash(several(), rows, options);
  FitOptions shared = options;
  shared.threads = 2;
  auto one = make({1e-3, 0}), other = make({1e-3, 0});
  check_same(one, other, rows, shared, 200);
  auto three = several(), dense = several();
  check_same(three, dense, rows, shared, 200);
}

TEST_CASE("rows of which a few hold most of the entries are shared by entries, and the bits are the same") {
  constexpr Index count = 300, features = 4000, few = 3, many = 2500, every = 41;  // 8 of the rows hold 96 % of the entries
  const Random random(31, Purpose::user, 3);
  std::uint64_t at = 0;
  std::vector<std::int32_t> indices;
  Vector<std::int64_t> offsets = Vector<std::int64_t>::Zero(count + 1);
  Vector<Label> labels(count);
  for (Index i = 0; i < count; ++i) {
    const Index entries = i % every == 7 ? many : few, apart = features / entries;
    for (Index e = 0; e < entries; ++e)
      indices.push_back(static_cast<std::int32_t>(e * apart + static_cast<Index>(random.below(at++, static_cast<std::uint64_t>(apart)))));
    offsets[i + 1] = static_cast<std::int64_t>(indices.size());
    labels[i] = static_cast<Label>(random.below(at++, 2));
  }
  Vector<double> values(offsets[count]);
  for (double& value : values) value = random.uniform(at++, -0.1, 0.1);
  const Vector<std::int32_t> all = Vector<std::int32_t>::Map(indices.data(), static_cast<Index>(indices.size()));
  const auto rows = SparseRows<double>(offsets, all, values, features).with_labels(labels);

  // Features are cut where the entries are as many on both sides, though most rows have none there.
  Team team{2};
  detail::SparseCut cut;
  cut.make(rows, sparse_shape(rows), 4, team);
  for (Index range = 0; range < 4; ++range) {
    const auto [begin, end] = cut.features(range);
    const auto held =
        std::count_if(indices.begin(), indices.end(), [&, first = begin, last = end](auto i) { return i >= first && i < last; });
    CHECK(std::abs(static_cast<double>(held) / static_cast<double>(indices.size()) - 0.25) < 0.05);
  }

  const auto make = [&](const Both& both) { return sgd_trainer_of<double>(features, both, 0.5); };
  for (const Index b : {1, 5, 64, 300}) {
    CAPTURE(b);
    check_same_hash(make({1e-3, 0}), rows, {.epochs = 2, .batch_size = b, .seed = 5});
    check_same_hash(make({1e-3, 1e-4}), rows, {.epochs = 2, .batch_size = b, .seed = 5});
  }
  auto sparse = make({1e-3, 0}), dense = make({1e-3, 0});
  check_same(sparse, dense, rows, {.epochs = 2, .batch_size = 64, .seed = 5, .threads = 3}, 200);
}

TEST_CASE("the bits of theta do not depend on how far apart the features lie") {
  // 5 MB of theta: more than is taken to be in a cache.
  constexpr Index count = 401, apart = 64;
  const auto entries = GENERATE(Index{40}, Index{140});
  const auto near = long_rows<float>(count, entries);
  const Index features = near.num_features() * (entries == 40 ? 10 * apart : apart);
  REQUIRE(features * 4 > 1 << 22);
  const Vector<std::int32_t> indices = near.indices() * static_cast<std::int32_t>(features / near.num_features());
  const auto far = SparseRows<float>(near.offsets(), indices, near.values(), features).with_labels(near.labels());
  const double l1 = GENERATE(0.0, 1e-4);
  const FitOptions options{.epochs = 2, .batch_size = GENERATE(1, 64, 401), .seed = 5, .threads = GENERATE(1, 2, 5)};
  CAPTURE(entries, l1, options.batch_size, options.threads);
  const auto trained = [&](const SparseRows<float>& rows) {
    auto trainer = sgd_trainer_of<float>(rows.num_features(), {1e-3, l1}, 0.5);
    trainer.fit(rows, options);
    return trainer.theta();
  };
  const Vector<float> a = trained(near), b = trained(far);
  REQUIRE(a[near.num_features()] == b[features]);
  Index different = 0;
  for (Index i = 0; i < near.num_features(); ++i) different += a[i] == b[i * (features / near.num_features())] ? 0 : 1;
  CHECK(different == 0);
  CHECK((b.head(features).array() != 0).count() == (a.head(near.num_features()).array() != 0).count());
}

TEST_CASE("a callback that looks at theta in the midst of an epoch sees theta as it is, and changes no bit") {
  const auto rows = sparse::random_rows<double>(d, n);
  const FitOptions options{.epochs = 2, .batch_size = 7, .seed = 3};
  const Both both{0.5, 0.01};
  auto plain = sgd_trainer<double>(both, 0.3);
  const std::uint64_t expected = plain.fit(rows, options).theta_hash;

  auto looked_at = sgd_trainer<double>(both, 0.3), dense = sgd_trainer<double>(both, 0.3);
  using T = decltype(plain);
  struct Look {
    T* trainer;
    std::vector<Vector<double>> seen;
    void on_step(const StepReport&) { seen.push_back(trainer->theta()); }
  } look{&looked_at, {}}, dense_look{&dense, {}};
  CHECK(looked_at.fit(rows, options, look).theta_hash == expected);
  dense.fit(sparse::dense(rows), options, dense_look);
  REQUIRE(look.seen.size() == dense_look.seen.size());
  for (std::size_t i = 0; i < look.seen.size(); ++i) CHECK((look.seen[i] - dense_look.seen[i]).cwiseAbs().maxCoeff() < 1e-13);

  // one that remembers a step gets that step
  struct Remember {
    Vector<double> theta;
    T* trainer;
    Signal on_step(const StepReport& report) {
      if (report.step != 9) return Signal::go_on;
      theta = trainer->theta();
      return Signal::remember;
    }
  } remember{{}, &looked_at};
  looked_at.fit(rows, options, remember);
  CHECK((looked_at.theta().array() == remember.theta.array()).all());
  CHECK((remember.theta - look.seen[8]).isZero(0));

  // and what a callback throws leaves the theta of the step that it was told of
  struct Throw {
    void on_step(const StepReport& report) {
      if (report.step == 9) throw std::runtime_error("enough");
    }
  } thrower;
  CHECK_THROWS_WITH(looked_at.fit(rows, options, thrower), "enough");
  CHECK((looked_at.theta() - look.seen[8]).isZero(0));
}

TEST_CASE("one run of two epochs is two runs of one, on sparse rows") {
  const auto rows = sparse::random_rows<double>(d, n);
  auto once = sgd_trainer<double>({0.05, 0.01}, 0.3), twice = sgd_trainer<double>({0.05, 0.01}, 0.3);
  const auto expected = once.fit(rows, {.epochs = 2, .batch_size = 7, .seed = 3}).theta_hash;
  twice.fit(rows, {.epochs = 1, .batch_size = 7, .seed = 3});
  CHECK(twice.fit(rows, {.epochs = 1, .batch_size = 7, .seed = 3, .warm_start = true}).theta_hash == expected);
}

TEST_CASE("partial_fit takes sparse rows, and dense and sparse steps may follow each other") {
  const auto rows = sparse::random_rows<double>(d, n);
  auto a = sgd_trainer<double>({0.05, 0.01}, 0.3), c = sgd_trainer<double>({0.05, 0.01}, 0.3);
  for (int i = 0; i < 6; ++i) {
    const BatchSum x = i % 2 == 0 ? a.partial_fit(rows) : a.partial_fit(sparse::dense(rows)), y = c.partial_fit(sparse::dense(rows));
    CHECK(std::abs(x.loss - y.loss) < 1e-12 * y.loss);
    CHECK(x.samples == y.samples);
  }
  CHECK((a.theta() - c.theta()).cwiseAbs().maxCoeff() < 1e-13);
}

TEST_CASE("partial_fit on sparse rows has the bits of fits of one step, whatever rows come one after the other") {
  const Both both = GENERATE(values<Both>({{}, {0.05, 0}, {0, 0.01}, {0.05, 0.01}}));
  const Index count = 600;
  const auto rows = long_rows<double>(count);
  const auto bad = rows_of(rows, std::vector<Index>{3, 4, 5}).with_weights(Vector<double>::Constant(3, 1.7e308));  // whose sum is too large
  auto by_hand = sgd_trainer_of<double>(rows.num_features(), both, 0.3), by_fit = sgd_trainer_of<double>(rows.num_features(), both, 0.3);
  by_hand.initialize(1);
  by_fit.initialize(1);
  for (int i = 0; i < 6; ++i) {
    // Small batches step element by element, large ones sum first.
    const auto part = i % 3 == 1 ? rows : rows_of(rows, std::vector<Index>{7, 20 * i, 411});
    const FitOptions options{.epochs = 1, .batch_size = part.size(), .threads = 1, .shuffle = false, .warm_start = true};
    const auto sum = by_hand.partial_fit(part, {.threads = i % 2 == 0 ? 3 : 1});
    CHECK(sum.samples == part.size());
    CHECK(by_fit.fit(part, options).theta_hash == theta_hash(by_hand.theta()));
    CHECK_THROWS_AS(by_hand.partial_fit(bad), std::runtime_error);
    CHECK(theta_hash(by_fit.theta()) == theta_hash(by_hand.theta()));
  }
}

TEST_CASE("a pair without an exact lazy form is refused before anything is changed") {
  const auto rows = sparse::random_rows<double>(d, n);
  const auto refused = [&](auto trainer, const std::string& why) {
    trainer.initialize(1);
    CHECK_THROWS_WITH(trainer.fit(rows, {.epochs = 1, .batch_size = 7}),
                      Catch::Matchers::ContainsSubstring(why) && Catch::Matchers::ContainsSubstring("Adagrad with L1 or no regularizer"));
    CHECK(trainer.theta().isZero(0));
  };
  const StepDecay schedule{.steps = 10, .factor = 0.9};
  refused(Trainer{Linear<double>{d}, Logistic{}, Both{0, 0.1}, Sgd{.rate = 0.1, .momentum = 0.9}, schedule},
          "L1 has no exact lazy form with momentum");
  refused(Trainer{Linear<double>{d}, Logistic{}, Both{0.1, 0}, Adagrad{.rate = 0.1}, schedule}, "L2 has no exact lazy form");
  refused(Trainer{Linear<double>{d}, Logistic{}, Both{0, 0.1}, FtrlProximal{}, schedule}, "computes theta anew");
}

TEST_CASE("what does not fit is refused, on sparse rows too") {
  auto trainer = sgd_trainer<double>({}, 0.3);
  const auto rows = sparse::random_rows<double>(d, n);
  CHECK_THROWS_AS(trainer.fit(sparse::random_rows<double>(d + 1, n), {.batch_size = 7}), DataError);
  CHECK_THROWS_AS(trainer.fit(rows, {.batch_size = n + 1}), OptionError);
  CHECK_THROWS_WITH(trainer.fit(rows.with_labels(Vector<Label>::Constant(n, 3)), {.batch_size = 7}),
                    Catch::Matchers::ContainsSubstring("the label of sample 0 is 3"));
  Vector<Label> mixed = rows.labels();
  mixed[3] = -1;
  mixed[4] = 0;
  CHECK_THROWS_WITH(trainer.fit(rows.with_labels(mixed), {.batch_size = 7}), Catch::Matchers::ContainsSubstring("the data has both"));
  Team team(1);
  CHECK_THROWS_WITH(detail::check_sparse_values(team, Linear<double>{d}, Poisson{}, rows.with_targets(Matrix<double>::Constant(1, n, -3))),
                    Catch::Matchers::ContainsSubstring("target 0 of sample 0 is -3"));
  CHECK_THROWS_AS(rows.with_weights(Vector<double>::Zero(n)), DataError);
  CHECK_THROWS_AS(rows.with_weights(Vector<double>::Constant(n, -1)), DataError);
}

TEST_CASE("a number that is not finite leaves theta as before the step, on sparse rows too") {
  const int threads = GENERATE(1, 2, 3);
  const double l1 = GENERATE(0.0, 1e-4);
  const bool adaptive = GENERATE(false, true);
  const Index entries = GENERATE(40, 140), batch = entries > 40 ? 100 : 300;
  CAPTURE(threads, l1, adaptive, entries);
  // Row 1000 holds a value whose gradient overflows float where its loss does not: 3e38 · dz · 1e3 (the weight).
  auto rows = long_rows<float>(1500, entries);
  Vector<float> values = rows.values();
  values[1000 * entries + 20] = 3e38F;
  Vector<double> weights = Vector<double>::Ones(1500);
  weights[1000] = 1e3;
  const auto bad =
      SparseRows<float>(rows.offsets(), rows.indices(), values, rows.num_features()).with_labels(rows.labels()).with_weights(weights);
  const FitOptions options{.epochs = 1, .batch_size = batch, .seed = 5, .threads = threads, .shuffle = false};
  struct Steps {
    std::vector<std::int64_t> seen;
    void on_step(const StepReport& report) { seen.push_back(report.step); }
  };
  const auto check = [&](auto trainer, auto reference) {
    Vector<Label> dense_labels = rows.labels();
    const Summary summary = trainer.fit(bad, options);
    CHECK(summary.stop_reason == StopReason::diverged);
    REQUIRE(summary.divergences.size() == 1);
    CHECK(summary.divergences[0].step == 1000 / batch + 1);
    CHECK(summary.divergences[0].parameter == "weight");
    CHECK_THAT(summary.divergences[0].text(), Catch::Matchers::ContainsSubstring("the gradient of 'weight' is not finite"));
    // The batches before it alone, and the state too: both go on in the same way.
    const auto part = [](const SparseRows<float>& from, Index begin, Index end) {
      Vector<std::int64_t> offsets = from.offsets().segment(begin, end - begin + 1);
      const std::int64_t first = offsets[0];
      offsets.array() -= first;
      return SparseRows<float>(offsets, from.indices().segment(first, offsets[end - begin]),
                               from.values().segment(first, offsets[end - begin]), from.num_features())
          .with_labels(from.labels().segment(begin, end - begin));
    };
    reference.fit(part(rows, 0, 1000 / batch * batch), options);
    CHECK((trainer.theta().array() == reference.theta().array()).all());
    FitOptions more = options;
    more.warm_start = true;
    trainer.fit(part(rows, 1200, 1500), more);
    reference.fit(part(rows, 1200, 1500), more);
    CHECK((trainer.theta().array() == reference.theta().array()).all());
  };
  const StepDecay schedule{.steps = 1000, .factor = 0.9};
  const auto sgd = [&] { return Trainer{Linear<float>{rows.num_features()}, Logistic{}, Both{0, l1}, Sgd{.rate = 10}, schedule}; };
  const auto adagrad = [&] {
    return Trainer{Linear<float>{rows.num_features()}, Logistic{}, Both{0, l1}, Adagrad{.rate = 1e-3, .initial_accumulator = 0.1},
                   schedule};
  };
  adaptive ? check(adagrad(), adagrad()) : check(sgd(), sgd());
}

TEST_CASE("a divergence in the first step leaves the state of an optimizer as it was, on sparse rows too") {
  auto rows = long_rows<float>(1500);
  Vector<float> values = rows.values();
  values[20] = 3e38F;
  Vector<double> weights = Vector<double>::Ones(1500);
  weights[0] = 1e3;
  const auto bad = SparseRows<float>(rows.offsets(), rows.indices(), values, 2000).with_labels(rows.labels()).with_weights(weights);
  const auto make = [] {
    return Trainer{Linear<float>{2000}, Logistic{}, Both{0, 1e-4}, Adagrad{.rate = 1e-3, .initial_accumulator = 0.1},
                   StepDecay{.steps = 1000, .factor = 0.9}};
  };
  const FitOptions options{.epochs = 1, .batch_size = 300, .seed = 5, .shuffle = false};
  auto a = make(), b = make();
  CHECK(a.fit(bad, options).stop_reason == StopReason::diverged);
  CHECK(a.theta().isZero(0));
  FitOptions more = options;
  more.warm_start = true;
  CHECK(a.fit(rows, more).theta_hash == b.fit(rows, options).theta_hash);
}

}  // namespace sparse_fit_test
