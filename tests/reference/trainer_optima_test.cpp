// SPDX-License-Identifier: MIT
// The same optima by a Trainer: full-batch, and by minibatches with variance-reduced gradients.
#include <cmath>
#include <memory>
#include <type_traits>

#include <parade/constraints/box.hpp>
#include <parade/constraints/l2_ball.hpp>
#include <parade/constraints/simplex.hpp>
#include <parade/data/dense_data.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/linear.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/elastic_net.hpp>
#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/regularizers/no_regularizer.hpp>
#include <parade/train/trainer.hpp>

#include "reference/optima.hpp"
#include "support/catch.hpp"
#include "support/reference.hpp"

namespace {

using optima::Case;
using parade::DenseData, parade::Index, parade::Matrix, parade::NoRegularizer, parade::Trainer;

/// `bend` bounds ∂²J/∂z².
template <class Loss, class R, class... C>
void check_case(const Case& problem, const DenseData<double>& data, const Loss& loss, double bend, const R& regularizer,
                const C&... constraint) {
  const Index k = problem.theta.rows(), d = problem.theta.cols(), n = data.size();
  double largest = 0;  // of a sample alone
  for (Index i = 0; i < n; ++i) largest = std::max(largest, problem.x.col(i).squaredNorm());
  double smooth = 0;
  if constexpr (requires { regularizer.lambda; }) smooth = regularizer.lambda;
  for (const bool full : {true, false}) {
    INFO((full ? "full batch" : "minibatches"));
    const double rate = full ? 1 / (bend * optima::curvature(problem.x) + smooth) : 0.5 / (bend * largest + smooth);
    Trainer trainer{parade::Linear<double>{d, k, parade::Intercept::none}, loss, regularizer, parade::Sgd{.rate = rate}, constraint...};
    double value = 0;
    for (int round = 0; round < (full ? 40 : 400); ++round) {
      const auto summary = trainer.fit(data, {.epochs = full ? 1000 : 100,
                                              .batch_size = full ? n : std::min<Index>(n, 16),
                                              .seed = 1,
                                              .threads = 1,
                                              .warm_start = true,
                                              .check_data = false,
                                              .svrg = full ? 0 : 2});
      value = trainer.evaluate(data).loss + summary.history.back().penalty;
      if (trainer.residual(data, 1 / (bend * optima::curvature(problem.x) + smooth)) <= 1e-12) break;
    }
    CHECK(reference::relative_error(trainer.parameter("weight"), problem.theta) <= 1e-8);
    CHECK(reference::relative_error(value, problem.value) <= 1e-10);
  }
}

DenseData<double> regression(const Case& problem) { return DenseData<double>(problem.x).with_targets(problem.targets()); }

}  // namespace

TEST_CASE("a Trainer reaches the optima of logistic and softmax regression") {
  const Case logistic("logistic_l2");
  const auto signs = DenseData<double>(logistic.x).with_labels(logistic.labels("signs"));
  check_case(logistic, signs, parade::Logistic{}, 0.25, parade::L2{.lambda = logistic.number("lambda")});
  const Case sparse("logistic_l1");
  check_case(sparse, signs, parade::Logistic{}, 0.25, parade::L1{.lambda = sparse.number("lambda")});
  const Case softmax("softmax_l2");
  check_case(softmax, DenseData<double>(softmax.x).with_labels(softmax.labels("labels")), parade::SoftmaxCrossEntropy{}, 0.5,
             parade::L2{.lambda = softmax.number("lambda")});
}

TEST_CASE("a Trainer reaches the optima of least squares with regularizers") {
  const Case ridge("ridge");
  check_case(ridge, regression(ridge), parade::SquaredError{}, 1, parade::L2{.lambda = ridge.number("lambda")});
  const Case net("elastic_net");
  check_case(net, regression(net), parade::SquaredError{}, 1,
             parade::ElasticNet{.lambda = net.number("alpha"), .l1_ratio = net.number("l1_ratio")});
}

TEST_CASE("a Trainer reaches the optima of least squares under constraints") {
  const Case positive("least_squares_nonnegative"), box("least_squares_box"), simplex("least_squares_simplex"), ball("least_squares_ball");
  check_case(positive, regression(positive), parade::SquaredError{}, 1, NoRegularizer{}, parade::Box{.lower = 0});
  check_case(box, regression(box), parade::SquaredError{}, 1, NoRegularizer{}, parade::Box{.lower = -box.bound(), .upper = box.bound()});
  check_case(simplex, regression(simplex), parade::SquaredError{}, 1, NoRegularizer{}, parade::Simplex{.total = simplex.bound()});
  check_case(ball, regression(ball), parade::SquaredError{}, 1, NoRegularizer{}, parade::L2Ball{.radius = ball.bound()});
}
