// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
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

/// `scores`: (1,n), or a vector (n). Samples with equal scores are taken together, and added up in their order in the data.
template <class Z>
ThresholdSums threshold_sums(const Eigen::MatrixBase<Z>& scores, const Vector<Label>& labels, const Vector<double>& weights) {
  using S = typename Z::Scalar;
  if (scores.rows() != 1 && scores.cols() != 1)
    throw DataError(text("scores must be those of one output, (1, n) or a vector; got (", scores.rows(), ", ", scores.cols(),
                         "): take a row, and one_against_rest of the labels"));
  Matrix<S> row = scores;
  row.resize(1, scores.size());
  check_classification<S>(row, labels, weights);
  std::vector<Index> order;
  for_each_sample(labels.size(), weights, [&](Index j, double) { order.push_back(j); });
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return row(0, a) > row(0, b); });

  ThresholdSums sums{{std::numeric_limits<double>::infinity()}, {0.0}, {0.0}};
  CompensatedSum positive, negative;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const Index j = order[i];
    (labels[j] > 0 ? positive : negative).add(weight_of(weights, j));
    if (i + 1 < order.size() && row(0, order[i + 1]) == row(0, j)) continue;
    sums.thresholds.push_back(static_cast<double>(row(0, j)));
    sums.positive.push_back(positive.value());
    sums.negative.push_back(negative.value());
  }
  return sums;
}

}  // namespace detail
}  // namespace parade
