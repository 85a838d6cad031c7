// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>
#include <stdexcept>

#include <parade/losses/logistic.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/factorization_machine.hpp>
#include <parade/models/linear.hpp>

#include "models/model_checks.hpp"

namespace factorization_machine_test {

namespace {

using Catch::Matchers::ContainsSubstring;
using parade::ConstVectorRef, parade::FactorizationMachine, parade::Index, parade::Label, parade::Logistic, parade::Matrix,
    parade::SquaredError, parade::Vector;

/// The definition, pair by pair, in double: the scores, and the sum of the magnitudes that the fast form adds up.
struct Pairs {
  Matrix<double> scores, sizes;
};
template <class S>
Pairs pair_by_pair(const FactorizationMachine<S>& model, const Vector<S>& theta, const Matrix<S>& x) {
  const auto block = [&](const char* name) -> Matrix<double> {
    return parade::slice<S>(ConstVectorRef<S>(theta), model.parameters()[name]).template cast<double>();
  };
  const Matrix<double> bias = block("bias"), weight = block("weight"), factors = block("factors");
  const Index d = model.num_inputs(), k = model.num_outputs(), r = model.num_factors();
  Pairs pairs{Matrix<double>(k, x.cols()), Matrix<double>(k, x.cols())};
  for (Index j = 0; j < x.cols(); ++j)
    for (Index o = 0; o < k; ++o) {
      const auto v = factors.middleRows(o * r, r);
      const Vector<double> xj = x.col(j).template cast<double>();
      double z = bias(o), size = std::abs(z);
      for (Index i = 0; i < d; ++i) {
        z += weight(o, i) * xj[i];
        size += std::abs(weight(o, i) * xj[i]) + v.col(i).squaredNorm() * xj[i] * xj[i];
        for (Index l = i + 1; l < d; ++l) z += v.col(i).dot(v.col(l)) * xj[i] * xj[l];
      }
      pairs.scores(o, j) = z;
      pairs.sizes(o, j) = size + (v.cwiseAbs() * xj.cwiseAbs()).squaredNorm();
    }
  return pairs;
}

/// Every corner of the cube {−1, 1}^d, and whether the first two coordinates agree.
parade::DenseData<double> agreement(Index d) {
  Matrix<double> x(d, Index{1} << d);
  Vector<Label> labels(x.cols());
  for (Index j = 0; j < x.cols(); ++j) {
    for (Index i = 0; i < d; ++i) x(i, j) = (j >> i) & 1 ? 1 : -1;
    labels[j] = x(0, j) == x(1, j);
  }
  return parade::DenseData<double>(x).with_labels(labels);
}

}  // namespace

TEMPLATE_TEST_CASE("the scores of a factorization machine are the sum over all pairs of features", "", float, double) {
  using S = TestType;
  struct Shape {
    Index d, r, k;
  };
  for (const auto [d, r, k] : {Shape{1, 1, 1}, {2, 1, 1}, {5, 3, 1}, {63, 8, 1}, {64, 17, 1}, {150, 5, 3}, {7, 2, 10}}) {
    const FactorizationMachine<S> model(d, r, k);
    const Vector<S> theta = models::some_theta(model);
    for (const Index m : {1, 2, 8, 33}) {
      CAPTURE(d, r, k, m);
      const Matrix<S> x = numbers::random_matrix<S>(d, m, 41);
      const Matrix<S> z = models::scores(model, theta, x);
      REQUIRE(z.rows() == k);
      REQUIRE(z.cols() == m);
      const Pairs expected = pair_by_pair(model, theta, x);
      // A term goes through a square, twice d sums, r sums.
      const double steps = static_cast<double>(2 * d + r + 4), eps = static_cast<double>(std::numeric_limits<S>::epsilon());
      CHECK(((z.template cast<double>() - expected.scores).cwiseAbs().array() <= steps * eps * expected.sizes.array()).all());
    }
  }
  Vector<S> theta(5);
  theta << 1, 2, 3, 1, 2;
  CHECK(models::scores(FactorizationMachine<S>(2, 1), theta, Matrix<S>(Matrix<S>::Ones(2, 1)))(0) == 8);  // the example of its description
}

TEST_CASE("the gradient of a factorization machine is that of differences") {
  for (const Index k : {1, 3}) {
    const FactorizationMachine<double> model(9, 4, k);
    const auto data =
        parade::DenseData<double>(numbers::random_matrix<double>(9, 12, 42)).with_targets(numbers::random_matrix<double>(k, 12, 43));
    CHECK(parade::testing::check_gradient(model, SquaredError{}, models::some_theta(model), data));
    CHECK(
        parade::testing::check_gradient(model, SquaredError{}, models::some_theta(model), data.with_weights(training::sample_weights(12))));
  }
}

TEMPLATE_TEST_CASE("a score of a factorization machine has the same bits whatever stands beside it", "", float, double) {
  using S = TestType;
  for (const Index k : {1, 3}) {
    const FactorizationMachine<S> model(70, 9, k);
    models::check_columns(model, models::some_theta(model), numbers::random_matrix<S>(70, 67, 44));
  }
}

TEST_CASE("the gradient of a factorization machine has the same bits for any number of threads") {
  const FactorizationMachine<float> model(70, 9, 2);
  const auto data = training::regression_data<float>(70, 61, 2);
  models::check_threads<SquaredError>(model, models::some_theta(model), data);
}

TEST_CASE("a factorization machine learns what two features are only together, a linear model does not") {
  const auto data = agreement(6);
  const parade::Linear<double> linear(6);
  CHECK(models::mean_loss<Logistic>(linear, models::descend<Logistic>(linear, data, 200, 0.5), data) >= std::log(2.0) - 1e-12);
  const FactorizationMachine<double> model(6, 2);
  const Vector<double> theta = models::descend<Logistic>(model, data, 200, 0.5);
  CHECK(models::mean_loss<Logistic>(model, theta, data) < 0.05);
  const Matrix<double> z = models::scores(model, theta, Matrix<double>(data.values()));
  for (Index j = 0; j < data.size(); ++j) CHECK((z(0, j) > 0) == (data.label(j) == 1));
}

TEST_CASE("a factorization machine starts with bias and weights at 0 and factors of the deviation asked for") {
  const auto start = [](const FactorizationMachine<double>& model, std::uint64_t seed) {
    Vector<double> theta = Vector<double>::Constant(model.parameters().size(), 7);
    model.initialize(theta, seed);
    return theta;
  };
  const FactorizationMachine<double> few(40, 4), many(10000, 16), chosen(200, 20, 2, 0.25);
  CHECK(few.deviation() == 0.1);
  CHECK(many.deviation() == 0.005);  // 1 / (√10000 ∜16)
  CHECK(start(chosen, 1) == start(chosen, 1));
  CHECK(start(chosen, 1) != start(chosen, 2));
  const Vector<double> theta = start(chosen, 3);
  const auto& block = chosen.parameters()["factors"];
  CHECK(block.rows == 40);
  CHECK(block.cols == 200);
  CHECK(block.role == parade::Role::weight);
  CHECK(chosen.parameters()["bias"].role == parade::Role::bias);
  CHECK(theta.head(block.offset).isZero(0));
  const Vector<double> factors = theta.segment(block.offset, block.size());
  const double n = 8000, r = std::sqrt(3.0) * 0.25;
  CHECK(factors.cwiseAbs().maxCoeff() <= r);
  CHECK(std::abs(factors.sum() / n) < 4 * 0.25 / std::sqrt(n));                      // 4 standard errors of the mean
  CHECK(std::abs(factors.squaredNorm() / n / 0.0625 - 1) < 4 * std::sqrt(0.8 / n));  // and of the variance: kurtosis 9/5
}

TEST_CASE("what is not a number stays so in the score of its sample, and in no other") {
  const FactorizationMachine<float> model(5, 2);
  Matrix<float> x = numbers::random_matrix<float>(5, 4, 45);
  x(3, 1) = std::numeric_limits<float>::quiet_NaN();
  x(0, 2) = std::numeric_limits<float>::infinity();
  const Matrix<float> z = models::scores(model, models::some_theta(model), x);
  CHECK(std::isfinite(z(0, 0)));
  CHECK(std::isnan(z(0, 1)));
  CHECK_FALSE(std::isfinite(z(0, 2)));
  CHECK(std::isfinite(z(0, 3)));
}

TEST_CASE("a factorization machine of no features, factors or outputs, or a deviation of 0, is an error that says so") {
  CHECK_THROWS_WITH(FactorizationMachine<float>(0, 3), ContainsSubstring("at least 1 feature, 1 factor and 1 output; got 0, 3 and 1"));
  CHECK_THROWS_AS(FactorizationMachine<float>(3, 0), std::invalid_argument);
  CHECK_THROWS_AS(FactorizationMachine<float>(3, 3, -1), std::invalid_argument);
  CHECK_THROWS_WITH(FactorizationMachine<float>(3, 3, 1, 0.0),
                    ContainsSubstring("deviation of FactorizationMachine must be finite and above 0; got 0"));
  CHECK_THROWS_AS(FactorizationMachine<float>(3, 3, 1, std::nan("")), parade::OptionError);
}

}  // namespace factorization_machine_test
