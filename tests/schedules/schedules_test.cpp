// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstdint>
#include <limits>

#include <parade/schedules/constant.hpp>
#include <parade/schedules/cosine.hpp>
#include <parade/schedules/step_decay.hpp>
#include <parade/schedules/warmup.hpp>

#include "support/catch.hpp"

namespace {

using parade::Constant, parade::Cosine, parade::StepDecay, parade::TrainingTime, parade::Warmup;

constexpr double eps = std::numeric_limits<double>::epsilon();
constexpr TrainingTime unknown{};  // partial_fit: neither the length of an epoch nor that of the run is known

TrainingTime at(std::int64_t step, std::int64_t total_steps = 40) {
  return {.step = step, .steps_per_epoch = 8, .total_steps = total_steps};
}

/// Notes the time at which it is asked.
struct Recorder {
  mutable TrainingTime seen;
  double rate(double base, const TrainingTime& time) const {
    seen = time;
    return base;
  }
};

}  // namespace

TEST_CASE("a constant rate stays", "[schedules]") {
  for (const std::int64_t t : {0, 1, 1000000}) CHECK(Constant{}.rate(0.2, at(t)) == 0.2);
  CHECK(Constant{}.rate(0.2, unknown) == 0.2);
}

TEST_CASE("step decay has its documented values", "[schedules]") {
  const StepDecay decay{.steps = 7, .factor = 0.5};
  CHECK(decay.rate(0.2, at(0)) == 0.2);
  CHECK(decay.rate(0.2, at(6)) == 0.2);
  CHECK(decay.rate(0.2, at(7)) == 0.1);
  CHECK(decay.rate(0.2, at(13)) == 0.1);
  CHECK(decay.rate(0.2, at(14)) == 0.05);
  CHECK(decay.rate(0.2, at(std::numeric_limits<std::int64_t>::max())) == 0);
}

TEST_CASE("half a cosine has its documented values", "[schedules]") {
  const Cosine whole_run{}, short_one{.steps = 10, .final_rate = 0.05};
  CHECK(whole_run.rate(0.2, at(0)) == 0.2);
  CHECK(std::abs(whole_run.rate(0.2, at(20)) - 0.1) <= eps);
  CHECK(whole_run.rate(0.2, at(39)) > 0);
  CHECK(whole_run.rate(0.2, at(40)) == 0);
  CHECK(whole_run.rate(0.2, at(1000)) == 0);
  CHECK(std::abs(short_one.rate(0.2, at(0)) - 0.2) <= eps);
  CHECK(std::abs(short_one.rate(0.2, at(5)) - 0.125) <= eps);
  for (const std::int64_t t : {10, 11, 39}) CHECK(short_one.rate(0.2, at(t)) == 0.05);
  for (std::int64_t t = 0; t < 39; ++t) CHECK(whole_run.rate(0.2, at(t + 1)) < whole_run.rate(0.2, at(t)));
}

TEST_CASE("a warm-up rises linearly to the base rate", "[schedules]") {
  const Warmup<> rise{.steps = 10, .start_factor = 0.1};
  CHECK(rise.rate(0.2, at(0)) == 0.2 * 0.1);
  CHECK(std::abs(rise.rate(0.2, at(5)) - 0.2 * 0.55) <= eps);
  for (std::int64_t t = 0; t < 9; ++t) CHECK(std::abs(rise.rate(0.2, at(t + 1)) - rise.rate(0.2, at(t)) - 0.2 * 0.09) <= 2 * eps);
  for (const std::int64_t t : {10, 11, 39}) CHECK(rise.rate(0.2, at(t)) == 0.2);
  CHECK(Warmup<>{.steps = 10, .start_factor = 0}.rate(0.2, at(0)) == 0);
  CHECK(Warmup<>{}.rate(0.2, at(0)) == 0.2);  // no steps, no warm-up
}

TEST_CASE("the clock of what follows a warm-up starts when the warm-up is over", "[schedules]") {
  const auto recording = parade::warmup(10, 0.1, Recorder{});
  recording.rate(0.2, at(9));
  CHECK(recording.next.seen.total_steps == 0);  // not asked yet
  recording.rate(0.2, at(10));
  CHECK(recording.next.seen.step == 0);
  CHECK(recording.next.seen.steps_per_epoch == 8);
  CHECK(recording.next.seen.total_steps == 30);
  recording.rate(0.2, {.step = 25});
  CHECK(recording.next.seen.step == 15);
  CHECK(recording.next.seen.total_steps == 0);  // not known stays not known

  const Warmup<Cosine> then_cosine{.steps = 10, .start_factor = 0.1};
  CHECK(then_cosine.rate(0.2, at(10)) == 0.2);
  CHECK(std::abs(then_cosine.rate(0.2, at(25)) - 0.1) <= eps);
  CHECK(then_cosine.rate(0.2, at(40)) == 0);
  const auto then_decay = parade::warmup(10, 0.1, StepDecay{.steps = 5, .factor = 0.5});
  CHECK(then_decay.rate(0.2, at(14)) == 0.2);
  CHECK(then_decay.rate(0.2, at(15)) == 0.1);
}

TEST_CASE("schedules refuse settings out of their range", "[schedules]") {
  const double nan = std::nan("");
  const TrainingTime start = at(0);
  CHECK_NOTHROW(StepDecay{.steps = 1}.check(start));
  CHECK_THROWS_WITH(StepDecay{}.check(start), "StepDecay.steps must be at least 1; got 0");
  CHECK_THROWS_WITH((StepDecay{.steps = 5, .factor = 1.5}.check(start)), "StepDecay.factor must be in (0, 1]; got 1.5");
  for (const double factor : {0.0, -1.0, nan}) CHECK_THROWS_AS((StepDecay{.steps = 5, .factor = factor}.check(start)), parade::OptionError);

  CHECK_NOTHROW(Cosine{}.check(start));
  CHECK_NOTHROW(Cosine{.steps = 5}.check(unknown));
  CHECK_THROWS_WITH(Cosine{.steps = -1}.check(start), "Cosine.steps must be at least 0; got -1");
  CHECK_THROWS_WITH(Cosine{}.check(unknown), "Cosine.steps must be set where the length of the run is not known, as in partial_fit; got 0");
  CHECK_THROWS_WITH(Cosine{.final_rate = -0.1}.check(start), "Cosine.final_rate must be finite and at least 0; got -0.1");
  CHECK_THROWS_AS(Cosine{.final_rate = nan}.check(start), parade::OptionError);

  CHECK_NOTHROW(Warmup<>{.steps = 5}.check(unknown));
  CHECK_THROWS_WITH(Warmup<>{.steps = -1}.check(start), "Warmup.steps must be at least 0; got -1");
  CHECK_THROWS_WITH(Warmup<>{.start_factor = 1.5}.check(start), "Warmup.start_factor must be in [0, 1]; got 1.5");
  CHECK_THROWS_AS(Warmup<>{.start_factor = nan}.check(start), parade::OptionError);
}

TEST_CASE("a warm-up asks what follows it whether its settings are right", "[schedules]") {
  CHECK_THROWS_WITH(Warmup<StepDecay>{.steps = 5}.check(at(0)), "StepDecay.steps must be at least 1; got 0");
  CHECK_THROWS_AS(Warmup<Cosine>{.steps = 5}.check(unknown), parade::OptionError);
  CHECK_NOTHROW(Warmup<Cosine>{.steps = 5}.check(at(0)));
  CHECK_NOTHROW(Warmup<Cosine>{.steps = 100}.check(at(0)));  // a trial run that ends before its warm-up is fine
}
