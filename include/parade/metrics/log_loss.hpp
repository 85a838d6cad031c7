// SPDX-License-Identifier: MIT
#pragma once

#include <parade/core/types.hpp>
#include <parade/metrics/samples.hpp>

namespace parade {

/// Mean of −log p_y over the samples, by weight: Σ w_i (−log p_{y_i}) / Σ w_i, where p is the softmax of the scores, for one output the
/// logistic function. It is the mean of SoftmaxCrossEntropy or Logistic, in double, whatever loss a model was trained with. From scores, so
/// that no probability rounds to 0 and none has to be clipped.
///
/// Z (k,n), y (n), w (n) or none. The labels are 0 … k−1, for one output {0, 1} or {−1, +1}. ∞ where a sample's class has the score −∞.
/// Throws DataError for no samples, shapes, labels or weights that do not fit, a score that is NaN or +∞, and a sample whose scores are all −∞.
template <class Z>
double log_loss(const Eigen::MatrixBase<Z>& scores, const Vector<Label>& labels, const Vector<double>& weights = {}) {
  using S = typename Z::Scalar;
  const ConstMatrixRef<S> z{scores};
  detail::check_classification<S>(z, labels, weights);
  detail::ClassProbabilities probabilities;
  return detail::weighted_mean(labels.size(), weights, [&](Index j) {
    probabilities.read<S>(z, j);
    detail::check_softmax(probabilities, j);
    return probabilities.surprise(detail::true_class(labels[j]));
  });
}

}  // namespace parade
