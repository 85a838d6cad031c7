// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>

namespace parade {

/// Where in a run a step stands.
struct TrainingTime {
  std::int64_t step = 0;             // 0-based: updates of θ made before this one
  std::int64_t steps_per_epoch = 0;  // 0 when not known (partial_fit)
  std::int64_t total_steps = 0;      // of the whole run; 0 when not known (partial_fit)
};

template <class H>
concept HasRateAt = requires(const H schedule, double base, const TrainingTime& at) {
  { schedule.rate(base, at) } -> std::convertible_to<double>;
};

template <class H>
concept HasScheduleCheck = requires(const H schedule, const TrainingTime& start) {
  schedule.check(start);
};

/// Schedule: the learning rate at a step.
///
/// Requirements for a type H:
///   1. `rate(double base, const TrainingTime& at)`, const, returns α ≥ 0, convertible to double: a pure function of its arguments, so that
///      a resumed run goes on with the same rates.
///
/// Not required: `check(const TrainingTime& start)`, which may throw OptionError for a setting that breaks a rule or that needs a length of
/// the run that is not known; it is called before training starts.
/// See also: parade::Constant, parade::StepDecay, parade::Cosine, parade::Warmup.
template <class H>
concept Schedule = HasRateAt<H> && bool((!requires { &H::check; } || HasScheduleCheck<H>));

}  // namespace parade
