// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <sstream>
#include <vector>

#include <parade/losses/logistic.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/linear.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/no_regularizer.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/sparse.hpp"
#include "support/training.hpp"

namespace metrics_test {

namespace {

using namespace parade;
using Catch::Matchers::ContainsSubstring;

/// Equal to the bit, NaN to NaN.
bool same(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b)); }

/// Each figure is that of its function.
void check_figures(const ClassMetrics& metrics, const Matrix<float>& scores, const Vector<Label>& labels, const Vector<double>& weights,
                   const MetricsOptions& options) {
  CHECK(same(metrics.accuracy, accuracy(scores, labels, weights)));
  if (scores.rows() > options.top) CHECK(same(metrics.top_k_accuracy, top_k_accuracy(scores, labels, options.top, weights)));
  CHECK(same(metrics.log_loss, log_loss(scores, labels, weights)));
  CHECK(same(metrics.expected_calibration_error, expected_calibration_error(scores, labels, options.bins, weights)));
  const auto bins = calibration_bins(scores, labels, options.bins, weights);
  REQUIRE(metrics.calibration.size() == bins.size());
  for (std::size_t b = 0; b < bins.size(); ++b) {
    CHECK(same(metrics.calibration[b].weight, bins[b].weight));
    CHECK(same(metrics.calibration[b].confidence, bins[b].confidence));
    CHECK(same(metrics.calibration[b].accuracy, bins[b].accuracy));
  }
  const ConfusionMatrix confusion{scores, labels, weights};
  REQUIRE(metrics.confusion.classes() == confusion.classes());
  for (Index t = 0; t < confusion.classes(); ++t)
    for (Index p = 0; p < confusion.classes(); ++p) {
      CHECK(metrics.confusion.count(t, p) == confusion.count(t, p));
      CHECK(same(metrics.confusion.weight(t, p), confusion.weight(t, p)));
    }
}

/// All figures in one list.
std::vector<double> list(const ClassMetrics& m) {
  std::vector<double> all{static_cast<double>(m.samples), m.weight, m.accuracy, m.top_k_accuracy, m.log_loss, m.expected_calibration_error};
  for (const auto& bin : m.calibration) all.insert(all.end(), {bin.weight, bin.confidence, bin.accuracy});
  for (Index t = 0; t < m.confusion.classes(); ++t)
    for (Index p = 0; p < m.confusion.classes(); ++p) all.push_back(m.confusion.weight(t, p));
  return all;
}
std::vector<double> list(const RegressionMetrics& m) {
  return {static_cast<double>(m.samples), m.weight, m.mean_squared_error, m.root_mean_squared_error, m.mean_absolute_error, m.r_squared};
}

/// As a data set may have it that a user wrote; with_weights would refuse.
template <class S>
struct WeightlessData : DenseData<S> {
  explicit WeightlessData(const DenseData<S>& data) : DenseData<S>(data) {}
  void gather(std::span<const Index> samples, DenseBatch<S>& batch) const {
    DenseData<S>::gather(samples, batch);
    batch.weights = Vector<double>::Zero(static_cast<Index>(samples.size()));
  }
};

Trainer<Linear<float>, SoftmaxCrossEntropy, NoRegularizer, Sgd> five_classes() {
  Trainer trainer{Linear<float>{8, 5}, SoftmaxCrossEntropy{}, NoRegularizer{}, Sgd{}};
  trainer.set_theta(2 * training::random_vector<float>(45, 9));
  return trainer;
}

/// Of a model of one output, or of several, on targets.
template <class M, class L, class D>
auto measure(const M& model, const L& loss, const D& data, int threads, const MetricsOptions& options = {}) {
  Team team(threads);
  const Vector<typename M::Scalar> theta = training::random_vector<typename M::Scalar>(model.parameters().size(), 9);
  return compute_metrics<DenseBatch<typename M::Scalar>>(team, model, loss, theta, data, options);
}

}  // namespace

