// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include <parade/core/random.hpp>
#include <parade/losses/hinge.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>

#include "support/catch.hpp"
#include "support/numbers.hpp"

namespace {

using numbers::random_matrix, numbers::same_bits;
using parade::Hinge, parade::Index, parade::Label, parade::Logistic, parade::Matrix, parade::SoftmaxCrossEntropy, parade::SquaredError,
    parade::Vector;

template <class Loss, class S>
using Targets = std::conditional_t<std::is_same_v<typename Loss::Target, Label>, Vector<Label>, Matrix<S>>;

template <class S>
struct Result {
  Vector<S> values;   // (m)
  Matrix<S> dscores;  // (k,m)
};

/// What the loss writes, into memory full of NaN: whatever it forgets to write shows.
template <class Loss, class S>
Result<S> evaluate(const Loss& loss, const Matrix<S>& scores, const Targets<Loss, S>& targets) {
  constexpr S nan = std::numeric_limits<S>::quiet_NaN();
  Result<S> result{Vector<S>::Constant(scores.cols(), nan), Matrix<S>::Constant(scores.rows(), scores.cols(), nan)};
  loss.value_and_gradient(scores, targets, result.values, result.dscores);
  return result;
}

/// One sample: J and ∂J/∂z.
template <class Loss, class S>
Result<S> at(const Loss& loss, const std::vector<S>& z, Label y) {
  Matrix<S> scores(static_cast<Index>(z.size()), 1);
  std::copy(z.begin(), z.end(), scores.data());
  return evaluate(loss, scores, Vector<Label>(Vector<Label>::Constant(1, y)));
}

/// Numbers of outputs that a loss takes: one, or several that are no multiple of a vector's width.
template <class Loss>
std::vector<Index> outputs() {
  std::vector<Index> accepted;
  for (const Index k : {1, 2, 3, 10, 17})
    if constexpr (parade::ChecksOutputs<Loss>) {
      if (Loss{}.check_outputs(k).empty()) accepted.push_back(k);
    } else {
      accepted.push_back(k);
    }
  return accepted;
}

/// Labels in [0, k) (two classes for one output), or real targets.
template <class Loss, class S>
Targets<Loss, S> random_targets(Index k, Index m) {
  if constexpr (std::is_same_v<typename Loss::Target, Label>) {
    const parade::Random random{1, parade::Purpose::user, 99};
    Vector<Label> labels(m);
    for (Index j = 0; j < m; ++j)
      labels[j] = static_cast<Label>(random.below(static_cast<std::uint64_t>(j), static_cast<std::uint64_t>(std::max<Index>(k, 2))));
    return labels;
  } else {
    return random_matrix<S>(k, m, 98);
  }
}

/// Columns [begin, begin + size) of scores and targets give the bits that they give in the whole.
template <class Loss, class S>
bool part_is_as_in_the_whole(const Matrix<S>& scores, const Targets<Loss, S>& targets, const Result<S>& whole, Index begin, Index size) {
  Targets<Loss, S> part;
  if constexpr (std::is_same_v<typename Loss::Target, Label>)
    part = targets.segment(begin, size);
  else
    part = targets.middleCols(begin, size);
  const auto result = evaluate(Loss{}, Matrix<S>(scores.middleCols(begin, size)), part);
  return same_bits(result.values, whole.values.segment(begin, size)) && same_bits(result.dscores, whole.dscores.middleCols(begin, size));
}

template <class Loss, class S>
bool every_part_is_as_in_the_whole(Index k, Index m) {
  const auto scores = random_matrix<S>(k, m, 5);
  const auto targets = random_targets<Loss, S>(k, m);
  const auto whole = evaluate(Loss{}, scores, targets);
  for (Index begin = 0; begin < m; ++begin)
    for (const Index size : {1, 2, 7, 16})
      if (begin + size <= m && !part_is_as_in_the_whole<Loss, S>(scores, targets, whole, begin, size)) return false;
  return true;
}

}  // namespace

