// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>
#include <string>

#include <parade/engine/serial_gradient.hpp>
#include <parade/losses/hinge.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/one_vs_rest.hpp>
#include <parade/models/linear.hpp>
#include <parade/testing/gradient_check.hpp>

#include "support/catch.hpp"
#include "support/numbers.hpp"
#include "support/training.hpp"

namespace {

using Catch::Matchers::ContainsSubstring;
using numbers::random_matrix, numbers::same_bits;
using parade::Hinge, parade::Index, parade::Label, parade::Logistic, parade::Matrix, parade::OneVsRest, parade::Vector;

/// As a user writes it: max(0, 1 − s z)², in Eigen and for the very types of the concept. Its value ends in a product.
struct OwnSquaredHinge {
  using Target = Label;
  template <class S>
  void value_and_gradient(const parade::ConstMatrixRef<S>& z, const parade::TargetsRef<Label, S>& labels, parade::VectorRef<S> values,
                          parade::MatrixRef<S> dscores) const {
    for (Index j = 0; j < z.cols(); ++j) {
      const S sign = labels[j] > 0 ? S{1} : S{-1}, gap = std::max(1 - sign * z(0, j), S{0});
      values[j] = gap * gap;
      dscores(0, j) = -2 * sign * gap;
    }
  }
  // A template of functions deduces nothing from what is only converted: one for each scalar.
  void value_and_gradient(const parade::ConstMatrixRef<float>& z, const parade::TargetsRef<Label, float>& y,
                          parade::VectorRef<float> values, parade::MatrixRef<float> dz) const {
    value_and_gradient<float>(z, y, values, dz);
  }
  void value_and_gradient(const parade::ConstMatrixRef<double>& z, const parade::TargetsRef<Label, double>& y,
                          parade::VectorRef<double> values, parade::MatrixRef<double> dz) const {
    value_and_gradient<double>(z, y, values, dz);
  }
};

static_assert(parade::Loss<OneVsRest<Logistic>, float> && parade::Loss<OneVsRest<Hinge>, double>);
static_assert(parade::SampleBySample<OneVsRest<Logistic>>);
static_assert(parade::Loss<OneVsRest<OwnSquaredHinge>, float> && !parade::SampleBySample<OneVsRest<OwnSquaredHinge>>);

template <class S>
struct Result {
  Vector<S> values;
  Matrix<S> dscores;
};
template <class S, class L>
Result<S> evaluate(const L& loss, const Matrix<S>& z, const Vector<Label>& y) {
  Result<S> result{Vector<S>(z.cols()), Matrix<S>(z.rows(), z.cols())};
  loss.value_and_gradient(z, y, result.values, result.dscores);
  return result;
}

Vector<Label> some_labels(Index m, Index k) {
  const parade::Random random(29, parade::Purpose::user, 1);
  Vector<Label> y(m);
  for (Index j = 0; j < m; ++j) y[j] = static_cast<Label>(random.below(static_cast<std::uint64_t>(j), static_cast<std::uint64_t>(k)));
  return y;
}

}  // namespace

TEMPLATE_TEST_CASE("one-vs-rest is the sum of a binary loss over the outputs, bit for bit", "", float, double) {
  using S = TestType;
  const auto check = [](const auto& binary) {
    for (const Index k : {2, 3, 10, 64, 65, 150}) {
      const Index m = 19;
      const Matrix<S> z = random_matrix<S>(k, m, 71);
      const Vector<Label> y = some_labels(m, k);
      const auto result = evaluate<S>(OneVsRest{binary}, z, y);
      Vector<S> values = Vector<S>::Zero(m);
      for (Index i = 0; i < k; ++i) {
        const Vector<Label> signs = y.unaryExpr([&](Label label) { return label == i ? Label{1} : Label{-1}; });
        const auto one = evaluate<S>(binary, Matrix<S>(z.row(i)), signs);
        values += one.values;
        CHECK(same_bits(result.dscores.row(i), one.dscores));
      }
      CHECK(same_bits(result.values, values));
    }
  };
  check(Logistic{});
  check(Hinge{});
  check(OwnSquaredHinge{});
}

