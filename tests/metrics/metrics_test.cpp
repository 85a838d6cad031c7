// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <locale>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/hash.hpp>
#include <parade/metrics/accuracy.hpp>
#include <parade/metrics/calibration.hpp>
#include <parade/metrics/confusion_matrix.hpp>
#include <parade/metrics/log_loss.hpp>
#include <parade/metrics/precision_recall_curve.hpp>
#include <parade/metrics/regression.hpp>
#include <parade/metrics/roc_curve.hpp>

#include "support/catch.hpp"
#include "support/numbers.hpp"
#include "support/reference.hpp"

namespace {

using namespace parade;
using Catch::Matchers::ContainsSubstring;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// A case of metrics.json, with and without weights.
struct Case {
  Matrix<double> scores;   // (k,n)
  Vector<Label> labels;    // (n)
  Matrix<double> targets;  // (k,n)
  Vector<double> weights;  // (n) or none
  nlohmann::json figures;
};

template <class Check>
void for_each_case(const std::vector<std::string>& names, const Check& check) {
  static const nlohmann::json file = reference::read_own("metrics.json");
  for (const auto& name : names) {
    const auto& one = file.at("cases").at(name);
    Case data;
    data.scores = one.at("scores").at(0).is_array() ? reference::columns(one.at("scores"))
                                                    : Matrix<double>(reference::vector(one.at("scores")).transpose());
    if (one.contains("labels")) data.labels = reference::vector(one.at("labels")).cast<Label>();
    if (one.contains("targets")) data.targets = reference::columns(one.at("targets"));
    for (const auto* how : {"plain", "weighted"}) {
      data.figures = one.at(how);
      data.weights = reference::vector(data.figures.at("weights"));
      INFO(name << ", " << how);
      check(data);
    }
  }
}

void check_equal(double actual, const nlohmann::json& expected) {
  const auto figure = expected.get<double>();
  CHECK(std::abs(actual - figure) <= reference::tolerance * std::max(1e-3, std::abs(figure)));
}

void check_equal(const std::vector<double>& actual, const nlohmann::json& expected, bool backwards = false) {
  auto figures = expected.get<std::vector<double>>();
  if (backwards) std::reverse(figures.begin(), figures.end());
  REQUIRE(actual.size() == figures.size());
  for (std::size_t i = 0; i < figures.size(); ++i) {
    INFO("element " << i);
    CHECK(std::abs(actual[i] - figures[i]) <= reference::tolerance);
  }
}

Vector<Label> labels_of(std::initializer_list<Label> list) {
  Vector<Label> labels(static_cast<Index>(list.size()));
  std::copy(list.begin(), list.end(), labels.data());
  return labels;
}

Vector<double> numbers_of(std::initializer_list<double> list) {
  Vector<double> result(static_cast<Index>(list.size()));
  std::copy(list.begin(), list.end(), result.data());
  return result;
}

}  // namespace

TEST_CASE("accuracy and the confusion matrix are those of scikit-learn", "[metrics]") {
  for_each_case({"two_classes", "five_classes"}, [](const Case& data) {
    const auto& figures = data.figures.at("confusion");
    check_equal(accuracy(data.scores, data.labels, data.weights), figures.at("accuracy"));
    const ConfusionMatrix matrix(data.scores, data.labels, data.weights);
    const Index k = std::max<Index>(2, data.scores.rows());
    REQUIRE(matrix.classes() == k);
    check_equal(matrix.accuracy(), figures.at("accuracy"));
    for (Index i = 0; i < k; ++i) {
      const auto c = static_cast<std::size_t>(i);
      for (Index j = 0; j < k; ++j) check_equal(matrix.weight(i, j), figures.at("matrix").at(c).at(static_cast<std::size_t>(j)));
      check_equal(matrix.precision(i), figures.at("classes").at("precision").at(c));
      check_equal(matrix.recall(i), figures.at("classes").at("recall").at(c));
      check_equal(matrix.f1(i), figures.at("classes").at("f1").at(c));
    }
    for (const auto& [how, name] :
         {std::pair{Average::macro, "macro"}, std::pair{Average::micro, "micro"}, std::pair{Average::weighted, "weighted"}}) {
      INFO(name);
      check_equal(matrix.precision(how), figures.at(name).at("precision"));
      check_equal(matrix.recall(how), figures.at(name).at("recall"));
      check_equal(matrix.f1(how), figures.at(name).at("f1"));
    }
    const ConfusionMatrix of_labels(k, predicted_labels(data.scores), data.labels, data.weights);
    for (Index i = 0; i < k; ++i)
      for (Index j = 0; j < k; ++j) CHECK((of_labels.weight(i, j) == matrix.weight(i, j) && of_labels.count(i, j) == matrix.count(i, j)));
  });
}

