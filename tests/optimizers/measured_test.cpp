// SPDX-License-Identifier: MIT
// Optimizers that scale their step by norms, stepped as the engine steps them: measure, the norms, factor, step.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include <parade/core/hash.hpp>
#include <parade/core/parameters.hpp>
#include <parade/optimizers/adam.hpp>
#include <parade/optimizers/clip_norm.hpp>
#include <parade/optimizers/clip_value.hpp>
#include <parade/optimizers/ema.hpp>
#include <parade/optimizers/lamb.hpp>
#include <parade/optimizers/lars.hpp>
#include <parade/optimizers/sgd.hpp>

#include "optimizers/run.hpp"
#include "support/catch.hpp"

namespace {

using namespace optimizers;
using namespace parade;

static_assert(MeasuredOptimizer<Lars, float> && MeasuredOptimizer<Lamb, float> && MeasuredOptimizer<ClipNorm<Adam>, float>);
static_assert(MeasuredOptimizer<Ema<Lars>, double> && MeasuredOptimizer<ClipValue<Lamb>, double> &&
              MeasuredOptimizer<ClipNorm<Ema<Adam>>, double>);
static_assert(!MeasuredOptimizer<Ema<Adam>, float> && !MeasuredOptimizer<ClipValue<Adam>, float>);
static_assert(!HasStep<ClipNorm<Adam>, float> && !HasStep<Ema<Lars>, float>);  // one kind or the other

/// A user's optimizer without a rule.
struct Simple {
  double rate = 0.25;
  Index num_states() const { return 0; }
  template <class S>
  void step(VectorRef<S> theta, const ConstVectorRef<S>& grad, const StateRef<S>&, const StepInfo& at) const {
    theta -= static_cast<S>(at.rate) * grad;
  }
};
static_assert(MeasuredOptimizer<ClipNorm<Simple>, double>);

/// θ of two parameters, a weight (5,4) and a bias (3), with the optimizer's state.
template <class S>
struct Network {
  static constexpr Index weights = 20, biases = 3, size = weights + biases;
  Run<S> run;
  Norms all{};
  std::vector<double> factors{};

  template <class Optimizer>
  explicit Network(const Optimizer& optimizer) : run(optimizer, random_vector<S>(size, 1)) {}

  /// Each parameter in two pieces, cut behind its first `cut` elements.
  template <class Optimizer>
  void step(const Optimizer& optimizer, Vector<S> grad, std::int64_t t, Index cut = 0) {
    const ParameterBlock blocks[] = {{"weight", 5, 4, Role::weight, 0}, {"bias", 3, 1, Role::bias, weights}};
    const StepInfo at{.rate = optimizer.rate, .step = t};
    const auto own = [&](const ParameterBlock& block) {
      if constexpr (requires { optimizer.for_parameter(block); })
        return optimizer.for_parameter(block);
      else
        return optimizer;
    };
    const auto pieces = [&](const ParameterBlock& block, auto&& body) {
      const Index first = std::min(cut, block.size());
      for (const auto& [begin, count] : {std::pair{block.offset, first}, std::pair{block.offset + first, block.size() - first}})
        body(VectorRef<S>(grad.segment(begin, count)), VectorRef<S>(run.theta.segment(begin, count)), run.slice(begin, count));
    };
    const auto norm = [](const auto& v) { return v.template cast<double>().norm(); };
    for (const auto& block : blocks)
      pieces(block, [&](VectorRef<S> g, VectorRef<S> theta, const StateRef<S>& state) {
        own(block).measure(g, ConstVectorRef<S>(theta), state, at);
      });
    all = {norm(run.theta), norm(grad)};
    factors.clear();
    for (const auto& block : blocks) {
      const Norms norms{norm(run.theta.segment(block.offset, block.size())), norm(grad.segment(block.offset, block.size()))};
      factors.push_back(own(block).factor(norms, all, block, at));
    }
    for (std::size_t p = 0; p < 2; ++p)
      pieces(blocks[p], [&](VectorRef<S> g, VectorRef<S> theta, const StateRef<S>& state) {
        own(blocks[p]).step(theta, ConstVectorRef<S>(g), state, at, factors[p]);
      });
  }
};

const ParameterBlock weight{"weight", 5, 4}, bias{"bias", 5, 1, Role::bias};

}  // namespace

TEMPLATE_TEST_CASE("optimizers by norms give the same bits however a parameter is cut into slices", "[measured]", float, double) {
  using S = TestType;
  const auto check = [](const auto& optimizer) {
    REQUIRE_NOTHROW(optimizer.check());
    for (Index cut = 0; cut <= 20; ++cut) {
      Network<S> whole(optimizer), pieces(optimizer);
      for (std::int64_t t = 1; t <= 3; ++t) {
        whole.step(optimizer, gradient<S>(23, t), t);
        pieces.step(optimizer, gradient<S>(23, t), t, cut);
      }
      CHECK(same_bits(whole.run.theta, pieces.run.theta));
      CHECK(same_bits(whole.run.states, pieces.run.states));
    }
  };
  check(Lars{.momentum = 0});
  check(Lars{.weight_decay = 0.1});
  check(Lamb{});
  check(ClipNorm{Adam{}, 0.5});
  check(ClipNorm{Simple{}, 0.5});
  check(Ema{Lamb{}, 0.9});
  check(ClipValue{Lars{}, 0.5});
}

