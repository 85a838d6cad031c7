// SPDX-License-Identifier: MIT
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <type_traits>

#include <parade/core/random.hpp>
#include <parade/io/number.hpp>

#include "support/catch.hpp"

namespace number_test {

namespace {

using parade::detail::append_number;
using parade::detail::parse_number;

template <class S>
S of_c_library(const std::string& text) {
  if constexpr (std::is_same_v<S, float>)
    return std::strtof(text.c_str(), nullptr);
  else
    return std::strtod(text.c_str(), nullptr);
}

template <class S>
bool same_bits(S a, S b) {
  using Bits = std::conditional_t<sizeof(S) == 4, std::uint32_t, std::uint64_t>;
  return std::bit_cast<Bits>(a) == std::bit_cast<Bits>(b);
}

/// The whole text is one number, with the bits that the C library finds (in the locale "C" that tests run in).
template <class S>
bool agrees(const std::string& text) {
  S value{};
  const char* const end = parse_number(text.c_str(), value);
  return end == text.c_str() + text.size() && same_bits(value, of_c_library<S>(text));
}

const parade::Random random_numbers{1, parade::Purpose::user};

}  // namespace

TEMPLATE_TEST_CASE("numbers of every spelling are those of the C library, to the last bit", "", float, double) {
  for (const char* text : {"0",
                           "-0",
                           "+0",
                           "1",
                           "+1",
                           "-1",
                           "007",
                           "1.",
                           ".5",
                           "-.5",
                           "1.5e3",
                           "1e+3",
                           "1E-3",
                           "0.1",
                           "0.3",
                           "0.708333",
                           "-0.320755",
                           "1e22",
                           "1e23",
                           "123456789012345678",
                           "9007199254740992",
                           "9007199254740993",
                           "9007199254740993.0",
                           "9007199254740994",
                           "18446744073709551615",
                           "18446744073709551616",
                           "99999999999999999999999999",
                           "0.000000000000000000000001",
                           "1e-22",
                           "1e-23",
                           "3.4028235e38",
                           "1.17549435e-38",
                           "1e-45",
                           "7e-46",
                           "7.0064923216240853546186479164495e-46",
                           "7.1e-46",
                           "4.9e-324",
                           "2.4703282292062327208e-324",
                           "2.4703282292062328e-324",
                           "2.2250738585072011e-308",
                           "1.7976931348623157e308",
                           "0.00000000000000000000000000000000000000000000000000001",
                           "0e999",
                           "0.0e-999999999999999999999",
                           "16777217",
                           "16777219",
                           "16777217.0000000000000001",
                           "16777216.9999999999",
                           "33554433e3",
                           "1.00000005960464477539062500",
                           "1.00000005960464477539062501",
                           "1.00000005960464477539062499",
                           "0.1e-5",
                           "000000000000000000000000000001"}) {
    CAPTURE(text);
    CHECK(agrees<TestType>(text));
  }
}

TEMPLATE_TEST_CASE("random numbers are those of the C library, to the last bit", "", float, double) {
  int bad = 0;
  for (std::uint64_t i = 0; i < 200000; ++i) {
    const std::uint64_t bits = random_numbers.bits(2 * i), more = random_numbers.bits(2 * i + 1);
    // Few digits or many, with or without a point and an exponent.
    std::string text = bits & 1 ? "-" : "";
    const std::uint64_t modulus[] = {100, 10000, 1000000, 100000000, 1000000000000, 10000000000000000, 0, 1u << 24};
    const std::uint64_t size = modulus[(bits >> 8) % 8];
    std::string digits = std::to_string(size == 0 ? more : more % size);
    if (bits & 2) digits.insert((bits >> 16) % (digits.size() + 1), ".");
    text += digits;
    if (bits & 4) text += "e" + std::to_string(static_cast<int>((bits >> 24) % (bits & 8 ? 100 : 640)) - (bits & 8 ? 50 : 320));
    if (!agrees<TestType>(text)) {
      if (++bad < 5) UNSCOPED_INFO("wrong: " << text);
    }
  }
  CHECK(bad == 0);
}

TEST_CASE("a float from digits that lie on or beside the middle between two floats is rounded once") {
  int bad = 0;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    const auto bits = static_cast<std::uint32_t>(random_numbers.bits(i));
    const auto low = std::bit_cast<float>((bits & 0x007FFFFF) | 0x3F000000 | (bits & 0x00800000) | (bits & 0x80000000));
    const auto high = std::nextafter(low, low > 0 ? 8.0f : -8.0f);
    const double middle = (static_cast<double>(low) + static_cast<double>(high)) / 2;  // exact
    char text[100];
    std::snprintf(text, sizeof text, "%.60f", middle);
    std::string exact = text;
    exact.erase(exact.find_last_not_of('0') + 1);
    for (const char* behind : {"", "0000000000000000000000000000000000001"}) bad += !agrees<float>(exact + behind);
    exact.back() = '4';  // was a 5
    bad += !agrees<float>(exact);
  }
  CHECK(bad == 0);

