// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include <parade/concepts/constraint.hpp>
#include <parade/concepts/optimizer.hpp>
#include <parade/concepts/regularizer.hpp>
#include <parade/core/error.hpp>
#include <parade/core/report.hpp>
#include <parade/engine/reduce.hpp>
#include <parade/engine/shard_worker.hpp>
#include <parade/engine/team.hpp>
#include <parade/kernels/finite.hpp>
#include <parade/kernels/update.hpp>

namespace parade {
namespace detail {

/// Can be done to an element that is in a register: see kernels/update.hpp. A class that inherits from another one may have a step of its own, so
/// the rule of its base does not count.
template <class O, class Scalar>
concept HasRule = std::same_as<typename O::RuleOf, O> && requires(const O optimizer, const StepInfo& at) {
  optimizer.template with_rule<Scalar>(at, [](const auto&) {});
};
template <class R, class Scalar>
concept HasTerm = std::same_as<typename R::TermOf, R> && requires(const R regularizer) {
  regularizer.template term<Scalar>();
};

}  // namespace detail

/// θ (P) and what the optimizer keeps beside it: vectors like θ, each aligned as Eigen aligns, zero at the start.
template <class Scalar>
class TrainingState {
 public:
  TrainingState() = default;
  TrainingState(Index parameters, Index states)
      : theta(Vector<Scalar>::Zero(parameters)), stride_((parameters + 15) / 16 * 16), states_(Matrix<Scalar>::Zero(stride_, states)) {}

  Vector<Scalar> theta;

  /// State vector i is column i, from row 0 to P.
  Matrix<Scalar>& states() { return states_; }
  const Matrix<Scalar>& states() const { return states_; }
  StateRef<Scalar> slice(Range range) { return {states_.cols() > 0 ? &states_(range.begin, 0) : nullptr, stride_, range.size()}; }

 private:
  Index stride_ = 0;
  Matrix<Scalar> states_;
};

/// One step of training, from the shards' gradients to the next θ, in one pass over memory and in parallel over fixed blocks of parameters:
///
///   g ← (1/W) Σ_shards + λ∇R(θ) + β∇C(θ),   θ' ← Π_C(prox_{αλR}(θ − α(…)))        each term only where it is smooth, proximal, a projection
///
/// It reads one state and writes another, so that a step that fails, by an exception of user code or by a number that is not finite, leaves
/// θ and the optimizer's vectors as they were. An element is always in the same block at the same place, and so handled by the same
/// instructions, whoever does the block.
template <class Scalar, class R, class C, class O>
  requires Regularizer<R, Scalar> && Constraint<C, Scalar> && Optimizer<O, Scalar>
class ParallelUpdate {
 public:
  /// `team` must outlive the object.
  ParallelUpdate(const ParameterList& parameters, R regularizer, C constraint, O optimizer, Team& team)
      : team_(&team),
        regularizer_(std::move(regularizer)),
        constraint_(std::move(constraint)),
        optimizer_(std::move(optimizer)),
        workers_(static_cast<std::size_t>(team.max_workers())) {
    for (const Range range : detail::parameter_ranges(parameters)) {
      const auto of = std::find_if(parameters.begin(), parameters.end(), [&](const auto& p) { return range.begin < p.offset + p.size(); });
      blocks_.push_back({range, detail::applies_to(regularizer_, *of), detail::applies_to(constraint_, *of)});
      largest_ = std::max(largest_, range.size());
    }
    penalties_.resize(blocks_.size());
  }

  const R& regularizer() const { return regularizer_; }
  const C& constraint() const { return constraint_; }
  const O& optimizer() const { return optimizer_; }

