// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>

#include <parade/concepts/schedule.hpp>
#include <parade/core/check_option.hpp>
#include <parade/schedules/clock.hpp>
#include <parade/schedules/constant.hpp>

namespace parade {

/// A linear rise to the base rate, then another schedule (Goyal et al.: "Accurate, large minibatch SGD", 2017):
///
///   α = base · (start_factor + (1 − start_factor) · t / steps)   for t < steps,   t = 0, 1, … updates made before this one
///   α = next at t − steps, in a run that is shorter by `steps`   from t = steps on
///
/// So the clock of `next` starts when the warm-up is over, and a Cosine over the whole run ends where the run ends. (It thinks of epochs as
/// long as they are.) If the run ends before the warm-up, `next` is never asked.
///
///   parade::Warmup<>{.steps = 500}                                       // then constant
///   parade::Warmup<parade::Cosine>{.steps = 500, .start_factor = 0.01}   // then half a cosine
///   parade::warmup(500, 0.01, parade::Cosine{.final_rate = 1e-5})        // the same with the type of `next` found by the compiler
template <Schedule Next = Constant>
struct Warmup {
  std::int64_t steps = 0;     // length in updates of θ, ≥ 0
  double start_factor = 0.1;  // α / base at t = 0, in [0, 1]
  Next next = {};

  /// Throws OptionError for a setting out of its range, here or in `next`.
  void check(const TrainingTime& start) const {
    detail::check_option(steps >= 0, "Warmup.steps", "at least 0", steps);
    detail::check_share("Warmup.start_factor", start_factor);
    detail::check_schedule(next, detail::after(steps, start));
  }

  double rate(double base, const TrainingTime& at) const {
    if (at.step >= steps) return next.rate(base, detail::after(steps, at));
    return base * std::fma(1 - start_factor, detail::share(at.step, steps), start_factor);
  }
};

static_assert(Schedule<Warmup<>>);

/// Warmup with the type of `next` found by the compiler (Clang before 17 cannot do so in braces).
template <Schedule Next = Constant>
Warmup<Next> warmup(std::int64_t steps, double start_factor = 0.1, Next next = {}) {
  return {.steps = steps, .start_factor = start_factor, .next = next};
}

}  // namespace parade
