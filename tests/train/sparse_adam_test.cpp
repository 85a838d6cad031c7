// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <parade/losses/logistic.hpp>
#include <parade/models/linear.hpp>
#include <parade/optimizers/lazy_adam.hpp>
#include <parade/schedules/step_decay.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/sparse.hpp"
#include "support/sparse_sums.hpp"
#include "support/training.hpp"

namespace sparse_adam_test {

// Lazy Adam on sparse rows: what it gives on the same samples as dense data, to rounding. Its moments wait for a feature, so that nothing is put off.

namespace {

using namespace parade;
using sparse::Both;
using sparse::check_same;

constexpr Index n = 97, d = 40;

auto adam_trainer(Index features, const Both& both = {}, double rate = 0.02) {
  return Trainer{Linear<double>{features}, Logistic{}, both, LazyAdam{.rate = rate}, StepDecay{.steps = 10, .factor = 0.9}};
}

/// Rows over 3 features.
struct Row {
  Label label;
  std::vector<std::pair<std::int32_t, double>> entries;
};
SparseRows<double> few_rows(const std::vector<Row>& rows) {
  Vector<std::int64_t> offsets = Vector<std::int64_t>::Zero(static_cast<Index>(rows.size()) + 1);
  Vector<std::int32_t> indices(12);
  Vector<double> values(12);
  Vector<Label> labels(static_cast<Index>(rows.size()));
  Index at = 0;
  for (Index i = 0; i < labels.size(); ++i) {
    const Row& row = rows[static_cast<std::size_t>(i)];
    for (const auto& [index, value] : row.entries) {
      indices[at] = index;
      values[at++] = value;
    }
    offsets[i + 1] = at;
    labels[i] = row.label;
  }
  return SparseRows<double>(offsets, indices.head(at).eval(), values.head(at).eval(), 3).with_labels(labels);
}

}  // namespace

TEST_CASE("lazy Adam on sparse rows is lazy Adam on dense data") {
  const Index b = GENERATE(1, 7, 97);
  const bool weighted = GENERATE(false, true);
  CAPTURE(b, weighted);
  auto a = adam_trainer(d), c = adam_trainer(d);
  auto rows = sparse::random_rows<double>(d, n);
  if (weighted) rows = rows.with_weights(training::sample_weights(n));
  check_same(a, c, rows, {.epochs = 4, .batch_size = b, .seed = 3}, 2000);
  // and on from there: the moments belong to the same elements, and the steps are counted on
  check_same(a, c, rows, {.epochs = 2, .batch_size = b, .seed = 3, .warm_start = true}, 4000);
  CHECK(c.theta().cwiseAbs().maxCoeff() > 0.02);
  CHECK(a.theta()[d - 1] == 0);  // the feature that never occurs
}

TEST_CASE("lazy Adam on sparse rows takes the steps that are computed by hand, by the number of all steps") {
  // One row a step; its features: 0 and 1, 0, none, 2, 1 (a stored 0) and 2, 0 and 1.
  const std::vector<Row> steps{{1, {{0, 1.0}, {1, -0.5}}}, {0, {{0, 2.0}}},          {1, {}}, {1, {{2, 0.25}}},
                               {0, {{1, 0.0}, {2, -1.0}}}, {1, {{0, 0.5}, {1, 1.5}}}};
  auto trainer = adam_trainer(3, {}, 0.1), dense = adam_trainer(3, {}, 0.1);
  double theta[4] = {}, m[4] = {}, v[4] = {};  // the bias last
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const SparseRows<double> row = few_rows({steps[i]});
    trainer.partial_fit(row);
    dense.partial_fit(sparse::dense(row));
    const auto t = static_cast<double>(i + 1);
    double in[4] = {0, 0, 0, 1};
    for (const auto& [index, value] : steps[i].entries) in[index] = value;
    double z = 0;
    for (int e = 0; e < 4; ++e) z += theta[e] * in[e];
    const double dz = 1 / (1 + std::exp(-z)) - static_cast<double>(steps[i].label);
    for (int e = 0; e < 4; ++e) {
      const double g = dz * in[e];
      if (g == 0) continue;
      m[e] = 0.9 * m[e] + 0.1 * g;
      v[e] = 0.999 * v[e] + 0.001 * g * g;
      theta[e] -= 0.1 * m[e] / (1 - std::pow(0.9, t)) / (std::sqrt(v[e] / (1 - std::pow(0.999, t))) + 1e-8);
    }
    for (int e = 0; e < 4; ++e) {
      CAPTURE(i, e);
      CHECK(std::abs(trainer.theta()[e] - theta[e]) <= 1e-13);
      CHECK(std::abs(dense.theta()[e] - theta[e]) <= 1e-13);
    }
  }
}

