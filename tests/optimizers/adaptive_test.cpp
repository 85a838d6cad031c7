// SPDX-License-Identifier: MIT
// What the documentation of single optimizers says.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "optimizers/all.hpp"
#include "optimizers/run.hpp"
#include "support/catch.hpp"

namespace {

using namespace optimizers;
using namespace parade;

constexpr double eps = std::numeric_limits<double>::epsilon();

/// θ after one step from θ = 1 with gradient g.
template <class Optimizer>
double first_step(const Optimizer& optimizer, double grad) {
  Run<double> run(optimizer, Vector<double>{{1}});
  run.step(optimizer, Vector<double>{{grad}}, 1);
  return run.theta[0] - 1;
}

/// Runs a lasso, min ½(θ − a)² + λ|θ|, which is at sign(a) max(0, |a| − λ), with a soft threshold in the optimizer's metric.
template <class Optimizer>
Vector<double> lasso(const Optimizer& optimizer, const Vector<double>& a, double lambda, std::int64_t steps) {
  Run<double> run(optimizer, Vector<double>::Zero(a.size()));
  for (std::int64_t t = 1; t <= steps; ++t) {
    run.step(optimizer, run.theta - a, t);
    const Vector<double> sizes = run.step_sizes(optimizer, t);
    for (Index i = 0; i < a.size(); ++i) run.theta[i] = std::copysign(std::fdim(std::abs(run.theta[i]), sizes[i] * lambda), run.theta[i]);
  }
  return run.theta;
}

template <class Optimizer>
void check_lasso(const Optimizer& optimizer, double tolerance, std::int64_t steps = 4000) {
  const double lambda = 0.5;
  const Vector<double> a{{2, -2, 0.4, -0.4, 0.6, 0}};
  const Vector<double> theta = lasso(optimizer, a, lambda, steps);
  for (Index i = 0; i < a.size(); ++i) {
    INFO("element " << i);
    if (std::abs(a[i]) < lambda)
      CHECK(theta[i] == 0);
    else
      CHECK(std::abs(theta[i] - std::copysign(std::abs(a[i]) - lambda, a[i])) <= tolerance);
  }
}

/// FTRL-Proximal as algorithm 1 of the paper has it, for one element and a θ that starts at 0.
struct PaperOfFtrl {
  FtrlProximal settings;
  double z = 0, n = 0;
  double step(double theta, double g) {
    const double sigma = (std::sqrt(n + g * g) - std::sqrt(n)) / settings.rate;
    z += g - sigma * theta;
    n += g * g;
    if (std::abs(z) <= settings.l1) return 0;
    return -(z - std::copysign(settings.l1, z)) / ((settings.beta + std::sqrt(n)) / settings.rate + settings.l2);
  }
};

}  // namespace

TEST_CASE("the first step of each method has its documented size", "[optimizers]") {
  for (const double g : {1e-3, -1.0, 1e6}) {
    const double sign = std::copysign(1.0, g), size = std::abs(g);
    INFO("gradient " << g);
    const auto near = [&](double actual, double expected) { CHECK(std::abs(actual - expected) <= 8 * eps * (1 + std::abs(expected))); };
    near(first_step(Adagrad{.rate = 0.1}, g), -0.1 * g / (size + 1e-10));
    near(first_step(Adagrad{.rate = 0.1, .initial_accumulator = 9}, g), -0.1 * g / (std::sqrt(9 + g * g) + 1e-10));
    near(first_step(RmsProp{.rate = 0.01}, g), -0.01 * g / (std::sqrt((1 - 0.99) * g * g) + 1e-8));
    near(first_step(RmsProp{.rate = 0.01, .centered = true}, g), -0.01 * g / (std::sqrt(0.01 * 0.99 * g * g) + 1e-8));
    near(first_step(AmsGrad{.rate = 0.1}, g), -0.1 * g / (size + 1e-8));
    near(first_step(Adamax{.rate = 0.1}, g), -0.1 * g / (size + 1e-8));
    near(first_step(RAdam{.rate = 1e-6}, g), -1e-6 * g);
    near(first_step(Adadelta{}, g), -std::sqrt(1e-6) / std::sqrt(0.1 * g * g + 1e-6) * g);
    near(first_step(AdamW{.rate = 0.1, .weight_decay = 0.5}, g), -0.05 - 0.1 * g / (size + 1e-8));
    CHECK(1 + first_step(Lion{.rate = 0.125}, g) == 1 - 0.125 * sign);
    CHECK(1 + first_step(Lion{.rate = 0.125, .weight_decay = 0.5}, g) == 1 - 0.0625 - 0.125 * sign);
  }
}

