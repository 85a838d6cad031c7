// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include <parade/concepts/schedule.hpp>
#include <parade/core/error.hpp>
#include <parade/schedules/clock.hpp>

namespace parade {

/// A schedule whose steps are epochs: it is asked with the number of whole epochs made, and the rate changes between epochs only, as in
/// PyTorch where `scheduler.step()` is called once an epoch.
///
///   α = schedule at ⌊t / steps_per_epoch⌋          t = 0, 1, … updates made before this one
///
///   parade::per_epoch(parade::StepDecay{.steps = 30, .factor = 0.1})      // base/10 after 30 epochs
template <Schedule H>
struct PerEpoch {
  H schedule = {};

  /// Throws OptionError where the length of an epoch is not known (partial_fit), and as the schedule does.
  void check(const TrainingTime& start) const {
    if (start.steps_per_epoch == 0)
      throw OptionError("PerEpoch needs epochs of a known length, which partial_fit does not have: give the schedule in steps");
    detail::check_schedule(schedule, in_epochs(start));
  }

  double rate(double base, const TrainingTime& at) const { return schedule.rate(base, in_epochs(at)); }

 private:
  static TrainingTime in_epochs(const TrainingTime& at) {
    const std::int64_t length = std::max<std::int64_t>(at.steps_per_epoch, 1);
    return {.step = at.step / length,
            .steps_per_epoch = 1,
            .total_steps = at.total_steps / length + (at.total_steps % length > 0 ? 1 : 0)};  // an epoch begun counts
  }
};

/// PerEpoch with the type of the schedule found by the compiler.
template <Schedule H>
PerEpoch<H> per_epoch(H schedule) {
  return {.schedule = std::move(schedule)};
}

}  // namespace parade
