// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>

#include <parade/constraints/box.hpp>
#include <parade/constraints/box_penalty.hpp>
#include <parade/constraints/l2_ball.hpp>
#include <parade/constraints/no_constraint.hpp>
#include <parade/constraints/non_negative.hpp>
#include <parade/constraints/penalty.hpp>
#include <parade/constraints/prox_residual.hpp>
#include <parade/regularizers/group_lasso.hpp>
#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/regularizers/no_regularizer.hpp>

#include "support/catch.hpp"
#include "support/numbers.hpp"

namespace {

using numbers::random_vector, numbers::same_bits;
using parade::Box, parade::BoxPenalty, parade::Index, parade::NoConstraint, parade::NonNegative, parade::Penalty, parade::Vector;

constexpr double infinity = std::numeric_limits<double>::infinity();

template <class S>
Vector<S> projected(const Box& box, Vector<S> theta) {
  box.project(theta);
  return theta;
}

}  // namespace

TEST_CASE("no constraint is a penalty of nothing, anywhere", "[constraints]") {
  Vector<float> grad = Vector<float>::Constant(5, 3);
  NoConstraint{}.add_gradient(random_vector<float>(5, 1), grad);
  CHECK(grad == Vector<float>::Constant(5, 3));
  CHECK(NoConstraint{}.violation(grad) == 0);
  CHECK_FALSE(NoConstraint{}.applies_to({"weight", 3, 2}));
  STATIC_REQUIRE_FALSE(parade::ProjectionConstraint<NoConstraint, float>);
}

TEST_CASE("a box has its documented values", "[constraints]") {
  const Box box{.lower = -1, .upper = 1};
  const Vector<double> theta{{3, -2, 0.5}};
  CHECK(projected(box, theta) == Vector<double>{{1, -1, 0.5}});
  CHECK(box.violation(theta) == 2.5);
  CHECK(projected(Box{.lower = 0}, theta) == Vector<double>{{3, 0, 0.5}});
  CHECK(projected(Box{}, theta) == theta);
  CHECK(projected(Box{.lower = 0.1, .upper = 0.1}, theta) == Vector<double>::Constant(3, 0.1));
  CHECK(box.violation(Vector<double>()) == 0);
}

TEST_CASE("a box penalty has its documented values, and adds to the gradient", "[constraints]") {
  const BoxPenalty penalty{.beta = 4, .lower = -1, .upper = 1};
  const Vector<double> theta{{3, -2, 0.5}};
  CHECK(penalty.violation(theta) == 2.5);
  Vector<double> grad{{10, 10, 10}};
  penalty.add_gradient(theta, grad);
  CHECK(grad == Vector<double>{{18, 6, 10}});
}

TEST_CASE("the gradient of a box penalty is that of central differences of its violation", "[constraints]") {
  constexpr double h = 1e-5;
  const BoxPenalty penalty{.beta = 3, .lower = -0.4, .upper = 1.1};
  const Vector<double> theta = random_vector<double>(37, 2);
  Vector<double> grad = Vector<double>::Zero(37);
  penalty.add_gradient(theta, grad);
  const double rounding = 10 * std::numeric_limits<double>::epsilon() * penalty.beta * penalty.violation(theta) / h;
  for (Index i = 0; i < theta.size(); ++i) {
    Vector<double> up = theta, down = theta;
    up[i] += h;
    down[i] -= h;
    CHECK(std::abs(penalty.beta * (penalty.violation(up) - penalty.violation(down)) / (2 * h) - grad[i]) <= rounding);
  }
}

TEMPLATE_TEST_CASE("a projection on a box is feasible, idempotent and non-expansive", "[constraints]", float, double) {
  using S = TestType;
  const Box box{.lower = -0.3, .upper = 0.7};  // bounds that no float holds
  const Vector<S> a = random_vector<S>(1009, 3), b = random_vector<S>(1009, 4);
  const Vector<S> pa = projected(box, a), pb = projected(box, b);
  CHECK(box.violation(a) > 0);
  CHECK(box.violation(pa) == 0);
  CHECK(same_bits(projected(box, pa), pa));
  for (Index i = 0; i < a.size(); ++i) CHECK(std::abs(pa[i] - pb[i]) <= std::abs(a[i] - b[i]));
}

