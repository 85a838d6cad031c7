// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include <parade/concepts/dataset.hpp>
#include <parade/concepts/loss.hpp>
#include <parade/concepts/model.hpp>
#include <parade/core/error.hpp>
#include <parade/core/report.hpp>
#include <parade/core/shard_plan.hpp>
#include <parade/engine/reduce.hpp>
#include <parade/engine/shard_worker.hpp>
#include <parade/engine/team.hpp>

namespace parade {

/// The class that scores stand for: argmax_j z_j, the first of equals; for one output 1 where z > 0, else 0.
template <class Derived>
Label predicted_label(const Eigen::MatrixBase<Derived>& scores) {
  if (scores.size() == 1) return scores(0) > 0 ? 1 : 0;
  Index best = 0;
  for (Index j = 1; j < scores.size(); ++j)
    if (scores(j) > scores(best)) best = j;
  return static_cast<Label>(best);
}

namespace detail {

/// Samples are evaluated in pieces of this size: a constant, so that sums do not depend on the number of threads.
inline constexpr Index evaluation_piece = 256;

/// Calls task(piece, worker, indices of the piece's samples) for every piece of [0, n), in parallel.
template <class Task>
void for_each_piece(Team& team, Index n, Task&& task) {
  std::vector<std::vector<Index>> indices(static_cast<std::size_t>(team.max_workers()));
  team.for_each((n + evaluation_piece - 1) / evaluation_piece, [&](Index piece, int worker) {
    auto& samples = indices[static_cast<std::size_t>(worker)];
    samples.resize(static_cast<std::size_t>(std::min(evaluation_piece, n - piece * evaluation_piece)));
    std::iota(samples.begin(), samples.end(), piece * evaluation_piece);
    task(piece, worker, std::span<const Index>(samples));
  });
}

/// Throws DataError where the shapes of model, loss and data do not fit.
template <class M, class L, class D>
void check_shapes(const M& model, const L& loss, const D& data) {
  if (data.num_features() != model.num_inputs())
    throw DataError(text("the model takes ", model.num_inputs(), " features a sample; the data has ", data.num_features()));
  if constexpr (std::is_same_v<typename L::Target, Label>) {
    if (!data.has_labels()) throw DataError("the loss needs a class label for every sample; the data has none");
  } else {
    if (data.num_targets() != model.num_outputs())
      throw DataError(
          text("the loss compares ", model.num_outputs(), " outputs with as many targets a sample; the data has ", data.num_targets()));
  }
  if constexpr (ChecksOutputs<L>)
    if (const std::string rule = loss.check_outputs(model.num_outputs()); !rule.empty())
      throw DataError(text(rule, "; the model has ", model.num_outputs()));
}

/// One pass over the data, in parallel: throws DataError for the first sample with a feature, target or weight that is not finite, or a
/// label that the loss does not take.
template <class Batch, class M, class L, class D>
void check_values(Team& team, const M& model, const L& loss, const D& data) {
  std::vector<Batch> batches(static_cast<std::size_t>(team.max_workers()));
  for_each_piece(team, data.size(), [&](Index, int worker, std::span<const Index> samples) {
    auto& batch = batches[static_cast<std::size_t>(worker)];
    data.reserve(batch, evaluation_piece);
    data.gather(samples, batch);
    const auto not_finite = [&](const char* what, Index row, Index j, double value) {
      throw DataError(text(what, ' ', row, " of sample ", samples[static_cast<std::size_t>(j)], " is ", value, "; it must be finite"));
    };
    const auto check = [&](const char* what, const auto& values) {
      if ((values - values).isZero(0)) return;
      for (Index j = 0; j < values.cols(); ++j)
        for (Index i = 0; i < values.rows(); ++i)
          if (!std::isfinite(values(i, j))) not_finite(what, i, j, static_cast<double>(values(i, j)));
    };
    if constexpr (requires { batch.input().isZero(0); }) check("feature", batch.input());
    for (Index j = 0; j < batch.size; ++j) {
      const Index sample = samples[static_cast<std::size_t>(j)];
      if (batch.weights.size() > 0 && !(batch.weights[j] >= 0 && std::isfinite(batch.weights[j])))
        throw DataError(text("the weight of sample ", sample, " is ", batch.weights[j], "; it must be finite and at least 0"));
      if constexpr (std::is_same_v<typename L::Target, Label> && ChecksTarget<L>)
        if (const std::string rule = loss.check_target(batch.labels[j], model.num_outputs()); !rule.empty())
          throw DataError(text("the label of sample ", sample, " is ", batch.labels[j], "; ", rule));
    }
    if constexpr (std::is_same_v<typename L::Target, Real>) check("target", batch.template target<Real>());
  });
}

}  // namespace detail

/// Loss, accuracy and confusion of a model on a data set, in parallel. Sums go over the canonical tree on pieces of fixed size; exact for
/// any n, and the same for any number of threads. `scores`, if given, receives Z (k,n).
template <class Batch, class M, class L, class D>
Evaluation evaluate(Team& team, const M& model, const L& loss, const Vector<typename M::Scalar>& theta, const D& data,
                    Matrix<typename M::Scalar>* scores = nullptr) {
  constexpr bool labelled = std::is_same_v<typename L::Target, Label>;
  using Counts = decltype(Evaluation::confusion);
  detail::check_shapes(model, loss, data);
  const Index n = data.size(), k = model.num_outputs();
  const auto pieces = static_cast<std::size_t>((n + detail::evaluation_piece - 1) / detail::evaluation_piece);
  const auto workers = static_cast<std::size_t>(team.max_workers());
  std::vector<detail::ShardWorker<M, L, Batch>> worker(workers);
  std::vector<BatchSum> sums(pieces);
  std::vector<double> right(pieces);  // Σ w_i over the samples that are predicted right
  const Index classes = std::max<Index>(k, 2);
  std::vector<Counts> confusion(labelled ? workers : 0, Counts::Zero(classes, classes));
  if (scores) scores->resize(k, n);

  detail::Preparation<M> preparation;
  team.run([&] {
    preparation.reserve(model, theta.size());
    preparation(model, theta, [&](Index count, auto&& work) { team.for_each(count, work); });
    const auto& prepared = preparation.get();
    detail::for_each_piece(team, n, [&](Index piece, int w, std::span<const Index> samples) {
      auto& own = worker[static_cast<std::size_t>(w)];
      own.reserve(model, data, detail::evaluation_piece);
      const auto p = static_cast<std::size_t>(piece);
      own.gather(data, samples);
      sums[p] = own.forward(model, loss, prepared, [&](const ConstMatrixRef<typename M::Scalar>& z) {
        if (scores) scores->middleCols(samples.front(), z.cols()) = z;
        if constexpr (labelled) {
          for (Index j = 0; j < z.cols(); ++j) {
            const Label guess = predicted_label(z.col(j)), truth = k == 1 ? (own.batch.labels[j] > 0 ? 1 : 0) : own.batch.labels[j];
            if (guess == truth) right[p] += own.batch.weights.size() > 0 ? own.batch.weights[j] : 1;
            if (truth >= 0 && truth < classes) ++confusion[static_cast<std::size_t>(w)](truth, guess);
          }
        }
      });
    });
  });

  const BatchSum total = detail::tree_sum(std::span<const BatchSum>(sums));
  Evaluation result;
  result.samples = n;
  result.weight = total.weight;
  if (total.weight > 0) result.loss = total.loss / total.weight;
  if constexpr (labelled) {
    if (total.weight > 0) result.accuracy = detail::tree_sum(std::span<const double>(right)) / total.weight;
    result.confusion = Counts::Zero(classes, classes);
    for (const Counts& counts : confusion) result.confusion += counts;
  }
  return result;
}

/// Scores Z (k,n), in parallel. Targets are not needed.
template <class Batch, class M, class D>
Matrix<typename M::Scalar> compute_scores(Team& team, const M& model, const Vector<typename M::Scalar>& theta, const D& data) {
  const auto workers = static_cast<std::size_t>(team.max_workers());
  std::vector<Batch> batches(workers);
  std::vector<typename M::Workspace> workspaces(workers);
  Matrix<typename M::Scalar> scores(model.num_outputs(), data.size());
  detail::Preparation<M> preparation;
  team.run([&] {
    preparation.reserve(model, theta.size());
    preparation(model, theta, [&](Index count, auto&& work) { team.for_each(count, work); });
    const auto& prepared = preparation.get();
    detail::for_each_piece(team, data.size(), [&](Index, int w, std::span<const Index> samples) {
      auto& batch = batches[static_cast<std::size_t>(w)];
      data.reserve(batch, detail::evaluation_piece);
      data.gather(samples, batch);
      scores.middleCols(samples.front(), batch.size) = model.forward(prepared, batch.input(), workspaces[static_cast<std::size_t>(w)]);
    });
  });
  return scores;
}

}  // namespace parade
