// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
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
#include <parade/engine/team_size.hpp>

namespace parade {

/// Whether a model that has a tape (Taped) is used with it.
enum class UseTape {
  automatic,  // for batches of up to 1024 samples and models of 16 ranges of θ and more
  always,
  never,
};

/// Settings of the engine. None can change the bits of a result but `shard_size`.
struct EngineOptions {
  int threads = 0;       // 0: as many as the process may really use
  Index shard_size = 0;  // samples; 0: ShardPlan::automatic_shard_size(b)
  UseTape tape = UseTape::automatic;
  bool may_work_alone = true;  // steps are taken by one thread where that is found to be faster (see "How to scale" in the README)
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
/// Where a tape is used (Taped, UseTape) step 2 goes as far as ∂J/∂Z, by pieces of the batch that need not be shards (SampleBySample), and leaves that on the tape;
/// the gradient itself is computed range by range of θ, over all shards and their tree at once, where `sum_range` asks for it; that is no race. How
/// large a piece is follows the number of threads; the bits cannot tell.
/// It returns sums: dividing by W, regularizing and the step come after, once.
///
/// Memory is taken when the engine first sees a batch of that size, and kept: what each worker needs, up to four copies of what the model
/// prepares, the tape, and where batches are computed without one (S + T) · P.
template <class M, class L, class Batch_ = DenseBatch<typename M::Scalar>>
  requires Model<M> && Loss<L, typename M::Scalar>
class ParallelGradient {
  static_assert(
      !SaysTaped<M> || Taped<M>,
      "a model whose TapeOf names itself must have all that Taped asks for: Piece, Tape, reserve of both, record, collect, gradient");

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
        steps_(static_cast<std::size_t>(std::min(4, team_->max_workers() + 1))),
        ranges_(detail::parameter_ranges(model_.parameters())) {
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
  BatchSum sum(const Vector<Scalar>& theta, const D& data, std::span<const Index> samples, Vector<Scalar>& grad,
               const TrainingStep& at = {}) {
    detail::check_theta(num_parameters_, theta.size());
    detail::check_shapes(model_, loss_, data);
    detail::check_samples(samples, data.size());
    grad.resize(num_parameters_);
    reserve(data, static_cast<Index>(samples.size()));
    BatchSum total;
    team_->run([&] {
      total = accumulate(theta, data, samples, at);
      reduce(grad);
      end_step();
    });
    return total;
  }

  /// Makes room for batches of up to `batch_size` samples of this data set. Needed before `accumulate`; `sum` does it itself. Throws
  /// std::logic_error inside `team().run`, where a late worker may still use what there is, and OptionError for too many shards. What was accumulated
  /// before is gone.
  template <Dataset<Batch> D>
  void reserve(const D& data, Index batch_size) {
    if (team_->inside()) throw std::logic_error("reserve and sum must not be called inside run: there, call accumulate and reduce");
    team_->reserve_race(plan(batch_size).shards());
    is_ready_ = false;
    shards_ = 0;  // nothing is accumulated any more
    last_ = nullptr;
    next_slot_ = -1;
    if (batch_size != reserved_batch_) team_size_ = {};
    reserved_batch_ = batch_size;
    const Index grown_from = largest_batch_;
    largest_batch_ = std::max(largest_batch_, batch_size);
    for (Index b = largest_batch_; b > grown_from; --b) {
      const bool tape = uses_tape(b);
      for (const bool pieces : {false, true}) {
        if (pieces && !tape) continue;
        const Cut cut(plan(b), pieces ? team_->max_workers() : 0);
        most_tasks_ = std::max(most_tasks_, cut.tasks());
        largest_task_ = std::max(largest_task_, cut.largest());
        if (tape) largest_piece_ = std::max(largest_piece_, cut.largest());
        if (!tape) most_gradients_ = std::max(most_gradients_, cut.tasks());
      }
    }
    team_->reserve_race(most_tasks_);
    for (auto& worker : workers_) worker.compute.reserve(model_, data, largest_task_);
    for (auto& step : steps_) {
      step.preparation.reserve(model_, num_parameters_);
      step.samples.reserve(static_cast<std::size_t>(largest_batch_));
    }
    const auto tasks = static_cast<std::size_t>(most_tasks_), all = workers_.size() + tasks;
    while (results_.size() < all) results_.emplace_back();
    for (auto& result : results_) {
      if (most_gradients_ > 0) result.grad.resize(num_parameters_);
      if constexpr (Taped<M>) {
        if (largest_piece_ == 0) continue;
        model_.reserve(result.piece, largest_piece_);
        result.values.resize(largest_piece_);
        result.weights.resize(workers_[0].compute.batch.weights.size() > 0 ? largest_piece_ : 0);
      }
    }
    free_.clear();
    free_.reserve(tasks);
    for (std::size_t i = 0; i < all; ++i)
      if (i < workers_.size())
        workers_[i].result = &results_[i];
      else
        free_.push_back(&results_[i]);
    kept_.resize(tasks);
    const auto shards = static_cast<std::size_t>(plan(largest_batch_).shards());  // a smaller batch is cut into no more
    sums_.resize(shards);
    gradients_.resize(static_cast<std::size_t>(most_gradients_));
    if constexpr (Taped<M>) {
      const std::size_t parts = largest_piece_ > 0 ? std::max(tasks, shards) : 0;
      parts_.reserve(parts);
      model_.reserve(tape_, parts);
    }
    is_ready_ = true;
  }

  /// Steps 1 and 2, after which `sum_range` gives the batch's gradient. To be called inside `team().run`, after `reserve`. `theta` and
  /// `samples` may change as soon as it returns; `data` must stay until the end of the region, since a late worker may still read it.
  /// If it throws, there is no gradient: `sum_range` and `reduce` are not to be called until it has been called again.
  /// `at`: the step that a model with forward_training draws its random numbers by.
  template <Dataset<Batch> D>
  BatchSum accumulate(const Vector<Scalar>& theta, const D& data, std::span<const Index> samples, const TrainingStep& at = {}) {
    next_slot_ = -1;
    check_reserved(samples);
    choose_team(static_cast<Index>(samples.size()));
    const int slot = free_slot();
    steps_[static_cast<std::size_t>(slot)].preparation(model_, theta, [this](Index pieces, auto&& work) {
      team_->for_each(pieces, [&](Index piece, int worker) {
        detail::StopWatch busy;
        work(piece, worker);
        workers_[static_cast<std::size_t>(worker)].gradient_seconds += busy.lap();
      });
    });
    return accumulate(slot, data, samples, at);
  }

  /// The same at the θ that the last call of a ParallelUpdate with this engine has made; nobody may have changed this θ since. Where that call was in
  /// the same region and returned true, the preparation was made while θ was updated; else it is made now.
  template <Dataset<Batch> D>
  BatchSum accumulate_updated(const Vector<Scalar>& theta, const D& data, std::span<const Index> samples, const TrainingStep& at = {}) {
    if (next_slot_ < 0 || updated_region_ != team_->regions()) return accumulate(theta, data, samples, at);
    check_reserved(samples);
    choose_team(static_cast<Index>(samples.size()));
    return accumulate(next_slot_, data, samples, at);
  }

  /// For ParallelUpdate: θ is about to be updated; the elements `range`, from `theta` on, have their new values; it is done, and stands or not.
  void begin_update() {
    next_slot_ = -1;
    if constexpr (detail::Preparation<M>::by_range) updated_slot_ = free_slot();
  }
  void updated(Range range, const Scalar* theta) {
    if constexpr (detail::Preparation<M>::by_range)
      steps_[static_cast<std::size_t>(updated_slot_)].preparation.prepare(model_, theta, range);
  }
  void end_update(bool stands) {
    next_slot_ = stands ? updated_slot_ : -1;
    updated_region_ = team_->regions();
  }

  /// The step that the last `accumulate` began is over, and something else follows, on all threads: a callback, an evaluation, the end of the region.
  /// For a loop of one's own that does more than steps; without it that time counts as the step's where the engine finds out how many threads are
  /// worth having.
  void end_step() {
    if (step_is_open_) step_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - step_began_).count();
    step_is_open_ = false;
    team_->work_alone(false);
  }

