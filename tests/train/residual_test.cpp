// SPDX-License-Identifier: MIT
#include <parade/constraints/box_penalty.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/linear.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/no_regularizer.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

using parade::Matrix;

TEST_CASE("a residual is the norm of the gradient, and 0 at the optimum of a problem with an L1 term") {
  const auto data = training::regression_data<double>(5, 60, 1);
  const Matrix<double> x = data.values();
  const parade::FitOptions options{.epochs = 2000, .batch_size = 60, .seed = 1, .threads = 2};
  parade::Trainer plain{parade::Linear<double>{5}, parade::SquaredError{}, parade::NoRegularizer{}, parade::Sgd{.rate = 0.5}};
  plain.initialize(1);
  const Matrix<double> y = data.targets();
  parade::Vector<double> grad(6);  // at θ = 0: −(1/n) Σ y x, and for the bias −(1/n) Σ y
  grad << -(x * y.transpose()) / 60, -y.sum() / 60;
  for (const double step : {0.01, 1.0}) CHECK(plain.residual(data, step) == Approx(grad.norm()).epsilon(1e-13));

  parade::Trainer lasso{parade::Linear<double>{5}, parade::SquaredError{}, parade::L1{.lambda = 0.05}, parade::Sgd{.rate = 0.5}};
  const auto summary = lasso.fit(data, options);
  CHECK(summary.zeros > 0);
  CHECK(lasso.residual(data) < 1e-13);
  const auto theta = lasso.theta();
  CHECK(lasso.theta() == theta);  // asking changes nothing
  parade::Vector<double> other = theta;
  other[0] += 0.01;
  lasso.set_theta(other);
  CHECK(lasso.residual(data) > 1e-3);
  CHECK_THROWS_AS(lasso.residual(data, 0), parade::OptionError);
}

TEST_CASE("what a constraint is violated by is in the report of every epoch") {
  const auto data = training::regression_data<double>(5, 60, 1);
  parade::Trainer trainer{parade::Linear<double>{5}, parade::SquaredError{}, parade::NoRegularizer{}, parade::Sgd{.rate = 0.1},
                          parade::BoxPenalty{.beta = 1, .lower = 10}};
  const auto summary = trainer.fit(data, {.epochs = 2, .batch_size = 20, .seed = 1});
  const auto weight = trainer.parameter("weight");
  double half_squares = 0;
  for (parade::Index i = 0; i < weight.size(); ++i) half_squares += (10 - weight.data()[i]) * (10 - weight.data()[i]) / 2;
  CHECK(summary.history.back().violation == Approx(half_squares).epsilon(1e-13));
  CHECK(summary.full().find("violation") != std::string::npos);
}
