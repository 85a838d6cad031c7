// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/concepts/loss.hpp>
#include <parade/concepts/optimizer.hpp>
#include <parade/concepts/regularizer.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/core/batch.hpp>
#include <parade/core/error.hpp>
#include <parade/core/report.hpp>
#include <parade/core/shard_plan.hpp>
#include <parade/engine/batch_sum.hpp>
#include <parade/engine/checks.hpp>
#include <parade/engine/lazy_motion.hpp>
#include <parade/engine/reduce.hpp>
#include <parade/engine/shard_worker.hpp>
#include <parade/engine/sparse_rows_view.hpp>
#include <parade/engine/sparse_step.hpp>
#include <parade/engine/team.hpp>
#include <parade/engine/team_size.hpp>
#include <parade/engine/update.hpp>
#include <parade/kernels/finite.hpp>
#include <parade/kernels/huge_pages.hpp>
#include <parade/kernels/prefetch.hpp>

namespace parade {
namespace detail {

/// Where the remainder's parameters stand in θ of the whole model, one behind the other as the remainder has them.
template <class M, class Remainder>
std::vector<Range> places_of_remainder(const M& model, const Remainder& remainder) {
  std::vector<Range> places;
  for (const auto& block : remainder.parameters()) {
    const Index offset = model.parameters()[block.name].offset;
    places.push_back({offset, offset + block.size()});
  }
  return places;
}

/// The sums a (e) of a row over its entries in order, each ONE chain. `theta_of(i)`: the columns of feature i.
template <class M, class Value, class ThetaOf, class Scalar = typename M::Scalar>
void sum_features(const M& model, const SparseRowsView<Value>& rows, Range entries, const ThetaOf& theta_of, Scalar* sums, Index count) {
  std::fill_n(sums, count, Scalar{0});
  for (Index e = entries.begin; e < entries.end; ++e)
    model.add_feature(rows.values ? static_cast<Scalar>(rows.values[e]) : Scalar{1}, theta_of(rows.indices[e]), sums);
}

}  // namespace detail

/// Training on sparse rows of a model that sums over features (SumsFeatures): a step costs what the entries of its batch cost and what the rest of the model
/// costs, whatever d is, and gives what the dense computation gives, to rounding.
///
///   1. The features that occur in the batch get a slot each; their θ_i, and what the optimizer keeps beside it, are copied there, brought up to date.
///   2. Sample by sample: the sums a over a row's entries. Shard by shard: of the remainder scores, losses and gradients as on dense data whose features are
///      a; and the slopes of every sample.
///   3. The remainder's gradient is summed over the canonical tree on the shards, and stepped by ParallelUpdate.
///   4. The gradient of an element of a slot is ONE chain over the samples of the batch in their order; then its step, in the slot.
///   5. Where all is finite, the slots are written back; else nothing is, so that θ and the optimizer's state are as before.
///
/// What regularization does to a feature that does not occur is put off until it does: see detail::LazyShrinkage, of which every block has its own. So the
/// pairs of optimizer and regularizer are those of SparseTraining; a regularizer that is for no feature's block may be any.
///
/// No bit depends on threads: 1 has no sums, 2 and 3 are those of ParallelGradient, 4 has one order, whoever computes it.
template <SumsFeatures M, class L, class R, class O>
  requires Loss<L, typename M::Scalar> && Regularizer<R, typename M::Scalar>
class SparseSumsTraining final : public detail::LazyTheta<typename M::Scalar> {
 public:
  using Scalar = typename M::Scalar;
  using State = TrainingState<Scalar>;

  SparseSumsTraining(M model, L loss, const R& regularizer, O optimizer, Team& team, Index shard_size = 0)
      : model_(std::move(model)),
        loss_(std::move(loss)),
        optimizer_(std::move(optimizer)),
        team_(&team),
        shard_size_(shard_size),
        features_(model_.num_inputs()),
        remainder_(model_.remainder()),
        places_(detail::places_of_remainder(model_, remainder_)),
        update_(remainder_.parameters(), regularizer, {}, optimizer_, team) {
    zero_gradient_ = detail::zero_gradient_of(optimizer_);
    is_gliding_ = zero_gradient_ == ZeroGradient::glides;
    for (std::size_t j = 0; j < blocks_.size(); ++j) {
      const ParameterBlock& of = model_.feature_block(j);
      Block& block = blocks_[j];
      block.offset = of.offset;
      block.rows = of.rows;
      block.first = width_;
      width_ += of.rows;
      if (detail::parts_for(regularizer, of) == 0) continue;
      if constexpr (HasShrinkage<R>)
        block.shrinkage = regularizer.shrinkage();
      else
        has_lazy_form_ = false;
      block.is_thresholded = block.shrinkage.l1 != 0;
      is_thresholded_ = is_thresholded_ || block.is_thresholded;
    }
  }

  SparseSumsTraining(const SparseSumsTraining&) = delete;
  SparseSumsTraining& operator=(const SparseSumsTraining&) = delete;

