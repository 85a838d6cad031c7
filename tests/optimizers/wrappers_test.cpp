// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <parade/optimizers/adam.hpp>
#include <parade/optimizers/adamw.hpp>
#include <parade/optimizers/clip_value.hpp>
#include <parade/optimizers/ema.hpp>
#include <parade/optimizers/polyak_average.hpp>
#include <parade/optimizers/sgd.hpp>

#include "optimizers/run.hpp"
#include "support/catch.hpp"

namespace {

using namespace optimizers;
using parade::Adam, parade::AdamW, parade::ClipValue, parade::ConstVectorRef, parade::Ema, parade::PolyakAverage, parade::Sgd,
    parade::VectorRef;

/// A user's optimizer: no rule, no check, and a rate in float.
struct Simple {
  float rate = 0.25f;
  static constexpr int num_states() { return 1; }
  template <class S>
  void step(VectorRef<S> theta, const ConstVectorRef<S>& grad, const StateRef<S>& state, const StepInfo& at) const {
    state[0] += grad;
    theta -= static_cast<S>(at.rate) * state[0];
  }
};

// --- deduction, and what is passed on ---------------------------------------------------------------------------------------------------

static_assert(std::is_same_v<decltype(Ema{Sgd{.rate = 0.1}, 0.999}), Ema<Sgd>>);
static_assert(std::is_same_v<decltype(Ema{ClipValue{Adam{}, 1}}), Ema<ClipValue<Adam>>>);
static_assert(std::is_same_v<decltype(PolyakAverage{Adam{}, 100, 10}), PolyakAverage<Adam>>);
static_assert(parade::Optimizer<Ema<Simple>, float> && parade::Optimizer<ClipValue<Simple>, double>);
static_assert(parade::HasStepSizes<Ema<ClipValue<Adam>>, float> && !parade::HasStepSizes<Ema<Simple>, float>);
template <class O>
concept AsksParameters = requires(const O optimizer, const parade::ParameterBlock& block) {
  { optimizer.for_parameter(block) } -> std::same_as<O>;
};
static_assert(AsksParameters<Ema<ClipValue<AdamW>>> && !AsksParameters<Ema<Adam>>);

template <class S, class Wrapped, class Plain>
void check_same_theta(const Wrapped& wrapped, const Plain& plain) {
  Run<S> with(wrapped, random_vector<S>(67, 1)), without(plain, random_vector<S>(67, 1));
  for (std::int64_t t = 1; t <= 9; ++t) {
    with.step(wrapped, gradient<S>(67, t), t, 30);
    without.step(plain, gradient<S>(67, t), t);
    CHECK(same_bits(with.theta, without.theta));
    CHECK(same_bits(with.states.leftCols(plain.num_states()), without.states));
  }
}

}  // namespace

TEMPLATE_TEST_CASE("averages leave θ and the state of their optimizer as they are, to the bit", "[ema]", float, double) {
  const Sgd sgd{.rate = 0.1, .momentum = 0.9};
  check_same_theta<TestType>(Ema{sgd, 0.9}, sgd);
  check_same_theta<TestType>(Ema{Adam{}, 0.9}, Adam{});
  check_same_theta<TestType>(PolyakAverage{sgd, 3, 2}, sgd);
  check_same_theta<TestType>(Ema{Simple{}, 0.9}, Simple{});
  check_same_theta<TestType>(PolyakAverage{Simple{}, 3, 2}, Simple{});
}

TEMPLATE_TEST_CASE("an exponential average is the weighted mean of the θ that entered the steps", "[ema]", float, double) {
  using S = TestType;
  for (const double decay : {0.0, 0.5, 0.999}) {
    const Ema ema{Adam{.rate = 0.1}, decay};
    REQUIRE(ema.average_state() == 2);
    Run<S> run(ema, random_vector<S>(19, 1));
    Vector<double> sum = Vector<double>::Zero(19);
    double weights = 0;
    for (std::int64_t t = 1; t <= 30; ++t) {
      sum = decay * sum + run.theta.template cast<double>();
      weights = decay * weights + 1;
      if (t == 1) {
        const Vector<S> start = run.theta;
        run.step(ema, gradient<S>(19, t), t);
        CHECK(same_bits(run.state(2), start));
      } else {
        run.step(ema, gradient<S>(19, t), t);
      }
      CHECK((run.state(2).template cast<double>() - sum / weights).cwiseAbs().maxCoeff() <= roundings<S>(30, 4));
    }
  }
}

TEMPLATE_TEST_CASE("the average of a θ that stays is that θ to the bit", "[ema]", float, double) {
  using S = TestType;
  const auto check = [](const auto& average) {
    Run<S> run(average, random_vector<S>(19, 2));
    for (std::int64_t t = 1; t <= 40; ++t) run.step(average, Vector<S>::Zero(19), t);
    CHECK(same_bits(run.state(average.average_state()), run.theta));
  };
  check(Ema{Sgd{}, 0.9});
  check(PolyakAverage{Sgd{}, 2, 3});
}

TEMPLATE_TEST_CASE("a Polyak average is the mean of every so manieth θ from its start on, and θ before", "[polyak]", float, double) {
  using S = TestType;
  const PolyakAverage average{Sgd{.rate = 0.1}, 4, 3};  // θ₄, θ₇, θ₁₀, …
  Run<S> run(average, random_vector<S>(19, 3));
  Vector<double> sum = Vector<double>::Zero(19);
  double count = 0;
  for (std::int64_t t = 1; t <= 20; ++t) {
    const Vector<S> entering = run.theta;  // θ of t − 1 updates
    const std::int64_t updates = t - 1;
    if (updates >= 4 && (updates - 4) % 3 == 0) {
      sum += entering.template cast<double>();
      ++count;
    }
    const Vector<S> before = run.state(0);
    run.step(average, gradient<S>(19, t), t);
    if (updates <= 4)
      CHECK(same_bits(run.state(0), entering));
    else
      CHECK((run.state(0).template cast<double>() - sum / count).cwiseAbs().maxCoeff() <= roundings<S>(20, 4));
    if (updates > 4 && (updates - 4) % 3 != 0) CHECK(same_bits(run.state(0), before));
  }
}

