// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <limits>

#include <parade/core/types.hpp>
#include <parade/kernels/groups.hpp>

namespace parade::detail {

/// How far a group may be from its set, relative, and still count as in it: what the rounding of its elements to S explains.
template <class S>
inline constexpr double feasible = 8 * static_cast<double>(std::numeric_limits<S>::epsilon());

/// The Euclidean metric.
struct Euclidean {
  double operator()(Index) const { return 1; }
};

/// The optimizer's diagonal metric, by its step sizes: ŝ_i = α_i / max α, in [2^−64, 1]. A projection depends on nothing but the ratios of the steps;
/// where they are all the same, ŝ_i = 1. So it is where they are all 0 (a rate of 0): the Euclidean projection, which is what equal steps tend to.
/// A step below 2^−64 of the largest one, also a single 0, counts as that: its element moves only where the others cannot do it. NaN stays NaN.
template <class S>
class Metric {
 public:
  explicit Metric(const kernels::Strided<const S>& steps) : steps_(steps) {
    for (Index i = 0; i < steps.size; ++i) largest_ = std::max(largest_, static_cast<double>(steps[i]));
    largest_ = std::min(largest_, std::numeric_limits<double>::max());
    for (Index i = 0; i < steps.size; ++i) equal_ = equal_ && static_cast<double>(steps[i]) == largest_;
    equal_ = equal_ || largest_ == 0;
  }

  /// Whether ŝ_i = 1 for all i.
  bool is_euclidean() const { return equal_; }

  double operator()(Index i) const {
    if (equal_) return 1;
    const double ratio = static_cast<double>(steps_[i]) / largest_;
    return ratio < 0x1p-64 ? 0x1p-64 : ratio > 1 ? 1 : ratio;
  }

 private:
  kernels::Strided<const S> steps_;
  double largest_ = 0;
  bool equal_ = true;
};

/// call(metric of the steps): the same numbers, faster where they are all 1.
template <class S, class Call>
void with_metric(const kernels::Strided<const S>& steps, const Call& call) {
  const Metric<S> metric{steps};
  if (metric.is_euclidean())
    call(Euclidean{});
  else
    call(metric);
}

}  // namespace parade::detail
