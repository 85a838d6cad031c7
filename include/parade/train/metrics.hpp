// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <parade/concepts/dataset.hpp>
#include <parade/concepts/loss.hpp>
#include <parade/concepts/model.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/concepts/windowed.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/engine/checks.hpp>
#include <parade/engine/team.hpp>
#include <parade/metrics/accuracy.hpp>
#include <parade/metrics/calibration.hpp>
#include <parade/metrics/confusion_matrix.hpp>
#include <parade/metrics/log_loss.hpp>
#include <parade/metrics/regression.hpp>
#include <parade/metrics/samples.hpp>
#include <parade/train/evaluate.hpp>
#include <parade/train/sparse_evaluate.hpp>

namespace parade {

struct MetricsOptions {
  Index top = 5;    // ≥ 1: classes that top_k_accuracy looks at; where there are no more than these it is 1
  Index bins = 15;  // ≥ 1, of the calibration error

  void check() const {
    if (top < 1) throw OptionError(detail::text("top must be at least 1; got ", top));
    if (bins < 1) throw OptionError(detail::text("bins must be at least 1; got ", bins));
  }
};

/// Of a model that tells classes apart. Each figure is that of the function of its name on the scores, labels and weights, to the bit.
struct ClassMetrics {
  Index samples = 0;  // of weight above 0
  double weight = 0;  // W = Σ w_i
  double accuracy = 0;
  double top_k_accuracy = 0;
  double log_loss = 0;
  double expected_calibration_error = 0;
  std::vector<CalibrationBin> calibration;
  ConfusionMatrix confusion;
};

/// Of a model that gives numbers; with several outputs the mean of their figures. Each is that of the function of its name, to the bit, on targets in the
/// model's scalar type.
struct RegressionMetrics {
  Index samples = 0;  // of weight above 0
  double weight = 0;  // W = Σ w_i
  double mean_squared_error = 0;
  double root_mean_squared_error = 0;
  double mean_absolute_error = 0;
  double r_squared = 0;  // NaN for a single sample
};

namespace detail {

/// The weights, or none where all are 1.
inline Vector<double> unless_all_one(const Vector<double>& weights) {
  for (Index j = 0; j < weights.size(); ++j)
    if (weights[j] != 1) return weights;
  return {};
}

/// What the metrics of classes want to know of each sample.
class ClassSamples {
 public:
  ClassSamples(Index n, Index k, const MetricsOptions& options, int workers)
      : options_(options),
        classes_(classes_of(k)),
        labels_(n),
        guesses_(n),
        confidence_(n),
        surprise_(n),
        weights_(n),
        in_top_(static_cast<std::size_t>(n)),
        probabilities_(static_cast<std::size_t>(workers)) {}

  /// Samples first, first + 1, …: Z (k,m), y (≥ m), w (≥ m) or none. To be called for different samples at the same time, by different workers.
  template <class S>
  void add(const ConstMatrixRef<S>& z, const Vector<Label>& labels, const Vector<double>& weights, Index first, int worker) {
    for (Index j = 0; j < z.cols(); ++j) {
      const Index sample = first + j;
      const Label y = labels_[sample] = labels[j];
      weights_[sample] = weight_of(weights, j);
      guesses_[sample] = 0;
      if (weights_[sample] == 0) continue;
      check_label(y, sample, classes_);
      for (Index i = 0; i < z.rows(); ++i)
        if (std::isnan(z(i, j))) throw DataError(text("score ", i, " of sample ", sample, " is NaN; it must be a number"));
      const Index truth = true_class(y), guess = predicted_class<S>(z, j);
      ClassProbabilities& probabilities = probabilities_[static_cast<std::size_t>(worker)];
      probabilities.template read<S>(z, j);
      guesses_[sample] = static_cast<Label>(guess);
      confidence_[sample] = probabilities.probability(guess);
      surprise_[sample] = probabilities.surprise(truth);
      in_top_[static_cast<std::size_t>(sample)] =
          classes_ <= options_.top || (z.rows() == 1 ? guess == truth : classes_before<S>(z, j, truth) < options_.top);
    }
  }