TEST_CASE("Adagrad decays its rate and counts what it starts with once", "[adagrad]") {
  const Adagrad adagrad{.rate = 0.5, .rate_decay = 1, .initial_accumulator = 4};
  Run<double> run(adagrad, Vector<double>{{0}});
  double sum = 4, theta = 0;
  for (std::int64_t t = 1; t <= 5; ++t) {
    run.step(adagrad, Vector<double>{{2}}, t);
    sum += 4;
    theta -= 0.5 / static_cast<double>(t) * 2 / (std::sqrt(sum) + 1e-10);
    CHECK(run.states(0, 0) == sum);
    CHECK(std::abs(run.theta[0] - theta) <= 10 * eps);
  }
}

TEST_CASE("θ moves by step size times gradient where there is no momentum", "[optimizers]") {
  const auto check = [](const auto& optimizer) {
    Run<double> run(optimizer, random_vector<double>(33, 3));
    for (std::int64_t t = 1; t <= 5; ++t) {
      const Vector<double> before = run.theta, grad = gradient<double>(33, t);
      run.step(optimizer, grad, t);
      const Vector<double> moved = before - run.theta, expected = run.step_sizes(optimizer, t).cwiseProduct(grad);
      CHECK((moved - expected).cwiseAbs().maxCoeff() <= 20 * eps);
    }
  };
  check(Adagrad{.rate = 0.1, .rate_decay = 0.1, .initial_accumulator = 0.5});
  check(RmsProp{});
  check(RmsProp{.centered = true});
  check(Adamax{.beta1 = 0});
  check(AmsGrad{.beta1 = 0});
  check(AdamW{.beta1 = 0, .weight_decay = 0});
  check(NAdam{.beta1 = 0});
  check(RAdam{.beta1 = 0, .beta2 = 0.9});  // from step 6 on with its metric
}

TEST_CASE("the step sizes of RAdam are α while it is not rectified", "[radam]") {
  const RAdam radam{.rate = 0.25};
  Run<double> run(radam, random_vector<double>(9, 3));
  for (std::int64_t t = 1; t <= 7; ++t) {
    run.step(radam, gradient<double>(9, t), t);
    CHECK((run.step_sizes(radam, t).array() == 0.25).all() == (t <= 5));
  }
}

TEST_CASE("RAdam with a β₂ too small to rectify stays momentum", "[radam]") {
  const RAdam radam{.rate = 0.25, .beta1 = 0, .beta2 = 0.5};
  Run<double> run(radam, Vector<double>{{0}});
  for (std::int64_t t = 1; t <= 50; ++t) run.step(radam, Vector<double>{{-1}}, t);
  CHECK(run.theta[0] == 12.5);
}

TEST_CASE("the step sizes of Adadelta are between √ρ and √2 times those of the step", "[adadelta]") {
  const Adadelta adadelta{};
  Run<double> run(adadelta, random_vector<double>(33, 3));
  for (std::int64_t t = 1; t <= 200; ++t) {
    const Vector<double> before = run.theta, grad = gradient<double>(33, t);
    run.step(adadelta, grad, t);
    const Vector<double> ratio = run.step_sizes(adadelta, t).cwiseProduct(grad).cwiseQuotient(before - run.theta);
    CHECK(ratio.minCoeff() >= std::sqrt(0.9) * (1 - 1e-9));  // θ rounds, a step is some 1e-3 of it
    CHECK(ratio.maxCoeff() <= std::sqrt(2.0) * (1 + 1e-9));
  }
}

