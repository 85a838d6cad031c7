// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <parade/data/dense_data.hpp>
#include <parade/engine/serial_gradient.hpp>
#include <parade/losses/class_weights.hpp>
#include <parade/losses/one_vs_rest.hpp>
#include <parade/models/linear.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/no_regularizer.hpp>
#include <parade/train/trainer.hpp>

#include "losses/cases.hpp"
#include "support/catch.hpp"
#include "support/training.hpp"

namespace {

using namespace losses;
using parade::DataError, parade::DenseData;

Vector<Label> labels_of(std::initializer_list<Label> list) {
  Vector<Label> labels(static_cast<Index>(list.size()));
  std::copy(list.begin(), list.end(), labels.data());
  return labels;
}

/// The samples `which` of X and the targets.
template <class Loss>
DenseData<double> data_of(const Matrix<double>& x, const Targets<Loss, double>& targets, const std::vector<Index>& which) {
  const DenseData<double> data{Matrix<double>(x(Eigen::all, which))};
  if constexpr (on_labels<Loss>)
    return data.with_labels(Vector<Label>(targets(which)));
  else
    return data.with_targets(Matrix<double>(targets(Eigen::all, which)));
}

}  // namespace

TEST_CASE("a weight is so many copies of a sample, and a weight of 0 is absence, for every loss", "[losses]") {
  const auto check = [](const std::string& name, const auto& loss) {
    using Loss = std::decay_t<decltype(loss)>;
    INFO(name);
    constexpr Index d = 3, n = 30;
    const Index k = outputs(loss).size() > 1 ? 3 : 1;
    Matrix<double> x = random_matrix<double>(d, n, 1);
    const auto targets = random_targets<Loss, double>(loss, k, n);
    Vector<double> weights(n);
    std::vector<Index> all, copies;
    for (Index j = 0; j < n; ++j) {
      weights[j] = static_cast<double>(j % 4);
      if (j % 4 == 0) x.col(j).setConstant(1e308);  // scores and losses of ∞ or NaN
      all.push_back(j);
      for (Index copy = 0; copy < j % 4; ++copy) copies.push_back(j);
    }
    const parade::Linear<double> model{d, k};
    const parade::SerialGradient<parade::Linear<double>, Loss> engine(model, loss, 7);
    const auto theta = numbers::random_vector<double>(model.parameters().size(), 2);
    Vector<double> weighted_grad, copied_grad;
    const auto weighted = engine.sum(theta, data_of<Loss>(x, targets, all).with_weights(weights), all, weighted_grad);
    const auto copied =
        engine.sum(theta, data_of<Loss>(x, targets, copies), training::first_samples(static_cast<Index>(copies.size())), copied_grad);
    REQUIRE(copied.samples == 43);
    CHECK(weighted.weight == copied.weight);
    CHECK(std::isfinite(copied.loss));
    CHECK(copied.loss != 0);
    // 43 terms in another order.
    constexpr double eps = std::numeric_limits<double>::epsilon();
    CHECK(std::abs(weighted.loss - copied.loss) <= 43 * eps * (43 + std::abs(copied.loss)));
    CHECK((weighted_grad - copied_grad).cwiseAbs().maxCoeff() <= 43 * eps * (43 + copied_grad.cwiseAbs().maxCoeff()));
    CHECK(copied_grad.cwiseAbs().maxCoeff() > 0.1);
  };
  for_each(check);
  check("OneVsRest of Logistic", parade::OneVsRest{parade::Logistic{}});
}

