// SPDX-License-Identifier: MIT
#include <array>
#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

#include <parade/core/random.hpp>

#include "support/catch.hpp"

using parade::philox, parade::Purpose, parade::Random;
using Words = std::array<std::uint32_t, 4>;

TEST_CASE("philox4x32-10 gives the known answers of its authors") {
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr std::uint32_t ones = 0xffffffff;
  CHECK(philox({ones, ones, ones, ones}, {ones, ones}) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  static_assert(philox({0, 0, 0, 0}, {0, 0})[0] == 0x6627e8d5);
}

TEST_CASE("a random number is a pure function of seed, purpose, stream and index, each of which matters") {
  const std::uint64_t high = std::uint64_t{1} << 32;
  const Random random(5, Purpose::shuffle, 7);
  CHECK(random.bits(9) == Random(5, Purpose::shuffle, 7).bits(9));
  const std::set<std::uint64_t> all{random.bits(9),
                                    random.bits(10),
                                    random.bits(9 + high),
                                    Random(6, Purpose::shuffle, 7).bits(9),
                                    Random(5 + high, Purpose::shuffle, 7).bits(9),
                                    Random(5, Purpose::split, 7).bits(9),
                                    Random(5, Purpose::shuffle, 8).bits(9)};
  CHECK(all.size() == 7);
  const auto words = philox({9, 0, 7, 1}, {5, 0});  // the counter is index, stream, purpose; the key is the seed
  CHECK(random.bits(9) == ((std::uint64_t{words[1]} << 32) | words[0]));
}

TEST_CASE("uniform numbers are at least 0 and below 1, have the mean and variance of a uniform one, and 53 bits") {
  const Random random(1, Purpose::user);
  constexpr int n = 100000;
  double sum = 0, squares = 0;
  bool inside = true, multiple = true;
  for (std::uint64_t i = 0; i < n; ++i) {
    const double u = random.uniform(i);
    inside &= u >= 0 && u < 1;
    multiple &= std::floor(u * 0x1.0p53) == u * 0x1.0p53;
    sum += u;
    squares += (u - 0.5) * (u - 0.5);
    inside &= random.uniform(i, -2, 3) >= -2 && random.uniform(i, -2, 3) <= 3;
  }
  CHECK(inside);
  CHECK(multiple);
  CHECK(std::abs(sum / n - 0.5) < 5 * std::sqrt(1.0 / 12 / n));  // 5 standard deviations
  CHECK(std::abs(squares / n - 1.0 / 12) < 5 * std::sqrt(1.0 / 180 / n));
}

TEST_CASE("whole numbers below a bound are below it, and all of them come up as often") {
  const Random random(2, Purpose::user);
  for (const std::uint64_t bound : {1u, 2u, 3u, 10u}) {
    constexpr int n = 20000;
    std::vector<int> count(bound);
    for (std::uint64_t i = 0; i < n; ++i) {
      const auto k = random.below(i, bound);
      REQUIRE(k < bound);
      ++count[k];
    }
    const double p = 1 / static_cast<double>(bound);
    for (const int c : count) CHECK(std::abs(c - n * p) <= 5 * std::sqrt(n * p * (1 - p)));
  }
  constexpr std::uint64_t large = 0xffffffff;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    // ⌊bits · bound / 2^64⌋ by a product of 128 bits.
    __extension__ using Wide = unsigned __int128;
    REQUIRE(random.below(i, large) == static_cast<std::uint64_t>((Wide{random.bits(i)} * large) >> 64));
  }
}