TEST_CASE("with their step sizes a soft threshold finds the minimum of a lasso", "[optimizers]") {
  check_lasso(Adagrad{.rate = 0.5}, 1e-9);
  check_lasso(AmsGrad{.rate = 0.01}, 1e-6);
  check_lasso(AdamW{.rate = 0.01, .weight_decay = 0}, 1e-6);
  check_lasso(Adamax{.rate = 0.01}, 1e-6);
  check_lasso(NAdam{.rate = 0.01}, 1e-6);
  check_lasso(RAdam{.rate = 0.01}, 1e-6);
  check_lasso(RmsProp{.rate = 0.01}, 1e-6);
  check_lasso(RmsProp{.rate = 0.01, .momentum = 0.5}, 1e-6);
  check_lasso(Sgd{.rate = 0.1}, 1e-9);
  check_lasso(Sgd{.rate = 0.1, .momentum = 0.9}, 1e-9);
  check_lasso(Sgd{.rate = 0.1, .momentum = 0.9, .dampening = 0.5}, 1e-9);
  check_lasso(Sgd{.rate = 0.1, .momentum = 0.9, .nesterov = true}, 1e-9);
}

TEST_CASE("the step sizes of SGD are the steps that it takes under a gradient that never changes", "[sgd]") {
  for (const Sgd& sgd : {Sgd{.rate = 0.1}, Sgd{.rate = 0.1, .momentum = 0.9}, Sgd{.rate = 0.1, .momentum = 0.9, .dampening = 0.3},
                         Sgd{.rate = 0.1, .momentum = 0.9, .nesterov = true}, Sgd{.rate = 0.1, .momentum = 0.9, .dampening = 1}}) {
    Run<double> run(sgd, Vector<double>{{0}});
    for (std::int64_t t = 1; t <= 100; ++t) {
      const double before = run.theta[0];
      run.step(sgd, Vector<double>{{1}}, t);
      CHECK(std::abs(before - run.theta[0] - run.step_sizes(sgd, t)[0]) <= roundings<double>(100, 1));
    }
  }
}

TEST_CASE("AMSGrad never forgets its largest v", "[amsgrad]") {
  const AmsGrad amsgrad{.rate = 0.1, .beta2 = 0.5};
  Run<double> run(amsgrad, Vector<double>{{0}});
  run.step(amsgrad, Vector<double>{{100}}, 1);
  for (std::int64_t t = 2; t <= 100; ++t) run.step(amsgrad, Vector<double>{{1}}, t);
  CHECK(run.states(0, 1) < 1.1);
  CHECK(run.states(0, 2) == 5000);
}

TEST_CASE("the decay of AdamW does not depend on the gradient's size", "[adamw]") {
  const AdamW decayed{.rate = 0.01, .weight_decay = 0.5}, plain{.rate = 0.01, .weight_decay = 0};
  Run<double> with(decayed, Vector<double>{{1, 1, 1}}), without(plain, Vector<double>{{1, 1, 1}});
  const Vector<double> grad{{1e-6, 1, 1e6}};
  with.step(decayed, grad, 1);
  without.step(plain, grad, 1);
  CHECK((without.theta - with.theta - Vector<double>::Constant(3, 0.005)).cwiseAbs().maxCoeff() <= 2 * eps);
}

TEST_CASE("NAdam's product of momenta ends in nothing, at any step", "[nadam]") {
  const NAdam nadam{.rate = 0.1, .beta1 = 0.9, .momentum_decay = 0};  // μ = 0.45: below 2^−60 from step 53 on
  for (const std::int64_t t : {1, 2, 30, 52, 53, 54, 1000, 100000000}) {
    Run<double> run(nadam, Vector<double>{{0}});
    run.states(0, 0) = 1;  // m
    run.step(nadam, Vector<double>{{2}}, t);
    const double m = 0.9 + 0.2, mu = 0.45, power = std::pow(mu, static_cast<double>(t));
    const double metric = std::sqrt(0.001 * 4 / (1 - std::pow(0.999, static_cast<double>(t)))) + 1e-8;
    const double expected = -0.1 * ((1 - mu) / (1 - power) * 2 + mu / (1 - power * mu) * m) / metric;
    CHECK(std::abs(run.theta[0] - expected) <= 1e-12 * std::abs(expected));
  }
}

