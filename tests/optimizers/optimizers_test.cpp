// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstdint>
#include <limits>

#include <parade/optimizers/adam.hpp>
#include <parade/optimizers/sgd.hpp>

#include "optimizers/run.hpp"
#include "support/catch.hpp"

namespace {

using namespace optimizers;
using parade::Adam, parade::Sgd;

const Sgd plain{.rate = 0.1}, momentum{.rate = 0.1, .momentum = 0.9}, dampened{.rate = 0.1, .momentum = 0.9, .dampening = 0.3},
    nesterov{.rate = 0.1, .momentum = 0.9, .nesterov = true};

template <class S>
void check_sgd_bits(const Sgd& sgd) {
  const auto rate = static_cast<S>(sgd.rate), mu = static_cast<S>(sgd.momentum);
  Run<S> run(sgd, random_vector<S>(67, 1));
  Vector<S> theta = run.theta, v = Vector<S>::Zero(67);
  for (std::int64_t t = 1; t <= 4; ++t) {
    const Vector<S> g = random_vector<S>(67, 10 + static_cast<std::uint64_t>(t));
    run.step(sgd, g, t);
    for (Index i = 0; i < 67; ++i) {
      v[i] = t == 1 ? g[i] : std::fma(mu, v[i], product(static_cast<S>(1 - sgd.dampening), g[i]));
      theta[i] = std::fma(-rate, sgd.nesterov ? std::fma(mu, v[i], g[i]) : v[i], theta[i]);
    }
    CHECK(same_bits(run.theta, theta));
    if (sgd.num_states() == 1) CHECK(same_bits(run.states.topRows(67), v));
  }
}

template <class S>
void check_adam_bits(const Adam& adam) {
  const auto b1 = static_cast<S>(adam.beta1), b2 = static_cast<S>(adam.beta2), epsilon = static_cast<S>(adam.epsilon);
  const auto c1 = static_cast<S>(1 - adam.beta1), c2 = static_cast<S>(1 - adam.beta2);
  Run<S> run(adam, random_vector<S>(67, 1));
  Vector<S> theta = run.theta, m = Vector<S>::Zero(67), v = m, sizes = m;
  double power1 = 1, power2 = 1;  // βᵗ⁻¹, by one product a step: exact enough to be that of repeated squaring for t ≤ 4
  for (std::int64_t t = 1; t <= 4; ++t, power1 = product(power1, adam.beta1), power2 = product(power2, adam.beta2)) {
    const Vector<S> g = random_vector<S>(67, 10 + static_cast<std::uint64_t>(t));
    run.step(adam, g, t);
    const auto rate = static_cast<S>(adam.rate / std::fma(-power1, adam.beta1, 1.0));
    const auto scale = static_cast<S>(1 / std::sqrt(std::fma(-power2, adam.beta2, 1.0)));
    for (Index i = 0; i < 67; ++i) {
      m[i] = std::fma(b1, m[i], product(c1, g[i]));
      v[i] = std::fma(b2, v[i], product(product(c2, g[i]), g[i]));
      const S metric = std::fma(scale, std::sqrt(v[i]), epsilon);
      theta[i] = std::fma(-rate, m[i] / metric, theta[i]);
      sizes[i] = static_cast<S>(adam.rate) / metric;
    }
    CHECK(same_bits(run.theta, theta));
    CHECK(same_bits(run.states.col(0).head(67), m));
    CHECK(same_bits(run.states.col(1).head(67), v));
    CHECK(same_bits(run.step_sizes(adam, t), sizes));
    CHECK(run.states.bottomRows(3) == Matrix<S>::Zero(3, 2));
  }
}

}  // namespace

TEST_CASE("plain SGD steps by -α g and keeps no state", "[sgd]") {
  Vector<double> theta{{1, 2, 3}};
  plain.step(theta, Vector<double>{{10, 0, -10}}, StateRef<double>{nullptr, 0, 3}, {.rate = 0.5, .step = 1});
  CHECK(theta == Vector<double>{{-4, 2, 8}});
  CHECK(plain.num_states() == 0);
  CHECK(momentum.num_states() == 1);
}

