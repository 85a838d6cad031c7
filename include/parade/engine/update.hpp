// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>
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
#include <parade/kernels/huge_pages.hpp>
#include <parade/kernels/update.hpp>

namespace parade {
namespace detail {

/// What stands for a constraint where there is none.
struct Unconstrained {
  double violation(const ConstVectorRef<float>&) const { return 0; }
  double violation(const ConstVectorRef<double>&) const { return 0; }
  void project(VectorRef<float>) const {}
  void project(VectorRef<double>) const {}
  bool applies_to(const ParameterBlock&) const { return false; }
  using NothingOf = Unconstrained;
};

/// Whether there is nothing to do for C, which then must not cost a pass over θ. A class that inherits from such a one may do something.
template <class C>
concept NoConstraintAtAll = std::same_as<typename C::NothingOf, C>;

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
  TrainingState(Index parameters, Index states) : theta(parameters), stride_((parameters + 15) / 16 * 16), states_(stride_, states) {
    kernels::use_huge_pages(theta);
    kernels::use_huge_pages(states_);
    theta.setZero();
    states_.setZero();
  }

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
/// A MeasuredOptimizer needs a second pass, a ParameterRegularizer or ParameterConstraint one more over whole parameters; nobody else pays for
/// them. For a parameter that is a Role::statistic the step is θ' ← θ − g.
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
    for (const auto& block : parameters) {
      const bool statistic = block.role == Role::statistic;
      parameters_.push_back({block, detail::parts_for(regularizer_, block), constrained_by(block), statistic, 0, 0, {}, 1});
      if constexpr (HasForParameter<O>) {
        optimizers_.push_back(optimizer_.for_parameter(block));
        if (!(static_cast<double>(optimizers_.back().rate) == static_cast<double>(optimizer_.rate)))
          throw OptionError(detail::text("for_parameter must return an optimizer of the same rate (see RateFactors for others); for '",
                                         block.name, "' it is ", optimizers_.back().rate, ", not ", optimizer_.rate));
        if (optimizers_.back().num_states() != optimizer_.num_states())
          throw OptionError(detail::text("for_parameter must return an optimizer with as many states; for '", block.name, "' it has ",
                                         optimizers_.back().num_states(), ", not ", optimizer_.num_states()));
      }
    }
    std::size_t of = 0;
    for (const Range range : detail::parameter_ranges(parameters)) {
      while (range.begin >= parameters_[of].end()) ++of;
      if (parameters_[of].first_block == parameters_[of].last_block) parameters_[of].first_block = blocks_.size();
      parameters_[of].last_block = blocks_.size() + 1;
      blocks_.push_back({range, of});
      largest_ = std::max(largest_, range.size());
      constexpr Index worth_a_task =
          1024;  // elements: smaller blocks are done together, lest a model of many tiny parameters has many tiny tasks
      if (tasks_.empty() || range.end - blocks_[static_cast<std::size_t>(tasks_.back().begin)].range.begin > worth_a_task)
        tasks_.push_back({static_cast<Index>(blocks_.size()) - 1, 0});
      tasks_.back().end = static_cast<Index>(blocks_.size());
    }
    penalties_.resize(blocks_.size() + parameters_.size());
    if constexpr (is_measured) norms_.resize(blocks_.size());
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
    if constexpr (requires { regularizer_.begin_step(at); }) regularizer_.begin_step(at);
    if constexpr (requires { constraint_.begin_step(at); }) constraint_.begin_step(at);
    if (!is_reserved_) reserve();
    if constexpr (WholeConstraint<C, Scalar>) {
      whole_.setZero();
      constraint_.add_gradient(ConstVectorRef<Scalar>(state.theta), VectorRef<Scalar>(whole_));
    }
    source.begin_update();
    for_each_block([&](const Block& block, std::size_t i, Worker& worker) {
      Scalar* grad = is_measured ? grad_.data() + block.range.begin : worker.grad.data();
      source.sum_range(block.range, grad);
      (source.sum_range_computes() ? worker.gradient_seconds : worker.reduce_seconds) += worker.watch.lap();
      if constexpr (is_measured)
        measure(block, i, static_cast<Scalar>(weight), state, next, at, worker);
      else
        step(block, static_cast<Scalar>(weight), state, next, at, worker);
      if constexpr (!is_measured && !has_parameter_pass) source.updated(block.range, next.theta.data() + block.range.begin);
      worker.update_seconds += worker.watch.lap();
    });
    if constexpr (is_measured) {
      find_factors(at);
      for_each_block([&](const Block& block, std::size_t, Worker& worker) {
        scaled_step(block, next, at, worker);
        if constexpr (!has_parameter_pass) source.updated(block.range, next.theta.data() + block.range.begin);
        worker.update_seconds += worker.watch.lap();
      });
    }
    if constexpr (has_parameter_pass) {
      team_->for_each(static_cast<Index>(parameters_.size()), [&](Index i, int w) {
        auto& worker = workers_[static_cast<std::size_t>(w)];
        detail::StopWatch watch;
        finish(parameters_[static_cast<std::size_t>(i)], next, worker);
        worker.update_seconds += watch.lap();
      });
      for_each_block([&](const Block& block, std::size_t, Worker& worker) {
        source.updated(block.range, next.theta.data() + block.range.begin);
        worker.update_seconds += worker.watch.lap();
      });
    }
    const bool finite = std::all_of(workers_.begin(), workers_.end(), [](const Worker& worker) { return worker.finite; });
    source.end_update(finite);
    return finite;
  }