TEST_CASE("class weights weigh as those of PyTorch: F is the sum of c J over the sum of c", "[losses]") {
  constexpr Index d = 3, k = 3, n = 25;
  const auto x = random_matrix<double>(d, n, 1);
  const parade::SoftmaxCrossEntropy loss;
  const auto labels = random_targets<parade::SoftmaxCrossEntropy, double>(loss, k, n);
  const std::vector<double> of_class{0.5, 3, 1.25};
  const parade::Linear<double> model{d, k};
  const parade::SerialGradient<parade::Linear<double>, parade::SoftmaxCrossEntropy> engine(model, loss);
  const auto theta = numbers::random_vector<double>(model.parameters().size(), 2);
  const auto data = DenseData<double>(x).with_labels(labels);
  Vector<double> grad;
  const auto sum = engine.sum(theta, data.with_weights(parade::sample_weights(labels, of_class)), training::first_samples(n), grad);

  double numerator = 0, denominator = 0;
  Vector<double> expected = Vector<double>::Zero(theta.size());
  for (Index j = 0; j < n; ++j) {
    Vector<double> one;
    const std::vector<Index> sample{j};
    const double c = of_class[static_cast<std::size_t>(labels[j])];
    numerator += c * engine.sum(theta, data, sample, one).loss;
    denominator += c;
    expected += c * one;
  }
  CHECK(sum.weight == denominator);
  CHECK(std::abs(sum.loss / sum.weight - numerator / denominator) <= 1e-14);
  CHECK((grad / sum.weight - expected / denominator).cwiseAbs().maxCoeff() <= 1e-14);
}

TEST_CASE("a class weight of 3 trains as the class three times over", "[losses]") {
  constexpr Index d = 4, n = 30;
  const auto data = training::labelled_data<double>(d, n, 2);
  std::vector<Index> copies;
  for (Index j = 0; j < n; ++j)
    for (Index copy = 0; copy < (data.label(j) == 1 ? 3 : 1); ++copy) copies.push_back(j);
  const auto copied =
      DenseData<double>(Matrix<double>(data.values()(Eigen::all, copies))).with_labels(Vector<Label>(data.labels()(copies)));
  const auto fit = [](const DenseData<double>& all) {
    parade::Trainer trainer{parade::Linear<double>{d, 1}, parade::Logistic{}, parade::NoRegularizer{}, parade::Sgd{.rate = 0.5}};
    trainer.fit(all, {.epochs = 20, .batch_size = all.size(), .seed = 3, .threads = 1});
    return Vector<double>(trainer.theta());
  };
  const Vector<double> weighted = fit(data.with_weights(parade::sample_weights(data.labels(), {1, 3}))), expected = fit(copied);
  REQUIRE(expected.cwiseAbs().maxCoeff() > 0.1);
  CHECK((weighted - expected).cwiseAbs().maxCoeff() <= 1e-13);
  CHECK((weighted - fit(data)).cwiseAbs().maxCoeff() > 1e-3);
}

TEST_CASE("class weights become weights of samples, and balanced ones are those of scikit-learn", "[losses]") {
  const auto labels = labels_of({0, 0, 0, 1});
  CHECK(parade::balanced_class_weights(labels, 2) == std::vector<double>{4.0 / 6, 2});
  CHECK(parade::balanced_class_weights(labels_of({-1, -1, -1, 1}), 2) == std::vector<double>{4.0 / 6, 2});
  CHECK(parade::balanced_class_weights(labels_of({2, 0, 1, 2, 2, 2}), 3) == std::vector<double>{2, 2, 0.5});
  CHECK(parade::sample_weights(labels, {1, 10}) == Vector<double>{{1, 1, 1, 10}});
  CHECK(parade::sample_weights(labels_of({-1, 1}), {1, 10}) == Vector<double>{{1, 10}});
  CHECK(parade::sample_weights(labels, {1, 10}, Vector<double>{{1, 0, 2, 0.5}}) == Vector<double>{{1, 0, 2, 5}});

  CHECK_THROWS_WITH(parade::sample_weights(labels, {1}), "class_weights must have an entry for each of at least 2 classes; got 1");
  CHECK_THROWS_WITH(parade::sample_weights(labels, {1, -1}), "class_weights must be finite and at least 0; got -1 for class 1");
  CHECK_THROWS_WITH(parade::sample_weights(labels, {1, 2}, Vector<double>{{1}}),
                    "own_weights must have one entry for each of the n labels, or none; got 1 (n = 4)");
  CHECK_THROWS_WITH(parade::sample_weights(labels_of({0, 2}), {1, 2}),
                    "the label of sample 1 is 2; with 2 classes it must be in [0, 1], or else -1 or +1");
  CHECK_THROWS_AS(parade::sample_weights(labels_of({0, -1}), {1, 2, 3}), DataError);
  CHECK_THROWS_WITH(parade::balanced_class_weights(labels, 3), "class 2 has no samples, so that no weight can balance it");
  CHECK_THROWS_WITH(parade::balanced_class_weights(labels, 1), "classes must be at least 2; got 1");
}
