// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include <parade/concepts/argument.hpp>
#include <parade/concepts/optimizer.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>

namespace parade {

template <class R, class Scalar>
concept HasPenaltyValue = requires(const R regularizer, const detail::Argument<ConstVectorRef<Scalar>>& theta) {
  { regularizer.value(theta) } -> std::convertible_to<double>;
};

/// A term that is added to the gradient: `add_gradient(theta, grad)`: grad += λ∇R(theta).
template <class R, class Scalar>
concept HasSmoothTerm = requires(const R term, const detail::Argument<ConstVectorRef<Scalar>>& theta,
                                 detail::Argument<VectorRef<Scalar>> grad) {
  term.add_gradient(theta, grad);
};

/// A term that is a step of its own after the gradient's: `prox(theta, steps)`: theta ← argmin_u λR(u) + Σ_i (u_i − theta_i)² / (2 steps_i).
template <class R, class Scalar>
concept HasProx = requires(const R term, detail::Argument<VectorRef<Scalar>> theta, const detail::Argument<ConstVectorRef<Scalar>>& steps) {
  term.prox(theta, steps);
};

/// SmoothRegularizer: λR(θ) with a gradient.
///   1. `value(theta)` returns λR of a slice of θ, convertible to double.
///   2. `add_gradient(theta, grad)` adds λ∇R of that slice.
///   3. Both are const, and separable: the value of a whole is the sum of the values of its parts, and the gradient of a part is that part
///      of the gradient, since the update runs over fixed blocks of θ in parallel.
template <class R, class Scalar>
concept SmoothRegularizer = HasPenaltyValue<R, Scalar> && HasSmoothTerm<R, Scalar>;

/// ProximalRegularizer: λR(θ) that is not smooth, by a proximal step after the gradient step (Parikh, Boyd: "Proximal algorithms", 2014).
///   1. `value(theta)` as above.
///   2. `prox(theta, steps)` replaces a slice of θ by its proximal point; `steps` (same length) are the step sizes that the optimizer took
///      per element: α for SGD, α/D_ii for a method with a diagonal metric D (Adam). It gives exact zeros where R has a kink.
///   3. Both are const and separable.
template <class R, class Scalar>
concept ProximalRegularizer = HasPenaltyValue<R, Scalar> && HasProx<R, Scalar>;

template <class R, class Scalar>
concept HasParameterValue = requires(const R regularizer, const detail::Argument<ConstMatrixRef<Scalar>>& theta) {
  { regularizer.parameter_value(theta) } -> std::convertible_to<double>;
};

template <class R, class Scalar>
concept HasParameterProx = requires(const R term, detail::Argument<MatrixRef<Scalar>> theta,
                                    const detail::Argument<ConstMatrixRef<Scalar>>& steps) {
  term.parameter_prox(theta, steps);
};

/// ParameterRegularizer: λR(θ) that is not separable over the elements of a parameter, only over the parameters: a norm of each row, say.
///   1. `parameter_value(theta)` returns λR of one whole parameter (rows, cols), convertible to double.
///   2. `parameter_prox(theta, steps)` replaces it by its proximal point; `steps` (rows, cols) as for `prox`.
///   3. Both are const. A parameter is done by one thread, in a pass of its own after the step; other threads do other parameters.
template <class R, class Scalar>
concept ParameterRegularizer = HasParameterValue<R, Scalar> && HasParameterProx<R, Scalar>;

/// A ParameterRegularizer that needs memory to work in, for a sort say, which a step must not take anew: every thread has a workspace for it.
///   1. `R::Workspace` can be default-constructed and moved; `reserve(workspace, rows, cols)`, const, makes it large enough for a parameter of that
///      shape too. It is called before the first step, for every parameter that the regularizer is for.
///   2. `parameter_value(theta, workspace)` and `parameter_prox(theta, steps, workspace)`, const, are called in the place of those without one.
template <class R, class Scalar>
concept HasParameterWorkspace = std::default_initializable<typename R::Workspace> && std::movable<typename R::Workspace> &&
    requires(const R regularizer, typename R::Workspace& workspace, Index size, const detail::Argument<ConstMatrixRef<Scalar>>& read,
             detail::Argument<MatrixRef<Scalar>> theta) {
  regularizer.reserve(workspace, size, size);
  { regularizer.parameter_value(read, workspace) } -> std::convertible_to<double>;
  regularizer.parameter_prox(theta, read, workspace);
};

namespace detail {

template <class P>
concept HasAppliesTo = requires(const P term, const ParameterBlock& block) {
  { term.applies_to(block) } -> std::convertible_to<bool>;
};
template <class P>
concept HasBeginStep = requires(P term, const StepInfo& at) {
  term.begin_step(at);
};

/// What a regularizer or constraint need not have, right where it has it.
template <class P>
concept SoundHooksOfTerm = bool((!requires { &P::applies_to; } || HasAppliesTo<P>)&&(!requires {
  &P::begin_step;
} || HasBeginStep<P>)&&(!requires { &P::check; } || HasCheck<P>));

/// A member of one of these names means to be that: a slip in one is not passed over because another is right, unless it
/// is overloaded or a template.
template <class R, class Scalar>
concept SoundTerms = SoundHooksOfTerm<R> &&
    bool((!requires { &R::add_gradient; } || HasSmoothTerm<R, Scalar>)&&(!requires { &R::prox; } || HasProx<R, Scalar>)&&(!requires {
      &R::parameter_prox;
    } || HasParameterProx<R, Scalar>)&&(!requires { typename R::Workspace; } || HasParameterWorkspace<R, Scalar>));

}  // namespace detail

namespace detail {

template <class R, class Scalar>
concept OneRegularizer = (SmoothRegularizer<R, Scalar> || ProximalRegularizer<R, Scalar> ||
                          ParameterRegularizer<R, Scalar>)&&SoundTerms<R, Scalar>;

/// Several regularizers or constraints, each for parameters of its own: `parts()` is a std::tuple of them.
template <class P>
concept HasParts = requires(const P several) {
  std::tuple_size<std::remove_cvref_t<decltype(several.parts())>>::value;
};
template <class P>
using PartsOf = std::remove_cvref_t<decltype(std::declval<const P&>().parts())>;

template <class Tuple>
struct EachOf;
template <class... Ps>
struct EachOf<std::tuple<Ps...>> {
  template <class Test>
  static constexpr bool any(const Test& test) {
    return (test(std::type_identity<Ps>{}) || ...);
  }
};

/// Whether a part, or the one that has none, is of a kind: test(std::type_identity<Part>{}).
template <class P, class Test>
constexpr bool any_part(const Test& test) {
  if constexpr (HasParts<P>)
    return EachOf<PartsOf<P>>::any(test);
  else
    return test(std::type_identity<P>{});
}

template <class R, class Scalar>
inline constexpr bool are_regularizers = false;
template <class... Rs, class Scalar>
inline constexpr bool are_regularizers<std::tuple<Rs...>, Scalar> = (OneRegularizer<Rs, Scalar> && ...);

template <class R, class Scalar>
concept SeveralRegularizers = HasParts<R> && are_regularizers<PartsOf<R>, Scalar>;

}  // namespace detail

/// Regularizer: smooth, proximal, or both (each part then enters in its own way), or one of whole parameters. It enters once a step, never once
/// a shard, and λ is part of it.
///
/// Not required: `applies_to(const ParameterBlock&)`, which says which blocks of θ it is for; without it, all but the biases. (Statistics are
/// never regularized.) `begin_step(const StepInfo&)`, not const, is called once before every step, also one that is then not taken: for what changes with the step's number.
/// `check()` and `check(const ParameterList&)`, const, may throw OptionError for a setting that breaks a rule, or that does not fit the model; they are
/// called before training starts. Memory for one of whole parameters: see HasParameterWorkspace. Or several of them, as
/// PerParameter.
/// See also: parade::NoRegularizer, parade::L2, parade::L1, parade::GroupLasso, parade::SortedL1, parade::Only, parade::PerParameter, Constraint.
template <class R, class Scalar>
concept Regularizer = (SmoothRegularizer<R, Scalar> || ProximalRegularizer<R, Scalar> || ParameterRegularizer<R, Scalar> ||
                       detail::SeveralRegularizers<R, Scalar>)&&detail::SoundTerms<R, Scalar>;

namespace detail {

/// Whether a regularizer or constraint is for this block of θ: what it says itself, else every block but the biases; never a statistic.
template <class Term>
bool applies_to(const Term& term, const ParameterBlock& block) {
  if (block.role == Role::statistic) return false;
  if constexpr (requires {
                  { term.applies_to(block) } -> std::convertible_to<bool>;
                })
    return term.applies_to(block);
  else
    return block.role != Role::bias;
}

/// Which parts are for this block, as bits: bit i for part i, bit 0 for the one that has no parts.
template <class P>
std::uint64_t parts_for(const P& several, const ParameterBlock& block) {
  if constexpr (HasParts<P>) {
    static_assert(std::tuple_size_v<PartsOf<P>> <= 64, "at most 64 parts");
    std::uint64_t bits = 0, bit = 1;
    std::apply([&](const auto&... part) { ((bits |= applies_to(part, block) ? bit : 0, bit <<= 1), ...); }, several.parts());
    return bits;
  } else {
    return applies_to(several, block) ? 1 : 0;
  }
}

struct NoPartWorkspace {};
template <class P>
struct PartWorkspaceType {
  using type = NoPartWorkspace;
};
template <class P>
  requires requires { typename P::Workspace; }
struct PartWorkspaceType<P> {
  using type = typename P::Workspace;
};
template <class P>
struct PartWorkspaceTypes {
  using type = std::tuple<typename PartWorkspaceType<P>::type>;
};
template <class... Ps>
struct PartWorkspaceTypes<std::tuple<Ps...>> {
  using type = std::tuple<typename PartWorkspaceType<Ps>::type...>;
};

/// A workspace for each part, or for the one that has no parts; NoPartWorkspace for those that need none.
template <class P>
struct WorkspacesType : PartWorkspaceTypes<P> {};
template <HasParts P>
struct WorkspacesType<P> : PartWorkspaceTypes<PartsOf<P>> {};
template <class P>
using WorkspacesOf = typename WorkspacesType<P>::type;

/// call(part) for the parts of these bits, in order.
template <class P, class Call>
void for_parts(const P& several, std::uint64_t bits, const Call& call) {
  if constexpr (HasParts<P>) {
    std::apply([&](const auto&... part) { ((bits & 1 ? call(part) : void(), bits >>= 1), ...); }, several.parts());
  } else {
    if (bits & 1) call(several);
  }
}

/// call(part, its workspace) for the parts of these bits, in order.
template <class P, class Call>
void for_parts(const P& several, std::uint64_t bits, WorkspacesOf<P>& workspaces, const Call& call) {
  const auto each = [&]<std::size_t... i>(std::index_sequence<i...>, const auto&... part) {
    ((bits >> i & 1 ? call(part, std::get<i>(workspaces)) : void()), ...);
  };
  if constexpr (HasParts<P>) {
    std::apply([&](const auto&... part) { each(std::index_sequence_for<decltype(part)...>{}, part...); }, several.parts());
  } else {
    each(std::index_sequence<0>{}, several);
  }
}

}  // namespace detail
}  // namespace parade