TEST_CASE("Trainer::metrics has the bits of the functions of scores, with weights and without, on dense and on sparse rows") {
  auto trainer = five_classes();
  for (const Index n : {1, 2, 255, 256, 257, 1000}) {
    CAPTURE(n);
    const auto rows = sparse::random_rows<float>(8, n, 5);
    const auto dense = sparse::dense(rows);
    Vector<double> weights = training::sample_weights(n);
    weights[0] = 1;
    for (const MetricsOptions options : {MetricsOptions{.top = 2}, MetricsOptions{.top = 4, .bins = 3}}) {
      check_figures(trainer.metrics(dense, options), trainer.scores(dense), dense.labels(), {}, options);
      check_figures(trainer.metrics(dense.with_weights(weights), options), trainer.scores(dense), dense.labels(), weights, options);
      check_figures(trainer.metrics(rows, options), trainer.scores(rows), rows.labels(), {}, options);
      check_figures(trainer.metrics(rows.with_weights(weights), options), trainer.scores(rows), rows.labels(), weights, options);
    }
    const auto metrics = trainer.metrics(dense.with_weights(weights));
    CHECK(metrics.top_k_accuracy == 1);  // of 5 among 5
    CHECK(metrics.samples == (weights.array() > 0).count());
    CHECK(metrics.weight == weights.sum());
  }
}

TEST_CASE("metrics have the same bits on any number of threads") {
  const auto rows = sparse::random_rows<float>(8, 3000, 5).with_weights(training::sample_weights(3000));
  const auto numbers = training::regression_data<double>(8, 3000, 3).with_weights(training::sample_weights(3000));
  const training::SleepyData<double> sleepy(numbers);
  const auto sleepy_classes = training::SleepyData<float>(sparse::dense(rows));
  const Linear<float> five{8, 5};
  const Vector<float> theta = training::random_vector<float>(45, 9);
  std::vector<std::vector<double>> first;
  for (const int threads : training::thread_counts) {
    Team team(threads);
    const std::vector<std::vector<double>> all{list(measure(five, SoftmaxCrossEntropy{}, sleepy_classes, threads)),
                                               list(compute_sparse_metrics(team, five, SoftmaxCrossEntropy{}, theta, rows)),
                                               list(measure(Linear<double>{8, 3}, SquaredError{}, sleepy, threads))};
    if (first.empty()) first = all;
    for (std::size_t i = 0; i < all.size(); ++i) {
      REQUIRE(all[i].size() == first[i].size());
      for (std::size_t j = 0; j < all[i].size(); ++j) CHECK(same(all[i][j], first[i][j]));
    }
  }
}

TEST_CASE("metrics of regression have the bits of the functions, and of one sample no R squared") {
  const Linear<double> model{6, 3};
  for (const Index n : {1, 2, 257, 1000}) {
    CAPTURE(n);
    Vector<double> weights = training::sample_weights(n);
    weights[0] = weights[n - 1] = 2;
    const auto data = training::regression_data<double>(6, n, 3);
    Team team(2);
    const Matrix<double> scores =
        compute_scores<DenseBatch<double>>(team, model, training::random_vector<double>(model.parameters().size(), 9), data);
    for (const bool weighted : {false, true}) {
      const auto metrics = measure(model, SquaredError{}, weighted ? data.with_weights(weights) : data, 3);
      const Vector<double> w = weighted ? weights : Vector<double>{};
      CHECK(same(metrics.mean_squared_error, mean_squared_error(scores, data.targets(), w)));
      CHECK(same(metrics.root_mean_squared_error, root_mean_squared_error(scores, data.targets(), w)));
      CHECK(same(metrics.mean_absolute_error, mean_absolute_error(scores, data.targets(), w)));
      if (n == 1)
        CHECK(std::isnan(metrics.r_squared));
      else
        CHECK(same(metrics.r_squared, r_squared(scores, data.targets(), w)));
      CHECK(metrics.samples == (weighted ? (weights.array() > 0).count() : n));
      CHECK(metrics.weight == (weighted ? weights.sum() : static_cast<double>(n)));
    }
  }
}

