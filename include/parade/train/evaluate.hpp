// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/concepts/dataset.hpp>
#include <parade/concepts/loss.hpp>
#include <parade/concepts/model.hpp>
#include <parade/concepts/windowed.hpp>
#include <parade/core/error.hpp>
#include <parade/core/report.hpp>
#include <parade/core/shard_plan.hpp>
#include <parade/engine/checks.hpp>
#include <parade/engine/reduce.hpp>
#include <parade/engine/shard_worker.hpp>
#include <parade/engine/team.hpp>
#include <parade/metrics/samples.hpp>

namespace parade {

/// The class that scores stand for: argmax_j z_j, the first of equals; for one output 1 where z > 0, else 0.
template <class Derived>
Label predicted_label(const Eigen::MatrixBase<Derived>& scores) {
  using S = typename Derived::Scalar;
  return static_cast<Label>(detail::predicted_class<S>(ConstMatrixRef<S>(scores), 0));
}

namespace detail {

/// Samples are evaluated in pieces of this size: a constant, so that sums do not depend on the number of threads.
inline constexpr Index evaluation_piece = 256;

/// Calls task(piece, worker, indices of the piece's samples) for every piece of [first, end), in parallel; pieces are counted from sample 0.
template <class Task>
void for_each_piece(Team& team, Range part, Task&& task) {
  std::vector<std::vector<Index>> indices(static_cast<std::size_t>(team.max_workers()));
  team.for_each((part.size() + evaluation_piece - 1) / evaluation_piece, [&](Index i, int worker) {
    auto& samples = indices[static_cast<std::size_t>(worker)];
    const Index begin = part.begin + i * evaluation_piece;
    samples.resize(static_cast<std::size_t>(std::min(evaluation_piece, part.end - begin)));
    std::iota(samples.begin(), samples.end(), begin);
    task(part.begin / evaluation_piece + i, worker, std::span<const Index>(samples));
  });
}

/// Samples that are brought into memory window by window, in their order: work(window, part) for each, where part is which samples of the whole these are.
/// All but the last are whole pieces.
template <WindowedData D, class Work>
void for_each_window(const D& data, Work&& work) {
  if (data.size() == 0) return;
  const auto stream = data.open({.batch_size = evaluation_piece, .epochs = 1, .shuffle = false});
  for (Index begin = 0; begin < data.size();) {
    const auto& window = stream->next();
    const Range part{begin, begin + static_cast<Index>(window.samples().size())};
    if (part.size() > 0) work(window, part);
    begin = part.end;
  }
}
template <class D, class Work>
void for_each_window(const D& data, Work&& work) {
  if (data.size() > 0) work(data, Range{0, data.size()});
}
/// What a training on the data visits: of a single window not all that it holds.
template <class D, class Work>
void for_each_window_to_train(const D& data, Work&& work) {
  if constexpr (Window<D>) {
    if (!data.samples().empty()) work(data, Range{0, static_cast<Index>(data.samples().size())});
  } else {
    for_each_window(data, work);
  }
}

/// What a pass over the data has seen, of which some is judged at its end.
struct SeenValues {
  bool zero = false, minus = false, weight = false;

