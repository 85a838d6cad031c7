// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>

// Weights for classes are weights of their samples, as in scikit-learn (class_weight) and PyTorch (cross_entropy with weight): the engine
// knows one kind of weight, and every loss on labels, every data set with weights and every metric takes it.
namespace parade {
namespace detail {

/// The class of a label among k ≥ 2: 0 … k−1, where −1 is class 0 of two. Throws DataError for another label.
inline Index class_of(Label y, Index sample, Index k) {
  if (y >= 0 && y < k) return y;
  if (y == -1 && k == 2) return 0;
  throw DataError(text("the label of sample ", sample, " is ", y, "; with ", k, " classes it must be in [0, ", k - 1, "]",
                       k == 2 ? ", or else -1 or +1" : ""));
}

}  // namespace detail

/// The weight of each sample from the weights c of the k classes, and from weights of its own if there are such:
///
///   w_i = c[y_i], or v_i c[y_i]          so that F(θ) = Σ_i v_i c[y_i] J_i / Σ_i v_i c[y_i] + …
///
///   trainer.fit(data.with_weights(parade::sample_weights(data.labels(), {1, 10})), …);      // before data is split: a Subset keeps weights
///
/// A class weight of 2 is the same as every sample of the class twice, 0 the same as none of them. Only ratios count: as the sum of weights
/// divides, weights {1, 10} and {0.1, 1} have the same F. PyTorch's cross_entropy(weight = c, reduction = "mean") divides alike. What
/// divides by the number of samples instead (Keras) has the same F only where the mean of w_i is 1, as it is for balanced weights.
/// The labels are 0 … k−1, or −1 and +1 for two classes. Throws DataError for another label, and for weights that are not finite or
/// negative.
inline Vector<double> sample_weights(const Vector<Label>& labels, const std::vector<double>& class_weights,
                                     const Vector<double>& own_weights = {}) {
  const auto k = static_cast<Index>(class_weights.size());
  if (k < 2) throw DataError(detail::text("class_weights must have an entry for each of at least 2 classes; got ", k));
  for (std::size_t c = 0; c < class_weights.size(); ++c)
    if (!(std::isfinite(class_weights[c]) && class_weights[c] >= 0))
      throw DataError(detail::text("class_weights must be finite and at least 0; got ", class_weights[c], " for class ", c));
  if (own_weights.size() != 0 && own_weights.size() != labels.size())
    throw DataError(detail::text("own_weights must have one entry for each of the n labels, or none; got ", own_weights.size(),
                                 " (n = ", labels.size(), ")"));
  Vector<double> weights(labels.size());
  for (Index i = 0; i < labels.size(); ++i) {
    const double c = class_weights[static_cast<std::size_t>(detail::class_of(labels[i], i, k))];
    weights[i] = own_weights.size() == 0 ? c : own_weights[i] * c;
  }
  return weights;
}

/// Class weights with which all k classes count the same, however many samples they have: c_j = n / (k n_j), as scikit-learn's
/// class_weight = "balanced". The mean of the samples' weights is 1. With labels 0, 0, 0, 1: {2/3, 2}.
/// Throws DataError for a label out of range, and for a class without samples.
inline std::vector<double> balanced_class_weights(const Vector<Label>& labels, Index classes) {
  if (classes < 2) throw DataError(detail::text("classes must be at least 2; got ", classes));
  std::vector<double> counts(static_cast<std::size_t>(classes));
  for (Index i = 0; i < labels.size(); ++i) ++counts[static_cast<std::size_t>(detail::class_of(labels[i], i, classes))];
  for (std::size_t c = 0; c < counts.size(); ++c) {
    if (counts[c] == 0) throw DataError(detail::text("class ", c, " has no samples, so that no weight can balance it"));
    counts[c] = static_cast<double>(labels.size()) / (static_cast<double>(classes) * counts[c]);
  }
  return counts;
}

}  // namespace parade
