// SPDX-License-Identifier: MIT
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <parade/core/hash.hpp>
#include <parade/schedules/chain.hpp>
#include <parade/schedules/constant.hpp>
#include <parade/schedules/cosine.hpp>
#include <parade/schedules/cosine_restarts.hpp>
#include <parade/schedules/exponential_decay.hpp>
#include <parade/schedules/exponential_warmup.hpp>
#include <parade/schedules/inverse_scaling.hpp>
#include <parade/schedules/linear_scaling.hpp>
#include <parade/schedules/multi_step_decay.hpp>
#include <parade/schedules/one_cycle.hpp>
#include <parade/schedules/per_epoch.hpp>
#include <parade/schedules/polynomial_decay.hpp>
#include <parade/schedules/step_decay.hpp>
#include <parade/schedules/warmup.hpp>

#include "support/catch.hpp"

namespace {

using namespace parade;
using Catch::Matchers::ContainsSubstring;

constexpr double eps = std::numeric_limits<double>::epsilon();
constexpr TrainingTime unknown{};  // partial_fit: neither the length of an epoch nor that of the run is known

TrainingTime at(std::int64_t step, std::int64_t total_steps = 40) {
  return {.step = step, .steps_per_epoch = 8, .total_steps = total_steps};
}

bool near(double actual, double expected) { return std::abs(actual - expected) <= 8 * eps * std::abs(expected); }

/// Notes the time at which it is asked, and at which it is checked.
struct Recorder {
  mutable TrainingTime seen{-1, -1, -1};
  mutable TrainingTime checked{-1, -1, -1};
  void check(const TrainingTime& start) const { checked = start; }
  double rate(double base, const TrainingTime& time) const {
    seen = time;
    return base;
  }
};

bool same(const TrainingTime& a, const TrainingTime& b) {
  return a.step == b.step && a.steps_per_epoch == b.steps_per_epoch && a.total_steps == b.total_steps;
}

/// The bits of 200 rates.
template <Schedule H>
std::string rates_hash(const H& schedule) {
  Vector<double> rates(200);
  for (Index t = 0; t < 200; ++t) rates[t] = schedule.rate(0.3, {.step = t, .steps_per_epoch = 7, .total_steps = 200});
  return hash_text(theta_hash(rates));
}

}  // namespace

TEST_CASE("milestones have their documented values", "[schedules]") {
  const MultiStepDecay decay{.milestones = {5, 12}, .factor = 0.5};
  CHECK(decay.rate(0.2, at(0)) == 0.2);
  CHECK(decay.rate(0.2, at(4)) == 0.2);
  CHECK(decay.rate(0.2, at(5)) == 0.1);
  CHECK(decay.rate(0.2, at(11)) == 0.1);
  CHECK(decay.rate(0.2, at(12)) == 0.05);
  CHECK(decay.rate(0.2, at(1000000)) == 0.05);
  CHECK(MultiStepDecay{}.rate(0.2, at(7)) == 0.2);
}

TEST_CASE("exponential decay has its documented values", "[schedules]") {
  const ExponentialDecay each{.factor = 0.5}, slow{.steps = 100, .factor = 0.5};
  CHECK(each.rate(0.2, at(0)) == 0.2);
  CHECK(each.rate(0.2, at(3)) == 0.025);
  CHECK(slow.rate(0.2, at(100)) == 0.1);
  CHECK(slow.rate(0.2, at(200)) == 0.05);
  CHECK(near(slow.rate(0.2, at(50)), 0.2 / std::sqrt(2.0)));
  CHECK(near(slow.rate(0.2, at(150)), 0.1 / std::sqrt(2.0)));
  for (std::int64_t t = 0; t < 300; ++t) CHECK(slow.rate(0.2, at(t + 1)) < slow.rate(0.2, at(t)));
  CHECK(each.rate(0.2, at(std::numeric_limits<std::int64_t>::max())) == 0);
}