  void add(const SeenValues& other) {
    zero |= other.zero;
    minus |= other.minus;
    weight |= other.weight;
  }
  template <class L>
  void check() const {
    if constexpr (HasTwoClasses<L>)
      if (zero && minus)
        throw DataError("the labels of a loss on two classes must be 0 and 1, or else -1 and +1; the data has both 0 and -1");
    if (!weight) throw DataError("the weight of at least one sample must be above 0; all are 0");
  }
};

/// Throws DataError for the first number of a gathered batch that is not finite. `samples`: their indices in the data.
template <class Derived>
void check_finite(const char* what, const Eigen::DenseBase<Derived>& values, std::span<const Index> samples) {
  if ((values.derived() - values.derived()).isZero(0)) return;
  for (Index j = 0; j < values.cols(); ++j)
    for (Index i = 0; i < values.rows(); ++i)
      if (!std::isfinite(values(i, j)))
        throw DataError(
            text(what, ' ', i, " of sample ", samples[static_cast<std::size_t>(j)], " is ", values(i, j), "; it must be finite"));
}
template <class M, class Batch>
void check_inputs([[maybe_unused]] const M& model, const Batch& batch, std::span<const Index> samples) {
  if constexpr (requires { check_finite("feature", batch.input(), samples); }) check_finite("feature", batch.input(), samples);
  if constexpr (ChecksInput<M> && requires { batch.input().col(0); })
    for (Index j = 0; j < batch.size; ++j)
      if (const std::string rule = model.check_input(batch.input().col(j)); !rule.empty())
        throw DataError(text("sample ", samples[static_cast<std::size_t>(j)], ": ", rule));
}

/// Throws DataError for the first feature, target or weight that is not finite, and for a label that the loss does not take.
template <class M, class L, class Batch>
void check_batch(const M& model, const L& loss, const Batch& batch, std::span<const Index> samples) {
  check_inputs(model, batch, samples);
  for (Index j = 0; j < batch.size; ++j) {
    const Index sample = samples[static_cast<std::size_t>(j)];
    if (batch.weights.size() > 0 && batch.weights[j] != 0) {
      const double weight = batch.weights[j];
      if (!(weight >= 0 && std::isfinite(weight)))
        throw DataError(text("the weight of sample ", sample, " is ", weight, "; it must be finite and at least 0"));
      if (!std::isnormal(static_cast<typename M::Scalar>(weight)))
        throw DataError(text("the weight of sample ", sample, " is ", weight, "; it must be 0 or in the range of the model's scalar type"));
    }
    if constexpr (std::is_same_v<typename L::Target, Label> && ChecksTarget<L>)
      if (const std::string rule = loss.check_target(batch.labels[j], model.num_outputs()); !rule.empty())
        throw DataError(text("the label of sample ", sample, " is ", batch.labels[j], "; ", rule));
  }
  if constexpr (std::is_same_v<typename L::Target, Real>) {
    const auto targets = batch.template target<Real>();  // (k,m)
    check_finite("target", targets, samples);
    if constexpr (ChecksRealTarget<L>)
      for (Index j = 0; j < targets.cols(); ++j)
        for (Index i = 0; i < targets.rows(); ++i)
          if (const std::string rule = loss.check_target(static_cast<double>(targets(i, j)), model.num_outputs()); !rule.empty())
            throw DataError(text("target ", i, " of sample ", samples[static_cast<std::size_t>(j)], " is ", targets(i, j), "; ", rule));
  }
}

/// One pass over the data, in parallel: throws DataError for the first sample with a value that check_batch refuses, for labels of a loss on two classes that
/// are neither 0 and 1 nor −1 and +1, and for weights that are all 0.
template <class Batch, class M, class L, class D>
void check_values(Team& team, const M& model, const L& loss, const D& data) {
  const auto workers = static_cast<std::size_t>(team.max_workers());
  std::vector<Batch> batches(workers);
  std::vector<SeenValues> seen(workers);
  for_each_window_to_train(data, [&](const auto& window, Range part) {
    for_each_piece(team, part, [&](Index piece, int w, std::span<const Index> samples) {
      if constexpr (Window<std::remove_cvref_t<decltype(window)>>)
        samples = window.samples().subspan(static_cast<std::size_t>(piece * evaluation_piece - part.begin), samples.size());
      const auto worker = static_cast<std::size_t>(w);
      auto& batch = batches[worker];
      window.reserve(batch, evaluation_piece);
      window.gather(samples, batch);
      check_batch(model, loss, batch, samples);
      if constexpr (HasTwoClasses<L>) {
        seen[worker].zero |= (batch.labels.head(batch.size).array() == 0).any();
        seen[worker].minus |= (batch.labels.head(batch.size).array() < 0).any();
      }
      seen[worker].weight |= batch.weights.size() == 0 || (batch.weights.head(batch.size).array() > 0).any();
    });
  });
  SeenValues all;
  for (const SeenValues& of : seen) all.add(of);
  all.check<L>();
}

}  // namespace detail

namespace detail {

/// The scores of all samples, piece by piece in parallel: check(batch, samples), then use(batch, Z (k,m), samples, worker).
template <class Batch, class M, class D, class Check, class Use>
void for_each_scores(Team& team, const M& model, const Vector<typename M::Scalar>& theta, const D& data, const Check& check,
                     const Use& use) {
  std::vector<Batch> batches(static_cast<std::size_t>(team.max_workers()));
  std::vector<typename M::Workspace> workspaces(batches.size());
  Preparation<M> preparation;
  team.run([&] {
    preparation.reserve(model, theta.size());
    preparation(model, theta, [&](Index count, auto&& work) { team.for_each(count, work); });
    const auto& prepared = preparation.get();
    for_each_window(data, [&](const auto& window, Range part) {
      for_each_piece(team, part, [&](Index, int w, std::span<const Index> samples) {
        auto& batch = batches[static_cast<std::size_t>(w)];
        window.reserve(batch, evaluation_piece);
        window.gather(samples, batch);
        check(batch, samples);
        auto&& scores = model.forward(prepared, batch.input(), workspaces[static_cast<std::size_t>(w)]);
        use(batch, ConstMatrixRef<typename M::Scalar>(scores), samples, w);
      });
    });
  });
}

}  // namespace detail

/// Loss, accuracy and confusion of a model on a data set, in parallel. Sums go over the canonical tree on pieces of fixed size; exact for
/// any n, and the same for any number of threads. `scores`, if given, receives Z (k,n). Throws DataError for a θ, shapes or values that a fit
/// would refuse.
template <class Batch, class M, class L, class D>
Evaluation evaluate(Team& team, const M& model, const L& loss, const Vector<typename M::Scalar>& theta, const D& data,
                    Matrix<typename M::Scalar>* scores = nullptr) {
  constexpr bool labelled = std::is_same_v<typename L::Target, Label>;
  using Counts = decltype(Evaluation::confusion);
  detail::check_theta(model.parameters().size(), theta.size());
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
    detail::for_each_window(data, [&](const auto& window, Range part) {
      detail::for_each_piece(team, part, [&](Index piece, int w, std::span<const Index> samples) {
        auto& own = worker[static_cast<std::size_t>(w)];
        own.reserve(model, window, detail::evaluation_piece);
        const auto p = static_cast<std::size_t>(piece);
        own.gather(window, samples);
        detail::check_batch(model, loss, own.batch, samples);
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

/// Scores Z (k,n), in parallel. Targets are not needed. Throws DataError for a θ, shapes or features that a fit would refuse.
template <class Batch, class M, class D>
Matrix<typename M::Scalar> compute_scores(Team& team, const M& model, const Vector<typename M::Scalar>& theta, const D& data) {
  detail::check_theta(model.parameters().size(), theta.size());
  detail::check_features(model, data);
  Matrix<typename M::Scalar> scores(model.num_outputs(), data.size());
  detail::for_each_scores<Batch>(
      team, model, theta, data, [&](const auto& batch, std::span<const Index> samples) { detail::check_inputs(model, batch, samples); },
      [&](const auto&, const auto& z, std::span<const Index> samples, int) { scores.middleCols(samples.front(), z.cols()) = z; });
  return scores;
}

}  // namespace parade
