// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <parade/core/shard_plan.hpp>
#include <parade/engine/reduce.hpp>
#include <parade/engine/shard_worker.hpp>
#include <parade/engine/team.hpp>

namespace parade {

/// Settings of the engine. Neither can change the bits of a result but `shard_size`.
struct EngineOptions {
  int threads = 0;       // 0: as many as the process may really use
  Index shard_size = 0;  // samples; 0: ShardPlan::automatic_shard_size(b)
};

/// Thread-seconds that went into each phase, added up over the workers.
struct PhaseSeconds {
  double gather = 0;    // bringing samples into shards
  double gradient = 0;  // forward, loss, add_gradient, and the preparation once a step
  double reduce = 0;    // summing the shards' gradients over the canonical tree
  double update = 0;    // divide, regularize, step, prox, project, check
};

/// The gradient of a batch, summed over shards in parallel.
///
///   grad (P) = Σ_i w_i ∇J(θ; x_i, y_i)           and with it  Σ w_i J_i,  W = Σ w_i,  b
///
/// The promise: for given θ, data and samples the result has the same bits for any number of threads, however many of them arrive, whichever
/// takes which shard.
///   1. Shard: the batch is cut by ShardPlan, which reads b and the shard size alone.
///   2. Accumulate: any worker takes any shard; a shard's gradient goes to the shard's own vector.
///   3. Reduce: over the canonical tree on the shard indices, in parallel over slices of P.
/// It returns sums: dividing by W, regularizing and the step come after, once.
///
/// Memory is taken when the engine first sees a batch of that size, and kept: S · P + what each worker needs.
template <class M, class L, class Batch_ = DenseBatch<typename M::Scalar>>
  requires Model<M> && Loss<L, typename M::Scalar>
class ParallelGradient {
 public:
  using Scalar = typename M::Scalar;
  using Batch = Batch_;

  ParallelGradient(M model, L loss, EngineOptions options = {})
      : model_(std::move(model)), loss_(std::move(loss)), options_(options), num_parameters_(model_.parameters().size()),
        team_(std::make_unique<Team>(options.threads)), workers_(static_cast<std::size_t>(team_->max_workers())) {
    if (options.shard_size < 0) throw OptionError(detail::text("shard_size must be at least 1, or 0 for the default; got ", options.shard_size));
  }

  const M& model() const { return model_; }
  const L& loss() const { return loss_; }
  Team& team() { return *team_; }
  Index num_parameters() const { return num_parameters_; }
  ShardPlan plan(Index batch_size) const { return {batch_size, options_.shard_size}; }

  /// grad = Σ w_i ∇J over `samples` of `data`; grad is resized to P. Throws DataError where θ or the data do not fit the model; what user code
  /// throws in a shard reaches the caller, the first in shard order.
  template <Dataset<Batch> D>
  BatchSum sum(const Vector<Scalar>& theta, const D& data, std::span<const Index> samples, Vector<Scalar>& grad) {
    if (theta.size() != num_parameters_)
      throw DataError(detail::text("theta must have one element per parameter: ", num_parameters_, "; got ", theta.size()));
    if (data.num_features() != model_.num_inputs())
      throw DataError(detail::text("the model takes ", model_.num_inputs(), " features a sample; the data has ", data.num_features()));
    grad.resize(num_parameters_);
    reserve(data, static_cast<Index>(samples.size()));
    BatchSum total;
    team_->run([&] {
      total = accumulate(theta, data, samples);
      reduce(grad);
    });
    return total;
  }

  /// Makes room for batches of up to `batch_size` samples of this data set. Needed before `accumulate`; `sum` does it itself.
  template <Dataset<Batch> D>
  void reserve(const D& data, Index batch_size) {
    const auto shards = static_cast<std::size_t>(plan(batch_size).shards());
    // A smaller batch may have larger shards, but never larger than the plan of the largest allows.
    capacity_ = std::max(capacity_, std::min(batch_size, plan(batch_size).shard_size()));
    for (auto& worker : workers_) worker.reserve(model_, data, capacity_);
    if (shards > gradients_.size()) {
      sums_.resize(shards);
      while (gradients_.size() < shards) {
        gradients_.emplace_back(num_parameters_);
        pointers_.push_back(gradients_.back().data());
      }
    }
  }