TEST_CASE("polynomial decay has its documented values", "[schedules]") {
  const PolynomialDecay line{}, square{.steps = 10, .power = 2}, root{.steps = 10, .power = 0.5, .final_rate = 0.05};
  CHECK(line.rate(0.2, at(0)) == 0.2);
  CHECK(line.rate(0.2, at(20)) == 0.1);
  CHECK(line.rate(0.2, at(40)) == 0);
  CHECK(square.rate(0.2, at(5)) == 0.05);
  CHECK(square.rate(0.2, at(10)) == 0);
  CHECK(near(root.rate(0.25, at(5)), 0.05 + 0.2 * std::sqrt(0.5)));
  for (const std::int64_t t : {10, 11, 1000}) CHECK(root.rate(0.25, at(t)) == 0.05);
}

TEST_CASE("inverse scaling has its documented values", "[schedules]") {
  for (const std::int64_t t : {0, 1, 3, 99, 1000000}) {
    const double count = static_cast<double>(t) + 1;
    CHECK(near(InverseScaling{}.rate(0.2, unknown), 0.2));
    CHECK(std::abs(InverseScaling{}.rate(0.2, at(t)) * std::sqrt(count) - 0.2) <= 40 * eps);
    CHECK(InverseScaling{.power = 0}.rate(0.2, at(t)) == 0.2);
    CHECK(InverseScaling{.power = 1}.rate(0.2, at(t)) == 0.2 / count);
    CHECK(std::abs(InverseScaling{.power = 0.25}.rate(0.2, at(t)) - 0.2 / std::sqrt(std::sqrt(count))) <= 40 * eps);
  }
}

TEST_CASE("cosines restart where they should, at any time", "[schedules]") {
  const CosineRestarts even{.steps = 8}, growing{.steps = 8, .growth = 2, .final_rate = 0.01};
  for (const std::int64_t t : {0, 8, 16, 800, 8000000}) CHECK(even.rate(0.2, at(t)) == 0.2);
  for (const std::int64_t t : {4, 12, 804}) CHECK(near(even.rate(0.2, at(t)), 0.1));
  for (const std::int64_t t : {0, 8, 24, 56, 120}) CHECK(near(growing.rate(0.2, at(t)), 0.2));
  for (const std::int64_t t : {4, 16, 40, 88}) CHECK(near(growing.rate(0.2, at(t)), 0.105));
  for (const std::int64_t t : {7, 23, 55}) CHECK(growing.rate(0.2, at(t)) < 0.02);
  for (const std::int64_t growth : {1, 2, 3, 1000000}) {
    const double last = CosineRestarts{.steps = 8, .growth = growth}.rate(0.2, at(std::numeric_limits<std::int64_t>::max()));
    CHECK((last >= 0 && last <= 0.2));
  }
}

TEST_CASE("one cycle has its documented values, with the base rate at the top", "[schedules]") {
  const OneCycle cycle{.steps = 40};
  CHECK(near(cycle.rate(1, at(0)), 1.0 / 25));
  CHECK(cycle.rate(1, at(11)) == 1);
  CHECK(near(cycle.rate(1, at(39)), 1.0 / 250000));
  for (std::int64_t t = 0; t < 11; ++t) CHECK(cycle.rate(1, at(t)) < cycle.rate(1, at(t + 1)));
  for (std::int64_t t = 11; t < 39; ++t) CHECK(cycle.rate(1, at(t)) > cycle.rate(1, at(t + 1)));
  const OneCycle whole_run{};
  for (std::int64_t t = 0; t < 40; ++t) CHECK(whole_run.rate(1, at(t)) == cycle.rate(1, at(t)));
}

