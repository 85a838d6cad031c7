// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>

#include <parade/concepts/schedule.hpp>
#include <parade/core/cos_pi.hpp>
#include <parade/core/error.hpp>

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
    if (steps < 0) throw OptionError(detail::text("Cosine.steps must be at least 0; got ", steps));
    if (steps == 0 && start.steps_per_epoch == 0)
      throw OptionError("Cosine.steps must be set where the length of the run is not known, as in partial_fit; got 0");
    if (!(final_rate >= 0 && std::isfinite(final_rate)))
      throw OptionError(detail::text("Cosine.final_rate must be finite and at least 0; got ", final_rate));
  }

  double rate(double base, const TrainingTime& at) const {
    if (at.step >= length(at)) return final_rate;
    const double share = static_cast<double>(at.step) / static_cast<double>(length(at));
    return std::fma(base - final_rate, (1 + detail::cos_pi(share)) / 2, final_rate);
  }

 private:
  std::int64_t length(const TrainingTime& at) const { return steps > 0 ? steps : at.total_steps; }
};

static_assert(Schedule<Cosine>);

}  // namespace parade