TEST_CASE("a centered RMSprop survives a gradient that never changes", "[rmsprop]") {
  const RmsProp rmsprop{.rate = 1e-12, .smoothing = 0.5, .centered = true};
  const Vector<double> grad = random_vector<double>(200, 8);
  Run<double> run(rmsprop, Vector<double>::Zero(200));
  for (std::int64_t t = 1; t <= 500; ++t) run.step(rmsprop, grad, t);  // v − a² is rounding, on either side of 0
  const Vector<double> v = run.state(0), a = run.state(1);
  Index below = 0;
  for (Index i = 0; i < 200; ++i) below += std::fma(-a[i], a[i], v[i]) < 0 ? 1 : 0;
  CHECK(below > 0);
  CHECK(run.theta.allFinite());
  CHECK(run.step_sizes(rmsprop, 500).allFinite());
}

TEST_CASE("Lion steps by α whatever the gradient, and stands still at a mean of 0", "[lion]") {
  const Lion lion{.rate = 0.125, .beta1 = 0.5, .beta2 = 0.5};
  Run<double> run(lion, Vector<double>{{0, 0, 0}});
  run.step(lion, Vector<double>{{1e-300, -1e300, 0}}, 1);
  CHECK(run.theta == Vector<double>{{-0.125, 0.125, 0}});
  CHECK(run.state(0) == Vector<double>{{5e-301, -5e299, 0}});
  run.states(0, 0) = 1;
  run.step(lion, Vector<double>{{-1, 0, 0}}, 2);
  CHECK(run.theta[0] == -0.125);  // ½ m + ½ g = 0
}

TEST_CASE("FTRL-Proximal takes the steps of its paper", "[ftrl]") {
  for (const FtrlProximal& ftrl : {FtrlProximal{}, FtrlProximal{.rate = 0.5, .beta = 0.1, .l1 = 0.8, .l2 = 0.3}}) {
    Run<double> run(ftrl, Vector<double>::Zero(7));
    std::vector<PaperOfFtrl> paper(7, PaperOfFtrl{ftrl});
    for (std::int64_t t = 1; t <= 60; ++t) {
      const Vector<double> before = run.theta, grad = gradient<double>(7, t);
      run.step(ftrl, grad, t);
      for (Index i = 0; i < 7; ++i) {
        const double expected = paper[static_cast<std::size_t>(i)].step(before[i], grad[i]);
        CHECK(std::abs(run.theta[i] - expected) <= 1e-13);
        CHECK((run.theta[i] == 0) == (expected == 0));
      }
    }
  }
}

TEST_CASE("FTRL-Proximal starts from the θ that there is", "[ftrl]") {
  const FtrlProximal ftrl{.rate = 0.5, .beta = 0.1, .l1 = 0.8, .l2 = 0.3};
  const Vector<double> start{{2, -1e-3, 0, 1e-300}};
  Run<double> run(ftrl, start);
  run.step(ftrl, Vector<double>::Zero(4), 1);
  CHECK((run.theta - start).cwiseAbs().maxCoeff() <= 4 * eps * 2);
  CHECK(run.theta[2] == 0);
  CHECK(run.state(1) == Vector<double>::Zero(4));
}

TEST_CASE("a schedule does not move what FTRL-Proximal has learned", "[ftrl]") {
  const FtrlProximal ftrl{.rate = 0.5, .l1 = 0.1};
  Run<double> run(ftrl, Vector<double>::Zero(5));
  for (std::int64_t t = 1; t <= 10; ++t) run.step(ftrl, gradient<double>(5, t), t);
  const Vector<double> before = run.theta;
  ftrl.step<double>(run.theta, Vector<double>::Zero(5), run.slice(0, 5), {.rate = 0.005, .step = 11});
  CHECK((run.theta - before).cwiseAbs().maxCoeff() <= 8 * eps);
}

