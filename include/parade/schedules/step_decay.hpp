// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <parade/concepts/schedule.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/config.hpp>
#include <parade/core/power.hpp>

namespace parade {

/// The rate times `factor` every `steps` updates of θ:
///
///   α = base · factor^⌊t / steps⌋          t = 0, 1, … updates made before this one
///
/// StepDecay{.steps = 7, .factor = 0.5} gives base at t = 0 … 6, base/2 at t = 7 … 13.
struct StepDecay {
  std::int64_t steps = 0;  // updates between two decays, ≥ 1: to be set
  double factor = 0.1;     // in (0, 1]

  /// Throws OptionError for a setting out of its range.
  void check(const TrainingTime&) const {
    detail::check_option(steps >= 1, "StepDecay.steps", "at least 1", steps);
    detail::check_option(factor > 0 && factor <= 1, "StepDecay.factor", "in (0, 1]", factor);
  }

  double rate(double base, const TrainingTime& at) const {
    PARADE_ASSERT(steps >= 1);
    return base * detail::power(factor, at.step / steps);
  }
};

static_assert(Schedule<StepDecay>);

}  // namespace parade
