// SPDX-License-Identifier: MIT
#include <cstdint>
#include <random>
#include <utility>

#include <parade/engine/team_size.hpp>

#include "support/catch.hpp"

namespace team_size_test {

namespace {

using parade::Index, parade::detail::TeamSize;

/// Steps of `step` seconds alone; `step_of_team(generator)` with the team.
struct Machine {
  double step = 0.3e-3;
  std::mt19937 generator{1};
  double clock = 0;
  bool alone = false;
  std::uint64_t overtaken = 0;
  int threads = 2;
  double first_step = 1;  // how much longer the step after a switch takes
  double warm_up = 0;     // seconds after a switch in which all steps take a third longer
  bool was_alone = false;
  double switched = 0;
  TeamSize size{};

  /// The share of the time until `seconds` later in which the calling thread worked alone.
  template <class StepOfTeam>
  double share_alone(double seconds, StepOfTeam&& step_of_team, std::uint64_t overtaken_a_step = 0) {
    const double end = clock + seconds, begin = clock;
    double time_alone = 0;
    while (clock < end) {
      const bool stayed = std::exchange(was_alone, alone) == alone;
      if (!stayed) switched = clock;
      const double last = (alone ? step : step_of_team(generator)) * (stayed ? 1 : first_step) * (clock < switched + warm_up ? 4.0 / 3 : 1);
      clock += last;
      if (alone) time_alone += last;
      if (!alone) overtaken += overtaken_a_step;
      alone = size.alone(last, 100, overtaken, threads);
    }
    return time_alone / (clock - begin);
  }
};

/// A step of half the time, or where the team shares a core and is put aside one of a slice more.
auto shared_core(double step, double share_put_aside) {
  return [=](std::mt19937& generator) { return step / 2 + (std::bernoulli_distribution(share_put_aside)(generator) ? 3e-3 : 0); };
}

}  // namespace

TEST_CASE("where the team is faster it is nearly always used") {
  for (const double step : {20e-6, 0.3e-3, 1.9e-3}) {
    CAPTURE(step);
    Machine machine{step};
    CHECK(machine.share_alone(2, [=](auto&) { return step / 1.8; }) < 0.03);
    CHECK(machine.share_alone(8, [=](auto&) { return step / 1.8; }) < 0.01);
  }
  Machine slow{30e-3};  // a step that long can neither be too short nor be held up by much
  CHECK(slow.share_alone(30, [](auto&) { return 16e-3; }) == 0);
}

TEST_CASE("many threads that are much faster than one are not kept waiting for trials") {
  for (const int threads : {4, 8, 32, 64})
    for (const double step_of_team : {20e-6, 0.3e-3, 1.9e-3})
      for (const double seconds : {0.1, 1.0, 30.0}) {
        CAPTURE(threads, step_of_team, seconds);
        Machine machine{step_of_team * threads};
        machine.threads = threads;
        CHECK(machine.share_alone(seconds, [=](auto&) { return step_of_team; }) < 0.03);
      }
}

TEST_CASE("where the team is slower than one thread it is hardly used") {
  Machine tiny{10e-6};
  CHECK(tiny.share_alone(1, [](auto&) { return 14e-6; }) > 0.9);
  CHECK(tiny.share_alone(5, [](auto&) { return 14e-6; }) > 0.98);
  for (const unsigned seed : {1u, 2u, 3u, 4u, 5u}) {
    CAPTURE(seed);
    Machine shared{0.3e-3, std::mt19937{seed}};
    CHECK(shared.share_alone(2, shared_core(0.3e-3, 0.1)) > 0.7);  // a step with the team takes 0.45 ms in the mean
    CHECK(shared.share_alone(5, shared_core(0.3e-3, 0.1)) > 0.85);
  }
}

TEST_CASE("a first step that is slow, as the caches of one core take over what those of others hold, decides nothing") {
  Machine apart{0.13e-3};  // cores that share no cache, of which two are a little slower than one
  apart.first_step = 2.5;
  CHECK(apart.share_alone(1, [](auto&) { return 0.145e-3; }) > 0.9);
  CHECK(apart.share_alone(5, [](auto&) { return 0.145e-3; }) > 0.95);
  Machine near{0.13e-3};
  near.first_step = 2.5;
  CHECK(near.share_alone(5, [](auto&) { return 0.08e-3; }) < 0.03);
}

TEST_CASE("caches that fill for longer than a window decide nothing either") {
  Machine short_steps{9.5e-6};  // 12.5 µs with the team: one thread wins, and not in its first 2 ms
  short_steps.warm_up = 2e-3;
  CHECK(short_steps.share_alone(0.15, [](auto&) { return 12.5e-6; }) > 0.9);
  CHECK(short_steps.share_alone(1, [](auto&) { return 12.5e-6; }) > 0.98);
  Machine team{12.5e-6};  // the other way round, a trial is lost by its second window, and its price is that of both
  CHECK(team.share_alone(0.5, [](auto&) { return 10.4e-6; }) < 0.012);
  CHECK(team.share_alone(5, [](auto&) { return 10.4e-6; }) < 0.01);
  team.warm_up = 2e-3;
  CHECK(team.share_alone(5, [](auto&) { return 11e-6; }) < 0.01);
}

TEST_CASE("another program may come and go") {
  for (const unsigned seed : {1u, 2u, 3u, 4u, 5u}) {
    CAPTURE(seed);
    Machine machine{0.3e-3, std::mt19937{seed}};
    const auto idle = [](auto&) { return 0.16e-3; };
    CHECK(machine.share_alone(3, idle) < 0.03);
    CHECK(machine.share_alone(3, shared_core(0.3e-3, 0.1)) > 0.6);
    machine.share_alone(2, idle);  // time to find out
    CHECK(machine.share_alone(3, idle) < 0.05);
  }
}

TEST_CASE("shards that were computed twice let the other size be tried sooner, and longer") {
  const auto alike = [](auto&) { return 3e-3; };
  Machine calm{3e-3}, disturbed{3e-3};
  CHECK(calm.share_alone(5, alike) == 0);
  CHECK(disturbed.share_alone(5, alike, 1) > 0);
}

TEST_CASE("one thread is given up where steps become long, and a stall does not keep the team away for long") {
  Machine machine{10e-6};
  const auto slower = [](auto&) { return 14e-6; };
  CHECK(machine.share_alone(1, slower) > 0.9);
  machine.step = 0.3;  // another batch, say
  CHECK(machine.share_alone(60, [](auto&) { return 0.03; }) < 0.1);

  Machine stalled{0.3e-3};
  bool was = false;
  stalled.share_alone(1, [&](auto&) { return 0.4e-3; });  // alone by now
  stalled.share_alone(6, [&](auto&) { return std::exchange(was, true) ? 0.4e-3 : 5.0; });
  stalled.share_alone(100, [](auto&) { return 0.17e-3; });
  CHECK(stalled.share_alone(10, [](auto&) { return 0.17e-3; }) < 0.05);
}

TEST_CASE("where no step could be timed the team is used") {
  TeamSize size;
  for (int i = 0; i < 10000; ++i) REQUIRE(!size.alone(-1, 100, static_cast<std::uint64_t>(i), 2));
}

}  // namespace team_size_test
