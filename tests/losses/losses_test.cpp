// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/testing/gradient_check.hpp>

#include "losses/cases.hpp"
#include "support/catch.hpp"

namespace {

using namespace losses;
using numbers::same_bits;
using parade::FocalLogistic, parade::FocalSoftmax, parade::Hinge, parade::Logistic, parade::MulticlassHinge, parade::SoftmaxCrossEntropy,
    parade::SquaredError;

constexpr double eps = std::numeric_limits<double>::epsilon();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// Columns [begin, begin + size) of scores and targets give the bits that they give in the whole.
template <class Loss, class S>
bool part_is_as_in_the_whole(const Loss& loss, const Matrix<S>& scores, const Targets<Loss, S>& targets, const Result<S>& whole,
                             Index begin, Index size) {
  const auto result = evaluate(loss, Matrix<S>(scores.middleCols(begin, size)), part<Loss, S>(targets, begin, size));
  return same_bits(result.values, whole.values.segment(begin, size)) && same_bits(result.dscores, whole.dscores.middleCols(begin, size));
}

template <class S, class Loss>
bool every_part_is_as_in_the_whole(const Loss& loss, Index k, Index m) {
  const auto scores = random_matrix<S>(k, m, 5);
  const auto targets = random_targets<Loss, S>(loss, k, m);
  const auto whole = evaluate(loss, scores, targets);
  for (Index begin = 0; begin < m; ++begin)
    for (const Index size : {1, 2, 7, 16})
      if (begin + size <= m && !part_is_as_in_the_whole<Loss, S>(loss, scores, targets, whole, begin, size)) return false;
  return true;
}

/// |actual − expected| in units of eps · scale.
double ulps(double actual, double expected, double scale) { return actual == expected ? 0 : std::abs(actual - expected) / (eps * scale); }

}  // namespace

TEST_CASE("the gradient of a loss is that of finite differences", "[losses]") {
  for_each([](const std::string& name, const auto& loss) {
    for (const Index k : outputs(loss)) {
      INFO(name << ", k = " << k);
      const auto report = parade::testing::check_loss(loss, random_matrix<double>(k, 31, 3),
                                                      random_targets<std::decay_t<decltype(loss)>, double>(loss, k, 31));
      CHECK(report);
      CHECK(report.compared > 0);
    }
  });
}

TEST_CASE("what a loss gives for a sample does not depend on the other samples or on its place", "[losses]") {
  for_each([](const std::string& name, const auto& loss) {
    static_assert(parade::SampleBySample<std::decay_t<decltype(loss)>>);
    for (const Index k : outputs(loss)) {
      INFO(name << ", k = " << k);
      CHECK(every_part_is_as_in_the_whole<float>(loss, k, 67));
      CHECK(every_part_is_as_in_the_whole<double>(loss, k, 67));
    }
  });
}

TEST_CASE("a loss takes plain matrices, blocks and expressions, and no samples at all", "[losses]") {
  for_each([](const std::string& name, const auto& loss) {
    using Loss = std::decay_t<decltype(loss)>;
    for (const Index k : outputs(loss)) {
      INFO(name << ", k = " << k);
      const auto scores = random_matrix<double>(k + 2, 9, 4);
      const auto targets = random_targets<Loss, double>(loss, k, 9);
      const auto expected = evaluate(loss, Matrix<double>(scores.middleRows(1, k)), targets);
      Vector<double> values(9);
      Matrix<double> storage(k + 2, 9);
      loss.value_and_gradient(scores.middleRows(1, k), targets, values, storage.middleRows(1, k));
      CHECK(same_bits(values, expected.values));
      CHECK(same_bits(storage.middleRows(1, k), expected.dscores));
      loss.value_and_gradient(scores.middleRows(1, k) * 1.0, targets, values, storage.middleRows(1, k));
      CHECK(same_bits(values, expected.values));

      const auto nothing = evaluate(loss, Matrix<double>(k, 0), random_targets<Loss, double>(loss, k, 0));
      CHECK(nothing.values.size() == 0);
    }
  });
}

TEST_CASE("a score that is not a number gives a loss that is not a number", "[losses]") {
  for_each([](const std::string& name, const auto& loss) {
    for (const Index k : outputs(loss))
      for (Index i = 0; i < k; ++i) {
        INFO(name << ", k = " << k << ", i = " << i);
        Matrix<double> scores = random_matrix<double>(k, 3, 6);
        scores(i, 1) = not_a_number;
        const auto result = evaluate(loss, scores, random_targets<std::decay_t<decltype(loss)>, double>(loss, k, 3));
        CHECK(std::isfinite(result.values[0]));
        CHECK(std::isnan(result.values[1]));
        CHECK(std::isfinite(result.values[2]));
      }
  });
}