TEST_CASE("one cycle of any length and shape stays between its rates", "[schedules]") {
  for (const std::int64_t steps : {1, 2, 3, 10, 37})
    for (const double share : {0.0, 0.1, 0.3, 0.7, 0.99, 1.0}) {
      const OneCycle cycle{.steps = steps, .warmup_share = share};
      for (std::int64_t t = 0; t < steps; ++t) {
        INFO("steps " << steps << ", share " << share << ", t " << t);
        const double rate = cycle.rate(1, at(t, steps));
        CHECK((rate >= 1.0 / 250001 && rate <= 1));
      }
    }
}

TEST_CASE("one cycle says where it ends, before the run if that is known", "[schedules]") {
  const OneCycle cycle{.steps = 40};
  CHECK_NOTHROW(cycle.check(at(0, 40)));
  CHECK_NOTHROW(cycle.check(at(0, 39)));
  CHECK_NOTHROW(OneCycle{}.check(at(0, 1000)));
  CHECK_NOTHROW(cycle.check(unknown));
  CHECK_THROWS_WITH(
      cycle.check(at(0, 41)),
      "OneCycle is defined for the first 40 updates (OneCycle.steps); the run has 41. Set steps to 0 for the whole run, or name "
      "what follows with parade::chain");
  CHECK_THROWS_WITH(cycle.check({.step = 40}), ContainsSubstring("first 40 updates") && ContainsSubstring("this would be number 41"));
  CHECK_THROWS_AS(cycle.rate(1, {.step = 40}), OptionError);
  CHECK_NOTHROW(chain(cycle, 40, Constant{}).check(at(0, 1000)));
  CHECK_THROWS_AS(chain(cycle, 41, Constant{}).check(at(0, 1000)), OptionError);
  CHECK_NOTHROW(chain(OneCycle{}, 41, Constant{}).check(at(0, 1000)));
}

TEST_CASE("an exponential warm-up damps what follows, on the same clock", "[schedules]") {
  const ExponentialWarmup<> rise{.steps = 10};
  for (const std::int64_t t : {0, 1, 9, 29, 1000})
    CHECK(std::abs(rise.rate(0.2, at(t)) - 0.2 * -std::expm1(-(static_cast<double>(t) + 1) / 10)) <= 4 * eps * 0.2);
  CHECK(std::abs(rise.rate(1, at(9)) - 0.632) <= 1e-3);
  CHECK(std::abs(rise.rate(1, at(29)) - 0.95) <= 1e-3);
  const auto over = exponential_warmup(10, Recorder{});
  over.rate(0.2, at(17));
  CHECK(same(over.next.seen, at(17)));
}

TEST_CASE("a chain gives each schedule a clock and a run of its own", "[schedules]") {
  const auto three = chain(Recorder{}, 10, Recorder{}, 20, Recorder{});
  three.check(at(0));
  CHECK(same(three.first.checked, at(0, 10)));
  CHECK(same(three.next.first.checked, at(0, 20)));
  CHECK(same(three.next.next.checked, at(0, 10)));
  three.rate(0.2, at(9));
  CHECK(same(three.first.seen, at(9, 10)));
  CHECK(three.next.first.seen.step == -1);
  three.rate(0.2, at(10));
  CHECK(same(three.next.first.seen, at(0, 20)));
  three.rate(0.2, at(29));
  CHECK(same(three.next.first.seen, at(19, 20)));
  CHECK(three.next.next.seen.step == -1);
  three.rate(0.2, at(37));
  CHECK(same(three.next.next.seen, at(7, 10)));
}

TEST_CASE("a chain in a run of unknown length knows how long its first schedule is", "[schedules]") {
  const auto two = chain(Cosine{}, 10, Constant{});
  CHECK_NOTHROW(two.check(unknown));
  CHECK(std::abs(two.rate(0.2, {.step = 5}) - 0.1) <= eps);
  CHECK(two.rate(0.2, {.step = 10}) == 0.2);
  CHECK_THROWS_AS(chain(Constant{}, 10, Cosine{}).check(unknown), OptionError);
  CHECK_NOTHROW(chain(Constant{}, 100, Cosine{}).check(at(0)));                  // a trial run that ends before
  CHECK_NOTHROW(chain(OneCycle{.steps = 5}, 5, Constant{}).check({.step = 7}));  // the first is over
}

