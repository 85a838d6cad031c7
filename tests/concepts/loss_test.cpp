// SPDX-License-Identifier: MIT
#include <string>

#include <parade/concepts/loss.hpp>

#include "support/catch.hpp"

namespace {

using parade::ChecksOutputs, parade::ChecksTarget, parade::HasConjugate, parade::HasConjugateStep, parade::HasTarget,
    parade::HasValueAndGradient, parade::Loss;
using parade::ConstMatrixRef, parade::ConstVectorRef, parade::Index, parade::Label, parade::Matrix, parade::MatrixRef, parade::Real,
    parade::TargetsRef, parade::Vector, parade::VectorRef;

using Z = ConstMatrixRef<float>;          // (k,m)
using Labels = TargetsRef<Label, float>;  // (m)
using Reals = TargetsRef<Real, float>;    // (k,m)
using J = VectorRef<float>;               // (m)
using DZ = MatrixRef<float>;              // (k,m)

// --- the smallest loss, and what a type lacks -----------------------------------------------------------------------------------------

struct OnLabels {
  using Target = Label;
  void value_and_gradient(const Z& scores, const Labels& labels, J values, DZ dscores) const;
};
struct OnReals {
  using Target = Real;
  void value_and_gradient(const Z& scores, const Reals& targets, J values, DZ dscores) const;
};
static_assert(Loss<OnLabels, float>);
static_assert(Loss<OnReals, float>);
static_assert(!Loss<OnLabels, double>);
static_assert(!Loss<OnReals, double>);

enum Piece { nothing = 0, target = 1, value_and_gradient = 2 };

template <class L>
constexpr int lacking = (HasTarget<L> ? 0 : target) | (HasValueAndGradient<L, float> ? 0 : value_and_gradient);
static_assert(lacking<OnLabels> == nothing && lacking<OnReals> == nothing);

template <class L, int pieces>
concept LacksOnly = !Loss<L, float> && lacking<L> == pieces;

// One mutant a line.
// clang-format off

// 1. Target
struct NoTarget         { void value_and_gradient(const Z&, const Labels&, J, DZ) const; };
struct FloatTarget      : OnLabels { using Target = float; };
struct SizeTarget       : OnLabels { using Target = Index; };
struct UnsignedTarget   : OnLabels { using Target = std::uint32_t; };
static_assert(!HasTarget<NoTarget> && !Loss<NoTarget, float>);  // the other piece cannot be asked for without it
static_assert(!HasTarget<FloatTarget> && !Loss<FloatTarget, float>);
static_assert(!HasTarget<SizeTarget> && !Loss<SizeTarget, float>);
static_assert(!HasTarget<UnsignedTarget> && !Loss<UnsignedTarget, float>);

// 2. value_and_gradient(scores, targets, values, dscores)
struct NoFunction       : OnLabels { void value_and_gradient() = delete; };
struct Mutable          : OnLabels { void value_and_gradient(const Z&, const Labels&, J, DZ); };
struct MutableOnReals   : OnReals  { void value_and_gradient(const Z&, const Reals&, J, DZ); };
struct ReturnsSum       : OnLabels { float value_and_gradient(const Z&, const Labels&, DZ) const; };
struct OfOneLabel       : OnLabels { void value_and_gradient(const Z&, Label, J, DZ) const; };
struct NoGradient       : OnLabels { void value_and_gradient(const Z&, const Labels&, J) const; };
struct PlainValues      : OnLabels { void value_and_gradient(const Z&, const Labels&, Vector<float>&, DZ) const; };
struct PlainGradient    : OnLabels { void value_and_gradient(const Z&, const Labels&, J, Matrix<float>&) const; };
struct DoubleValues     : OnLabels { void value_and_gradient(const Z&, const Labels&, VectorRef<double>, DZ) const; };
struct DoubleGradient   : OnLabels { void value_and_gradient(const Z&, const Labels&, J, MatrixRef<double>) const; };
struct CopiedValues     : OnLabels { void value_and_gradient(const Z&, const Labels&, Vector<float>, DZ) const; };
struct CopiedGradient   : OnLabels { void value_and_gradient(const Z&, const Labels&, J, Matrix<float>) const; };
struct ReadOnlyGradient : OnLabels { void value_and_gradient(const Z&, const Labels&, J, const Z&) const; };
struct SwappedResults   : OnLabels { void value_and_gradient(const Z&, const Labels&, DZ, J) const; };
struct DoubleScores     : OnLabels { void value_and_gradient(const ConstMatrixRef<double>&, const Labels&, J, DZ) const; };
struct FloatLabels      : OnLabels { void value_and_gradient(const Z&, const ConstVectorRef<float>&, J, DZ) const; };
struct RealsForLabels   : OnLabels { void value_and_gradient(const Z&, const Reals&, J, DZ) const; };
struct LabelsForReals   : OnReals  { void value_and_gradient(const Z&, const Labels&, J, DZ) const; };
struct ScoresAreRef     : OnLabels { void value_and_gradient(DZ, const Labels&, J, DZ) const; };
struct WritableScores   : OnLabels { void value_and_gradient(Matrix<float>&, const Labels&, J, DZ) const; };
static_assert(LacksOnly<NoFunction, value_and_gradient>);
static_assert(LacksOnly<Mutable, value_and_gradient>);
static_assert(LacksOnly<MutableOnReals, value_and_gradient>);
static_assert(LacksOnly<ReturnsSum, value_and_gradient>);
static_assert(LacksOnly<OfOneLabel, value_and_gradient>);
static_assert(LacksOnly<NoGradient, value_and_gradient>);
static_assert(LacksOnly<PlainValues, value_and_gradient>);
static_assert(LacksOnly<PlainGradient, value_and_gradient>);
static_assert(LacksOnly<DoubleValues, value_and_gradient>);
static_assert(LacksOnly<DoubleGradient, value_and_gradient>);
static_assert(LacksOnly<CopiedValues, value_and_gradient>);
static_assert(LacksOnly<CopiedGradient, value_and_gradient>);
static_assert(LacksOnly<ReadOnlyGradient, value_and_gradient>);
static_assert(LacksOnly<SwappedResults, value_and_gradient>);
static_assert(LacksOnly<DoubleScores, value_and_gradient>);
static_assert(LacksOnly<FloatLabels, value_and_gradient>);
static_assert(LacksOnly<RealsForLabels, value_and_gradient>);
static_assert(LacksOnly<LabelsForReals, value_and_gradient>);
static_assert(LacksOnly<ScoresAreRef, value_and_gradient>);
static_assert(LacksOnly<WritableScores, value_and_gradient>);
// clang-format on

// --- the forms that a user's loss may take --------------------------------------------------------------------------------------------

struct ByValue : OnLabels {
  void value_and_gradient(Z scores, Labels labels, J values, DZ dscores) const;
};
static_assert(Loss<ByValue, float>);

struct OfRefs {  // float and double, deduced from Eigen::Ref
  using Target = Real;
  template <class Scalar>
  void value_and_gradient(const ConstMatrixRef<Scalar>& scores, const ConstMatrixRef<Scalar>& targets, VectorRef<Scalar> values,
                          MatrixRef<Scalar> dscores) const;
};
struct OfExpressions {  // float and double, as Eigen advises
  using Target = Label;
  template <class A, class B, class Scalar = typename A::Scalar>
  void value_and_gradient(const Eigen::MatrixBase<A>& scores, const Eigen::MatrixBase<B>& labels, VectorRef<Scalar> values,
                          MatrixRef<Scalar> dscores) const;
};
struct OfAnything {
  using Target = Real;
  auto value_and_gradient(const auto& scores, const auto& targets, auto values, auto dscores) const {
    dscores = scores - targets;
    values = dscores.colwise().squaredNorm().transpose() / 2;
  }
};
static_assert(Loss<OfRefs, float> && Loss<OfRefs, double>);
static_assert(Loss<OfExpressions, float> && Loss<OfExpressions, double>);
static_assert(Loss<OfAnything, float> && Loss<OfAnything, double>);

// One mutant a line.
// clang-format off
struct Checks           : OnLabels { std::string check_outputs(Index) const; std::string check_target(Label, Index) const; };
struct ChecksInLiterals : OnLabels { const char* check_outputs(int) const; const char* check_target(Label, int) const; };
struct MutableChecks    : OnLabels { std::string check_outputs(Index); std::string check_target(Label, Index); };
struct BoolChecks       : OnLabels { bool check_outputs(Index) const; bool check_target(Label, Index) const; };
// clang-format on
static_assert(!ChecksOutputs<OnLabels> && !ChecksTarget<OnLabels>);
static_assert(ChecksOutputs<Checks> && ChecksTarget<Checks>);
static_assert(!ChecksOutputs<MutableChecks> && !ChecksTarget<MutableChecks>);
static_assert(!ChecksOutputs<BoolChecks> && !ChecksTarget<BoolChecks>);

// One mutant a line.
// clang-format off
struct Conjugate        : OnLabels { double conjugate(double, Label) const; };
struct ConjugateOfReal  : OnReals { float conjugate(double, double) const; };
struct MutableConjugate : OnLabels { double conjugate(double, Label); };
struct VoidConjugate    : OnLabels { void conjugate(double, Label) const; };
struct NoConjugate      : OnLabels { double conjugate(double) const; };
struct Steps            : Conjugate { double conjugate_step(double, Label, double, double) const; };
struct OnlySteps        : OnLabels { double conjugate_step(double, Label, double, double) const; };
struct MutableSteps     : Conjugate { double conjugate_step(double, Label, double, double); };
// clang-format on
static_assert(HasConjugate<Conjugate> && HasConjugate<ConjugateOfReal> && !HasConjugateStep<Conjugate>);
static_assert(!HasConjugate<OnLabels> && !HasConjugate<MutableConjugate> && !HasConjugate<VoidConjugate> && !HasConjugate<NoConjugate>);
static_assert(HasConjugateStep<Steps> && !HasConjugateStep<OnlySteps> && !HasConjugateStep<MutableSteps>);

}  // namespace

TEST_CASE("a type that breaks one requirement of Loss is refused for that one") {
  SUCCEED("checked by the compiler: each static_assert above");
}
