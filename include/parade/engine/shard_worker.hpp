// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <parade/concepts/dataset.hpp>
#include <parade/concepts/loss.hpp>
#include <parade/concepts/model.hpp>
#include <parade/core/batch.hpp>
#include <parade/core/error.hpp>
#include <parade/core/shard_plan.hpp>
#include <parade/engine/batch_sum.hpp>

namespace parade::detail {

/// Seconds since the last call, for adding up what a worker spends on each phase.
class StopWatch {
 public:
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// Stands where a TrainingContext would: the scores of evaluation are wanted.
struct EvaluationContext {};

/// What one worker changes while it computes shards; allocated once, used for every shard, shared with nobody.
template <class M, class L, class Batch>
struct alignas(64) ShardWorker {
  using Scalar = typename M::Scalar;

  Batch batch;
  typename M::Workspace workspace;
  Vector<Scalar> values;        // (m)
  Matrix<Scalar> dscores;       // (k,m)
  double gather_seconds = 0;    // of the last batch
  double gradient_seconds = 0;  // of the last batch

  template <class D>
  void reserve(const M& model, const D& data, Index capacity) {
    data.reserve(batch, capacity);
    values.resize(capacity);
    dscores.resize(model.num_outputs(), capacity);
    if constexpr (ReservesWorkspace<M>) model.reserve(workspace, capacity);
  }

  /// Fills the batch.
  template <class D>
  void gather(const D& data, std::span<const Index> samples) {
    StopWatch watch;
    data.gather(samples, batch);
    gather_seconds = watch.lap();
  }

  /// Computes the scores Z (k,m) of the batch, which `use` may look at, J, and w_i ∂J_i/∂Z into dscores. Returns the sums over the batch.
  /// The scores are those of evaluation, or with a context those of training.
  template <class Use = void (*)(const ConstMatrixRef<Scalar>&), class At = EvaluationContext>
  BatchSum forward(
      const M& model, const L& loss, const PreparedOf<M>& theta, Use&& use = [](const ConstMatrixRef<Scalar>&) {}, const At& at = {}) {
    StopWatch watch;
    evaluate(model, loss, theta, use, at);
    weigh();
    BatchSum sum;
    add_samples(sum, values, batch.weights, {0, batch.size});
    gradient_seconds = watch.lap();
    return sum;
  }

  /// Scores, J and ∂J_i/∂Z, without weights.
  template <class Use, class At>
  void evaluate(const M& model, const L& loss, const PreparedOf<M>& theta, Use&& use, const At& at) {
    const Index m = batch.size;
    auto&& result = scores_of(model, theta, at);  // may be a matrix by value: it lives to the end of this function
    const ConstMatrixRef<Scalar> scores(result);  // (k,m)
    if (scores.rows() != model.num_outputs() || scores.cols() != m)
      throw std::logic_error(text("the model's forward must return scores of shape (", model.num_outputs(), ", ", m, "); got (",
                                  scores.rows(), ", ", scores.cols(), ")"));
    loss.value_and_gradient(scores, batch.template target<typename L::Target>(), VectorRef<Scalar>(values.head(m)),
                            MatrixRef<Scalar>(dscores.leftCols(m)));
    use(scores);
  }

  /// What a model with forward_training is told of these samples, which the batch holds.
  TrainingContext context(std::span<const Index> samples, const TrainingStep& at) const {
    const std::size_t weighted = batch.weights.size() > 0 ? samples.size() : 0;
    return {at.seed, at.step, samples, {batch.weights.data(), weighted}};
  }

  /// Of these samples: the sums, and grad (P) = Σ_j w_j ∇J_j.
  template <class D>
  BatchSum gradient(const M& model, const L& loss, const PreparedOf<M>& theta, const D& data, std::span<const Index> samples,
                    const TrainingStep& at, VectorRef<Scalar> grad) {
    gather_present(data, samples);
    const BatchSum sum = forward(model, loss, theta, ignore, context(samples, at));
    StopWatch watch;
    if constexpr (OverwritesGradient<M>) {
      model.gradient(theta, batch.input(), ConstMatrixRef<Scalar>(dscores.leftCols(sum.samples)), workspace, grad);
    } else {
      grad.setZero();
      model.add_gradient(theta, batch.input(), ConstMatrixRef<Scalar>(dscores.leftCols(sum.samples)), workspace, grad);
    }
    gradient_seconds += watch.lap();
    return sum;
  }

