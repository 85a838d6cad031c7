// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <parade/concepts/schedule.hpp>
#include <parade/core/cos_pi.hpp>
#include <parade/core/error.hpp>

// What the schedules have in common.
namespace parade::detail {

/// Time as a schedule sees it that begins after `steps` updates. A known length stays known: at least 1.
inline TrainingTime after(std::int64_t steps, TrainingTime at) {
  at.step = std::max<std::int64_t>(at.step - steps, 0);
  if (at.total_steps > 0) at.total_steps = std::max<std::int64_t>(at.total_steps - steps, 1);
  return at;
}

/// Time as a schedule sees it that ends after `steps` updates.
inline TrainingTime until(std::int64_t steps, TrainingTime at) {
  at.total_steps = at.total_steps > 0 ? std::min(at.total_steps, steps) : steps;
  return at;
}

/// The length of a schedule whose `steps` may be 0, for the whole run.
inline std::int64_t length(std::int64_t steps, const TrainingTime& at) { return steps > 0 ? steps : at.total_steps; }

/// Throws OptionError unless that is a length that is known.
inline void check_length(const char* name, std::int64_t steps, const TrainingTime& start) {
  if (steps < 0) throw OptionError(text(name, ".steps must be at least 0; got ", steps));
  if (steps == 0 && start.total_steps == 0 && start.steps_per_epoch == 0)  // a run of no epochs has a known length
    throw OptionError(text(name, ".steps must be set where the length of the run is not known, as in partial_fit; got 0"));
}

/// check(start) of a schedule, if it has one.
template <class H>
void check_schedule(const H& schedule, const TrainingTime& start) {
  if constexpr (requires { schedule.check(start); }) schedule.check(start);
}

/// Half a cosine from `from`, at share 0, to `to`, at share 1.
inline double anneal(double from, double to, double share) { return std::fma(from - to, (1 + cos_pi(share)) / 2, to); }

/// a/b for 0 ≤ a ≤ b, b > 0
inline double share(std::int64_t a, std::int64_t b) { return static_cast<double>(a) / static_cast<double>(b); }

}  // namespace parade::detail