TEST_CASE("an average starts anew with a new run, whatever lies in its vector", "[ema]") {
  const Ema ema{Sgd{.rate = 0.1}, 0.9};
  Run<double> run(ema, Vector<double>{{1, 2}});
  run.states.setConstant(1e300);
  run.step(ema, Vector<double>{{1, 1}}, 1);
  CHECK(run.state(0) == Vector<double>{{1, 2}});
}

TEMPLATE_TEST_CASE("clipping by value is a step with the clipped gradient, in pieces too", "[clip]", float, double) {
  using S = TestType;
  const auto check = [](const auto& inner) {
    const ClipValue clip{inner, 0.5};
    Run<S> clipped(clip, random_vector<S>(1600, 1)), plain(inner, random_vector<S>(1600, 1));  // more than a piece
    for (std::int64_t t = 1; t <= 3; ++t) {
      const Vector<S> grad = gradient<S>(1600, t);
      clipped.step(clip, grad, t, 37);
      plain.step(inner, grad.cwiseMin(S(0.5)).cwiseMax(S(-0.5)), t);
      CHECK(same_bits(clipped.theta, plain.theta));
      CHECK(same_bits(clipped.states, plain.states));
    }
  };
  check(Adam{});
  check(Sgd{.rate = 0.1});
  check(Simple{});
}

TEMPLATE_TEST_CASE("clipping keeps NaN and cuts infinity", "[clip]", float, double) {
  using S = TestType;
  const S nan = std::numeric_limits<S>::quiet_NaN(), infinity = std::numeric_limits<S>::infinity();
  const auto check = [&](const auto& clip) {
    Run<S> run(clip, Vector<S>::Zero(4));
    run.step(clip, Vector<S>{{nan, infinity, -infinity, S(0.25)}}, 1);
    CHECK(std::isnan(run.theta[0]));
    CHECK(run.theta.tail(3) == Vector<S>{{S(-0.5), S(0.5), S(-0.25)}});
  };
  check(ClipValue{Sgd{.rate = 1}, 0.5});
  Simple simple;
  simple.rate = 1;
  check(ClipValue{simple, 0.5});
}

TEST_CASE("a wrapper asks its optimizer about a parameter", "[ema]") {
  const Ema ema{ClipValue{AdamW{.weight_decay = 0.5}, 1}, 0.9};
  const parade::ParameterBlock weight{"w", 2, 3}, bias{"b", 2, 1, parade::Role::bias};
  CHECK(ema.for_parameter(weight).optimizer.optimizer.weight_decay == 0.5);
  const auto of_bias = ema.for_parameter(bias);
  CHECK(of_bias.optimizer.optimizer.weight_decay == 0);
  CHECK(of_bias.decay == 0.9);
  CHECK(of_bias.optimizer.limit == 1);
  CHECK(of_bias.num_states() == ema.num_states());
  CHECK(AdamW{.weight_decay = 0.5, .biases = true}.for_parameter(bias).weight_decay == 0.5);
}

TEST_CASE("a wrapper has the step sizes of its optimizer", "[ema]") {
  const Ema ema{ClipValue{Adam{}, 1}, 0.9};
  const ClipValue clip{Adam{}, 1};
  Run<double> run(ema, random_vector<double>(9, 1)), plain(clip, random_vector<double>(9, 1));
  run.step(ema, gradient<double>(9, 1), 1);
  plain.step(clip, gradient<double>(9, 1), 1);
  CHECK(same_bits(run.step_sizes(ema, 1), plain.step_sizes(clip, 1)));
  CHECK(ClipValue{Ema{Adam{}}, 1}.average_state() == 2);
}

TEST_CASE("wrappers refuse settings out of their range, and what their optimizer refuses", "[clip][ema]") {
  CHECK_NOTHROW(Ema{Simple{}}.check());
  CHECK_THROWS_WITH((Ema{Sgd{}, 1}.check()), "Ema.decay must be in [0, 1); got 1");
  CHECK_THROWS_WITH((ClipValue{Sgd{}, 0}.check()), "ClipValue.limit must be finite and above 0; got 0");
  CHECK_THROWS_WITH((PolyakAverage{Sgd{}, -1}.check()), "PolyakAverage.start must be at least 0; got -1");
  CHECK_THROWS_WITH((PolyakAverage{Sgd{}, 0, 0}.check()), "PolyakAverage.every must be at least 1; got 0");
  CHECK_THROWS_WITH((Ema{ClipValue{Sgd{.momentum = 1}, 1}}.check()), "Sgd.momentum must be in [0, 1); got 1");
  Ema ema{Sgd{.rate = 0.5}};
  ema.rate = 0.25;
  CHECK_THROWS_WITH(ema.check(), "Ema.rate must be that of its optimizer, 0.5; got 0.25");
  for (const double nan : {std::nan("")}) {
    CHECK_THROWS_AS((Ema{Sgd{}, nan}.check()), parade::OptionError);
    CHECK_THROWS_AS((ClipValue{Sgd{}, nan}.check()), parade::OptionError);
  }
}