TEMPLATE_TEST_CASE("the gradient of a loss is that of central differences", "[losses]", SquaredError, Logistic, SoftmaxCrossEntropy,
                   Hinge) {
  constexpr double h = 1e-5, eps = std::numeric_limits<double>::epsilon();
  for (const Index k : outputs<TestType>())
    for (const Index m : {1, 2, 13, 31}) {
      const auto scores = random_matrix<double>(k, m, 3);
      const auto targets = random_targets<TestType, double>(k, m);
      const auto result = evaluate(TestType{}, scores, targets);
      double worst = 0;
      for (Index i = 0; i < k; ++i) {
        Matrix<double> up = scores, down = scores;
        up.row(i).array() += h;
        down.row(i).array() -= h;
        const Vector<double> above = evaluate(TestType{}, up, targets).values, below = evaluate(TestType{}, down, targets).values;
        for (Index j = 0; j < m; ++j) worst = std::max(worst, std::abs((above[j] - below[j]) / (2 * h) - result.dscores(i, j)));
      }
      INFO("k = " << k << ", m = " << m);
      // h²/6 times a third derivative of at most 1/4, and the rounding of two values of at most 300, divided by 2h.
      CHECK(worst <= h * h + 300 * eps / h);
    }
}

TEMPLATE_TEST_CASE("what a loss gives for a sample does not depend on the other samples or on its place", "[losses]", SquaredError,
                   Logistic, SoftmaxCrossEntropy, Hinge) {
  for (const Index k : outputs<TestType>()) {
    INFO("k = " << k);
    CHECK(every_part_is_as_in_the_whole<TestType, float>(k, 37));
    CHECK(every_part_is_as_in_the_whole<TestType, double>(k, 37));
  }
}

TEMPLATE_TEST_CASE("a loss takes plain matrices, blocks and expressions, and no samples at all", "[losses]", SquaredError, Logistic,
                   SoftmaxCrossEntropy, Hinge) {
  for (const Index k : outputs<TestType>()) {
    const auto scores = random_matrix<double>(k + 2, 9, 4);
    const auto targets = random_targets<TestType, double>(k, 9);
    const auto expected = evaluate(TestType{}, Matrix<double>(scores.middleRows(1, k)), targets);
    Vector<double> values(9);
    Matrix<double> storage(k + 2, 9);
    TestType{}.value_and_gradient(scores.middleRows(1, k), targets, values, storage.middleRows(1, k));
    CHECK(same_bits(values, expected.values));
    CHECK(same_bits(storage.middleRows(1, k), expected.dscores));
    TestType{}.value_and_gradient(scores.middleRows(1, k) * 1.0, targets, values, storage.middleRows(1, k));
    CHECK(same_bits(values, expected.values));

    const auto nothing = evaluate(TestType{}, Matrix<double>(k, 0), random_targets<TestType, double>(k, 0));
    CHECK(nothing.values.size() == 0);
  }
}

TEMPLATE_TEST_CASE("a score that is not a number gives a loss that is not a number", "[losses]", SquaredError, Logistic,
                   SoftmaxCrossEntropy, Hinge) {
  for (const Index k : outputs<TestType>())
    for (Index i = 0; i < k; ++i) {
      Matrix<double> scores = random_matrix<double>(k, 3, 6);
      scores(i, 1) = std::numeric_limits<double>::quiet_NaN();
      const auto result = evaluate(TestType{}, scores, random_targets<TestType, double>(k, 3));
      CHECK(std::isfinite(result.values[0]));
      CHECK(std::isnan(result.values[1]));
      CHECK(std::isfinite(result.values[2]));
    }
}

TEST_CASE("squared error has its documented values", "[losses]") {
  const SquaredError loss;
  const auto easy = evaluate(loss, Matrix<double>(Matrix<double>::Constant(1, 1, 2)), Matrix<double>(Matrix<double>::Zero(1, 1)));
  CHECK(easy.values[0] == 2);
  CHECK(easy.dscores(0, 0) == 2);

  const Matrix<double> scores{{1, 4}, {2, -1}, {-3, 0}}, targets{{1, 1}, {0, -1}, {1, 0}};
  const auto result = evaluate(loss, scores, targets);
  CHECK(result.values[0] == 10);  // ½(0 + 4 + 16)
  CHECK(result.values[1] == 4.5);
  CHECK(result.dscores == scores - targets);
}

