// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include <parade/concepts/schedule.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/error.hpp>
#include <parade/schedules/clock.hpp>

namespace parade {

/// One cycle (Smith, Topin: "Super-convergence", 2018): up to the base rate and down to next to nothing, each along half a cosine:
///
///   α from base / start_divisor to base                               while t ≤ e,  e = warmup_share · steps − 1
///   α from base to base / (start_divisor · final_divisor)             while t ≤ steps − 1
///
/// t = 0, 1, … updates made before this one. PyTorch's definition with its defaults; the base rate is its max_lr, the highest rate of the cycle.
/// With 40 steps and the defaults: base/25 at t = 0, base at t = 11, base/250000 at t = 39.
///
/// It is defined for t < steps: a longer run is an error, found before training where the length of the run is known.
struct OneCycle {
  std::int64_t steps = 0;      // length in updates of θ; 0 stands for the whole run
  double warmup_share = 0.3;   // share of the steps that rise, in [0, 1]
  double start_divisor = 25;   // ≥ 1
  double final_divisor = 1e4;  // ≥ 1

  /// Throws OptionError for a setting out of its range, for steps = 0 in a run whose length is not known (partial_fit), and for a run that goes on
  /// after the cycle.
  void check(const TrainingTime& start) const {
    detail::check_length("OneCycle", steps, start);
    detail::check_share("OneCycle.warmup_share", warmup_share);
    detail::check_option(start_divisor >= 1 && std::isfinite(start_divisor), "OneCycle.start_divisor", "finite and at least 1",
                         start_divisor);
    detail::check_option(final_divisor >= 1 && std::isfinite(final_divisor), "OneCycle.final_divisor", "finite and at least 1",
                         final_divisor);
    if (start.total_steps > detail::length(steps, start)) past_end(start, detail::text("the run has ", start.total_steps));
    if (start.total_steps > 0 || start.steps_per_epoch == 0) check_inside(start);  // a run of no epochs asks for no rate
  }

  /// Throws OptionError for a time after the cycle.
  double rate(double base, const TrainingTime& at) const {
    check_inside(at);
    const auto last = static_cast<double>(detail::length(steps, at) - 1), t = static_cast<double>(at.step);
    const double lowest = base / start_divisor, top = std::fma(warmup_share, last + 1, -1.0);
    if (t <= top) return detail::anneal(lowest, base, top > 0 ? t / top : 1);
    return detail::anneal(base, lowest / final_divisor, std::clamp((t - top) / (last - top), 0.0, 1.0));
  }

 private:
  void check_inside(const TrainingTime& at) const {
    if (at.step >= detail::length(steps, at)) past_end(at, detail::text("this would be number ", at.step + 1));
  }
  [[noreturn]] void past_end(const TrainingTime& at, const std::string& got) const {
    throw OptionError(detail::text("OneCycle is defined for the first ", detail::length(steps, at), " updates (OneCycle.steps); ", got,
                                   ". Set steps to 0 for the whole run, or name what follows with parade::chain"));
  }
};

static_assert(Schedule<OneCycle>);

}  // namespace parade