TEST_CASE("metrics of one output: labels 0 and 1, or -1 and +1") {
  const auto data = training::labelled_data<float>(4, 300, 2);
  Vector<Label> signs = data.labels();
  for (Label& y : signs) y = y > 0 ? 1 : -1;
  Team team(2);
  const Linear<float> model{4};
  const Matrix<float> scores =
      compute_scores<DenseBatch<float>>(team, model, training::random_vector<float>(model.parameters().size(), 9), data);
  const MetricsOptions options{.top = 1};
  for (const auto& labels : {Vector<Label>(data.labels()), signs}) {
    const auto metrics = measure(model, Logistic{}, data.with_labels(labels), 2, options);
    check_figures(metrics, scores, labels, {}, MetricsOptions{.top = 5});
    CHECK(metrics.top_k_accuracy == metrics.accuracy);
  }
  std::ostringstream counts;
  counts << measure(model, Logistic{}, data, 1).confusion;
  CHECK_THAT(counts.str(), ContainsSubstring("recall"));
}

TEST_CASE("a sample of weight 0 is absent from the metrics, whatever its label and scores are") {
  Team team(1);
  Matrix<float> scores(3, 3);
  scores << 1, 0, 0, 0, std::nanf(""), 2, 0, 0, 0;
  Vector<Label> labels(3);
  labels << 0, 99, 2;
  Vector<double> weights(3);
  weights << 1, 0, 3;
  detail::ClassSamples samples(3, 3, {.top = 1}, 1);
  samples.add<float>(scores, labels, weights, 0, 0);
  const ClassMetrics metrics = samples.result(team);
  CHECK(metrics.samples == 2);
  CHECK(metrics.weight == 4);
  CHECK(metrics.accuracy == 0.25);
  CHECK(metrics.confusion.weight(2, 1) == 3);

  auto trainer = five_classes();
  const auto data = training::labelled_data<float>(8, 300, 5);
  Vector<double> of_data = Vector<double>::Ones(300);
  of_data[7] = of_data[299] = 0;
  Matrix<float> x = data.values();
  x.col(7) *= -10;
  Vector<Label> others = data.labels();
  others[299] = (others[299] + 1) % 5;
  CHECK(list(trainer.metrics(data.with_weights(of_data))) ==
        list(trainer.metrics(DenseData<float>(x).with_labels(others).with_weights(of_data))));
}

TEST_CASE("metrics refuse no samples, weights that are all 0, scores that are NaN, labels that are no class, and bad options") {
  auto trainer = five_classes();
  const auto data = training::labelled_data<float>(8, 300, 5);
  const auto refuses = [&](const auto& what, const char* text, const MetricsOptions& options = {}) {
    CHECK_THROWS_WITH(trainer.metrics(what, options), ContainsSubstring(text));
  };
  refuses(DenseData<float>(Matrix<float>(8, 0)).with_labels(Vector<Label>(0)), "at least 1 sample; got 0");
  refuses(WeightlessData<float>(data), "must be above 0; all 300 are 0");
  refuses(DenseData<float>(data.values()), "label");
  refuses(data, "top must be at least 1; got 0", {.top = 0});
  refuses(data, "bins must be at least 1; got -1", {.bins = -1});
  Vector<Label> labels = data.labels();
  labels[260] = 5;
  refuses(data.with_labels(labels), "260");
  Vector<float> theta = trainer.theta();
  theta[3] = std::numeric_limits<float>::quiet_NaN();
  trainer.set_theta(theta);
  refuses(data, "is NaN");
  theta[3] = std::numeric_limits<float>::infinity();
  trainer.set_theta(theta);
  CHECK_THROWS_AS(trainer.metrics(data), DataError);

  const auto numbers = training::regression_data<double>(6, 3, 1);
  CHECK_THROWS_AS(measure(Linear<double>{6}, SquaredError{}, WeightlessData<double>(numbers), 1), DataError);
  CHECK_THROWS_AS(measure(Linear<double>{6}, SquaredError{}, training::regression_data<double>(6, 0, 1), 1), DataError);
}

}  // namespace metrics_test
