// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include <parade/core/config.hpp>
#include <parade/core/error.hpp>
#include <parade/core/threads.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/sort.hpp>
#include <parade/metrics/samples.hpp>

namespace parade {

/// 1 where the label is `c`, else 0: for a curve of one class against all others.
///
///   const double area = parade::roc_curve(scores.row(c), parade::one_against_rest(labels, c)).area();
inline Vector<Label> one_against_rest(const Vector<Label>& labels, Label c) {
  Vector<Label> result(labels.size());
  for (Index i = 0; i < labels.size(); ++i) result[i] = labels[i] == c ? 1 : 0;
  return result;
}

namespace detail {

/// For thresholds t = +∞ and then each distinct score, falling: the weight of the samples with score ≥ t, by class.
struct ThresholdSums {
  std::vector<double> thresholds, positive, negative;
};

/// Threads for the curve of n samples: the sort of fewer takes no longer than finding out how many there are.
inline int curve_threads(Index n) { return n < 262144 ? 1 : available_threads(); }

/// `scores`: (1,n), or a vector (n). Samples with equal scores are taken together, and added up in their order in the data. Sorting is parallel; the sums
/// are one chain.
template <class Z>
ThresholdSums threshold_sums(const Eigen::MatrixBase<Z>& scores, const Vector<Label>& labels, const Vector<double>& weights, int threads) {
  using S = typename Z::Scalar;
  if (scores.rows() != 1 && scores.cols() != 1)
    throw DataError(text("scores must be those of one output, (1, n) or a vector; got (", scores.rows(), ", ", scores.cols(),
                         "): take a row, and one_against_rest of the labels"));
  Matrix<S> row = scores;
  row.resize(1, scores.size());
  check_classification<S>(row, labels, weights);
  std::vector<kernels::Ranked> order, room;  // at: 2 j + 1 for a positive sample j, 2 j for a negative one
  order.reserve(static_cast<std::size_t>(labels.size()));
  for_each_sample(labels.size(), weights, [&](Index j, double) {
    order.push_back({kernels::falling_key(static_cast<double>(row(0, j))), 2 * j + (labels[j] > 0 ? 1 : 0)});
  });
  kernels::sort(order, room, threads);
  const auto n = static_cast<Index>(order.size());
  const auto at = [&](Index i) -> const kernels::Ranked& { return order[static_cast<std::size_t>(i)]; };
  const auto is_last = [&](Index i) { return i + 1 == n || at(i + 1).key != at(i).key; };
  Vector<double> signed_weights(n);  // below 0 for negative samples; in order, so that the chain of sums finds them side by side
  Index distinct = 0;                // a count: whole numbers have the same sum in any order
#if PARADE_HAS_OPENMP
#pragma omp parallel for num_threads(threads) schedule(static) reduction(+ : distinct) if (threads > 1)
#endif
  for (Index i = 0; i < n; ++i) {
    signed_weights[i] = std::copysign(weight_of(weights, at(i).at / 2), static_cast<double>(2 * (at(i).at % 2) - 1));
    distinct += is_last(i) ? 1 : 0;
  }

  ThresholdSums sums{{std::numeric_limits<double>::infinity()}, {0.0}, {0.0}};
  for (auto* list : {&sums.thresholds, &sums.positive, &sums.negative}) list->reserve(static_cast<std::size_t>(distinct) + 1);
  CompensatedSum positive, negative;
  for (Index i = 0; i < n; ++i) {
    const double w = signed_weights[i];
    positive.add(w > 0 ? w : 0);  // 0 changes nothing, and a branch would be hard to foresee
    negative.add(w > 0 ? 0 : -w);
    if (!is_last(i)) continue;
    const double score = kernels::from_falling_key(at(i).key);
    sums.thresholds.push_back(score == 0 ? static_cast<double>(row(0, at(i).at / 2)) : score);  // which 0
    sums.positive.push_back(positive.value());
    sums.negative.push_back(negative.value());
  }
  return sums;
}

}  // namespace detail
}  // namespace parade