TEST_CASE("a real target that is not a number or out of the domain gives a loss that is not a number", "[losses]") {
  for_each([](const std::string& name, const auto& loss) {
    using Loss = std::decay_t<decltype(loss)>;
    if constexpr (!on_labels<Loss>) {
      INFO(name);
      std::vector<double> wrong{not_a_number};
      if constexpr (requires { loss.check_target(1.0, Index{1}); })
        for (const double y : {-1.0, -1e-300, 0.0, 1e-300, 1.0, 1.5})
          if (!loss.check_target(y, Index{1}).empty()) wrong.push_back(y);
      for (const double y : wrong) {
        INFO("y = " << y);
        for (const Index i : {0, 2}) {
          Matrix<double> targets = random_targets<Loss, double>(loss, 3, 3);
          targets(i, 1) = y;
          const auto result = evaluate(loss, random_matrix<double>(3, 3, 6), targets);
          CHECK(std::isfinite(result.values[0]));
          CHECK(std::isnan(result.values[1]));
          CHECK(std::isnan(result.dscores(i, 1)));
          CHECK(std::isfinite(result.values[2]));
        }
      }
    }
  });
}

TEST_CASE("a loss in float is that in double, rounded", "[losses]") {
  for_each([](const std::string& name, const auto& loss) {
    using Loss = std::decay_t<decltype(loss)>;
    for (const Index k : outputs(loss)) {
      const auto scores = random_matrix<float>(k, 50, 8, -4, 4);
      const auto targets = random_targets<Loss, float>(loss, k, 50);
      const auto in_float = evaluate(loss, scores, targets);
      Result<double> in_double;
      if constexpr (on_labels<Loss>)
        in_double = evaluate(loss, Matrix<double>(scores.template cast<double>()), targets);
      else
        in_double = evaluate(loss, Matrix<double>(scores.template cast<double>()), Matrix<double>(targets.template cast<double>()));
      INFO(name << ", k = " << k);
      // Per output a few roundings of terms of at most max(1, |z|)² or e^8, the largest power that these scores and settings give.
      constexpr double unit = std::numeric_limits<float>::epsilon();
      for (Index j = 0; j < 50; ++j) {
        const double size = 16 + in_double.dscores.col(j).cwiseAbs().maxCoeff() + std::abs(in_double.values[j]);
        CHECK(std::abs(in_float.values[j] - in_double.values[j]) <= 4 * static_cast<double>(k + 1) * unit * size);
        CHECK((in_float.dscores.col(j).template cast<double>() - in_double.dscores.col(j)).cwiseAbs().maxCoeff() <= 8 * unit * size);
      }
    }
  });
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
  constexpr float unit = std::numeric_limits<float>::epsilon();
  const auto sure = at(loss, std::vector{20.0f}, 1);  // log(1 + exp(−20)) computed as such is 0 in float
  CHECK(std::abs(sure.values[0] / std::exp(-20.0f) - 1) <= 4 * unit);
  CHECK(std::abs(sure.dscores(0, 0) / -std::exp(-20.0f) - 1) <= 4 * unit);
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

  constexpr float unit = std::numeric_limits<float>::epsilon();
  const auto sure = at(loss, std::vector{20.0f, 0.0f}, 0);  // 1 − p_y rounds to 0 in float
  CHECK(std::abs(sure.values[0] / std::exp(-20.0f) - 1) <= 4 * unit);
  CHECK(std::abs(sure.dscores(0, 0) / -std::exp(-20.0f) - 1) <= 4 * unit);
  CHECK(sure.dscores(0, 0) == -sure.dscores(1, 0));

  for (const Label y : {0, 1}) CHECK_FALSE(std::isfinite(at(loss, std::vector{infinity, 0.0}, y).values[0]));
  CHECK(at(loss, std::vector{-infinity, 0.0}, 1).values[0] == 0);  // probability 0 for a wrong class is fine
}