TEST_CASE("SGD takes its rate from the schedule, not from the option", "[sgd]") {
  Vector<double> theta{{1}};
  plain.step(theta, Vector<double>{{1}}, StateRef<double>{nullptr, 0, 1}, {.rate = 0.25, .step = 7});
  CHECK(theta[0] == 0.75);
}

TEST_CASE("the first velocity of SGD is the gradient, without dampening", "[sgd]") {
  for (const Sgd& sgd : {momentum, dampened}) {
    Run<double> run(sgd, Vector<double>{{0}});
    run.step(sgd, Vector<double>{{1}}, 1);
    CHECK(run.theta[0] == -0.1);
    CHECK(run.states(0, 0) == 1);
    run.step(sgd, Vector<double>{{1}}, 2);
    CHECK(run.states(0, 0) == std::fma(0.9, 1.0, 1 - sgd.dampening));
  }
}

TEST_CASE("under a steady gradient SGD ends in its documented speed", "[sgd]") {
  for (const Sgd& sgd : {momentum, dampened, nesterov}) {
    Run<double> run(sgd, Vector<double>{{0}});
    for (std::int64_t t = 1; t <= 1000; ++t) run.step(sgd, Vector<double>{{1}}, t);
    const double before = run.theta[0];
    run.step(sgd, Vector<double>{{1}}, 1001);
    const double speed = sgd.rate * (1 - sgd.dampening) / (1 - sgd.momentum);
    CHECK(std::abs(before - run.theta[0] - speed) <= 1e4 * std::numeric_limits<double>::epsilon() * speed);
  }
}

TEMPLATE_TEST_CASE("an element of SGD is one chain of fused multiply-adds", "[sgd]", float, double) {
  for (const Sgd& sgd : {plain, momentum, dampened, nesterov}) check_sgd_bits<TestType>(sgd);
}

TEMPLATE_TEST_CASE("an element of Adam is one chain of correctly rounded operations", "[adam]", float, double) {
  check_adam_bits<TestType>(Adam{});
  check_adam_bits<TestType>(Adam{.rate = 0.05, .beta1 = 0.8, .beta2 = 0.99, .epsilon = 1e-3});
  check_adam_bits<TestType>(Adam{.beta1 = 0, .beta2 = 0});
}

TEMPLATE_TEST_CASE("an optimizer gives the same bits however θ is cut into slices", "[sgd][adam]", float, double) {
  for (const Index size : {0, 1, 2, 7, 16, 17, 67}) {
    for (const Sgd& sgd : {plain, momentum, dampened, nesterov}) check_slices<TestType>(sgd, size);
    check_slices<TestType>(Adam{}, size);
  }
}

TEMPLATE_TEST_CASE("the first step of Adam is α against the sign of the gradient", "[adam]", float, double) {
  using S = TestType;
  const Adam adam{.rate = 0.01};
  const Vector<S> grad{{S(1e-3), S(-1e-3), 1, -1, S(1e6), 0}};
  Run<S> run(adam, Vector<S>::Zero(grad.size()));
  run.step(adam, grad, 1);
  for (Index i = 0; i < grad.size(); ++i) {
    const double g = static_cast<double>(grad[i]), expected = -0.01 * g / (std::abs(g) + 1e-8);
    CHECK(std::abs(static_cast<double>(run.theta[i]) - expected) <= 10 * static_cast<double>(std::numeric_limits<S>::epsilon()) * 0.01);
  }
  CHECK(run.theta[5] == 0);
}

TEST_CASE("the step sizes of Adam are its metric: θ moves by step size times corrected mean", "[adam]") {
  const Adam adam{.rate = 0.02};
  Run<double> run(adam, random_vector<double>(33, 3));
  for (std::int64_t t = 1; t <= 5; ++t) {
    const Vector<double> before = run.theta;
    run.step(adam, random_vector<double>(33, 30 + static_cast<std::uint64_t>(t)), t);
    const Vector<double> sizes = run.step_sizes(adam, t);
    for (Index i = 0; i < 33; ++i) {
      const double corrected = run.states(i, 0) / (1 - std::pow(0.9, static_cast<double>(t)));
      CHECK(std::abs(before[i] - run.theta[i] - sizes[i] * corrected) <= 20 * std::numeric_limits<double>::epsilon() * 2);
    }
  }
}

