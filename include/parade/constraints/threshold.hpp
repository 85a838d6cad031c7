// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>

#include <parade/core/compensated_sum.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/groups.hpp>

namespace parade::detail {

/// τ in two parts, so that m − ŝτ has the precision of its result also where that is small beside m.
struct Threshold : CompensatedSum {
  double rest(double m, double step) const { return std::fma(-step, low(), std::fma(-step, high(), m)); }
};

/// The τ with Σ_i max(0, m_i − ŝ_i τ) = total > 0, for `size` ≥ 1 numbers m_i = magnitude(i) and ŝ_i = step(i) in (0, 1]: what simplex and L1 ball
/// have in common. Newton's method on f(τ) = Σ max(0, m_i − ŝ_i τ) − total, from the τ that leaves all elements in: Michelot's algorithm (1986;
/// Condat: "Fast projection onto the simplex and the l1 ball", 2016), with weights, and without a list of the elements that are still in.
///
/// It ends: f is convex, piecewise linear and falls, f ≥ 0 at the start, so τ grows and is the root once no more elements leave. And
/// f'/f + s'/s ≤ 1 for two successive f, f' and slopes s, s' (convexity): f s falls at least to a quarter a pass, so ½ log₂ of its range is
/// enough, some 60 + log₂(size) + ½ log₂(max m / total) passes, which `limit` exceeds; five to fifteen are usual. Rounding may carry τ past the root by
/// eps max m; a step back follows.
template <class Magnitude, class Step>
Threshold threshold(Index size, double total, const Magnitude& magnitude, const Step& step) {
  constexpr double close = 4 * std::numeric_limits<double>::epsilon();
  constexpr int limit = 1200;
  kernels::Sum all;
  double slope = 0;
  for (Index i = 0; i < size; ++i) {
    all.add(magnitude(i));
    slope += step(i);
  }
  all.add(-total);
  Threshold tau;
  tau.add(all.value() / slope);
  for (int pass = 0; pass < limit; ++pass) {
    kernels::Sum excess;
    double active = 0;
    for (Index i = 0; i < size; ++i) {
      const double length = step(i), rest = tau.rest(magnitude(i), length);
      excess.add(rest <= 0 ? 0 : rest);  // no branch: which elements are in is hard to foresee
      active += rest <= 0 ? 0 : length;
    }
    excess.add(-total);
    if (!(std::abs(excess.value()) > close * total)) break;  // also for NaN
    if (active > 0) slope = active;
    tau.add(excess.value() / slope);
  }
  return tau;
}

}  // namespace parade::detail
