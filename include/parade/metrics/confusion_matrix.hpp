// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <iomanip>
#include <ostream>
#include <sstream>
#include <string>

#include <parade/core/error.hpp>
#include <parade/core/report.hpp>
#include <parade/core/types.hpp>
#include <parade/metrics/samples.hpp>

namespace parade {

/// How the figures of the classes become one.
enum class Average {
  macro,     // their mean: every class counts the same, also one without samples, with 0
  micro,     // from the sums over the classes; where every sample has one class, all three figures are the accuracy
  weighted,  // their mean, each class by the weight of its samples
};

/// What was predicted for the samples of each class: a row for each true class, a column for each predicted one. Per class c, with the
/// weights w of the samples (1 unless given):
///
///   precision = right / predicted as c          recall = right / of class c          F1 = 2 right / (predicted as c + of class c)
///
/// the harmonic mean of the two. Where nothing is divided by nothing the figure is 0. As scikit-learn's, with labels = 0 … k−1 and
/// zero_division = 0.
///
///   std::cout << parade::ConfusionMatrix{trainer.evaluate(test)};                     // prints the table, with the recall of each row
///   const parade::ConfusionMatrix matrix{trainer.scores(test), test.labels()};
///   matrix.f1(parade::Average::macro);
class ConfusionMatrix {
 public:
  using Counts = decltype(Evaluation::confusion);

  /// The counts of an evaluation, every sample with weight 1. An evaluation without class labels has no classes.
  explicit ConfusionMatrix(const Evaluation& evaluation) : counts_(evaluation.confusion), weights_(counts_.cast<double>()) {}

  /// Z (k,n), y (n), w (n) or none; the prediction is predicted_labels(scores). The labels are 0 … k−1, for one output {0, 1} or {−1, +1}.
  /// Throws DataError for no samples, shapes, labels or weights that do not fit, and a score of NaN. Samples of weight 0 do not count.
  template <class Z>
  ConfusionMatrix(const Eigen::MatrixBase<Z>& scores, const Vector<Label>& labels, const Vector<double>& weights = {}) {
    using S = typename Z::Scalar;
    const ConstMatrixRef<S> z{scores};
    detail::check_classification<S>(z, labels, weights);
    add(detail::classes_of(z.rows()), labels, weights, [&](Index j) { return detail::predicted_class<S>(z, j); });
  }

  /// The same from predicted classes (n), for k ≥ 2 classes.
  ConfusionMatrix(Index classes, const Vector<Label>& predicted, const Vector<Label>& labels, const Vector<double>& weights = {}) {
    if (classes < 2) throw DataError(detail::text("a confusion matrix needs at least 2 classes; got ", classes));
    if (predicted.size() != labels.size())
      throw DataError(
          detail::text("predicted must have one entry for each of the n labels; got ", predicted.size(), " (n = ", labels.size(), ")"));
    detail::check_weights(labels.size(), weights);
    detail::check_labels(labels, classes, weights);
    detail::check_labels(predicted, classes, weights);
    add(classes, labels, weights, [&](Index j) { return detail::true_class(predicted[j]); });
  }

  Index classes() const { return counts_.rows(); }
  std::int64_t count(Index truth, Index predicted) const { return counts_(truth, predicted); }  // samples
  double weight(Index truth, Index predicted) const { return weights_(truth, predicted); }      // Σ w_i of them

  /// Σ w_i of the samples of class c, and of those predicted as c.
  double of_class(Index c) const {
    return sum([&](Index i) { return weights_(c, i); });
  }
  double predicted_as(Index c) const {
    return sum([&](Index i) { return weights_(i, c); });
  }

  /// Of the samples of class c, the share predicted as c; 0 without samples.
  double recall(Index c) const { return share(weights_(c, c), of_class(c)); }
  /// Of the samples predicted as c, the share of class c; 0 without samples.
  double precision(Index c) const { return share(weights_(c, c), predicted_as(c)); }
  double f1(Index c) const { return share(2 * weights_(c, c), of_class(c) + predicted_as(c)); }

  double recall(Average how) const {
    return average(how, [this](Index c) { return recall(c); });
  }
  double precision(Average how) const {
    return average(how, [this](Index c) { return precision(c); });
  }
  double f1(Average how) const {
    return average(how, [this](Index c) { return f1(c); });
  }

  /// Share of all samples that was right; 0 without samples.
  double accuracy() const {
    return share(sum([this](Index c) { return weights_(c, c); }), sum([this](Index c) { return of_class(c); }));
  }

  friend std::ostream& operator<<(std::ostream& out, const ConfusionMatrix& matrix) {
    const auto entry = [&](Index r, Index c) {  // a count, or a weight where there are weights
      return matrix.weighted_ ? detail::text(std::setprecision(4), matrix.weights_(r, c)) : std::to_string(matrix.counts_(r, c));
    };
    std::size_t longest = std::to_string(matrix.classes()).size();
    for (Index r = 0; r < matrix.classes(); ++r)
      for (Index c = 0; c < matrix.classes(); ++c) longest = std::max(longest, entry(r, c).size());
    const int width = 2 + static_cast<int>(longest);
    const auto flags = out.flags();
    const auto precision = out.precision();
    out << std::right << "true \\ predicted\n     ";
    for (Index c = 0; c < matrix.classes(); ++c) out << std::setw(width) << c;
    out << "   recall\n";
    for (Index r = 0; r < matrix.classes(); ++r) {
      out << std::setw(5) << r;
      for (Index c = 0; c < matrix.classes(); ++c) out << std::setw(width) << entry(r, c);
      out << std::setw(7) << std::fixed << std::setprecision(1) << 100 * matrix.recall(r) << " %\n";
    }
    out.flags(flags);
    out.precision(precision);
    return out;
  }

 private:
  static double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

  template <class Predict>
  void add(Index classes, const Vector<Label>& labels, const Vector<double>& weights, const Predict& predict) {
    counts_ = Counts::Zero(classes, classes);
    weights_ = Matrix<double>::Zero(classes, classes);
    weighted_ = weights.size() > 0;
    detail::for_each_sample(labels.size(), weights, [&](Index j, double w) {
      const Index truth = detail::true_class(labels[j]), guess = predict(j);
      ++counts_(truth, guess);
      weights_(truth, guess) += w;
    });
  }

  /// Σ_c term(c)
  template <class Term>
  double sum(const Term& term) const {
    detail::CompensatedSum total;
    for (Index c = 0; c < classes(); ++c) total.add(term(c));
    return total.value();
  }

  template <class Figure>
  double average(Average how, const Figure& figure) const {
    if (classes() == 0) return 0;
    if (how == Average::micro) return accuracy();  // Σ right / Σ predicted = Σ right / Σ of class
    if (how == Average::macro) return sum(figure) / static_cast<double>(classes());
    detail::CompensatedSum total;
    for (Index c = 0; c < classes(); ++c) total.add_product(of_class(c), figure(c));
    return share(total.value(), sum([this](Index c) { return of_class(c); }));
  }

  Counts counts_;
  Matrix<double> weights_;
  bool weighted_ = false;
};

}  // namespace parade