  /// `next` from `state` and the gradient of a batch: `source.sum_range(range, out)` gives the elements `range` of Σ w_i ∇J, as that of ParallelGradient
  /// does, and is called on several threads; it is told of begin_update(), of every range that is updated(range, theta), and of end_update(finite); sum_range_computes() says
  /// whether its time is that of gradients or of adding them up.
  /// Returns whether g, the new θ and the optimizer's vectors are finite; if not, or if user
  /// code throws, `next` is not to be used. To be called inside `team.run`. Throws DataError unless `weight`, W, is a positive normal number
  /// of the scalar type.
  template <class Source>
  bool operator()(Source& source, double weight, const TrainingState<Scalar>& state, TrainingState<Scalar>& next, const StepInfo& at) {
    if (!(weight > 0) || !std::isnormal(static_cast<Scalar>(weight)))
      throw DataError(
          detail::text("the weights of a batch must sum to a positive number in the range of the parameters' type; got ", weight));
    for (auto& worker : workers_) worker.finite = true;
    source.begin_update();
    team_->for_each(static_cast<Index>(blocks_.size()), [&](Index i, int w) {
      auto& worker = workers_[static_cast<std::size_t>(w)];
      if (worker.grad.size() == 0) worker.reserve(largest_);
      const Block& block = blocks_[static_cast<std::size_t>(i)];
      detail::StopWatch watch;
      source.sum_range(block.range, worker.grad.data());
      (source.sum_range_computes() ? worker.gradient_seconds : worker.reduce_seconds) += watch.lap();
      step(block, static_cast<Scalar>(weight), state, next, at, worker);
      worker.update_seconds += watch.lap();
      source.updated(block.range, next.theta.data() + block.range.begin);
      worker.gradient_seconds += watch.lap();
    });
    const bool finite = std::all_of(workers_.begin(), workers_.end(), [](const Worker& worker) { return worker.finite; });
    source.end_update(finite);
    return finite;
  }

  /// λR(θ) + βC(θ), in double, over the canonical tree on the blocks.
  double penalty(const Vector<Scalar>& theta) {
    team_->for_each(static_cast<Index>(blocks_.size()), [&](Index i, int) {
      double sum = 0;
      const auto& block = blocks_[static_cast<std::size_t>(i)];
      const ConstVectorRef<Scalar> slice = theta.segment(block.range.begin, block.range.size());
      if (block.regularized) sum += static_cast<double>(regularizer_.value(slice));
      if constexpr (PenaltyConstraint<C, Scalar>)
        if (block.constrained) sum += beta() * static_cast<double>(constraint_.violation(slice));
      penalties_[static_cast<std::size_t>(i)] = sum;
    });
    return detail::tree_sum(std::span<const double>(penalties_));
  }

  /// Makes room for every worker, so that no step allocates.
  void reserve() {
    for (auto& worker : workers_) worker.reserve(largest_);
  }

  /// Thread-seconds in gradient (what the source computes range by range), reduce and update since the object was made.
  PhaseSeconds seconds() const {
    PhaseSeconds total;
    for (const auto& worker : workers_) {
      total.gradient += worker.gradient_seconds;
      total.reduce += worker.reduce_seconds;
      total.update += worker.update_seconds;
    }
    return total;
  }

 private:
  struct Block {
    Range range;  // in one parameter
    bool regularized, constrained;
  };

  struct alignas(64) Worker {
    Vector<Scalar> grad;   // of the largest block
    Vector<Scalar> steps;  // the same, for a proximal step
    double gradient_seconds = 0;
    double reduce_seconds = 0;
    double update_seconds = 0;
    bool finite = true;

    void reserve(Index size) {
      grad.resize(size);
      if constexpr (ProximalRegularizer<R, Scalar>) steps.resize(size);
    }
  };

  /// What can be done to an element while it is in a register, and what moves θ once more after that.
  static constexpr bool is_one_pass =
      detail::HasRule<O, Scalar> && !PenaltyConstraint<C, Scalar> && (detail::HasTerm<R, Scalar> || !SmoothRegularizer<R, Scalar>);
  static constexpr bool moves_after = ProximalRegularizer<R, Scalar> || ProjectionConstraint<C, Scalar>;

  double beta() const {
    if constexpr (requires {
                    { constraint_.beta } -> std::convertible_to<double>;
                  })
      return constraint_.beta;
    else
      return 1;
  }