  /// λR(θ) + βC(θ), in double, over the canonical tree on the blocks, and then on the parameters for what is of whole parameters.
  double penalty(const Vector<Scalar>& theta) {
    if (!is_reserved_) reserve();
    double total = sum_of_terms(
        theta,
        [this](const ConstVectorRef<Scalar>& slice, const Parameter& of) {
          double sum = 0;
          detail::for_parts(regularizer_, of.regularized, [&]<class P>(const P& part) {
            if constexpr (HasPenaltyValue<P, Scalar>) sum += static_cast<double>(part.value(slice));
          });
          for_constraints(of, [&]<class P>(const P& part) {
            if constexpr (PenaltyConstraint<P, Scalar>) sum = std::fma(beta(part), static_cast<double>(part.violation(slice)), sum);
          });
          return sum;
        },
        [this](const ConstMatrixRef<Scalar>& parameter, const Parameter& of, Worker& worker) {
          double sum = 0;
          detail::for_parts(regularizer_, of.regularized, worker.workspaces, [&]<class P>(const P& part, [[maybe_unused]] auto& workspace) {
            if constexpr (HasParameterWorkspace<P, Scalar>)
              sum += static_cast<double>(part.parameter_value(parameter, workspace));
            else if constexpr (ParameterRegularizer<P, Scalar>)
              sum += static_cast<double>(part.parameter_value(parameter));
          });
          return sum;
        });
    if constexpr (WholeConstraint<C, Scalar>) total += static_cast<double>(constraint_.value(ConstVectorRef<Scalar>(theta)));
    return total;
  }

  /// C(θ), without β, in double, in the same order: how far θ is from feasible.
  double violation(const Vector<Scalar>& theta) {
    if constexpr (WholeConstraint<C, Scalar>) {
      return static_cast<double>(constraint_.violation(ConstVectorRef<Scalar>(theta)));
    } else {
      return sum_of_terms(
          theta,
          [this](const ConstVectorRef<Scalar>& slice, const Parameter& of) {
            double sum = 0;
            for_constraints(of, [&]<class P>(const P& part) {
              if constexpr (HasViolation<P, Scalar>) sum += static_cast<double>(part.violation(slice));
            });
            return sum;
          },
          [this](const ConstMatrixRef<Scalar>& parameter, const Parameter& of, Worker&) {
            double sum = 0;
            for_constraints(of, [&]<class P>(const P& part) {
              if constexpr (ParameterConstraint<P, Scalar>) sum += static_cast<double>(part.parameter_violation(parameter));
            });
            return sum;
          });
    }
  }

  /// An epoch has ended at this θ: for a constraint with multipliers.
  void end_epoch([[maybe_unused]] const Vector<Scalar>& theta) {
    if constexpr (WholeConstraint<C, Scalar>)
      if constexpr (requires { constraint_.update(ConstVectorRef<Scalar>(theta)); }) constraint_.update(ConstVectorRef<Scalar>(theta));
  }

  /// Goes on with what another update has made of its regularizer, where that changes from step to step.
  void set_regularizer(const R& regularizer) { regularizer_ = regularizer; }

  /// A fit starts anew: with the parts as they were given.
  void start_anew(const R& regularizer, const C& constraint) {
    regularizer_ = regularizer;
    constraint_ = constraint;
    if constexpr (WholeConstraint<C, Scalar>)
      if constexpr (requires { constraint_.reset(); }) constraint_.reset();
  }

