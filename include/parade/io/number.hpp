// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <system_error>
#include <type_traits>

// Numbers in text: the same in every locale, rounded correctly.
namespace parade::detail {

inline bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }

/// Reads digits as they come: w ← 10·w + digit. More than 19 of them overflow, which the caller must find out by counting.
inline const char* parse_digits(const char* at, std::uint64_t& w) {
  for (; is_digit(*at); ++at) w = 10 * w + static_cast<std::uint64_t>(*at - '0');
  return at;
}

/// "nan", "inf" and "infinity" in any case; nullptr for anything else.
template <class Scalar>
const char* parse_not_finite(const char* at, Scalar& value) {
  const auto follows = [](const char* text, const char* word) {
    for (; *word; ++word, ++text)
      if ((*text | 32) != *word) return false;
    return true;
  };
  if (follows(at, "nan")) return value = std::numeric_limits<Scalar>::quiet_NaN(), at + 3;
  if (!follows(at, "inf")) return nullptr;
  value = std::numeric_limits<Scalar>::infinity();
  return follows(at + 3, "inity") ? at + 8 : at + 3;
}

/// The nearest Scalar to the digits in [begin, end), which hold at least one digit and no sign. Too large is infinity.
template <class Scalar>
Scalar parse_slowly(const char* begin, const char* end, std::int64_t exponent) {
  Scalar value{};
  const auto [stopped, error] = std::from_chars(begin, end, value);
  if (error == std::errc{} && stopped == end) return value;
  // Out of range. Which end of it, the first digit that is not 0 tells: it stands for digit · 10^power.
  std::int64_t power = exponent - 1;
  bool point = false;
  for (const char* at = begin; at < end && (*at | 32) != 'e'; ++at) {
    if (*at == '.') point = true;
    if (is_digit(*at) && !point) ++power;
  }
  point = false;
  for (const char* at = begin; at < end && (*at == '0' || *at == '.'); ++at)
    if (*at == '0') --power;
  return power < 0 ? Scalar{0} : std::numeric_limits<Scalar>::infinity();
}

/// Reads the decimal number at `at` and answers where it ends; nullptr if there is none. It must be followed by a character that belongs to no
/// number (a line end, a NUL).
///
///   [+|-] (digits [. digits] | . digits) [(e|E) [+|-] digits]  |  [+|-] (nan | inf | infinity)
///
/// The value is the Scalar nearest to what is written, of two equally near ones the even one; too large is ±∞, too small ±0.
///
/// Most numbers in data are w · 10^e with w ≤ 2^53 and |e| ≤ 22: both are exact in double, so that one multiplication or division rounds
/// once, and correctly (W. Clinger: "How to read floating point numbers accurately", 1990). A float gets that double rounded: a second
/// rounding, which goes wrong only if the first one ended in the middle between two floats. Those, and all other numbers, take the slow path.
template <class Scalar>
const char* parse_number(const char* at, Scalar& value) {
  static_assert(std::is_same_v<Scalar, float> || std::is_same_v<Scalar, double>);
  static constexpr double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                      1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  const bool negative = *at == '-';
  if (negative || *at == '+') ++at;

  const char* const begin = at;
  std::uint64_t w = 0;
  at = parse_digits(at, w);
  std::ptrdiff_t digits = at - begin;
  std::int64_t exponent = 0;
  if (*at == '.') {
    const char* const fraction = ++at;
    at = parse_digits(at, w);
    exponent = fraction - at;
    digits -= exponent;
  }
  if (digits == 0) {
    at = parse_not_finite(begin, value);
    if (at && negative) value = -value;
    return at;
  }
  std::int64_t written = 0;
  if ((*at | 32) == 'e') {
    const char* power = at + 1;
    const bool small = *power == '-';
    if (small || *power == '+') ++power;
    if (is_digit(*power)) {
      for (at = power; is_digit(*at); ++at)
        if (written < 1'000'000'000'000) written = 10 * written + (*at - '0');
      if (small) written = -written;
      exponent += written;
    }
  }

  Scalar result;
  bool known = digits <= 19 && w <= std::uint64_t{1} << 53 && exponent >= -22 && exponent <= 22;
  if (known) {
    const auto exact = static_cast<double>(w);
    const double rounded = exponent < 0 ? exact / powers[-exponent] : exact * powers[exponent];
    if constexpr (std::is_same_v<Scalar, float>) known = (std::bit_cast<std::uint64_t>(rounded) & 0x1FFFFFFF) != 0x10000000;
    result = static_cast<Scalar>(rounded);
  }
  if (!known) result = parse_slowly<Scalar>(begin, at, written);
  value = negative ? -result : result;
  return at;
}

/// Appends the shortest text that is read as this very number again: 0.1, 1e+30, nan.
template <class Number>
void append_number(std::string& out, Number number) {
  char digits[32];
  const auto result = std::to_chars(digits, digits + sizeof digits, number);
  out.append(digits, result.ptr);
}

}  // namespace parade::detail
