// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include <parade/core/report.hpp>
#include <parade/core/shard_plan.hpp>
#include <parade/engine/checks.hpp>
#include <parade/engine/reduce.hpp>
#include <parade/engine/shard_worker.hpp>
#include <parade/engine/team.hpp>
#include <parade/kernels/finite.hpp>
#include <parade/kernels/product.hpp>

namespace parade {

/// Settings of the engine. Neither can change the bits of a result but `shard_size`.
struct EngineOptions {
  int threads = 0;       // 0: as many as the process may really use
  Index shard_size = 0;  // samples; 0: ShardPlan::automatic_shard_size(b)
};

/// The gradient of a batch, summed over shards in parallel.
///
///   grad (P) = Σ_i w_i ∇J(θ; x_i, y_i)           and with it  Σ w_i J_i,  W = Σ w_i,  b
///
/// The promise: for given θ, data and samples the result has the same bits for any number of threads, however many of them arrive, whichever
/// takes which shard.
///   1. Shard: the batch is cut by ShardPlan, which reads b and the shard size alone.
///   2. Accumulate: any worker takes any shard, and one that would only wait computes again what a late one has in hand; the first to
///      finish wins. A shard's gradient has the same bits whoever computed it.
///   3. Reduce: over the canonical tree on the shard indices, in parallel over slices of P.
/// What a worker takes at a time is a group of shards: one, or where the model can sum shards (SumsShards) and there are enough for all threads, 2, 4,
/// 8, … consecutive ones, which are a node of the tree. Groups follow the number of threads and whether they come in time; the bits cannot tell.
/// It returns sums: dividing by W, regularizing and the step come after, once.
///
/// Memory is taken when the engine first sees a batch of that size, and kept: (groups + T) · P, what each worker needs, and up to three copies of what
/// the model prepares.
template <class M, class L, class Batch_ = DenseBatch<typename M::Scalar>>
  requires Model<M> && Loss<L, typename M::Scalar>
class ParallelGradient {
 public:
  using Scalar = typename M::Scalar;
  using Batch = Batch_;

  ParallelGradient(M model, L loss, EngineOptions options = {})
      : model_(std::move(model)),
        loss_(std::move(loss)),
        options_(options),
        num_parameters_(model_.parameters().size()),
        team_(std::make_unique<Team>(options.threads)),
        workers_(static_cast<std::size_t>(team_->max_workers())),
        steps_(static_cast<std::size_t>(std::min(3, team_->max_workers()))) {
    if (options.shard_size < 0)
      throw OptionError(detail::text("shard_size must be at least 1, or 0 for the default; got ", options.shard_size));
  }

  ParallelGradient(const ParallelGradient&) = delete;
  ParallelGradient& operator=(const ParallelGradient&) = delete;

  const M& model() const { return model_; }
  const L& loss() const { return loss_; }
  Team& team() { return *team_; }
  const Team& team() const { return *team_; }
  Index num_parameters() const { return num_parameters_; }
  ShardPlan plan(Index batch_size) const { return {batch_size, options_.shard_size}; }

  /// grad = Σ w_i ∇J over `samples` of `data`; grad is resized to P. Throws DataError where θ, the data or the samples do not fit the model and
  /// the loss; what user code throws in a shard reaches the caller, the first in shard order. Opens a region of its own: inside `team().run`
  /// it is std::logic_error, and `accumulate` and `reduce` are to be called.
  template <Dataset<Batch> D>
  BatchSum sum(const Vector<Scalar>& theta, const D& data, std::span<const Index> samples, Vector<Scalar>& grad) {
    detail::check_theta(num_parameters_, theta.size());
    detail::check_shapes(model_, loss_, data);
    detail::check_samples(samples, data.size());
    grad.resize(num_parameters_);
    reserve(data, static_cast<Index>(samples.size()));
    BatchSum total;
    team_->run([&] {
      total = accumulate(theta, data, samples);
      reduce(grad);
    });
    return total;
  }

  /// Makes room for batches of up to `batch_size` samples of this data set. Needed before `accumulate`; `sum` does it itself. Throws
  /// std::logic_error inside `team().run`, where a late worker may still use what there is, and OptionError for too many shards.
  template <Dataset<Batch> D>
  void reserve(const D& data, Index batch_size) {
    if (team_->inside()) throw std::logic_error("reserve and sum must not be called inside run: there, call accumulate and reduce");
    // Groups are those of the largest batch so far. A smaller one is cut into no more shards, and none is larger: it fits too.
    largest_batch_ = std::max(largest_batch_, batch_size);
    const ShardPlan plan = this->plan(largest_batch_);
    large_group_ = group_size(plan, 1);
    small_group_ = group_size(plan, 4);
    const Index capacity = std::min(largest_batch_, large_group_ * plan.shard_size());
    for (auto& worker : workers_) {
      worker.compute.reserve(model_, data, capacity);
      worker.sums.reserve(static_cast<std::size_t>(large_group_));
      worker.ends.reserve(static_cast<std::size_t>(large_group_));
    }
    for (auto& step : steps_) {
      step.preparation.reserve(model_, num_parameters_);
      step.samples.reserve(static_cast<std::size_t>(largest_batch_));
    }
    const auto shards = static_cast<std::size_t>(plan.shards());
    const auto groups = static_cast<std::size_t>((plan.shards() + small_group_ - 1) / small_group_);
    team_->reserve_race(plan.shards());  // a limit that does not depend on the threads
    sums_.resize(shards);
    gradients_.resize(groups);
    free_.reserve(groups);
    while (free_.size() < groups) free_.push_back(new_vector());
    for (auto& worker : workers_)
      if (worker.grad == nullptr) worker.grad = new_vector();
  }