TEST_CASE("the log loss is that of scikit-learn", "[metrics]") {
  for_each_case({"two_classes", "five_classes"},
                [](const Case& data) { check_equal(log_loss(data.scores, data.labels, data.weights), data.figures.at("log_loss")); });
}

TEST_CASE("top-k accuracy is that of scikit-learn, ties included", "[metrics]") {
  for_each_case({"five_classes"}, [](const Case& data) {
    for (const Index top : {1, 2, 3, 4})
      check_equal(top_k_accuracy(data.scores, data.labels, top, data.weights), data.figures.at("top").at(std::to_string(top)));
    CHECK(top_k_accuracy(data.scores, data.labels, 5, data.weights) == 1);
  });
}

TEST_CASE("the ROC curve and its area are those of scikit-learn, ties included", "[metrics]") {
  for_each_case({"two_classes"}, [](const Case& data) {
    const auto& figures = data.figures.at("roc");
    const RocCurve curve = roc_curve(data.scores, data.labels, data.weights);
    check_equal(curve.false_positive_rate, figures.at("false_positive_rate"));
    check_equal(curve.true_positive_rate, figures.at("true_positive_rate"));
    CHECK(curve.thresholds.front() == infinity);
    check_equal(std::vector<double>(curve.thresholds.begin() + 1, curve.thresholds.end()), figures.at("thresholds"));
    CHECK(curve.false_positive_rate.back() == 1);
    CHECK(curve.true_positive_rate.back() == 1);
    check_equal(curve.area(), figures.at("area"));
    const Vector<Label> signs = (2 * data.labels.array() - 1).matrix();  // −1 and +1
    CHECK(roc_auc(data.scores.transpose(), signs, data.weights) == curve.area());
  });
  for_each_case({"five_classes"}, [](const Case& data) {
    for (Index c = 0; c < 5; ++c)
      check_equal(roc_auc(data.scores.row(c), one_against_rest(data.labels, static_cast<Label>(c)), data.weights),
                  data.figures.at("roc_area_of_class").at(static_cast<std::size_t>(c)));
  });
}

TEST_CASE("the precision-recall curve and the average precision are those of scikit-learn, ties included", "[metrics]") {
  for_each_case({"two_classes"}, [](const Case& data) {
    const auto& figures = data.figures.at("precision_recall");
    const PrecisionRecallCurve curve = precision_recall_curve(data.scores, data.labels, data.weights);
    check_equal(curve.precision, figures.at("precision"), true);
    check_equal(curve.recall, figures.at("recall"), true);
    check_equal(std::vector<double>(curve.thresholds.begin() + 1, curve.thresholds.end()), figures.at("thresholds"), true);
    check_equal(curve.average_precision(), figures.at("average_precision"));
    CHECK(average_precision(data.scores, data.labels, data.weights) == curve.average_precision());
  });
}

TEST_CASE("the expected calibration error is that of its definition", "[metrics]") {
  for_each_case({"two_classes", "five_classes"}, [](const Case& data) {
    for (const Index bins : {1, 7, 15})
      check_equal(expected_calibration_error(data.scores, data.labels, bins, data.weights),
                  data.figures.at("calibration_error").at(std::to_string(bins)));
    double weight = 0;
    for (const auto& bin : calibration_bins(data.scores, data.labels, 7, data.weights)) weight += bin.weight;
    CHECK(std::abs(weight - detail::total_weight(data.labels.size(), data.weights)) <= 1e-12);
  });
}

TEST_CASE("metrics of regression are those of scikit-learn", "[metrics]") {
  for_each_case({"one_output", "three_outputs"}, [](const Case& data) {
    check_equal(mean_squared_error(data.scores, data.targets, data.weights), data.figures.at("mean_squared_error"));
    check_equal(root_mean_squared_error(data.scores, data.targets, data.weights), data.figures.at("root_mean_squared_error"));
    check_equal(mean_absolute_error(data.scores, data.targets, data.weights), data.figures.at("mean_absolute_error"));
    check_equal(r_squared(data.scores, data.targets, data.weights), data.figures.at("r_squared"));
  });
}

