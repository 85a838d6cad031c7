// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <parade/concepts/schedule.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/power.hpp>
#include <parade/kernels/real_power.hpp>
#include <parade/schedules/clock.hpp>

namespace parade {

/// A steady decay, by `factor` over `steps` updates:
///
///   α = base · factor^(t / steps)          t = 0, 1, … updates made before this one
///
/// ExponentialDecay{.factor = 0.93} multiplies the rate by 0.93 at every step; with .steps = 100, .factor = 0.5 the rate is base/2 at t = 100, base/4
/// at t = 200, and base/√2 at t = 50. StepDecay goes the same way by stairs.
struct ExponentialDecay {
  std::int64_t steps = 1;  // ≥ 1
  double factor = 0.9;     // in (0, 1]

  /// Throws OptionError for a setting out of its range.
  void check(const TrainingTime&) const {
    detail::check_option(steps >= 1, "ExponentialDecay.steps", "at least 1", steps);
    detail::check_option(factor > 0 && factor <= 1, "ExponentialDecay.factor", "in (0, 1]", factor);
  }

  double rate(double base, const TrainingTime& at) const {
    const std::int64_t rest = at.step % steps;
    const double whole = base * detail::power(factor, at.step / steps);
    return rest == 0 ? whole : whole * detail::real_power(factor, detail::share(rest, steps));
  }
};

static_assert(Schedule<ExponentialDecay>);

}  // namespace parade
