// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>

#include <parade/core/types.hpp>
#include <parade/kernels/groups.hpp>

namespace parade::detail {

/// Replaces x by the nearest point with ‖u‖₂ = radius > 0 in the metric of step(i) = ŝ_i in (0, 1], the largest of which is 1:
///
///   u_i = x_i / (1 + μ ŝ_i),  μ > −1 such that ‖u‖₂ = radius
///
/// μ is the root of a secular equation, found in t = 1 + μ, with 1 + μŝ = (1 − ŝ) + tŝ. For ŝ = 1 it is t = ‖x‖ / radius: a scaling.
/// Where x has nothing but zeros at the elements whose ŝ is 1, and is short, there is no such μ: μ = −1, and what the norm still lacks goes to the
/// first of those elements, by a plus sign. So 0 goes to radius · e_i, i the first element with the largest step.
template <class S, class Step>
void project_on_sphere(const kernels::Strided<S>& x, double radius, const Step& step) {
  const double scale = kernels::square_scale(x), target = radius * scale;
  const auto at = [&](Index i) { return static_cast<double>(x[i]) * scale; };
  const auto divisor = [&](Index i, double t) { return std::fma(t, step(i), 1 - step(i)); };
  kernels::Sum all, free;  // squares: of all elements, and of those whose ŝ is 1
  for (Index i = 0; i < x.size; ++i) {
    const double square = kernels::product(at(i), at(i));
    all.add(square);
    if (step(i) == 1) free.add(square);
  }
  const auto norm_at = [&](double t) -> kernels::SecularNorm {
    kernels::Sum squares;
    double slope = 0;
    for (Index i = 0; i < x.size; ++i) {
      if (x[i] == 0) continue;  // also where the divisor is 0
      const double below = divisor(i, t), value = at(i) / below, square = kernels::product(value, value);
      squares.add(square);
      slope = std::fma(square, step(i) / below, slope);
    }
    return {std::sqrt(squares.value()), slope};
  };
  // N(t) is at least the norm of the free elements / t, and for t ≥ 1 at least ‖x‖ / t: a t that makes one of these the radius is left of the root.
  double start = std::sqrt(free.value()) / target;
  if (const double of_all = std::sqrt(all.value()) / target; of_all >= 1) start = std::max(start, of_all);
  double lacking = 0;
  if (start == 0) {
    const double ratio = norm_at(0).norm / target;
    if (ratio < 1) lacking = radius * std::sqrt((1 - ratio) * (1 + ratio));
  }
  const double t = lacking > 0 ? 0 : kernels::secular_root(start, target, norm_at);
  for (Index i = 0; i < x.size; ++i) {
    if (lacking > 0 && step(i) == 1) {
      x[i] = static_cast<S>(lacking);
      lacking = 0;
    } else if (x[i] != 0) {
      x[i] = static_cast<S>(static_cast<double>(x[i]) / divisor(i, t));
    }
  }
}

}  // namespace parade::detail