  /// Throws OptionError for an optimizer and a regularizer that have no exact lazy form together.
  void check() const {
    double l2 = 0, l1 = 0;
    for (const Block& block : blocks_) {
      l2 = std::max(l2, block.shrinkage.l2);
      l1 = std::max(l1, block.shrinkage.l1);
    }
    detail::check_lazy_form(has_lazy_form_, zero_gradient_, l2, l1);
  }

  /// Makes room for batches of up to `batch_size` samples of this data set, and finds out where its rows are to be cut. Not inside `team.run`.
  template <SparseData D>
  void reserve(const D& data, Index batch_size) {
    discard();
    active_ = {};
    const ShardPlan plan(batch_size, shard_size_);
    const auto shards = static_cast<std::size_t>(plan.shards());
    workers_.resize(static_cast<std::size_t>(team_->max_workers()));
    for (Worker& worker : workers_) worker.compute.reserve(remainder_, Sums<D>{*this, data}, plan.shard_size());
    feature_sums_.resize(model_.num_sums(), batch_size);
    slopes_.resize(remainder_.num_slopes(), batch_size);
    values_.resize(batch_size);
    weights_.resize(data.has_weights() ? batch_size : 0);
    numbers_.reserve(static_cast<std::size_t>(batch_size));
    sums_.resize(shards);
    gradients_.resize(shards);
    gradient_pointers_.resize(shards);
    for (std::size_t s = 0; s < shards; ++s) {
      gradients_[s].resize(remainder_.parameters().size());
      gradient_pointers_[s] = gradients_[s].data();
    }
    preparation_.reserve(remainder_, remainder_.parameters().size());
    update_.reserve();

    const SparseShape shape = sparse_shape(data);
    const double usual = shape.entries_a_row * static_cast<double>(batch_size);
    may_share_ = team_->asked() > 1 && usual * static_cast<double>(width_) >= least_shared_work && batch_size > 1;
    team_size_ = {};
    step_seconds_ = -1;
    cut_.make(data, shape, may_share_ ? std::min<Index>(2 * team_->asked(), 256) : 1, *team_);
    parts_.resize(may_share_ ? static_cast<std::size_t>(cut_.ranges()) + 1 : 1);  // part 0 is all features, for one thread alone
    for (std::size_t p = 0; p < parts_.size(); ++p) {
      parts_[p].range = static_cast<Index>(p) - 1;
      parts_[p].features = p == 0 ? Range{0, features_} : cut_.features(parts_[p].range);
    }
    reserve_slots(detail::most_entries(data, batch_size));
    if (slot_.size() != features_) {
      slot_.resize(features_);
      kernels::use_huge_pages(slot_);
      slot_.setConstant(-1);
    }
    // What is where all is up to date as it is made here stays so: a call for one step must not cost O(d).
    if (is_thresholded_ && last_.rows() != features_) {
      last_.resize(features_, static_cast<Index>(blocks_.size()));
      kernels::use_huge_pages(last_);
      last_.setZero();
    }
    if (is_gliding_ && last_time_.size() != features_) {
      last_time_.resize(features_);
      kernels::use_huge_pages(last_time_);
      last_time_.setZero();
      for (Block& block : blocks_) block.motions.reserve(features_ * width_);
    }
  }

  /// Goes on with other rows of the same kind, in batches no larger than before; not in the midst of a step. The cut of the features stays.
  template <SparseData D>
  void change_rows(const D& data) {
    discard();
    samples_ = {};
    if (const Index most = detail::most_entries(data, values_.size()); most > most_entries_) reserve_slots(most);
    cut_.change_rows(data, *team_);
  }

  /// From now on `state` is what is trained; it must live until `settle`. Its θ is what it says until the first step, and again after `settle`.
  /// `regularizer`: as it is by now, where it changes from step to step. To be called inside `team.run`, after `reserve`.
  void begin(State& state, std::int64_t /*steps*/, const R& regularizer) {
    PARADE_ASSERT(!is_behind_);
    state_ = &state;
    update_.set_regularizer(regularizer);
    guard_.forget();
    const Index size = remainder_.parameters().size();
    if (rest_.theta.size() != size || rest_.states().cols() != state.states().cols()) {
      rest_ = State(size, state.states().cols());
      next_rest_ = rest_;
    }
    Index to = 0;
    for (const Range place : places_) {
      rest_.theta.segment(to, place.size()) = state.theta.segment(place.begin, place.size());
      for (Index q = 0; q < state.states().cols(); ++q)
        rest_.states().col(q).segment(to, place.size()) = state.states().col(q).segment(place.begin, place.size());
      to += place.size();
    }
  }

