// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <utility>

#include <parade/concepts/schedule.hpp>
#include <parade/core/check_option.hpp>
#include <parade/kernels/real_power.hpp>
#include <parade/schedules/clock.hpp>
#include <parade/schedules/constant.hpp>

namespace parade {

/// Another schedule, damped at the start (Ma, Yarats: "On the adequacy of untuned warmup for adaptive optimization", AAAI 2021):
///
///   α = (1 − e^{−(t + 1) / steps}) · next          t = 0, 1, … updates made before this one
///
/// 63% of `next` after `steps` updates, 95% after three times as many. For Adam the authors propose steps = 1/(1 − β₂), which is 1000 by
/// default. The clock of `next` is that of the run: the damping fades, but has no end.
///
///   parade::ExponentialWarmup<>{.steps = 1000}                                // then constant
///   parade::exponential_warmup(1000, parade::Cosine{.final_rate = 1e-5})      // the type of `next` found by the compiler
template <Schedule Next = Constant>
struct ExponentialWarmup {
  std::int64_t steps = 1000;  // ≥ 1
  Next next = {};

  /// Throws OptionError for a setting out of its range, here or in `next`.
  void check(const TrainingTime& start) const {
    detail::check_option(steps >= 1, "ExponentialWarmup.steps", "at least 1", steps);
    detail::check_schedule(next, start);
  }

  double rate(double base, const TrainingTime& at) const {
    return next.rate(base, at) * (1 - detail::exp_of(-(static_cast<double>(at.step) + 1) / static_cast<double>(steps)));
  }
};

static_assert(Schedule<ExponentialWarmup<>>);

/// ExponentialWarmup with the type of `next` found by the compiler.
template <Schedule Next = Constant>
ExponentialWarmup<Next> exponential_warmup(std::int64_t steps, Next next = {}) {
  return {.steps = steps, .next = std::move(next)};
}

}  // namespace parade
