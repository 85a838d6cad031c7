// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>
#include <numbers>

#include <parade/core/cos_pi.hpp>

#include "support/catch.hpp"

using parade::detail::cos_pi;

TEST_CASE("the cosine of a multiple of pi is that of std::cos in a longer type, and exact where it is rational") {
  CHECK(cos_pi(0) == 1);
  CHECK(cos_pi(0.5) == 0);
  CHECK(cos_pi(1) == -1);
  constexpr int n = 20011;
  for (int i = 0; i <= n; ++i) {
    const double x = static_cast<double>(i) / n, got = cos_pi(x);
    const long double y =
        x > 0.25 && x < 0.75 ? std::sin(std::numbers::pi_v<long double> * (0.5L - x)) : std::cos(std::numbers::pi_v<long double> * x);
    CAPTURE(x);
    REQUIRE(std::abs(got - y) <= std::numeric_limits<double>::epsilon() * std::abs(y));  // 1 ulp is between ½ and 1 of these
    REQUIRE(cos_pi(1 - x) == -cos_pi(1 - (1 - x)));
  }
}
