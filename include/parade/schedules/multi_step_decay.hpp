// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include <parade/concepts/schedule.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/power.hpp>

namespace parade {

/// The rate times `factor` at each milestone:
///
///   α = base · factor^(number of milestones ≤ t)          t = 0, 1, … updates made before this one
///
/// MultiStepDecay{.milestones = {5, 12}, .factor = 0.1} gives base at t = 0 … 4, base/10 at t = 5 … 11, then base/100.
struct MultiStepDecay {
  std::vector<std::int64_t> milestones;  // updates made, ≥ 1, each above the one before it
  double factor = 0.1;                   // in (0, 1]

  /// Throws OptionError for a setting out of its range.
  void check(const TrainingTime&) const {
    std::int64_t last = 0;
    for (const auto milestone : milestones) {
      if (milestone <= last)
        throw OptionError(detail::text("MultiStepDecay.milestones must be at least 1 and rise; got ", milestone, " after ", last));
      last = milestone;
    }
    detail::check_option(factor > 0 && factor <= 1, "MultiStepDecay.factor", "in (0, 1]", factor);
  }

  double rate(double base, const TrainingTime& at) const {
    std::int64_t passed = 0;
    for (const auto milestone : milestones) passed += milestone <= at.step ? 1 : 0;
    return base * detail::power(factor, passed);
  }
};

static_assert(Schedule<MultiStepDecay>);

}  // namespace parade
