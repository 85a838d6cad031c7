// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/concepts/loss.hpp>
#include <parade/concepts/optimizer.hpp>
#include <parade/concepts/regularizer.hpp>
#include <parade/concepts/sample_by_sample.hpp>
#include <parade/concepts/sparse.hpp>
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

/// An element as it is stored, and what it is now, over C.
template <class Scalar>
struct PlainElements {
  const Scalar* stored;
  Scalar operator()(Index element, Index) const { return stored[element]; }
};
template <class Scalar>
struct ThresholdedElements {
  const Scalar* stored;
  const double* last;  // (d) B₀
  double sum;
  Scalar operator()(Index element, Index feature) const {
    const Scalar v = stored[element];
    const double left = std::abs(static_cast<double>(v)) - (sum - last[feature]);
    return left <= 0 ? Scalar{0} : std::copysign(static_cast<Scalar>(left), v);
  }
};
template <class Scalar>
struct PacedElements {
  const Scalar* stored;
  const double* last;
  const Scalar* pace;  // (k,d) D⁻¹
  double sum;
  Scalar operator()(Index element, Index feature) const {
    const Scalar v = stored[element];
    const double left = std::fma(-(sum - last[feature]), static_cast<double>(pace[element]), std::abs(static_cast<double>(v)));
    return left <= 0 ? Scalar{0} : std::copysign(static_cast<Scalar>(left), v);
  }
};

/// With a drift −α μ_e in every step, μ the mean gradient at an anchor.
template <class Scalar>
struct DriftingElements {
  const Scalar* stored;
  const double* last;  // (d) sum of the steps' α/C when the feature was last stored
  const Scalar* mean;  // (k,d) μ
  double sum;
  Scalar operator()(Index element, Index feature) const {
    return static_cast<Scalar>(std::fma(-(sum - last[feature]), static_cast<double>(mean[element]), static_cast<double>(stored[element])));
  }
};

template <class Scalar>
struct GlidingElements {
  const Scalar* stored;
  const Scalar* state;       // v, as stored
  const std::int32_t* last;  // (d) when the feature was last stored
  const MotionTable* table;
  Scalar operator()(Index element, Index feature) const {
    return static_cast<Scalar>(
        table->since(last[feature]).theta(static_cast<double>(stored[element]), static_cast<double>(state[element])));
  }
};

/// θ (d) += dz x for one row and one output. Where Careful, `old` (entries) is what was there, and zeros (4) are NaN afterwards if a number is not
/// finite. Four, since one chain would wait for each multiply-add before the next.
template <bool Ones, bool Careful, class Scalar, class Value>
void step_row(const std::int32_t* __restrict indices, const Value* __restrict values, Index entries, Scalar dz, Scalar* __restrict theta,
              [[maybe_unused]] Scalar* __restrict old, [[maybe_unused]] Scalar* __restrict zeros) {
  const auto step = [&](Index entry) {
    Scalar& element = theta[indices[entry]];
    if constexpr (Careful) old[entry] = element;
    if constexpr (Ones)
      element += dz;
    else
      element = std::fma(static_cast<Scalar>(values[entry]), dz, element);
    return element;
  };
  if constexpr (Careful) {
    Scalar zero[4] = {zeros[0], zeros[1], zeros[2], zeros[3]};
    Index entry = 0;
    for (; entry + 4 <= entries; entry += 4)
      for (Index i = 0; i < 4; ++i) zero[i] = std::fma(Scalar{0}, step(entry + i), zero[i]);
    for (; entry < entries; ++entry) zero[0] = std::fma(Scalar{0}, step(entry), zero[0]);
    std::copy_n(zero, 4, zeros);
  } else {
    for (Index entry = 0; entry < entries; ++entry) step(entry);
  }
}

/// The same for k outputs: θ (k,d) += dz xᵀ, old (k, entries), zeros (k).
template <bool Ones, bool Careful, class Scalar, class Value>
void step_row(const std::int32_t* __restrict indices, const Value* __restrict values, Index entries, Index k, const Scalar* __restrict dz,
              Scalar* __restrict theta, [[maybe_unused]] Scalar* __restrict old, [[maybe_unused]] Scalar* __restrict zeros) {
  for (Index entry = 0; entry < entries; ++entry) {
    Scalar* elements = theta + indices[entry] * k;
    for (Index c = 0; c < k; ++c) {
      if constexpr (Careful) old[entry * k + c] = elements[c];
      if constexpr (Ones)
        elements[c] += dz[c];
      else
        elements[c] = std::fma(static_cast<Scalar>(values[entry]), dz[c], elements[c]);
      if constexpr (Careful) zeros[c] = std::fma(Scalar{0}, elements[c], zeros[c]);
    }
  }
}

}  // namespace detail

/// Training of a linear model on sparse rows: a step costs what the entries of its batch cost, whatever d is, and gives what the dense computation
/// gives, to rounding.
///
///   g ← (1/W) Σ_i w_i ∇J(θ; x_i, y_i) + λ₂θ,   θ ← θ − α(…),   θ ← soft threshold of θ by α_i λ₁
///
/// A feature without an entry in the batch has only the regularizer's part of this to do, which is put off until it is read again: see LazyShrinkage; with
/// momentum also what v still moves it by: see MotionTable. So which pairs of optimizer and regularizer there are is a matter of algebra: `check`.
///
/// The promise of the bits is that of ParallelGradient: none depends on threads. Here the canonical order is simpler, since nobody holds a gradient
/// of length P to be added to another's: the gradient of an element is ONE chain of multiply-adds over the samples of the batch in their order,
///
///   g_i ← fma(x_ij, dz_j, g_i),  j = 1 … b
///
/// and where batches are small and there is no L1 (up to some 16 000 entries, usually) the chain begins with θ_i and its terms are steps: see
/// step_directly. Which of the two it is depends on settings and data alone. Whoever computes the chain, it is the same, and features are cut among threads. A
/// tree over shards would need a sum a shard for each feature, mostly of one entry. A step has two parallel parts: (1) scores, loss and dz, over samples or, where
/// rows are long and threads few, over ranges of features (SparseCut); (2) gradient and update, over ranges of features. θ is updated in place. What
/// was there before is kept until the step stands: where a loss or what would be θ is not finite, all is as it was. (That includes terms of
/// a batch that would cancel each other only after one has left the range of numbers.)
///
/// Small batches are done by the calling thread alone.
template <LinearModel M, class L, class R, class O>
  requires Loss<L, typename M::Scalar> && Regularizer<R, typename M::Scalar>
class SparseTraining final : public detail::LazyTheta<typename M::Scalar> {
 public:
  using Scalar = typename M::Scalar;
  using State = TrainingState<Scalar>;

  SparseTraining(M model, L loss, const R& regularizer, O optimizer, Team& team, Index shard_size = 0)
      : model_(std::move(model)),
        loss_(std::move(loss)),
        optimizer_(std::move(optimizer)),
        team_(&team),
        shard_size_(shard_size),
        features_(model_.num_inputs()),
        outputs_(model_.num_outputs()),
        weight_(model_.parameters()["weight"].offset) {
    const ParameterList& parameters = model_.parameters();
    if (parameters.contains("bias")) bias_ = parameters["bias"].offset;
    if constexpr (HasShrinkage<R>) {
      const auto of = [&](const char* block) {
        return detail::applies_to(regularizer, parameters[block]) ? regularizer.shrinkage() : Shrinkage{};
      };
      weight_shrinkage_ = of("weight");
      if (bias_ >= 0) bias_shrinkage_ = of("bias");
    }
    zero_gradient_ = detail::zero_gradient_of(optimizer_);
    set_mode(false);
  }

  SparseTraining(const SparseTraining&) = delete;
  SparseTraining& operator=(const SparseTraining&) = delete;

  /// Throws OptionError for an optimizer and a regularizer that have no exact lazy form together.
  void check() const {
    detail::check_lazy_form(HasShrinkage<R>, zero_gradient_, std::max(weight_shrinkage_.l2, bias_shrinkage_.l2),
                            std::max(weight_shrinkage_.l1, bias_shrinkage_.l1));
  }

  /// Throws OptionError for an optimizer and a regularizer with which variance-reduced gradients have no exact lazy form.
  void check_anchored() const {
    if (zero_gradient_ != ZeroGradient::linear || weight_shrinkage_.l1 != 0 || bias_shrinkage_.l1 != 0)
      throw OptionError(
          "svrg must be 0 on sparse rows with this optimizer and regularizer: the gradient over all data moves every feature in each step, "
          "which has an exact lazy form for Sgd without momentum, with L2 or no regularizer");
  }

