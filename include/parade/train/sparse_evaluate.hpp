// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/concepts/loss.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/core/error.hpp>
#include <parade/core/report.hpp>
#include <parade/core/shard_plan.hpp>
#include <parade/engine/batch_sum.hpp>
#include <parade/engine/checks.hpp>
#include <parade/engine/reduce.hpp>
#include <parade/engine/shard_worker.hpp>
#include <parade/engine/sparse_rows_view.hpp>
#include <parade/engine/sparse_sums_training.hpp>
#include <parade/engine/team.hpp>
#include <parade/train/evaluate.hpp>

namespace parade {
namespace detail {

/// Calls task(piece, worker, rows of the piece) for every piece of [part.begin, part.end), in parallel. Rows are counted from part.begin, pieces from row 0 of
/// the whole data.
template <class Task>
void for_each_rows(Team& team, Range part, Task&& task) {
  team.for_each((part.size() + evaluation_piece - 1) / evaluation_piece, [&](Index i, int worker) {
    task(part.begin / evaluation_piece + i, worker, Range{i * evaluation_piece, std::min(part.size(), (i + 1) * evaluation_piece)});
  });
}

/// Throws DataError for an entry of row i, which is sample `sample`, that is not finite.
template <class Scalar, class Value>
void check_entries(const SparseRowsView<Value>& rows, Index i, Index sample) {
  if (!rows.values) return;
  for (Index entry = rows.begin(i); entry < rows.end(i); ++entry)
    if (!std::isfinite(static_cast<Scalar>(rows.values[entry])))
      throw DataError(text("feature ", rows.indices[entry], " of sample ", sample, " is ", rows.values[entry],
                           "; it must be finite in the model's scalar type"));
}

/// The number that a row of data, or of a window on them, has in the whole, which begins `begin` rows before these data.
template <class D>
Index number_of_row(const D& data, Index row, Index begin) {
  if constexpr (Window<D>)
    return data.number(row);
  else
    return begin + row;
}

/// As check_values, for sparse rows; where they are not `for_training`, labels 0 and −1 may stand beside each other and all weights be 0. Of a single window a
/// training visits some rows, and all else goes over all that it holds: `all_rows`.
template <class M, class L, class D>
void check_sparse_values(Team& team, const M& model, const L& loss, const D& all, bool for_training = true, bool all_rows = false) {
  struct alignas(64) Seen : SeenValues {};
  std::vector<Seen> seen(static_cast<std::size_t>(team.max_workers()));
  const auto look = [&](const auto& data, Range part) {
    const SparseRowsView rows(data);
    for_each_rows(team, part, [&](Index, int worker, Range piece) {
      Seen& own = seen[static_cast<std::size_t>(worker)];
      for (Index at = piece.begin; at < piece.end; ++at) {
        Index i = at;
        if constexpr (Window<std::remove_cvref_t<decltype(data)>>)
          if (!Window<D> || !all_rows) i = data.samples()[static_cast<std::size_t>(at)];
        const Index sample = number_of_row(data, i, part.begin);
        const double weight = data.has_weights() ? data.weights()[i] : 1;
        own.weight |= weight > 0;
        if (weight != 0 && !std::isnormal(static_cast<typename M::Scalar>(weight)))
          throw DataError(
              text("the weight of sample ", sample, " is ", weight, "; it must be 0 or in the range of the model's scalar type"));
        check_entries<typename M::Scalar>(rows, i, sample);
        if constexpr (std::is_same_v<typename L::Target, Label>) {
          const Label label = data.labels()[i];
          own.zero |= label == 0;
          own.minus |= label < 0;
          if constexpr (ChecksTarget<L>)
            if (const std::string rule = loss.check_target(label, model.num_outputs()); !rule.empty())
              throw DataError(text("the label of sample ", sample, " is ", label, "; ", rule));
        } else {
          for (Index c = 0; c < data.num_targets(); ++c) {
            const auto target = static_cast<typename M::Scalar>(data.targets()(c, i));
            if (!std::isfinite(target))
              throw DataError(text("target ", c, " of sample ", sample, " is ", data.targets()(c, i),
                                   "; it must be finite in the model's scalar type"));
            if constexpr (ChecksRealTarget<L>)
              if (const std::string rule = loss.check_target(static_cast<double>(target), model.num_outputs()); !rule.empty())
                throw DataError(text("target ", c, " of sample ", sample, " is ", target, "; ", rule));
          }
        }
      }
    });
  };
  all_rows ? for_each_window(all, look) : for_each_window_to_train(all, look);
  if (!for_training) return;
  SeenValues total;
  for (const Seen& of : seen) total.add(of);
  total.check<L>();
}

/// The scores Z (k, rows) of a model at θ for sparse rows, for one worker after the other or at the same time. `theta` must outlive it.
template <class M>
class SparseScores;

/// Of a linear model, in the canonical order of row_scores.
template <LinearModel M>
class SparseScores<M> {
 public:
  using Scalar = typename M::Scalar;

