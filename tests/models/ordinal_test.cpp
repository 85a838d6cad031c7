// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>
#include <stdexcept>
#include <type_traits>

#include <parade/layers/dense.hpp>
#include <parade/layers/dropout.hpp>
#include <parade/layers/normalization.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/models/linear.hpp>
#include <parade/models/matrix_factorization.hpp>
#include <parade/models/mlp.hpp>
#include <parade/models/ordinal.hpp>
#include <parade/models/sequential.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/no_regularizer.hpp>
#include <parade/train/trainer.hpp>

#include "models/model_checks.hpp"

namespace ordinal_test {

namespace {

using Catch::Matchers::ContainsSubstring;
using parade::Index, parade::Label, parade::Linear, parade::Matrix, parade::Ordinal, parade::SoftmaxCrossEntropy, parade::Vector;

static_assert(parade::Model<Ordinal<Linear<float>>> && parade::OverwritesGradient<Ordinal<Linear<float>>> &&
              parade::PreparesRanges<Ordinal<Linear<float>>>);
// Of a model that prepares nothing and overwrites nothing.
static_assert(parade::Model<Ordinal<parade::MatrixFactorization<double>>> &&
              !parade::OverwritesGradient<Ordinal<parade::MatrixFactorization<double>>> &&
              parade::PreparesRanges<Ordinal<parade::MatrixFactorization<double>>>);

/// z = x: the score is the data.
template <class S>
struct Identity {
  using Scalar = S;
  struct Workspace {};
  parade::ParameterList parameters() const { return {{"unused", 1, 1}}; }
  Index num_inputs() const { return 1; }
  Index num_outputs() const { return 1; }
  void initialize(parade::VectorRef<S> theta, std::uint64_t) const { theta.setZero(); }
  parade::ConstMatrixRef<S> forward(const parade::ConstVectorRef<S>&, const parade::ConstMatrixRef<S>& x, Workspace&) const { return x; }
  void add_gradient(const parade::ConstVectorRef<S>&, const parade::ConstMatrixRef<S>&, const parade::ConstMatrixRef<S>&, Workspace&,
                    parade::VectorRef<S>) const {}
};

double sigmoid(double a) { return a < 0 ? std::exp(a) / (1 + std::exp(a)) : 1 / (1 + std::exp(-a)); }

/// log P(y = c) where the score is s, as the definition says, but with the differences of σ that do not cancel.
double log_probability(const Vector<double>& t, Index c, double s) {
  const Index last = t.size();
  if (c == 0) return std::log(sigmoid(t[0] - s));
  if (c == last) return std::log(sigmoid(s - t[last - 1]));
  return std::log(t[c] < s ? sigmoid(t[c] - s) - sigmoid(t[c - 1] - s) : sigmoid(s - t[c - 1]) - sigmoid(s - t[c]));
}

}  // namespace

// It is trained as its model is.
using Dropping = parade::Ordinal<parade::Sequential<float, parade::Dense, parade::BatchNorm, parade::Dropout, parade::Dense>>;
static_assert(parade::Model<Dropping> && parade::TrainsDifferently<Dropping> && parade::depends_on_shard<Dropping>);
static_assert(!parade::TrainsDifferently<parade::Ordinal<parade::Linear<float>>> &&
              !parade::depends_on_shard<parade::Ordinal<parade::Linear<float>>>);

TEMPLATE_TEST_CASE("the outputs of an ordinal model are the logarithms of the classes' probabilities", "", float, double) {
  using S = TestType;
  for (const Index k : {2, 3, 5, 20}) {
    const Ordinal<Identity<S>> model({}, k);
    const Vector<S> theta = models::some_theta(model, 61, 2);
    const Vector<double> t = model.thresholds(theta).template cast<double>();
    REQUIRE(t.size() == k - 1);
    for (Index c = 1; c < k - 1; ++c) CHECK(t[c] - t[c - 1] > 0);
    const Matrix<S> x = numbers::random_matrix<S>(1, 50, 62, -6, 10);
    const Matrix<S> z = models::scores(model, theta, x);
    REQUIRE(z.rows() == k);
    REQUIRE(z.cols() == 50);
    // t_c − t_{c−1} is rounded at the size of t, where the model has softplus(γ_c): relative to the least gap that is the most.
    const double eps = static_cast<double>(std::numeric_limits<S>::epsilon()), size = t.cwiseAbs().maxCoeff() + 10;
    double least = 1;
    for (Index c = 1; c < k - 1; ++c) least = std::min(least, t[c] - t[c - 1]);
    for (Index j = 0; j < x.cols(); ++j) {
      double sum = 0;
      for (Index c = 0; c < k; ++c) {
        CAPTURE(k, j, c);
        CHECK(std::abs(static_cast<double>(z(c, j)) - log_probability(t, c, static_cast<double>(x(0, j)))) <= 8 * eps * size / least);
        sum += std::exp(static_cast<double>(z(c, j)));
      }
      CHECK(std::abs(sum - 1) <= 8 * eps * size / least);
    }
  }
}

TEST_CASE("the probabilities of an ordinal model keep their digits far out, where differences would have none") {
  const Ordinal<Identity<double>> model({}, 3);
  Vector<double> theta(3);
  theta << 0, 0, 0.54132485461291807;  // t = 0 and 1
  Matrix<double> x(1, 3);
  x << 500, -500, 0.5;
  const Matrix<double> z = models::scores(model, theta, x);
  // P(y = 1) = σ(1 − s) − σ(−s) → e^{−s}(e − 1) and e^{s}(1 − 1/e)
  const auto is = [](double value) { return Catch::Approx(value).epsilon(1e-15).margin(0); };
  CHECK(z(0, 0) == is(-500));
  CHECK(z(1, 0) == is(-500 + std::log(std::exp(1.0) - 1)));
  CHECK(z(2, 0) == is(-std::exp(-499)));
  CHECK(z(0, 1) == is(-std::exp(-500)));
  CHECK(z(1, 1) == is(-500 + std::log(1 - std::exp(-1))));
  CHECK(z(2, 1) == is(-501));
  CHECK(std::exp(z(1, 2)) == is(2 * sigmoid(0.5) - 1));
}

TEST_CASE("the gradient of an ordinal model is that of differences, whatever model is inside") {
  const auto check = [](const auto& model, const Matrix<double>& x) {
    Vector<Label> labels(x.cols());
    for (Index j = 0; j < x.cols(); ++j) labels[j] = static_cast<Label>(j % model.num_outputs());
    const auto data = parade::DenseData<double>(x).with_labels(labels);
    CHECK(parade::testing::check_gradient(model, SoftmaxCrossEntropy{}, models::some_theta(model), data));
    CHECK(parade::testing::check_gradient(model, SoftmaxCrossEntropy{}, models::some_theta(model),
                                          data.with_weights(training::sample_weights(x.cols()))));
  };
  const Matrix<double> x = numbers::random_matrix<double>(4, 15, 63);
  for (const Index k : {2, 3, 6}) check(Ordinal(Linear<double>(4), k), x);
  check(Ordinal(parade::Mlp<double>({4, 3, 1}, parade::Activation::tanh), 4), x);
  Matrix<double> pairs(2, 15);
  for (Index j = 0; j < 15; ++j) pairs.col(j) << static_cast<double>(j % 3), static_cast<double>(j % 5);
  check(Ordinal(parade::MatrixFactorization<double>(3, 5, 2), 5), pairs);
}

TEST_CASE("an ordinal model's score has the same bits whatever stands beside it, its gradient for any number of threads") {
  const auto check = [](const auto& model, const Matrix<float>& x) {
    Vector<Label> labels(x.cols());
    for (Index j = 0; j < x.cols(); ++j) labels[j] = static_cast<Label>(j % model.num_outputs());
    models::check_columns(model, models::some_theta(model), x);
    models::check_threads<SoftmaxCrossEntropy>(model, models::some_theta(model), parade::DenseData<float>(x).with_labels(labels));
  };
  check(Ordinal(Linear<float>(20), 7), numbers::random_matrix<float>(20, 67, 64));
}

TEST_CASE("an ordinal model is prepared range by range as it is piece by piece") {
  const auto check = [](const auto& model, const Matrix<double>& x) {
    using M = std::remove_cvref_t<decltype(model)>;
    const Vector<double> theta = models::some_theta(model);
    typename M::Prepared prepared;
    model.reserve(prepared);
    const auto ranges = parade::detail::parameter_ranges(model.parameters());
    for (std::size_t i = ranges.size(); i-- > 0;) model.prepare(theta.data() + ranges[i].begin, ranges[i], prepared);
    typename M::Workspace workspace;
    CHECK(numbers::same_bits(Matrix<double>(model.forward(prepared, x, workspace)), models::scores(model, theta, x)));
  };
  check(Ordinal(parade::Mlp<double>{70, 40, 1}, 6), numbers::random_matrix<double>(70, 9, 65));
  check(Ordinal(parade::MatrixFactorization<double>(3, 5, 2), 4), Matrix<double>(Matrix<double>::Ones(2, 2)));
}

TEST_CASE("an ordinal model of two classes is logistic regression") {
  const auto data = training::labelled_data<double>(3, 40, 2);
  const Ordinal model(Linear<double>(3), 2);
  const Vector<double> theta = models::some_theta(model);
  Vector<double> linear = theta.head(4);
  linear[3] -= theta[4];  // the threshold is a bias
  CHECK(models::mean_loss<SoftmaxCrossEntropy>(model, theta, data) ==
        Catch::Approx(models::mean_loss<parade::Logistic>(Linear<double>(3), linear, data)).epsilon(1e-14).margin(0));
}

TEST_CASE("an ordinal model recovers the thresholds and the slope that its data has, and predicts the most probable class") {
  // Each class at each x, with the weight of its probability: then the likelihood is greatest at the truth itself.
  const Index k = 4, points = 33;
  Vector<double> t(k - 1);
  t << -1.5, 0.25, 0.75;
  const double slope = 2;
  Matrix<double> x(1, k * points);
  Vector<Label> labels(k * points), best(k * points);
  Vector<double> weights(k * points);
  double right = 0;
  for (Index j = 0; j < points; ++j) {
    Vector<double> p(k);
    for (Index c = 0; c < k; ++c) p[c] = std::exp(log_probability(t, c, slope * static_cast<double>(j - 16) / 8));
    Index most = 0;
    right += p.maxCoeff(&most);
    for (Index c = 0; c < k; ++c) {
      x(0, j * k + c) = static_cast<double>(j - 16) / 8;
      labels[j * k + c] = static_cast<Label>(c);
      weights[j * k + c] = p[c];
      best[j * k + c] = static_cast<Label>(most);
    }
  }
  const auto data = parade::DenseData<double>(x).with_labels(labels).with_weights(weights);
  parade::Trainer trainer{Ordinal{Linear<double>{1}, k}, SoftmaxCrossEntropy{}, parade::NoRegularizer{},
                          parade::Sgd{.rate = 0.5, .momentum = 0.9}};
  const auto summary = trainer.fit(data, {.epochs = 3000, .batch_size = data.size(), .threads = 1});
  REQUIRE(summary.stop_reason == parade::StopReason::completed);
  const Vector<double> theta = trainer.theta();
  CHECK(std::abs(theta[0] - slope) < 1e-6);
  const Vector<double> found = trainer.model().thresholds(theta).array() - theta[1];  // the model's bias moves them all
  CHECK((found - t).cwiseAbs().maxCoeff() < 1e-6);
  CHECK(trainer.predict(data) == best);
  CHECK(std::abs(trainer.accuracy(data) - right / static_cast<double>(points)) < 1e-12);
}

TEST_CASE("an ordinal model starts with the model's own start and thresholds one apart, centred on 0") {
  const Ordinal model(parade::Mlp<double>{3, 4, 1}, 5);
  Vector<double> theta(model.parameters().size()), inner(model.model().parameters().size());
  model.initialize(theta, 9);
  model.model().initialize(inner, 9);
  CHECK(theta.head(inner.size()) == inner);
  Vector<double> expected(4);
  expected << -1.5, -0.5, 0.5, 1.5;
  CHECK((model.thresholds(theta) - expected).cwiseAbs().maxCoeff() <= 4 * std::numeric_limits<double>::epsilon());
  CHECK(model.parameters()["thresholds"].role == parade::Role::bias);
  CHECK(model.parameters()["layer0.weight"].offset == 0);
  CHECK(model.num_outputs() == 5);
}

TEST_CASE("a score that is not a number gives no class a probability") {
  const Ordinal<Identity<float>> model({}, 4);
  Matrix<float> x(1, 3);
  x << 1, std::numeric_limits<float>::quiet_NaN(), 2;
  const Matrix<float> z = models::scores(model, models::some_theta(model), x);
  CHECK(z.col(0).allFinite());
  CHECK(z.col(1).array().isNaN().all());
  CHECK(z.col(2).allFinite());
}

TEST_CASE("an ordinal model of two outputs or one class is an error that says so") {
  CHECK_THROWS_WITH(Ordinal(Linear<float>(3, 2), 4), ContainsSubstring("Ordinal needs a model with 1 output; got 2"));
  CHECK_THROWS_WITH(Ordinal(Linear<float>(3), 1), ContainsSubstring("Ordinal must have at least 2 classes; got 1"));
}

}  // namespace ordinal_test