  // w · 10^-22 that lie so near to the middle M / 2^45 of two floats that the nearest double is this middle: w = (M · 5^22 − j) / 2^23 for small j.
  for (const char* text : {"6219955537289934e-22", "8604141328305559e-22", "5700973417788191e-22", "8085159208803816e-22",
                           "4976486422947346e-22", "7360672213962971e-22", "6944442532130779e-22"}) {
    CAPTURE(text);
    CHECK(agrees<float>(text));
  }
}

TEMPLATE_TEST_CASE("too large is infinite, too small is 0, each with its sign", "", float, double) {
  const auto parsed = [](const char* text) {
    TestType value{};
    CHECK(*parse_number(text, value) == '\0');
    return value;
  };
  constexpr auto infinity = std::numeric_limits<TestType>::infinity();
  CHECK(parsed("1e999") == infinity);
  CHECK(parsed("-1e999") == -infinity);
  CHECK(parsed("1e99999999999999999999999") == infinity);
  CHECK(parsed("0.0000001e999") == infinity);
  CHECK(parsed(std::string(400, '9').c_str()) == infinity);
  CHECK(same_bits(parsed("1e-999"), TestType{0}));
  CHECK(same_bits(parsed("-1e-999"), -TestType{0}));
  CHECK(same_bits(parsed("-1e-99999999999999999999999"), -TestType{0}));
  CHECK(same_bits(parsed("1000000e-999"), TestType{0}));
  CHECK(same_bits(parsed(("0." + std::string(400, '0') + "1").c_str()), TestType{0}));
  CHECK(parsed("1e39") == static_cast<TestType>(sizeof(TestType) == 4 ? infinity : 1e39));
  CHECK(parsed("inf") == infinity);
  CHECK(parsed("-Infinity") == -infinity);
  CHECK(std::isnan(parsed("nan")));
  CHECK(std::isnan(parsed("-NaN")));
}

TEST_CASE("what is no number is not read as one, and a number ends where it ends") {
  double value = 7;
  for (const char* text : {"", "-", "+", ".", "-.", "e5", ".e5", "x", "na", "in", "--1", "+-1", "\n", ":1"}) {
    CAPTURE(text);
    CHECK(parse_number(text, value) == nullptr);
  }
  CHECK(value == 7);
  const auto rest = [&](const char* text) { return std::string{parse_number(text, value)}; };
  CHECK(rest("1.5:2") == ":2");
  CHECK(value == 1.5);
  CHECK(rest("1e") == "e");
  CHECK(rest("1e+") == "e+");
  CHECK(rest("1e+x") == "e+x");
  CHECK(rest("1.2.3") == ".3");
  CHECK(rest("0x10") == "x10");
  CHECK(rest("1,5") == ",5");
  CHECK(rest("infin") == "in");
}

TEMPLATE_TEST_CASE("numbers are written with the fewest digits that are read as the same number", "", float, double) {
  std::string text;
  append_number(text, static_cast<TestType>(0.1));
  CHECK(text == "0.1");
  int bad = 0;
  for (std::uint64_t i = 0; i < 100000; ++i) {
    const std::uint64_t bits = random_numbers.bits(i);
    const auto number = sizeof(TestType) == 4 ? static_cast<TestType>(std::bit_cast<float>(static_cast<std::uint32_t>(bits)))
                                              : static_cast<TestType>(std::bit_cast<double>(bits));
    if (std::isnan(number)) continue;
    text.clear();
    append_number(text, number);
    TestType back{};
    const char* const end = parse_number(text.c_str(), back);
    bad += !(end == text.c_str() + text.size() && same_bits(back, number));
  }
  CHECK(bad == 0);
}

}  // namespace number_test
