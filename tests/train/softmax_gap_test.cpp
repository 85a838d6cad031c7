// SPDX-License-Identifier: MIT
// Duality gaps of the softmax and of Huber's loss: by their definition, at optima that others found, and along the way to one.
#include <cmath>
#include <limits>
#include <type_traits>

#include <parade/core/hash.hpp>
#include <parade/data/dense_data.hpp>
#include <parade/losses/huber.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/models/linear.hpp>
#include <parade/regularizers/elastic_net.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/train/duality_gap.hpp>

#include "reference/optima.hpp"
#include "support/catch.hpp"
#include "support/numbers.hpp"
#include "support/training.hpp"

namespace softmax_gap_test {

namespace {

using parade::DenseData, parade::DualityGap, parade::ElasticNet, parade::Huber, parade::Index, parade::Intercept, parade::L2, parade::Label,
    parade::Linear, parade::Matrix, parade::SoftmaxCrossEntropy, parade::Team, parade::Vector;

constexpr double eps = std::numeric_limits<double>::epsilon(), infinity = std::numeric_limits<double>::infinity();

/// θ after full-batch proximal gradient steps of some size, for weights that are regularized and a bias, if there is one, that is not.
template <class L, class R>
Vector<double> fitted(const L& loss, const R& regularizer, const Linear<double>& model, const DenseData<double>& data, int steps,
                      double rate) {
  const Index k = model.num_outputs(), d = model.num_inputs(), n = data.size();
  Matrix<double> w = Matrix<double>::Zero(k, d), z(k, n), slopes(k, n);
  Vector<double> b = Vector<double>::Zero(k), values(n);
  for (int step = 0; step < steps; ++step) {
    z = (w * data.values()).colwise() + b;
    if constexpr (std::is_same_v<typename L::Target, Label>)
      loss.value_and_gradient(z, data.labels(), values, slopes);
    else
      loss.value_and_gradient(z, data.targets(), values, slopes);
    const Matrix<double> u = slopes * data.weights().asDiagonal() / data.weights().sum();
    Vector<double> grad = Matrix<double>(u * data.values().transpose()).reshaped(), theta = w.reshaped();
    if constexpr (parade::HasSmoothTerm<R, double>) regularizer.add_gradient(theta, grad);
    theta -= rate * grad;
    if constexpr (parade::HasProx<R, double>) regularizer.prox(theta, Vector<double>::Constant(theta.size(), rate));
    w = theta.reshaped(k, d);
    if (model.parameters().contains("bias")) b -= rate * u.rowwise().sum();
  }
  Vector<double> theta(model.parameters().size());
  theta.head(k * d) = w.reshaped();
  if (theta.size() > k * d) theta.tail(k) = b;
  return theta;
}

template <class L, class R>
void check_gaps(const L& loss, const R& regularizer, const DenseData<double>& data, Index k, double rate) {
  Team one(1), team(3);
  for (const auto intercept : {Intercept::none, Intercept::fitted}) {
    INFO((intercept == Intercept::none ? "no bias" : "bias"));
    const Linear<double> model(data.num_features(), k, intercept);
    const auto gap = [&](const Vector<double>& theta) {
      const DualityGap at = parade::duality_gap(team, model, loss, regularizer, theta, data);
      const DualityGap again = parade::duality_gap(one, model, loss, regularizer, theta, data);
      CHECK(at.primal == again.primal);
      CHECK(at.dual == again.dual);
      return at;
    };
    const DualityGap best = gap(fitted(loss, regularizer, model, data, 3000, rate));
    CHECK(std::abs(best.gap()) <= 1e-12);
    const double least = best.primal;
    double before = infinity;
    for (const int steps : {0, 3, 30, 300}) {
      const DualityGap at = gap(fitted(loss, regularizer, model, data, steps, rate));
      CHECK(at.dual <= least + 64 * eps);
      CHECK(at.gap() >= at.primal - least - 64 * eps);
      CHECK(at.gap() <= before + 64 * eps);
      before = at.gap();
    }
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      const DualityGap at = gap(numbers::random_vector<double>(model.parameters().size(), seed, -3, 3));
      CHECK(at.dual <= least + 64 * eps);
      CHECK(std::isfinite(at.dual));
    }
  }
}

}  // namespace