TEST_CASE("metrics have their documented values", "[metrics]") {
  const Matrix<double> scores{{3, 2, 2, 1}};
  const auto labels = labels_of({1, 0, 1, 0});
  const auto roc = roc_curve(scores, labels);
  CHECK(roc.false_positive_rate == std::vector<double>{0, 0, 0.5, 1});
  CHECK(roc.true_positive_rate == std::vector<double>{0, 0.5, 1, 1});
  CHECK(roc.area() == 7.0 / 8);
  const auto curve = precision_recall_curve(scores, labels);
  CHECK(curve.precision == std::vector<double>{1, 1, 2.0 / 3, 0.5});
  CHECK(curve.recall == std::vector<double>{0, 0.5, 1, 1});
  CHECK(std::abs(curve.average_precision() - 5.0 / 6) <= 2e-16);
  CHECK(roc_auc(Matrix<double>::Zero(1, 4), labels) == 0.5);

  // Ties: the first class is predicted, for top-k the last ones come first.
  const Matrix<float> equal = Matrix<float>::Zero(3, 3);
  const auto three = labels_of({0, 1, 2});
  CHECK(predicted_labels(equal) == labels_of({0, 0, 0}));
  CHECK(accuracy(equal, three, numbers_of({4, 2, 1})) == 4.0 / 7);
  CHECK(top_k_accuracy(equal, three, 1, numbers_of({4, 2, 1})) == 1.0 / 7);
  CHECK(top_k_accuracy(equal, three, 2, numbers_of({4, 2, 1})) == 3.0 / 7);
  CHECK(predicted_labels(Matrix<float>{{-1, 0, 1}}) == labels_of({0, 0, 1}));

  const Matrix<double> y{{1, 2, 3, 4}};
  CHECK(r_squared(y, y) == 1);
  CHECK(r_squared(Matrix<double>::Constant(1, 4, 2.5), y) == 0);
  CHECK(r_squared(y, Matrix<double>::Constant(1, 4, 0.1)) == 0);
  CHECK(r_squared(Matrix<double>::Constant(1, 4, 0.1), Matrix<double>::Constant(1, 4, 0.1)) == 1);
  CHECK(root_mean_squared_error(y, Matrix<double>{{1, 2, 3, 8}}) == 2);
  CHECK(mean_absolute_error(y, Matrix<double>{{1, 2, 3, 8}}) == 1);
}

TEST_CASE("the log loss and the calibration error keep their digits far out", "[metrics]") {
  CHECK(log_loss(Matrix<double>{{40}}, labels_of({1})) == std::log1p(std::exp(-40.0)));
  CHECK(log_loss(Matrix<double>{{1e4}, {-1e4}}, labels_of({1})) == 2e4);
  CHECK(log_loss(Matrix<double>{{0}, {-infinity}}, labels_of({0})) == 0);
  CHECK(log_loss(Matrix<double>{{0}, {-infinity}}, labels_of({1})) == infinity);
  CHECK(log_loss(Matrix<double>{{0, 0}, {-infinity, 1}}, labels_of({1, 1})) == infinity);
  CHECK(expected_calibration_error(Matrix<double>{{1e4}, {-1e4}}, labels_of({0})) == 0);
  CHECK(expected_calibration_error(Matrix<double>{{1e4}, {-1e4}}, labels_of({1})) == 1);
  CHECK(expected_calibration_error(Matrix<double>{{0}, {0}}, labels_of({0}), 2) == 0.5);
  const auto bins = calibration_bins(Matrix<double>{{0}, {0}}, labels_of({0}), 2);  // ½ belongs to the lower one, (0, ½]
  CHECK(bins[0].weight == 1);
  CHECK(bins[1].weight == 0);
  CHECK_THROWS_WITH(calibration_bins(Matrix<double>{{infinity}, {0}}, labels_of({0})),
                    ContainsSubstring("scores of sample 0 have no softmax"));
}