  /// Steps 1 and 2: the gradient of every shard into `shard_gradients()`. To be called inside `team().run`, after `reserve`.
  template <Dataset<Batch> D>
  BatchSum accumulate(const Vector<Scalar>& theta, const D& data, std::span<const Index> samples) {
    const ShardPlan plan = this->plan(static_cast<Index>(samples.size()));
    detail::StopWatch watch;
    const auto& prepared = preparation_(model_, theta, [this](Index pieces, auto&& work) { team_->for_each(pieces, work); });
    workers_[0].gradient_seconds += watch.lap();
    team_->for_each(plan.shards(), [&](Index shard, int worker) {
      const Range range = plan[shard];
      const auto s = static_cast<std::size_t>(shard);
      sums_[s] = workers_[static_cast<std::size_t>(worker)].gradient(
          model_, loss_, prepared, data, samples.subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.size())),
          gradients_[s]);
    });
    shards_ = static_cast<std::size_t>(plan.shards());
    return detail::tree_sum(std::span<const BatchSum>(sums_).first(shards_));
  }

  /// Σ w_i ∇J of each shard of the last `accumulate`, P elements each, 64-byte aligned as Eigen aligns.
  std::span<const Scalar* const> shard_gradients() const { return std::span(pointers_).first(shards_); }
  std::span<const BatchSum> shard_sums() const { return std::span(sums_).first(shards_); }

  /// Step 3 into a vector of its own.
  void reduce(Vector<Scalar>& grad) {
    if (shards_ == 0) {
      grad.setZero();
      return;
    }
    constexpr Index block = 4096;
    team_->for_each((num_parameters_ + block - 1) / block, [&](Index i, int) {
      const Range range{i * block, std::min((i + 1) * block, num_parameters_)};
      detail::tree_sum<Scalar>(shard_gradients(), range, grad.data() + range.begin);
    });
  }

  /// The first number of the last `accumulate` that is not finite, in shard order: a loss, else an element of a shard's gradient. It computes
  /// the shard once more to find the sample. −1 stands for none.
  struct NotFinite {
    Index shard = -1;
    Index sample = -1;     // index in the data
    Index parameter = -1;  // element of the gradient
  };
  template <Dataset<Batch> D>
  NotFinite find_not_finite(const Vector<Scalar>& theta, const D& data, std::span<const Index> samples) {
    const ShardPlan plan = this->plan(static_cast<Index>(samples.size()));
    const auto& prepared = preparation_(model_, theta, [this](Index pieces, auto&& work) { team_->for_each(pieces, work); });
    for (std::size_t s = 0; s < shards_; ++s) {
      const auto shard = static_cast<Index>(s);
      if (!std::isfinite(sums_[s].loss)) {
        const Range range = plan[shard];
        const auto part = samples.subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.size()));
        BatchSum sum;
        workers_[0].forward(model_, loss_, prepared, data, part, sum);
        for (std::size_t j = 0; j < part.size(); ++j)
          if (!std::isfinite(workers_[0].values[static_cast<Index>(j)])) return {shard, part[j], -1};
        return {shard, -1, -1};
      }
      for (Index i = 0; i < num_parameters_; ++i)
        if (!std::isfinite(gradients_[s][i])) return {shard, -1, i};
    }
    return {};
  }

  /// Thread-seconds in gather and gradient since the last call.
  PhaseSeconds take_seconds() {
    PhaseSeconds total;
    for (auto& worker : workers_) {
      total.gather += std::exchange(worker.gather_seconds, 0);
      total.gradient += std::exchange(worker.gradient_seconds, 0);
    }
    return total;
  }

 private:
  M model_;
  L loss_;
  EngineOptions options_;
  Index num_parameters_;
  std::unique_ptr<Team> team_;
  std::vector<detail::ShardWorker<M, L, Batch>> workers_;
  detail::Preparation<M> preparation_;
  std::vector<Vector<Scalar>> gradients_;  // one vector (P) a shard
  std::vector<const Scalar*> pointers_;
  std::vector<BatchSum> sums_;
  std::size_t shards_ = 0;
  Index capacity_ = 0;
};

}  // namespace parade
