// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <limits>

#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/regularizers/no_regularizer.hpp>

#include "support/catch.hpp"
#include "support/numbers.hpp"

namespace {

using numbers::random_vector, numbers::same_bits;
using parade::Index, parade::L1, parade::L2, parade::NoRegularizer, parade::ParameterBlock, parade::Role, parade::Vector;

template <class S>
Vector<S> prox(const L1& l1, Vector<S> theta, const Vector<S>& steps) {
  l1.prox(theta, steps);
  return theta;
}

template <class S>
Vector<S> prox(const L1& l1, const Vector<S>& theta, S step) {
  return prox(l1, theta, Vector<S>(Vector<S>::Constant(theta.size(), step)));
}

template <class S>
double distance(const Vector<S>& a, const Vector<S>& b) {
  double squares = 0;
  for (Index i = 0; i < a.size(); ++i) squares += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
  return std::sqrt(squares);
}

const ParameterBlock weight{"weight", 3, 2, Role::weight}, bias{"bias", 3, 1, Role::bias};

}  // namespace

TEST_CASE("no regularizer adds nothing, anywhere", "[regularizers]") {
  Vector<float> grad = Vector<float>::Constant(5, 3);
  NoRegularizer{}.add_gradient(random_vector<float>(5, 1), grad);
  CHECK(grad == Vector<float>::Constant(5, 3));
  CHECK(NoRegularizer{}.value(grad) == 0);
  CHECK_FALSE(NoRegularizer{}.applies_to(weight));
  CHECK_FALSE(NoRegularizer{}.applies_to(bias));
  STATIC_REQUIRE_FALSE(parade::ProximalRegularizer<NoRegularizer, float>);
}

TEST_CASE("L2 has its documented values, and adds to the gradient", "[regularizers]") {
  const Vector<double> theta{{3, 4}};
  CHECK(L2{.lambda = 1}.value(theta) == 12.5);
  CHECK(L2{.lambda = 0.5}.value(theta.head(1)) == 2.25);
  CHECK(L2{.lambda = 1}.value(Vector<double>()) == 0);
  Vector<double> grad{{10, -10}};
  L2{.lambda = 1}.add_gradient(theta, grad);
  CHECK(grad == Vector<double>{{13, -6}});
  L2{}.add_gradient(theta, grad);
  CHECK(grad == Vector<double>{{13, -6}});
}

TEST_CASE("the gradient of L2 is that of central differences", "[regularizers]") {
  constexpr double h = 1e-5;
  const L2 l2{.lambda = 0.37};
  Vector<double> theta = random_vector<double>(17, 3), grad = Vector<double>::Zero(17);
  l2.add_gradient(theta, grad);
  for (Index i = 0; i < theta.size(); ++i) {
    Vector<double> up = theta, down = theta;
    up[i] += h;
    down[i] -= h;
    CHECK(std::abs((l2.value(up) - l2.value(down)) / (2 * h) - grad[i]) <=
          10 * std::numeric_limits<double>::epsilon() * l2.value(theta) / h);
  }
}

TEST_CASE("values are sums in double, also of floats", "[regularizers]") {
  const Vector<float> theta = Vector<float>::Constant(100001, 0.1f);  // a float sum is off by more than 1e-5 of it
  const double t = static_cast<double>(0.1f);
  CHECK(std::abs(L2{.lambda = 2}.value(theta) / (t * t * 100001) - 1) <= 1e-11);
  CHECK(std::abs(L1{.lambda = 2}.value(theta) / (2 * t * 100001) - 1) <= 1e-11);
}

TEST_CASE("L1 has its documented values", "[regularizers]") {
  CHECK(L1{.lambda = 1}.value(Vector<double>{{3, -4}}) == 7);
  CHECK(L1{.lambda = 1}.value(Vector<double>()) == 0);
  const L1 l1{.lambda = 0.5};
  CHECK(prox(l1, Vector<double>{{3, -0.5, -4}}, 2.0) == Vector<double>{{2, 0, -3}});
  CHECK(prox(l1, Vector<double>{{3, 3, 3}}, Vector<double>{{0, 2, 8}}) == Vector<double>{{3, 2, 0}});  // a step of its own per element
  CHECK(prox(L1{}, Vector<double>{{3, -4}}, 2.0) == Vector<double>{{3, -4}});
}

TEMPLATE_TEST_CASE("L1 gives exact zeros, and they are +0", "[regularizers]", float, double) {
  using S = TestType;
  const S tiny = std::numeric_limits<S>::denorm_min();
  Vector<S> theta = random_vector<S>(1001, 4);
  theta.head(6) << S{1}, S{-1}, tiny, -tiny, S{0}, -S{0};  // at the threshold, and next to 0
  const Vector<S> shrunk = prox(L1{.lambda = 2}, theta, S{0.5});
  Index zeros = 0;
  for (Index i = 0; i < theta.size(); ++i) {
    if (std::abs(theta[i]) > 1) {
      CHECK(std::abs(shrunk[i]) == std::abs(theta[i]) - 1);
      CHECK(std::signbit(shrunk[i]) == std::signbit(theta[i]));
    } else {
      ++zeros;
      CHECK(shrunk[i] == 0);
      CHECK_FALSE(std::signbit(shrunk[i]));
    }
  }
  CHECK(zeros > 400);
  CHECK(zeros < 600);
}