  /// Makes room for batches of up to `batch_size` samples of this data set, and finds out where its rows are to be cut. `is_anchored`: steps will
  /// take variance-reduced gradients, see begin_anchor. Not inside `team.run`.
  template <SparseData D>
  void reserve(const D& data, Index batch_size, bool is_anchored = false) {
    set_mode(is_anchored);
    scores_.resize(outputs_, batch_size);
    dscores_.resize(outputs_, batch_size);
    values_.resize(batch_size);
    anchor_scores_.resize(outputs_, is_anchored ? batch_size : 0);
    anchor_dscores_.resize(outputs_, anchor_scores_.cols());
    anchor_values_.resize(anchor_scores_.cols());
    weights_.resize(data.has_weights() ? batch_size : 0);
    if constexpr (takes_labels)
      labels_.resize(batch_size);
    else
      targets_.resize(outputs_, batch_size);
    sums_.resize(static_cast<std::size_t>(ShardPlan(batch_size, shard_size_).shards()));
    workers_.resize(static_cast<std::size_t>(team_->max_workers()));
    for (Worker& worker : workers_) worker.sums.resize(5 * outputs_);

    const SparseShape shape = sparse_shape(data);
    const double usual = shape.entries_a_row * static_cast<double>(batch_size);
    discard();
    active_ = {};
    may_share_ = team_->asked() > 1 && usual * static_cast<double>(outputs_) >= least_shared_work && batch_size > 1;
    team_size_ = {};
    step_seconds_ = -1;
    is_direct_ = mode_ == Mode::plain && zero_gradient_ == ZeroGradient::linear && usual <= chunk_entries;
    largest_value_ = is_direct_ ? detail::largest_value<Scalar>(data, *team_) : 0;
    is_theta_far_ = mode_ != Mode::drifting && features_ * outputs_ > most_near / static_cast<Index>(sizeof(Scalar));
    score_ranges_ = shape.ranges();
    is_by_ranges_ = may_share_ && is_direct_ && score_ranges_ >= team_->asked();
    partial_scores_.resize(is_by_ranges_ ? outputs_ * batch_size : 0, score_ranges_);
    // Two for each thread where samples are shared for the scores. Part 0 is all features, for one thread alone.
    const Index wanted = may_share_ && !is_by_ranges_ ? std::min<Index>(2 * team_->asked(), 256) : 1;
    pieces_ = (wanted + score_ranges_ - 1) / score_ranges_;
    cut_.make(data, shape, score_ranges_ * pieces_, *team_);
    const Index shares = is_by_ranges_ ? team_->asked() : cut_.ranges();
    parts_.resize(may_share_ ? static_cast<std::size_t>(shares) + 1 : 1);
    for (std::size_t p = 0; p < parts_.size(); ++p) {
      parts_[p].range = static_cast<Index>(p) - 1;
      parts_[p].ranges = p == 0 ? Range{0, cut_.ranges()} : part_of(cut_.ranges(), shares, parts_[p].range);
      parts_[p].features = {cut_.features(parts_[p].ranges.begin).begin, cut_.features(parts_[p].ranges.end - 1).end};
      if (is_direct_) {
        parts_[p].zeros.resize(outputs_ > 1 ? outputs_ : 4);
        parts_[p].dz.resize(outputs_);
      }
    }
    if (!is_direct_) reserve_parts(detail::most_entries(data, batch_size));
    const double chunk = (may_share_ ? team_->asked() : 1) * chunk_entries / std::max(1.0, usual / static_cast<double>(batch_size));
    chunk_ = std::max<Index>(16, static_cast<Index>(std::min(chunk, 1e9)));
    reserve(bias_part_, 1);
    // What is between steps, or where all is up to date, as it is made here stays so: a call for one step must not cost O(d).
    if (!is_direct_ && slot_.size() != features_) {
      slot_.resize(features_);
      kernels::use_huge_pages(slot_);
      slot_.setConstant(-1);
    }
    if (keeps_last() && last_.size() != features_) {
      last_.resize(features_);
      kernels::use_huge_pages(last_);
      last_.setZero();
    }
    if (mode_ == Mode::gliding && last_time_.size() != features_) {
      last_time_.resize(features_);
      kernels::use_huge_pages(last_time_);
      last_time_.setZero();
      motions_.reserve(features_ * outputs_);
    }
    if (mode_ == Mode::paced && pace_.size() != outputs_ * features_) {
      pace_.resize(outputs_ * features_);
      kernels::use_huge_pages(pace_);
    }
  }

  /// Goes on with other rows of the same kind, in batches no larger than before; not in the midst of a step. The cut of the features stays.
  template <SparseData D>
  void change_rows(const D& data) {
    discard();
    samples_ = next_samples_ = {};
    active_ = {};
    if (is_direct_)
      largest_value_ = detail::largest_value<Scalar>(data, *team_);
    else if (const Index most = detail::most_entries(data, scores_.cols()); most > most_entries_)
      reserve_parts(most);
    cut_.change_rows(data, *team_);
  }

  /// From now on `state` is what is trained; it must live until `settle`. Its θ is what it says until the first step, and again after `settle`.
  /// `steps`: that were taken before, 0 for a state that is new. `is_for_one`: only one step will be, for which to look at all of θ is too much. To be
  /// called inside `team.run`, after `reserve`.
  void begin(State& state, std::int64_t steps, bool is_for_one = false) {
    PARADE_ASSERT(!is_behind_);
    state_ = &state;
    lazy_ = {};
    if (is_direct_) bound_ = is_for_one ? std::numeric_limits<double>::infinity() : largest_stored();
    guard_.forget();
    if (mode_ == Mode::drifting) end_anchor(0);
    if (mode_ != Mode::paced) return;
    pace_.setZero();
    if (steps == 0) return;
    for_each_piece([&](Range features) {
      detail::write_pace<Scalar>(optimizer_, state.slice({weight_ + features.begin * outputs_, weight_ + features.end * outputs_}),
                                 pace_.segment(features.begin * outputs_, features.size() * outputs_));
    });
  }

  /// Variance-reduced gradients: θ̃ is the θ of now, and the batches that `add_to_anchor` brings up to `end_anchor` give μ = (1/W) Σ w_i ∇J_i(θ̃). From then
  /// on a step takes
  ///
  ///   g ← (1/W_B) Σ_B w_i (∇J_i(θ) − ∇J_i(θ̃)) + μ
  ///
  /// whose first part is 0 where a feature does not occur, since a model that is linear has ∇J_i = x_i dz_i: so it is the same chain of dz − dz̃. μ is everywhere,
  /// and moves such a feature by an affine map θ ← cθ − αμ. Over C = Π c_s, as in LazyShrinkage, that is
  ///
  ///   θ/C = v − (A − A₀) μ,   A = Σ α_s/C_s
  ///
  /// for a feature that was last stored as v at A₀. After `begin`, where nothing is behind; for a state that was `reserve`d so.
  void begin_anchor() {
    PARADE_ASSERT(!is_behind_ && mode_ == Mode::drifting);
    discard();
    has_anchor_ = false;
    anchor_ = state_->theta;
    anchor_sum_.setZero(anchor_.size());
    mean_.setZero();  // it may not have been finite, and 0 times that is NaN
  }
  /// Returns the weight of the batch; nothing, and it is left out, if its loss or gradient is not finite: see find_not_finite.
  template <SparseData D>
  std::optional<double> add_to_anchor(const D& data, std::span<const Index> samples) {
    const BatchSum sum = accumulate(data, samples);
    if (!std::isfinite(sum.loss)) return std::nullopt;
    is_pending_ = true;
    for_each_part([&](Part& part) {
      add_gradient(data, part, last_chunk_);
      part.has_finite_grad = kernels::all_finite(part.grad.data(), part.count * outputs_);
    });
    if (bias_ >= 0) add_bias_gradient(bias_part_);
    bias_part_.has_finite_grad = kernels::all_finite(bias_part_.grad.data(), outputs_);
    bool finite = bias_part_.has_finite_grad;
    for (const Part& part : active_) finite = finite && part.has_finite_grad;
    if (!finite) return std::nullopt;
    for_each_part([&](Part& part) {
      for (Index t = 0; t < part.count; ++t) {
        const Index to = weight_ + part.touched[static_cast<std::size_t>(t)] * outputs_;
        for (Index c = 0; c < outputs_; ++c) anchor_sum_[to + c] += static_cast<double>(part.grad[t * outputs_ + c]);
      }
    });
    for (Index c = 0; bias_ >= 0 && c < outputs_; ++c) anchor_sum_[bias_ + c] += static_cast<double>(bias_part_.grad[c]);
    discard();
    return sum.weight;
  }
  /// `weight`: of all batches; 0: there is no anchor, and steps are plain.
  void end_anchor(double weight) {
    discard();
    has_anchor_ = weight > 0;
    if (has_anchor_)
      mean_ = (anchor_sum_ / weight).template cast<Scalar>();
    else
      mean_.setZero(state_->theta.size());
    largest_mean_ = largest_of(mean_.data());
    bound_ = largest_stored();
    drift_ = 0;
  }

