// SPDX-License-Identifier: MIT
#pragma once

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/metrics/samples.hpp>

namespace parade {

/// Z (k,n) → the classes (n) that scores stand for: argmax_i z_i, the first of equals; for one output 1 where z > 0, else 0.
/// Throws DataError for a score of NaN.
template <class Z>
Vector<Label> predicted_labels(const Eigen::MatrixBase<Z>& scores) {
  using S = typename Z::Scalar;
  const ConstMatrixRef<S> z{scores};
  detail::check_scores<S>(z, "samples", z.cols(), {});
  Vector<Label> labels(z.cols());
  for (Index j = 0; j < z.cols(); ++j) labels[j] = static_cast<Label>(detail::predicted_class<S>(z, j));
  return labels;
}

/// Share of the samples, by weight, whose class is the predicted one: Σ w_i [ŷ_i = y_i] / Σ w_i, with ŷ as predicted_labels gives it.
///
/// Z (k,n), y (n), w (n) or none. The labels are 0 … k−1, for one output {0, 1} or {−1, +1}. Throws DataError for no samples, shapes,
/// labels or weights that do not fit, and a score of NaN.
template <class Z>
double accuracy(const Eigen::MatrixBase<Z>& scores, const Vector<Label>& labels, const Vector<double>& weights = {}) {
  using S = typename Z::Scalar;
  const ConstMatrixRef<S> z{scores};
  detail::check_classification<S>(z, labels, weights);
  return detail::share_of_weight(labels.size(), weights,
                                 [&](Index j) { return detail::predicted_class<S>(z, j) == detail::true_class(labels[j]); });
}

/// Share of the samples, by weight, whose class is among the `top` ones with the largest scores. Of equal scores those of higher classes
/// count as larger, as in scikit-learn; so with ties `top` = 1 may differ from the accuracy, which takes the first.
///
/// Z (k,n), k ≥ 2, y (n), w (n) or none. Throws OptionError for a `top` out of [1, k], and DataError as `accuracy` does.
template <class Z>
double top_k_accuracy(const Eigen::MatrixBase<Z>& scores, const Vector<Label>& labels, Index top, const Vector<double>& weights = {}) {
  using S = typename Z::Scalar;
  const ConstMatrixRef<S> z{scores};
  detail::check_classification<S>(z, labels, weights);
  if (z.rows() < 2) throw DataError("top_k_accuracy needs scores of at least 2 classes; got 1 row");
  if (top < 1 || top > z.rows()) throw OptionError(detail::text("top must be in [1, k]; got ", top, " (k = ", z.rows(), ")"));
  return detail::share_of_weight(labels.size(), weights,
                                 [&](Index j) { return detail::classes_before<S>(z, j, detail::true_class(labels[j])) < top; });
}

}  // namespace parade