  /// Scores, losses and gradients behind the sums, of these samples at the θ of now. Returns Σ w_i J_i, W and b. `samples` and `data` must stay until
  /// `update`. `at`: the step that a model with forward_training draws its random numbers by.
  template <SparseData D>
  BatchSum accumulate(const D& data, std::span<const Index> samples, const TrainingStep& at) {
    detail::check_samples(samples, data.size());
    const auto b = static_cast<Index>(samples.size());
    if (b > values_.size())
      throw DataError(
          detail::text("a batch must have at most as many samples as were reserved, ", values_.size(), "; got ", samples.size()));
    discard();
    samples_ = samples;
    numbers_.resize(samples.size());
    for (std::size_t j = 0; j < samples.size(); ++j)
      if constexpr (requires { data.number(samples[j]); })
        numbers_[j] = data.number(samples[j]);
      else
        numbers_[j] = samples[j];
    const ShardPlan plan(b, shard_size_);
    step_began_ = std::chrono::steady_clock::now();
    const bool alone = !may_share_ || team_size_.alone(step_seconds_, b, 0, team_->asked());
    step_seconds_ = -1;
    active_ = alone ? std::span(parts_).first(1) : std::span(parts_).subspan(1);
    team_->work_alone(alone);
    preparation_(remainder_, rest_.theta, [this](Index pieces, auto&& work) { team_->for_each(pieces, work); });
    is_pending_ = true;
    for_each_part(
        [&](Part& part) { part.count = detail::find_slots<Scalar>(data, samples_, cut_, part.range, slot_.data(), part.touched.data()); });
    Index slots = 0;
    for (Part& part : active_) {
      part.first = slots;
      slots += part.count;
    }
    for_each_part([&](Part& part) { read(part); });
    const Index pieces = alone ? 1 : std::clamp<Index>(b / 8, 1, 4 * team_->asked());  // shards may be fewer than threads
    team_->for_each(pieces, [&](Index i, int w) {
      detail::StopWatch watch;
      add_up(data, part_of(b, pieces, i));
      workers_[static_cast<std::size_t>(w)].seconds += watch.lap();
    });
    const Sums<D> sums{*this, data};
    shards_ = static_cast<std::size_t>(plan.shards());
    team_->for_each(plan.shards(), [&](Index shard, int w) {
      detail::StopWatch watch;
      Worker& own = workers_[static_cast<std::size_t>(w)];
      const Range range = plan[shard];
      const auto of_shard =
          std::span<const Index>(numbers_).subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.size()));
      const auto s = static_cast<std::size_t>(shard);
      sums_[s] = own.compute.gradient(remainder_, loss_, preparation_.get(), sums, of_shard, at, VectorRef<Scalar>(gradients_[s]));
      const Index m = range.size();
      slopes_.middleCols(range.begin, m) =
          remainder_.slopes(own.compute.batch.input(), ConstMatrixRef<Scalar>(own.compute.dscores.leftCols(m)), own.compute.workspace);
      values_.segment(range.begin, m) = own.compute.values.head(m);
      if (weights_.size() > 0) weights_.segment(range.begin, m) = own.compute.batch.weights.head(m);
      own.seconds += watch.lap();
    });
    return detail::tree_sum(std::span<const BatchSum>(sums_).first(shards_));
  }

  /// The step, with the `weight` W that `accumulate` returned. False if a number is not finite: θ and the optimizer's state are then as before. Throws as
  /// ParallelUpdate does.
  template <SparseData D>
  bool update(const D& data, double weight, const StepInfo& at) {
    if constexpr (SaysZeroGradient<O>) {
      bool finite = begin_shrinkage(at);
      try {
        Rest source{*this};
        finite = update_(source, weight, rest_, next_rest_, at) && finite;
        if (at.step == 1) for_each_part([&](Part& part) { begin_states(part, at); });
        for_each_part([&](Part& part) { add_gradient(data, part); });
        team_->for_each(static_cast<Index>(active_.size()), [&](Index i, int) {
          detail::StopWatch watch;
          Part& part = active_[static_cast<std::size_t>(i)];
          step(part, weight, at);
          part.update_seconds += watch.lap();
        });
      } catch (...) {  // of an optimizer or a regularizer
        if (at.step == 1) state_->states().setZero();
        discard();
        throw;
      }
      for (const Part& part : active_) finite = finite && part.finite;
      if (finite) {
        team_->for_each(static_cast<Index>(active_.size()), [&](Index i, int) {
          detail::StopWatch watch;
          Part& part = active_[static_cast<std::size_t>(i)];
          write(part);
          part.update_seconds += watch.lap();
        });
        write_rest();
        if (is_gliding_) add_reach();
        for (Block& block : blocks_) {
          block.lazy = block.next;
          if (is_gliding_ && block.waits) block.motions.add(block.motion);
          is_behind_ = is_behind_ || block.is_thresholded || block.lazy.scale != 1 || (is_gliding_ && block.waits);
        }
      } else if (at.step == 1) {
        state_->states().setZero();
      }
      step_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - step_began_).count();
      return finite;
    }
    return false;
  }

  /// As the steps have left it.
  const R& regularizer() const { return update_.regularizer(); }

  /// Brings every feature up to date: θ of the state is θ again. It costs O(d), once an epoch or so.
  void settle() override {
    guard_.forget();  // always, so that a run that goes on from here decides as one that is resumed here
    if (!is_behind_) return;
    for (const Block& block : blocks_) {
      const Index piece = std::max<Index>(1, (Index{1} << 14) / block.rows);
      team_->for_each((features_ + piece - 1) / piece, [&](Index i, int) {
        const Range features{i * piece, std::min(features_, (i + 1) * piece)};
        if (is_gliding_)
          for (Index f = features.begin; f < features.end; ++f) glide(block, block.motions.since(last_time_[f]), f);
        else
          write_theta(block, features, state_->theta);
      });
    }
    set_up_to_date();
  }

  /// Whether `settle` has something to do, and θ as it would leave it; that changes nothing.
  bool is_behind() const override { return is_behind_; }
  void copy_theta(Vector<Scalar>& theta) const override {
    theta = state_->theta;
    for (const Block& block : blocks_) write_theta(block, {0, features_}, theta);
  }

  /// What was not finite in the step that `update` did not take or in the losses of `accumulate`: −1 and "" stand for none.
  struct NotFinite {
    Index shard = -1;
    Index sample = -1;      // index in the data
    std::string parameter;  // whose gradient
  };
  NotFinite find_not_finite() const {
    const ShardPlan plan(static_cast<Index>(samples_.size()), shard_size_);
    for (Index shard = 0; shard < plan.shards(); ++shard)
      for (Index j = plan[shard].begin; j < plan[shard].end; ++j)
        if (!std::isfinite(values_[j]) && (weights_.size() == 0 || weights_[j] > 0))
          return {shard, samples_[static_cast<std::size_t>(j)], ""};
    for (std::size_t s = 0; s < shards_; ++s)
      for (const auto& block : remainder_.parameters())
        if (!kernels::all_finite(gradients_[s].data() + block.offset, block.size())) return {static_cast<Index>(s), -1, block.name};
    for (std::size_t j = 0; j < blocks_.size(); ++j)
      for (const Part& part : active_)
        if ((part.not_finite >> j) & 1) return {-1, -1, model_.feature_block(j).name};
    return {-1, -1, ""};
  }

  /// Thread-seconds in gradient, reduction and update since the object was made.
  PhaseSeconds seconds() const override {
    PhaseSeconds total = update_.seconds();
    for (const Worker& worker : workers_) total.gradient += worker.seconds;
    for (const Part& part : parts_) {
      total.gradient += part.gradient_seconds;
      total.update += part.update_seconds;
    }
    return total;
  }

 private:
  using Remainder = std::remove_cvref_t<decltype(std::declval<const M&>().remainder())>;
  using Batch = DenseBatch<Scalar>;
  static constexpr double least_shared_work = 3000;  // entries of a batch times elements of a feature

  /// One of the blocks of θ that have a column for every feature.
  struct Block {
    Index offset = 0, rows = 0;  // in θ
    Index first = 0;             // of a slot
    Shrinkage shrinkage;
    bool is_thresholded = false;
    detail::LazyShrinkage lazy, next;  // before and after the step
    Scalar scale_now = 1;              // other than 1: what this step multiplies the features by that do not occur
    detail::MotionTable motions;       // of an optimizer that glides
    detail::Motion motion;             // of this step
    double keep = 1;                   // of its proximal step
    bool waits = true;                 // features that do not occur need not do it now
  };

  struct alignas(64) Worker {
    detail::ShardWorker<Remainder, L, Batch> compute;
    double seconds = 0;
  };

  /// A range of features, and in every step those of its features that occur in the batch, in the order in which they do: slot first + t is feature touched[t].
  struct alignas(64) Part {
    Range features;
    Index range = -1;  // of the cut; −1: all
    Index count = 0;
    Index first = 0;
    std::vector<std::int32_t> touched;  // (capacity + 1)
    bool finite = true;
    std::uint64_t not_finite = 0;  // bit j: the gradient of block j is not
    double gradient_seconds = 0, update_seconds = 0;
  };

  /// The rows of a batch as data whose features are the sums.
  template <class D>
  struct Sums {
    const SparseSumsTraining& of;
    const D& data;

    void reserve(Batch& batch, Index capacity) const {
      constexpr bool labelled = std::is_same_v<typename L::Target, Label>;
      batch.reserve(capacity, of.model_.num_sums(), labelled, labelled ? 0 : data.num_targets(), data.has_weights());
    }
    /// `numbers` are consecutive ones of the batch's.
    void gather(std::span<const Index> numbers, Batch& batch) const {
      batch.size = static_cast<Index>(numbers.size());
      const Index first = numbers.data() - of.numbers_.data();
      batch.x.leftCols(batch.size) = of.feature_sums_.middleCols(first, batch.size);
      for (Index j = 0; j < batch.size; ++j) {
        const Index row = of.samples_[static_cast<std::size_t>(first + j)];
        if constexpr (std::is_same_v<typename L::Target, Label>)
          batch.labels[j] = data.labels()[row];
        else
          for (Index c = 0; c < data.num_targets(); ++c) batch.targets(c, j) = static_cast<Scalar>(data.targets()(c, row));
        if (data.has_weights()) batch.weights[j] = data.weights()[row];
      }
    }
  };

  /// For ParallelUpdate: the sum of the remainder's gradient over the shards.
  struct Rest {
    const SparseSumsTraining& of;
    void sum_range(Range range, Scalar* out) const {
      detail::tree_sum<Scalar>(std::span(of.gradient_pointers_).first(of.shards_), range, out);
    }
    static constexpr bool sum_range_computes() { return false; }
    static void begin_update() {}
    static void updated(Range, const Scalar*) {}
    static void end_update(bool) {}
  };

  void reserve_slots(Index most) {
    most_entries_ = most;
    for (Part& part : parts_) part.touched.resize(static_cast<std::size_t>(std::min<Index>(part.features.size(), most)) + 1);
    const Index size = std::min(features_, most) * width_;  // memory that no step needs is never touched
    theta_.resize(size);
    grad_.resize(size);
    states_.resize(size, optimizer_.num_states());
    if (is_thresholded_) pace_.resize(size);
  }

  /// A slot's part of every block.
  template <class S>
  auto columns(S& all, Index slot) const {
    using Pointer = decltype(all.data());
    std::array<Pointer, M::num_feature_blocks> result;
    for (std::size_t j = 0; j < result.size(); ++j) result[j] = all.data() + slot * width_ + blocks_[j].first;
    return result;
  }

  template <class Work>
  void for_each_part(const Work& work) {
    team_->for_each(static_cast<Index>(active_.size()), [&](Index i, int) {
      detail::StopWatch watch;
      Part& part = active_[static_cast<std::size_t>(i)];
      work(part);
      part.gradient_seconds += watch.lap();
    });
  }

  /// θ of the state is θ now.
  void set_up_to_date() {
    for (Block& block : blocks_) {
      block.lazy = {};
      if (is_gliding_) block.motions.clear();
    }
    if (is_thresholded_) last_.setZero();
    if (is_gliding_) last_time_.setZero();
    guard_.forget();
    is_behind_ = false;
  }

  /// θ and v of a feature after some steps.
  void glide(const Block& block, const detail::Motion& motion, Index feature) {
    const Index begin = block.offset + feature * block.rows;
    Scalar *theta = state_->theta.data() + begin, *state = &state_->states()(begin, 0);
    for (Index c = 0; c < block.rows; ++c) {
      const auto t = static_cast<double>(theta[c]), v = static_cast<double>(state[c]);
      theta[c] = static_cast<Scalar>(motion.theta(t, v));
      state[c] = static_cast<Scalar>(motion.state(t, v));
    }
  }

  /// The slots as they are between steps.
  void discard() {
    if (!std::exchange(is_pending_, false)) return;
    for (Part& part : active_) {
      for (Index t = 0; t < part.count; ++t) slot_[part.touched[static_cast<std::size_t>(t)]] = -1;
      part.count = 0;
      part.finite = true;
      part.not_finite = 0;
    }
  }

  /// θ of the part's features that occur, as of now, and the optimizer's states.
  void read(Part& part) {
    const Matrix<Scalar>& states = std::as_const(*state_).states();
    constexpr Index ahead = 8;
    for (Index t = 0; t < part.count; ++t) {
      if (t + ahead < part.count) {
        const Index soon = part.touched[static_cast<std::size_t>(t + ahead)];
        for (const Block& block : blocks_)
          kernels::prefetch(state_->theta.data() + block.offset + soon * block.rows,
                            static_cast<std::size_t>(std::min<Index>(block.rows, 64)) * sizeof(Scalar));
      }
      const Index i = part.touched[static_cast<std::size_t>(t)], slot = part.first + t;
      slot_[i] = static_cast<std::int32_t>(slot);
      std::fill_n(grad_.data() + slot * width_, width_, Scalar{0});
      for (const Block& block : blocks_) {
        const Index from = block.offset + i * block.rows, to = slot * width_ + block.first;
        read_elements(block, i, {from, from + block.rows}, theta_.data() + to, pace_.data() + (is_thresholded_ ? to : 0));
        for (Index q = 0; q < states.cols(); ++q) std::copy_n(&states(from, q), block.rows, &states_(to, q));
        if (is_gliding_) {
          const detail::Motion motion = block.motions.since(last_time_[i]);
          for (Index c = 0; c < block.rows; ++c)
            states_(to + c, 0) =
                static_cast<Scalar>(motion.state(static_cast<double>(state_->theta[from + c]), static_cast<double>(states(from + c, 0))));
        }
      }
    }
  }

  /// The sums of some samples of the batch. A row without weight has no entries: whatever it holds, it must not count.
  template <class D>
  void add_up(const D& data, Range piece) {
    const detail::SparseRowsView rows(data);
    constexpr Index ahead = detail::sparse_prefetch_distance;
    const auto sample = [&](Index j) { return samples_[static_cast<std::size_t>(j)]; };
    for (Index j = piece.begin; j < piece.end; ++j) {
      if (j + ahead < piece.end) rows.prefetch({rows.begin(sample(j + ahead)), rows.end(sample(j + ahead))});
      const Index row = sample(j);
      const bool is_absent = data.has_weights() && data.weights()[row] == 0;
      detail::sum_features(
          model_, rows, is_absent ? Range{} : Range{rows.begin(row), rows.end(row)},
          [&](std::int32_t i) { return columns(std::as_const(theta_), slot_[i]); }, &feature_sums_(0, j), feature_sums_.rows());
    }
  }

  /// Elements of a feature's column, as of now. `pace` is scratch of their number.
  void read_elements(const Block& block, Index feature, Range elements, Scalar* to, Scalar* pace) const {
    const Scalar* stored = state_->theta.data() + elements.begin;
    const auto scale = static_cast<Scalar>(block.lazy.scale);
    const Index size = elements.size();
    if (is_gliding_) {
      const Scalar* state = &std::as_const(*state_).states()(elements.begin, 0);
      const detail::Motion motion = block.motions.since(last_time_[feature]);
      for (Index c = 0; c < size; ++c)
        to[c] = static_cast<Scalar>(motion.theta(static_cast<double>(stored[c]), static_cast<double>(state[c])));
      return;
    }
    const double due = block.is_thresholded ? block.lazy.sum - last_(feature, index_of(block)) : 0;
    if (due > 0) {
      detail::write_pace<Scalar>(optimizer_, state_->slice(elements), Eigen::Map<Vector<Scalar>>(pace, size));
      for (Index c = 0; c < size; ++c) {
        const double left = std::fma(-due, static_cast<double>(pace[c]), std::abs(static_cast<double>(stored[c])));
        to[c] = scale * (left <= 0 ? Scalar{0} : std::copysign(static_cast<Scalar>(left), stored[c]));  // NaN stays
      }
    } else {
      for (Index c = 0; c < size; ++c) to[c] = scale * stored[c];
    }
  }
  Index index_of(const Block& block) const { return &block - blocks_.data(); }

  void write_theta(const Block& block, Range features, Vector<Scalar>& theta) const {
    constexpr Index most = 256;
    Scalar pace[most];
    for (Index i = features.begin; i < features.end; ++i)
      for (Index c = 0; c < block.rows; c += most) {
        const Index begin = block.offset + i * block.rows + c;
        read_elements(block, i, {begin, begin + std::min(most, block.rows - c)}, theta.data() + begin, pace);
      }
  }

  /// What this step does to C and B of every block. Where C would leave its range, or be 0, every feature is brought up to date at once. False where a feature
  /// that does not occur would leave the range of numbers.
  bool begin_shrinkage(const StepInfo& at) {
    if (is_gliding_) return begin_motion(at);
    const auto in_range = [](double scale) { return std::abs(scale) >= 0x1p-40 && std::abs(scale) <= 0x1p40; };
    // Where it is 0, not even one step can be put off; above 1, nobody would see θ leave the range of numbers.
    const auto may_wait = [&](const Block& block, double c) { return block.shrinkage.l2_in_prox || (in_range(c) && std::abs(c) <= 1); };
    const double rate = detail::effective_rate(optimizer_, at);
    for (const Block& block : blocks_) {
      const double c = detail::factor_of_l2(block.shrinkage, at.rate);
      if (!may_wait(block, c) || !in_range(block.lazy.scale * c)) settle();
      // Thresholds are added up in double: where those to come are tiny beside the sum, it begins anew.
      const double threshold = rate * block.shrinkage.l1;
      if (threshold > 0 && block.lazy.sum > 0x1p36 * threshold / std::abs(block.lazy.scale)) settle();
    }
    bool finite = true;
    for (Block& block : blocks_) {
      const double c = detail::factor_of_l2(block.shrinkage, at.rate);
      const bool waits = may_wait(block, c);
      block.scale_now = waits ? Scalar{1} : static_cast<Scalar>(c);
      block.next = {waits ? block.lazy.scale * c : 1, 0};
      if (!waits && std::abs(c) > 1) {
        const auto all = state_->theta.segment(block.offset, block.rows * features_);
        finite = finite && std::isfinite(block.scale_now * all.cwiseAbs().maxCoeff());
      }
      const double over = block.shrinkage.l2_in_prox ? block.lazy.scale : block.next.scale;
      block.next.sum = block.lazy.sum + std::min(rate * block.shrinkage.l1 / std::abs(over), 0x1p1000);
    }
    return finite;
  }

  /// What this step does to a feature that does not occur. Where such steps would let θ leave the range of numbers, nobody would see it happen: then all
  /// features do it now. False where one leaves it.
  bool begin_motion(const StepInfo& at) {
    bool finite = true;
    if constexpr (HasLinearStep<O>) {
      const LinearStep step = optimizer_.linear_step(at);
      constexpr double most = static_cast<double>(std::numeric_limits<Scalar>::max());
      const auto measure = [&](const Block& block) {
        const auto largest = [&](const auto& all) { return largest_of(all.data() + block.offset, block.rows * features_); };
        return detail::Reach{largest(state_->theta), largest(std::as_const(*state_).states())};
      };
      bool all_wait = true;
      for (Block& block : blocks_) {
        block.motion = detail::motion_step(step, block.shrinkage).motion;
        block.next = block.lazy;
        block.keep = block.shrinkage.l2_in_prox ? 1 / std::fma(step.step_size, block.shrinkage.l2, 1.0) : 1;
        all_wait = all_wait && detail::is_stable(block.motion);
      }
      if (blocks_[0].motions.is_full()) settle();
      if (!guard_.is_known()) {
        detail::Reach all;
        for (const Block& block : blocks_) all = all.with(measure(block));
        guard_.set(all);
      }
      all_wait =
          all_wait &&
          guard_.may_wait(
              blocks_.size(), [&](std::size_t j) { return blocks_[j].motion; }, [&](std::size_t j) -> auto& { return blocks_[j].motions; },
              most / 16);
      if (!all_wait) settle();
      moved_ = {};
      for (Block& block : blocks_) {
        block.waits = all_wait;  // all blocks of a feature are of the same time
        if (all_wait) continue;
        const detail::Reach own = measure(block).after(block.motion);
        finite = finite && own.is_within(most);
        moved_ = moved_.with(own);
      }
    }
    return finite;
  }

  static double largest_of(const Scalar* x, Index size) { return static_cast<double>(kernels::largest_size(x, size)); }

  /// The step was taken: what is known of how far the features may be.
  void add_reach() {
    detail::Reach touched;
    for (const Part& part : active_) {
      const Index begin = part.first * width_, size = part.count * width_;
      touched = touched.with({largest_of(theta_.data() + begin, size), largest_of(states_.data() + begin, size)});
    }
    if (blocks_[0].waits)
      guard_.add(touched);
    else
      guard_.set(moved_.with(touched));
  }

  /// The gradient of the part's slots.
  template <class D>
  void add_gradient(const D& data, Part& part) {
    const detail::SparseRowsView rows(data);
    const Vector<Scalar>& theta = theta_;
    const auto all_rows = [&](auto ones) {
      detail::for_each_weighted_row(data, samples_, cut_, part.range, [&](Index j, Range entries) {
        const Scalar* slopes = &slopes_(0, j);
        for (Index e = entries.begin; e < entries.end; ++e) {
          Scalar x = 1;
          if constexpr (!ones) x = static_cast<Scalar>(rows.values[e]);
          const Index slot = slot_[rows.indices[e]];
          model_.add_feature_gradient(x, columns(theta, slot), slopes, columns(grad_, slot));
        }
      });
    };
    rows.values ? all_rows(std::false_type{}) : all_rows(std::true_type{});
  }

  /// The step of the part's slots: division by W, smooth part of the regularizer, step, proximal part, what is to be stored, and the check.
  void step(Part& part, double weight, const StepInfo& at) {
    if constexpr (HasStep<O, Scalar>) {
      const Index begin = part.first * width_, size = part.count * width_;
      if (size == 0) return;
      Scalar *theta = theta_.data() + begin, *grad = grad_.data() + begin;
      const auto each_block = [&](const auto& work) {  // work(block, first element) for the columns of all slots
        for (const Block& block : blocks_)
          for (Index s = block.first; s < size; s += width_) work(block, s);
      };
      const auto divisor = static_cast<Scalar>(weight);
      for (Index s = 0; s < size; ++s) grad[s] /= divisor;
      part.finite = kernels::all_finite(grad, size);
      if (!part.finite)
        each_block([&](const Block& block, Index s) {
          if (!kernels::all_finite(grad + s, block.rows)) part.not_finite |= std::uint64_t{1} << index_of(block);
        });
      for (const Block& block : blocks_) {
        if (block.shrinkage.l2 == 0 || block.shrinkage.l2_in_prox) continue;
        const auto l2 = static_cast<Scalar>(block.shrinkage.l2);
        for (Index s = block.first; s < size; s += width_)
          for (Index c = s; c < s + block.rows; ++c) grad[c] = std::fma(l2, theta[c], grad[c]);
      }
      const StateRef<Scalar> state(states_.data() + begin, states_.rows(), size);
      optimizer_.step(VectorRef<Scalar>(theta_.segment(begin, size)), ConstVectorRef<Scalar>(grad_.segment(begin, size)), state, at);
      if (is_thresholded_) detail::write_pace<Scalar>(optimizer_, state, pace_.segment(begin, size));
      for (const Block& block : blocks_) {
        const auto threshold = static_cast<Scalar>(-detail::effective_rate(optimizer_, at) * block.shrinkage.l1);
        const auto keep = static_cast<Scalar>(is_gliding_ ? block.keep : detail::factor_of_l2(block.shrinkage, at.rate));
        const double scale = block.next.scale;
        for (Index s = block.first; s < size; s += width_)
          for (Index c = s; c < s + block.rows; ++c) {
            if (block.is_thresholded) {
              const Scalar left = std::fma(threshold, pace_[begin + c], std::abs(theta[c]));
              theta[c] = left <= 0 ? Scalar{0} : std::copysign(left, theta[c]);  // NaN stays
            }
            if (block.shrinkage.l2_in_prox) theta[c] *= keep;
            grad[c] = scale == 1 ? theta[c] : static_cast<Scalar>(static_cast<double>(theta[c]) / scale);  // to be stored
          }
      }
      part.finite = part.finite && kernels::all_finite(theta, size) && kernels::all_finite(grad, size);
      for (Index q = 0; q < states_.cols(); ++q) part.finite = part.finite && kernels::all_finite(&states_(begin, q), size);
    }
  }

  /// What the part's step has come to becomes θ and the optimizer's states.
  void write(const Part& part) {
    Matrix<Scalar>& states = state_->states();
    for (const Block& block : blocks_) {
      if (is_gliding_ && !block.waits)
        for (Index i = part.features.begin; i < part.features.end; ++i)
          if (slot_[i] < 0) glide(block, block.motion, i);
      if (block.scale_now == 1) continue;
      for (Index i = part.features.begin; i < part.features.end; ++i)
        if (slot_[i] < 0)
          for (Index e = block.offset + i * block.rows; e < block.offset + (i + 1) * block.rows; ++e) state_->theta[e] *= block.scale_now;
    }
    for (Index t = 0; t < part.count; ++t) {
      const Index i = part.touched[static_cast<std::size_t>(t)];
      for (const Block& block : blocks_) {
        const Index to = block.offset + i * block.rows, from = (part.first + t) * width_ + block.first;
        std::copy_n(grad_.data() + from, block.rows, state_->theta.data() + to);
        for (Index q = 0; q < states.cols(); ++q) std::copy_n(&states_(from, q), block.rows, &states(to, q));
        if (block.is_thresholded) last_(i, index_of(block)) = block.next.sum;
      }
      if (is_gliding_ && blocks_[0].waits) last_time_[i] = blocks_[0].motions.time() + 1;
    }
  }

  void write_rest() {
    std::swap(rest_, next_rest_);
    Index from = 0;
    for (const Range place : places_) {
      std::copy_n(rest_.theta.data() + from, place.size(), state_->theta.data() + place.begin);
      for (Index q = 0; q < rest_.states().cols(); ++q)
        std::copy_n(&rest_.states()(from, q), place.size(), &state_->states()(place.begin, q));
      from += place.size();
    }
  }

  void begin_states(Part& part, const StepInfo& at) {
    if (is_gliding_ || optimizer_.num_states() == 0) return;
    for (const Block& block : blocks_)
      detail::begin_states(optimizer_, *state_, block.offset, block.rows, part.features, slot_.data(), at,
                           [](Index, const StateRef<Scalar>&) {});
  }

  M model_;
  L loss_;
  O optimizer_;
  Team* team_;
  Index shard_size_;
  Index features_;  // d
  Remainder remainder_;
  std::vector<Range> places_;  // of the remainder's parameters in θ
  std::array<Block, M::num_feature_blocks> blocks_;
  Index width_ = 0;  // elements of a feature
  ZeroGradient zero_gradient_ = ZeroGradient::moves;
  bool has_lazy_form_ = true;
  bool is_thresholded_ = false;
  bool is_gliding_ = false;

  State* state_ = nullptr;
  State rest_, next_rest_;  // of the remainder
  ParallelUpdate<Scalar, R, detail::Unconstrained, O> update_;
  detail::MotionGuard guard_;
  detail::Reach moved_;             // of features that did not occur in a step that could not be put off
  bool is_behind_ = false;          // θ of the state is not θ
  Matrix<double> last_;             // (d, blocks) B when the feature was last stored
  Vector<std::int32_t> last_time_;  // (d) when the feature was last stored, where steps glide
  Vector<std::int32_t> slot_;       // (d) −1 between steps, and where the feature does not occur
  Vector<Scalar> theta_, grad_;     // (width, slots); in the end of a step grad is what is to be stored
  Vector<Scalar> pace_;             // (width, slots) D⁻¹
  Matrix<Scalar> states_;           // (width · slots, states)

  // Who computes.
  bool may_share_ = false;  // steps are large enough for the team
  detail::TeamSize team_size_;
  double step_seconds_ = -1;  // of the last step; −1: not known
  std::chrono::steady_clock::time_point step_began_;
  detail::SparseCut cut_;
  std::vector<Part> parts_;
  std::span<Part> active_;  // those of this step
  Index most_entries_ = 0;  // of a batch, that there is room for

  // The batch.
  std::span<const Index> samples_;
  std::vector<Index>
      numbers_;              // (b) of the samples in all of the data, of which these rows may be a window: random numbers are drawn by them
  bool is_pending_ = false;  // there are slots
  detail::Preparation<Remainder> preparation_;
  std::vector<Worker> workers_;
  std::vector<Vector<Scalar>> gradients_;  // of the remainder, of the shards
  std::vector<const Scalar*> gradient_pointers_;
  std::vector<BatchSum> sums_;  // of the shards
  std::size_t shards_ = 0;
  Matrix<Scalar> feature_sums_;  // (e,b)
  Matrix<Scalar> slopes_;        // (slopes, b)
  Vector<Scalar> values_;        // (b)
  Vector<double> weights_;       // (b) or (0)
};

}  // namespace parade
