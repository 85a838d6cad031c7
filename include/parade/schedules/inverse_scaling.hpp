// SPDX-License-Identifier: MIT
#pragma once

#include <parade/concepts/schedule.hpp>
#include <parade/core/check_option.hpp>
#include <parade/kernels/real_power.hpp>

namespace parade {

/// scikit-learn's "invscaling":
///
///   α = base / (t + 1)^power          t = 0, 1, … updates made before this one
///
/// With power = ½, base/2 at t = 3. It never ends, so it suits runs whose length is not known. With power in (½, 1] the rates have an infinite
/// sum and a finite sum of squares, which is what convergence with probability 1 asks for (Robbins, Monro 1951).
struct InverseScaling {
  double power = 0.5;  // ≥ 0

  /// Throws OptionError for a setting out of its range.
  void check(const TrainingTime&) const { detail::check_not_negative("InverseScaling.power", power); }

  double rate(double base, const TrainingTime& at) const { return base / detail::real_power(static_cast<double>(at.step) + 1, power); }
};

static_assert(Schedule<InverseScaling>);

}  // namespace parade