TEST_CASE("a chain of a warm-up and a cosine is the warm-up with that cosine", "[schedules]") {
  const auto chained = chain(Warmup<>{.steps = 10}, 10, Cosine{});
  const auto warmed = warmup(10, 0.1, Cosine{});
  for (std::int64_t t = 0; t <= 40; ++t) CHECK(chained.rate(0.2, at(t)) == warmed.rate(0.2, at(t)));
}

TEST_CASE("per epoch, a schedule sees whole epochs", "[schedules]") {
  const auto epochs = per_epoch(Recorder{});
  epochs.check(at(0, 40));
  CHECK(same(epochs.schedule.checked, {0, 1, 5}));
  epochs.rate(0.2, at(7));
  CHECK(same(epochs.schedule.seen, {0, 1, 5}));
  epochs.rate(0.2, at(8));
  CHECK(same(epochs.schedule.seen, {1, 1, 5}));
  epochs.rate(0.2, at(39));
  CHECK(same(epochs.schedule.seen, {4, 1, 5}));
  const auto decay = per_epoch(StepDecay{.steps = 2, .factor = 0.5});
  CHECK(decay.rate(0.2, at(15)) == 0.2);
  CHECK(decay.rate(0.2, at(16)) == 0.1);
  CHECK_NOTHROW(per_epoch(OneCycle{}).check(at(3, 41)));  // a warm start in the middle of an epoch
  CHECK(per_epoch(OneCycle{}).rate(1, at(40, 41)) > 0);
  CHECK_THROWS_WITH(decay.check(unknown),
                    "PerEpoch needs epochs of a known length, which partial_fit does not have: give the schedule in steps");
}

TEST_CASE("linear scaling is a rate times a ratio, and nothing else does it", "[schedules]") {
  CHECK(linear_scaling(0.1, 1024, 256) == 0.4);
  CHECK(linear_scaling(0.1, 256, 256) == 0.1);
  CHECK(linear_scaling(0.1, 64, 256) == 0.025);
  CHECK_THROWS_WITH(linear_scaling(-1, 1, 1), "the rate of linear_scaling must be finite and at least 0; got -1");
  CHECK_THROWS_WITH(linear_scaling(1, 0, 1), "the batch size of linear_scaling must be at least 1; got 0");
  CHECK_THROWS_WITH(linear_scaling(1, 1, 0), "the reference batch size of linear_scaling must be at least 1; got 0");
}