TEST_CASE("LARS takes its documented steps", "[lars]") {
  const Lars lars{.rate = 2, .momentum = 0.9, .weight_decay = 0.1, .trust = 0.01};
  Network<double> network(lars);
  Vector<double> theta = network.run.theta, v = Vector<double>::Zero(23);
  for (std::int64_t t = 1; t <= 10; ++t) {
    const Vector<double> g = gradient<double>(23, t);
    network.step(lars, g, t);
    const double norm = theta.head(20).norm(), f = 0.01 * norm / (g.head(20).norm() + 0.1 * norm);
    v.head(20) = 0.9 * v.head(20) + f * (g.head(20) + 0.1 * theta.head(20));
    v.tail(3) = 0.9 * v.tail(3) + g.tail(3);  // a bias: momentum alone
    theta -= 2 * v;
    CHECK((network.run.theta - theta).cwiseAbs().maxCoeff() <= 1e-12);
    CHECK((network.run.state(0) - v).cwiseAbs().maxCoeff() <= 1e-12);
  }
}

TEST_CASE("LAMB takes its documented steps", "[lamb]") {
  const Lamb lamb{.rate = 0.1, .weight_decay = 0.2};
  Network<double> network(lamb);
  Vector<double> theta = network.run.theta, m = Vector<double>::Zero(23), v = m;
  for (std::int64_t t = 1; t <= 10; ++t) {
    const Vector<double> g = gradient<double>(23, t);
    network.step(lamb, g, t);
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g.cwiseAbs2();
    const double c1 = 1 - std::pow(0.9, static_cast<double>(t)), c2 = 1 - std::pow(0.999, static_cast<double>(t));
    Vector<double> r = (m / c1).array() / ((v / c2).array().sqrt() + 1e-6);
    r.head(20) += 0.2 * theta.head(20);
    const double f = theta.head(20).norm() / r.head(20).norm();
    theta.head(20) -= 0.1 * f * r.head(20);
    theta.tail(3) -= 0.1 * r.tail(3);  // a bias: Adam
    CHECK((network.run.theta - theta).cwiseAbs().maxCoeff() <= 1e-12);
  }
}

TEST_CASE("with biases they are scaled and decay like weights", "[lars][lamb]") {
  const Norms norms{2, 4};
  CHECK(Lars{.trust = 0.5}.factor(norms, {}, weight, {}) == 0.25);
  CHECK(Lars{.trust = 0.5}.factor(norms, {}, bias, {}) == 1);
  CHECK(Lars{.trust = 0.5, .biases = true}.factor(norms, {}, bias, {}) == 0.25);
  CHECK(Lamb{}.factor(norms, {}, weight, {}) == 0.5);
  CHECK(Lamb{}.factor(norms, {}, bias, {}) == 1);
  CHECK(Lamb{.biases = true}.factor(norms, {}, bias, {}) == 0.5);
  CHECK(Lars{.weight_decay = 0.5}.for_parameter(weight).weight_decay == 0.5);
  CHECK(Lars{.weight_decay = 0.5}.for_parameter(bias).weight_decay == 0);
  CHECK(Lamb{.weight_decay = 0.5, .biases = true}.for_parameter(bias).weight_decay == 0.5);
  CHECK(Lamb{.weight_decay = 0.5}.for_parameter(bias).weight_decay == 0);
}

TEST_CASE("a parameter or gradient of norm 0 is stepped without scaling, one that is not finite by NaN", "[lars][lamb]") {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  for (const Norms& norms : {Norms{0, 4}, Norms{2, 0}, Norms{0, 0}}) {
    CHECK(Lars{}.factor(norms, {}, weight, {}) == 1);
    CHECK(Lamb{}.factor(norms, {}, weight, {}) == 1);
  }
  for (const Norms& norms : {Norms{nan, 4}, Norms{2, nan}, Norms{infinity, 4}, Norms{2, infinity}, Norms{0, infinity}})
    for (const auto& block : {weight, bias}) {
      CHECK(std::isnan(Lars{}.factor(norms, {}, block, {})));
      CHECK(std::isnan(Lamb{}.factor(norms, {}, block, {})));
    }
}

