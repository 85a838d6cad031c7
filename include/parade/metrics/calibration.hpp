// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/metrics/samples.hpp>

namespace parade {

/// The samples whose confidence lies in one bin of a reliability diagram.
struct CalibrationBin {
  double weight = 0;      // Σ w_i
  double confidence = 0;  // mean probability of the predicted class, by weight; 0 without samples
  double accuracy = 0;    // share predicted right, by weight; 0 without samples
};

namespace detail {

/// The bins of samples whose confidence and whether the prediction is right are known: outcome(j) → {confidence, right}.
template <class Outcome>
std::vector<CalibrationBin> calibration_bins(Index n, const Vector<double>& weights, Index bins, const Outcome& outcome) {
  struct Sums {
    CompensatedSum weight, confidence, right;
  };
  std::vector<Sums> sums(static_cast<std::size_t>(bins));
  for_each_sample(n, weights, [&](Index j, double w) {
    const auto [confidence, right] = outcome(j);
    if (std::isnan(confidence)) throw DataError(text("the scores of sample ", j, " have no softmax: the largest is not finite"));
    const double place = std::ceil(confidence * static_cast<double>(bins));  // in [1, bins], up to rounding
    Sums& bin = sums[static_cast<std::size_t>(std::clamp<Index>(static_cast<Index>(place) - 1, 0, bins - 1))];
    bin.weight.add(w);
    bin.confidence.add_product(w, confidence);
    if (right) bin.right.add(w);
  });
  std::vector<CalibrationBin> result;
  for (const Sums& bin : sums) {
    const double weight = bin.weight.value();
    result.push_back(weight > 0 ? CalibrationBin{weight, bin.confidence.value() / weight, bin.right.value() / weight} : CalibrationBin{});
  }
  return result;
}

/// Σ_b W_b / W |accuracy_b − confidence_b|
inline double calibration_error(const std::vector<CalibrationBin>& bins, double weight) {
  CompensatedSum sum;
  for (const CalibrationBin& bin : bins) sum.add_product(bin.weight, std::abs(bin.accuracy - bin.confidence));
  return sum.value() / weight;
}

}  // namespace detail

/// A reliability diagram: the samples in M bins of equal width by their confidence, the probability max_i p_i of the predicted class; bin b
/// holds those in (b/M, (b+1)/M], b = 0 … M−1. p is the softmax of the scores, for one output the logistic function, with confidence
/// max(p, 1 − p).
///
/// Z (k,n), y (n), w (n) or none. Throws OptionError for bins < 1, and DataError for no samples, shapes, labels or weights that do not fit,
/// and a score that is NaN or +∞.
template <class Z>
std::vector<CalibrationBin> calibration_bins(const Eigen::MatrixBase<Z>& scores, const Vector<Label>& labels, Index bins = 15,
                                             const Vector<double>& weights = {}) {
  using S = typename Z::Scalar;
  const ConstMatrixRef<S> z{scores};
  if (bins < 1) throw OptionError(detail::text("bins must be at least 1; got ", bins));
  detail::check_classification<S>(z, labels, weights);
  detail::ClassProbabilities probabilities;
  return detail::calibration_bins(labels.size(), weights, bins, [&](Index j) {
    probabilities.read<S>(z, j);
    const Index guess = detail::predicted_class<S>(z, j);
    return std::pair{probabilities.probability(guess), guess == detail::true_class(labels[j])};
  });
}

/// Expected calibration error (Guo et al. 2017: "On calibration of modern neural networks"): how far confidence and accuracy are apart,
/// over the bins of the reliability diagram, by weight:
///
///   Σ_b W_b / W |accuracy_b − confidence_b|
///
/// In [0, 1]; 0 for a model whose probabilities are what happens. 15 bins as in the paper. It depends on the number of bins: compare
/// figures of the same number only.
/// Arguments and errors as calibration_bins.
template <class Z>
double expected_calibration_error(const Eigen::MatrixBase<Z>& scores, const Vector<Label>& labels, Index bins = 15,
                                  const Vector<double>& weights = {}) {
  const auto diagram = calibration_bins(scores, labels, bins, weights);  // first: it checks the weights
  return detail::calibration_error(diagram, detail::total_weight(labels.size(), weights));
}

}  // namespace parade
