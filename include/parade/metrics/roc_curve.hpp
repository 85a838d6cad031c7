// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/metrics/samples.hpp>
#include <parade/metrics/thresholds.hpp>

namespace parade {

/// The receiver operating characteristic: what is called positive at each threshold t, those with score ≥ t, as shares of either class. The
/// thresholds are +∞ and then each distinct score, falling; the curve goes from (0, 0) to (1, 1).
struct RocCurve {
  std::vector<double> thresholds;
  std::vector<double> false_positive_rate;  // by weight, of the negative samples
  std::vector<double> true_positive_rate;   // by weight, of the positive samples

  /// The area under it, by trapezoids: the probability that a positive sample has a higher score than a negative one, ties counting half. ½
  /// for scores that say nothing, 1 for perfect ones.
  double area() const {
    detail::CompensatedSum twice;
    for (std::size_t i = 1; i < thresholds.size(); ++i)
      twice.add_product(false_positive_rate[i] - false_positive_rate[i - 1], true_positive_rate[i] + true_positive_rate[i - 1]);
    return twice.value() / 2;
  }
};

/// scores (1,n) or a vector (n), y (n), w (n) or none. The labels are {0, 1} or {−1, +1}. Equal scores make one step, as in scikit-learn
/// (its roc_curve with drop_intermediate = False). With scores 3, 2, 2, 1 and labels 1, 0, 1, 0: (0, 0), (0, ½), (½, 1), (1, 1), area 7/8.
/// Throws DataError for no samples, samples of one class only, shapes, labels or weights that do not fit, and a score of NaN.
template <class Z>
RocCurve roc_curve(const Eigen::MatrixBase<Z>& scores, const Vector<Label>& labels, const Vector<double>& weights = {}) {
  auto sums = detail::threshold_sums(scores, labels, weights, detail::curve_threads(labels.size()));
  const double positive = sums.positive.back(), negative = sums.negative.back();
  if (positive == 0 || negative == 0)
    throw DataError(detail::text("the ROC curve needs samples of both classes; all are ", positive == 0 ? "negative" : "positive"));
  for (double& x : sums.positive) x /= positive;
  for (double& x : sums.negative) x /= negative;
  return {std::move(sums.thresholds), std::move(sums.negative), std::move(sums.positive)};
}

/// roc_curve(…).area()
template <class Z>
double roc_auc(const Eigen::MatrixBase<Z>& scores, const Vector<Label>& labels, const Vector<double>& weights = {}) {
  return roc_curve(scores, labels, weights).area();
}

}  // namespace parade