  /// The sums, each in the order of the samples and by one worker.
  ClassMetrics result(Team& team) const {
    const Index n = labels_.size();
    check_weights(n, weights_);
    check_labels(labels_, classes_, weights_);
    const Vector<double> weights = unless_all_one(weights_);
    const auto right = [this](Index j) { return guesses_[j] == true_class(labels_[j]); };
    ClassMetrics result{samples_present(n, weights), total_weight(n, weights), 0, 0, 0, 0, {}, ConfusionMatrix{Evaluation{}}};
    team.for_each(5, [&](Index i, int) {
      if (i == 0) result.accuracy = share_of_weight(n, weights, right);
      if (i == 1)
        result.top_k_accuracy = share_of_weight(n, weights, [this](Index j) { return in_top_[static_cast<std::size_t>(j)] != 0; });
      if (i == 2) result.log_loss = weighted_mean(n, weights, [this](Index j) { return surprise_[j]; });
      if (i == 3) {
        result.calibration = calibration_bins(n, weights, options_.bins, [&](Index j) { return std::pair{confidence_[j], right(j)}; });
        result.expected_calibration_error = calibration_error(result.calibration, result.weight);
      }
      if (i == 4) result.confusion = ConfusionMatrix{classes_, guesses_, labels_, weights};
    });
    return result;
  }

 private:
  MetricsOptions options_;
  Index classes_;
  Vector<Label> labels_, guesses_;
  Vector<double> confidence_, surprise_, weights_;  // confidence: the probability of the guess; surprise: −log p of the label
  std::vector<char> in_top_;
  std::vector<ClassProbabilities> probabilities_;  // one for each worker
};

/// What the metrics of regression want to know of each sample.
template <class S>
class RegressionSamples {
 public:
  RegressionSamples(Index n, Index k, const MetricsOptions&, int) : scores_(k, n), targets_(k, n), weights_(n) {}

  /// As ClassSamples::add, with Y (k,m).
  void add(const ConstMatrixRef<S>& z, const ConstMatrixRef<S>& y, const Vector<double>& weights, Index first, int) {
    scores_.middleCols(first, z.cols()) = z;
    targets_.middleCols(first, z.cols()) = y;
    for (Index j = 0; j < z.cols(); ++j) weights_[first + j] = weight_of(weights, j);
  }

  RegressionMetrics result(Team& team) const {
    const Index n = targets_.cols(), k = targets_.rows();
    const Vector<double> weights = unless_all_one(weights_);
    const ConstMatrixRef<S> z(scores_), y(targets_);
    check_regression(z, y, weights);
    RegressionMetrics result;
    result.samples = samples_present(n, weights);
    result.weight = total_weight(n, weights);
    std::vector<ScaledMean> squares(static_cast<std::size_t>(k));
    Matrix<double> figures(2, k);
    team.for_each(3 * k, [&](Index task, int) {
      const Index i = task / 3;
      if (task % 3 == 0) squares[static_cast<std::size_t>(i)] = mean_square(z, y, i, weights, result.weight);
      if (task % 3 == 1) figures(0, i) = mean_size(z, y, i, weights, result.weight).of_sizes();
      if (task % 3 == 2) figures(1, i) = result.samples > 1 ? explained_share(z, y, i, weights) : std::numeric_limits<double>::quiet_NaN();
    });
    result.mean_squared_error = mean_over_outputs(k, [&](Index i) { return squares[static_cast<std::size_t>(i)].of_squares(); });
    result.root_mean_squared_error = mean_over_outputs(k, [&](Index i) { return squares[static_cast<std::size_t>(i)].root_of_squares(); });
    result.mean_absolute_error = mean_over_outputs(k, [&](Index i) { return figures(0, i); });
    result.r_squared = mean_over_outputs(k, [&](Index i) { return figures(1, i); });
    return result;
  }