  /// The ranges of θ that `sum_range` is called for.
  std::span<const Range> ranges() const { return ranges_; }

  /// Step 3 for one range of θ: the elements of Σ w_i ∇J of the last `accumulate`, into out; 0 if there was none since
  /// `reserve`. Several threads may call it at the same time.
  void sum_range(Range range, Scalar* out) const {
    if (shards_ == 0)
      std::fill_n(out, range.size(), Scalar{0});
    else if (uses_tape_)
      gradient_from_tape(range, out);
    else
      detail::tree_sum<Scalar>(std::span(gradients_).first(shards_), range, out);
  }
  /// Whether that computes gradients or only adds them up: for whom wants to know where the time goes.
  bool sum_range_computes() const { return uses_tape_; }

  std::span<const BatchSum> shard_sums() const { return std::span(sums_).first(shards_); }

  /// Step 3 into a vector of its own.
  void reduce(Vector<Scalar>& grad) {
    team_->for_each(static_cast<Index>(ranges_.size()), [&](Index i, int) {
      const Range range = ranges_[static_cast<std::size_t>(i)];
      sum_range(range, grad.data() + range.begin);
    });
  }

  /// The first number of the last `accumulate` that is not finite, in shard order: a loss, else an element of a shard's gradient. It computes
  /// the shards once more to find it. −1 stands for none.
  struct NotFinite {
    Index shard = -1;
    Index sample = -1;     // index in the data
    Index parameter = -1;  // element of the gradient
  };
  template <Dataset<Batch> D>
  NotFinite find_not_finite(const D& data) {
    if (shards_ == 0) return {};
    const std::span<const Index> samples = last_->samples;
    const ShardPlan plan = this->plan(static_cast<Index>(samples.size()));
    detail::ShardWorker<M, L, Batch> compute;
    compute.reserve(model_, data, plan.shard_size());
    Vector<Scalar> again(num_parameters_);
    for (std::size_t s = 0; s < shards_; ++s) {
      const auto shard = static_cast<Index>(s);
      const Range range = plan[shard];
      const auto part = samples.subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.size()));
      if (!std::isfinite(sums_[s].loss)) {
        compute.gather(data, part);
        compute.forward(
            model_, loss_, last_->preparation.get(), [](const ConstMatrixRef<Scalar>&) {}, compute.context(part, last_->at));
        for (std::size_t j = 0; j < part.size(); ++j)
          if (const auto i = static_cast<Index>(j);
              !std::isfinite(compute.values[i]) && (compute.batch.weights.size() == 0 || compute.batch.weights[i] > 0))
            return {shard, part[j], -1};
        return {shard, -1, -1};
      }
      compute.gradient(model_, loss_, last_->preparation.get(), data, part, last_->at, VectorRef<Scalar>(again));
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
  /// What a task leaves: a piece of the tape, with J and the weights of its samples; without a tape the gradient and the sum of a shard.
  struct Result {
    typename detail::TapeTypes<M>::Piece piece;
    Vector<Scalar> values;
    Vector<double> weights;  // empty where all are 1
    Vector<Scalar> grad;     // (P)
    BatchSum sum;
  };