TEST_CASE("the logistic loss has its documented values", "[losses]") {
  const Logistic loss;
  for (const Label y : {-1, 0, 1}) {
    const double s = y > 0 ? 1 : -1;
    const auto zero = at(loss, std::vector{0.0}, y);
    CHECK(zero.values[0] == std::log(2.0));
    CHECK(zero.dscores(0, 0) == -s / 2);
    for (const double z : {1.0, 3.5}) {  // J(z) − J(−z) = −s z
      const double difference = at(loss, std::vector{z}, y).values[0] - at(loss, std::vector{-z}, y).values[0];
      CHECK(std::abs(difference + s * z) <= 4 * std::numeric_limits<double>::epsilon() * z);
    }
  }
}

TEST_CASE("the logistic loss is stable for extreme scores", "[losses]") {
  const Logistic loss;
  for (const double z : {1e4, 1e308}) {
    CHECK(at(loss, std::vector{z}, 0).values[0] == z);
    CHECK(at(loss, std::vector{z}, 0).dscores(0, 0) == 1);
    CHECK(at(loss, std::vector{-z}, 1).values[0] == z);
    CHECK(at(loss, std::vector{-z}, 1).dscores(0, 0) == -1);
    CHECK(at(loss, std::vector{z}, 1).values[0] == 0);
    CHECK(at(loss, std::vector{z}, 1).dscores(0, 0) == 0);
  }
  constexpr float eps = std::numeric_limits<float>::epsilon();
  const auto sure = at(loss, std::vector{20.0f}, 1);  // log(1 + exp(−20)) computed as such is 0 in float
  CHECK(std::abs(sure.values[0] / std::exp(-20.0f) - 1) <= 4 * eps);
  CHECK(std::abs(sure.dscores(0, 0) / -std::exp(-20.0f) - 1) <= 4 * eps);
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(at(loss, std::vector{-infinity}, 1).values[0] == infinity);
}

TEST_CASE("the hinge loss has its documented values, and slope 0 at the kink", "[losses]") {
  const Hinge loss;
  for (const Label y : {-1, 0, 1}) {
    const double s = y > 0 ? 1 : -1;
    CHECK(at(loss, std::vector{0.0}, y).values[0] == 1);
    CHECK(at(loss, std::vector{0.0}, y).dscores(0, 0) == -s);
    CHECK(at(loss, std::vector{-2 * s}, y).values[0] == 3);
    CHECK(at(loss, std::vector{s}, y).values[0] == 0);
    CHECK(at(loss, std::vector{s}, y).dscores(0, 0) == 0);
    CHECK(at(loss, std::vector{5 * s}, y).values[0] == 0);
    CHECK(at(loss, std::vector{5 * s}, y).dscores(0, 0) == 0);
    CHECK(at(loss, std::vector{-1e308 * s}, y).values[0] == 1e308);
  }
}

TEST_CASE("softmax cross-entropy has its documented values", "[losses]") {
  const SoftmaxCrossEntropy loss;
  constexpr double eps = std::numeric_limits<double>::epsilon();
  for (const std::size_t k : {2u, 3u, 10u}) {
    const auto result = at(loss, std::vector<double>(k, 1.5), 1);
    CHECK(std::abs(result.values[0] - std::log(static_cast<double>(k))) <= 4 * eps * std::log(static_cast<double>(k)));
    for (Index i = 0; i < static_cast<Index>(k); ++i)
      CHECK(std::abs(result.dscores(i, 0) - (1.0 / static_cast<double>(k) - (i == 1 ? 1 : 0))) <= 4 * eps);
  }
  // With two classes it is the logistic loss of the difference of the scores.
  const auto two = at(loss, std::vector{0.3, 2.0}, 1);
  const auto one = at(Logistic{}, std::vector{2.0 - 0.3}, 1);
  CHECK(std::abs(two.values[0] - one.values[0]) <= 4 * eps * one.values[0]);
  CHECK(std::abs(two.dscores(1, 0) - one.dscores(0, 0)) <= 4 * eps);
}