TEST_CASE("a weight is so many copies, and a weight of 0 is absence, whatever the sample holds", "[metrics]") {
  const Index n = 40;
  Matrix<double> scores = numbers::random_matrix<double>(3, n, 1), targets = numbers::random_matrix<double>(3, n, 2);
  Vector<Label> labels(n);
  Vector<double> weights(n);
  std::vector<Index> copies;
  for (Index j = 0; j < n; ++j) {
    labels[j] = static_cast<Label>((5 * j + j / 3) % 3);
    weights[j] = static_cast<double>(j % 4);
    for (Index copy = 0; copy < j % 4; ++copy) copies.push_back(j);
  }
  const Matrix<double> more_scores = scores(Eigen::all, copies), more_targets = targets(Eigen::all, copies);
  const Vector<Label> more_labels = labels(copies);
  for (const Index j : {0, 4, 8}) {
    scores(1, j) = not_a_number;
    targets(2, j) = not_a_number;
    labels[j] = 77;
  }
  const auto same = [](double a, double b) { CHECK(std::abs(a - b) <= 1e-14 * std::abs(b)); };
  same(accuracy(scores, labels, weights), accuracy(more_scores, more_labels));
  same(top_k_accuracy(scores, labels, 2, weights), top_k_accuracy(more_scores, more_labels, 2));
  same(log_loss(scores, labels, weights), log_loss(more_scores, more_labels));
  same(expected_calibration_error(scores, labels, 5, weights), expected_calibration_error(more_scores, more_labels, 5));
  same(roc_auc(scores.row(1), one_against_rest(labels, 1), weights), roc_auc(more_scores.row(1), one_against_rest(more_labels, 1)));
  same(average_precision(scores.row(1), one_against_rest(labels, 1), weights),
       average_precision(more_scores.row(1), one_against_rest(more_labels, 1)));
  same(root_mean_squared_error(scores, targets, weights), root_mean_squared_error(more_scores, more_targets));
  same(mean_absolute_error(scores, targets, weights), mean_absolute_error(more_scores, more_targets));
  same(r_squared(scores, targets, weights), r_squared(more_scores, more_targets));
  const ConfusionMatrix a(scores, labels, weights), b(more_scores, more_labels);
  for (Index i = 0; i < 3; ++i)
    for (Index j = 0; j < 3; ++j) CHECK(a.weight(i, j) == b.weight(i, j));
}

TEST_CASE("the log loss of infinite scores is what it tends to, or an error", "[metrics]") {
  Matrix<double> scores(3, 2);
  scores << 0, -infinity, 0, 0, -infinity, 0;
  CHECK(log_loss(scores, labels_of({0, 2})) == Approx(std::log(2)).epsilon(1e-15));
  CHECK(log_loss(scores, labels_of({2, 1})) == infinity);
  scores(1, 1) = infinity;
  CHECK_THROWS_WITH(log_loss(scores, labels_of({0, 1})), "the scores of sample 1 have no softmax: the largest is not finite");
  CHECK_NOTHROW(log_loss(scores, labels_of({0, 1}), numbers_of({1, 0})));
  scores.col(1).setConstant(-infinity);
  CHECK_THROWS_WITH(log_loss(scores, labels_of({0, 1})), ContainsSubstring("have no softmax"));
  CHECK(log_loss(Matrix<double>::Constant(1, 1, -infinity), labels_of({0})) == 0);
  CHECK_THROWS_WITH(log_loss(Matrix<double>::Constant(1, 1, infinity), labels_of({0})), ContainsSubstring("have no softmax"));
}

