// SPDX-License-Identifier: MIT
#include <functional>

#include <parade/concepts/callback.hpp>

#include "support/catch.hpp"

namespace {

using parade::Answer, parade::Callback, parade::HasOnEpoch, parade::HasOnStep, parade::HasValidationData, parade::WantsCertificate;
using parade::EpochReport, parade::Index, parade::Signal, parade::StepReport;

// --- the smallest callbacks -----------------------------------------------------------------------------------------------------------

struct Data {
  Index size() const;
  Index num_features() const;
};
// One type a line.
// clang-format off
struct OnEpoch              { Signal on_epoch(const EpochReport&); };
struct OnStep               { Signal on_step(const StepReport&); };
struct Brings               { const Data& validation_data() const; };
struct Certifies            { double certificate_step() const; };
// clang-format on
static_assert(Callback<OnEpoch> && HasOnEpoch<OnEpoch> && !HasOnStep<OnEpoch> && !HasValidationData<OnEpoch>);
static_assert(Callback<OnStep> && !HasOnEpoch<OnStep> && HasOnStep<OnStep> && !HasValidationData<OnStep>);
static_assert(Callback<Brings> && !HasOnEpoch<Brings> && !HasOnStep<Brings> && HasValidationData<Brings>);
static_assert(Callback<Certifies> && !HasOnEpoch<Certifies> && !HasOnStep<Certifies> && WantsCertificate<Certifies>);

template <class C>
concept Refused = !Callback<C> && !HasOnEpoch<C> && !HasOnStep<C> && !HasValidationData<C> && !WantsCertificate<C>;

// One mutant a line.
// clang-format off

// at least one hook
struct NoHook               {};
struct OnlyBeginAndEnd      { void on_begin(); void on_end(); };
static_assert(Refused<NoHook>);
static_assert(Refused<OnlyBeginAndEnd>);

// 1. on_epoch(report)
struct NoOnEpoch            : OnEpoch { void on_epoch() = delete; };
struct EpochAnswersBool     : OnEpoch { bool on_epoch(const EpochReport&); };
struct EpochAnswersInt      : OnEpoch { int on_epoch(const EpochReport&); };
struct OnEpochWithout       : OnEpoch { Signal on_epoch(); };
struct OnEpochOfStep        : OnEpoch { Signal on_epoch(const StepReport&); };
struct OnEpochSetsReport    : OnEpoch { Signal on_epoch(EpochReport&); };
static_assert(Refused<NoOnEpoch>);
static_assert(Refused<EpochAnswersBool>);
static_assert(Refused<EpochAnswersInt>);
static_assert(Refused<OnEpochWithout>);
static_assert(Refused<OnEpochOfStep>);
static_assert(Refused<OnEpochSetsReport>);

// 2. on_step(report)
struct NoOnStep             : OnStep { void on_step() = delete; };
struct StepAnswersBool      : OnStep { bool on_step(const StepReport&); };
struct StepAnswersInt       : OnStep { int on_step(const StepReport&); };
struct OnStepWithout        : OnStep { Signal on_step(); };
struct OnStepOfEpoch        : OnStep { Signal on_step(const EpochReport&); };
struct OnStepSetsReport     : OnStep { Signal on_step(StepReport&); };
static_assert(Refused<NoOnStep>);
static_assert(Refused<StepAnswersBool>);
static_assert(Refused<StepAnswersInt>);
static_assert(Refused<OnStepWithout>);
static_assert(Refused<OnStepOfEpoch>);
static_assert(Refused<OnStepSetsReport>);

// 3. validation_data()
struct NoValidationData     : Brings { void validation_data() = delete; };
struct ValidationAsField    : Brings { Data validation_data; };
struct MutableValidation    : Brings { const Data& validation_data(); };
struct ValidationOfEpoch    : Brings { const Data& validation_data(const EpochReport&) const; };
static_assert(Refused<NoValidationData>);
static_assert(Refused<ValidationAsField>);
static_assert(Refused<MutableValidation>);
static_assert(Refused<ValidationOfEpoch>);

struct VoidValidation       : Brings { void validation_data() const; };
struct ValidationByValue    : Brings { Data validation_data() const; };
struct ValidationIsNumber   : Brings { const int& validation_data() const; };
static_assert(Refused<VoidValidation>);
static_assert(Refused<ValidationByValue>);
static_assert(Refused<ValidationIsNumber>);

// 4. certificate_step()
struct NoCertificate        : Certifies { void certificate_step() = delete; };
struct StepAsField          : Certifies { double certificate_step; };
struct MutableCertificate   : Certifies { double certificate_step(); };
struct VoidCertificate      : Certifies { void certificate_step() const; };
static_assert(Refused<NoCertificate>);
static_assert(Refused<StepAsField>);
static_assert(Refused<MutableCertificate>);
static_assert(Refused<VoidCertificate>);

// a slip in one hook is not passed over because another is right
struct EpochSlips           : OnStep { bool on_epoch(const EpochReport&); };
struct StepSlips            : OnEpoch { Signal on_step(StepReport&); };
struct ValidationSlips      : OnEpoch { Data validation_data() const; };
struct CertificateSlips     : OnEpoch { void certificate_step() const; };
static_assert(!Callback<CertificateSlips> && HasOnEpoch<CertificateSlips> && !WantsCertificate<CertificateSlips>);
static_assert(!Callback<EpochSlips> && !HasOnEpoch<EpochSlips> && HasOnStep<EpochSlips>);
static_assert(!Callback<StepSlips> && HasOnEpoch<StepSlips> && !HasOnStep<StepSlips>);
static_assert(!Callback<ValidationSlips> && HasOnEpoch<ValidationSlips> && !HasValidationData<ValidationSlips>);
static_assert(!Callback<EpochSlips&> && !Callback<const StepSlips&>);

struct BeginSlips           : OnEpoch { void on_begin(const EpochReport&); };
struct EndSlips             : OnEpoch { void on_end(int); };
struct BeginsAndEnds        : OnEpoch { void on_begin(); void on_end(); };
static_assert(!Callback<BeginSlips> && HasOnEpoch<BeginSlips> && !Callback<EndSlips> && HasOnEpoch<EndSlips>);
static_assert(Callback<BeginsAndEnds> && !Callback<const BeginsAndEnds&>);

// the answer
static_assert(Answer<void> && Answer<Signal>);
static_assert(!Answer<bool> && !Answer<int> && !Answer<Signal&> && !Answer<Signal*>);
// clang-format on

// --- the forms that a user's callback may take ----------------------------------------------------------------------------------------

struct Silent {
  void on_epoch(EpochReport) const;
  static void on_step(const StepReport&) {}
};
struct OfAnything {
  auto on_epoch(const auto& report) { return report.epoch > 3 ? Signal::stop : Signal::go_on; }
};
struct Stored {
  std::function<Signal(const StepReport&)> on_step;
};
template <class F>
struct AfterEpoch {
  F on_epoch;
};
template <class F>
AfterEpoch(F) -> AfterEpoch<F>;

[[maybe_unused]] AfterEpoch silent{[](const EpochReport&) {}};
[[maybe_unused]] AfterEpoch counter{[epochs = 0](const EpochReport&) mutable { return ++epochs > 3 ? Signal::stop : Signal::go_on; }};
[[maybe_unused]] AfterEpoch comparison{[](const EpochReport& report) { return report.loss < 0.1; }};

static_assert(HasOnEpoch<Silent> && HasOnStep<Silent> && Callback<Silent>);
static_assert(HasOnEpoch<OfAnything> && Callback<OfAnything>);
static_assert(HasOnStep<Stored> && Callback<Stored>);
static_assert(HasOnEpoch<decltype(silent)> && Callback<decltype(silent)>);
static_assert(HasOnEpoch<decltype(counter)> && Callback<decltype(counter)>);  // a callback may change while training
static_assert(Refused<decltype(comparison)>);                                 // true is not an answer

}  // namespace

TEST_CASE("a type that breaks one requirement of Callback is refused for that one") {
  SUCCEED("checked by the compiler: each static_assert above");
}