  /// call(scale): the one division, by W. By a power of two a product gives the same bits, several times faster.
  template <class Call>
  static void scaled(Scalar weight, Call&& call) {
    using V = kernels::Simd<Scalar>;
    if (int exponent = 0; std::frexp(weight, &exponent) == Scalar{0.5} && std::isnormal(1 / weight))
      call([factor = V::broadcast(1 / weight)](auto sum) { return V::mul(sum, factor); });
    else
      call([divisor = V::broadcast(weight)](auto sum) { return V::div(sum, divisor); });
  }

  /// Division, smooth regularizer, step and check for the block, whose summed gradient is `sum`.
  bool one_pass(const Block& block, Scalar weight, const TrainingState<Scalar>& state, TrainingState<Scalar>& next, const StepInfo& at,
                const Scalar* sum) const {
    bool finite = true;
    const Index i = block.range.begin;
    const bool has_state = state.states().cols() > 0;
    optimizer_.template with_rule<Scalar>(at, [&](const auto& rule) {
      scaled(weight, [&](const auto& scale) {
        const auto update = [&](const auto& term) {
          finite = kernels::update<Scalar>(rule, scale, term, block.range.size(), sum, state.theta.data() + i, next.theta.data() + i,
                                           has_state ? state.states().data() + i : nullptr, has_state ? next.states().data() + i : nullptr,
                                           state.states().rows());
        };
        if constexpr (detail::HasTerm<R, Scalar>)
          if (block.regularized) return update(regularizer_.template term<Scalar>());
        update(kernels::NoTerm{});
      });
    });
    return finite;
  }

  void step(const Block& block, Scalar weight, const TrainingState<Scalar>& state, TrainingState<Scalar>& next, const StepInfo& at,
            Worker& worker) const {
    const Index begin = block.range.begin, size = block.range.size();
    VectorRef<Scalar> grad = worker.grad.head(size), theta = next.theta.segment(begin, size);
    const StateRef<Scalar> slice = next.slice(block.range);
    bool finite = true;
    if constexpr (is_one_pass) {
      finite = one_pass(block, weight, state, next, at, grad.data());
    } else {
      scaled(weight, [&](const auto& scale) {
        kernels::for_each_vector<Scalar>(size, [&, g = grad.data()](Index i, auto load, auto store) { store(g + i, scale(load(g + i))); });
      });
      theta = state.theta.segment(begin, size);
      for (Index i = 0; i < state.states().cols(); ++i)
        next.states().col(i).segment(begin, size) = state.states().col(i).segment(begin, size);

      if constexpr (SmoothRegularizer<R, Scalar>)
        if (block.regularized) regularizer_.add_gradient(ConstVectorRef<Scalar>(theta), grad);
      if constexpr (PenaltyConstraint<C, Scalar>)
        if (block.constrained) constraint_.add_gradient(ConstVectorRef<Scalar>(theta), grad);

      optimizer_.step(theta, ConstVectorRef<Scalar>(grad), slice, at);
      finite = kernels::all_finite(grad.data(), size);
      for (Index i = 0; i < next.states().cols(); ++i) finite = finite && kernels::all_finite(slice[i].data(), size);
    }

    if constexpr (ProximalRegularizer<R, Scalar>) {
      if (block.regularized) {
        VectorRef<Scalar> steps = worker.steps.head(size);
        if constexpr (HasStepSizes<O, Scalar>)
          optimizer_.step_sizes(slice, at, steps);
        else
          steps.setConstant(static_cast<Scalar>(at.rate));
        regularizer_.prox(theta, ConstVectorRef<Scalar>(steps));
      }
    }
    if constexpr (ProjectionConstraint<C, Scalar>)
      if (block.constrained) constraint_.project(theta);

    worker.finite = worker.finite && finite && ((is_one_pass && !moves_after) || kernels::all_finite(theta.data(), size));
  }

  Team* team_;
  R regularizer_;
  C constraint_;
  O optimizer_;
  std::vector<Block> blocks_;
  Index largest_ = 0;  // elements of a block
  std::vector<Worker> workers_;
  std::vector<double> penalties_;
};

}  // namespace parade