TEST_CASE("R squared of targets that differ by very little or very much", "[metrics]") {
  Matrix<double> targets(1, 4), scores(1, 4);
  targets << 1, 2, 3, 6;
  scores << 1, 2, 4, 5;
  const double expected = r_squared(scores, targets);
  CHECK(expected == Approx(1 - 2.0 / 14).epsilon(1e-15));
  for (const double size : {0x1p-700, 0x1p-1000, 0x1p600, 0x1p1000}) {
    CHECK(r_squared(scores * size, targets * size) == expected);
    CHECK(r_squared(targets * size, targets * size) == 1);
  }
  CHECK(r_squared(Matrix<double>::Constant(1, 4, 1e-300), Matrix<double>::Zero(1, 4)) == 0);  // not perfect, though its square is 0

  // Sums, differences and squares of these are not finite.
  const double most = std::numeric_limits<double>::max();
  const Matrix<double> apart{{-most, most, most, -most}}, near{{1e308, 1.2e308, 1.4e308, 1.6e308}};
  CHECK(r_squared(apart, apart) == 1);
  CHECK(r_squared(Matrix<double>::Zero(1, 4), apart) == 0);
  CHECK(r_squared(-apart, apart) == -3);
  CHECK(r_squared(near, near) == 1);
  const Vector<double> weights = numbers_of({1, 3, 0.5, 2});
  const Matrix<double> scores_near{{1.1e308, 1.1e308, 1.5e308, 1.5e308}};
  for (const auto& w : {Vector<double>{}, weights})
    CHECK(r_squared(scores_near, near, w) == Approx(r_squared(scores_near * 0x1p-600, near * 0x1p-600, w)).epsilon(1e-14));
  CHECK(r_squared(Matrix<double>::Constant(1, 4, most), Matrix<double>{{1, 2, 3, 4}}) == -std::numeric_limits<double>::infinity());
  CHECK(std::isnan(r_squared(targets, Matrix<double>{{1, 2, 3, std::numeric_limits<double>::infinity()}})));
}

TEST_CASE("errors of any size that double holds have their means, whatever their sums, differences and squares are", "[metrics]") {
  const double most = std::numeric_limits<double>::max();
  const auto check = [&](const Matrix<double>& scores, const Matrix<double>& targets, const Vector<double>& weights) {
    long double mse = 0, rmse = 0, mae = 0;  // with 15 bits for exponents
    for (Index i = 0; i < scores.rows(); ++i) {
      long double squares = 0, sizes = 0, total = 0;
      for (Index j = 0; j < scores.cols(); ++j) {
        const long double w = weights.size() > 0 ? weights[j] : 1,
                          error = static_cast<long double>(scores(i, j)) - static_cast<long double>(targets(i, j));
        squares += w * error * error, sizes += w * std::abs(error), total += w;
      }
      const auto k = static_cast<long double>(scores.rows());
      mse += squares / total / k, rmse += std::sqrt(squares / total) / k, mae += sizes / total / k;
    }
    const auto same = [&](double found, long double expected) {
      CAPTURE(scores, targets, found);
      if (expected > static_cast<long double>(most))
        CHECK(found == infinity);
      else  // a rounding of the error, its square, quotient, root and sum; of the smallest numbers one of their last place
        CHECK(std::abs(static_cast<long double>(found) - expected) <= 6 * 0x1p-53L * expected + 0x1p-1074L);
    };
    same(mean_squared_error(scores, targets, weights), mse);
    same(root_mean_squared_error(scores, targets, weights), rmse);
    same(mean_absolute_error(scores, targets, weights), mae);
  };
  const Vector<double> weights = numbers_of({1, 3, 0.5, 2});
  if (std::numeric_limits<long double>::max_exponent > 4096)
    for (const auto& w : {Vector<double>{}, weights}) {
      const Matrix<double> scores{{1, 2, 4, 5}, {3, -1, 2, 0}}, targets{{1, 2.5, 3, 6}, {1, 1, 1, 1}};
      for (const double size : {1.0, 0x1p-1070, 0x1p-1000, 0x1p-700, 0x1p-510, 0x1p509, 0x1p510, 0x1p511, 0x1p600, 0x1p1000, 0x1p1020})
        check(scores * size, targets * size, w);
      check(Matrix<double>{{most, -most, most, 0}}, Matrix<double>{{-most, most, 0, most}}, w);
      check(Matrix<double>{{most, -most, most, 0}}, Matrix<double>{{most / 2, -most / 3, most, 0}}, w);
      check(Matrix<double>{{most, 1e-300, 1e-308, 0}}, Matrix<double>{{most, 0, 0, 0}}, w);  // a large number is not a large error
      check(Matrix<double>{{most, 1e-160, 1, 0}, {most, 0, 0, 0}, {most, 0, 0, 0}}, Matrix<double>::Zero(3, 4), w);
      check(Matrix<double>::Constant(3, 4, most), Matrix<double>::Zero(3, 4), w);
    }
  if (std::numeric_limits<long double>::max_exponent > 4096) {  // weights that hide how small or large squares are
    const auto of = [&](const std::vector<double>& errors, const std::vector<double>& w) {
      check(Eigen::Map<const Matrix<double>>(errors.data(), 1, static_cast<Index>(errors.size())),
            Matrix<double>::Zero(1, static_cast<Index>(errors.size())),
            Eigen::Map<const Vector<double>>(w.data(), static_cast<Index>(w.size())));
    };
    of({1.7e-161}, {1e60});
    of({1.3 * 0x1p-530, 0}, {0x1p200, 0x1p190});
    of({1e-130, 1e-170}, {1, 1e300});
    of({1e200, 1}, {3e-308, 1e300});
    of({1e200, 1e-3, 7}, {0x1p-1074, 0x1p1023, 1});
    of({0x1p-1074, 0x3p-1074}, {0x1p1020, 0x1p1022});
    of({most, -most, 3}, {0x1p-1074, 0x3p-1074, 0x1p-1070});
    of({1e-100, 3e-100, 0}, {0x1p-1000, 0x1p-1010, 0x1p-990});
    check(Matrix<double>{{most, most}}, Matrix<double>{{-most, -most / 2}}, numbers_of({1e-200, 1e300}));
    for (const double weight : {0x1p-1060, 0x1p-600, 0x1p-3, 0x1p5, 0x1p900})
      for (const double size : {1.0, 0x1p-1060, 0x1p-520, 0x1p-480, 0x1p480, 0x1p1020})
        check(Matrix<double>{{1, 2, 4, 5}} * size, Matrix<double>{{1, 2.5, 3, 6}} * size, weights * weight);
  }
  CHECK(root_mean_squared_error(Matrix<double>::Constant(2, 3, 0x1p1023), Matrix<double>::Zero(2, 3)) == 0x1p1023);
  CHECK(mean_absolute_error(Matrix<double>::Constant(2, 3, -most), Matrix<double>::Zero(2, 3)) == most);
  CHECK(root_mean_squared_error(Matrix<double>::Constant(1, 3, 0x1p-1074), Matrix<double>::Zero(1, 3)) == 0x1p-1074);
  CHECK(root_mean_squared_error(Matrix<double>{{1, infinity}}, Matrix<double>{{1, 2}}) == infinity);
  CHECK(mean_absolute_error(Matrix<double>{{1, infinity}}, Matrix<double>{{1, 2}}) == infinity);
  CHECK(std::isnan(root_mean_squared_error(Matrix<double>{{1, infinity}}, Matrix<double>{{1, infinity}})));
  CHECK(root_mean_squared_error(Matrix<double>{{1, 2}}, Matrix<double>{{1, 2}}) == 0);
}

