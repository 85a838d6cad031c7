// SPDX-License-Identifier: MIT
#include <functional>
#include <string>

#include <parade/concepts/schedule.hpp>

#include "support/catch.hpp"

namespace {

using parade::Schedule, parade::TrainingTime;

struct Good {
  double rate(double base, const TrainingTime& at) const;
};
static_assert(Schedule<Good>);

// One mutant a line.
// clang-format off

// 1. rate(base, at)
struct Empty            {};
struct NoRate           : Good { void rate() = delete; };
struct RateAsField      : Good { double rate; };
struct MutableRate      : Good { double rate(double, const TrainingTime&); };
struct VoidRate         : Good { void rate(double, const TrainingTime&) const; };
struct TextRate         : Good { std::string rate(double, const TrainingTime&) const; };
struct RateWithoutBase  : Good { double rate(const TrainingTime&) const; };
struct RateWithoutTime  : Good { double rate(double) const; };
struct RateOfStep       : Good { double rate(double, std::int64_t) const; };
struct RateSetsTime     : Good { double rate(double, TrainingTime&) const; };
static_assert(!Schedule<Empty>);
static_assert(!Schedule<NoRate>);
static_assert(!Schedule<RateAsField>);
static_assert(!Schedule<MutableRate>);
static_assert(!Schedule<VoidRate>);
static_assert(!Schedule<TextRate>);
static_assert(!Schedule<RateWithoutBase>);
static_assert(!Schedule<RateWithoutTime>);
static_assert(!Schedule<RateOfStep>);
static_assert(!Schedule<RateSetsTime>);

// A slip in what need not be there is not passed over.
struct Checks              { double rate(double, const TrainingTime&) const; void check(const TrainingTime&) const; };
struct ChecksNothing       : Checks { void check() const; };
struct ChecksMutably       : Checks { void check(const TrainingTime&); };
static_assert(Schedule<Checks> && !Schedule<ChecksNothing> && !Schedule<ChecksMutably>);
// clang-format on

// --- the forms that a user's schedule may take ----------------------------------------------------------------------------------------

struct ByValue {
  float rate(float base, TrainingTime at) const;
};
struct Static {
  static constexpr double rate(double base, const TrainingTime&) { return base; }
};
struct OfAnything {
  auto rate(auto base, const auto& at) const { return base / static_cast<double>(at.step + 1); }
};
struct Stored {
  std::function<double(double base, const TrainingTime& at)> rate;
};
template <class F>
struct Of {
  F rate;
};
template <class F>
Of(F) -> Of<F>;

[[maybe_unused]] const Of decay{[](double base, const TrainingTime& at) { return base / static_cast<double>(at.step + 1); }};
[[maybe_unused]] const Of counter{[calls = 0.0](double base, const TrainingTime&) mutable { return base / ++calls; }};

static_assert(Schedule<ByValue>);
static_assert(Schedule<Static>);
static_assert(Schedule<OfAnything>);
static_assert(Schedule<Stored>);
static_assert(Schedule<decltype(decay)>);
static_assert(!Schedule<decltype(counter)>);  // not const: not a pure function of the step

}  // namespace

TEST_CASE("a type that breaks the requirement of Schedule is refused") { SUCCEED("checked by the compiler: each static_assert above"); }