TEMPLATE_TEST_CASE("clipping by the norm is a step with a shorter gradient, or the very same step", "[clip]", float, double) {
  using S = TestType;
  const auto check = [](const auto& inner) {
    const ClipNorm clip{inner, 3};
    Network<S> network(clip);
    Run<S> plain(inner, network.run.theta);
    for (std::int64_t t = 1; t <= 6; ++t) {
      const Vector<S> grad = gradient<S>(23, t) * S(t % 2 == 0 ? 0.1 : 1);
      network.step(clip, grad, t);
      const double norm = grad.template cast<double>().norm(), expected = norm > 3 ? 3 / norm : 1;
      CHECK(network.factors == std::vector<double>{expected, expected});
      CHECK((expected == 1) == (t % 2 == 0));
      plain.step(inner, grad * static_cast<S>(expected), t);
      CHECK(same_bits(network.run.theta, plain.theta));
      CHECK(same_bits(network.run.states, plain.states));
    }
  };
  check(Adam{});
  check(Sgd{.rate = 0.1, .momentum = 0.9, .nesterov = true});
  check(Simple{});
}

TEST_CASE("clipping by the norm hides no number that is not finite, and needs no guard against 0", "[clip]") {
  const ClipNorm clip{Sgd{}, 2};
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  CHECK(std::isnan(clip.factor({}, {1, nan}, weight, {})));
  CHECK(std::isnan(clip.factor({}, {1, infinity}, weight, {})));
  CHECK(clip.factor({}, {1, 0}, weight, {}) == 1);
  CHECK(clip.factor({}, {1, 2}, weight, {}) == 1);
  CHECK(clip.factor({}, {1, 8}, weight, {}) == 0.25);
  CHECK(clip.factor({1, 100}, {1, 8}, bias, {}) == 0.25);  // all parameters together, whatever this one's
}

TEST_CASE("an average around an optimizer by norms is that of the θ that entered", "[ema]") {
  const Ema ema{Lars{.rate = 3}, 0.5};
  Network<double> network(ema), plain(Lars{.rate = 3});
  REQUIRE(ema.average_state() == 1);
  Vector<double> sum = Vector<double>::Zero(23);
  double weights = 0;
  for (std::int64_t t = 1; t <= 8; ++t) {
    sum = 0.5 * sum + network.run.theta;
    weights = 0.5 * weights + 1;
    network.step(ema, gradient<double>(23, t), t);
    plain.step(Lars{.rate = 3}, gradient<double>(23, t), t);
    CHECK(same_bits(network.run.theta, plain.run.theta));
    CHECK((network.run.state(1) - sum / weights).cwiseAbs().maxCoeff() <= 1e-14);
  }
}

TEST_CASE("optimizers by norms refuse settings out of their range", "[lars][lamb][clip]") {
  CHECK_NOTHROW(Lars{}.check());
  CHECK_NOTHROW(Lamb{}.check());
  CHECK_THROWS_WITH(Lars{.rate = -1}.check(), "Lars.rate must be finite and at least 0; got -1");
  CHECK_THROWS_WITH(Lars{.trust = 0}.check(), "Lars.trust must be finite and above 0; got 0");
  CHECK_THROWS_WITH(Lars{.momentum = 1}.check(), "Lars.momentum must be in [0, 1); got 1");
  CHECK_THROWS_WITH(Lars{.weight_decay = -1}.check(), "Lars.weight_decay must be finite and at least 0; got -1");
  CHECK_THROWS_WITH(Lamb{.epsilon = 0}.check(), "Lamb.epsilon must be finite and above 0; got 0");
  CHECK_THROWS_WITH(Lamb{.beta2 = 1}.check(), "Lamb.beta2 must be in [0, 1); got 1");
  CHECK_THROWS_WITH((ClipNorm{Sgd{}, -1}.check()), "ClipNorm.limit must be finite and above 0; got -1");
  CHECK_THROWS_WITH((ClipNorm{Adam{.beta1 = 1}, 1}.check()), "Adam.beta1 must be in [0, 1); got 1");
}

TEST_CASE("the bits of optimizers by norms are the same on every machine", "[measured]") {
  const auto hash = [](const auto& optimizer) {  // with factors that no norm's rounding can move
    Run<float> run(optimizer, random_vector<float>(67, 4));
    for (std::int64_t t = 1; t <= 9; ++t) {
      Vector<float> grad = gradient<float>(67, t);
      const StepInfo at{.rate = optimizer.rate, .step = t};
      optimizer.measure(VectorRef<float>(grad), ConstVectorRef<float>(run.theta), run.slice(0, 67), at);
      optimizer.step(VectorRef<float>(run.theta), ConstVectorRef<float>(grad), run.slice(0, 67), at, 0.3);
    }
    return hash_text(theta_hash(run.theta));
  };
  CHECK(hash(Lars{.weight_decay = 0.1}) == "05acc76193e17593");
  CHECK(hash(Lamb{.rate = 0.1}) == "6a53f4ab78eb3def");
  CHECK(hash(ClipNorm{Adam{.rate = 0.1}, 1}) == "e8d51dc16b936042");
}
