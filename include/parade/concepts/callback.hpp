// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <type_traits>

#include <parade/concepts/dataset.hpp>
#include <parade/core/report.hpp>

namespace parade {

/// What a hook may return: nothing, which means go on, or a Signal.
template <class T>
concept Answer = std::is_void_v<T> || std::same_as<T, Signal>;

template <class C>
concept HasOnEpoch = requires(C callback, const EpochReport& report) {
  { callback.on_epoch(report) } -> Answer;
};

template <class C>
concept HasOnStep = requires(C callback, const StepReport& report) {
  { callback.on_step(report) } -> Answer;
};

namespace detail {

template <class T>
concept DataReference = std::is_lvalue_reference_v<T> && HasSize<std::remove_cvref_t<T>>;

}  // namespace detail

/// A callback that brings data to be evaluated after every epoch: the result is in `EpochReport::validation` of every callback.
template <class C>
concept HasValidationData = requires(const C callback) {
  { callback.validation_data() } -> detail::DataReference;
};

/// A callback that scales the rate: every step is taken with the rate of the optimizer and its schedule times the factors of all callbacks.
template <class C>
concept HasRateFactor = requires(const C callback) {
  { callback.rate_factor() } -> std::convertible_to<double>;
};

/// A callback that asks for a Certificate in the summary: `certificate_step()` is the step size of its residual.
template <class C>
concept WantsCertificate = requires(const C callback) {
  { callback.certificate_step() } -> std::convertible_to<double>;
};

template <class C>
concept HasOnBegin = requires(C callback) {
  callback.on_begin();
};

template <class C>
concept HasOnEnd = requires(C callback) {
  callback.on_end();
};

namespace detail {

/// A member of one of these names means to be that hook: a wrong argument or answer is not passed over because another hook is right. (Of overloads and
/// templates of one name nothing is seen.)
template <class C, class Plain>
concept SoundHooks = (!requires { &Plain::on_epoch; } || HasOnEpoch<C>)&&(!requires { &Plain::on_step; } || HasOnStep<C>)&&(!requires {
  &Plain::validation_data;
} || HasValidationData<C>)&&(!requires { &Plain::rate_factor; } || HasRateFactor<C>)&&(!requires {
  &Plain::certificate_step;
} || WantsCertificate<C>)&&(!requires { &Plain::on_begin; } || HasOnBegin<C>)&&(!requires { &Plain::on_end; } || HasOnEnd<C>);

}  // namespace detail

/// Callback: sees a small report, and answers go on, remember or stop. It never reaches into the trainer, and costs nothing when there is
/// none.
///
/// Requirements for a type C: at least one of
///   1. `on_epoch(const EpochReport&)`, called after every epoch;
///   2. `on_step(const StepReport&)`, called after every update of θ, on the thread that called `fit`: keep it short. A worker that was overtaken
///      may still be in the model, the loss or the data set: a callback must not change what those read;
///   3. `validation_data()`, const, returning a data set (by reference) that is evaluated after every epoch;
///   4. `certificate_step()`: see WantsCertificate.
/// The hooks return void or Signal.
///
/// Not required: `on_begin()` and `on_end()`, called once before the first step and after the last, also when the run ends by an exception;
/// the last to begin ends first, and `on_end` must not throw. `rate_factor()`, const, is asked before every step, a number that is finite and at
/// least 0: see HasRateFactor. A callback with `static constexpr bool needs_validation = true` is refused where no other brings validation data.
/// See also: parade::ProgressBar, parade::Validate, parade::EarlyStopping, parade::ReduceOnPlateau, parade::Certify.
template <class C>
concept Callback = (HasOnEpoch<C> || HasOnStep<C> || HasValidationData<C> ||
                    WantsCertificate<C>)&&detail::SoundHooks<C, std::remove_cvref_t<C>>;

}  // namespace parade
