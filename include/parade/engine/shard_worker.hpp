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

  /// Computes the scores Z (k,m) of the batch, which `use` may look at, J, and ∂J_i/∂Z into dscores. Returns the sums over the batch, and
  /// multiplies dscores by the weights.
  template <class Use = void (*)(const ConstMatrixRef<Scalar>&)>
  BatchSum forward(
      const M& model, const L& loss, const PreparedOf<M>& theta, Use&& use = [](const ConstMatrixRef<Scalar>&) {}) {
    StopWatch watch;
    evaluate(model, loss, theta, use);
    const BatchSum sum = weigh({0, batch.size});
    gradient_seconds = watch.lap();
    return sum;
  }

  /// Scores, J and ∂J_i/∂Z, without weights.
  template <class Use>
  void evaluate(const M& model, const L& loss, const PreparedOf<M>& theta, Use&& use) {
    const Index m = batch.size;
    auto&& result = model.forward(theta, batch.input(), workspace);  // may be a matrix by value: it lives to the end of this function
    const ConstMatrixRef<Scalar> scores(result);                     // (k,m)
    if (scores.rows() != model.num_outputs() || scores.cols() != m)
      throw std::logic_error(text("the model's forward must return scores of shape (", model.num_outputs(), ", ", m, "); got (",
                                  scores.rows(), ", ", scores.cols(), ")"));
    loss.value_and_gradient(scores, batch.template target<typename L::Target>(), VectorRef<Scalar>(values.head(m)),
                            MatrixRef<Scalar>(dscores.leftCols(m)));
    use(scores);
  }

  /// The sums over some columns of the batch, whose dscores are multiplied by the weights.
  BatchSum weigh(Range columns) {
    BatchSum sum{0, 0, columns.size()};
    if (batch.weights.size() == 0) {
      for (Index j = columns.begin; j < columns.end; ++j) sum.loss += static_cast<double>(values[j]);
      sum.weight = static_cast<double>(columns.size());
    } else {
      for (Index j = columns.begin; j < columns.end; ++j) {
        const double w = batch.weights[j];
        // Weight 0 is absence: what such a sample would have given, were it not a number, must not count.
        if (w == 0) {
          dscores.col(j).setZero();
        } else {
          sum.loss = std::fma(w, static_cast<double>(values[j]), sum.loss);
          sum.weight += w;
          dscores.col(j) *= static_cast<Scalar>(w);
        }
      }
    }
    return sum;
  }

  /// Of these samples: the sums, and grad (P) = Σ_j w_j ∇J_j.
  template <class D>
  BatchSum gradient(const M& model, const L& loss, const PreparedOf<M>& theta, const D& data, std::span<const Index> samples,
                    VectorRef<Scalar> grad) {
    gather_present(data, samples);
    const BatchSum sum = forward(model, loss, theta);
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

  /// Of several shards at once: the sums of each, and grad (P) summed over the canonical tree. Shard s is samples [ends[s−1], ends[s]).
  template <class D>
    requires SumsShards<M>
  void gradient(const M& model, const L& loss, const PreparedOf<M>& theta, const D& data, std::span<const Index> samples,
                std::span<const Index> ends, std::span<BatchSum> sums, VectorRef<Scalar> grad) {
    gather_present(data, samples);
    StopWatch watch;
    evaluate(model, loss, theta, [](const ConstMatrixRef<Scalar>&) {});
    Index begin = 0;
    for (std::size_t s = 0; s < ends.size(); begin = ends[s++]) sums[s] = weigh({begin, ends[s]});
    model.gradient(theta, batch.input(), ConstMatrixRef<Scalar>(dscores.leftCols(batch.size)), workspace, ends, grad);
    gradient_seconds = watch.lap();
  }

 private:
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