TEST_CASE("the conjugate of the softmax's cross-entropy is the least upper bound of u z - J(z)") {
  for (const double smoothing : {0.0, 0.2}) {
    const SoftmaxCrossEntropy loss{.label_smoothing = smoothing};
    for (std::uint64_t seed = 0; seed < 20; ++seed)
      for (Label y = 0; y < 4; ++y) {
        const Vector<double> scores = numbers::random_vector<double>(4, seed, -4, 4);
        Vector<double> value(1);
        Matrix<double> slopes(4, 1);
        const auto bound = [&](const Vector<double>& u, const Vector<double>& z) {
          Matrix<double> ignored(4, 1);
          loss.value_and_gradient(Matrix<double>(z), Vector<Label>(Vector<Label>::Constant(1, y)), value, ignored);
          return u.dot(z) - value[0];
        };
        loss.value_and_gradient(Matrix<double>(scores), Vector<Label>(Vector<Label>::Constant(1, y)), value, slopes);
        const Vector<double> u = slopes.col(0);
        const double conjugate = loss.conjugate(u, y);
        CHECK(std::abs(conjugate - bound(u, scores)) <= 64 * eps);  // where u is the slope the bound is met
        for (std::uint64_t other = 0; other < 10; ++other)
          CHECK(bound(u, numbers::random_vector<double>(4, 100 + other, -9, 9)) <= conjugate + 64 * eps);
        CHECK(loss.conjugate(Vector<double>(u * 0.3), y) < infinity);
        Vector<double> outside = u;
        outside[y] += 0.01;
        CHECK(loss.conjugate(outside, y) == infinity);
        outside = u;
        outside[(y + 1) % 4] -= 1;
        outside[y] += 1;
        CHECK(loss.conjugate(outside, y) == infinity);
      }
    CHECK(loss.conjugate(Vector<double>(Vector<double>::Zero(4)), 2) <= 0);
  }
  CHECK(SoftmaxCrossEntropy{}.conjugate(Vector<double>(Vector<double>::Zero(4)), 2) == 0);
}

TEST_CASE("the gap at the softmax's optimum that scikit-learn found is rounding") {
  Team team(2);
  const optima::Case problem("softmax_l2");
  const auto data = DenseData<double>(problem.x).with_labels(problem.labels("labels"));
  const Linear<double> model(problem.theta.cols(), problem.theta.rows(), Intercept::none);
  const L2 ridge{.lambda = problem.number("lambda")};
  const DualityGap at = parade::duality_gap(team, model, SoftmaxCrossEntropy{}, ridge, Vector<double>(problem.theta.reshaped()), data);
  CHECK(at.primal == Approx(problem.value).epsilon(1e-12));
  CHECK(std::abs(at.gap()) <= 1e-13);
  Vector<double> off = problem.theta.reshaped();
  off[0] += 0.1;
  const DualityGap away = parade::duality_gap(team, model, SoftmaxCrossEntropy{}, ridge, off, data);
  CHECK(away.gap() >= away.primal - problem.value);
  CHECK(away.gap() < 1);
  CHECK(away.primal - problem.value > 1e-5);
}

TEST_CASE("gaps of the softmax and of Huber's loss bound what is left, and go to 0, with a bias and without") {
  Vector<double> weights = training::sample_weights(300);
  const auto classes = training::labelled_data<double>(6, 300, 4).with_weights(weights);
  check_gaps(SoftmaxCrossEntropy{}, L2{.lambda = 0.05}, classes, 4, 0.5);
  check_gaps(SoftmaxCrossEntropy{.label_smoothing = 0.1}, ElasticNet{.lambda = 0.05, .l1_ratio = 0.4}, classes, 4, 0.5);
  const auto targets = training::regression_data<double>(6, 300, 2).with_weights(weights);
  check_gaps(Huber{.delta = 0.3}, L2{.lambda = 0.05}, targets, 2, 0.5);
}

TEST_CASE("gaps of the softmax and of Huber's loss have the same bits under every compiler") {
  Team team(2);
  const auto classes = training::labelled_data<double>(6, 300, 4).with_weights(training::sample_weights(300));
  const auto targets = training::regression_data<double>(6, 300, 4);
  const Linear<double> model(6, 4);
  const Vector<double> theta = numbers::random_vector<double>(28, 7, -1, 1);
  const DualityGap softmax =
      parade::duality_gap(team, model, SoftmaxCrossEntropy{.label_smoothing = 0.1}, L2{.lambda = 0.05}, theta, classes);
  const DualityGap huber = parade::duality_gap(team, model, Huber{.delta = 0.5}, L2{.lambda = 0.05}, theta, targets);
  CHECK(parade::hash_text(parade::theta_hash(Vector<double>{{softmax.primal, softmax.dual, huber.primal, huber.dual}})) ==
        "0799d1fa6e4dd7e6");
}

}  // namespace softmax_gap_test
