// SPDX-License-Identifier: MIT
#include <string>

#include <parade/concepts/constraint.hpp>

#include "support/catch.hpp"

namespace {

using parade::Constraint, parade::HasProject, parade::HasSmoothTerm, parade::HasViolation, parade::PenaltyConstraint,
    parade::ProjectionConstraint;
using parade::ConstVectorRef, parade::Vector, parade::VectorRef;

using Theta = ConstVectorRef<float>;
using Grad = VectorRef<float>;

// --- the smallest constraints, and what a type lacks ----------------------------------------------------------------------------------

struct Penalty {
  double violation(const Theta&) const;
  void add_gradient(const Theta&, Grad) const;
};
struct Projection {
  double violation(const Theta&) const;
  void project(VectorRef<float> theta) const;
};
struct Both : Penalty {
  void project(VectorRef<float> theta) const;
};

enum Piece { nothing = 0, violation = 1, penalty = 2, projection = 4 };

template <class C>
constexpr int lacking = (HasViolation<C, float> ? 0 : violation) | (HasSmoothTerm<C, float> ? 0 : penalty) |
                        (HasProject<C, float> ? 0 : projection);

static_assert(PenaltyConstraint<Penalty, float> && Constraint<Penalty, float> && lacking<Penalty> == projection);
static_assert(ProjectionConstraint<Projection, float> && Constraint<Projection, float> && lacking<Projection> == penalty);
static_assert(PenaltyConstraint<Both, float> && ProjectionConstraint<Both, float> && lacking<Both> == nothing);
static_assert(!Constraint<Penalty, double>);
static_assert(!Constraint<Projection, double>);

template <class C, int pieces>
concept LacksOnly = !PenaltyConstraint<C, float> && !ProjectionConstraint<C, float> && !Constraint<C, float> && lacking<C> == pieces;

// One mutant a line.
// clang-format off

// 1. violation(theta)
struct NoViolation         : Both { void violation() = delete; };
struct MutableViolation    : Both { double violation(const Theta&); };
struct VoidViolation       : Both { void violation(const Theta&) const; };
struct TextViolation       : Both { std::string violation(const Theta&) const; };
struct ViolationOfPlain    : Both { double violation(Vector<float>&) const; };
static_assert(LacksOnly<NoViolation, violation>);
static_assert(LacksOnly<MutableViolation, violation>);
static_assert(LacksOnly<VoidViolation, violation>);
static_assert(LacksOnly<TextViolation, violation>);
static_assert(LacksOnly<ViolationOfPlain, violation>);

// 2. add_gradient(theta, grad) of a penalty
struct NoAddGradient       : Penalty { void add_gradient() = delete; };
struct MutableAddGradient  : Penalty { void add_gradient(const Theta&, Grad); };
struct GradientIsReturned  : Penalty { Vector<float> add_gradient(const Theta&) const; };
struct GradientIsPlain     : Penalty { void add_gradient(const Theta&, Vector<float>&) const; };
struct GradientIsDouble    : Penalty { void add_gradient(const Theta&, VectorRef<double>) const; };
static_assert(LacksOnly<NoAddGradient, penalty | projection>);
static_assert(LacksOnly<MutableAddGradient, penalty | projection>);
static_assert(LacksOnly<GradientIsReturned, penalty | projection>);
static_assert(LacksOnly<GradientIsPlain, penalty | projection>);
static_assert(LacksOnly<GradientIsDouble, penalty | projection>);

// 2. project(theta) of a projection
struct NoProject           : Projection { void project() = delete; };
struct MutableProject      : Projection { void project(VectorRef<float>); };
struct ProjectOfPlain      : Projection { void project(Vector<float>&) const; };
struct ProjectOfDoubles    : Projection { void project(VectorRef<double>) const; };
struct ProjectLikeProx     : Projection { void project(VectorRef<float>, const Theta& steps) const; };
static_assert(LacksOnly<NoProject, penalty | projection>);
static_assert(LacksOnly<MutableProject, penalty | projection>);
static_assert(LacksOnly<ProjectOfPlain, penalty | projection>);
static_assert(LacksOnly<ProjectOfDoubles, penalty | projection>);
static_assert(LacksOnly<ProjectLikeProx, penalty | projection>);
struct ProjectOfACopy      : Projection { void project(Vector<float>) const; };
static_assert(LacksOnly<ProjectOfACopy, penalty | projection>);

// A slip in one of two kinds is not passed over because the other is right.
struct BothMutableGradient : Both { void add_gradient(const Theta&, Grad); };
struct BothMutableProject  : Both { void project(VectorRef<float>); };
static_assert(!Constraint<BothMutableGradient, float> && lacking<BothMutableGradient> == penalty);
static_assert(!Constraint<BothMutableProject, float> && lacking<BothMutableProject> == projection);

// Nor is one in what need not be there.
struct BeginsWithNothing   : Both { void begin_step(); };
struct ChecksOther         : Both { void check(int) const; };
static_assert(Constraint<Both, float> && !Constraint<BeginsWithNothing, float> && !Constraint<ChecksOther, float>);
struct Whole {
  static constexpr bool of_whole_theta = true;
  double value(const Theta&);
  double violation(const Theta&);
  void add_gradient(const Theta&, Grad);
};
struct UpdatesAndResets    : Whole { void update(const Theta&); void reset(); };
struct UpdatesNothing      : Whole { void update(); };
struct ResetsToNumber      : Whole { void reset(int); };
static_assert(Constraint<Whole, float> && Constraint<UpdatesAndResets, float>);
static_assert(!Constraint<UpdatesNothing, float> && !Constraint<ResetsToNumber, float>);
// clang-format on

// --- the forms that a user's constraint may take --------------------------------------------------------------------------------------

struct ByValue {
  float violation(Theta) const;
  void add_gradient(Theta, Grad) const;
  void project(VectorRef<float>) const;
};
static_assert(PenaltyConstraint<ByValue, float> && ProjectionConstraint<ByValue, float>);

struct OfRefs {  // float and double
  template <class Scalar>
  double violation(const ConstVectorRef<Scalar>&) const;
  template <class Scalar>
  void add_gradient(const ConstVectorRef<Scalar>&, VectorRef<Scalar>) const;
  template <class Scalar>
  void project(VectorRef<Scalar>) const;
};
static_assert(PenaltyConstraint<OfRefs, float> && ProjectionConstraint<OfRefs, float>);
static_assert(PenaltyConstraint<OfRefs, double> && ProjectionConstraint<OfRefs, double>);

}  // namespace

TEST_CASE("a type that breaks one requirement of Constraint is refused for that one") {
  SUCCEED("checked by the compiler: each static_assert above");
}
