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
  /// Elements a block: a multiple of the widest vector; small enough for its slices to stay in the L1 and L2 caches through the pass.
  static constexpr Index block_size = 2048;

  /// `team` must outlive the object.
  ParallelUpdate(const ParameterList& parameters, R regularizer, C constraint, O optimizer, Team& team)
      : team_(&team),
        regularizer_(std::move(regularizer)),
        constraint_(std::move(constraint)),
        optimizer_(std::move(optimizer)),
        num_parameters_(parameters.size()),
        blocks_(static_cast<std::size_t>((num_parameters_ + block_size - 1) / block_size)),
        workers_(static_cast<std::size_t>(team.max_workers())),
        penalties_(blocks_.size()) {
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      auto& block = blocks_[i];
      block.range.begin = static_cast<Index>(i) * block_size;
      block.range.end = std::min(block.range.begin + block_size, num_parameters_);
      for (const auto& parameter : parameters) {
        const Range overlap{std::max(block.range.begin, parameter.offset), std::min(block.range.end, parameter.offset + parameter.size())};
        if (overlap.size() <= 0) continue;
        if (detail::applies_to(regularizer_, parameter)) append(block.regularized, overlap);
        if (detail::applies_to(constraint_, parameter)) append(block.constrained, overlap);
      }
    }
  }

  const R& regularizer() const { return regularizer_; }
  const C& constraint() const { return constraint_; }
  const O& optimizer() const { return optimizer_; }

  /// `next` from `state` and the shards' gradients. Returns whether g, the new θ and the optimizer's vectors are finite; if not, or if user
  /// code throws, `next` is not to be used. To be called inside `team.run`. Throws DataError unless `weight`, W, is a positive normal number
  /// of the scalar type.
  bool operator()(std::span<const Scalar* const> gradients, double weight, const TrainingState<Scalar>& state, TrainingState<Scalar>& next,
                  const StepInfo& at) {
    if (!(weight > 0) || !std::isnormal(static_cast<Scalar>(weight)))
      throw DataError(
          detail::text("the weights of a batch must sum to a positive number in the range of the parameters' type; got ", weight));
    for (auto& worker : workers_) worker.finite = true;
    team_->for_each(static_cast<Index>(blocks_.size()), [&](Index i, int w) {
      auto& worker = workers_[static_cast<std::size_t>(w)];
      if (worker.grad.size() == 0) worker.reserve();
      const Block& block = blocks_[static_cast<std::size_t>(i)];
      detail::StopWatch watch;
      detail::tree_sum(gradients, block.range, worker.grad.data());
      worker.reduce_seconds += watch.lap();
      step(block, static_cast<Scalar>(weight), state, next, at, worker);
      worker.update_seconds += watch.lap();
    });
    return std::all_of(workers_.begin(), workers_.end(), [](const Worker& worker) { return worker.finite; });
  }

  /// λR(θ) + βC(θ), in double, over the canonical tree on the blocks.
  double penalty(const Vector<Scalar>& theta) {
    team_->for_each(static_cast<Index>(blocks_.size()), [&](Index i, int) {
      double sum = 0;
      const auto& block = blocks_[static_cast<std::size_t>(i)];
      for (const Range& piece : block.regularized)
        sum += static_cast<double>(regularizer_.value(ConstVectorRef<Scalar>(theta.segment(piece.begin, piece.size()))));
      if constexpr (PenaltyConstraint<C, Scalar>)
        for (const Range& piece : block.constrained)
          sum += beta() * static_cast<double>(constraint_.violation(ConstVectorRef<Scalar>(theta.segment(piece.begin, piece.size()))));
      penalties_[static_cast<std::size_t>(i)] = sum;
    });
    return detail::tree_sum(std::span<const double>(penalties_));
  }

  /// Makes room for every worker, so that no step allocates.
  void reserve() {
    for (auto& worker : workers_) worker.reserve();
  }

  /// Thread-seconds in reduce and update since the object was made.
  PhaseSeconds seconds() const {
    PhaseSeconds total;
    for (const auto& worker : workers_) {
      total.reduce += worker.reduce_seconds;
      total.update += worker.update_seconds;
    }
    return total;
  }

 private:
  struct Block {
    Range range;
    std::vector<Range> regularized;  // pieces of the range, neighbours joined
    std::vector<Range> constrained;
  };

  struct alignas(64) Worker {
    Vector<Scalar> grad;   // (block_size)
    Vector<Scalar> steps;  // (block_size), for a proximal step
    double reduce_seconds = 0;
    double update_seconds = 0;
    bool finite = true;

    void reserve() {
      grad.resize(block_size);
      if constexpr (ProximalRegularizer<R, Scalar>) steps.resize(block_size);
    }
  };

  /// What can be done to an element while it is in a register, and what moves θ once more after that.
  static constexpr bool is_one_pass =
      detail::HasRule<O, Scalar> && !PenaltyConstraint<C, Scalar> && (detail::HasTerm<R, Scalar> || !SmoothRegularizer<R, Scalar>);
  static constexpr bool moves_after = ProximalRegularizer<R, Scalar> || ProjectionConstraint<C, Scalar>;

  static void append(std::vector<Range>& pieces, Range piece) {
    if (!pieces.empty() && pieces.back().end == piece.begin)
      pieces.back().end = piece.end;
    else
      pieces.push_back(piece);
  }

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
    optimizer_.template with_rule<Scalar>(at, [&](const auto& rule) {
      scaled(weight, [&](const auto& scale) {
        const auto piece = [&](const auto& term, Range range) {
          if (range.size() <= 0) return;
          const Index i = range.begin;
          const bool has_state = state.states().cols() > 0;
          finite = kernels::update<Scalar>(rule, scale, term, range.size(), sum + (i - block.range.begin), state.theta.data() + i,
                                           next.theta.data() + i, has_state ? state.states().data() + i : nullptr,
                                           has_state ? next.states().data() + i : nullptr, state.states().rows()) &&
                   finite;
        };
        Index done = block.range.begin;
        if constexpr (detail::HasTerm<R, Scalar>) {
          for (const Range& regularized : block.regularized) {
            piece(kernels::NoTerm{}, {done, regularized.begin});
            piece(regularizer_.template term<Scalar>(), regularized);
            done = regularized.end;
          }
        }
        piece(kernels::NoTerm{}, {done, block.range.end});
      });
    });
    return finite;
  }

  void step(const Block& block, Scalar weight, const TrainingState<Scalar>& state, TrainingState<Scalar>& next, const StepInfo& at,
            Worker& worker) const {
    const Index begin = block.range.begin, size = block.range.size();
    VectorRef<Scalar> grad = worker.grad.head(size), theta = next.theta.segment(begin, size);
    const StateRef<Scalar> slice = next.slice(block.range);
    const auto read = [begin](const VectorRef<Scalar>& of, const Range& piece) {
      return ConstVectorRef<Scalar>(of.segment(piece.begin - begin, piece.size()));
    };
    const auto write = [begin](VectorRef<Scalar>& of, const Range& piece) {
      return VectorRef<Scalar>(of.segment(piece.begin - begin, piece.size()));
    };
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
        for (const Range& piece : block.regularized) regularizer_.add_gradient(read(theta, piece), write(grad, piece));
      if constexpr (PenaltyConstraint<C, Scalar>)
        for (const Range& piece : block.constrained) constraint_.add_gradient(read(theta, piece), write(grad, piece));

      optimizer_.step(theta, ConstVectorRef<Scalar>(grad), slice, at);
      finite = kernels::all_finite(grad.data(), size);
      for (Index i = 0; i < next.states().cols(); ++i) finite = finite && kernels::all_finite(slice[i].data(), size);
    }

    if constexpr (ProximalRegularizer<R, Scalar>) {
      VectorRef<Scalar> steps = worker.steps.head(size);
      if constexpr (HasStepSizes<O, Scalar>)
        optimizer_.step_sizes(slice, at, steps);
      else
        steps.setConstant(static_cast<Scalar>(at.rate));
      for (const Range& piece : block.regularized) regularizer_.prox(write(theta, piece), read(steps, piece));
    }
    if constexpr (ProjectionConstraint<C, Scalar>)
      for (const Range& piece : block.constrained) constraint_.project(write(theta, piece));

    worker.finite = worker.finite && finite && ((is_one_pass && !moves_after) || kernels::all_finite(theta.data(), size));
  }

  Team* team_;
  R regularizer_;
  C constraint_;
  O optimizer_;
  Index num_parameters_;
  std::vector<Block> blocks_;
  std::vector<Worker> workers_;
  std::vector<double> penalties_;
};

}  // namespace parade