  /// Of these samples: J, and what the model records of them.
  template <class D, class Record>
  void record(const M& model, const L& loss, const PreparedOf<M>& theta, const D& data, std::span<const Index> samples,
              const TrainingStep& at, Record& record) {
    gather_present(data, samples);
    StopWatch watch;
    evaluate(model, loss, theta, ignore, context(samples, at));
    weigh();
    const Index m = batch.size;
    model.record(theta, batch.input(), ConstMatrixRef<Scalar>(dscores.leftCols(m)), workspace, record.piece);
    record.values.head(m) = values.head(m);
    if (batch.weights.size() > 0) record.weights.head(m) = batch.weights.head(m);
    gradient_seconds = watch.lap();
  }

 private:
  static void ignore(const ConstMatrixRef<Scalar>&) {}

  template <class At>
  decltype(auto) scores_of(const M& model, const PreparedOf<M>& theta, [[maybe_unused]] const At& at) {
    if constexpr (TrainsDifferently<M, decltype(batch.input())> && std::is_same_v<At, TrainingContext>)
      return model.forward_training(theta, batch.input(), workspace, at);
    else
      return model.forward(theta, batch.input(), workspace);
  }

  /// dscores_i ← w_i dscores_i
  void weigh() {
    for (Index j = 0; j < batch.weights.size() && j < batch.size; ++j) {
      const double w = batch.weights[j];
      // Weight 0 is absence: 0 times what is not a number must not count.
      if (w == 0)
        dscores.col(j).setZero();
      else
        dscores.col(j) *= static_cast<Scalar>(w);
    }
  }

  /// Fills the batch, with features of 0 where the weight is 0: else an infinite score times 0 would be NaN.
  template <class D>
  void gather_present(const D& data, std::span<const Index> samples) {
    gather(data, samples);
    for (Index j = 0; j < batch.weights.size() && j < batch.size; ++j)
      if (batch.weights[j] == 0) batch.clear(j);
  }
};

/// θ as the workers read it during a step: what the model prepares from it, or a copy. So θ itself may go on to the next step while a late
/// worker still reads this.
template <class M>
class Preparation {
 public:
  using Scalar = typename M::Scalar;

  /// Makes room, so that preparing allocates nothing.
  void reserve(const M& model, Index parameters) {
    if constexpr (PreparesOnceAStep<M>)
      model.reserve(prepared_);
    else
      prepared_.resize(parameters);
  }

  /// Prepares; for_each(pieces, task(piece, worker)) may run the pieces in parallel.
  template <class ForEach>
  void operator()(const M& model, const Vector<Scalar>& theta, ForEach&& for_each) {
    if constexpr (PreparesOnceAStep<M>) {
      const ConstVectorRef<Scalar> view = theta;
      for_each(Index{model.num_preparations()}, [&](Index piece, int) { model.prepare(view, piece, prepared_); });
    } else {
      constexpr Index piece_size = 1 << 16;
      for_each((theta.size() + piece_size - 1) / piece_size, [&](Index piece, int) {
        const Index begin = piece * piece_size, size = std::min(piece_size, theta.size() - begin);
        prepared_.segment(begin, size) = theta.segment(begin, size);
      });
    }
  }

  /// Whether it can be made range by range, and that for one: `theta` points to the elements `range`.
  static constexpr bool by_range = !PreparesOnceAStep<M> || PreparesRanges<M>;
  void prepare(const M& model, const Scalar* theta, Range range) {
    if constexpr (PreparesOnceAStep<M>)
      model.prepare(theta, range, prepared_);
    else
      std::copy_n(theta, range.size(), prepared_.data() + range.begin);
  }

  /// What forward and add_gradient are given.
  decltype(auto) get() const {
    if constexpr (PreparesOnceAStep<M>)
      return (prepared_);
    else
      return ConstVectorRef<Scalar>(prepared_);
  }

 private:
  std::conditional_t<PreparesOnceAStep<M>, PreparedOf<M>, Vector<Scalar>> prepared_;
};

}  // namespace parade::detail
