// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstdint>
#include <limits>

#include <parade/core/power.hpp>

#include "support/catch.hpp"

using parade::detail::power;

TEST_CASE("a power by repeated squaring is that of std::pow up to its rounding", "[power]") {
  STATIC_REQUIRE(power(0.9, 0) == 1);
  STATIC_REQUIRE(power(0.0, 0) == 1);
  STATIC_REQUIRE(power(0.0, 5) == 0);
  STATIC_REQUIRE(power(2.0, 10) == 1024);
  STATIC_REQUIRE(power(0.5, 52) == 0x1p-52);
  for (const double base : {0.1, 0.8, 0.9, 0.999, 1.0, 1.001})
    for (std::int64_t n = 1; n < 2000; n += n < 70 ? 1 : 37) {
      const double expected = std::pow(base, static_cast<double>(n));
      INFO(base << "^" << n);
      CHECK(std::abs(power(base, n) - expected) <=
            static_cast<double>(n + 1) * std::numeric_limits<double>::epsilon() / 2 * expected + std::numeric_limits<double>::min());
    }
}

TEST_CASE("a power of a number below 1 ends at 0, whatever the exponent", "[power]") {
  CHECK(power(0.999, std::numeric_limits<std::int64_t>::max()) == 0);
  CHECK(power(1.0, std::numeric_limits<std::int64_t>::max()) == 1);
}
