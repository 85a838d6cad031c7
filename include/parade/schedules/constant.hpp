// SPDX-License-Identifier: MIT
#pragma once

#include <parade/concepts/schedule.hpp>

namespace parade {

/// α = base rate at every step.
struct Constant {
  double rate(double base, const TrainingTime&) const { return base; }
};

static_assert(Schedule<Constant>);

}  // namespace parade