TEST_CASE("metrics refuse what does not fit, and say why", "[metrics]") {
  const Matrix<double> scores{{1, 2, 3}, {3, 2, 1}, {0, 0, 0}};
  const auto labels = labels_of({0, 1, 2});
  const auto refuses = [&](const Matrix<double>& z, const Vector<Label>& y, const Vector<double>& w, const std::string& text) {
    INFO(text);
    CHECK_THROWS_AS(accuracy(z, y, w), DataError);
    CHECK_THROWS_WITH(accuracy(z, y, w), text);
    CHECK_THROWS_WITH(top_k_accuracy(z, y, 1, w), text);
    CHECK_THROWS_WITH(log_loss(z, y, w), text);
    CHECK_THROWS_WITH(ConfusionMatrix(z, y, w), text);
    CHECK_THROWS_WITH(expected_calibration_error(z, y, 15, w), text);
  };
  refuses(Matrix<double>(3, 0), labels_of({}), {}, "a metric needs at least 1 sample; got 0");
  refuses(Matrix<double>(0, 3), labels, {}, "scores must have at least 1 row; got 0");
  refuses(scores, labels_of({0, 1}), {}, "scores must have one column for each of the n labels; got 3 (n = 2)");
  refuses(scores, labels_of({0, 3, 2}), {}, "the label of sample 1 is 3; with 3 classes it must be in [0, 2]");
  refuses(scores, labels_of({0, 1, -1}), {}, "the label of sample 2 is -1; with 3 classes it must be in [0, 2]");
  refuses(scores, labels, numbers_of({1, 2}), "weights must have one entry for each of the n samples, or none; got 2 (n = 3)");
  refuses(scores, labels, numbers_of({1, -2, 1}), "weights must be finite and at least 0; got -2 for sample 1");
  refuses(scores, labels, numbers_of({1, 2, infinity}), "weights must be finite and at least 0; got inf for sample 2");
  refuses(scores, labels, numbers_of({0, 0, 0}), "the weight of at least one sample must be above 0; all 3 are 0");
  Matrix<double> bad = scores;
  bad(2, 1) = not_a_number;
  refuses(bad, labels, {}, "score 2 of sample 1 is NaN; it must be a number");
  CHECK_THROWS_WITH(predicted_labels(bad), "score 2 of sample 1 is NaN; it must be a number");

  CHECK_THROWS_AS(top_k_accuracy(scores, labels, 0), OptionError);
  CHECK_THROWS_WITH(top_k_accuracy(scores, labels, 4), "top must be in [1, k]; got 4 (k = 3)");
  CHECK_THROWS_WITH(top_k_accuracy(scores.row(0), labels_of({0, 1, 1}), 1), ContainsSubstring("at least 2 classes"));
  CHECK_THROWS_WITH(expected_calibration_error(scores, labels, 0), "bins must be at least 1; got 0");
  CHECK_THROWS_WITH(accuracy(scores.row(0), labels_of({0, -1, 1})), ContainsSubstring("both 0 and -1"));
  CHECK_THROWS_WITH(accuracy(scores.row(0), labels_of({0, 2, 1})), ContainsSubstring("in [0, 1], or else -1 or +1"));

  CHECK_THROWS_WITH(roc_auc(scores.row(0), labels_of({1, 1, 1})), "the ROC curve needs samples of both classes; all are positive");
  CHECK_THROWS_WITH(roc_auc(scores.row(0), labels_of({-1, -1, -1})), "the ROC curve needs samples of both classes; all are negative");
  CHECK_THROWS_WITH(roc_auc(scores.row(0), labels_of({1, 0, 0}), numbers_of({0, 1, 1})), ContainsSubstring("all are negative"));
  CHECK_THROWS_WITH(average_precision(scores.row(0), labels_of({0, 0, 0})), ContainsSubstring("at least 1 positive sample"));
  CHECK(average_precision(scores.row(0), labels_of({1, 1, 1})) == 1);
  CHECK_THROWS_WITH(roc_auc(scores, labels), ContainsSubstring("got (3, 3)"));
  CHECK_THROWS_WITH(roc_auc(bad.row(2), labels_of({1, 0, 1})), ContainsSubstring("of sample 1 is NaN"));

  const Matrix<double> targets = scores;
  CHECK_THROWS_WITH(mean_absolute_error(scores, targets.topRows(2)), "scores must have a row for each of the 2 targets a sample; got 3");
  CHECK_THROWS_WITH(mean_absolute_error(scores, targets.leftCols(2)),
                    "scores must have one column for each of the n targets; got 3 (n = 2)");
  CHECK_THROWS_WITH(mean_absolute_error(bad, targets), "score 2 of sample 1 is NaN; it must be a number");
  CHECK_THROWS_WITH(root_mean_squared_error(scores, bad), "target 2 of sample 1 is NaN; it must be a number");
  CHECK_THROWS_WITH(mean_squared_error(scores.leftCols(0), scores.leftCols(0)), "a metric needs at least 1 sample; got 0");
  CHECK_THROWS_WITH(r_squared(scores.leftCols(1), scores.leftCols(1)), ContainsSubstring("at least 2 samples"));
  CHECK_THROWS_WITH(ConfusionMatrix(3, labels_of({0}), labels), ContainsSubstring("got 1 (n = 3)"));
  CHECK_THROWS_WITH(ConfusionMatrix(1, labels, labels), ContainsSubstring("at least 2 classes"));
}