  /// Part 1: scores, losses and ∂J/∂Z of these samples at the θ of now. Returns Σ w_i J_i, W and b. `samples` and `data` must stay until `update`.
  /// `next`: the samples of the next batch, if they are known: they are brought into the cache meanwhile.
  template <SparseData D>
  BatchSum accumulate(const D& data, std::span<const Index> samples, std::span<const Index> next = {}) {
    detail::check_samples(samples, data.size());
    if (static_cast<Index>(samples.size()) > values_.size())
      throw DataError(
          detail::text("a batch must have at most as many samples as were reserved, ", values_.size(), "; got ", samples.size()));
    discard();
    was_next_ = goes_on() && samples.data() == next_samples_.data();
    samples_ = samples;
    next_samples_ = next;
    const auto b = static_cast<Index>(samples.size());
    const ShardPlan plan(b, shard_size_);
    step_began_ = std::chrono::steady_clock::now();
    const bool alone = !may_share_ || team_size_.alone(step_seconds_, b, 0, team_->asked());
    step_seconds_ = -1;
    active_ = alone ? std::span(parts_).first(1) : std::span(parts_).subspan(1);
    team_->work_alone(alone);
    if (mode_ == Mode::gliding) {
      is_pending_ = true;
      for_each_part([&](Part& part) { bring_up_to_date(data, part); });
    }
    // What is read for the scores should still be in the cache for the gradient: a large batch is done in chunks. A loss that does not promise to treat
    // every sample by itself is given whole shards.
    const Index chunks = SampleBySample<L> && !is_direct_ ? (b + chunk_ - 1) / chunk_ : 1;
    if (is_by_ranges_ && !alone) {
      last_chunk_ = {0, b};
      compute_by_ranges(data, plan);
    } else
      for (Index c = 0; c < chunks; ++c) {
        const Range chunk = part_of(b, chunks, c);
        const Index pieces = !SampleBySample<L> ? plan.shards() : alone ? 1 : std::clamp<Index>(chunk.size() / 8, 1, 4 * team_->asked());
        team_->for_each(pieces, [&](Index i, int worker) {
          detail::StopWatch watch;
          Worker& own = workers_[static_cast<std::size_t>(worker)];
          const Range piece = part_of(chunk.size(), pieces, i);
          const Range range = SampleBySample<L> ? Range{chunk.begin + piece.begin, chunk.begin + piece.end} : plan[i];
          forward(data, range, own.sums);
          if (has_anchor_) subtract_anchor(data, range, own.sums);
          own.seconds += watch.lap();
        });
        last_chunk_ = chunk;
        if (c + 1 == chunks) break;  // its gradient is computed where the step is taken
        is_pending_ = true;
        for_each_part([&](Part& part) { add_gradient(data, part, chunk); });
      }
    const auto shards = static_cast<std::size_t>(plan.shards());
    for (std::size_t s = 0; s < shards; ++s) {
      sums_[s] = {};
      detail::add_samples(sums_[s], values_, weights_, plan[static_cast<Index>(s)]);
    }
    return detail::tree_sum(std::span<const BatchSum>(sums_).first(shards));
  }

