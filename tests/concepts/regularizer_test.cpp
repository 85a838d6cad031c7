// SPDX-License-Identifier: MIT
#include <string>

#include <parade/concepts/regularizer.hpp>
#include <parade/concepts/schedule.hpp>

#include "support/catch.hpp"

namespace {

using parade::ConstVectorRef, parade::ParameterBlock, parade::Role, parade::Vector, parade::VectorRef;
using parade::HasPenaltyValue, parade::HasProx, parade::HasSmoothTerm, parade::ProximalRegularizer, parade::Regularizer,
    parade::SmoothRegularizer;

using Theta = ConstVectorRef<float>;
using Grad = VectorRef<float>;

// --- the smallest regularizers, and what a type lacks ---------------------------------------------------------------------------------

struct Smooth {
  double value(const Theta&) const;
  void add_gradient(const Theta&, Grad) const;
};
struct Proximal {
  double value(const Theta&) const;
  void prox(VectorRef<float> theta, const ConstVectorRef<float>& steps) const;
};
struct Both : Smooth {
  void prox(VectorRef<float> theta, const ConstVectorRef<float>& steps) const;
};

enum Piece { nothing = 0, value = 1, smooth = 2, proximal = 4 };

template <class R>
constexpr int lacking = (HasPenaltyValue<R, float> ? 0 : value) | (HasSmoothTerm<R, float> ? 0 : smooth) |
                        (HasProx<R, float> ? 0 : proximal);

static_assert(SmoothRegularizer<Smooth, float> && Regularizer<Smooth, float> && lacking<Smooth> == proximal);
static_assert(ProximalRegularizer<Proximal, float> && Regularizer<Proximal, float> && lacking<Proximal> == smooth);
static_assert(SmoothRegularizer<Both, float> && ProximalRegularizer<Both, float> && lacking<Both> == nothing);
static_assert(!Regularizer<Smooth, double>);
static_assert(!Regularizer<Proximal, double>);

template <class R, int pieces>
concept LacksOnly = !SmoothRegularizer<R, float> && !ProximalRegularizer<R, float> && !Regularizer<R, float> && lacking<R> == pieces;

// One mutant a line.
// clang-format off

// 1. value(theta)
struct NoValue             : Both { void value() = delete; };
struct MutableValue        : Both { double value(const Theta&); };
struct VoidValue           : Both { void value(const Theta&) const; };
struct TextValue           : Both { std::string value(const Theta&) const; };
struct ValueOfPlain        : Both { double value(Vector<float>&) const; };
static_assert(LacksOnly<NoValue, value>);
static_assert(LacksOnly<MutableValue, value>);
static_assert(LacksOnly<VoidValue, value>);
static_assert(LacksOnly<TextValue, value>);
static_assert(LacksOnly<ValueOfPlain, value>);

// 2. add_gradient(theta, grad) of a smooth one
struct NoAddGradient       : Smooth { void add_gradient() = delete; };
struct MutableAddGradient  : Smooth { void add_gradient(const Theta&, Grad); };
struct GradientIsReturned  : Smooth { Vector<float> add_gradient(const Theta&) const; };
struct GradientIsPlain     : Smooth { void add_gradient(const Theta&, Vector<float>&) const; };
struct GradientIsDouble    : Smooth { void add_gradient(const Theta&, VectorRef<double>) const; };
static_assert(LacksOnly<NoAddGradient, smooth | proximal>);
static_assert(LacksOnly<MutableAddGradient, smooth | proximal>);
static_assert(LacksOnly<GradientIsReturned, smooth | proximal>);
static_assert(LacksOnly<GradientIsPlain, smooth | proximal>);
static_assert(LacksOnly<GradientIsDouble, smooth | proximal>);

struct GradientIsACopy     : Smooth { void add_gradient(const Theta&, Vector<float>) const; };
struct GradientOfDoubles   : Smooth { void add_gradient(const ConstVectorRef<double>&, Grad) const; };
static_assert(LacksOnly<GradientIsACopy, smooth | proximal>);
static_assert(LacksOnly<GradientOfDoubles, smooth | proximal>);

// 2. prox(theta, steps) of a proximal one
struct NoProx              : Proximal { void prox() = delete; };
struct MutableProx         : Proximal { void prox(VectorRef<float>, const Theta&); };
struct ProxIsReturned      : Proximal { Vector<float> prox(const Theta&) const; };
struct ProxOfPlain         : Proximal { void prox(Vector<float>&, const Theta&) const; };
struct ProxOfDoubles       : Proximal { void prox(VectorRef<double>, const Theta&) const; };
struct ProxOfOneStep       : Proximal { void prox(VectorRef<float>, double step) const; };
static_assert(LacksOnly<NoProx, smooth | proximal>);
static_assert(LacksOnly<MutableProx, smooth | proximal>);
static_assert(LacksOnly<ProxIsReturned, smooth | proximal>);
static_assert(LacksOnly<ProxOfPlain, smooth | proximal>);
static_assert(LacksOnly<ProxOfDoubles, smooth | proximal>);
static_assert(LacksOnly<ProxOfOneStep, smooth | proximal>);
struct ProxOfACopy         : Proximal { void prox(Vector<float>, const Theta&) const; };
struct ProxSetsSteps       : Proximal { void prox(VectorRef<float>, VectorRef<float>) const; };
static_assert(LacksOnly<ProxOfACopy, smooth | proximal>);
static_assert(LacksOnly<ProxSetsSteps, smooth | proximal>);

// A slip in one of two terms is not passed over because the other is right.
struct BothMutableGradient : Both { void add_gradient(const Theta&, Grad); };
struct BothMutableProx     : Both { void prox(VectorRef<float>, const Theta&); };
static_assert(!Regularizer<BothMutableGradient, float> && lacking<BothMutableGradient> == smooth);
static_assert(!Regularizer<BothMutableProx, float> && lacking<BothMutableProx> == proximal);

// Nor is one in what need not be there.
struct AppliesToName       : Smooth { bool applies_to(const std::string&) const; };
struct AppliesToVoid       : Smooth { void applies_to(const ParameterBlock&) const; };
struct BeginsWithTime      : Smooth { void begin_step(const parade::TrainingTime&); };
struct ChecksMutably       : Smooth { void check(); };
struct ChecksOther         : Smooth { void check(int) const; };
static_assert(!Regularizer<AppliesToName, float> && SmoothRegularizer<AppliesToName, float>);
static_assert(!Regularizer<AppliesToVoid, float>);
static_assert(!Regularizer<BeginsWithTime, float>);
static_assert(!Regularizer<ChecksMutably, float>);
static_assert(!Regularizer<ChecksOther, float>);
struct HasAllHooks         : Smooth {
  bool applies_to(const ParameterBlock&) const;
  void begin_step(const parade::StepInfo&);
  void check() const;
  void check(const parade::ParameterList&) const;
};
struct ChecksParameters    : Smooth { void check(const parade::ParameterList&) const; };
static_assert(Regularizer<HasAllHooks, float> && Regularizer<ChecksParameters, float>);
// clang-format on

// --- the forms that a user's regularizer may take -------------------------------------------------------------------------------------

struct ByValue {
  float value(Theta) const;
  void add_gradient(Theta, Grad) const;
  void prox(VectorRef<float>, Theta) const;
};
static_assert(SmoothRegularizer<ByValue, float> && ProximalRegularizer<ByValue, float>);

struct OfRefs {  // float and double, deduced from Eigen::Ref
  template <class Scalar>
  Scalar value(const ConstVectorRef<Scalar>&) const;
  template <class Scalar>
  void add_gradient(const ConstVectorRef<Scalar>&, VectorRef<Scalar>) const;
  template <class Scalar>
  void prox(VectorRef<Scalar>, const ConstVectorRef<Scalar>&) const;
};
struct OfExpressions {  // float and double, as Eigen advises
  template <class A>
  double value(const Eigen::MatrixBase<A>&) const;
  template <class A>
  void add_gradient(const Eigen::MatrixBase<A>&, VectorRef<typename A::Scalar>) const;
  template <class A>
  void prox(VectorRef<typename A::Scalar>, const Eigen::MatrixBase<A>&) const;
};
static_assert(SmoothRegularizer<OfRefs, float> && ProximalRegularizer<OfRefs, double>);
static_assert(SmoothRegularizer<OfRefs, double> && ProximalRegularizer<OfRefs, float>);
static_assert(SmoothRegularizer<OfExpressions, float> && ProximalRegularizer<OfExpressions, double>);
static_assert(SmoothRegularizer<OfExpressions, double> && ProximalRegularizer<OfExpressions, float>);

// --- whole parameters, and memory to work in -------------------------------------------------------------------------------------------

using parade::ConstMatrixRef, parade::HasParameterWorkspace, parade::Index, parade::MatrixRef, parade::ParameterRegularizer;
using Read = ConstMatrixRef<float>;
using Write = MatrixRef<float>;

struct OfWholes {
  double parameter_value(const Read&) const;
  void parameter_prox(Write, const Read&) const;
};
struct Sorting : OfWholes {
  using OfWholes::parameter_prox;
  using OfWholes::parameter_value;
  struct Workspace {};
  void reserve(Workspace&, Index, Index) const;
  double parameter_value(const Read&, Workspace&) const;
  void parameter_prox(Write, const Read&, Workspace&) const;
};
static_assert(ParameterRegularizer<OfWholes, float> && Regularizer<OfWholes, float> && !HasParameterWorkspace<OfWholes, float>);
static_assert(ParameterRegularizer<Sorting, float> && Regularizer<Sorting, float> && HasParameterWorkspace<Sorting, float>);
static_assert(!Regularizer<OfWholes, double> && !Regularizer<Sorting, double>);

// clang-format off
struct NoWorkspace         : OfWholes { struct Workspace {}; };
struct NoReserve           : Sorting { void reserve() = delete; };
struct MutableReserve      : Sorting { void reserve(Workspace&, Index, Index); };
struct WorkspaceIsConst    : Sorting { void reserve(const Workspace&, Index) const; };
struct NoValueInWorkspace  : Sorting { double parameter_value(const Read&) const; };
struct NoProxInWorkspace   : Sorting { void parameter_prox(Write, const Read&) const; };
struct WorkspaceWithArgument : Sorting { struct Workspace { explicit Workspace(int); }; };
// clang-format on
template <class R>
concept LacksWorkspaceOnly = ParameterRegularizer<R, float> && !HasParameterWorkspace<R, float> && !Regularizer<R, float>;
static_assert(LacksWorkspaceOnly<NoWorkspace>);
static_assert(LacksWorkspaceOnly<NoReserve>);
static_assert(LacksWorkspaceOnly<MutableReserve>);
static_assert(LacksWorkspaceOnly<WorkspaceIsConst>);
static_assert(LacksWorkspaceOnly<NoValueInWorkspace>);
static_assert(LacksWorkspaceOnly<NoProxInWorkspace>);
static_assert(LacksWorkspaceOnly<WorkspaceWithArgument>);

struct ForBiasesOnly : Smooth {
  bool applies_to(const ParameterBlock& block) const { return block.role == Role::bias; }
};

}  // namespace

TEST_CASE("a type that breaks one requirement of Regularizer is refused for that one") {
  SUCCEED("checked by the compiler: each static_assert above");
}

TEST_CASE("a regularizer is for every block but the biases unless it says otherwise") {
  const ParameterBlock weight{.name = "weight"}, bias{.name = "bias", .role = Role::bias};
  CHECK(parade::detail::applies_to(Smooth{}, weight));
  CHECK_FALSE(parade::detail::applies_to(Smooth{}, bias));
  CHECK_FALSE(parade::detail::applies_to(ForBiasesOnly{}, weight));
  CHECK(parade::detail::applies_to(ForBiasesOnly{}, bias));
}