  /// Makes room for every worker, so that no step allocates.
  void reserve() {
    for (auto& worker : workers_) {
      worker.reserve(largest_);
      for (const auto& of : parameters_)
        detail::for_parts(regularizer_, of.regularized, worker.workspaces, [&]<class P>(const P& part, [[maybe_unused]] auto& workspace) {
          if constexpr (HasParameterWorkspace<P, Scalar>) part.reserve(workspace, of.block.rows, of.block.cols);
        });
    }
    const Index parameters = parameters_.empty() ? 0 : parameters_.back().end();
    if constexpr (is_measured) grad_.resize(parameters);
    if constexpr (has_parameter_pass) steps_.resize(parameters);
    if constexpr (WholeConstraint<C, Scalar>) whole_.resize(parameters);
    is_reserved_ = true;
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
  static constexpr bool is_measured = MeasuredOptimizer<O, Scalar>;
  static constexpr bool has_smooth = detail::any_part<R>([]<class P>(std::type_identity<P>) { return SmoothRegularizer<P, Scalar>; });
  static constexpr bool has_prox = detail::any_part<R>([]<class P>(std::type_identity<P>) { return ProximalRegularizer<P, Scalar>; });
  static constexpr bool has_penalty = !detail::NoConstraintAtAll<C> && !WholeConstraint<C, Scalar> &&
                                      detail::any_part<C>([]<class P>(std::type_identity<P>) { return PenaltyConstraint<P, Scalar>; });
  static constexpr bool has_projection =
      !detail::NoConstraintAtAll<C> && !WholeConstraint<C, Scalar> &&
      detail::any_part<C>([]<class P>(std::type_identity<P>) { return ProjectionConstraint<P, Scalar>; });
  static constexpr bool has_parameter_prox =
      detail::any_part<R>([]<class P>(std::type_identity<P>) { return ParameterRegularizer<P, Scalar>; });
  static constexpr bool has_parameter_pass =
      has_parameter_prox ||
      (!WholeConstraint<C, Scalar> && detail::any_part<C>([]<class P>(std::type_identity<P>) { return ParameterConstraint<P, Scalar>; }));
  /// What can be done to an element while it is in a register, and what moves θ once more after that.
  static constexpr bool is_one_pass = !is_measured && detail::HasRule<O, Scalar> && !has_penalty && !WholeConstraint<C, Scalar> &&
                                      (detail::HasTerm<R, Scalar> || !has_smooth);
  static constexpr bool moves_after = has_prox || has_projection;

  struct Parameter {
    ParameterBlock block;
    std::uint64_t regularized, constrained;  // by which parts of the regularizer and of the constraint, as bits
    bool statistic;
    std::size_t first_block, last_block;  // its blocks, the last one not among them
    Norms norms;                          // for a MeasuredOptimizer, of this step
    double factor;

    Index end() const { return block.offset + block.size(); }
  };

  struct Block {
    Range range;  // in one parameter
    std::size_t parameter;
  };

  struct Squares {  // Σθ², Σg²
    double theta = 0, grad = 0;
    friend Squares operator+(Squares a, Squares b) { return {a.theta + b.theta, a.grad + b.grad}; }
  };

  struct alignas(64) Worker {
    Vector<Scalar> grad;   // of the largest block
    Vector<Scalar> steps;  // the same, for a proximal step
    detail::WorkspacesOf<R> workspaces;
    detail::StopWatch watch;
    std::uint64_t pass = 0;  // that the watch runs in
    double gradient_seconds = 0;
    double reduce_seconds = 0;
    double update_seconds = 0;
    bool finite = true;

    void reserve(Index size) {
      grad.resize(size);
      if constexpr (has_prox) steps.resize(size);
    }
  };

  const Parameter& parameter_of(const Block& block) const { return parameters_[block.parameter]; }
  const O& optimizer_of(const Block& block) const {
    if constexpr (HasForParameter<O>)
      return optimizers_[block.parameter];
    else
      return optimizer_;
  }

  /// A worker's watch runs on from block to block: with small batches the looks at it were to be felt.
  template <class Work>
  void for_each_block(const Work& work) {
    team_->for_each(static_cast<Index>(tasks_.size()), [&, pass = ++pass_](Index task, int w) {
      Worker& worker = workers_[static_cast<std::size_t>(w)];
      if (std::exchange(worker.pass, pass) != pass) worker.watch.lap();
      const Range blocks = tasks_[static_cast<std::size_t>(task)];
      for (auto i = static_cast<std::size_t>(blocks.begin); i < static_cast<std::size_t>(blocks.end); ++i) work(blocks_[i], i, worker);
    });
  }

  Eigen::Map<const Matrix<Scalar>> matrix(const Vector<Scalar>& all, const Parameter& of) const {
    return {all.data() + of.block.offset, of.block.rows, of.block.cols};
  }
  Eigen::Map<Matrix<Scalar>> matrix(Vector<Scalar>& all, const Parameter& of) const {
    return {all.data() + of.block.offset, of.block.rows, of.block.cols};
  }

  /// Σ of_slice(slice, parameter) over the blocks and Σ of_whole(matrix, parameter, worker) over the parameters.
  template <class OfSlice, class OfWhole>
  double sum_of_terms(const Vector<Scalar>& theta, const OfSlice& of_slice, const OfWhole& of_whole) {
    for_each_block([&](const Block& block, std::size_t i, Worker&) {
      penalties_[i] = of_slice(theta.segment(block.range.begin, block.range.size()), parameter_of(block));
    });
    const auto slices = std::span<const double>(penalties_).first(blocks_.size());
    if constexpr (has_parameter_pass) {
      team_->for_each(static_cast<Index>(parameters_.size()), [&](Index p, int w) {
        const auto i = static_cast<std::size_t>(p);
        Worker& worker = workers_[static_cast<std::size_t>(w)];
        penalties_[blocks_.size() + i] =
            parameters_[i].block.size() == 0 ? 0 : of_whole(matrix(theta, parameters_[i]), parameters_[i], worker);
      });
      return detail::tree_sum(slices) + detail::tree_sum(std::span<const double>(penalties_).subspan(blocks_.size()));
    }
    return detail::tree_sum(slices);
  }

  /// A constraint for all of θ is for all but the statistics, unless it says something else.
  std::uint64_t constrained_by(const ParameterBlock& block) const {
    if constexpr (WholeConstraint<C, Scalar> && !requires { constraint_.applies_to(block); })
      return block.role == Role::statistic ? 0 : 1;
    else
      return detail::parts_for(constraint_, block);
  }

  /// call(part) for the parts of the constraint that are for slices or whole parameters.
  template <class Call>
  void for_constraints([[maybe_unused]] const Parameter& of, [[maybe_unused]] const Call& call) const {
    if constexpr (!WholeConstraint<C, Scalar>) detail::for_parts(constraint_, of.constrained, call);
  }

  template <class P>
  static double beta(const P& part) {
    if constexpr (requires {
                    { part.beta } -> std::convertible_to<double>;
                  })
      return part.beta;
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
    optimizer_of(block).template with_rule<Scalar>(at, [&](const auto& rule) {
      scaled(weight, [&](const auto& scale) {
        const auto update = [&](const auto& term) {
          finite = kernels::update<Scalar>(rule, scale, term, block.range.size(), sum, state.theta.data() + i, next.theta.data() + i,
                                           has_state ? state.states().data() + i : nullptr, has_state ? next.states().data() + i : nullptr,
                                           state.states().rows());
        };
        if constexpr (detail::HasTerm<R, Scalar>)
          if (parameter_of(block).regularized) return update(regularizer_.template term<Scalar>());
        update(kernels::NoTerm{});
      });
    });
    return finite;
  }

  /// θ' and the optimizer's vectors as they were, and g (1/W) Σ + λ∇R(θ) + β∇C(θ), in place.
  void begin(const Block& block, Scalar weight, const TrainingState<Scalar>& state, TrainingState<Scalar>& next,
             VectorRef<Scalar> grad) const {
    const Index begin = block.range.begin, size = block.range.size();
    const Parameter& of = parameter_of(block);
    scaled(weight, [&](const auto& scale) {
      kernels::for_each_vector<Scalar>(size, [&, g = grad.data()](Index i, auto load, auto store) { store(g + i, scale(load(g + i))); });
    });
    VectorRef<Scalar> theta = next.theta.segment(begin, size);
    theta = state.theta.segment(begin, size);
    for (Index i = 0; i < state.states().cols(); ++i)
      next.states().col(i).segment(begin, size) = state.states().col(i).segment(begin, size);
    detail::for_parts(regularizer_, of.regularized, [&]<class P>(const P& part) {
      if constexpr (SmoothRegularizer<P, Scalar>) part.add_gradient(ConstVectorRef<Scalar>(theta), grad);
    });
    for_constraints(of, [&]<class P>(const P& part) {
      if constexpr (PenaltyConstraint<P, Scalar>) part.add_gradient(ConstVectorRef<Scalar>(theta), grad);
    });
    if constexpr (WholeConstraint<C, Scalar>)
      for (Index i = 0; i < size && of.constrained != 0; ++i) grad[i] += whole_[begin + i];
  }

  void step(const Block& block, Scalar weight, const TrainingState<Scalar>& state, TrainingState<Scalar>& next, const StepInfo& at,
            Worker& worker) const {
    const Index size = block.range.size();
    VectorRef<Scalar> grad = worker.grad.head(size), theta = next.theta.segment(block.range.begin, size);
    if (parameter_of(block).statistic) {
      begin(block, weight, state, next, grad);
      step_statistic(theta, grad, worker);
      return;
    }
    bool finite = true;
    if constexpr (is_one_pass) {
      finite = one_pass(block, weight, state, next, at, grad.data());
    } else {
      begin(block, weight, state, next, grad);
      const StateRef<Scalar> slice = next.slice(block.range);
      optimizer_of(block).step(theta, ConstVectorRef<Scalar>(grad), slice, at);
      finite = kernels::all_finite(grad.data(), size) && is_finite(slice, next.states().cols(), size);
    }
    move(block, next, at, 1, worker);
    worker.finite = worker.finite && finite && ((is_one_pass && !moves_after) || kernels::all_finite(theta.data(), size));
  }

  /// The first pass of a MeasuredOptimizer: g, what it makes of it, and the sums of squares of the block.
  void measure(const Block& block, std::size_t i, Scalar weight, const TrainingState<Scalar>& state, TrainingState<Scalar>& next,
               const StepInfo& at, Worker& worker) {
    const Index size = block.range.size();
    VectorRef<Scalar> grad = grad_.segment(block.range.begin, size), theta = next.theta.segment(block.range.begin, size);
    begin(block, weight, state, next, grad);
    worker.finite = worker.finite && kernels::all_finite(grad.data(), size);
    if (parameter_of(block).statistic) return;
    optimizer_of(block).measure(grad, ConstVectorRef<Scalar>(theta), next.slice(block.range), at);
    Squares squares;
    for (Index k = 0; k < size; ++k) {
      squares.theta = std::fma(static_cast<double>(theta[k]), static_cast<double>(theta[k]), squares.theta);
      squares.grad = std::fma(static_cast<double>(grad[k]), static_cast<double>(grad[k]), squares.grad);
    }
    norms_[i] = squares;
  }

  void find_factors(const StepInfo& at) {
    const std::span<const Squares> squares(norms_);
    const auto norms = [](Squares sum) { return Norms{std::sqrt(sum.theta), std::sqrt(sum.grad)}; };
    const Norms all = norms(detail::tree_sum(squares));
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      Parameter& of = parameters_[p];
      if (of.statistic) continue;
      of.norms = norms(detail::tree_sum(squares.subspan(of.first_block, of.last_block - of.first_block)));
      if constexpr (HasForParameter<O>)
        of.factor = optimizers_[p].factor(of.norms, all, of.block, at);
      else
        of.factor = optimizer_.factor(of.norms, all, of.block, at);
    }
  }