  /// Steps 1 and 2: the gradient of every group of shards into `group_gradients()`. To be called inside `team().run`, after `reserve`. `theta` and
  /// `samples` may change as soon as it returns; `data` must stay until the end of the region, since a late worker may still read it.
  template <Dataset<Batch> D>
  BatchSum accumulate(const Vector<Scalar>& theta, const D& data, std::span<const Index> samples) {
    const int slot = team_->free_slot(static_cast<int>(steps_.size()));
    Step& step = steps_[static_cast<std::size_t>(slot)];
    step.preparation(model_, theta, [this](Index pieces, auto&& work) {
      team_->for_each(pieces, [&](Index piece, int worker) {
        detail::StopWatch busy;
        work(piece, worker);
        workers_[static_cast<std::size_t>(worker)].gradient_seconds += busy.lap();
      });
    });
    step.samples.assign(samples.begin(), samples.end());
    step.data = &data;
    // A late worker holds up less when what it has in hand is small: so for some time after one was seen.
    if (const auto overtaken = team_->overtaken(); overtaken != overtaken_) {
      overtaken_ = overtaken;
      wary_steps_ = 64;
    }
    group_ = step.group_size = wary_steps_ > 0 ? small_group_ : large_group_;
    wary_steps_ -= wary_steps_ > 0 ? 1 : 0;
    step.gradient = [](ParallelGradient& engine, const Step& from, Index group, WorkerState& worker) {
      engine.template compute<D>(from, group, worker);
    };
    last_ = &step;
    shards_ = static_cast<std::size_t>(plan(static_cast<Index>(samples.size())).shards());
    groups_ = (shards_ + static_cast<std::size_t>(group_) - 1) / static_cast<std::size_t>(group_);
    next_free_.store(0, std::memory_order_relaxed);
    team_->race(static_cast<Index>(groups_), slot, job_);
    return detail::tree_sum(std::span<const BatchSum>(sums_).first(shards_));
  }

