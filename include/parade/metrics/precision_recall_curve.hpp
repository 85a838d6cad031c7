// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/metrics/samples.hpp>
#include <parade/metrics/thresholds.hpp>

namespace parade {

/// Precision and recall of what is called positive at each threshold t, those with score ≥ t. The thresholds are +∞, where recall is 0 and
/// precision counts as 1, and then each distinct score, falling; recall rises to 1.
struct PrecisionRecallCurve {
  std::vector<double> thresholds;
  std::vector<double> precision;  // of what is called positive, the share that is, by weight
  std::vector<double> recall;     // of what is positive, the share called so, by weight

  /// Σ_i (recall_i − recall_{i−1}) precision_i. Not an area by trapezoids, which would be too good: between two points precision is not
  /// linear in recall (Davis, Goadrich 2006: "The relationship between precision-recall and ROC curves").
  double average_precision() const {
    detail::CompensatedSum sum;
    for (std::size_t i = 1; i < thresholds.size(); ++i) sum.add_product(recall[i] - recall[i - 1], precision[i]);
    return sum.value();
  }
};

/// scores (1,n) or a vector (n), y (n), w (n) or none. The labels are {0, 1} or {−1, +1}. Equal scores make one step. The points are those
/// of scikit-learn's precision_recall_curve, from the last to the first. With scores 3, 2, 2, 1 and labels 1, 0, 1, 0: precision 1, 1, 2/3,
/// ½, recall 0, ½, 1, 1, average precision 5/6.
/// Throws DataError for no samples, none that is positive, shapes, labels or weights that do not fit, and a score of NaN.
template <class Z>
PrecisionRecallCurve precision_recall_curve(const Eigen::MatrixBase<Z>& scores, const Vector<Label>& labels,
                                            const Vector<double>& weights = {}) {
  auto sums = detail::threshold_sums(scores, labels, weights, detail::curve_threads(labels.size()));
  const double all = sums.positive.back();
  if (all == 0) throw DataError("the precision-recall curve needs at least 1 positive sample; all are negative");
  std::vector<double> precision{1.0}, recall{0.0};
  for (std::size_t i = 1; i < sums.thresholds.size(); ++i) {
    precision.push_back(sums.positive[i] / (sums.positive[i] + sums.negative[i]));
    recall.push_back(sums.positive[i] / all);
  }
  return {std::move(sums.thresholds), std::move(precision), std::move(recall)};
}

/// precision_recall_curve(…).average_precision()
template <class Z>
double average_precision(const Eigen::MatrixBase<Z>& scores, const Vector<Label>& labels, const Vector<double>& weights = {}) {
  return precision_recall_curve(scores, labels, weights).average_precision();
}

}  // namespace parade