  /// How a batch is cut into tasks: for some threads into pieces, which are several shards or parts of one; for 0 threads into its shards.
  class Cut {
   public:
    Cut() = default;
    Cut(const ShardPlan& plan, Index threads) : plan_(plan) {
      if (threads > 0) {
        // Many samples are fast, since all that are taken at a time share one reading of the weights; but every thread wants some, best twice.
        const Index share = plan.batch_size() / threads;
        const Index size = threads == 1 ? 128 : std::clamp<Index>(share / 2, std::clamp<Index>(share, 16, 64), 128);
        shards_a_piece_ = std::max<Index>(1, size / plan.shard_size());
        const Index smallest = plan.batch_size() / std::max<Index>(1, plan.shards());
        if (shards_a_piece_ == 1 && plan.shards() < 4096) pieces_a_shard_ = std::clamp<Index>((smallest + size - 1) / size, 1, 16);
      }
    }
    const ShardPlan& plan() const { return plan_; }
    Index tasks() const { return (plan_.shards() + shards_a_piece_ - 1) / shards_a_piece_ * pieces_a_shard_; }
    Index largest() const {
      return std::min(plan_.batch_size(), (shards_a_piece_ * plan_.shard_size() + pieces_a_shard_ - 1) / pieces_a_shard_);
    }
    /// The shards of a task, and its samples.
    Range shards(Index task) const {
      const Index first = task / pieces_a_shard_ * shards_a_piece_;
      return {first, std::min(first + shards_a_piece_, plan_.shards())};
    }
    Range samples(Index task) const {
      const Range of = shards(task);
      const Index begin = plan_[of.begin].begin;
      const Range part = part_of(plan_[of.end - 1].end - begin, pieces_a_shard_, task % pieces_a_shard_);
      return {begin + part.begin, begin + part.end};
    }