  /// Σ w_i ∇J of each group of shards of the last `accumulate`: P elements each, aligned as Eigen aligns. Their sum over the canonical tree is
  /// that of the shards.
  std::span<const Scalar* const> group_gradients() const { return std::span(gradients_).first(groups_); }
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
      detail::tree_sum<Scalar>(group_gradients(), range, grad.data() + range.begin);
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
  NotFinite find_not_finite(const D& data) {
    const std::span<const Index> samples = last_->samples;
    const ShardPlan plan = this->plan(static_cast<Index>(samples.size()));
    auto& compute = workers_[0].compute;
    Vector<Scalar> again;
    for (std::size_t s = 0; s < shards_; ++s) {
      const auto shard = static_cast<Index>(s);
      const Range range = plan[shard];
      const auto part = samples.subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.size()));
      if (!std::isfinite(sums_[s].loss)) {
        compute.gather(data, part);
        compute.forward(model_, loss_, last_->preparation.get());
        for (std::size_t j = 0; j < part.size(); ++j)
          if (const auto i = static_cast<Index>(j);
              !std::isfinite(compute.values[i]) && (compute.batch.weights.size() == 0 || compute.batch.weights[i] > 0))
            return {shard, part[j], -1};
        return {shard, -1, -1};
      }
      const Scalar* of_group = gradients_[s / static_cast<std::size_t>(group_)];
      if (kernels::all_finite(of_group, num_parameters_)) continue;
      again.resize(num_parameters_);
      compute.gradient(model_, loss_, last_->preparation.get(), data, part, VectorRef<Scalar>(again));
      for (Index i = 0; i < num_parameters_; ++i)
        if (!std::isfinite(again[i])) return {shard, -1, i};
    }
    return {};
  }

  /// Thread-seconds in gather and gradient since the engine was made, of the shards that were kept: what a late worker computed in vain is
  /// waiting.
  PhaseSeconds seconds() const {
    PhaseSeconds total;
    for (const auto& worker : workers_) {
      total.gather += worker.gather_seconds;
      total.gradient += worker.gradient_seconds;
    }
    return total;
  }

 private:
  /// What one worker owns: scratch, and the vector that the next shard's gradient goes to.
  struct WorkerState {
    detail::ShardWorker<M, L, Batch> compute;
    Scalar* grad = nullptr;
    std::vector<BatchSum> sums;  // of the shards of a group
    std::vector<Index> ends;
    double gather_seconds = 0;  // changed only while the race or loop is open
    double gradient_seconds = 0;
  };

  /// All that a shard's gradient is computed from. A late worker may still read one when the next step has begun, in another.
  struct Step {
    detail::Preparation<M> preparation;
    std::vector<Index> samples;
    const void* data = nullptr;
    Index group_size = 1;  // shards
    void (*gradient)(ParallelGradient&, const Step&, Index group, WorkerState&) = nullptr;
  };

  /// The groups of shards, for Team::race. A gradient that is kept is handed over by exchanging vectors: the worker goes on with a free one.
  struct Job {
    ParallelGradient& engine;

    void run(Index group, int worker, int slot) {
      const Step& step = engine.steps_[static_cast<std::size_t>(slot)];
      step.gradient(engine, step, group, engine.workers_[static_cast<std::size_t>(worker)]);
    }
    void keep(Index group, int worker) {
      auto& own = engine.workers_[static_cast<std::size_t>(worker)];
      engine.gradients_[static_cast<std::size_t>(group)] = own.grad;
      std::copy(own.sums.begin(), own.sums.end(), engine.sums_.begin() + group * engine.group_);
      own.gather_seconds += own.compute.gather_seconds;
      own.gradient_seconds += own.compute.gradient_seconds;
      std::swap(own.grad, engine.free_[engine.next_free_.fetch_add(1, std::memory_order_relaxed)]);
    }
  };

  /// Shards a group: as many as a node of the tree has and the products like at a time (kernels::outer_product_tree), with `groups` groups for
  /// every one of several threads.
  Index group_size(const ShardPlan& plan, Index groups) const {
    Index group = 1;
    if constexpr (SumsShards<M>) {
      const Index threads = team_->max_workers(), least = threads == 1 ? 1 : groups * threads;
      while (2 * group * plan.shard_size() <= detail::outer_block && (plan.shards() + 2 * group - 1) / (2 * group) >= least) group *= 2;
    }
    return group;
  }

  /// Gradient and sums of a group into the worker's own memory.
  template <class D>
  void compute(const Step& from, Index group, WorkerState& worker) {
    const ShardPlan plan = this->plan(static_cast<Index>(from.samples.size()));
    const Index first = group * from.group_size, last = std::min(first + from.group_size, plan.shards());
    const auto samples = [&](Range range) {
      return std::span<const Index>(from.samples.data() + range.begin, static_cast<std::size_t>(range.size()));
    };
    const auto& data = *static_cast<const D*>(from.data);
    const VectorRef<Scalar> grad(Eigen::Map<Vector<Scalar>, Eigen::AlignedMax>(worker.grad, num_parameters_));
    const auto one_shard = [&](Index shard) {
      return worker.compute.gradient(model_, loss_, from.preparation.get(), data, samples(plan[shard]), grad);
    };
    worker.sums.resize(static_cast<std::size_t>(last - first));
    if constexpr (SumsShards<M>) {
      if (last - first > 1) {
        const Range all{plan[first].begin, plan[last - 1].end};
        worker.ends.resize(worker.sums.size());
        for (Index s = first; s < last; ++s) worker.ends[static_cast<std::size_t>(s - first)] = plan[s].end - all.begin;
        try {
          worker.compute.gradient(model_, loss_, from.preparation.get(), data, samples(all), worker.ends, worker.sums, grad);
        } catch (...) {
          for (Index s = first; s < last; ++s) one_shard(s);  // what is thrown is what the first shard throws that throws
          throw;
        }
        return;
      }
    }
    worker.sums[0] = one_shard(first);
  }

  Scalar* new_vector() {
    vectors_.emplace_back(num_parameters_);
    return vectors_.back().data();
  }

  M model_;
  L loss_;
  EngineOptions options_;
  Index num_parameters_;
  std::unique_ptr<Team> team_;
  std::vector<WorkerState> workers_;
  std::vector<Step> steps_;  // slots of the race
  Job job_{*this};

  std::deque<Vector<Scalar>> vectors_;  // (P) each; owned by a worker, kept for a shard, or free
  std::vector<Scalar*> free_;           // those before next_free_ were exchanged for kept ones
  std::atomic<std::size_t> next_free_{0};
  Index group_ = 1;  // shards a group in the last step: one of these two
  Index large_group_ = 1, small_group_ = 1;
  std::uint64_t overtaken_ = 0;  // of the team, when last looked at
  int wary_steps_ = 0;           // steps that are still made with small groups
  std::size_t groups_ = 0;
  std::vector<const Scalar*> gradients_;  // of group g
  std::vector<BatchSum> sums_;
  std::size_t shards_ = 0;
  const Step* last_ = nullptr;
  Index largest_batch_ = 0;
};

}  // namespace parade
