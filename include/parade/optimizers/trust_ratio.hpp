// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>

#include <parade/concepts/optimizer.hpp>

namespace parade::detail {

/// What scales a step that norms do not: 1, or NaN where a norm is not finite, so that the step is refused.
inline double one_if_finite(const Norms& norms) {
  return std::isfinite(norms.theta) && std::isfinite(norms.grad) ? 1 : std::numeric_limits<double>::quiet_NaN();
}

/// trust · ‖θ‖ / divisor; 1 where ‖θ‖ or ‖g‖ is 0, NaN where one of them is not finite.
inline double trust_ratio(const Norms& norms, double trust, double divisor) {
  if (norms.theta == 0 || norms.grad == 0) return one_if_finite(norms);
  return one_if_finite(norms) * trust * norms.theta / divisor;
}

}  // namespace parade::detail
