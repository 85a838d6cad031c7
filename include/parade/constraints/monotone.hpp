// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>

#include <parade/constraints/metric.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/groups.hpp>

namespace parade {

/// θ_1 ≤ θ_2 ≤ … in each group, or θ_1 ≥ θ_2 ≥ …: isotonic regression (Ayer et al. 1955; Barlow, Brunk 1972), kept by a projection after every
/// step. What is out of order is pooled, and a pool B gets its mean, weighted by 1/α:
///
///   Π(θ)_i = Σ_{j∈B} θ_j/α_j / Σ_{j∈B} 1/α_j          C(θ) = ½‖θ − Π₁(θ)‖², Π₁ with all α_i = 1
///
/// The groups are the rows of a parameter (the default: for a weight (k,d), along the inputs), its columns, or the whole parameter, column by
/// column. Π(1, 4, 2, 3, 5) = (1, 3, 3, 3, 5), and C(1, 4, 2, 3, 5) = 1. For α = (1, 3): Π(4, 0) = (3, 3).
/// Feasible means: exactly in order. What is feasible is left as it is. What is not finite never becomes finite.
///
/// The method is a partition (as in Spouge, Wan, Wilbur 2003), which needs no memory where pooling adjacent violators keeps a list of pools: the
/// weighted mean of a range cuts it where Σ (θ_i − mean)/α_i from its begin is least. The left part then lies at or below the mean, the right part
/// at or above, and each is a range of its own; a range that is not cut is a pool. That is exact, and takes one pass over each range: log₂ of the
/// number of pools in all as a rule.
struct Monotone {
  bool increasing = true;        // else decreasing
  Groups groups = Groups::rows;  // along what

  /// C of a parameter (rows, cols), in double; 0 after `parameter_project`.
  template <class T>
  double parameter_violation(const Eigen::MatrixBase<T>& theta) const {
    using S = typename T::Scalar;
    kernels::Sum squares;
    kernels::for_each_group<S>(groups, ConstMatrixRef<S>{theta}, [&](const auto& group) {
      const auto ordered = in_order(group);
      if (is_sorted(ordered)) return;
      pool(
          ordered, [](Index) { return 1.0; },
          [&](Index begin, Index end, double level) {
            for (Index i = begin; i < end; ++i) {
              const double outside = static_cast<double>(ordered[i]) - level;
              squares.add(kernels::product(outside, outside));
            }
          });
    });
    return squares.value() / 2;
  }

  /// θ ← Π(θ), in place.
  template <class T>
  void parameter_project(MatrixRef<typename T::Scalar> theta, const Eigen::MatrixBase<T>& steps) const {
    using S = typename T::Scalar;
    kernels::for_each_group<S>(groups, theta, ConstMatrixRef<S>{steps}, [&](const auto& group, const auto& group_steps) {
      const auto ordered = in_order(group);
      if (is_sorted(ordered)) return;
      const detail::Metric<S> step{in_order(group_steps)};
      pool(
          ordered, [&](Index i) { return 1 / step(i); },
          [&](Index begin, Index end, double level) {
            for (Index i = begin; i < end; ++i) ordered[i] = static_cast<S>(level);
          });
    });
  }

 private:
  /// The same elements so that they shall increase.
  template <class S>
  kernels::Strided<S> in_order(const kernels::Strided<S>& group) const {
    return increasing ? group : kernels::Strided<S>{&group[group.size - 1], group.size, -group.stride};
  }

  template <class S>
  static bool is_sorted(const kernels::Strided<S>& x) {
    bool sorted = x.size != 1 || x[0] == x[0];
    for (Index i = 1; i < x.size; ++i) sorted = sorted && x[i - 1] <= x[i];
    return sorted;
  }

  struct Range {
    Index begin, end;
    double low, high;  // where the cuts say that it lies: also rounding cannot bring the pools out of order
  };

  /// emit(begin, end, level) for every pool, each once; x is not read again after that. The smaller part of a cut is done first, so that at most
  /// log₂(size) larger ones wait.
  template <class S, class Weight, class Emit>
  static void pool(const kernels::Strided<S>& x, const Weight& weight, const Emit& emit) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    std::array<Range, 64> waiting;
    std::size_t count = 0;
    waiting[count++] = {0, x.size, -infinity, infinity};
    while (count > 0) {
      const Range range = waiting[--count];
      kernels::Sum sum, weights;
      for (Index i = range.begin; i < range.end; ++i) {
        sum.add(kernels::product(weight(i), static_cast<double>(x[i])));
        weights.add(weight(i));
      }
      const double mean = sum.value() / weights.value();
      kernels::Sum excess;
      double least = 0;
      Index cut = range.begin;
      for (Index i = range.begin; i + 1 < range.end; ++i) {
        excess.add(kernels::product(weight(i), static_cast<double>(x[i]) - mean));
        if (excess.value() < least) {
          least = excess.value();
          cut = i + 1;
        }
      }
      if (cut == range.begin) {
        emit(range.begin, range.end, mean < range.low ? range.low : mean > range.high ? range.high : mean);
        continue;
      }
      const double level = mean < range.low ? range.low : mean > range.high ? range.high : mean;
      const Range left{range.begin, cut, range.low, level}, right{cut, range.end, level, range.high};
      const bool left_is_smaller = cut - range.begin < range.end - cut;
      waiting[count++] = left_is_smaller ? right : left;
      waiting[count++] = left_is_smaller ? left : right;
    }
  }
};

}  // namespace parade