TEST_CASE("NaN stays in a box, so that divergence is seen", "[constraints]") {
  const Box box{.lower = -1, .upper = 1};
  const Vector<double> theta{{std::nan(""), infinity}};
  CHECK(std::isnan(projected(box, theta)[0]));
  CHECK(projected(box, theta)[1] == 1);
  CHECK(std::isnan(box.violation(theta)));
  Vector<double> grad = Vector<double>::Zero(2);
  BoxPenalty{.lower = -1, .upper = 1}.add_gradient(theta, grad);
  CHECK(std::isnan(grad[0]));
}

TEMPLATE_TEST_CASE("a constraint gives the same bits however θ is cut into slices", "[constraints]", float, double) {
  using S = TestType;
  const Box box{.lower = -0.3, .upper = 0.7};
  const BoxPenalty penalty{.beta = 0.3, .lower = -0.3, .upper = 0.7};
  const Vector<S> theta = random_vector<S>(131, 5), before = random_vector<S>(131, 6);
  const Vector<S> whole = projected(box, theta);
  Vector<S> whole_grad = before;
  penalty.add_gradient(theta, whole_grad);
  for (Index i = 0; i < theta.size(); ++i) {
    const volatile S outside = theta[i] - whole[i];
    CHECK(whole_grad[i] == std::fma(static_cast<S>(0.3), S{outside}, before[i]));
  }
  for (Index cut = 0; cut <= theta.size(); ++cut) {
    Vector<S> part = theta, grad = before;
    const Index rest = theta.size() - cut;
    box.project(part.head(cut));
    box.project(part.tail(rest));
    penalty.add_gradient(theta.head(cut), grad.head(cut));
    penalty.add_gradient(theta.tail(rest), grad.tail(rest));
    INFO("cut at " << cut);
    CHECK(same_bits(part, whole));
    CHECK(same_bits(grad, whole_grad));
  }
}

TEST_CASE("constraints refuse an empty box and a β that is negative or not finite", "[constraints]") {
  CHECK_NOTHROW(Box{}.check());
  CHECK_NOTHROW(Box{.lower = 1, .upper = 1}.check());
  CHECK_NOTHROW(BoxPenalty{.beta = 0, .lower = 0}.check());
  CHECK_THROWS_WITH((Box{.lower = 2, .upper = 1}.check()),
                    "Box.lower must be at most Box.upper, with a finite number between them; got 2 and 1");
  for (const Box& box : {Box{.lower = std::nan("")}, Box{.upper = std::nan("")}, Box{.lower = infinity}, Box{.upper = -infinity}}) {
    CHECK_THROWS_AS(box.check(), parade::OptionError);
    CHECK_THROWS_AS((BoxPenalty{.lower = box.lower, .upper = box.upper}.check()), parade::OptionError);
  }
  CHECK_THROWS_WITH(BoxPenalty{.beta = -1}.check(), "BoxPenalty.beta must be finite and at least 0; got -1");
  CHECK_THROWS_AS(BoxPenalty{.beta = std::nan("")}.check(), parade::OptionError);
}

TEMPLATE_TEST_CASE("non-negative is a box from 0 up", "[constraints]", float, double) {
  using S = TestType;
  const Vector<S> theta = random_vector<S>(131, 7);
  Vector<S> u = theta;
  NonNegative{}.project(u);
  CHECK(same_bits(u, projected(Box{.lower = 0}, theta)));
  CHECK(NonNegative{}.violation(theta) == Box{.lower = 0}.violation(theta));
  CHECK(NonNegative{}.violation(Vector<double>{{3, -2, 0.5}}) == 2);
}

