// SPDX-License-Identifier: MIT
#include <parade/constraints/augmented_lagrangian.hpp>
#include <parade/constraints/box_penalty.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/linear.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/no_regularizer.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace residual_test {

using parade::Index, parade::Matrix;

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
  lasso.set_theta(lasso.theta());  // its own
  CHECK(lasso.theta() == other);
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

TEST_CASE("multipliers go on when a fit goes on with other threads, start anew with a new fit, and count in a residual") {
  struct Sum {  // h(θ) = Σ θ − 1
    static Index count() { return 1; }
    static void values(const parade::ConstVectorRef<double>& theta, parade::VectorRef<double> out) { out[0] = theta.sum() - 1; }
    static void add_gradient(const parade::ConstVectorRef<double>&, const parade::ConstVectorRef<double>& weights,
                             parade::VectorRef<double> grad) {
      grad.array() += weights[0];
    }
  };
  const auto data = training::regression_data<double>(5, 60, 1);
  const auto make = [] {
    return parade::Trainer{parade::Linear<double>{5}, parade::SquaredError{}, parade::NoRegularizer{}, parade::Sgd{.rate = 0.05},
                           parade::AugmentedLagrangian{Sum{}, {}, {.beta = 1, .growth = 1}}};
  };
  parade::FitOptions options{.epochs = 20, .batch_size = 60, .seed = 1, .threads = 1};
  auto one = make(), two = make();
  const auto first = one.fit(data, options).theta_hash;
  two.fit(data, options);
  options.warm_start = true;
  const auto on = one.fit(data, options).theta_hash;
  options.threads = 2;
  CHECK(two.fit(data, options).theta_hash == on);
  options.warm_start = false;
  CHECK(two.fit(data, options).theta_hash == first);

  options = {.epochs = 3000, .batch_size = 60, .seed = 1, .threads = 1};
  const auto summary = one.fit(data, options);
  CHECK(summary.history.back().violation < 1e-12);
  CHECK(one.residual(data) < 1e-10);
  CHECK(std::abs(one.constraint().equality_multipliers()[0]) > 1e-3);
}

TEST_CASE("a residual refuses the data that an evaluation refuses") {
  parade::Trainer trainer{parade::Linear<double>{2, 3}, parade::SoftmaxCrossEntropy{}, parade::NoRegularizer{}, parade::Sgd{}};
  trainer.initialize(1);
  const auto data = parade::DenseData<double>(Matrix<double>::Ones(2, 2)).with_labels(parade::Vector<parade::Label>{{0, 9}});
  CHECK_THROWS_AS(trainer.residual(data), parade::DataError);
}

}  // namespace residual_test
