// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <parade/concepts/schedule.hpp>
#include <parade/core/check_option.hpp>
#include <parade/schedules/clock.hpp>

namespace parade {

/// From the base rate down to `final_rate` along half a cosine (Loshchilov, Hutter: "SGDR", ICLR 2017, without restarts):
///
///   α = final + (base − final) · ½(1 + cos(π t / steps))     for t < steps,   t = 0, 1, … updates made before this one
///   α = final                                                from t = steps on
///
/// With final = 0: base at t = 0, base/2 half-way.
struct Cosine {
  std::int64_t steps = 0;  // length in updates of θ; 0 stands for the whole run
  double final_rate = 0;   // ≥ 0

  /// Throws OptionError for a setting out of its range, and for steps = 0 in a run whose length is not known (partial_fit).
  void check(const TrainingTime& start) const {
    detail::check_length("Cosine", steps, start);
    detail::check_not_negative("Cosine.final_rate", final_rate);
  }

  double rate(double base, const TrainingTime& at) const {
    const std::int64_t end = detail::length(steps, at);
    return at.step >= end ? final_rate : detail::anneal(base, final_rate, detail::share(at.step, end));
  }
};

static_assert(Schedule<Cosine>);

}  // namespace parade
