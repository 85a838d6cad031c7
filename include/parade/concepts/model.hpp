// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>
#include <span>

#include <parade/concepts/argument.hpp>
#include <parade/core/parameters.hpp>
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
template <class M>
concept PreparesOnceAStep = requires(const M model, const detail::Argument<ConstVectorRef<typename M::Scalar>>& theta, Index piece,
                                     typename M::Prepared& prepared) {
  requires std::default_initializable<typename M::Prepared>;
  model.reserve(prepared);
  { model.num_preparations() } -> std::convertible_to<Index>;
  model.prepare(theta, piece, prepared);
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
/// arguments as `add_gradient`, overwrites all of grad instead, which saves setting it to zero. Preparation once a step: see PreparesOnceAStep.
/// What no concept can see (a mean for a sum, a wrong sign, overwriting) is found by parade::testing::check_gradient.
///
/// `Input` is the type of a shard's features: ConstMatrixRef<S> for dense data.
/// See also: Loss, PreparesOnceAStep, parade::Linear, parade::Mlp, parade::testing::check_gradient.
template <class M, class Input = detail::DenseInput<M>>
concept Model = HasScalar<M> && HasWorkspace<M> && HasParameters<M> && HasShape<M> && HasInitialize<M> && HasForward<M, Input> &&
    HasAddGradient<M, Input> && PreparesIfItSaysSo<M>;

template <class M, class Input = detail::DenseInput<M>>
concept OverwritesGradient = requires(const M model, const detail::ArgumentOf<PreparedOf<M>>& theta, const detail::ArgumentOf<Input>& x,
                                      const detail::Argument<ConstMatrixRef<typename M::Scalar>>& dscores, typename M::Workspace& workspace,
                                      detail::Argument<VectorRef<typename M::Scalar>> grad) {
  model.gradient(theta, x, dscores, workspace, grad);
};

/// A model that can take several shards at once: `gradient(theta, x, dscores, workspace, ends, grad)` overwrites grad with the sum of the
/// shards' gradients over the canonical tree (engine/reduce.hpp), bit for bit what adding them one by one would give; shard s is the columns
/// [ends[s−1], ends[s]). Its `forward` treats every column by itself. Then fewer gradients of length P are written and read.
/// `SumsShardsOf` names the class itself: what inherits from it may have a forward of its own and is given one shard at a time.
template <class M, class Input = detail::DenseInput<M>>
concept SumsShards = std::same_as<typename M::SumsShardsOf, M> &&
    requires(const M model, const PreparedOf<M>& theta, const Input& x, const ConstMatrixRef<typename M::Scalar>& dscores,
             typename M::Workspace& workspace, std::span<const Index> ends, VectorRef<typename M::Scalar> grad) {
  model.gradient(theta, x, dscores, workspace, ends, grad);
};

template <class M>
concept ReservesWorkspace = requires(const M model, typename M::Workspace& workspace, Index samples) {
  model.reserve(workspace, samples);
};

}  // namespace parade