  SparseScores(Team& team, const M& model, const Vector<Scalar>& theta)
      : k_(model.num_outputs()),
        weight_(theta.data() + model.parameters()["weight"].offset),
        bias_(model.parameters().contains("bias") ? theta.data() + model.parameters()["bias"].offset : nullptr),
        sums_(static_cast<std::size_t>(team.max_workers())) {}

  template <class D>
  void operator()(const D& data, Range piece, int worker, MatrixRef<Scalar> scores) {
    const SparseRowsView rows(data);
    Vector<Scalar>& sums = sums_[static_cast<std::size_t>(worker)];
    sums.resize(4 * k_);
    const auto all_rows = [&](auto ones) {
      for (Index i = piece.begin; i < piece.end; ++i) {
        const Index begin = rows.begin(i), count = rows.end(i) - begin;
        const auto* values = rows.values ? rows.values + begin : nullptr;
        Scalar* z = &scores(0, i - piece.begin);
        if (k_ == 1)
          z[0] = row_score<Scalar, ones>(rows.indices + begin, values, count, [&](Index feature) { return weight_[feature]; });
        else
          row_scores<Scalar, ones>(
              rows.indices + begin, values, count, k_, [&](Index feature, Index c) { return weight_[feature * k_ + c]; }, sums.data(), z);
        for (Index c = 0; bias_ && c < k_; ++c) z[c] += bias_[c];
      }
    };
    rows.values ? all_rows(std::false_type{}) : all_rows(std::true_type{});
  }

 private:
  Index k_;
  const Scalar *weight_, *bias_;
  std::vector<Vector<Scalar>> sums_;  // (4k) of each worker
};

/// Of a model that sums over features.
template <SumsFeatures M>
class SparseScores<M> {
 public:
  using Scalar = typename M::Scalar;

  SparseScores(Team& team, const M& model, const Vector<Scalar>& theta)
      : model_(model), remainder_(model.remainder()), theta_(theta), workers_(static_cast<std::size_t>(team.max_workers())) {
    const auto places = places_of_remainder(model, remainder_);
    Vector<Scalar> rest(remainder_.parameters().size());
    Index to = 0;
    for (const Range place : places) {
      rest.segment(to, place.size()) = theta.segment(place.begin, place.size());
      to += place.size();
    }
    preparation_.reserve(remainder_, rest.size());
    preparation_(remainder_, rest, [&](Index pieces, auto&& work) { team.for_each(pieces, work); });
    for (std::size_t j = 0; j < blocks_.size(); ++j) blocks_[j] = model.feature_block(j);
  }

  template <class D>
  void operator()(const D& data, Range piece, int worker, MatrixRef<Scalar> scores) {
    const SparseRowsView rows(data);
    Worker& own = workers_[static_cast<std::size_t>(worker)];
    const Index e = model_.num_sums(), m = piece.size();
    if (own.sums.cols() < m) {
      own.sums.resize(e, evaluation_piece);
      if constexpr (ReservesWorkspace<Remainder>) remainder_.reserve(own.workspace, evaluation_piece);
    }
    const auto columns_of = [&](Index feature) {
      std::array<const Scalar*, M::num_feature_blocks> columns;
      for (std::size_t j = 0; j < columns.size(); ++j) columns[j] = theta_.data() + blocks_[j].offset + feature * blocks_[j].rows;
      return columns;
    };
    for (Index j = 0; j < m; ++j) {
      const Index row = piece.begin + j;
      sum_features(model_, rows, {rows.begin(row), rows.end(row)}, columns_of, own.sums.data() + j * e, e);
    }
    scores = remainder_.forward(preparation_.get(), ConstMatrixRef<Scalar>(own.sums.leftCols(m)), own.workspace);
  }

 private:
  using Remainder = std::remove_cvref_t<decltype(std::declval<const M&>().remainder())>;
  struct alignas(64) Worker {
    Matrix<Scalar> sums;  // (e,m)
    typename Remainder::Workspace workspace;
  };

