// SPDX-License-Identifier: MIT
// The optima of convex problems that scikit-learn and SciPy found, by full-batch proximal gradient steps with the library's losses, regularizers and
// constraints; also where every element has a step size of its own, which moves no optimum as long as prox and projection are taken in that metric.
#include "reference/optima.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include <parade/constraints/box.hpp>
#include <parade/constraints/l2_ball.hpp>
#include <parade/constraints/no_constraint.hpp>
#include <parade/constraints/non_negative.hpp>
#include <parade/constraints/prox_residual.hpp>
#include <parade/constraints/simplex.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/regularizers/elastic_net.hpp>
#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/regularizers/no_regularizer.hpp>

#include "support/catch.hpp"
#include "support/numbers.hpp"
#include "support/reference.hpp"

namespace {

using optima::Case, optima::curvature;
using parade::Index, parade::Matrix, parade::NoConstraint, parade::NoRegularizer, parade::Vector;

struct Optimum {
  Matrix<double> theta;
  double value;
  double residual;  // 0 at a minimum
};

/// θ ← Π(prox(θ − α ∘ ∇)) from 0 until θ rests; `bend` bounds ∂²J/∂z².
template <class Loss, class Targets, class R, class C>
Optimum solve(const Case& problem, const Loss& loss, const Targets& targets, double bend, const R& regularizer, const C& constraint,
              const Matrix<double>& relative_steps, bool in_metric = true) {
  const Matrix<double>& x = problem.x;
  const double n = static_cast<double>(x.cols());
  double smooth = 0;
  if constexpr (parade::SmoothRegularizer<R, double>)
    if constexpr (!std::is_same_v<R, NoRegularizer>) smooth = regularizer.lambda;
  const Matrix<double> steps = relative_steps / (bend * curvature(x) + smooth);
  const Matrix<double> metric = in_metric ? steps : Matrix<double>(Matrix<double>::Ones(steps.rows(), steps.cols()));

  Matrix<double> theta = Matrix<double>::Zero(steps.rows(), steps.cols()), before = theta, grad = theta, dscores(theta.rows(), x.cols());
  Vector<double> values(x.cols());
  const auto flat = [](Matrix<double>& m) { return Eigen::Map<Vector<double>>(m.data(), m.size()); };
  for (int i = 0; i < 300000; ++i) {
    loss.value_and_gradient((theta * x).eval(), targets, values, dscores);
    grad.noalias() = dscores * x.transpose() / n;
    if constexpr (parade::SmoothRegularizer<R, double>) regularizer.add_gradient(flat(theta), flat(grad));
    before = theta;
    theta -= steps.cwiseProduct(grad);
    if constexpr (parade::ProximalRegularizer<R, double>) regularizer.prox(flat(theta), flat(const_cast<Matrix<double>&>(steps)));
    if constexpr (requires { constraint.parameter_project(theta, metric); })
      constraint.parameter_project(theta, metric);
    else if constexpr (parade::ProjectionConstraint<C, double>)
      constraint.project(flat(theta));
    if ((theta - before).cwiseAbs().maxCoeff() <= 1e-16 * theta.cwiseAbs().maxCoeff()) break;
  }
  loss.value_and_gradient((theta * x).eval(), targets, values, dscores);
  grad.noalias() = dscores * x.transpose() / n;
  const double residual = parade::prox_residual(theta, grad, steps, regularizer, constraint);
  return {theta, values.sum() / n + regularizer.value(flat(theta)), residual};
}

/// The case by equal steps and by different ones.
template <class Loss, class Targets, class R, class C>
void check_case(const Case& problem, const Loss& loss, const Targets& targets, double bend, const R& regularizer, const C& constraint) {
  const Index k = problem.theta.rows(), d = problem.theta.cols();
  for (const bool equal : {true, false}) {
    INFO((equal ? "equal steps" : "a step size per element"));
    const auto found = solve(problem, loss, targets, bend, regularizer, constraint,
                             equal ? Matrix<double>(Matrix<double>::Ones(k, d)) : numbers::random_matrix<double>(k, d, 2, 0.2, 1));
    CHECK(reference::relative_error(found.theta, problem.theta) <= 1e-8);
    CHECK(reference::relative_error(found.value, problem.value) <= 1e-10);
    CHECK(found.residual <= 1e-10);
  }
}

}  // namespace

