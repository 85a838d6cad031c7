// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <utility>

#include <parade/concepts/constraint.hpp>
#include <parade/concepts/optimizer.hpp>
#include <parade/concepts/schedule.hpp>
#include <parade/constraints/box_penalty.hpp>
#include <parade/core/error.hpp>
#include <parade/core/parameters.hpp>

namespace parade {

/// A penalty whose β follows a schedule: β = schedule.rate(β₀, t) in the step after t updates of θ, with β₀ the penalty's own. A β that grows lets θ find its way first and
/// holds it then.
///
///   parade::ScheduledPenalty{parade::BoxPenalty{.beta = 10, .lower = 0}, parade::Warmup<>{.steps = 1000, .start_factor = 0}}
///
/// The schedule must be one that asks for the step alone: the length of the run is not known here. Throws OptionError where it does not, and for a β that is
/// not finite or below 0.
template <class P, Schedule H>
class ScheduledPenalty : public P {
 public:
  ScheduledPenalty(P penalty, H schedule) : P(std::move(penalty)), first_(P::beta), schedule_(std::move(schedule)) {}

  void check() const {
    if constexpr (requires(const P& penalty) { penalty.check(); }) P::check();
    if constexpr (requires(const H& schedule) { schedule.check(TrainingTime{}); }) schedule_.check(TrainingTime{});
  }

  /// Called by the engine before every step.
  void begin_step(const StepInfo& at) {
    const double now = static_cast<double>(schedule_.rate(first_, TrainingTime{at.step - 1, 0, 0}));
    if (!(now >= 0 && std::isfinite(now)))
      throw OptionError(detail::text("the schedule of a penalty must give a finite beta of at least 0; it is ", now, " in step ", at.step));
    P::beta = now;
  }

 private:
  double first_;
  H schedule_;
};

}  // namespace parade
