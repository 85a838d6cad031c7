// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <limits>

#include <parade/concepts/schedule.hpp>
#include <parade/core/check_option.hpp>
#include <parade/core/config.hpp>
#include <parade/schedules/clock.hpp>

namespace parade {

/// SGDR, half cosines with warm restarts (Loshchilov, Hutter: "SGDR: stochastic gradient descent with warm restarts", ICLR 2017):
///
///   α = final + (base − final) · ½(1 + cos(π u / length))          u updates made in this cycle, of which the first has `steps`,
///                                                                  and each of the others `growth` times the one before it
///
/// CosineRestarts{.steps = 8, .growth = 2} is at base at t = 0, 8, 24, 56, …, and at base/2 at t = 4, 16, 40, …
struct CosineRestarts {
  std::int64_t steps = 0;   // length of the first cycle in updates of θ, ≥ 1: to be set
  std::int64_t growth = 1;  // ≥ 1
  double final_rate = 0;    // ≥ 0

  /// Throws OptionError for a setting out of its range.
  void check(const TrainingTime&) const {
    detail::check_option(steps >= 1, "CosineRestarts.steps", "at least 1", steps);
    detail::check_option(growth >= 1, "CosineRestarts.growth", "at least 1", growth);
    detail::check_not_negative("CosineRestarts.final_rate", final_rate);
  }

  double rate(double base, const TrainingTime& at) const {
    PARADE_ASSERT(steps >= 1 && growth >= 1);
    constexpr auto most = std::numeric_limits<std::int64_t>::max();
    std::int64_t length = steps, made = growth == 1 ? at.step % length : at.step;  // with growth, some 60 cycles at most
    for (; made >= length; length = length > most / growth ? most : length * growth) made -= length;
    return detail::anneal(base, final_rate, detail::share(made, length));
  }
};

static_assert(Schedule<CosineRestarts>);

}  // namespace parade