   private:
    ShardPlan plan_{0, 0};
    Index shards_a_piece_ = 1, pieces_a_shard_ = 1;  // one of them is 1
  };

  /// What one worker owns: scratch, and what the next result goes to.
  struct WorkerState {
    detail::ShardWorker<M, L, Batch> compute;
    Result* result = nullptr;
    double gather_seconds = 0;  // changed only while the race or loop is open
    double gradient_seconds = 0;
  };

  /// All that a shard's gradient is computed from. A late worker may still read one when the next step has begun, in another.
  struct Step {
    detail::Preparation<M> preparation;
    std::vector<Index> samples;
    const void* data = nullptr;
    TrainingStep at;
    Cut cut;
    bool uses_tape = false;
    void (*compute)(ParallelGradient&, const Step&, Index task, WorkerState&) = nullptr;
  };

  /// The pieces or shards, for Team::race.
  struct Job {
    ParallelGradient& engine;

    void run(Index task, int worker, int slot) {
      const Step& step = engine.steps_[static_cast<std::size_t>(slot)];
      step.compute(engine, step, task, engine.workers_[static_cast<std::size_t>(worker)]);
    }
    void keep(Index task, int worker) { engine.keep(task, engine.workers_[static_cast<std::size_t>(worker)]); }
  };

  /// Steps 1 and 2 in a slot that is prepared.
  template <class D>
  BatchSum accumulate(int slot, const D& data, std::span<const Index> samples, const TrainingStep& at) {
    next_slot_ = -1;
    Step& step = steps_[static_cast<std::size_t>(slot)];
    step.samples.assign(samples.begin(), samples.end());
    step.data = &data;
    step.at = at;
    step.uses_tape = uses_tape_ = uses_tape(static_cast<Index>(samples.size()));
    const bool pieces = uses_tape_ && SampleBySample<L> && SampleBySample<D>;
    step.cut = Cut(plan(static_cast<Index>(samples.size())), pieces ? team_->max_workers() : 0);
    step.compute = [](ParallelGradient& engine, const Step& from, Index task, WorkerState& worker) {
      engine.template compute<D>(from, task, worker);
    };
    last_ = &step;
    shards_ = static_cast<std::size_t>(step.cut.plan().shards());
    next_free_.store(0, std::memory_order_relaxed);
    team_->race(step.cut.tasks(), slot, job_);
    if (uses_tape_) collect(step.cut);
    return detail::tree_sum(std::span<const BatchSum>(sums_).first(shards_));
  }

  /// Not that of the last step, which find_not_finite may still look at.
  int free_slot() const {
    return team_->free_slot(static_cast<int>(steps_.size()), last_ != nullptr ? static_cast<int>(last_ - steps_.data()) : -1);
  }

  /// All threads for this step, or only this one: see TeamSize.
  void choose_team(Index batch_size) {
    if (team_->arrived() == 1 || !options_.may_work_alone) return;
    if (timed_region_ != team_->regions()) step_is_open_ = false;  // what was between is no step
    timed_region_ = team_->regions();
    end_step();
    team_->work_alone(team_size_.alone(step_seconds_, step_samples_, team_->overtaken(), team_->arrived()));
    step_seconds_ = -1;
    step_began_ = std::chrono::steady_clock::now();
    step_samples_ = batch_size;
    step_is_open_ = true;
  }

  /// A piece or a shard into the worker's own memory.
  template <class D>
  void compute(const Step& from, Index task, WorkerState& worker) {
    const auto& data = *static_cast<const D*>(from.data);
    const auto samples = [&](Range range) {
      return std::span<const Index>(from.samples.data() + range.begin, static_cast<std::size_t>(range.size()));
    };
    const auto& theta = from.preparation.get();
    const Range piece = from.cut.samples(task);
    if (!from.uses_tape) {
      worker.result->sum = worker.compute.gradient(model_, loss_, theta, data, samples(piece), from.at, worker.result->grad);
      return;
    }
    if constexpr (Taped<M>) {
      try {
        worker.compute.record(model_, loss_, theta, data, samples(piece), from.at, *worker.result);
      } catch (...) {
        // What is thrown is what the first shard throws that throws.
        const Range shards = from.cut.shards(task);
        detail::ShardWorker<M, L, Batch> whole;
        whole.reserve(model_, data, from.cut.plan().shard_size());
        Vector<Scalar> grad(num_parameters_);
        for (Index s = shards.begin; s < shards.end; ++s)
          whole.gradient(model_, loss_, theta, data, samples(from.cut.plan()[s]), from.at, grad);
        throw;
      }
    }
  }