  /// The second pass.
  void scaled_step(const Block& block, TrainingState<Scalar>& next, const StepInfo& at, Worker& worker) const {
    const Index size = block.range.size();
    const Parameter& of = parameter_of(block);
    const ConstVectorRef<Scalar> grad = grad_.segment(block.range.begin, size);
    VectorRef<Scalar> theta = next.theta.segment(block.range.begin, size);
    if (of.statistic) return step_statistic(theta, grad, worker);
    const StateRef<Scalar> slice = next.slice(block.range);
    optimizer_of(block).step(theta, grad, slice, at, of.factor);
    move(block, next, at, of.factor, worker);
    worker.finite = worker.finite && kernels::all_finite(theta.data(), size) && is_finite(slice, next.states().cols(), size) &&
                    std::isfinite(of.factor);
  }

  void step_statistic(VectorRef<Scalar> theta, const ConstVectorRef<Scalar>& grad, Worker& worker) const {
    for (Index i = 0; i < theta.size(); ++i) theta[i] -= grad[i];
    worker.finite = worker.finite && kernels::all_finite(theta.data(), theta.size());
  }

  /// What moves θ' after the optimizer, elementwise: the proximal step and the projection; and the step sizes for what is done to whole parameters.
  void move(const Block& block, TrainingState<Scalar>& next, const StepInfo& at, double factor, Worker& worker) const {
    const Index begin = block.range.begin, size = block.range.size();
    [[maybe_unused]] const Parameter& of = parameter_of(block);
    [[maybe_unused]] VectorRef<Scalar> theta = next.theta.segment(begin, size);
    [[maybe_unused]] const auto write_steps = [&](VectorRef<Scalar> steps) {
      if constexpr (HasStepSizes<O, Scalar>) {
        optimizer_of(block).step_sizes(next.slice(block.range), at, steps);
        if constexpr (is_measured)
          for (Index i = 0; i < size; ++i) steps[i] *= static_cast<Scalar>(factor);
      } else {
        steps.setConstant(static_cast<Scalar>(at.rate * factor));
      }
    };
    detail::for_parts(regularizer_, of.regularized, [&]<class P>(const P& part) {
      if constexpr (ProximalRegularizer<P, Scalar>) {
        VectorRef<Scalar> steps = worker.steps.head(size);
        write_steps(steps);
        part.prox(theta, ConstVectorRef<Scalar>(steps));
      }
    });
    if constexpr (has_parameter_pass) {
      if (of.regularized || of.constrained) write_steps(const_cast<Vector<Scalar>&>(steps_).segment(begin, size));
    }
    // A projection comes last: where the regularizer has yet to move whole parameters, after that.
    if constexpr (!has_parameter_prox) project(of, theta);
  }