TEST_CASE("NaN and infinity stay under L1, so that divergence is seen", "[regularizers]") {
  const double infinity = std::numeric_limits<double>::infinity();
  const Vector<double> shrunk = prox(L1{.lambda = 1}, Vector<double>{{std::nan(""), infinity, -infinity}}, 1.0);
  CHECK(std::isnan(shrunk[0]));
  CHECK(shrunk[1] == infinity);
  CHECK(shrunk[2] == -infinity);
}

TEMPLATE_TEST_CASE("the proximal step of L1 is non-expansive and has Moreau's identity", "[regularizers]", float, double) {
  using S = TestType;
  constexpr double eps = std::numeric_limits<S>::epsilon();
  const L1 l1{.lambda = 0.7};
  const Vector<S> a = random_vector<S>(1009, 5), b = random_vector<S>(1009, 6), steps = random_vector<S>(1009, 7, 0, 3);
  const Vector<S> pa = prox(l1, a, steps), pb = prox(l1, b, steps);
  CHECK(distance(pa, pb) <= distance(a, b));
  CHECK(distance(pa, pb) > 0);
  // θ = prox_{αf}(θ) + α prox_{f*/α}(θ/α); f* is the indicator of [−λ, λ], so the second term is θ clipped to [−αλ, αλ].
  for (Index i = 0; i < a.size(); ++i) {
    const double bound = l1.lambda * static_cast<double>(steps[i]);
    const double clipped = std::clamp(static_cast<double>(a[i]), -bound, bound);
    CHECK(std::abs(static_cast<double>(pa[i]) + clipped - static_cast<double>(a[i])) <= 4 * eps);
  }
}

TEMPLATE_TEST_CASE("a regularizer gives the same bits however θ is cut into slices", "[regularizers]", float, double) {
  using S = TestType;
  const L2 l2{.lambda = 0.3};
  const L1 l1{.lambda = 0.3};
  const Vector<S> theta = random_vector<S>(131, 8), other = random_vector<S>(131, 9, 0, 3);
  Vector<S> whole_grad = other, whole_prox = theta;
  l2.add_gradient(theta, whole_grad);
  l1.prox(whole_prox, other);
  for (Index i = 0; i < theta.size(); ++i) {  // no contraction, no reordering: what it says
    CHECK(whole_grad[i] == std::fma(static_cast<S>(0.3), theta[i], other[i]));
    const S left = std::fma(static_cast<S>(-0.3), other[i], std::abs(theta[i]));
    CHECK(whole_prox[i] == (left > 0 ? std::copysign(left, theta[i]) : S{0}));
  }
  for (Index cut = 0; cut <= theta.size(); ++cut) {
    Vector<S> grad = other, shrunk = theta;
    const Index rest = theta.size() - cut;
    l2.add_gradient(theta.head(cut), grad.head(cut));
    l2.add_gradient(theta.tail(rest), grad.tail(rest));
    l1.prox(shrunk.head(cut), other.head(cut));
    l1.prox(shrunk.tail(rest), other.tail(rest));
    INFO("cut at " << cut);
    CHECK(same_bits(grad, whole_grad));
    CHECK(same_bits(shrunk, whole_prox));
  }
}

TEST_CASE("biases are regularized only where that is asked for", "[regularizers]") {
  CHECK(L2{}.applies_to(weight));
  CHECK_FALSE(L2{}.applies_to(bias));
  CHECK(L2{.biases = true}.applies_to(bias));
  CHECK(L1{}.applies_to(weight));
  CHECK_FALSE(L1{}.applies_to(bias));
  CHECK(L1{.biases = true}.applies_to(bias));
}

TEST_CASE("regularizers refuse a λ that is negative or not finite", "[regularizers]") {
  CHECK_NOTHROW(L2{}.check());
  CHECK_NOTHROW(L1{.lambda = 3}.check());
  CHECK_THROWS_WITH(L2{.lambda = -0.5}.check(), "L2.lambda must be finite and at least 0; got -0.5");
  CHECK_THROWS_WITH(L1{.lambda = -0.5}.check(), "L1.lambda must be finite and at least 0; got -0.5");
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    CHECK_THROWS_AS(L2{.lambda = bad}.check(), parade::OptionError);
    CHECK_THROWS_AS(L1{.lambda = bad}.check(), parade::OptionError);
  }
}