  /// Takes over what the worker has computed, by exchanging memory: the worker goes on with some that is free.
  void keep(Index task, WorkerState& worker) {
    worker.gather_seconds += worker.compute.gather_seconds;
    worker.gradient_seconds += worker.compute.gradient_seconds;
    const auto i = static_cast<std::size_t>(task);
    kept_[i] = worker.result;
    if (!uses_tape_) {
      sums_[i] = worker.result->sum;
      gradients_[i] = worker.result->grad.data();
    }
    std::swap(worker.result, free_[next_free_.fetch_add(1, std::memory_order_relaxed)]);
  }

  void gradient_from_tape(Range range, Scalar* out) const {
    if constexpr (Taped<M>) model_.gradient(tape_, range, out);
  }

  /// The tape from the pieces, and the sums of every shard.
  void collect(const Cut& cut) {
    parts_.clear();
    for (Index task = 0; task < cut.tasks(); ++task) {
      const Result& record = *kept_[static_cast<std::size_t>(task)];
      const Range samples = cut.samples(task), shards = cut.shards(task);
      for (Index s = shards.begin; s < shards.end; ++s) {
        const Range shard = cut.plan()[s], of_both{std::max(shard.begin, samples.begin), std::min(shard.end, samples.end)};
        PARADE_ASSERT(of_both.size() > 0);
        const Range columns{of_both.begin - samples.begin, of_both.end - samples.begin};
        const bool begins = of_both.begin == shard.begin;
        parts_.push_back({&record.piece, samples.size(), columns.begin, columns.size(), begins, of_both.end == shard.end});
        auto& sum = sums_[static_cast<std::size_t>(s)];
        detail::add_samples(begins ? sum = {} : sum, record.values, record.weights, columns);
      }
    }
    if constexpr (Taped<M>) model_.collect(parts_, tape_);
  }

  bool uses_tape(Index batch_size) const {
    return Taped<M> &&
           (options_.tape == UseTape::always || (options_.tape == UseTape::automatic && batch_size <= 1024 && ranges_.size() >= 16));
  }

  void check_reserved(std::span<const Index> samples) const {
    if (!is_ready_ && largest_batch_ > 0) throw std::logic_error("reserve failed: call it again");
    if (static_cast<Index>(samples.size()) > largest_batch_)
      throw std::logic_error(detail::text("reserve was for batches of up to ", largest_batch_, " samples; got ", samples.size()));
  }

  M model_;
  L loss_;
  EngineOptions options_;
  Index num_parameters_;
  std::unique_ptr<Team> team_;
  std::vector<WorkerState> workers_;
  std::vector<Step> steps_;  // slots of the race
  Job job_{*this};

  std::deque<Result> results_;  // owned by a worker, kept for a task, or free
  std::vector<Result*> kept_;   // of task i of the last step
  std::vector<Result*> free_;   // those before next_free_ were exchanged for kept ones
  std::atomic<std::size_t> next_free_{0};

  std::vector<TapePart<typename detail::TapeTypes<M>::Piece>> parts_;
  typename detail::TapeTypes<M>::Tape tape_;
  std::vector<const Scalar*> gradients_;  // of shard s, without a tape
  std::vector<Range> ranges_;
  std::vector<BatchSum> sums_;  // of shard s
  std::size_t shards_ = 0;
  const Step* last_ = nullptr;
  int updated_slot_ = -1, next_slot_ = -1;  // being prepared by an update; prepared for the next step, or −1
  std::uint64_t updated_region_ = 0;
  // Of all batches that were reserved for: samples of a batch, a task, a piece of a tape; tasks; gradients that are kept without a tape.
  Index largest_batch_ = 0, largest_task_ = 0, largest_piece_ = 0, most_tasks_ = 0, most_gradients_ = 0;
  Index reserved_batch_ = 0;  // by the last call
  bool is_ready_ = false;
  bool uses_tape_ = false;  // for the last step

  detail::TeamSize team_size_;
  std::chrono::steady_clock::time_point step_began_;
  bool step_is_open_ = false;
  std::uint64_t timed_region_ = 0;
  double step_seconds_ = -1;  // of the last one, of so many samples
  Index step_samples_ = 0;
};

}  // namespace parade
