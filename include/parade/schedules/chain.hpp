// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <utility>

#include <parade/concepts/schedule.hpp>
#include <parade/core/check_option.hpp>
#include <parade/schedules/clock.hpp>

namespace parade {

/// One schedule for some updates, then another:
///
///   α = first at t, in a run of `steps`                          for t < steps,   t = 0, 1, … updates made before this one
///   α = next at t − steps, in a run that is shorter by `steps`   from t = steps on
///
/// Each has a clock of its own that starts at 0, and one over "the whole run" is as long as its part of it. If the run ends before `next`
/// begins, `next` is never asked. Longer chains are chains of chains; all are put together by the compiler:
///
///   parade::chain(parade::Warmup<>{.steps = 500}, 500, parade::Constant{}, 2000, parade::Cosine{})
template <Schedule First, Schedule Next>
struct Chain {
  First first;
  std::int64_t steps;  // length of the first in updates of θ, ≥ 1
  Next next;

  /// Throws OptionError for a setting out of its range, here or in one of the two.
  void check(const TrainingTime& start) const {
    detail::check_option(steps >= 1, "Chain.steps", "at least 1", steps);
    if (start.step < steps) detail::check_schedule(first, detail::until(steps, start));
    detail::check_schedule(next, detail::after(steps, start));
  }

  double rate(double base, const TrainingTime& at) const {
    return at.step < steps ? first.rate(base, detail::until(steps, at)) : next.rate(base, detail::after(steps, at));
  }
};

/// Chain with its types found by the compiler: schedules, and between two of them the length of the one before.
template <Schedule First, Schedule Next>
Chain<First, Next> chain(First first, std::int64_t steps, Next next) {
  return {std::move(first), steps, std::move(next)};
}
template <Schedule First, Schedule Second, class... Rest>
auto chain(First first, std::int64_t steps, Second second, std::int64_t second_steps, Rest... rest) {
  return chain(std::move(first), steps, chain(std::move(second), second_steps, std::move(rest)...));
}

}  // namespace parade
