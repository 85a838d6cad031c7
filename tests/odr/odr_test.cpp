// SPDX-License-Identifier: MIT
// Three translation units of one program include parade: a function that lacks `inline` would not link.
#include "support/catch.hpp"
#include "units.hpp"

TEST_CASE("translation units that include parade link together and share its functions") {
  const auto plain = plain_unit(), eigen_first = eigen_first_unit();
  CHECK(plain.philox == eigen_first.philox);
  CHECK(plain.bits == eigen_first.bits);
}
