// SPDX-License-Identifier: MIT
#include <numeric>
#include <string>

#include <parade/concepts/optimizer.hpp>

#include "support/catch.hpp"

namespace {

using parade::ConstVectorRef, parade::Index, parade::Vector, parade::VectorRef;
using parade::HasNumStates, parade::HasRate, parade::HasStep, parade::HasStepSizes, parade::Optimizer, parade::StateRef, parade::StepInfo;

using Theta = VectorRef<float>;
using Grad = ConstVectorRef<float>;
using State = StateRef<float>;

// --- the smallest optimizer, and what a type lacks ------------------------------------------------------------------------------------

struct Functions {
  Index num_states() const;
  void step(Theta, const Grad&, const State&, const StepInfo&) const;
};
struct Good : Functions {
  double rate;
};
static_assert(Optimizer<Good, float>);
static_assert(!Optimizer<Good, double>);

enum Piece { nothing = 0, rate = 1, num_states = 2, step = 4 };

template <class O>
constexpr int lacking = (HasRate<O> ? 0 : rate) | (HasNumStates<O> ? 0 : num_states) | (HasStep<O, float> ? 0 : step);
static_assert(lacking<Good> == nothing);

template <class O, int pieces>
concept LacksOnly = !Optimizer<O, float> && lacking<O> == pieces;

// One mutant a line.
// clang-format off

// 1. rate
struct RateIsFunction    : Good { double rate() const; };
struct RateIsText        : Good { std::string rate; };
struct RateIsPointer     : Good { const double* rate; };
static_assert(LacksOnly<Functions, rate>);
static_assert(LacksOnly<RateIsFunction, rate>);
static_assert(LacksOnly<RateIsText, rate>);
static_assert(LacksOnly<RateIsPointer, rate>);

// 2. num_states()
struct NoNumStates       : Good { void num_states() = delete; };
struct StatesAsField     : Good { Index num_states; };
struct MutableNumStates  : Good { Index num_states(); };
struct VoidNumStates     : Good { void num_states() const; };
static_assert(LacksOnly<NoNumStates, num_states>);
static_assert(LacksOnly<StatesAsField, num_states>);
static_assert(LacksOnly<MutableNumStates, num_states>);
static_assert(LacksOnly<VoidNumStates, num_states>);

// 3. step(theta, grad, state, at)
struct NoStep            : Good { void step() = delete; };
struct MutableStep       : Good { void step(Theta, const Grad&, const State&, const StepInfo&); };
struct StepWithoutState  : Good { void step(Theta, const Grad&, const StepInfo&) const; };
struct StepOfPlain       : Good { void step(Vector<float>&, const Grad&, const State&, const StepInfo&) const; };
struct StepOfDoubles     : Good { void step(VectorRef<double>, const Grad&, const State&, const StepInfo&) const; };
struct StepOfDoubleState : Good { void step(Theta, const Grad&, const StateRef<double>&, const StepInfo&) const; };
struct StepSetsState     : Good { void step(Theta, const Grad&, State&, const StepInfo&) const; };
struct StepSetsTime      : Good { void step(Theta, const Grad&, const State&, StepInfo&) const; };
struct StepOfACopy       : Good { void step(Vector<float>, const Grad&, const State&, const StepInfo&) const; };
struct StepOfReadOnly    : Good { void step(const Grad&, const Grad&, const State&, const StepInfo&) const; };
struct StepOfDoubleGrad  : Good { void step(Theta, const ConstVectorRef<double>&, const State&, const StepInfo&) const; };
struct StepSetsGrad      : Good { void step(Theta, Theta, const State&, const StepInfo&) const; };
struct StepOfRate        : Good { void step(Theta, const Grad&, const State&, double) const; };
static_assert(LacksOnly<NoStep, step>);
static_assert(LacksOnly<MutableStep, step>);
static_assert(LacksOnly<StepWithoutState, step>);
static_assert(LacksOnly<StepOfPlain, step>);
static_assert(LacksOnly<StepOfDoubles, step>);
static_assert(LacksOnly<StepOfDoubleState, step>);
static_assert(LacksOnly<StepSetsState, step>);
static_assert(LacksOnly<StepSetsTime, step>);
static_assert(LacksOnly<StepOfACopy, step>);
static_assert(LacksOnly<StepOfReadOnly, step>);
static_assert(LacksOnly<StepOfDoubleGrad, step>);
static_assert(LacksOnly<StepSetsGrad, step>);
static_assert(LacksOnly<StepOfRate, step>);

// not required: step_sizes(state, at, sizes)
struct Sizes             : Good { void step_sizes(const State&, const StepInfo&, VectorRef<float>) const; };
struct MutableSizes      : Good { void step_sizes(const State&, const StepInfo&, VectorRef<float>); };
struct DoubleSizes       : Good { void step_sizes(const State&, const StepInfo&, VectorRef<double>) const; };
static_assert(!HasStepSizes<Good, float>);
static_assert(HasStepSizes<Sizes, float> && Optimizer<Sizes, float>);
static_assert(!HasStepSizes<MutableSizes, float> && !Optimizer<MutableSizes, float>);  // a slip is not passed over
static_assert(!HasStepSizes<DoubleSizes, float> && !Optimizer<DoubleSizes, float>);
// clang-format on

// --- the forms that a user's optimizer may take ---------------------------------------------------------------------------------------

struct ByValue {
  float rate;
  static constexpr int num_states() { return 1; }
  void step(Theta, Grad, State, StepInfo) const;
};
static_assert(Optimizer<ByValue, float>);
struct Checks : ByValue {
  void check() const;
};
struct ChecksOther : ByValue {
  void check(int) const;
};
static_assert(Optimizer<Checks, float> && !Optimizer<ChecksOther, float>);

struct OfRefs {  // float and double
  double rate;
  Index num_states() const;
  template <class Scalar>
  void step(VectorRef<Scalar>, const ConstVectorRef<Scalar>&, const StateRef<Scalar>&, const StepInfo&) const;
};
static_assert(Optimizer<OfRefs, float> && Optimizer<OfRefs, double>);

}  // namespace

TEST_CASE("a type that breaks one requirement of Optimizer is refused for that one") {
  SUCCEED("checked by the compiler: each static_assert above");
}

TEST_CASE("StateRef gives the same slice of every state vector, to be written") {
  Vector<float> memory(3 * 7);  // three vectors of seven, one behind the other
  std::iota(memory.begin(), memory.end(), 0.0f);
  const State state{memory.data() + 2, 7, 3};  // elements 2, 3, 4 of each
  for (Index i = 0; i < 3; ++i) {
    CHECK(state[i].size() == 3);
    CHECK(state[i](0) == static_cast<float>(7 * i + 2));
    CHECK(state[i](2) == static_cast<float>(7 * i + 4));
  }
  state[1].setConstant(-1);
  CHECK((memory.array() == -1).count() == 3);
  CHECK(memory.segment(9, 3) == Vector<float>::Constant(3, -1));
}
