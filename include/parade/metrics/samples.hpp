// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include <parade/core/compensated_sum.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/math.hpp>

// What the metrics share. They go through the samples in order, on one thread, in double: the same bits everywhere. A sample of weight 0 is
// absent: neither its scores nor its label are looked at. What one sample gives and how the samples are summed are apart, so that Trainer::metrics can
// compute the one in parallel and has the other, with its bits, from here.
namespace parade::detail {

/// The weight of sample j: 1 where there are no weights.
inline double weight_of(const Vector<double>& weights, Index j) { return weights.size() == 0 ? 1 : weights[j]; }

/// Throws DataError unless there are samples and the weights fit them.
inline void check_weights(Index n, const Vector<double>& weights) {
  if (n == 0) throw DataError("a metric needs at least 1 sample; got 0");
  if (weights.size() == 0) return;
  if (weights.size() != n)
    throw DataError(text("weights must have one entry for each of the n samples, or none; got ", weights.size(), " (n = ", n, ")"));
  bool any = false;
  for (Index j = 0; j < n; ++j) {
    if (!(std::isfinite(weights[j]) && weights[j] >= 0))
      throw DataError(text("weights must be finite and at least 0; got ", weights[j], " for sample ", j));
    any |= weights[j] > 0;
  }
  if (!any) throw DataError(text("the weight of at least one sample must be above 0; all ", n, " are 0"));
}

/// Throws DataError where Z (k,n) and what it is compared with, n samples, do not fit, or where a score is NaN.
template <class S>
void check_scores(const ConstMatrixRef<S>& z, const char* what, Index n, const Vector<double>& weights) {
  if (z.cols() != n) throw DataError(text("scores must have one column for each of the n ", what, "; got ", z.cols(), " (n = ", n, ")"));
  check_weights(n, weights);
  if (z.rows() < 1) throw DataError("scores must have at least 1 row; got 0");
  for (Index j = 0; j < n; ++j)
    for (Index i = 0; weight_of(weights, j) != 0 && i < z.rows(); ++i)
      if (std::isnan(z(i, j))) throw DataError(text("score ", i, " of sample ", j, " is NaN; it must be a number"));
}

/// Throws DataError for a label that is none of the `classes` classes: 0 … classes − 1, or for two classes −1 and +1.
inline void check_label(Label y, Index sample, Index classes) {
  if (y >= classes || y < (classes == 2 ? -1 : 0))
    throw DataError(text("the label of sample ", sample, " is ", y, "; with ", classes, " classes it must be in [0, ", classes - 1, "]",
                         classes == 2 ? ", or else -1 or +1" : ""));
}

/// The same for all that have a weight above 0, and for two classes whose labels are of both kinds.
inline void check_labels(const Vector<Label>& labels, Index classes, const Vector<double>& weights) {
  bool zero = false, minus = false;
  for (Index j = 0; j < labels.size(); ++j) {
    if (weight_of(weights, j) == 0) continue;
    const Label y = labels[j];
    check_label(y, j, classes);
    zero |= y == 0;
    minus |= y < 0;
  }
  if (zero && minus) throw DataError("the labels of two classes must be 0 and 1, or else -1 and +1; there are both 0 and -1");
}

/// Classes that k outputs stand for.
inline Index classes_of(Index k) { return std::max<Index>(k, 2); }

/// All of the above, for scores of classes.
template <class S>
void check_classification(const ConstMatrixRef<S>& z, const Vector<Label>& labels, const Vector<double>& weights) {
  check_scores<S>(z, "labels", labels.size(), weights);
  check_labels(labels, classes_of(z.rows()), weights);
}

/// The class of a label that was checked: −1 is class 0.
inline Index true_class(Label y) { return y > 0 ? y : 0; }

/// argmax_i z_i, the first of equals; for one output 1 where z > 0, else 0: as Trainer::predict.
template <class S>
Index predicted_class(const ConstMatrixRef<S>& z, Index j) {
  if (z.rows() == 1) return z(0, j) > 0 ? 1 : 0;
  Index best = 0;
  for (Index i = 1; i < z.rows(); ++i)
    if (z(i, j) > z(best, j)) best = i;
  return best;
}

/// How many classes top_k_accuracy takes before class y: those with a larger score, or with the same and a higher number.
template <class S>
Index classes_before(const ConstMatrixRef<S>& z, Index j, Index y) {
  Index before = 0;
  for (Index i = 0; i < z.rows(); ++i) before += z(i, j) > z(y, j) || (i > y && z(i, j) == z(y, j)) ? 1 : 0;
  return before;
}

/// call(j, w) for every sample of weight w > 0.
template <class Call>
void for_each_sample(Index n, const Vector<double>& weights, const Call& call) {
  for (Index j = 0; j < n; ++j)
    if (const double w = weight_of(weights, j); w != 0) call(j, w);
}

/// How many samples have a weight above 0.
inline Index samples_present(Index n, const Vector<double>& weights) {
  Index samples = 0;
  for_each_sample(n, weights, [&](Index, double) { ++samples; });
  return samples;
}

/// Σ w_i
inline double total_weight(Index n, const Vector<double>& weights) {
  CompensatedSum sum;
  for_each_sample(n, weights, [&](Index, double w) { sum.add(w); });
  return sum.value();
}

/// Σ w_j [is(j)] / Σ w_j
template <class Is>
double share_of_weight(Index n, const Vector<double>& weights, const Is& is) {
  CompensatedSum sum;
  for_each_sample(n, weights, [&](Index j, double w) {
    if (is(j)) sum.add(w);
  });
  return sum.value() / total_weight(n, weights);
}

/// Σ w_j value(j) / Σ w_j
template <class Value>
double weighted_mean(Index n, const Vector<double>& weights, const Value& value) {
  CompensatedSum sum;
  for_each_sample(n, weights, [&](Index j, double w) { sum.add_product(w, value(j)); });
  return sum.value() / total_weight(n, weights);
}

/// Softmax of a column of scores in double, or for one output the logistic function.
class ClassProbabilities {
 public:
  /// Of column j of Z: Σ_i exp(z_i − top), with top = max_i z_i.
  template <class S>
  void read(const ConstMatrixRef<S>& z, Index j) {
    const Index k = z.rows();
    exps_.resize(static_cast<std::size_t>(classes_of(k)));
    if (k == 1) {  // the softmax of 0 and z
      exps_[0] = 0;
      exps_[1] = static_cast<double>(z(0, j));
    } else {
      for (Index i = 0; i < k; ++i) exps_[static_cast<std::size_t>(i)] = static_cast<double>(z(i, j));
    }
    const double top = *std::max_element(exps_.begin(), exps_.end());
    gaps_ = exps_;
    for (double& x : gaps_) x = top - x;
    for (double& x : exps_) x = x - top;
    kernels::transform(exps_.data(), static_cast<Index>(exps_.size()), [](auto x) { return kernels::exp<double>(x); });
    sum_ = 0;
    for (const double x : exps_) sum_ += x;
  }

  /// Whether there is one: not where the largest score is not finite.
  bool exist() const { return sum_ == sum_; }

  double probability(Index c) const { return exps_[static_cast<std::size_t>(c)] / sum_; }

  /// −log p_c
  double surprise(Index c) const {
    const auto own = static_cast<std::size_t>(c);
    double others = 0;
    for (std::size_t i = 0; i < exps_.size(); ++i)
      if (i != own) others += exps_[i];
    double log = (exps_[own] - 1) + others;  // exact where c has the largest score, so that no digits are lost as p_c goes to 1
    kernels::transform(&log, 1, [](auto x) { return kernels::log1p<double>(x); });
    return log + gaps_[own];
  }

 private:
  std::vector<double> exps_, gaps_;
  double sum_ = 0;
};

/// Throws DataError where the scores of sample j have no softmax.
inline void check_softmax(const ClassProbabilities& probabilities, Index j) {
  if (!probabilities.exist()) throw DataError(text("the scores of sample ", j, " have no softmax: the largest is not finite"));
}

}  // namespace parade::detail