 private:
  Matrix<S> scores_, targets_;  // (k,n)
  Vector<double> weights_;      // (n)
};

template <class L, class S>
using MetricSamples = std::conditional_t<std::is_same_v<typename L::Target, Label>, ClassSamples, RegressionSamples<S>>;

template <class M, class L, class D>
void check_for_metrics(const M& model, const L& loss, Index parameters, const D& data, const MetricsOptions& options) {
  options.check();
  check_theta(model.parameters().size(), parameters);
  check_shapes(model, loss, data);
  if (data.size() == 0) throw DataError("a metric needs at least 1 sample; got 0");
}

}  // namespace detail

/// The metrics of a model on a data set, see Trainer::metrics: what a sample gives is computed in parallel, and what they add up to in the order of the
/// samples: the same bits for any number of threads. Throws as `evaluate` does, OptionError for options that break a rule, and DataError for no samples,
/// weights that are all 0, labels that are no class, and scores of a sample with a weight above 0 that are NaN or have no softmax.
template <class Batch, class M, class L, class D>
auto compute_metrics(Team& team, const M& model, const L& loss, const Vector<typename M::Scalar>& theta, const D& data,
                     const MetricsOptions& options = {}) {
  using Scalar = typename M::Scalar;
  detail::check_for_metrics(model, loss, theta.size(), data, options);
  detail::MetricSamples<L, Scalar> seen(data.size(), model.num_outputs(), options, team.max_workers());
  detail::for_each_scores<Batch>(
      team, model, theta, data,
      [&](const auto& batch, std::span<const Index> samples) { detail::check_batch(model, loss, batch, samples); },
      [&](const auto& batch, const ConstMatrixRef<Scalar>& z, std::span<const Index> samples, int w) {
        if constexpr (std::is_same_v<typename L::Target, Label>)
          seen.template add<Scalar>(z, batch.labels, batch.weights, samples.front(), w);
        else
          seen.add(z, batch.template target<Real>(), batch.weights, samples.front(), w);
      });
  return seen.result(team);
}

/// As compute_metrics, for sparse rows.
template <SparseModel M, class L, class D>
  requires SparseDataFor<D, M> || WindowedSparseFor<D, M>
auto compute_sparse_metrics(Team& team, const M& model, const L& loss, const Vector<typename M::Scalar>& theta, const D& data,
                            const MetricsOptions& options = {}) {
  using Scalar = typename M::Scalar;
  struct Worker {
    Matrix<Scalar> scores, targets;
    Vector<Label> labels;
    Vector<double> weights;
  };
  detail::check_for_metrics(model, loss, theta.size(), data, options);
  detail::check_sparse_values(team, model, loss, data, false, true);
  detail::MetricSamples<L, Scalar> seen(data.size(), model.num_outputs(), options, team.max_workers());
  std::vector<Worker> workers(static_cast<std::size_t>(team.max_workers()));
  detail::SparseScores<M> scores_of(team, model, theta);
  detail::for_each_window(data, [&](const auto& window, Range part) {
    detail::for_each_rows(team, part, [&](Index, int w, Range rows) {
      Worker& own = workers[static_cast<std::size_t>(w)];
      const Index first = part.begin + rows.begin;
      own.scores.resize(model.num_outputs(), rows.size());
      scores_of(window, rows, w, MatrixRef<Scalar>(own.scores));
      if (window.has_weights()) own.weights = window.weights().segment(rows.begin, rows.size());
      const ConstMatrixRef<Scalar> z(own.scores);
      if constexpr (std::is_same_v<typename L::Target, Label>) {
        own.labels = window.labels().segment(rows.begin, rows.size());
        seen.template add<Scalar>(z, own.labels, own.weights, first, w);
      } else {
        own.targets = window.targets().middleCols(rows.begin, rows.size()).template cast<Scalar>();
        seen.add(z, own.targets, own.weights, first, w);
      }
    });
  });
  return seen.result(team);
}

}  // namespace parade