  /// Part 2: the step, with the `weight` W that `accumulate` returned, above 0. False if a number is not finite: θ and the optimizer's state are then
  /// as before.
  template <SparseData D>
  bool update(const D& data, double weight, const StepInfo& at) {
    if constexpr (SaysZeroGradient<O>) {
      if (!begin_shrinkage(at)) return false;
      is_pending_ = true;
      is_careful_ = is_direct_ && must_be_careful(weight, at);
      const auto work = [&](Index task, int) {
        detail::StopWatch watch;
        const bool is_bias = task == static_cast<Index>(active_.size());
        Part& part = is_bias ? bias_part_ : active_[static_cast<std::size_t>(task)];
        if (is_bias)
          add_bias_gradient(part);
        else if (!is_direct_)
          add_gradient(data, part, last_chunk_);
        if (!is_direct_ || is_bias) part.gradient_seconds += watch.lap();
        if (is_bias)
          step_bias(weight, at);
        else if (is_direct_)
          step_directly(data, part, weight, at);
        else
          step(part, weight, at);
        if (!is_direct_ || is_bias) {
          if (!part.finite) part.has_finite_grad = kernels::all_finite(part.grad.data(), part.count * outputs_);
          std::fill_n(part.grad.data(), part.count * outputs_, Scalar{0});
        }
        part.update_seconds += watch.lap();
      };
      try {
        if (is_careful_) reserve_old(data);
        team_->for_each(static_cast<Index>(active_.size()) + (bias_ >= 0 ? 1 : 0), work);
      } catch (...) {  // of an optimizer
        undo(at);
        unscale();
        discard();
        throw;
      }
      is_pending_ = false;
      bool finite = bias_ < 0 || bias_part_.finite;
      for (const Part& part : active_) finite = finite && part.finite;
      if (finite) {
        lazy_ = next_;
        bound_ = next_bound_;
        drift_ = next_drift_;
        if (mode_ == Mode::drifting)
          for (const Part& part : active_) bound_ = std::max(bound_, part.reach.theta);
        if (mode_ == Mode::gliding) add_motion();
        is_behind_ = mode_ == Mode::gliding ? motions_.time() > 0 : mode_ != Mode::plain || lazy_.scale != 1;
        had_to_scale_ = false;
      } else {
        undo(at);
        PARADE_ASSERT(!is_direct_ || is_careful_);
        if (is_careful_) undo_directly(data);
        unscale();
      }
      step_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - step_began_).count();
      return finite;
    }
    return false;
  }

  /// Brings every feature up to date: θ of the state is θ again. It costs O(d), once an epoch or so.
  void settle() override {
    if (mode_ == Mode::gliding) {
      discard();
      settle_motions();
    }
    if (!is_behind_) return;
    with_elements([&](const auto& elements) {
      for_each_piece([&](Range features) { write_theta(elements, features, state_->theta.data() + weight_); });
    });
    if (mode_ == Mode::drifting)
      bound_ = largest_stored();
    else
      bound_ *= std::abs(lazy_.scale);
    lazy_ = {};
    drift_ = 0;
    if (keeps_last()) last_.setZero();
    is_behind_ = false;
  }

  /// Whether `settle` has something to do, and θ as it would leave it; that changes nothing.
  bool is_behind() const override { return is_behind_; }
  void copy_theta(Vector<Scalar>& theta) const override {
    theta = state_->theta;
    with_elements([&](const auto& elements) { write_theta(elements, {0, features_}, theta.data() + weight_); });
  }

  /// What was not finite in the step that `update` did not take or in the losses of `accumulate`: −1 and "" stand for none.
  struct NotFinite {
    Index shard = -1;
    Index sample = -1;      // index in the data
    const char* parameter;  // whose gradient
  };
  NotFinite find_not_finite() const {
    const auto b = static_cast<Index>(samples_.size());
    const ShardPlan plan(b, shard_size_);
    for (Index shard = 0; shard < plan.shards(); ++shard)
      for (Index j = plan[shard].begin; j < plan[shard].end; ++j)
        if (!std::isfinite(values_[j]) && (weights_.size() == 0 || weights_[j] > 0))
          return {shard, samples_[static_cast<std::size_t>(j)], ""};
    for (const Part& part : active_)
      if (!part.has_finite_grad) return {-1, -1, "weight"};
    if (!bias_part_.has_finite_grad) return {-1, -1, "bias"};
    return {-1, -1, ""};
  }

  /// Thread-seconds in gradient and update since the object was made.
  PhaseSeconds seconds() const override {
    PhaseSeconds total;
    for (const Worker& worker : workers_) total.gradient += worker.seconds;
    for (const Part& part : parts_) {
      total.gradient += part.gradient_seconds;
      total.update += part.update_seconds;
    }
    total.update += bias_part_.update_seconds;
    return total;
  }

 private:
  static constexpr bool takes_labels = std::is_same_v<typename L::Target, Label>;
  static constexpr double least_shared_work = 3000;  // entries of a batch times outputs
  static constexpr double chunk_entries = 16384;     // a thread
  static constexpr Index most_near = 1 << 22;        // bytes of θ: see prefetch_theta
  static constexpr Index most_prefetched = 1024;     // entries

  enum class Mode { plain, thresholded, paced, gliding, drifting };  // how elements are read: see detail::PlainElements and so on

  void set_mode(bool is_anchored) {
    PARADE_ASSERT(!is_behind_);
    mode_ = zero_gradient_ == ZeroGradient::glides   ? Mode::gliding
            : is_anchored                            ? Mode::drifting
            : weight_shrinkage_.l1 == 0              ? Mode::plain
            : zero_gradient_ == ZeroGradient::linear ? Mode::thresholded
                                                     : Mode::paced;
    has_anchor_ = false;
  }

  /// See settle; where a step is under way its features are up to date, and what would be put back is now what they are.
  void settle_motions() {
    guard_.forget();  // always, so that a run that goes on from here decides as one that is resumed here
    if (!is_behind_) return;
    for_each_piece([&](Range features) {
      for (Index i = features.begin; i < features.end;) {  // most have missed the same steps
        const std::int32_t last = last_time_[i];
        const Index first = i;
        while (i < features.end && last_time_[i] == last) ++i;
        glide(motions_.since(last), {first, i});
      }
    });
    motions_.clear();
    last_time_.setZero();
    is_behind_ = false;
    for (Part& part : active_)
      for (Index t = 0; t < part.kept; ++t) keep(part, t);
  }

  /// The step was taken; features that did not occur have yet to go through its motion, if they have not.
  void add_motion() {
    detail::Reach touched;
    for (const Part& part : active_) touched = touched.with(part.reach);
    if (had_to_scale_) return guard_.set(moved_.with(touched));
    guard_.add(touched);
    motions_.add(step_.motion);
  }

  bool keeps_last() const { return mode_ == Mode::thresholded || mode_ == Mode::paced || mode_ == Mode::drifting; }

  struct alignas(64) Worker {
    Vector<Scalar> sums;  // (4k) for row_scores, and (k) for a range's scores
    double seconds = 0;   // in part 1
  };

  /// A range of features, and in every step those of its features that occur in the batch, in the order in which they do: slot t is feature touched[t].
  struct alignas(64) Part {
    Range features;
    Index range = -1;                    // the part's place among those of the team, and the range of the cut where each has one; −1: all
    Range ranges;                        // of the cut
    Index count = 0;                     // of them
    Index kept = 0;                      // for so many of them what was there is kept
    std::vector<std::int32_t> touched;   // (capacity + 1)
    Vector<Scalar> grad;                 // (k, capacity)
    Vector<Scalar> old;                  // the same: what was stored before the step
    Vector<double> old_last;             // (capacity)
    std::vector<std::int32_t> old_time;  // (capacity)
    bool finite = true, has_finite_grad = true;
    detail::Reach reach;  // of what was stored, where steps glide or drift

    // For step_directly.
    Vector<Scalar> zeros;  // (4), or (k) where there are several outputs: 0 as long as all is finite
    Vector<Scalar> dz;     // (k)

    // For an optimizer that keeps a state.
    Vector<Scalar> theta, pace, old_pace;  // (k, capacity)
    Matrix<Scalar> states, old_states;     // (k · capacity, states)

    double gradient_seconds = 0, update_seconds = 0;
  };

  void reserve_parts(Index most) {
    most_entries_ = most;
    for (Part& part : parts_) reserve(part, std::min<Index>(part.features.size(), most));
  }

  void reserve(Part& part, Index capacity) const {
    const Index size = capacity * outputs_;
    part.touched.resize(static_cast<std::size_t>(capacity) + 1);
    part.grad.setZero(size);
    part.old.resize(size);
    part.count = 0;
    if (keeps_last()) part.old_last.resize(capacity);
    if (mode_ == Mode::gliding) {
      part.old_time.resize(static_cast<std::size_t>(capacity));
      part.old_states.resize(size, 1);
      return;
    }
    if (zero_gradient_ == ZeroGradient::linear) return;
    part.theta.resize(size);
    if (weight_shrinkage_.l1 != 0 || bias_shrinkage_.l1 != 0) part.pace.resize(size);
    if (mode_ == Mode::paced) part.old_pace.resize(size);
    part.states.resize(size, optimizer_.num_states());
    part.old_states.resize(size, optimizer_.num_states());
  }

  /// work(elements): how elements are read.
  template <class Work>
  void with_elements(const Work& work) const {
    const Scalar* stored = state_->theta.data() + weight_;
    if (mode_ == Mode::plain)
      work(detail::PlainElements<Scalar>{stored});
    else if (mode_ == Mode::gliding)
      work(detail::GlidingElements<Scalar>{stored, stored_state(), last_time_.data(), &motions_});
    else if (mode_ == Mode::drifting)
      work(drifting(lazy_.sum));
    else if (mode_ == Mode::thresholded)
      work(detail::ThresholdedElements<Scalar>{stored, last_.data(), lazy_.sum});
    else
      work(detail::PacedElements<Scalar>{stored, last_.data(), pace_.data(), lazy_.sum});
  }

  detail::DriftingElements<Scalar> drifting(double sum) const {
    return {state_->theta.data() + weight_, last_.data(), mean_.data() + weight_, sum};
  }

  /// The same for features of the batch, which are up to date where steps glide.
  template <class Work>
  void with_elements_to_read(const Work& work) const {
    if (mode_ == Mode::gliding)
      work(detail::PlainElements<Scalar>{state_->theta.data() + weight_});
    else
      with_elements(work);
  }

  /// v of the weights, as stored.
  Scalar* stored_state() const { return &state_->states()(weight_, 0); }

  /// θ and v of some features after some steps.
  void glide(detail::Motion motion, Range features) {
    Scalar *theta = state_->theta.data() + weight_, *state = stored_state();
    for (Index e = features.begin * outputs_; e < features.end * outputs_; ++e) {
      const auto t = static_cast<double>(theta[e]), v = static_cast<double>(state[e]);
      theta[e] = static_cast<Scalar>(motion.theta(t, v));
      state[e] = static_cast<Scalar>(motion.state(t, v));
    }
  }

  /// work(features) for pieces of all features, in parallel.
  template <class Work>
  void for_each_piece(const Work& work) {
    const Index piece = std::max<Index>(1, (Index{1} << 14) / outputs_);
    team_->for_each((features_ + piece - 1) / piece, [&](Index i, int) { work(Range{i * piece, std::min(features_, (i + 1) * piece)}); });
  }

  template <class Elements>
  void write_theta(const Elements& elements, Range features, Scalar* theta) const {
    const auto scale = static_cast<Scalar>(lazy_.scale);
    if constexpr (std::is_same_v<Elements, detail::PlainElements<Scalar>>) {
      const Index begin = features.begin * outputs_, size = features.size() * outputs_;  // theta may be what is stored
      Eigen::Map<Vector<Scalar>>(theta + begin, size) = scale * Eigen::Map<const Vector<Scalar>>(elements.stored + begin, size);
    } else {
      for (Index i = features.begin; i < features.end; ++i)
        for (Index e = i * outputs_; e < (i + 1) * outputs_; ++e) theta[e] = scale * elements(e, i);
    }
  }

  /// work(score): score(indices, values, entries, sums, z) is one range's part of a row's scores, into z (k). `sums` (4k) is scratch where k > 1.
  template <class D, class Work>
  void with_score(const detail::SparseRowsView<D>& rows, const Work& work) const {
    with_elements_to_read([&](const auto& elements) { with_score_of(elements, rows, work); });
  }
  template <class Elements, class D, class Work>
  void with_score_of(const Elements& elements, const detail::SparseRowsView<D>& rows, const Work& work) const {
    const auto with_ones = [&](auto ones) {
      if (outputs_ == 1)
        work([&elements](const std::int32_t* indices, const auto* values, Index count, Scalar*, Scalar* z) {
          z[0] = detail::row_score<Scalar, decltype(ones)::value>(indices, values, count, [&](Index i) { return elements(i, i); });
        });
      else
        work([&elements, k = outputs_](const std::int32_t* indices, const auto* values, Index count, Scalar* sums, Scalar* z) {
          detail::row_scores<Scalar, decltype(ones)::value>(
              indices, values, count, k, [&](Index i, Index c) { return elements(i * k + c, i); }, sums, z);
        });
    };
    rows.values ? with_ones(std::false_type{}) : with_ones(std::true_type{});
  }

  /// visit(j, entries) for samples of the batch and their entries in the ranges of the cut from `first` to before `last`; entries that come soon are
  /// brought into the cache, those of the next batch too where this goes on with it (goes_on). A row without weight has none: whatever it
  /// holds, it must not count.
  template <class D, class Visit>
  void visit_rows(const D& data, Range piece, Index first, Index last, const Visit& visit) const {
    const detail::SparseRowsView rows(data);
    constexpr Index ahead = detail::sparse_prefetch_distance;
    const auto b = static_cast<Index>(samples_.size());
    const Index end = goes_on() ? b + static_cast<Index>(next_samples_.size()) : piece.end;
    const auto at = [&](Index j) { return j < b ? sample(j) : next_samples_[static_cast<std::size_t>(j - b)]; };
    const auto prefetch_place = [&](Index j) {
      rows.prefetch_place(at(j));
      cut_.prefetch(at(j));
    };
    const auto entries = [&](Index row) { return cut_.entries(row, {rows.begin(row), rows.end(row)}, first, last); };
    if (!goes_on() || (piece.begin == 0 && !was_next_)) {
      for (Index j = piece.begin; j < std::min(piece.begin + 2 * ahead, end); ++j) prefetch_place(j);
      for (Index j = piece.begin; j < std::min(piece.begin + ahead, end); ++j) rows.prefetch(entries(at(j)));
    }
    for (Index j = piece.begin; j < piece.end; ++j) {
      if (j + 2 * ahead < end) prefetch_place(j + 2 * ahead);
      if (j + ahead < end) rows.prefetch(entries(at(j + ahead)));
      if (is_theta_far_ && j + 1 < end) prefetch_theta(rows.indices, entries(at(j + 1)));
      visit(j, data.has_weights() && data.weights()[sample(j)] == 0 ? Range{} : entries(sample(j)));
    }
  }

  /// Of the next row, where θ is larger than most second-level caches: a processor looks ahead for as many entries as its window holds, and that is
  /// fewer than a row has. (2²² features, 75 entries a row: a step takes half as long. A whole row of 10⁵ would be too much.)
  void prefetch_theta(const std::int32_t* indices, Range entries) const {
    const Scalar* stored = state_->theta.data() + weight_;
    const Index end = std::min(entries.end, entries.begin + most_prefetched);
    for (Index e = entries.begin; e < end; ++e) kernels::prefetch(stored + indices[e] * outputs_);
  }

  /// Whether whoever computes scores visits all samples of the batch in order, and they are so many that one batch is far enough to look ahead.
  bool goes_on() const {
    return (is_by_ranges_ || active_.size() == 1) && static_cast<Index>(samples_.size()) >= 2 * detail::sparse_prefetch_distance;
  }
  Index sample(Index j) const { return samples_[static_cast<std::size_t>(j)]; }

  /// Scores, losses and ∂J/∂Z of some samples. The canonical order of a score: each range of features by itself (row_score), and the ranges in order,
  ///
  ///   z = C ((s₀ + s₁) + s₂ + …) + bias
  template <class D>
  void forward(const D& data, Range piece, Vector<Scalar>& sums) {
    for (Index j = piece.begin; j < piece.end; ++j) prefetch_target(data, j);
    with_score(detail::SparseRowsView(data),
               [&](const auto& score) { compute_scores(data, piece, sums, score, scores_, [this](Scalar* z) { finish_score(z); }); });
    compute_losses(data, piece, scores_, values_, dscores_);
  }

  /// dz ← dz − dz̃. Where a loss is not finite at θ̃, it is not here: nobody would see it.
  template <class D>
  void subtract_anchor(const D& data, Range piece, Vector<Scalar>& sums) {
    with_score_of(detail::PlainElements<Scalar>{anchor_.data() + weight_}, detail::SparseRowsView(data), [&](const auto& score) {
      compute_scores(data, piece, sums, score, anchor_scores_, [this](Scalar* z) {
        for (Index c = 0; bias_ >= 0 && c < outputs_; ++c) z[c] += anchor_[bias_ + c];
      });
    });
    compute_losses(data, piece, anchor_scores_, anchor_values_, anchor_dscores_);
    for (Index j = piece.begin; j < piece.end; ++j) {
      for (Index c = 0; c < outputs_; ++c) dscores_(c, j) -= anchor_dscores_(c, j);
      if (!std::isfinite(anchor_values_[j])) values_[j] = std::numeric_limits<Scalar>::quiet_NaN();
    }
  }

  /// The scores of some samples, which finish(z) gives their scale and bias.
  template <class D, class Score, class Finish>
  void compute_scores(const D& data, Range piece, Vector<Scalar>& sums, const Score& score, Matrix<Scalar>& scores, const Finish& finish) {
    const detail::SparseRowsView rows(data);
    Scalar* of_range = sums.data() + 4 * outputs_;
    visit_rows(data, piece, 0, cut_.ranges(), [&](Index j, Range all) {
      Scalar* z = &scores(0, j);
      for (Index r = 0; r < score_ranges_; ++r) {
        const Range own = score_ranges_ == 1 || all.size() == 0 ? all : cut_.entries(sample(j), all, r * pieces_, (r + 1) * pieces_);
        score(rows.indices + own.begin, rows.values ? rows.values + own.begin : nullptr, own.size(), sums.data(), r == 0 ? z : of_range);
        for (Index c = 0; r > 0 && c < outputs_; ++c) z[c] += of_range[c];
      }
      finish(z);
    });
  }

  /// Scores, losses and ∂J/∂Z of the whole batch, by a task for each thread and its ranges of features: a row takes as long to find as a range's part of it takes to
  /// compute. The same task takes the step of these features: so all that a thread reads and
  /// writes in step after step stays in its core's cache, and it reads only its part of each row.
  template <class D>
  void compute_by_ranges(const D& data, const ShardPlan& plan) {
    const detail::SparseRowsView rows(data);
    const auto b = static_cast<Index>(samples_.size());
    for (Index j = 0; j < b; ++j) prefetch_target(data, j);
    team_->for_each(static_cast<Index>(active_.size()), [&](Index i, int worker) {
      detail::StopWatch watch;
      Worker& own = workers_[static_cast<std::size_t>(worker)];
      const Range ranges = active_[static_cast<std::size_t>(i)].ranges;
      with_score(rows, [&](const auto& score) {
        visit_rows(data, {0, b}, ranges.begin, ranges.end, [&](Index j, Range all) {
          const Range row{rows.begin(sample(j)), rows.end(sample(j))};
          for (Index r = ranges.begin; r < ranges.end; ++r) {
            const Range entries = all.size() == 0 ? all : cut_.entries(sample(j), row, r);
            score(rows.indices + entries.begin, rows.values ? rows.values + entries.begin : nullptr, entries.size(), own.sums.data(),
                  &partial_scores_(j * outputs_, r));
          }
        });
      });
      own.seconds += watch.lap();
    });
    detail::StopWatch watch;
    for (Index j = 0; j < b; ++j) {
      Scalar* z = &scores_(0, j);
      std::copy_n(partial_scores_.data() + j * outputs_, outputs_, z);
      for (Index r = 1; r < score_ranges_; ++r)
        for (Index c = 0; c < outputs_; ++c) z[c] += partial_scores_(j * outputs_ + c, r);
      finish_score(z);
    }
    if constexpr (SampleBySample<L>)
      compute_losses(data, {0, b}, scores_, values_, dscores_);
    else
      for (Index s = 0; s < plan.shards(); ++s) compute_losses(data, plan[s], scores_, values_, dscores_);
    workers_[0].seconds += watch.lap();
  }

  void finish_score(Scalar* z) const {
    const auto scale = static_cast<Scalar>(lazy_.scale);
    const Scalar* bias = bias_ >= 0 ? state_->theta.data() + bias_ : nullptr;
    for (Index c = 0; c < outputs_; ++c) z[c] = bias ? std::fma(scale, z[c], bias[c]) : scale * z[c];
  }

  template <class D>
  void prefetch_target(const D& data, Index j) const {
    if constexpr (takes_labels) kernels::prefetch(data.labels().data() + sample(j));
  }

  template <class D>
  void compute_losses(const D& data, Range piece, const Matrix<Scalar>& z, Vector<Scalar>& of_samples, Matrix<Scalar>& dz) {
    const Index begin = piece.begin, m = piece.size();
    for (Index j = begin; j < piece.end; ++j) {
      if constexpr (takes_labels)
        labels_[j] = data.labels()[sample(j)];
      else
        for (Index c = 0; c < outputs_; ++c) targets_(c, j) = static_cast<Scalar>(data.targets()(c, sample(j)));
    }
    VectorRef<Scalar> values = of_samples.segment(begin, m);
    MatrixRef<Scalar> dscores = dz.middleCols(begin, m);
    const ConstMatrixRef<Scalar> scores = z.middleCols(begin, m);
    if constexpr (takes_labels)
      loss_.value_and_gradient(scores, TargetsRef<Label, Scalar>(labels_.segment(begin, m)), values, dscores);
    else
      loss_.value_and_gradient(scores, TargetsRef<Real, Scalar>(targets_.middleCols(begin, m)), values, dscores);
    if (!data.has_weights()) return;
    for (Index j = begin; j < piece.end; ++j) {
      const double w = weights_[j] = data.weights()[sample(j)];
      for (Index c = 0; c < outputs_; ++c) dz(c, j) = w == 0 ? Scalar{0} : dz(c, j) * static_cast<Scalar>(w);
    }
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

  /// The parts as they are between steps. Slots and sums are left where a step was begun and never taken.
  void discard() {
    const auto forget = [this](Part& part) {
      if (is_pending_ && &part != &bias_part_) {
        for (Index t = 0; t < part.count; ++t) slot_[part.touched[static_cast<std::size_t>(t)]] = -1;
        if (mode_ == Mode::gliding)
          for (Index t = 0; t < part.kept; ++t) put_back(part, t);
      }
      if (is_pending_) std::fill_n(part.grad.data(), part.count * outputs_, Scalar{0});
      part.count = part.kept = 0;
      part.finite = part.has_finite_grad = true;
    };
    for (Part& part : active_) forget(part);
    forget(bias_part_);
    is_pending_ = false;
  }

  /// g += Σ_j x_ij dz_j of the part's features over a chunk of the batch.
  template <class D>
  void add_gradient(const D& data, Part& part, Range chunk) {
    const detail::SparseRowsView rows(data);
    detail::SlotTable<Scalar> table{slot_.data(), part.touched.data(), part.grad.data(), static_cast<std::int32_t>(part.count)};
    for_each_row(data, part, chunk, [&](auto ones, Index j, const std::int32_t* indices, const auto* values, Index entries) {
      prefetch_next(rows, part, j - chunk.begin);
      if (outputs_ == 1)
        table.template add_row<ones>(indices, values, entries, dscores_(0, j));
      else
        table.template add_row<ones>(indices, values, entries, outputs_, &dscores_(0, j));
    });
    part.count = table.count;
  }

  /// The part's entries of row j of the batch; none where it has no weight.
  Range entries_of(const std::int64_t* offsets, const Part& part, Index j) const {
    const Index row = samples_[static_cast<std::size_t>(j)];
    if (weights_.size() > 0 && weights_[j] == 0) return {};
    const Range all{offsets[row], offsets[row + 1]};
    return cut_.entries(row, all, part.ranges.begin, part.ranges.end);
  }

  /// work(ones, j, indices, values, entries) for the part's entries of every row of a chunk, in order.
  template <class D, class Work>
  void for_each_row(const D& data, const Part& part, Range chunk, const Work& work) const {
    const detail::SparseRowsView rows(data);
    const auto all_rows = [&](auto ones) {
      for (Index j = chunk.begin; j < chunk.end; ++j) {
        if (part.range >= 0 && j + 4 < chunk.end) cut_.prefetch(samples_[static_cast<std::size_t>(j) + 4]);
        const Range entries = entries_of(rows.offsets, part, j);
        work(ones, j, rows.indices + entries.begin, rows.values ? rows.values + entries.begin : nullptr, entries.size());
      }
    };
    rows.values ? all_rows(std::false_type{}) : all_rows(std::true_type{});
  }

  /// The step of plain elements where batches are small: no gradient is ever stored, its terms are added to θ one by one, in the order of the samples,
  ///
  ///   θ_i ← fma(x_ij, −α dz_j / (W C), θ_i),  j = 1 … b
  ///
  /// half as much work as to sum them first. What was there before is kept only where a bound of what may come does not say that all stays finite.
  template <class D>
  void step_directly(const D& data, Part& part, double weight, const StepInfo& at) {
    const detail::SparseRowsView rows(data);
    const double factor = -at.rate / (weight * step_scale_);  // of a small W or C it may be beyond what Scalar holds, and its products not
    Scalar *stored = state_->theta.data() + weight_, *old = part.old.data();
    part.zeros.setZero();
    const auto with_care = [&](auto careful) {
      for_each_row(data, part, {0, static_cast<Index>(samples_.size())},
                   [&](auto ones, Index j, const std::int32_t* indices, const auto* values, Index entries) {
                     prefetch_next(rows, part, j);
                     if (outputs_ == 1) {
                       detail::step_row<ones, careful>(indices, values, entries, scaled(factor, dscores_(0, j)), stored, old,
                                                       part.zeros.data());
                     } else {
                       for (Index c = 0; c < outputs_; ++c) part.dz[c] = scaled(factor, dscores_(c, j));
                       detail::step_row<ones, careful>(indices, values, entries, outputs_, part.dz.data(), stored, old, part.zeros.data());
                     }
                     if constexpr (careful) old += entries * outputs_;
                   });
    };
    is_careful_ ? with_care(std::true_type{}) : with_care(std::false_type{});
    part.finite = (part.zeros.array() == 0).all();
  }

  /// Rounded, and not contracted with a sum that it goes into.
  static Scalar scaled(double factor, Scalar x) { return static_cast<Scalar>(std::fma(factor, static_cast<double>(x), 0.0)); }

  /// max |θ_i / C|, infinite if one is not finite.
  double largest_stored() const { return largest_of(state_->theta.data()); }
  /// max |x_i| over the weights' part of a vector like θ.
  double largest_of(const Scalar* x) const { return static_cast<double>(kernels::largest_size(x + weight_, outputs_ * features_)); }

  /// Whether this step might leave the range of numbers: no |θ_i / C| grows by more than Σ_j |α dz_j / (W C)| max |x|.
  bool must_be_careful(double weight, const StepInfo& at) {
    double sum = 0;
    for (Index j = 0; j < static_cast<Index>(samples_.size()); ++j) {
      double largest = 0;
      for (Index c = 0; c < outputs_; ++c) largest += std::abs(static_cast<double>(dscores_(c, j)));
      sum += largest;
    }
    gradient_bound_ = sum * largest_value_;
    const double room = static_cast<double>(std::numeric_limits<Scalar>::max()) / 16;
    const double step = std::abs(at.rate / (weight * step_scale_)) * sum;
    next_bound_ += step * largest_value_;
    if (!(next_bound_ < room)) next_bound_ = std::numeric_limits<double>::infinity();  // NaN too
    if (!(step < room && next_bound_ < room)) return true;
    for (Index c = 0; bias_ >= 0 && c < outputs_; ++c) {
      const double size = std::abs(static_cast<double>(state_->theta[bias_ + c]));
      const double keep = std::max(1.0, std::abs(detail::factor_of_l2(bias_shrinkage_, at.rate)));
      if (!(std::fma(size, keep, std::abs(at.rate / weight) * sum) < room)) return true;
    }
    return false;
  }

  template <class D>
  void reserve_old(const D& data) {
    for (Part& part : active_) {
      Index entries = 0;
      for (Index j = 0; j < static_cast<Index>(samples_.size()); ++j) entries += entries_of(data.offsets().data(), part, j).size();
      if (part.old.size() < entries * outputs_) part.old.resize(entries * outputs_);
    }
  }

  /// Puts back what was stored, from the last term to the first.
  template <class D>
  void undo_directly(const D& data) {
    const detail::SparseRowsView rows(data);
    const auto b = static_cast<Index>(samples_.size());
    Scalar* stored = state_->theta.data() + weight_;
    for (Part& part : active_) {
      Index entries = 0;
      for (Index j = 0; j < b; ++j) entries += entries_of(rows.offsets, part, j).size();
      const Scalar* old = part.old.data() + entries * outputs_;
      for (Index j = b; j-- > 0;) {
        const Range own = entries_of(rows.offsets, part, j);
        for (Index e = own.end; e-- > own.begin;) {
          old -= outputs_;
          std::copy_n(old, outputs_, stored + rows.indices[e] * outputs_);
        }
      }
    }
    // The gradient is stored nowhere; its elements are at most this.
    if (!(gradient_bound_ <= static_cast<double>(std::numeric_limits<Scalar>::max()))) active_[0].has_finite_grad = false;
  }

  /// One row of the next batch for each of this one, since memory has little to do while gradients are computed. Where samples are shared for the
  /// scores the parts take turns, else each brings its own entries. Who goes on with the next batch in visit_rows has begun with it there: to ask for all
  /// rows twice cost an eighth of a step.
  template <class Value>
  void prefetch_next(const detail::SparseRowsView<Value>& rows, const Part& part, Index j) const {
    constexpr Index ahead = 2 * detail::sparse_prefetch_distance;
    if (goes_on()) return;
    const auto next = static_cast<Index>(std::min(next_samples_.size(), static_cast<std::size_t>(chunk_)));
    if (part.range >= 0 && !is_by_ranges_ && j % static_cast<Index>(active_.size()) != part.range) return;
    if (j + ahead < next) {
      const Index row = next_samples_[static_cast<std::size_t>(j + ahead)];
      rows.prefetch_place(row);
      cut_.prefetch(row);
    }
    if (j >= next) return;
    const Index row = next_samples_[static_cast<std::size_t>(j)];
    const Range all{rows.begin(row), rows.end(row)};
    rows.prefetch(part.range >= 0 && is_by_ranges_ ? cut_.entries(row, all, part.ranges.begin, part.ranges.end) : all);
  }

  void add_bias_gradient(Part& part) const {
    part.count = 1;
    for (Index j = 0; j < static_cast<Index>(samples_.size()); ++j)
      for (Index c = 0; c < outputs_; ++c) part.grad[c] += dscores_(c, j);
  }

  /// What this step does to C and B. Where C would leave its range, or be 0, every feature is brought up to date at once.
  bool begin_shrinkage(const StepInfo& at) {
    if (mode_ == Mode::gliding) return begin_motion(at);
    const auto in_range = [](double scale) { return std::abs(scale) >= 0x1p-40 && std::abs(scale) <= 0x1p40; };
    const double c = detail::factor_of_l2(weight_shrinkage_, at.rate);
    had_to_scale_ = false;
    // Where it is 0, not even one step can be put off; above 1, nobody would see θ leave the range of numbers.
    const bool put_off = weight_shrinkage_.l2_in_prox || (in_range(c) && std::abs(c) <= 1);
    if (!put_off || !in_range(lazy_.scale * c)) settle();
    // Thresholds are added up in double: where those to come are tiny beside the sum, it begins anew.
    const double threshold = detail::effective_rate(optimizer_, at) * weight_shrinkage_.l1;
    if (threshold > 0 && lazy_.sum > 0x1p36 * threshold / std::abs(lazy_.scale)) settle();
    next_ = {lazy_.scale * c, 0};
    step_scale_ = weight_shrinkage_.l2_in_prox ? lazy_.scale : next_.scale;
    next_bound_ = bound_;
    if (!put_off) {
      had_to_scale_ = true;
      before_ = state_->theta;
      next_.scale = step_scale_ = 1;
      next_bound_ *= std::abs(c);
      const auto factor = static_cast<Scalar>(c);
      for_each_piece([&](Range features) {
        for (Index e = weight_ + features.begin * outputs_; e < weight_ + features.end * outputs_; ++e) state_->theta[e] *= factor;
      });
      if (!kernels::all_finite(state_->theta.data(), state_->theta.size())) {
        unscale();
        return false;
      }
    }
    if (mode_ == Mode::drifting) return begin_drift(at, c, put_off);
    threshold_ = std::min(threshold / std::abs(step_scale_), 0x1p1000);  // of this step, over C
    next_.sum = lazy_.sum + threshold_;
    return true;
  }

  /// What this step does to A, where C becomes C c. Where a feature that does not occur might leave the range of numbers, nobody would see it: then all of
  /// them are brought up to date, and if there is still none that must stay within it, the step is not to be taken.
  bool begin_drift(const StepInfo& at, double c, bool put_off) {
    const auto fits = [&] {
      const double size = std::abs(at.rate / step_scale_);
      next_.sum = lazy_.sum + at.rate / step_scale_;
      next_drift_ = drift_ + size;
      // Of θ, and of θ/C, which is in Scalar too before it is scaled.
      return std::max(1.0, std::abs(next_.scale)) * std::fma(next_drift_, largest_mean_, next_bound_) <=
             static_cast<double>(std::numeric_limits<Scalar>::max());
    };
    if (fits()) return true;
    if (put_off) {
      settle();
      next_bound_ = bound_;
      next_.scale = c;
      step_scale_ = weight_shrinkage_.l2_in_prox ? 1 : c;
      if (fits()) return true;
    }
    unscale();
    return false;
  }

  /// What this step does to a feature that does not occur. Where such steps would let θ leave the range of numbers, nobody would see it happen: then all
  /// features do it now.
  bool begin_motion(const StepInfo& at) {
    if constexpr (HasLinearStep<O>) {
      const LinearStep step = optimizer_.linear_step(at);
      step_ = detail::motion_step(step, weight_shrinkage_);
      bias_step_ = detail::motion_step(step, bias_shrinkage_);
      next_ = lazy_;
      next_bound_ = bound_;
      had_to_scale_ = false;
      const auto measure = [&] { return detail::Reach{largest_stored(), largest_of(state_->states().data())}; };
      constexpr double most = static_cast<double>(std::numeric_limits<Scalar>::max());
      if (motions_.is_full()) settle_motions();
      if (!guard_.is_known()) guard_.set(measure());
      const bool put_off = detail::is_stable(step_.motion) &&
                           guard_.may_wait(
                               1, [&](std::size_t) { return step_.motion; }, [&](std::size_t) -> auto& { return motions_; }, most / 16);
      if (!put_off) {
        settle_motions();
        had_to_scale_ = true;
        before_ = state_->theta;
        state_before_ = state_->states().col(0);
        for_each_piece([&](Range features) { glide(step_.motion, features); });
        moved_ = measure();
        if (!moved_.is_within(most)) {
          unscale();
          return false;
        }
      }
      return true;
    }
    return false;
  }

  /// Puts back what a step that could not be put off has made of all features.
  void unscale() {
    if (!std::exchange(had_to_scale_, false)) return;
    state_->theta = before_;
    if (mode_ == Mode::gliding) state_->states().col(0) = state_before_;
  }

  /// The step of the part's touched features.
  void step(Part& part, double weight, const StepInfo& at) {
    if (mode_ == Mode::gliding) return step_gliding(part, weight);
    if (mode_ == Mode::drifting) return step_linear(part, drifting(next_.sum), weight, at);
    with_elements([&](const auto& elements) {
      if (zero_gradient_ == ZeroGradient::linear)
        step_linear(part, elements, weight, at);
      else
        step_by_optimizer(part, elements, weight, at);
    });
  }

  /// θ − α(g/W + λ₂θ), over the new C: the old θ over the old C is the new one, before g.
  template <class Elements>
  void step_linear(Part& part, const Elements& elements, double weight, const StepInfo& at) {
    constexpr bool is_plain = std::is_same_v<Elements, detail::PlainElements<Scalar>>,
                   is_drifting = std::is_same_v<Elements, detail::DriftingElements<Scalar>>;
    Scalar* stored = state_->theta.data() + weight_;
    const double factor = -at.rate / (weight * step_scale_);
    const auto threshold = static_cast<Scalar>(threshold_);
    Scalar zero = 0;
    [[maybe_unused]] Scalar largest = 0;
    for (Index t = 0; t < part.count; ++t) {
      const Index i = part.touched[static_cast<std::size_t>(t)];
      slot_[i] = -1;
      for (Index c = 0; c < outputs_; ++c) {
        const Index e = i * outputs_ + c, s = t * outputs_ + c;
        part.old[s] = stored[e];
        Scalar v = elements(e, i) + scaled(factor, part.grad[s]);
        if constexpr (is_drifting) largest = std::max(largest, std::abs(v));
        if constexpr (!is_plain && !is_drifting) {
          const Scalar left = std::abs(v) - threshold;
          v = left <= 0 ? Scalar{0} : std::copysign(left, v);  // NaN stays
        }
        stored[e] = v;
        zero = std::fma(Scalar{0}, v, zero);  // NaN if one is not finite
      }
      if constexpr (!is_plain) {
        part.old_last[t] = last_[i];
        last_[i] = next_.sum;
      }
    }
    part.kept = part.count;
    part.finite = zero == 0;
    if constexpr (is_drifting) part.reach.theta = static_cast<double>(largest);
  }

  /// What is read soon of the part's feature t, if there are so many.
  void prefetch_touched(const Part& part, Index t, const Scalar* theta, const Scalar* state) const {
    if (t >= part.count) return;
    const Index i = part.touched[static_cast<std::size_t>(t)];
    kernels::prefetch(theta + i * outputs_);
    kernels::prefetch(state + i * outputs_);
    kernels::prefetch(last_time_.data() + i);
  }

  /// Finds the part's features that occur in the batch, and brings them up to date: what was stored is kept.
  template <class D>
  void bring_up_to_date(const D& data, Part& part) {
    part.count = detail::find_slots<Scalar>(data, samples_, cut_, part.range, slot_.data(), part.touched.data());
    Scalar *theta = state_->theta.data() + weight_, *state = stored_state();
    for (Index t = 0; t < part.count; ++t) {
      prefetch_touched(part, t + 8, theta, state);
      keep(part, t);
      const Index i = part.touched[static_cast<std::size_t>(t)];
      if (last_time_[i] == motions_.time()) continue;  // the product of no steps would make +0 of −0
      glide(motions_.since(last_time_[i]), {i, i + 1});
      last_time_[i] = motions_.time();
    }
    part.kept = part.count;
  }

  /// What is stored of a feature that occurs, to be put back if the step is not taken.
  void keep(Part& part, Index t) const {
    const Index i = part.touched[static_cast<std::size_t>(t)];
    part.old_time[static_cast<std::size_t>(t)] = last_time_[i];
    const Scalar *theta = state_->theta.data() + weight_ + i * outputs_, *state = stored_state() + i * outputs_;
    Scalar *old = part.old.data() + t * outputs_, *old_state = part.old_states.data() + t * outputs_;
    for (Index c = 0; c < outputs_; ++c) {
      old[c] = theta[c];
      old_state[c] = state[c];
    }
  }
  void put_back(const Part& part, Index t) {
    const Index i = part.touched[static_cast<std::size_t>(t)];
    last_time_[i] = part.old_time[static_cast<std::size_t>(t)];
    std::copy_n(part.old.data() + t * outputs_, outputs_, state_->theta.data() + weight_ + i * outputs_);
    std::copy_n(part.old_states.data() + t * outputs_, outputs_, stored_state() + i * outputs_);
  }

  /// What the step does to a feature without a gradient, and what the gradient adds.
  void step_gliding(Part& part, double weight) {
    Scalar *theta = state_->theta.data() + weight_, *state = stored_state();
    const std::int32_t time = motions_.time() + (had_to_scale_ ? 0 : 1);
    detail::MotionStep own = over(step_, weight);
    if (had_to_scale_) own.motion = {};  // it was done
    bool finite = true;
    Scalar largest[2] = {0, 0};
    for (Index t = 0; t < part.count; ++t) {
      prefetch_touched(part, t + 8, theta, state);
      const Index i = part.touched[static_cast<std::size_t>(t)];
      slot_[i] = -1;
      last_time_[i] = time;
      finite = move(own, theta + i * outputs_, state + i * outputs_, part.grad.data() + t * outputs_, largest) && finite;
    }
    part.finite = finite;
    part.reach = {static_cast<double>(largest[0]), static_cast<double>(largest[1])};
  }

  /// For a sum of gradients that is to be divided by W.
  static detail::MotionStep over(detail::MotionStep step, double weight) {
    step.theta_gradient /= weight;
    step.state_gradient /= weight;
    return step;
  }

  /// A step of θ and v of a feature, or of the bias, and the largest of them so far. False if one is not finite.
  bool move(const detail::MotionStep& step, Scalar* theta, Scalar* state, const Scalar* grad, Scalar (&largest)[2]) const {
    Scalar zero = 0;
    for (Index c = 0; c < outputs_; ++c) {
      const auto t = static_cast<double>(theta[c]), v = static_cast<double>(state[c]), g = static_cast<double>(grad[c]);
      theta[c] = static_cast<Scalar>(std::fma(step.theta_gradient, g, step.motion.theta(t, v)));
      state[c] = static_cast<Scalar>(std::fma(step.state_gradient, g, step.motion.state(t, v)));
      zero = std::fma(Scalar{0}, theta[c], std::fma(Scalar{0}, state[c], zero));
      largest[0] = std::max(largest[0], std::abs(theta[c]));
      largest[1] = std::max(largest[1], std::abs(state[c]));
    }
    return zero == 0;
  }

  /// The same by the optimizer's own step: what is touched is brought together, stepped as a slice of θ, and stored.
  template <class Elements>
  void step_by_optimizer(Part& part, const Elements& elements, double weight, const StepInfo& at) {
    Scalar* stored = state_->theta.data() + weight_;
    Matrix<Scalar>& states = state_->states();
    const Index k = outputs_, size = part.count * k;
    if (at.step == 1) begin_states(part, at);
    for (Index t = 0; t < part.count; ++t) {
      const Index i = part.touched[static_cast<std::size_t>(t)];
      slot_[i] = -1;
      for (Index c = 0; c < k; ++c) {
        const Index e = i * k + c, s = t * k + c;
        part.old[s] = stored[e];
        part.theta[s] = elements(e, i);
        for (Index q = 0; q < states.cols(); ++q) part.states(s, q) = part.old_states(s, q) = states(weight_ + e, q);
        if (mode_ == Mode::paced) part.old_pace[s] = pace_[e];
      }
      if (mode_ == Mode::paced) part.old_last[t] = last_[i];
    }
    part.kept = part.count;
    optimizer_step(part, size, weight, at, weight_shrinkage_.l1);
    for (Index t = 0; t < part.count; ++t) {
      const Index i = part.touched[static_cast<std::size_t>(t)];
      for (Index c = 0; c < k; ++c) {
        const Index e = i * k + c, s = t * k + c;
        stored[e] = part.theta[s];
        for (Index q = 0; q < states.cols(); ++q) states(weight_ + e, q) = part.states(s, q);
        if (mode_ == Mode::paced) pace_[e] = part.pace[s];
      }
      if (mode_ == Mode::paced) last_[i] = next_.sum;
    }
  }

  /// Division by W, step, soft threshold and check of what the part brought together.
  void optimizer_step(Part& part, Index size, double weight, const StepInfo& at, double l1) {
    if constexpr (HasStep<O, Scalar>) {
      const auto divisor = static_cast<Scalar>(weight);
      for (Index s = 0; s < size; ++s) part.grad[s] /= divisor;
      const StateRef<Scalar> state(part.states.data(), part.states.rows(), size);
      optimizer_.step(VectorRef<Scalar>(part.theta.head(size)), ConstVectorRef<Scalar>(part.grad.head(size)), state, at);
      if (l1 != 0) {
        detail::write_pace<Scalar>(optimizer_, state, part.pace.head(size));
        const auto threshold = static_cast<Scalar>(-detail::effective_rate(optimizer_, at) * l1);
        for (Index s = 0; s < size; ++s) {
          const Scalar left = std::fma(threshold, part.pace[s], std::abs(part.theta[s]));
          part.theta[s] = left <= 0 ? Scalar{0} : std::copysign(left, part.theta[s]);
        }
      }
    }
    part.finite = kernels::all_finite(part.grad.data(), size) && kernels::all_finite(part.theta.data(), size);
    for (Index q = 0; q < part.states.cols(); ++q) part.finite = part.finite && kernels::all_finite(part.states.col(q).data(), size);
  }

  void begin_states(Part& part, const StepInfo& at) {
    detail::begin_states(optimizer_, *state_, weight_, outputs_, part.features, slot_.data(), at,
                         [&](Index first, const StateRef<Scalar>& state) {
                           if (mode_ == Mode::paced) detail::write_pace<Scalar>(optimizer_, state, pace_.segment(first, state[0].size()));
                         });
  }

  void step_bias(double weight, const StepInfo& at) {
    Part& part = bias_part_;
    Scalar* bias = state_->theta.data() + bias_;
    Matrix<Scalar>& states = state_->states();
    for (Index c = 0; c < outputs_; ++c) part.old[c] = bias[c];
    if (zero_gradient_ == ZeroGradient::linear) {
      const double factor = -at.rate / weight;
      const auto keep = static_cast<Scalar>(detail::factor_of_l2(bias_shrinkage_, at.rate));
      const auto threshold = static_cast<Scalar>(std::fma(at.rate, bias_shrinkage_.l1, 0.0));
      const bool in_prox = bias_shrinkage_.l2_in_prox;
      for (Index c = 0; c < outputs_; ++c) {
        if (has_anchor_) part.grad[c] = std::fma(static_cast<Scalar>(weight), mean_[bias_ + c], part.grad[c]);
        bias[c] = std::fma(bias[c], in_prox ? Scalar{1} : keep, scaled(factor, part.grad[c]));
        if (threshold != 0) {
          const Scalar left = std::abs(bias[c]) - threshold;
          bias[c] = left <= 0 ? Scalar{0} : std::copysign(left, bias[c]);
        }
        if (in_prox) bias[c] *= keep;
      }
      part.kept = 1;
      part.finite = kernels::all_finite(bias, outputs_);
      return;
    }
    if (mode_ == Mode::gliding) {
      for (Index c = 0; c < outputs_; ++c) part.old_states(c, 0) = states(bias_ + c, 0);
      part.kept = 1;
      Scalar largest[2] = {0, 0};
      part.finite = move(over(bias_step_, weight), bias, &states(bias_, 0), part.grad.data(), largest);
      return;
    }
    for (Index c = 0; c < outputs_; ++c) {
      part.theta[c] = bias[c];
      for (Index q = 0; q < states.cols(); ++q) part.states(c, q) = part.old_states(c, q) = states(bias_ + c, q);
    }
    part.kept = 1;
    optimizer_step(part, outputs_, weight, at, bias_shrinkage_.l1);
    for (Index c = 0; c < outputs_; ++c) {
      bias[c] = part.theta[c];
      for (Index q = 0; q < states.cols(); ++q) states(bias_ + c, q) = part.states(c, q);
    }
  }

  /// Puts back what the parts have kept.
  void undo(const StepInfo& at) {
    const bool has_states = zero_gradient_ != ZeroGradient::linear;
    Matrix<Scalar>& states = state_->states();
    const auto restore = [&](const Part& part, Index s, Index element) {
      state_->theta[element] = part.old[s];
      if (has_states)
        for (Index q = 0; q < states.cols(); ++q) states(element, q) = part.old_states(s, q);
    };
    for (Part& part : active_)
      for (Index t = 0; t < part.count; ++t) {
        const Index i = part.touched[static_cast<std::size_t>(t)];
        slot_[i] = -1;
        for (Index c = 0; c < outputs_; ++c) part.grad[t * outputs_ + c] = 0;
        if (t >= part.kept) continue;
        if (mode_ == Mode::gliding) {
          put_back(part, t);
          continue;
        }
        for (Index c = 0; c < outputs_; ++c) {
          restore(part, t * outputs_ + c, weight_ + i * outputs_ + c);
          if (mode_ == Mode::paced) pace_[i * outputs_ + c] = part.old_pace[t * outputs_ + c];
        }
        if (keeps_last()) last_[i] = part.old_last[t];
      }
    if (bias_part_.kept > 0)
      for (Index c = 0; c < outputs_; ++c) restore(bias_part_, c, bias_ + c);
    if (has_states && at.step == 1) states.setZero();
  }

  M model_;
  L loss_;
  O optimizer_;
  Team* team_;
  Index shard_size_;
  Index features_, outputs_;  // d, k
  Index weight_, bias_ = -1;  // where the blocks begin in θ; −1: there is none
  Shrinkage weight_shrinkage_, bias_shrinkage_;
  ZeroGradient zero_gradient_ = ZeroGradient::moves;
  Mode mode_ = Mode::plain;

  State* state_ = nullptr;
  detail::LazyShrinkage lazy_, next_;  // before and after the step
  double threshold_ = 0;               // of the step, over C
  double step_scale_ = 1;              // the C that the step's gradient is divided by: that after it, or before it where L2 is in the prox
  bool is_behind_ = false;             // θ of the state is not θ
  bool had_to_scale_ = false;          // θ was multiplied by c, and before_ is what it was
  Vector<Scalar> before_, state_before_;
  Vector<double> last_;             // (d) B, or A, when the feature was last stored
  Vector<Scalar> pace_;             // (k,d) D⁻¹
  detail::MotionTable motions_;     // steps of an optimizer that glides, and when the feature was last stored
  Vector<std::int32_t> last_time_;  // (d)
  detail::MotionStep step_, bias_step_;
  detail::MotionGuard guard_;
  detail::Reach moved_;                // of what a step that could not be put off has made of all features
  bool is_direct_ = false;             // see step_directly
  bool is_careful_ = true;             // in this step, which then may be undone
  double gradient_bound_ = 0;          // of this step: no element of Σ w_i ∇J_i is larger
  double bound_ = 0, next_bound_ = 0;  // |θ_i / C| is not above it, before and after the step
  double largest_value_ = 0;           // max |x|; infinite if one is not finite

  // Variance-reduced gradients.
  bool has_anchor_ = false;
  Vector<Scalar> anchor_, mean_;                   // (P) θ̃ and μ
  Vector<double> anchor_sum_;                      // (P) W μ
  double largest_mean_ = 0;                        // of the weights
  double drift_ = 0, next_drift_ = 0;              // Σ |α/C| since all was up to date, before and after the step
  Matrix<Scalar> anchor_scores_, anchor_dscores_;  // (k,b)
  Vector<Scalar> anchor_values_;                   // (b)

  bool is_theta_far_ = false;      // see prefetch_theta
  bool is_by_ranges_ = false;      // see compute_by_ranges
  Index score_ranges_ = 1;         // whose parts of a score are summed by themselves
  Index pieces_ = 1;               // ranges of the cut in each of them
  Matrix<Scalar> partial_scores_;  // (k·b, score ranges)
  Vector<std::int32_t> slot_;      // (d) the feature's slot in its part; −1 between steps, and where it does not occur

  // Who computes.
  bool may_share_ = false;  // steps are large enough for the team
  detail::TeamSize team_size_;
  double step_seconds_ = -1;  // of the last step; −1: not known
  std::chrono::steady_clock::time_point step_began_;
  detail::SparseCut cut_;
  std::vector<Part> parts_;
  std::span<Part> active_;  // those of this step
  Index most_entries_ = 0;  // of a batch, that there is room for
  Part bias_part_;

  // The batch.
  std::span<const Index> samples_, next_samples_;
  bool was_next_ = false;  // samples_: of the step before, which went on with the first of them
  Index chunk_ = 1;        // samples
  Range last_chunk_;
  bool is_pending_ = false;          // something of the gradient is computed, and the step not taken
  Matrix<Scalar> scores_, dscores_;  // (k,b)
  Vector<Scalar> values_;            // (b)
  Vector<Label> labels_;             // (b)
  Matrix<Scalar> targets_;           // (k,b)
  Vector<double> weights_;           // (b) or (0)
  std::vector<BatchSum> sums_;       // of the shards
  std::vector<Worker> workers_;
};

}  // namespace parade