TEST_CASE("FTRL-Proximal keeps rare and weak features at exactly 0", "[ftrl]") {
  const FtrlProximal ftrl{.rate = 0.1, .l1 = 1};
  Run<double> run(ftrl, Vector<double>::Zero(2));
  for (std::int64_t t = 1; t <= 500; ++t) {
    const double noise = t % 2 == 0 ? 0.3 : -0.3;
    run.step(ftrl, Vector<double>{{run.theta[0] - 1 + noise, noise}}, t);
    CHECK(run.theta[1] == 0);
  }
  CHECK(run.theta[0] > 0.7);
}

TEST_CASE("the optimizers refuse settings out of their range", "[optimizers]") {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  for_each_optimizer([&](auto optimizer, const char* name) {
    INFO(name);
    CHECK_NOTHROW(optimizer.check());
    const auto refuses = [&](auto member, std::initializer_list<double> values) {
      for (const double value : values) {
        auto wrong = optimizer;
        member(wrong) = value;
        CHECK_THROWS_AS(wrong.check(), OptionError);
      }
    };
    refuses([](auto& o) -> double& { return o.rate; }, {-1, nan, infinity});
    if constexpr (requires { optimizer.beta1; }) refuses([](auto& o) -> double& { return o.beta1; }, {-0.1, 1, nan});
    if constexpr (requires { optimizer.beta2; }) refuses([](auto& o) -> double& { return o.beta2; }, {-0.1, 1, nan});
    if constexpr (requires { optimizer.epsilon; }) refuses([](auto& o) -> double& { return o.epsilon; }, {0, -1, nan, infinity});
    if constexpr (requires { optimizer.weight_decay; }) refuses([](auto& o) -> double& { return o.weight_decay; }, {-1, nan, infinity});
    if constexpr (requires { optimizer.momentum_decay; }) refuses([](auto& o) -> double& { return o.momentum_decay; }, {-1, nan});
    if constexpr (requires { optimizer.rate_decay; }) refuses([](auto& o) -> double& { return o.rate_decay; }, {-1, nan});
    if constexpr (requires { optimizer.initial_accumulator; }) refuses([](auto& o) -> double& { return o.initial_accumulator; }, {-1, nan});
    if constexpr (requires { optimizer.rho; }) refuses([](auto& o) -> double& { return o.rho; }, {-1, 1, nan});
    if constexpr (requires { optimizer.smoothing; }) refuses([](auto& o) -> double& { return o.smoothing; }, {-1, 1, nan});
    if constexpr (requires { optimizer.l1; }) refuses([](auto& o) -> double& { return o.l1; }, {-1, nan});
    if constexpr (requires { optimizer.l2; }) refuses([](auto& o) -> double& { return o.l2; }, {-1, nan});
    if constexpr (requires { optimizer.beta; }) refuses([](auto& o) -> double& { return o.beta; }, {0, nan});
  });
  CHECK_THROWS_WITH(AdamW{.weight_decay = -1}.check(), "AdamW.weight_decay must be finite and at least 0; got -1");
  CHECK_THROWS_WITH(Adagrad{.rate_decay = -1}.check(), "Adagrad.rate_decay must be finite and at least 0; got -1");
  CHECK_THROWS_WITH(Adadelta{.rho = 1}.check(), "Adadelta.rho must be in [0, 1); got 1");
  CHECK_THROWS_WITH(FtrlProximal{.beta = 0}.check(), "FtrlProximal.beta must be finite and above 0; got 0");
  CHECK_THROWS_WITH((RmsProp{.smoothing = 0, .centered = true}.check()), "RmsProp.centered needs smoothing above 0; got 0");
  CHECK_NOTHROW(RmsProp{.smoothing = 0}.check());
}