TEST_CASE("softmax cross-entropy is stable for extreme scores", "[losses]") {
  const SoftmaxCrossEntropy loss;
  for (const double z : {1e4, 5e307}) {
    CHECK(at(loss, std::vector{z, -z, 0.0}, 0).values[0] == 0);
    CHECK(at(loss, std::vector{z, -z, 0.0}, 1).values[0] == 2 * z);
    CHECK(at(loss, std::vector{z, -z, 0.0}, 1).dscores == Matrix<double>{{1}, {-1}, {0}});
    CHECK(std::abs(at(loss, std::vector{z, z}, 1).values[0] - std::log(2.0)) <= 4 * std::numeric_limits<double>::epsilon());
  }
  CHECK(std::isfinite(at(loss, std::vector{1e308, 0.0}, 1).values[0]));
  CHECK(std::isfinite(at(loss, std::vector{-1e308, 0.0}, 1).values[0]));
  CHECK(std::isfinite(at(loss, std::vector{3e38f, 0.0f}, 1).values[0]));

  constexpr float eps = std::numeric_limits<float>::epsilon();
  const auto sure = at(loss, std::vector{20.0f, 0.0f}, 0);  // 1 − p_y rounds to 0 in float
  CHECK(std::abs(sure.values[0] / std::exp(-20.0f) - 1) <= 4 * eps);
  CHECK(std::abs(sure.dscores(0, 0) / -std::exp(-20.0f) - 1) <= 4 * eps);
  CHECK(sure.dscores(0, 0) == -sure.dscores(1, 0));

  const double infinity = std::numeric_limits<double>::infinity();
  for (const Label y : {0, 1}) CHECK_FALSE(std::isfinite(at(loss, std::vector{infinity, 0.0}, y).values[0]));
  CHECK(at(loss, std::vector{-infinity, 0.0}, 1).values[0] == 0);  // probability 0 for a wrong class is fine
}

TEST_CASE("a label out of range gives NaN and touches no other memory", "[losses]") {
  for (const Label y : {-1, 3, 1000000, -1000000, std::numeric_limits<Label>::max(), std::numeric_limits<Label>::min()}) {
    Matrix<double> scores = Matrix<double>::Zero(3, 5), storage = Matrix<double>::Constant(3, 5, 7);
    Vector<Label> labels = Vector<Label>::Zero(3);
    Vector<double> values = Vector<double>::Constant(5, 7);
    labels[1] = y;
    SoftmaxCrossEntropy{}.value_and_gradient(scores.middleCols(1, 3), labels, values.segment(1, 3), storage.middleCols(1, 3));
    INFO("label " << y);
    for (const Index j : {0, 4}) {
      CHECK(values[j] == 7);
      CHECK(storage.col(j) == Vector<double>::Constant(3, 7));
    }
    CHECK(std::isfinite(values[1]));
    CHECK(std::isfinite(values[3]));
    CHECK(std::isnan(values[2]));
    for (Index i = 0; i < 3; ++i) {
      CHECK(std::isfinite(storage(i, 1)));
      CHECK(std::isnan(storage(i, 2)));
    }
  }
}

TEST_CASE("losses say which outputs and labels they take", "[losses]") {
  CHECK(Logistic{}.check_outputs(1).empty());
  CHECK(Logistic{}.check_outputs(2) == "Logistic needs a model with 1 output (SoftmaxCrossEntropy takes k)");
  CHECK(Hinge{}.check_outputs(1).empty());
  CHECK(Hinge{}.check_outputs(0) == "Hinge needs a model with 1 output");
  CHECK(SoftmaxCrossEntropy{}.check_outputs(2).empty());
  CHECK(SoftmaxCrossEntropy{}.check_outputs(1) == "SoftmaxCrossEntropy needs a model with at least 2 outputs (Logistic takes 1)");

  for (const Label y : {-1, 0, 1}) {
    CHECK(Logistic{}.check_target(y, 1).empty());
    CHECK(Hinge{}.check_target(y, 1).empty());
  }
  for (const Label y : {-2, 2}) {
    CHECK(Logistic{}.check_target(y, 1) == "the labels of Logistic must be 0 and 1, or else -1 and +1");
    CHECK(Hinge{}.check_target(y, 1) == "the labels of Hinge must be 0 and 1, or else -1 and +1");
  }
  for (const Label y : {0, 9}) CHECK(SoftmaxCrossEntropy{}.check_target(y, 10).empty());
  for (const Label y : {-1, 10})
    CHECK(SoftmaxCrossEntropy{}.check_target(y, 10) == "the labels of SoftmaxCrossEntropy with 10 outputs must be in [0, 9]");
}