TEMPLATE_TEST_CASE("a penalty of a projection has the bits of a box penalty, also piece by piece", "[constraints]", float, double) {
  using S = TestType;
  const BoxPenalty box{.beta = 0.3, .lower = -0.3, .upper = 0.7};
  const Penalty penalty{Box{.lower = -0.3, .upper = 0.7}, 0.3};
  for (const Index size : {0, 1, 127, 128, 129, 1000}) {
    const Vector<S> theta = random_vector<S>(size, 8);
    Vector<S> expected = random_vector<S>(size, 9), grad = expected;
    box.add_gradient(theta, expected);
    penalty.add_gradient(theta, grad);
    CHECK(same_bits(grad, expected));
    CHECK(penalty.violation(theta) == box.violation(theta));
  }
  Vector<S> grad = Vector<S>::Zero(1);
  Penalty{NonNegative{}}.add_gradient(Vector<S>{{S(std::nan(""))}}, grad);
  CHECK(std::isnan(grad[0]));
}

TEST_CASE("a penalty refuses what its constraint refuses, and a β that is negative or not finite", "[constraints]") {
  CHECK_NOTHROW((Penalty{Box{}, 0}.check()));
  CHECK_NOTHROW(Penalty{NonNegative{}}.check());
  CHECK_THROWS_WITH((Penalty{Box{}, -1}.check()), "Penalty.beta must be finite and at least 0; got -1");
  CHECK_THROWS_AS((Penalty{Box{}, infinity}.check()), parade::OptionError);
  CHECK_THROWS_WITH((Penalty{Box{.lower = 2, .upper = 1}, 1}.check()),
                    "Box.lower must be at most Box.upper, with a finite number between them; got 2 and 1");
  CHECK(Penalty{Box{}}.applies_to({"weight", 3, 2}));
  CHECK_FALSE(Penalty{Box{}}.applies_to({"bias", 3, 1, parade::Role::bias}));
}

TEST_CASE("the proximal gradient has its documented values, with terms of every kind", "[constraints]") {
  using parade::prox_residual, parade::L1, parade::L2, parade::NoRegularizer;
  const parade::Matrix<double> theta{{1, 0}}, ones{{1, 1}}, none{{0, 0}};
  CHECK(prox_residual(theta, parade::Matrix<double>{{-1, 0.5}}, ones, L1{.lambda = 1}, NoConstraint{}) == 0);
  CHECK(prox_residual(theta, none, ones, L1{.lambda = 1}, NoConstraint{}) == 1);
  const parade::Matrix<double> slope{{3, -4}};
  for (const double step : {0.5, 1.0, 4.0}) {
    const parade::Matrix<double> steps = step * ones;
    CHECK(prox_residual(theta, slope, steps, NoRegularizer{}, NoConstraint{}) == 5);
    CHECK(prox_residual(theta, parade::Matrix<double>{{-2, 0}}, steps, L2{.lambda = 2}, NoConstraint{}) == 0);
    CHECK(prox_residual(theta, parade::Matrix<double>{{-2, 0}}, steps, NoRegularizer{}, BoxPenalty{.beta = 2, .upper = 0}) == 0);
    CHECK(prox_residual(theta, parade::Matrix<double>{{-2, 1}}, steps, NoRegularizer{}, Box{.lower = 0, .upper = 1}) == 0);
    CHECK(prox_residual(theta, parade::Matrix<double>{{-2, 0}}, steps, NoRegularizer{}, parade::L2Ball{}) == 0);
    CHECK(prox_residual(none, slope, steps, parade::GroupLasso{.lambda = 4}, NoConstraint{}) == 0);  // 5 ≤ 4√2
    CHECK(prox_residual(none, slope, steps, parade::GroupLasso{.lambda = 3}, NoConstraint{}) > 0);
  }
  CHECK(std::isnan(prox_residual(parade::Matrix<double>{{std::nan(""), 0}}, none, ones, L1{}, Box{.lower = 0})));
}