TEST_CASE("the gradient of one-vs-rest is that of differences, and its values are the documented ones") {
  const Vector<Label> y = some_labels(12, 4);
  CHECK(parade::testing::check_loss(OneVsRest{Logistic{}}, random_matrix<double>(4, 12, 72), y));
  CHECK(parade::testing::check_loss(OneVsRest{OwnSquaredHinge{}}, random_matrix<double>(4, 12, 73), y));
  const auto at_zero = evaluate<double>(OneVsRest{Logistic{}}, Matrix<double>::Zero(3, 1), Vector<Label>::Constant(1, 2));
  CHECK(at_zero.values[0] == Catch::Approx(3 * std::log(2.0)).epsilon(1e-15));
  CHECK(at_zero.dscores == (Matrix<double>(3, 1) << 0.5, 0.5, -0.5).finished());
}

TEMPLATE_TEST_CASE("one-vs-rest treats a sample alike wherever it stands, also in a part of a larger matrix", "", float, double) {
  using S = TestType;
  const Index k = 11, m = 67;
  const Matrix<S> z = random_matrix<S>(k, m, 74);
  const Vector<Label> y = some_labels(m, k);
  const OneVsRest loss{Logistic{}};
  const auto whole = evaluate<S>(loss, z, y);
  for (const Index count : {1, 2, 7, 32, 33})
    for (Index first = 0; first + count <= m; first += count) {
      const auto part = evaluate<S>(loss, Matrix<S>(z.middleCols(first, count)), Vector<Label>(y.segment(first, count)));
      CHECK(same_bits(part.values, whole.values.segment(first, count)));
      CHECK(same_bits(part.dscores, whole.dscores.middleCols(first, count)));
    }
  Matrix<S> larger = Matrix<S>::Zero(k + 3, m), storage = Matrix<S>::Constant(k + 3, m, 7);
  larger.middleRows(1, k) = z;
  Vector<S> values(m);
  loss.value_and_gradient(larger.middleRows(1, k), y, values, storage.middleRows(1, k));
  CHECK(same_bits(values, whole.values));
  CHECK(same_bits(storage.middleRows(1, k), whole.dscores));
  CHECK((storage.topRows(1).array() == 7).all());
  CHECK((storage.bottomRows(2).array() == 7).all());
}

TEST_CASE("a linear model with one-vs-rest is fitted as so many models of two classes are, bit for bit") {
  const Index d = 5, k = 3, n = 60;
  const auto data = training::labelled_data<float>(d, n, k);
  const auto samples = training::first_samples(n);
  const auto fit = [&]<class L>(const L&, Index outputs, const parade::DenseData<float>& of) {
    const parade::Linear<float> model(d, outputs);
    const parade::SerialGradient<parade::Linear<float>, L> engine(model, {}, 7);
    Vector<float> theta = Vector<float>::Zero(model.parameters().size()), grad;
    for (int step = 0; step < 50; ++step) {
      engine.sum(theta, of, samples, grad);
      theta -= 0.0625f * grad;
    }
    return theta;
  };
  const auto check = [&](const auto& binary) {
    const Vector<float> together = fit(OneVsRest{binary}, k, data);
    for (Index i = 0; i < k; ++i) {
      const Vector<Label> signs = data.labels().unaryExpr([&](Label label) { return label == i ? Label{1} : Label{-1}; });
      const Vector<float> alone = fit(binary, 1, data.with_labels(signs));
      CHECK(same_bits(Matrix<float>(Eigen::Map<const Matrix<float>>(together.data(), k, d + 1).row(i)), Matrix<float>(alone.transpose())));
    }
  };
  check(Logistic{});
  check(Hinge{});
}

TEST_CASE("a label out of range and a score that is not a number are seen in the value of their sample") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Matrix<double> z = random_matrix<double>(3, 5, 75);
  z(1, 3) = nan;
  Vector<Label> y(5);
  y << 0, 3, -1, 2, 2;
  const auto result = evaluate<double>(OneVsRest{Hinge{}}, z, y);
  CHECK(std::isfinite(result.values[0]));
  CHECK(std::isnan(result.values[1]));
  CHECK(result.dscores.col(1).array().isNaN().all());
  CHECK(std::isnan(result.values[2]));
  CHECK(std::isnan(result.values[3]));
  CHECK(std::isfinite(result.values[4]));
}

TEST_CASE("one-vs-rest says what outputs and labels it takes") {
  const OneVsRest loss{Logistic{}};
  CHECK(loss.check_outputs(2).empty());
  CHECK_THAT(loss.check_outputs(1), ContainsSubstring("OneVsRest needs a model with at least 2 outputs"));
  CHECK(loss.check_target(2, 3).empty());
  CHECK_THAT(loss.check_target(3, 3), ContainsSubstring("the labels of OneVsRest with 3 outputs must be in [0, 2]"));
  CHECK_FALSE(loss.check_target(-1, 3).empty());
}