TEST_CASE("the further schedules refuse settings out of their range", "[schedules]") {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  const TrainingTime start = at(0);
  CHECK_NOTHROW(MultiStepDecay{}.check(unknown));
  CHECK_THROWS_WITH(MultiStepDecay{.milestones = {0}}.check(start), "MultiStepDecay.milestones must be at least 1 and rise; got 0 after 0");
  CHECK_THROWS_WITH((MultiStepDecay{.milestones = {5, 5}}.check(start)),
                    "MultiStepDecay.milestones must be at least 1 and rise; got 5 after 5");
  CHECK_THROWS_AS((MultiStepDecay{.milestones = {5}, .factor = nan}.check(start)), OptionError);
  CHECK_NOTHROW(ExponentialDecay{}.check(unknown));
  CHECK_THROWS_WITH(ExponentialDecay{.steps = 0}.check(start), "ExponentialDecay.steps must be at least 1; got 0");
  CHECK_THROWS_WITH(ExponentialDecay{.factor = 0}.check(start), "ExponentialDecay.factor must be in (0, 1]; got 0");
  CHECK_THROWS_WITH(PolynomialDecay{}.check(unknown),
                    "PolynomialDecay.steps must be set where the length of the run is not known, as in partial_fit; got 0");
  CHECK_THROWS_WITH(PolynomialDecay{.power = 0}.check(start), "PolynomialDecay.power must be finite and above 0; got 0");
  CHECK_THROWS_AS(PolynomialDecay{.final_rate = infinity}.check(start), OptionError);
  CHECK_THROWS_AS(PolynomialDecay{.steps = -1}.check(start), OptionError);
  CHECK_THROWS_WITH(InverseScaling{.power = -1}.check(start), "InverseScaling.power must be finite and at least 0; got -1");
  CHECK_THROWS_WITH(CosineRestarts{}.check(start), "CosineRestarts.steps must be at least 1; got 0");
  CHECK_THROWS_WITH((CosineRestarts{.steps = 5, .growth = 0}.check(start)), "CosineRestarts.growth must be at least 1; got 0");
  CHECK_THROWS_AS((CosineRestarts{.steps = 5, .final_rate = nan}.check(start)), OptionError);
  CHECK_THROWS_WITH(OneCycle{}.check(unknown),
                    "OneCycle.steps must be set where the length of the run is not known, as in partial_fit; got 0");
  CHECK_THROWS_WITH(OneCycle{.warmup_share = 1.5}.check(start), "OneCycle.warmup_share must be in [0, 1]; got 1.5");
  CHECK_THROWS_WITH(OneCycle{.start_divisor = 0.5}.check(start), "OneCycle.start_divisor must be finite and at least 1; got 0.5");
  CHECK_THROWS_AS(OneCycle{.final_divisor = infinity}.check(start), OptionError);
  CHECK_THROWS_WITH(ExponentialWarmup<>{.steps = 0}.check(start), "ExponentialWarmup.steps must be at least 1; got 0");
  CHECK_THROWS_AS(ExponentialWarmup<StepDecay>{}.check(start), OptionError);
  CHECK_THROWS_WITH(chain(Constant{}, 0, Constant{}).check(start), "Chain.steps must be at least 1; got 0");
  CHECK_THROWS_AS(chain(StepDecay{}, 5, Constant{}).check(start), OptionError);
  CHECK_THROWS_AS(chain(Constant{}, 5, StepDecay{}).check(start), OptionError);
  CHECK_THROWS_AS(per_epoch(StepDecay{}).check(start), OptionError);
}

TEST_CASE("the bits of every schedule are the same on every machine", "[schedules]") {
  const std::vector<std::array<std::string, 3>> rates{
      {"StepDecay", rates_hash(StepDecay{.steps = 30, .factor = 0.3}), "682d59bbba868b69"},
      {"MultiStepDecay", rates_hash(MultiStepDecay{.milestones = {5, 30, 31}, .factor = 0.3}), "a81fbdbaf1a0788c"},
      {"ExponentialDecay", rates_hash(ExponentialDecay{.steps = 30, .factor = 0.3}), "88de5ecb91f9b2ea"},
      {"PolynomialDecay", rates_hash(PolynomialDecay{.power = 0.9, .final_rate = 0.01}), "84f35846925f125d"},
      {"InverseScaling", rates_hash(InverseScaling{}), "5ef24616fba8c484"},
      {"Cosine", rates_hash(Cosine{.final_rate = 0.01}), "790af4a55a5b46e5"},
      {"CosineRestarts", rates_hash(CosineRestarts{.steps = 9, .growth = 2, .final_rate = 0.01}), "08b3bea35213bd7b"},
      {"OneCycle", rates_hash(OneCycle{}), "b3576afd9444f302"},
      {"Warmup", rates_hash(warmup(30, 0.07, Cosine{})), "f951211df6eee35b"},
      {"ExponentialWarmup", rates_hash(exponential_warmup(30, PolynomialDecay{.power = 0.9})), "e412943e1c17cfd1"},
      {"Chain per epoch", rates_hash(per_epoch(chain(ExponentialDecay{}, 7, OneCycle{}))), "8192b7ea0441c61a"},
  };
  for (const auto& [name, actual, known] : rates) {
    INFO(name);
    CHECK(actual == known);
  }
}