TEST_CASE("a confusion matrix prints its counts, or its weights", "[metrics]") {
  const auto text = [](const ConfusionMatrix& matrix) {
    std::ostringstream out;
    out << matrix;
    return out.str();
  };
  Evaluation evaluation;
  CHECK(ConfusionMatrix(evaluation).classes() == 0);
  CHECK(ConfusionMatrix(evaluation).accuracy() == 0);
  CHECK(ConfusionMatrix(evaluation).f1(Average::macro) == 0);
  evaluation.confusion = ConfusionMatrix::Counts{{90, 10}, {0, 0}};
  CHECK(text(ConfusionMatrix(evaluation)) ==
        "true \\ predicted\n"
        "        0   1   recall\n"
        "    0  90  10   90.0 %\n"
        "    1   0   0    0.0 %\n");
  const auto labels = labels_of({0, 1, 1}), predicted = labels_of({0, 0, 1});
  CHECK(text(ConfusionMatrix(2, predicted, labels, numbers_of({0.5, 1, 3}))) ==
        "true \\ predicted\n"
        "         0    1   recall\n"
        "    0  0.5    0  100.0 %\n"
        "    1    1    3   75.0 %\n");
}

TEMPLATE_TEST_CASE("curves have the bits of a plain sort on any number of threads: ties, zeros of both signs, infinities, weights of 0",
                   "[metrics]", float, double) {
  using S = TestType;
  for (const Index n : {1, 2, 3, 1024, 1025, 7001})
    for (const int kind : {0, 1, 2}) {
      Vector<S> scores = numbers::random_vector<S>(n, 21, -1, 1);
      for (S& z : scores) {
        if (kind == 1) z = std::round(4 * z) / 4;  // also −0
        if (kind == 2) z = z > S(0.8) ? S(infinity) : z < S(-0.8) ? S(-infinity) : 1 + z * 4 * std::numeric_limits<S>::epsilon();
      }
      Vector<Label> labels(n);
      for (Index j = 0; j < n; ++j) labels[j] = static_cast<Label>((7 * j + j / 5) % 3 == 0);
      Vector<double> weights = numbers::random_vector<double>(n, 22, 0, 2);
      for (Index j = 1; j < n; j += 3) weights[j] = 0;
      for (const auto& w : {weights, Vector<double>{}}) {
        if (w.size() > 0 && n > 1) scores[1] = S(not_a_number);  // of weight 0
        if (w.size() == 0 && n > 1) scores[1] = S(-0.0);
        std::vector<Index> order;
        for (Index j = 0; j < n; ++j)
          if (w.size() == 0 || w[j] > 0) order.push_back(j);
        std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return scores[a] > scores[b]; });
        std::vector<double> thresholds{infinity}, positive{0.0}, negative{0.0};
        detail::CompensatedSum of_positive, of_negative;
        for (std::size_t i = 0; i < order.size(); ++i) {
          const Index j = order[i];
          (labels[j] > 0 ? of_positive : of_negative).add(w.size() == 0 ? 1 : w[j]);
          if (i + 1 < order.size() && scores[order[i + 1]] == scores[j]) continue;
          thresholds.push_back(static_cast<double>(scores[j]));
          positive.push_back(of_positive.value());
          negative.push_back(of_negative.value());
        }
        const auto same = [](const std::vector<double>& a, const std::vector<double>& b) {
          return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
        };
        for (const int threads : {1, 2, 3, 8}) {
          CAPTURE(n, kind, threads);
          const auto sums = detail::threshold_sums(scores, labels, w, threads);
          CHECK(same(sums.thresholds, thresholds));
          CHECK(same(sums.positive, positive));
          CHECK(same(sums.negative, negative));
        }
      }
    }
}

