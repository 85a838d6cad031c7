// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <parade/core/random.hpp>
#include <parade/engine/lazy_motion.hpp>
#include <parade/optimizers/sgd.hpp>

#include "support/catch.hpp"

namespace lazy_motion_test {

// Steps that were missed, made up for in one go: what taking them one by one gives.

namespace {

using namespace parade;
using detail::Motion, detail::MotionGuard, detail::MotionTable, detail::motion_step, detail::Reach;

struct Element {
  double theta, state;
  void move(const Motion& m) { *this = {m.theta(theta, state), m.state(theta, state)}; }
};

}  // namespace

TEST_CASE("a motion is the optimizer's own step where the gradient is that of L2 alone") {
  const bool nesterov = GENERATE(false, true);
  const Sgd sgd{.rate = 0.1, .momentum = 0.9, .dampening = nesterov ? 0 : 0.3, .nesterov = nesterov};
  Element element{1.5, 0};
  Vector<double> theta{{1.5}}, state{{0}}, grad(1);
  for (std::int64_t t = 1; t < 30; ++t) {
    const StepInfo at{0.1 / static_cast<double>(t), t};
    element.move(motion_step(sgd.linear_step(at), {.l2 = 0.7}).motion);
    grad = 0.7 * theta;
    sgd.step<double>(theta, grad, StateRef<double>{state.data(), 1, 1}, at);
    CHECK(std::abs(element.theta - theta[0]) < 1e-14);
    CHECK(std::abs(element.state - state[0]) < 1e-14);
    Vector<double> sizes(1);
    sgd.step_sizes<double>({state.data(), 1, 1}, at, sizes);
    CHECK(sgd.linear_step(at).step_size == sizes[0]);
  }
}

TEST_CASE("any number of missed steps gives what they give one by one, with rates that change, that stay, and that stay for some steps") {
  const int change_every = GENERATE(1, 50, 100000);
  constexpr int steps = 3000;
  MotionTable table;
  table.reserve(1);
  std::vector<Motion> motions;
  const Random random(5, Purpose::user, 1);
  std::uint64_t at = 0;
  for (int t = 0; t < steps; ++t) {
    const Sgd sgd{.rate = 1, .momentum = 0.9};
    motions.push_back(motion_step(sgd.linear_step({0.5 / (1 + t / change_every), 2}), {.l2 = 0.01}).motion);
    const auto last = static_cast<std::int32_t>(random.below(at++, static_cast<std::uint64_t>(t) + 1));
    for (const std::int32_t since :
         {last, t, std::max(0, t - 63), std::max(0, t - 64), std::max(0, t - 65), std::max(0, t - 1), t / 64 * 64, 0}) {
      Element one{1, -0.7}, go{1, -0.7};
      for (int s = since; s < t; ++s) one.move(motions[static_cast<std::size_t>(s)]);
      go.move(table.since(since));
      CHECK(std::abs(go.theta - one.theta) <= 1e-13);
      CHECK(std::abs(go.state - one.state) <= 1e-13);
    }
    table.add(motions.back());
  }
  CHECK(table.time() == steps);
  while (!table.is_full()) table.add(motions.back());
  CHECK(table.since(1).theta(1, 0) < 1);
  table.clear();
  CHECK(table.time() == 0);
  CHECK(table.since(0) == Motion{});
}

TEST_CASE("steps without regularizer leave theta where v is 0 to the bit, and steps that grow are known") {
  const Sgd sgd{.rate = 0.1, .momentum = 0.9}, nesterov{.rate = 0.1, .momentum = 0.9, .nesterov = true};
  const auto motion = [](const Sgd& of, double l2) { return motion_step(of.linear_step({of.rate, 2}), {.l2 = l2}).motion; };
  MotionTable table;
  table.reserve(1);
  for (int t = 0; t < 100; ++t) table.add(motion(sgd, 0));
  CHECK(table.since(3).theta(0.1, 0) == 0.1);
  CHECK(detail::is_stable(motion(sgd, 0)));
  CHECK(detail::is_stable(motion(nesterov, 0)));
  CHECK(detail::is_stable(motion(sgd, 37.9)));  // below 2 (1 + μ)/α
  CHECK_FALSE(detail::is_stable(motion(sgd, 38.1)));
  CHECK(detail::is_stable(motion(nesterov, 13.5)));  // below 2 (1 + μ)/(α (1 + 2μ))
  CHECK_FALSE(detail::is_stable(motion(nesterov, 13.6)));
  CHECK_FALSE(detail::is_stable({std::numeric_limits<double>::quiet_NaN(), 0, 0, 0}));
}

TEST_CASE("the reach of a table bounds what was stored at any time, and is no more than it by a small factor") {
  const Sgd sgd{.rate = 1, .momentum = 0.9};
  const auto motion = [&](double rate) { return motion_step(sgd.linear_step({rate, 2}), {.l2 = 1}).motion; };
  const int kind = GENERATE(0, 1, 2);  // rates that change at random, that stay, and of which each is small enough, but not two in turn
  MotionTable table;
  table.reserve(1);
  const Random random(7, Purpose::user, 1);
  const Reach stored{2, 0.5};
  CHECK(table.reach(stored).theta == 2);
  CHECK(table.reach(stored).state == 0.5);
  std::vector<Element> elements;
  double largest = 0;
  for (int t = 0; t < 300; ++t) {
    for (const double side : {-1.0, 1.0}) elements.push_back({2, side * 0.5});
    const double rate = kind == 0 ? random.uniform(static_cast<std::uint64_t>(t)) : kind == 1 ? 0.3 : t % 2 == 0 ? 3.7 : 0;
    table.add(motion(rate));
    Reach real{};
    for (Element& element : elements) {
      element.move(motion(rate));
      real = real.with({std::abs(element.theta), std::abs(element.state)});
    }
    const Reach bound = table.reach(stored);
    CHECK(real.theta <= bound.theta * (1 + 1e-12));
    CHECK(real.state <= bound.state * (1 + 1e-12));
    CHECK(bound.theta <= 20 * std::max(real.theta, real.state));
    CHECK(bound.state <= 20 * std::max(real.theta, real.state));
    largest = std::max(largest, real.theta);
  }
  CHECK((largest > 1e30) == (kind == 2));
}

TEST_CASE("a guard lets elements wait as long as none can leave its room, whatever the signs do, and no longer") {
  const Sgd sgd{.rate = 1, .momentum = 0.9};
  const auto motion = [&](double rate) { return motion_step(sgd.linear_step({rate, 2}), {.l2 = 1}).motion; };
  MotionTable table;
  table.reserve(1);
  MotionGuard guard;
  CHECK_FALSE(guard.is_known());
  const auto wait = [&](const Motion& m, double room) {
    const bool may = guard.may_wait(
        1, [&](std::size_t) { return m; }, [&](std::size_t) -> auto& { return table; }, room);
    if (may) {
      guard.add({});
      table.add(m);
    }
    return may;
  };
  guard.set({1, 1});
  CHECK(guard.is_known());
  for (int t = 0; t < 1000; ++t) REQUIRE(wait(motion(1), 100));  // |M| has an eigenvalue of 1.5

  Element element{1, 1};
  table.clear();
  guard.set({1, 1});
  int steps = 0;
  for (; steps < 2000 && wait(motion(steps % 2 == 0 ? 3.7 : 0), 1e30); ++steps) element.move(motion(steps % 2 == 0 ? 3.7 : 0));
  CHECK(std::abs(element.theta) <= 1e30);
  CHECK(std::abs(element.state) <= 1e30);
  CHECK(std::max(std::abs(element.theta), std::abs(element.state)) > 1e27);

  guard.set({1, 1});
  table.clear();
  CHECK(wait(motion(0), 10));
  guard.add({1e5, 0});  // what a step has stored counts too
  CHECK_FALSE(wait(motion(0), 10));
  guard.set({std::numeric_limits<double>::infinity(), 0});
  CHECK_FALSE(wait(motion(0), 1e300));
  guard.forget();
  CHECK_FALSE(guard.is_known());
}

}  // namespace lazy_motion_test