TEST_CASE("with the step sizes of Adam a soft threshold finds the minimum of a lasso, from the first step on", "[adam]") {
  // min ½(θ − a)² + λ|θ| is at sign(a) max(0, |a| − λ). The first step of the pair from 0 is that of one gradient, shrunk by λ.
  const Adam adam{.rate = 0.01};
  const double lambda = 0.5;
  const Vector<double> a{{2, -2, 0.4, -0.4, 0.6, 0}};
  Run<double> run(adam, Vector<double>::Zero(a.size()));
  for (std::int64_t t = 1; t <= 4000; ++t) {
    run.step(adam, run.theta - a, t);
    const Vector<double> sizes = run.step_sizes(adam, t);
    for (Index i = 0; i < a.size(); ++i) run.theta[i] = std::copysign(std::fdim(std::abs(run.theta[i]), sizes[i] * lambda), run.theta[i]);
    if (t == 1)
      for (Index i = 0; i < a.size(); ++i) {
        const double expected = std::copysign(adam.rate * std::fdim(std::abs(a[i]), lambda) / (std::abs(a[i]) + adam.epsilon), a[i]);
        CHECK(std::abs(run.theta[i] - expected) <= 1e-14);
      }
  }
  for (Index i = 0; i < a.size(); ++i) {
    const double expected = std::copysign(std::fdim(std::abs(a[i]), lambda), a[i]);
    if (std::abs(a[i]) < lambda)
      CHECK(run.theta[i] == 0);
    else
      CHECK(std::abs(run.theta[i] - expected) <= 1e-6);
  }
}

TEST_CASE("optimizers refuse settings out of their range", "[sgd][adam]") {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  for (const Sgd& sgd : {Sgd{}, Sgd{.rate = 0}, plain, momentum, dampened, nesterov}) CHECK_NOTHROW(sgd.check());
  CHECK_THROWS_WITH(Sgd{.rate = -0.1}.check(), "Sgd.rate must be finite and at least 0; got -0.1");
  CHECK_THROWS_WITH(Sgd{.momentum = 1}.check(), "Sgd.momentum must be in [0, 1); got 1");
  CHECK_THROWS_WITH((Sgd{.momentum = 0.9, .dampening = 1.5}.check()), "Sgd.dampening must be in [0, 1]; got 1.5");
  CHECK_THROWS_WITH(Sgd{.nesterov = true}.check(), "Sgd.nesterov needs momentum above 0 and dampening 0; got 0 and 0");
  CHECK_THROWS_WITH((Sgd{.momentum = 0.9, .dampening = 0.5, .nesterov = true}.check()),
                    "Sgd.nesterov needs momentum above 0 and dampening 0; got 0.9 and 0.5");
  for (const Sgd& sgd : {Sgd{.rate = nan}, Sgd{.rate = infinity}, Sgd{.momentum = nan}, Sgd{.momentum = -0.1}, Sgd{.dampening = nan}})
    CHECK_THROWS_AS(sgd.check(), parade::OptionError);

  for (const Adam& adam : {Adam{}, Adam{.rate = 0}, Adam{.beta1 = 0, .beta2 = 0}}) CHECK_NOTHROW(adam.check());
  CHECK_THROWS_WITH(Adam{.rate = -1}.check(), "Adam.rate must be finite and at least 0; got -1");
  CHECK_THROWS_WITH(Adam{.beta1 = 1}.check(), "Adam.beta1 must be in [0, 1); got 1");
  CHECK_THROWS_WITH(Adam{.beta2 = -0.5}.check(), "Adam.beta2 must be in [0, 1); got -0.5");
  CHECK_THROWS_WITH(Adam{.epsilon = 0}.check(), "Adam.epsilon must be finite and above 0; got 0");
  for (const Adam& adam : {Adam{.rate = nan}, Adam{.beta1 = nan}, Adam{.beta2 = nan}, Adam{.epsilon = nan}, Adam{.epsilon = infinity}})
    CHECK_THROWS_AS(adam.check(), parade::OptionError);
}
