// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>
#include <stdexcept>

#include <parade/data/dense_data.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/matrix_factorization.hpp>
#include <parade/train/evaluate.hpp>

#include "models/model_checks.hpp"

namespace matrix_factorization_test {

namespace {

using Catch::Matchers::ContainsSubstring;
using parade::ConstVectorRef, parade::Index, parade::Matrix, parade::MatrixFactorization, parade::SquaredError, parade::Vector;

/// m pairs of a user and an item, all of them possible.
template <class S>
Matrix<S> some_pairs(Index users, Index items, Index m, std::uint64_t stream) {
  const parade::Random random(19, parade::Purpose::user, stream);
  Matrix<S> pairs(2, m);
  for (Index j = 0; j < m; ++j) {
    pairs(0, j) = static_cast<S>(random.below(static_cast<std::uint64_t>(2 * j), static_cast<std::uint64_t>(users)));
    pairs(1, j) = static_cast<S>(random.below(static_cast<std::uint64_t>(2 * j + 1), static_cast<std::uint64_t>(items)));
  }
  return pairs;
}

}  // namespace

TEMPLATE_TEST_CASE("the scores of a matrix factorization are its formula", "", float, double) {
  using S = TestType;
  for (const Index r : {1, 3, 8, 21}) {
    const Index users = 30, items = 11;
    const MatrixFactorization<S> model(users, items, r);
    const Vector<S> theta = models::some_theta(model);
    const auto block = [&](const char* name) -> Matrix<double> {
      return parade::slice<S>(ConstVectorRef<S>(theta), model.parameters()[name]).template cast<double>();
    };
    const Matrix<double> mean = block("mean"), b = block("user.bias"), c = block("item.bias"), p = block("user.factors"),
                         q = block("item.factors");
    const Matrix<S> x = some_pairs<S>(users, items, 100, 51);
    const Matrix<S> z = models::scores(model, theta, x);
    REQUIRE(z.rows() == 1);
    REQUIRE(z.cols() == 100);
    for (Index j = 0; j < x.cols(); ++j) {
      const auto u = static_cast<Index>(x(0, j)), i = static_cast<Index>(x(1, j));
      const double expected = mean(0) + b(u) + c(i) + p.col(u).dot(q.col(i));
      const double size = std::abs(mean(0)) + std::abs(b(u)) + std::abs(c(i)) + p.col(u).cwiseAbs().dot(q.col(i).cwiseAbs());
      CHECK(std::abs(static_cast<double>(z(0, j)) - expected) <=
            static_cast<double>(r + 3) * static_cast<double>(std::numeric_limits<S>::epsilon()) * size);
    }
  }
}

TEST_CASE("the gradient of a matrix factorization is that of differences") {
  const MatrixFactorization<double> model(5, 4, 3);
  const auto data = parade::DenseData<double>(some_pairs<double>(5, 4, 40, 52)).with_targets(numbers::random_matrix<double>(1, 40, 53));
  CHECK(parade::testing::check_gradient(model, SquaredError{}, models::some_theta(model), data));
  CHECK(parade::testing::check_gradient(model, SquaredError{}, models::some_theta(model), data.with_weights(training::sample_weights(40))));
}

TEST_CASE("a score of a matrix factorization has the same bits whatever stands beside it, its gradient for any number of threads") {
  const MatrixFactorization<float> model(40, 30, 9);
  const Matrix<float> x = some_pairs<float>(40, 30, 67, 54);
  models::check_columns(model, models::some_theta(model), x);
  models::check_threads<SquaredError>(model, models::some_theta(model),
                                      parade::DenseData<float>(x).with_targets(numbers::random_matrix<double>(1, 67, 55)));
}

TEST_CASE("a matrix factorization recovers the ratings that it was not shown, where they are of low rank") {
  const Index users = 24, items = 18, r = 2;
  const Matrix<double> p = numbers::random_matrix<double>(r, users, 56, -1, 1), q = numbers::random_matrix<double>(r, items, 57, -1, 1);
  const Vector<double> b = numbers::random_vector<double>(users, 58, -1, 1), c = numbers::random_vector<double>(items, 59, -1, 1);
  const Matrix<double> ratings = ((p.transpose() * q).colwise() + b).rowwise() + (c.transpose().array() + 3).matrix();
  Matrix<double> shown(2, users * items), hidden(2, users * items), targets(1, users * items);
  Index n = 0, others = 0;
  const parade::Random random(19, parade::Purpose::user, 60);
  for (Index u = 0; u < users; ++u)
    for (Index i = 0; i < items; ++i) {
      const bool show = random.uniform(static_cast<std::uint64_t>(u * items + i)) < 0.6;
      auto column = show ? shown.col(n) : hidden.col(others);
      column << static_cast<double>(u), static_cast<double>(i);
      if (show) targets(0, n) = ratings(u, i);
      ++(show ? n : others);
    }
  REQUIRE(others > 100);
  const auto data = parade::DenseData<double>(Matrix<double>(shown.leftCols(n))).with_targets(targets.leftCols(n));
  const auto error = [&](const MatrixFactorization<double>& model,
                         const Vector<double>& theta) {  // root of the mean square, of what is hidden
    const Matrix<double> z = models::scores(model, theta, Matrix<double>(hidden.leftCols(others)));
    double squares = 0;
    for (Index j = 0; j < others; ++j)
      squares += std::pow(z(0, j) - ratings(static_cast<Index>(hidden(0, j)), static_cast<Index>(hidden(1, j))), 2);
    return std::sqrt(squares / static_cast<double>(others));
  };
  const MatrixFactorization<double> model(users, items, r);
  CHECK(error(model, models::descend<SquaredError>(model, data, 2000, 0.5)) < 1e-3);
}

TEMPLATE_TEST_CASE("an index that is out of range or no whole number touches no memory and gives a score that is not a number", "", float,
                   double) {
  using S = TestType;
  const MatrixFactorization<S> model(3, 2, 4);
  const Vector<S> theta = models::some_theta(model);
  const S nan = std::numeric_limits<S>::quiet_NaN(), infinity = std::numeric_limits<S>::infinity(), largest = std::numeric_limits<S>::max();
  for (const S bad : {S{-1}, S{3}, S{0.5}, S{1e10f}, largest, -largest, infinity, -infinity, nan}) {
    CAPTURE(bad);
    Matrix<S> x(2, 3);
    x << 0, bad, 2, 0, 1, 1;
    Vector<S> grad = Vector<S>::Zero(theta.size());
    typename MatrixFactorization<S>::Workspace workspace;
    const Matrix<S> z = model.forward(theta, x, workspace);
    CHECK(std::isfinite(z(0, 0)));
    CHECK(std::isnan(z(0, 1)));
    CHECK(std::isfinite(z(0, 2)));
    Matrix<S> dscores = Matrix<S>::Ones(1, 3);
    dscores(0, 1) = nan;  // as a loss gives it
    model.add_gradient(theta, x, dscores, workspace, grad);
    CHECK(std::isnan(grad[0]));  // so that the run is seen to diverge
    CHECK(grad.tail(grad.size() - 1).allFinite());
    CHECK_THAT(model.check_input(Vector<S>(x.col(1))), ContainsSubstring("the user must be a whole number in [0, 2]; got "));
    CHECK(model.check_input(Vector<S>(x.col(0))).empty());
    x << 0, 1, 2, 0, bad, 1;
    if (bad != S{3}) CHECK(std::isnan(models::scores(model, theta, x)(0, 1)));
    CHECK_THAT(model.check_input(Vector<S>(x.col(1))), ContainsSubstring("the item must be a whole number in [0, 1]"));
  }
  Matrix<S> x(2, 1);
  x << S{-0.0f}, 1;
  CHECK(std::isfinite(models::scores(model, theta, x)(0, 0)));
}

TEST_CASE("a matrix factorization has a name for each of its parameters, and starts with biases at 0") {
  const MatrixFactorization<double> model(60, 50, 8, 0.2);
  CHECK(model.parameters().size() == 1 + 60 + 50 + 8 * 60 + 8 * 50);
  CHECK(model.parameters()["mean"].role == parade::Role::bias);
  CHECK(model.parameters()["user.bias"].role == parade::Role::weight);
  CHECK(model.parameters()["user.factors"].cols == 60);
  CHECK(model.parameters()["item.factors"].rows == 8);
  Vector<double> theta(model.parameters().size());
  model.initialize(theta, 4);
  const Index users = model.parameters()["user.factors"].offset, items = model.parameters()["item.factors"].offset;
  CHECK(theta.head(users).isZero(0));
  CHECK(theta[users] != theta[items]);
  CHECK(theta.tail(theta.size() - users).cwiseAbs().maxCoeff() <= std::sqrt(3.0) * 0.2);
  CHECK(std::abs(theta.squaredNorm() / 880 / 0.04 - 1) < 4 * std::sqrt(0.8 / 880));  // 4 standard errors
}

TEST_CASE("a matrix factorization whose users a float cannot tell apart is an error that says so") {
  CHECK_NOTHROW(MatrixFactorization<float>(Index{1} << 24, 1, 1));
  CHECK_THROWS_WITH(MatrixFactorization<float>((Index{1} << 24) + 1, 1, 1),
                    ContainsSubstring("at most 16777216 users and items, the whole numbers that float can tell apart; got 16777217 and 1"));
  CHECK_NOTHROW(MatrixFactorization<double>((Index{1} << 24) + 1, 1, 1));
  CHECK_THROWS_WITH(MatrixFactorization<float>(3, 0, 1), ContainsSubstring("at least 1 user, 1 item and 1 factor; got 3, 0 and 1"));
  CHECK_THROWS_WITH(MatrixFactorization<float>(3, 1, 1, -1), ContainsSubstring("deviation of MatrixFactorization"));
  const MatrixFactorization<float> model(static_cast<Index>(1) << 24, 1, 1);
  Vector<float> last(2);
  last << 16777215.0f, 0;
  CHECK(model.check_input(last).empty());
  last[0] = 16777216.0f;
  CHECK_FALSE(model.check_input(last).empty());
}

TEST_CASE("data whose indices a matrix factorization does not know is refused before training and in evaluation, naming sample and rule") {
  const MatrixFactorization<double> model(5, 4, 2);
  Matrix<double> pairs(2, 300);
  for (Index j = 0; j < 300; ++j) pairs.col(j) << static_cast<double>(j % 5), static_cast<double>(j % 4);
  parade::Team team(2);
  const Vector<double> theta = Vector<double>::Ones(model.parameters().size());
  const auto check = [&](const Matrix<double>& x) {
    const auto data = parade::DenseData<double>(x).with_targets(Matrix<double>(Matrix<double>::Ones(1, x.cols())));
    parade::detail::check_values<parade::DenseBatch<double>>(team, model, parade::SquaredError{}, data);
  };
  const auto scores = [&](const Matrix<double>& x) {
    return parade::compute_scores<parade::DenseBatch<double>>(team, model, theta, parade::DenseData<double>(x));
  };
  CHECK_NOTHROW(check(pairs));
  CHECK(scores(pairs).allFinite());
  for (const double bad : {5.0, -1.0, 0.5}) {
    Matrix<double> x = pairs;
    x(0, 270) = x(0, 280) = bad;
    CHECK_THROWS_WITH(check(x), ContainsSubstring("sample 270: the user must be a whole number in [0, 4]; got "));
    CHECK_THROWS_WITH(scores(x), ContainsSubstring("sample 270: the user must be a whole number in [0, 4]; got "));
  }
}

}  // namespace matrix_factorization_test