  void project(const Parameter& of, VectorRef<Scalar> theta) const {
    for_constraints(of, [&]<class P>(const P& part) {
      if constexpr (ProjectionConstraint<P, Scalar>) part.project(theta);
    });
  }

  /// What is done to a whole parameter of θ', and the check.
  void finish(const Parameter& of, TrainingState<Scalar>& next, Worker& worker) const {
    const Eigen::Map<Matrix<Scalar>> theta = matrix(next.theta, of);
    [[maybe_unused]] const Eigen::Map<const Matrix<Scalar>> steps = matrix(steps_, of);
    if (of.block.size() == 0 || (of.regularized == 0 && of.constrained == 0)) return;
    detail::for_parts(regularizer_, of.regularized, worker.workspaces, [&]<class P>(const P& part, [[maybe_unused]] auto& workspace) {
      if constexpr (HasParameterWorkspace<P, Scalar>)
        part.parameter_prox(theta, steps, workspace);
      else if constexpr (ParameterRegularizer<P, Scalar>)
        part.parameter_prox(theta, steps);
    });
    if constexpr (has_parameter_prox) project(of, next.theta.segment(of.block.offset, of.block.size()));
    for_constraints(of, [&]<class P>(const P& part) {
      if constexpr (ParameterConstraint<P, Scalar>) part.parameter_project(theta, steps);
    });
    worker.finite = worker.finite && kernels::all_finite(theta.data(), theta.size());
  }

  static bool is_finite(const StateRef<Scalar>& state, Index states, Index size) {
    bool finite = true;
    for (Index i = 0; i < states; ++i) finite = finite && kernels::all_finite(state[i].data(), size);
    return finite;
  }

  Team* team_;
  R regularizer_;
  C constraint_;
  O optimizer_;
  std::vector<O> optimizers_;  // of each parameter, where they differ
  std::vector<Parameter> parameters_;
  std::vector<Block> blocks_;
  std::vector<Range> tasks_;  // blocks that one thread does
  Index largest_ = 0;         // elements of a block
  std::vector<Worker> workers_;
  std::uint64_t pass_ = 0;         // over all blocks, counted
  std::vector<double> penalties_;  // of every block, then of every parameter
  bool is_reserved_ = false;
  Vector<Scalar> grad_;         // (P), for a MeasuredOptimizer
  std::vector<Squares> norms_;  // of every block, for a MeasuredOptimizer
  Vector<Scalar> steps_;        // (P), for what is done to whole parameters
  Vector<Scalar> whole_;        // (P), the gradient of a WholeConstraint
};

}  // namespace parade
