// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <string>

#include <parade/core/error.hpp>

namespace parade::detail {

/// Throws OptionError, "Adam.beta1 must be in [0, 1); got 1", unless the rule holds.
template <class Value>
void check_option(bool holds, const char* field, const char* rule, const Value& value) {
  if (!holds) throw OptionError(text(field, " must be ", rule, "; got ", value));
}

// The rules that many options share. NaN breaks each of them.
inline void check_not_negative(const char* field, double x) { check_option(x >= 0 && std::isfinite(x), field, "finite and at least 0", x); }
inline void check_positive(const char* field, double x) { check_option(x > 0 && std::isfinite(x), field, "finite and above 0", x); }
/// What stands in a denominator against 0 must not become 0 in float.
inline void check_epsilon(const char* field, double x) {
  check_option(x > 0 && std::isfinite(x), field, "finite and above 0", x);
  check_option(x >= 0x1p-126, field, "at least 2^-126, lest it become 0 in float", x);
}
inline void check_below_one(const char* field, double x) { check_option(x >= 0 && x < 1, field, "in [0, 1)", x); }
/// What Adam and its kin share.
inline void check_adam(const std::string& name, double rate, double beta1, double beta2, double epsilon) {
  check_not_negative((name + ".rate").c_str(), rate);
  check_below_one((name + ".beta1").c_str(), beta1);
  check_below_one((name + ".beta2").c_str(), beta2);
  check_epsilon((name + ".epsilon").c_str(), epsilon);
}
inline void check_share(const char* field, double x) { check_option(x >= 0 && x <= 1, field, "in [0, 1]", x); }

}  // namespace parade::detail
