// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>

#include <parade/concepts/schedule.hpp>
#include <parade/core/check_option.hpp>
#include <parade/kernels/real_power.hpp>
#include <parade/schedules/clock.hpp>

namespace parade {

/// From the base rate to `final_rate` along a power of the share of the run that is left:
///
///   α = final + (base − final) · (1 − t / steps)^power          for t < steps,   t = 0, 1, … updates made before this one
///   α = final                                                   from t = steps on
///
/// power = 1 is a straight line. With power = 2 and final = 0, base/4 half-way.
struct PolynomialDecay {
  std::int64_t steps = 0;  // length in updates of θ; 0 stands for the whole run
  double power = 1;        // > 0
  double final_rate = 0;   // ≥ 0

  /// Throws OptionError for a setting out of its range, and for steps = 0 in a run whose length is not known (partial_fit).
  void check(const TrainingTime& start) const {
    detail::check_length("PolynomialDecay", steps, start);
    detail::check_positive("PolynomialDecay.power", power);
    detail::check_not_negative("PolynomialDecay.final_rate", final_rate);
  }

  double rate(double base, const TrainingTime& at) const {
    const std::int64_t end = detail::length(steps, at);
    if (at.step >= end) return final_rate;
    return std::fma(base - final_rate, detail::real_power(detail::share(end - at.step, end), power), final_rate);
  }
};

static_assert(Schedule<PolynomialDecay>);

}  // namespace parade