TEST_CASE("a label out of range gives NaN and touches no other memory", "[losses]") {
  for_each([](const std::string& name, const auto& loss) {
    using Loss = std::decay_t<decltype(loss)>;
    if constexpr (on_labels<Loss> && !parade::HasTwoClasses<Loss>) {
      for (const Label y : {-1, 3, 1000000, -1000000, std::numeric_limits<Label>::max(), std::numeric_limits<Label>::min()}) {
        Matrix<double> scores = Matrix<double>::Zero(3, 5), storage = Matrix<double>::Constant(3, 5, 7);
        Vector<Label> labels = Vector<Label>::Zero(3);
        Vector<double> values = Vector<double>::Constant(5, 7);
        labels[1] = y;
        loss.value_and_gradient(scores.middleCols(1, 3), labels, values.segment(1, 3), storage.middleCols(1, 3));
        INFO(name << ", label " << y);
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
  });
}

TEST_CASE("losses on two classes say which outputs and labels they take", "[losses]") {
  std::string names;
  for_each([&](const std::string& name, const auto& loss) {
    if constexpr (parade::HasTwoClasses<std::decay_t<decltype(loss)>>) {
      names += name + " ";
      CHECK(loss.check_outputs(1).empty());
      for (const Index k : {0, 2}) CHECK_THAT(loss.check_outputs(k), Catch::Matchers::StartsWith(name + " needs a model with 1 output"));
      for (const Label y : {-1, 0, 1}) CHECK(loss.check_target(y, 1).empty());
      for (const Label y : {-2, 2}) CHECK(loss.check_target(y, 1) == "the labels of " + name + " must be 0 and 1, or else -1 and +1");
    }
  });
  CHECK(names == "Logistic Hinge SquaredHinge ModifiedHuber FocalLogistic ");
  CHECK(Logistic{}.check_outputs(2) == "Logistic needs a model with 1 output (SoftmaxCrossEntropy takes k)");
  CHECK(Hinge{}.check_outputs(2) == "Hinge needs a model with 1 output (MulticlassHinge takes k)");
  CHECK(FocalLogistic{}.check_outputs(2) == "FocalLogistic needs a model with 1 output (FocalSoftmax takes k)");
  CHECK(parade::SquaredHinge{}.check_outputs(2) == "SquaredHinge needs a model with 1 output");
}

TEST_CASE("losses on k classes say which outputs and labels they take", "[losses]") {
  const auto check = [](const auto& loss, const std::string& name, const std::string& other) {
    CHECK(loss.check_outputs(2).empty());
    CHECK(loss.check_outputs(1) == name + " needs a model with at least 2 outputs (" + other + " takes 1)");
    for (const Label y : {0, 9}) CHECK(loss.check_target(y, 10).empty());
    for (const Label y : {-1, 10}) CHECK(loss.check_target(y, 10) == "the labels of " + name + " with 10 outputs must be in [0, 9]");
  };
  check(SoftmaxCrossEntropy{}, "SoftmaxCrossEntropy", "Logistic");
  check(MulticlassHinge{}, "MulticlassHinge", "Hinge");
  check(FocalSoftmax{}, "FocalSoftmax", "FocalLogistic");
}

TEST_CASE("losses on real targets say which they take", "[losses]") {
  CHECK(parade::Poisson{}.check_target(0, 1).empty());
  CHECK(parade::Poisson{}.check_target(-0.5, 1) == "the targets of Poisson must be at least 0");
  CHECK(parade::Poisson{}.check_target(not_a_number, 1) != "");
  CHECK(parade::Gamma{}.check_target(1e-3, 1).empty());
  CHECK(parade::Gamma{}.check_target(0, 1) == "the targets of Gamma must be above 0");
  CHECK(parade::Tweedie{}.check_target(0, 1).empty());
  CHECK(parade::Tweedie{}.check_target(-1, 1) == "the targets of Tweedie with power 1.5 must be at least 0");
  CHECK(parade::Tweedie{.power = 2}.check_target(0, 1) == "the targets of Tweedie with power 2 must be above 0");
  for (const double y : {0.0, 0.5, 1.0}) CHECK(parade::MultilabelLogistic{}.check_target(y, 3).empty());
  for (const double y : {-0.1, 1.1, not_a_number})
    CHECK(parade::MultilabelLogistic{}.check_target(y, 3) == "the targets of MultilabelLogistic must be in [0, 1]");
}

TEST_CASE("settings of losses out of their range are refused", "[losses]") {
  const auto refuses = [](const auto& loss, const std::string& text) { CHECK_THROWS_WITH(loss.check(), text); };
  refuses(SoftmaxCrossEntropy{.label_smoothing = 1}, "SoftmaxCrossEntropy.label_smoothing must be in [0, 1); got 1");
  refuses(SoftmaxCrossEntropy{.label_smoothing = -0.1}, "SoftmaxCrossEntropy.label_smoothing must be in [0, 1); got -0.1");
  refuses(parade::Huber{.delta = 0}, "Huber.delta must be finite and above 0; got 0");
  refuses(parade::Huber{.delta = infinity}, "Huber.delta must be finite and above 0; got inf");
  for (const double tau : {0.0, 1.0, not_a_number}) CHECK_THROWS_AS(parade::Quantile{.quantile = tau}.check(), parade::OptionError);
  refuses(parade::Quantile{.quantile = 1.5}, "Quantile.quantile must be in (0, 1); got 1.5");
  refuses(parade::EpsilonInsensitive{.epsilon = -1}, "EpsilonInsensitive.epsilon must be finite and at least 0; got -1");
  refuses(parade::SquaredEpsilonInsensitive{.epsilon = -1}, "SquaredEpsilonInsensitive.epsilon must be finite and at least 0; got -1");
  refuses(parade::Tweedie{.power = 0.5}, "Tweedie.power must be finite and at least 1; got 0.5");
  refuses(FocalLogistic{.gamma = -1}, "FocalLogistic.gamma must be finite and at least 0; got -1");
  refuses(FocalSoftmax{.gamma = infinity}, "FocalSoftmax.gamma must be finite and at least 0; got inf");
  for_each([](const std::string& name, const auto& loss) {
    INFO(name);
    if constexpr (requires { loss.check(); }) {
      CHECK_NOTHROW(loss.check());
      CHECK_NOTHROW(std::decay_t<decltype(loss)>{}.check());
    }
  });
}

TEST_CASE("label smoothing has its documented values", "[losses]") {
  const SoftmaxCrossEntropy loss{.label_smoothing = 0.3};
  for (const std::size_t k : {2u, 3u, 10u}) {
    const double size = static_cast<double>(k), entropy = std::log(size);
    const auto equal = at(loss, std::vector<double>(k, 1.5), 1);
    CHECK(ulps(equal.values[0], entropy, entropy) <= 4);
    for (Index i = 0; i < static_cast<Index>(k); ++i) CHECK(ulps(equal.dscores(i, 0), 1 / size - (i == 1 ? 0.7 : 0) - 0.3 / size, 1) <= 4);
  }
  // Far out: J is a tenth of the others' gaps, whose sum does not overflow.
  const auto far = at(loss, std::vector{1e4, -1e4, 0.0}, 0);
  CHECK(ulps(far.values[0], 0.1 * 2e4 + 0.1 * 1e4, 3e3) <= 4);
  CHECK(ulps(far.dscores(0, 0), 1 - 0.8, 1) <= 4);
  CHECK(std::isfinite(at(loss, std::vector{8e307, -8e307, -8e307}, 1).values[0]));
  CHECK(at(loss, std::vector{0.0, -infinity, 0.0}, 0).values[0] == infinity);
  CHECK_FALSE(std::isfinite(at(loss, std::vector{infinity, 0.0}, 1).values[0]));
  // A smoothing of almost nothing is close to none.
  const std::vector z{0.5, -2.0, 1.25};
  CHECK(std::abs(at(SoftmaxCrossEntropy{.label_smoothing = 1e-12}, z, 2).values[0] - at(SoftmaxCrossEntropy{}, z, 2).values[0]) <= 4e-12);
}

TEST_CASE("the multiclass hinge loss has its documented values, and slope 0 at kinks", "[losses]") {
  const MulticlassHinge loss;
  for (const std::size_t k : {2u, 3u, 10u}) {
    const auto equal = at(loss, std::vector<double>(k, -2.5), 0);
    CHECK(equal.values[0] == static_cast<double>(k - 1));
    CHECK(equal.dscores(0, 0) == -static_cast<double>(k - 1));
    CHECK(equal.dscores(1, 0) == 1);
  }
  const auto kink = at(loss, std::vector{3.0, 2.0, 2.5, -9.0}, 0);
  CHECK(kink.values[0] == 0.5);
  CHECK(kink.dscores == Matrix<double>{{-1}, {0}, {1}, {0}});
  CHECK(at(loss, std::vector{-1e4, 1e4}, 0).values[0] == 20001);
  CHECK(at(loss, std::vector{-1e4, 1e4}, 1).values[0] == 0);
  CHECK(at(loss, std::vector{-infinity, 0.0}, 0).values[0] == infinity);
  CHECK(at(loss, std::vector{-infinity, 0.0}, 1).values[0] == 0);
  // With two classes, s(z₁ − z₀) is the margin of Hinge.
  CHECK(at(loss, std::vector{0.25, 0.75}, 1).values[0] == at(Hinge{}, std::vector{0.5}, 1).values[0]);
}

TEST_CASE("the squared hinge loss and the modified Huber loss have their documented values", "[losses]") {
  const parade::SquaredHinge squared;
  const parade::ModifiedHuber huber;
  for (const Label y : {-1, 0, 1}) {
    const double s = y > 0 ? 1 : -1;
    const auto check = [&](const auto& loss, double u, double value, double slope) {
      const auto result = at(loss, std::vector{s * u}, y);
      CHECK(result.values[0] == value);
      CHECK(result.dscores(0, 0) == s * slope);
    };
    check(squared, 0, 1, -2);
    check(squared, -2, 9, -6);
    check(squared, 1, 0, 0);
    check(squared, 1e4, 0, 0);
    check(squared, -1e4, 10001.0 * 10001.0, -20002);
    check(squared, infinity, 0, 0);
    check(squared, -infinity, infinity, -infinity);
    check(huber, 0, 1, -2);
    check(huber, -1, 4, -4);
    check(huber, -3, 12, -4);
    check(huber, 1, 0, 0);
    check(huber, 1e4, 0, 0);
    check(huber, -1e4, 4e4, -4);
    check(huber, infinity, 0, 0);
    check(huber, -infinity, infinity, -4);
    check(huber, std::nextafter(-1.0, -2.0), 4 * std::nextafter(1.0, 2.0), -4);
  }
}

TEST_CASE("losses of regression have their documented values, and slope 0 at kinks", "[losses]") {
  const auto check = [](const auto& loss, double z, double y, double value, double slope) {
    INFO("z = " << z << ", y = " << y);
    const auto result = at(loss, std::vector{z}, y);
    CHECK(result.values[0] == value);
    CHECK(result.dscores(0, 0) == slope);
  };
  const parade::AbsoluteError absolute;
  check(absolute, 2, 0, 2, 1);
  check(absolute, -1e4, 0, 1e4, -1);
  check(absolute, 3, 3, 0, 0);
  check(absolute, infinity, 3, infinity, 1);
  const parade::Huber huber;
  check(huber, 1, 0, 0.5, 1);
  check(huber, 3, 0, 2.5, 1);
  check(huber, -3, 0, 2.5, -1);
  check(huber, 0.5, 0, 0.125, 0.5);
  check(huber, 1e308, 0, 1e308, 1);
  check(huber, -infinity, 0, infinity, -1);
  const parade::Quantile quantile{.quantile = 0.75};
  check(quantile, 0, 2, 1.5, -0.75);
  check(quantile, 2, 0, 0.5, 0.25);
  check(quantile, 2, 2, 0, 0);
  check(quantile, -infinity, 2, infinity, -0.75);
  const parade::EpsilonInsensitive insensitive{.epsilon = 0.5};
  check(insensitive, 1.5, 0, 1, 1);
  check(insensitive, -1.5, 0, 1, -1);
  check(insensitive, 0.5, 0, 0, 0);
  check(insensitive, 0.25, 0, 0, 0);
  check(insensitive, infinity, 0, infinity, 1);
  const parade::SquaredEpsilonInsensitive squared{.epsilon = 0.5};
  check(squared, 2.5, 0, 4, 4);
  check(squared, -2.5, 0, 4, -4);
  check(squared, 0.5, 0, 0, 0);
  check(squared, -infinity, 0, infinity, -infinity);
  check(parade::EpsilonInsensitive{.epsilon = 0}, 7.5, 1, 6.5, 1);
  check(parade::SquaredEpsilonInsensitive{.epsilon = 0}, 3.0, 1, 4, 4);

  const auto two = evaluate(absolute, Matrix<double>{{1}, {-2}}, Matrix<double>{{3}, {1}});
  CHECK(two.values[0] == 5);
  CHECK(two.dscores == Matrix<double>{{-1}, {-1}});
}

TEST_CASE("losses with log link have their documented values, and are stable far out", "[losses]") {
  const auto check = [](const auto& loss, double z, double y, double value, double slope) {
    INFO("z = " << z << ", y = " << y);
    const auto result = at(loss, std::vector{z}, y);
    CHECK(result.values[0] == value);
    CHECK(result.dscores(0, 0) == slope);
  };
  const parade::Poisson poisson;
  const parade::Gamma gamma;
  const parade::Tweedie tweedie{.power = 1.5};
  for (const double y : {0.5, 1.0, 7.0}) {
    check(poisson, 0, y, 1, 1 - y);
    check(gamma, 0, y, y, 1 - y);
    check(tweedie, 0, y, 2 + 2 * y, 1 - y);
    check(poisson, -1e4, y, 1e4 * y, -y);
    check(gamma, 1e4, y, 1e4, 1);
    CHECK(at(poisson, std::vector{1e4}, y).values[0] == infinity);
    CHECK(at(gamma, std::vector{-1e4}, y).values[0] == infinity);
    CHECK(at(tweedie, std::vector{1e4}, y).values[0] == infinity);
    CHECK(at(tweedie, std::vector{-1e4}, y).values[0] == infinity);
    CHECK_FALSE(std::isfinite(at(poisson, std::vector{infinity}, y).values[0]));
    CHECK_FALSE(std::isfinite(at(gamma, std::vector{-infinity}, y).values[0]));
  }
  for (const double z : {-1e4, -infinity}) {  // the limits for a target of 0
    check(poisson, z, 0, 0, 0);
    check(tweedie, z, 0, 0, 0);
  }
  for (const double z : {-1.3, 0.4, 2.0}) {
    for (const double y : {0.25, 3.0}) {
      CHECK(same_bits(at(parade::Tweedie{.power = 1}, std::vector{z}, y).dscores, at(poisson, std::vector{z}, y).dscores));
      CHECK(same_bits(at(parade::Tweedie{.power = 2}, std::vector{z}, y).values, at(gamma, std::vector{z}, y).values));
      // The slope is continuous in p.
      CHECK(std::abs(at(parade::Tweedie{.power = 2 + 1e-9}, std::vector{z}, y).dscores(0, 0) -
                     at(gamma, std::vector{z}, y).dscores(0, 0)) <= 1e-7);
      // The deviance of the inverse Gaussian, (y − μ)² / (y μ²), is 2(J + 1/(2y)).
      const double mean = std::exp(z), half = (y - mean) * (y - mean) / (2 * y * mean * mean);
      const double ours = at(parade::Tweedie{.power = 3}, std::vector{z}, y).values[0] + 1 / (2 * y);
      CHECK(ulps(ours, half, half + 1 / y + 1 / mean + y / (mean * mean)) <= 16);
    }
  }
}

TEST_CASE("the multilabel loss is the logistic loss of each label, and stable far out", "[losses]") {
  const parade::MultilabelLogistic loss;
  const auto zero = at(loss, std::vector{0.0, 0.0, 0.0}, 0.25);
  CHECK(ulps(zero.values[0], 3 * std::log(2.0), 3) <= 4);
  CHECK(zero.dscores == Matrix<double>::Constant(3, 1, 0.25));
  for (const double z : {-40.0, -3.0, -0.5, 0.0, 0.5, 3.0, 40.0, 1e4, -1e4, infinity, -infinity})
    for (const Label y : {0, 1}) {
      INFO("z = " << z << ", y = " << y);
      const auto ours = at(loss, std::vector{z}, y), logistic = at(Logistic{}, std::vector{z}, y);
      if (std::isinf(logistic.values[0]))
        CHECK(ours.values[0] == infinity);
      else
        CHECK(ulps(ours.values[0], logistic.values[0], logistic.values[0]) <= 4);
      CHECK(ulps(ours.dscores(0, 0), logistic.dscores(0, 0), std::abs(logistic.dscores(0, 0))) <= 4);
    }
  CHECK(at(loss, std::vector{1e4}, 0.25).values[0] == 7500);
  CHECK(at(loss, std::vector{-1e4}, 0.25).values[0] == 2500);
}

TEST_CASE("focal losses with an exponent of 0 are those without", "[losses]") {
  const auto scores = random_matrix<double>(1, 50, 9, -30, 30);
  const auto labels = random_targets<Logistic, double>(Logistic{}, 1, 50);
  const auto ours = evaluate(FocalLogistic{.gamma = 0}, scores, labels), plain = evaluate(Logistic{}, scores, labels);
  CHECK(same_bits(ours.values, plain.values));
  CHECK(same_bits(ours.dscores, plain.dscores));

  const auto several = random_matrix<double>(4, 50, 9, -30, 30);
  const auto classes = random_targets<SoftmaxCrossEntropy, double>(SoftmaxCrossEntropy{}, 4, 50);
  const auto focal = evaluate(FocalSoftmax{.gamma = 0}, several, classes), softmax = evaluate(SoftmaxCrossEntropy{}, several, classes);
  CHECK(same_bits(focal.values, softmax.values));
  CHECK(same_bits(focal.dscores, softmax.dscores));
  CHECK(at(FocalLogistic{.gamma = 0}, std::vector{infinity}, 1).values[0] == 0);  // not 0 · ∞
  CHECK(at(FocalSoftmax{.gamma = 0}, std::vector{1e4, -1e4, 0.0}, 0).values[0] == 0);
  CHECK(at(FocalSoftmax{.gamma = 0}, std::vector{1e4, -1e4, 0.0}, 0).dscores == Matrix<double>::Zero(3, 1));
}

TEST_CASE("focal losses have their documented values, and are stable far out", "[losses]") {
  const FocalLogistic loss{.gamma = 2};
  for (const Label y : {-1, 0, 1}) {
    const double s = y > 0 ? 1 : -1;
    const auto zero = at(loss, std::vector{0.0}, y);
    CHECK(ulps(zero.values[0], std::log(2.0) / 4, 1) <= 4);
    CHECK(ulps(zero.dscores(0, 0), -s * (1 + 2 * std::log(2.0)) / 8, 1) <= 4);
    CHECK(at(loss, std::vector{1e4 * s}, y).values[0] == 0);
    CHECK(at(loss, std::vector{1e4 * s}, y).dscores(0, 0) == 0);
    CHECK(at(loss, std::vector{-1e4 * s}, y).values[0] == 1e4);
    CHECK(at(loss, std::vector{-1e4 * s}, y).dscores(0, 0) == -s);
    CHECK(at(loss, std::vector{infinity * s}, y).values[0] == 0);
    CHECK(at(loss, std::vector{-infinity * s}, y).values[0] == infinity);
    for (const double power : {0.0, 0.5, 3.0}) {
      const auto easy = at(FocalLogistic{.gamma = power}, std::vector{20 * s}, y);  // q = 1 − p is small: J = q^γ (q + q²/2 + …)
      const double q = 1 / (1 + std::exp(20.0)), expected = std::pow(q, power) * -std::log1p(-q);
      CHECK(ulps(easy.values[0], expected, expected) <= 100);
    }
  }

  for (const double power : {0.5, 2.0}) {
    const FocalSoftmax several{.gamma = power};
    const double third = 1.0 / 3;
    const auto equal = at(several, std::vector{1.5, 1.5, 1.5}, 1);
    CHECK(ulps(equal.values[0], std::pow(2 * third, power) * std::log(3.0), 1) <= 8);
    CHECK(at(several, std::vector{1e4, -1e4, 0.0}, 0).values[0] == 0);
    CHECK(at(several, std::vector{1e4, -1e4, 0.0}, 0).dscores == Matrix<double>::Zero(3, 1));
    CHECK(at(several, std::vector{1e4, -1e4, 0.0}, 1).values[0] == 2e4);
    CHECK(at(several, std::vector{1e4, -1e4, 0.0}, 1).dscores == Matrix<double>{{1}, {-1}, {0}});
    CHECK(std::isfinite(at(several, std::vector{1e308, 0.0}, 1).values[0]));
    CHECK_FALSE(std::isfinite(at(several, std::vector{infinity, 0.0}, 1).values[0]));
    for (const double z : {-3.0, 0.7, 9.0}) {  // two classes: that of the difference
      const auto two = at(several, std::vector{0.5, 0.5 + z}, 1), one = at(FocalLogistic{.gamma = power}, std::vector{z}, 1);
      CHECK(ulps(two.values[0], one.values[0], one.values[0]) <= 64);
      CHECK(ulps(two.dscores(1, 0), one.dscores(0, 0), std::abs(one.dscores(0, 0))) <= 64);
      CHECK(ulps(two.dscores(0, 0), -one.dscores(0, 0), std::abs(one.dscores(0, 0))) <= 64);
    }
  }
}