  const M& model_;
  Remainder remainder_;
  const Vector<Scalar>& theta_;
  Preparation<Remainder> preparation_;
  std::array<ParameterBlock, M::num_feature_blocks> blocks_;
  std::vector<Worker> workers_;
};

}  // namespace detail

/// As compute_scores, for sparse rows.
template <SparseModel M, class D>
  requires SparseDataFor<D, M> || WindowedSparseFor<D, M> Matrix<typename M::Scalar> compute_sparse_scores(
      Team& team, const M& model, const Vector<typename M::Scalar>& theta, const D& data) {
    using Scalar = typename M::Scalar;
    detail::check_theta(model.parameters().size(), theta.size());
    detail::check_features(model, data);
    detail::SparseScores<M> scores_of(team, model, theta);
    Matrix<Scalar> scores(model.num_outputs(), data.size());
    detail::for_each_window(data, [&](const auto& window, Range part) {
      const detail::SparseRowsView view(window);
      detail::for_each_rows(team, part, [&](Index, int worker, Range rows) {
        for (Index i = rows.begin; i < rows.end; ++i) detail::check_entries<Scalar>(view, i, detail::number_of_row(window, i, part.begin));
        scores_of(window, rows, worker, scores.middleCols(part.begin + rows.begin, rows.size()));
      });
    });
    return scores;
  }

/// As evaluate, for sparse rows: loss, accuracy and confusion, in parallel, over the canonical tree on pieces of fixed size.
template <SparseModel M, class L, class D>
  requires SparseDataFor<D, M> || WindowedSparseFor<D, M> Evaluation evaluate_sparse(Team& team, const M& model, const L& loss,
                                                                                     const Vector<typename M::Scalar>& theta,
                                                                                     const D& all) {
    using Scalar = typename M::Scalar;
    constexpr bool labelled = std::is_same_v<typename L::Target, Label>;
    using Counts = decltype(Evaluation::confusion);
    detail::check_theta(model.parameters().size(), theta.size());
    detail::check_shapes(model, loss, all);
    if (all.size() > 0) detail::check_sparse_values(team, model, loss, all, false, true);
    const Index n = all.size(), k = model.num_outputs();
    const auto pieces = static_cast<std::size_t>((n + detail::evaluation_piece - 1) / detail::evaluation_piece);
    struct Worker {
      Matrix<Scalar> scores, dscores, targets;
      Vector<Scalar> values;
      Vector<Label> labels;
      Vector<double> weights;
      Counts confusion;
    };
    const Index classes = std::max<Index>(k, 2);
    std::vector<Worker> workers(static_cast<std::size_t>(team.max_workers()));
    detail::SparseScores<M> scores_of(team, model, theta);
    std::vector<BatchSum> sums(pieces);
    std::vector<double> right(pieces);
    const auto evaluate_piece = [&](const auto& data, Index piece, int w, Range rows) {
      Worker& own = workers[static_cast<std::size_t>(w)];
      const Index m = rows.size();
      const auto p = static_cast<std::size_t>(piece);
      own.scores.resize(k, m);
      own.dscores.resize(k, m);
      own.values.resize(m);
      scores_of(data, rows, w, MatrixRef<Scalar>(own.scores));
      const ConstMatrixRef<Scalar> z = own.scores;
      if (data.has_weights()) own.weights = data.weights().segment(rows.begin, m);
      if constexpr (labelled) {
        own.labels = data.labels().segment(rows.begin, m);
        loss.value_and_gradient(z, TargetsRef<Label, Scalar>(own.labels), VectorRef<Scalar>(own.values), MatrixRef<Scalar>(own.dscores));
        if (own.confusion.size() == 0) own.confusion = Counts::Zero(classes, classes);
        for (Index j = 0; j < m; ++j) {
          const Label guess = predicted_label(own.scores.col(j)), truth = k == 1 ? (own.labels[j] > 0 ? 1 : 0) : own.labels[j];
          if (guess == truth) right[p] += data.has_weights() ? own.weights[j] : 1;
          if (truth >= 0 && truth < classes) ++own.confusion(truth, guess);
        }
      } else {
        own.targets = data.targets().middleCols(rows.begin, m).template cast<Scalar>();
        loss.value_and_gradient(z, TargetsRef<Real, Scalar>(own.targets), VectorRef<Scalar>(own.values), MatrixRef<Scalar>(own.dscores));
      }
      detail::add_samples(sums[p], own.values, own.weights, {0, m});
    };
    detail::for_each_window(all, [&](const auto& data, Range part) {
      detail::for_each_rows(team, part, [&](Index piece, int w, Range rows) { evaluate_piece(data, piece, w, rows); });
    });

    const BatchSum total = detail::tree_sum(std::span<const BatchSum>(sums));
    Evaluation result;
    result.samples = n;
    result.weight = total.weight;
    if (total.weight > 0) result.loss = total.loss / total.weight;
    if constexpr (labelled) {
      if (total.weight > 0) result.accuracy = detail::tree_sum(std::span<const double>(right)) / total.weight;
      result.confusion = Counts::Zero(classes, classes);
      for (const Worker& worker : workers)
        if (worker.confusion.size() > 0) result.confusion += worker.confusion;
    }
    return result;
  }

}  // namespace parade
