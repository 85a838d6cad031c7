// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include <parade/optimizers/adam.hpp>
#include <parade/optimizers/lazy_adam.hpp>

#include "optimizers/run.hpp"
#include "support/catch.hpp"

namespace {

using namespace optimizers;
using namespace parade;

/// One element as the documentation has it, in plain double.
struct Element {
  double theta, m = 0, v = 0;
  void step(const LazyAdam& adam, double g, int t) {
    if (g == 0) return;
    m = adam.beta1 * m + (1 - adam.beta1) * g;
    v = adam.beta2 * v + (1 - adam.beta2) * g * g;
    const double mean = m / (1 - std::pow(adam.beta1, t)), square = v / (1 - std::pow(adam.beta2, t));
    theta -= adam.rate * mean / (std::sqrt(square) + adam.epsilon);
  }
};

}  // namespace

TEMPLATE_TEST_CASE("lazy Adam is Adam to the bit where no gradient is 0", "[lazy_adam]", float, double) {
  using S = TestType;
  const Adam adam{.rate = 0.05, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-6};
  const LazyAdam lazy{.rate = 0.05, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-6};
  Run<S> a(adam, random_vector<S>(37, 1)), b(lazy, a.theta);
  for (std::int64_t t = 1; t <= 50; ++t) {
    Vector<S> grad = gradient<S>(37, t);
    grad[3] = std::numeric_limits<S>::denorm_min();  // not 0
    a.step(adam, grad, t);
    b.step(lazy, grad, t);
    REQUIRE(same_bits(a.theta, b.theta));
    REQUIRE(same_bits(a.states, b.states));
    Vector<S> sizes = a.step_sizes(adam, t);
    sizes[3] = 0;  // of what v is 0, as if no gradient had come
    CHECK(same_bits(sizes, b.step_sizes(lazy, t)));
  }
}

TEST_CASE("lazy Adam leaves an element without gradient alone, and corrects by the number of all steps", "[lazy_adam]") {
  const LazyAdam adam{.rate = 0.05};
  constexpr Index size = 37;
  Run<double> run(adam, random_vector<double>(size, 1));
  std::vector<Element> expected;
  for (Index i = 0; i < size; ++i) expected.push_back({run.theta[i]});
  for (int t = 1; t <= 60; ++t) {
    Vector<double> grad = gradient<double>(size, t);
    for (Index i = 0; i < size; ++i)
      if ((t + i) % (1 + i % 5) != 0) grad[i] = i % 2 == 0 ? 0.0 : -0.0;
    const Run<double> before = run;
    run.step(adam, grad, t);
    for (Index i = 0; i < size; ++i) {
      Element& element = expected[static_cast<std::size_t>(i)];
      element.step(adam, grad[i], t);
      CAPTURE(t, i);
      CHECK(std::abs(run.theta[i] - element.theta) <= 1e-13);
      if (grad[i] == 0) CHECK((run.theta[i] == before.theta[i] && run.states.row(i) == before.states.row(i)));
    }
  }
}

TEST_CASE("lazy Adam differs from Adam where a gradient is 0 after others, as its documentation says", "[lazy_adam]") {
  const Adam adam{.rate = 1};
  const LazyAdam lazy{.rate = 1};
  Run<double> a(adam, Vector<double>{{0}}), b(lazy, Vector<double>{{0}});
  for (const std::int64_t t : {1, 2}) {
    const Vector<double> grad{{t == 1 ? 1.0 : 0.0}};
    a.step(adam, grad, t);
    b.step(lazy, grad, t);
  }
  CHECK(std::abs(a.theta[0] + 1.67) < 0.005);
  CHECK(std::abs(b.theta[0] + 1) < 1e-7);
}

TEST_CASE("lazy Adam refuses settings out of their range", "[lazy_adam]") {
  CHECK_THROWS_WITH(LazyAdam{.rate = -1}.check(), "LazyAdam.rate must be finite and at least 0; got -1");
  CHECK_THROWS_WITH(LazyAdam{.beta1 = 1}.check(), Catch::Matchers::StartsWith("LazyAdam.beta1 must be"));
  CHECK_THROWS_WITH(LazyAdam{.beta2 = -0.1}.check(), Catch::Matchers::StartsWith("LazyAdam.beta2 must be"));
  CHECK_THROWS_WITH(LazyAdam{.epsilon = 0}.check(), Catch::Matchers::StartsWith("LazyAdam.epsilon must be"));
}