TEST_CASE("a feature that occurs, with gradients that cancel exactly, stays where it is, sparse as dense") {
  // Feature 0 has moved before. Then the same row comes under both labels at scores of exactly 0: feature 2 gets −1/2 + 1/2.
  const auto first = few_rows({{1, {{0, 1.0}}}, {0, {{0, -1.0}}}});  // the bias has 0, feature 0 has not
  const auto both = few_rows({{1, {{2, 1.0}}}, {0, {{2, 1.0}}}});
  const auto again = few_rows({{1, {{1, 1.0}}}, {1, {{2, 1.0}}}});
  auto a = adam_trainer(3), c = adam_trainer(3);
  const auto step = [&](const SparseRows<double>& rows) {
    a.partial_fit(rows);
    c.partial_fit(sparse::dense(rows));
  };
  step(first);
  CHECK(a.theta()[0] > 0.01);
  CHECK(a.theta()[3] == 0);
  const Vector<double> before = a.theta();
  step(both);
  CHECK(a.theta() == before);
  CHECK(c.theta() == before);
  step(again);
  step(few_rows({{1, {{0, 1.0}, {2, 0.0}}}, {1, {{0, 1.0}, {2, 0.0}}}}));  // a stored 0, where there are moments
  CHECK((a.theta() - c.theta()).cwiseAbs().maxCoeff() <= 1e-15);
  CHECK(a.theta()[2] > 0.01);
}

TEST_CASE("lazy Adam on sparse rows gives the same bits for any number of threads") {
  const auto rows = sparse::random_rows<double>(2000, 1200);
  REQUIRE(sparse_shape(rows).entries_a_row * 1200 > 3000);  // steps are shared
  auto trainer = adam_trainer(2000);
  for (const Index b : {7, 1200}) {
    FitOptions options{.epochs = b == 7 ? 1 : 3, .batch_size = b, .seed = 5, .threads = 1};
    const std::uint64_t expected = trainer.fit(rows, options).theta_hash;
    for (const int threads : {1, 2, 3, 5, 8}) {
      CAPTURE(b, threads);
      options.threads = threads;
      CHECK(trainer.fit(rows, options).theta_hash == expected);
    }
  }
}

TEST_CASE("lazy Adam on sparse rows refuses L1 and L2 before anything is changed") {
  const auto rows = sparse::random_rows<double>(d, n);
  const auto refused = [&](const Both& both, const std::string& why) {
    auto trainer = adam_trainer(d, both);
    trainer.initialize(1);
    CHECK_THROWS_WITH(trainer.fit(rows, {.epochs = 1, .batch_size = 7}),
                      Catch::Matchers::ContainsSubstring(why) && Catch::Matchers::ContainsSubstring("LazyAdam with no regularizer"));
    CHECK(trainer.theta().isZero(0));
  };
  refused({0.1, 0}, "L2 has no exact lazy form");
  refused({0, 0.1}, "L1 has no exact lazy form with this optimizer: its step sizes change in every step");
}

}  // namespace sparse_adam_test