TEST_CASE("metrics have the same bits on every machine", "[metrics]") {
  const Index n = 1000;
  Matrix<float> scores = numbers::random_matrix<float>(4, n, 11, -3, 3);
  for (Index i = 0; i < scores.size(); i += 3) scores.data()[i] = std::round(scores.data()[i]);
  Vector<Label> labels(n);
  for (Index j = 0; j < n; ++j) labels[j] = static_cast<Label>((7 * j + j / 5) % 4);
  const auto weights = numbers::random_vector<double>(n, 12, 0, 2);
  const auto targets = numbers::random_matrix<double>(4, n, 13);
  const auto ones = one_against_rest(labels, 2);
  const ConfusionMatrix matrix(scores, labels, weights);
  const Vector<double> figures = numbers_of(
      {accuracy(scores, labels, weights), top_k_accuracy(scores, labels, 2, weights), log_loss(scores, labels, weights),
       log_loss(scores.row(2), ones, weights), expected_calibration_error(scores, labels, 15, weights),
       roc_auc(scores.row(2), ones, weights), average_precision(scores.row(2), ones, weights), matrix.f1(Average::macro),
       matrix.f1(Average::weighted), mean_squared_error(scores, targets, weights), root_mean_squared_error(scores, targets, weights),
       mean_absolute_error(scores, targets, weights), r_squared(scores, targets, weights)});
  CHECK(hash_text(theta_hash<double>(figures)) == "e4062c593aefae49");
}