TEST_CASE("logistic regression with L2 reaches the optimum", "[optima]") {
  const Case problem("logistic_l2");
  check_case(problem, parade::Logistic{}, problem.labels("signs"), 0.25, parade::L2{.lambda = problem.number("lambda")}, NoConstraint{});
}

TEST_CASE("logistic regression with L1 reaches scikit-learn's optimum", "[optima]") {
  Case problem("logistic_l1");
  if (!problem.figures.contains("signs")) problem.figures["signs"] = Case("logistic_l2").figures.at("signs");
  check_case(problem, parade::Logistic{}, problem.labels("signs"), 0.25, parade::L1{.lambda = problem.number("lambda")}, NoConstraint{});
}

TEST_CASE("softmax regression with L2 reaches the optimum", "[optima]") {
  const Case problem("softmax_l2");
  check_case(problem, parade::SoftmaxCrossEntropy{}, problem.labels("labels"), 0.5, parade::L2{.lambda = problem.number("lambda")},
             NoConstraint{});
}

TEST_CASE("ridge regression reaches the optimum", "[optima]") {
  const Case problem("ridge");
  check_case(problem, parade::SquaredError{}, problem.targets(), 1, parade::L2{.lambda = problem.number("lambda")}, NoConstraint{});
}

TEST_CASE("the elastic net reaches scikit-learn's optimum", "[optima]") {
  const Case problem("elastic_net");
  check_case(problem, parade::SquaredError{}, problem.targets(), 1,
             parade::ElasticNet{.lambda = problem.number("alpha"), .l1_ratio = problem.number("l1_ratio")}, NoConstraint{});
}

TEST_CASE("least squares without negative elements reaches SciPy's optimum", "[optima]") {
  const Case problem("least_squares_nonnegative");
  check_case(problem, parade::SquaredError{}, problem.targets(), 1, NoRegularizer{}, parade::NonNegative{});
}

TEST_CASE("least squares in a box reaches SciPy's optimum", "[optima]") {
  const Case problem("least_squares_box");
  const double bound = problem.bound();
  check_case(problem, parade::SquaredError{}, problem.targets(), 1, NoRegularizer{}, parade::Box{.lower = -bound, .upper = bound});
}

TEST_CASE("least squares on a simplex reaches SciPy's optimum", "[optima]") {
  const Case problem("least_squares_simplex");
  check_case(problem, parade::SquaredError{}, problem.targets(), 1, NoRegularizer{}, parade::Simplex{.total = problem.bound()});
}

TEST_CASE("least squares in a ball reaches SciPy's optimum", "[optima]") {
  const Case problem("least_squares_ball");
  check_case(problem, parade::SquaredError{}, problem.targets(), 1, NoRegularizer{}, parade::L2Ball{.radius = problem.bound()});
}

TEST_CASE("a projection in another metric than that of the steps ends elsewhere", "[optima]") {
  const Case problem("least_squares_ball");
  const Matrix<double> steps = numbers::random_matrix<double>(problem.theta.rows(), problem.theta.cols(), 2, 0.2, 1);
  const auto found = solve(problem, parade::SquaredError{}, problem.targets(), 1, NoRegularizer{},
                           parade::L2Ball{.radius = problem.bound()}, steps, false);
  CHECK(reference::relative_error(found.theta, problem.theta) > 1e-3);
  CHECK(found.value > problem.value * (1 + 1e-6));
  CHECK(found.residual > 1e-3);
}
