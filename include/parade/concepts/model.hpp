// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <parade/concepts/argument.hpp>
#include <parade/concepts/tape.hpp>
#include <parade/concepts/training_context.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/shard_plan.hpp>
#include <parade/core/types.hpp>

namespace parade {

template <class M>
concept HasScalar = std::same_as<typename M::Scalar, float> || std::same_as<typename M::Scalar, double>;

template <class M>
concept HasWorkspace = std::default_initializable<typename M::Workspace> && std::movable<typename M::Workspace>;

template <class M>
concept HasParameters = requires(const M model) {
  { model.parameters() } -> std::convertible_to<ParameterList>;
};

template <class M>
concept HasShape = requires(const M model) {
  { model.num_inputs() } -> std::convertible_to<Index>;
  { model.num_outputs() } -> std::convertible_to<Index>;
};

template <class M>
concept HasInitialize = requires(const M model, detail::Argument<VectorRef<typename M::Scalar>> theta, std::uint64_t seed) {
  model.initialize(theta, seed);
};

/// A model that asks for one preparation a step, which all shards share: weights packed for the kernels, say. It is given the prepared
/// object wherever another model is given θ.
///
///   1. `M::Prepared`, default-initializable; `model.reserve(prepared)` makes it large enough, once.
///   2. `model.num_preparations()`: into how many independent pieces the work is cut. It must not depend on the number of threads.
///   3. `model.prepare(theta, piece, prepared)`, const: does one piece; pieces run at the same time on several threads.
///
/// Not required: `model.prepare(first, range, prepared)`, const, with a pointer to the first of the elements `range` of θ; see Taped for the ranges. All
/// ranges together do what all pieces do. Then the next step's preparation is made while an updated range is in the cache.
template <class M>
concept PreparesOnceAStep = requires(const M model, const detail::Argument<ConstVectorRef<typename M::Scalar>>& theta, Index piece,
                                     typename M::Prepared& prepared) {
  requires std::default_initializable<typename M::Prepared>;
  model.reserve(prepared);
  { model.num_preparations() } -> std::convertible_to<Index>;
  model.prepare(theta, piece, prepared);
};

template <class M>
concept PreparesRanges = requires(const M model, const typename M::Scalar* theta, Range range, typename M::Prepared& prepared) {
  model.prepare(theta, range, prepared);
};

/// A type with a `Prepared` means to be one of those: a slip in its functions is not passed over.
template <class M>
concept PreparesIfItSaysSo = !requires {
  typename M::Prepared;
}
|| PreparesOnceAStep<M>;

namespace detail {

/// A shard's features where nothing else is said. (No default argument of a concept may be ill-formed: Model<M> must be false without Scalar.)
template <class M>
struct DenseInputType {
  using type = void;
};
template <HasScalar M>
struct DenseInputType<M> {
  using type = ConstMatrixRef<typename M::Scalar>;
};
template <class M>
using DenseInput = typename DenseInputType<M>::type;

template <class M>
struct PreparedType {
  using type = ConstVectorRef<typename M::Scalar>;
};
template <class M>
  requires requires { typename M::Prepared; }
struct PreparedType<M> {
  using type = typename M::Prepared;
};

}  // namespace detail

/// What `forward` and `add_gradient` get for θ: θ itself, or the object that the model's `prepare` filled.
template <class M>
using PreparedOf = typename detail::PreparedType<M>::type;

template <class M, class Input>
concept HasForward = requires(const M model, const detail::ArgumentOf<PreparedOf<M>>& theta, const detail::ArgumentOf<Input>& x,
                              typename M::Workspace& workspace) {
  { model.forward(theta, x, workspace) } -> detail::MatrixLike<typename M::Scalar>;
};

template <class M, class Input>
concept HasAddGradient = requires(const M model, const detail::ArgumentOf<PreparedOf<M>>& theta, const detail::ArgumentOf<Input>& x,
                                  const detail::Argument<ConstMatrixRef<typename M::Scalar>>& dscores, typename M::Workspace& workspace,
                                  detail::Argument<VectorRef<typename M::Scalar>> grad) {
  model.add_gradient(theta, x, dscores, workspace, grad);
};

/// A model that computes other scores while it is trained than when it is evaluated: dropout, batch normalization.
///
///   1. `model.forward_training(theta, x, workspace, at)`, const, returns the scores Z (k,m) that the loss and the gradient are computed from. `at`: a
///      TrainingContext. The same θ, x and `at` give the same bits, on any worker: random numbers are drawn by what `at` says and by nothing else.
///   2. The engine calls it where it computes gradients, and `forward` wherever scores are asked for: in evaluation and prediction. Neither can be
///      taken for the other, and there is no mode to forget.
///   3. `add_gradient` is of the pass that came before it, whichever of the two it was.
/// Where columns of a shard depend on each other (batch normalization), the model says `static constexpr bool sample_by_sample = false;`: then
/// the shards are a part of what is computed, and `shard_size` of the result.
template <class M, class Input = detail::DenseInput<M>>
concept TrainsDifferently = requires(const M model, const detail::ArgumentOf<PreparedOf<M>>& theta, const detail::ArgumentOf<Input>& x,
                                     typename M::Workspace& workspace, const TrainingContext& at) {
  { model.forward_training(theta, x, workspace, at) } -> detail::MatrixLike<typename M::Scalar>;
};

/// A function called forward_training that the engine could not call is a slip: it would be passed over.
template <class M, class Input = detail::DenseInput<M>>
concept TrainsIfItSaysSo = !requires {
  &M::forward_training;
}
|| TrainsDifferently<M, Input>;

/// Whether a column of Z may depend on other columns of the shard.
template <class M>
inline constexpr bool depends_on_shard = requires {
  requires !M::sample_by_sample;
};

/// Model: maps a shard X (d,m) and θ (P) to scores Z (k,m), and ∂J/∂Z back to a gradient that it adds to.
///
/// Requirements for a type M, with S = M::Scalar:
///   1. `M::Scalar` is float or double.
///   2. `M::Workspace` can be default-constructed and moved: whatever a worker changes while it computes. May be empty.
///   3. `parameters()` names the slices of θ: a ParameterList. Its size is P. The same for every call.
///   4. `num_inputs()` is d, `num_outputs()` is k.
///   5. `initialize(VectorRef<S> theta, std::uint64_t seed)` writes the starting θ, a pure function of the seed.
///   6. `forward(theta, x, workspace)` returns Z (k,m): a matrix in the workspace, or anything that converts to ConstMatrixRef<S>. Column j
///      depends on θ and on column j of x alone, or else on the shard alone.
///   7. `add_gradient(theta, x, dscores, workspace, grad)` adds Σ_j (∂Z_j/∂θ)ᵀ dscores_j to grad (P): it adds, never overwrites, never
///      divides. It is called after `forward` with the same x and workspace.
///   8. All of them are const: one object serves all workers at the same time.
///
/// Not required: any particular size of workspace at construction. A model with `reserve(Workspace&, Index samples)` has it called once a
/// worker, before the first shard, with the largest m; others size their workspace at the first shard. A model with `gradient`, of the same
/// arguments as `add_gradient`, overwrites all of grad instead, which saves setting it to zero. Preparation once a step: see PreparesOnceAStep. A
/// gradient without a vector for each shard: see Taped. Features that it refuses: see ChecksInput. Another forward pass where gradients are
/// computed (dropout): see TrainsDifferently.
/// What no concept can see (a mean for a sum, a wrong sign, overwriting) is found by parade::testing::check_gradient.
///
/// `Input` is the type of a shard's features: ConstMatrixRef<S> for dense data.
/// See also: Loss, PreparesOnceAStep, Taped, TrainsDifferently, parade::Linear, parade::Mlp, parade::testing::check_gradient.
template <class M, class Input = detail::DenseInput<M>>
concept Model = HasScalar<M> && HasWorkspace<M> && HasParameters<M> && HasShape<M> && HasInitialize<M> && HasForward<M, Input> &&
    HasAddGradient<M, Input> && PreparesIfItSaysSo<M> && TrainsIfItSaysSo<M, Input>;

template <class M, class Input = detail::DenseInput<M>>
concept OverwritesGradient = requires(const M model, const detail::ArgumentOf<PreparedOf<M>>& theta, const detail::ArgumentOf<Input>& x,
                                      const detail::Argument<ConstMatrixRef<typename M::Scalar>>& dscores, typename M::Workspace& workspace,
                                      detail::Argument<VectorRef<typename M::Scalar>> grad) {
  model.gradient(theta, x, dscores, workspace, grad);
};

/// A model whose gradient can be computed range by range of θ from a *tape*: from what the pieces of a batch have recorded. Then no gradient of
/// length P is written and read; all threads share the work even of a single shard; and a range's gradient is still in the cache when the step is
/// taken.
///
///   1. `M::Piece` and `M::Tape`, default-initializable; `model.reserve(piece, samples)` and `model.reserve(tape, parts)` make room.
///   2. `record(theta, x, dscores, workspace, piece)`, after `forward` of the same x and workspace, writes into the piece all that the gradient needs.
///   3. `collect(parts, tape)`, once a batch, on one thread: the parts of all its shards, in order. The pieces stay as they are.
///   4. `gradient(tape, range, out)` writes the elements `range` of Σ_j (∂Z_j/∂θ)ᵀ dscores_j over the whole batch, summed over the canonical tree
///      (engine/reduce.hpp), bit for bit what `add_gradient` for each shard, from zero, and adding up would give. A range is one of
///      ParallelGradient::ranges(): whole columns of one parameter, or a part of one column. Several threads call it at the same time.
///   5. `forward` and `record` treat every sample by itself, bit for bit: a piece may hold several shards, or a part of one.
/// A tape holds what the gradient is computed from: for dense layers b (inputs + outputs) numbers each. All functions are const. `TapeOf` names
/// the class itself: what inherits from it may have a forward of its own, and is used without a tape.
template <class M, class Input = detail::DenseInput<M>>
concept Taped = std::same_as<typename M::TapeOf, M> && std::default_initializable<typename M::Piece> &&
    std::default_initializable<typename M::Tape> &&
    requires(const M model, const PreparedOf<M>& theta, const Input& x, const ConstMatrixRef<typename M::Scalar>& dscores,
             typename M::Workspace& workspace, typename M::Piece& piece, Index samples, std::span<const TapePart<typename M::Piece>> parts,
             typename M::Tape& tape, std::size_t count, const typename M::Tape& collected, Range range, typename M::Scalar* out) {
  model.reserve(piece, samples);
  model.reserve(tape, count);
  model.record(theta, x, dscores, workspace, piece);
  model.collect(parts, tape);
  model.gradient(collected, range, out);
};

namespace detail {

template <class M>
struct TapeTypes {
  struct Piece {};
  struct Tape {};
};
template <class M>
  requires Taped<M>
struct TapeTypes<M> {
  using Piece = typename M::Piece;
  using Tape = typename M::Tape;
};

}  // namespace detail

/// A model that does not take every finite number: `check_input(x)`, const, says "" or the rule that the features x (d) of a sample break, as
/// "the user must be …". Data is checked before training, and in evaluation.
template <class M>
concept ChecksInput = requires(const M model, const detail::Argument<ConstVectorRef<typename M::Scalar>>& x) {
  { model.check_input(x) } -> std::convertible_to<std::string>;
};

/// Whether a model says that it has a tape.
template <class M>
concept SaysTaped = std::same_as<typename M::TapeOf, M>;

template <class M>
concept ReservesWorkspace = requires(const M model, typename M::Workspace& workspace, Index samples) {
  model.reserve(workspace, samples);
};

}  // namespace parade
