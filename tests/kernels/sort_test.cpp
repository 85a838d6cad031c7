// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <parade/core/random.hpp>
#include <parade/kernels/sort.hpp>

#include "support/catch.hpp"

namespace {

using parade::Index, parade::kernels::falling_key, parade::kernels::from_falling_key, parade::kernels::Ranked;

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Numbers of a kind: all different, few, nearly the same, of all sizes, all the same, already sorted, floats.
double number(int kind, Index i, Index size) {
  const parade::Random random{1, parade::Purpose::user, static_cast<std::uint64_t>(kind)};
  const double x = random.uniform(static_cast<std::uint64_t>(i), -1, 1);
  if (kind == 0) return x;
  if (kind == 1) return std::round(3 * x) / 3;
  if (kind == 2) return 1 + x * 1e-12;  // the upper 36 bits are one of two
  if (kind == 3) return std::copysign(std::ldexp(x, static_cast<int>(2000 * x)), x * 7 - std::floor(x * 7) - 0.5);
  if (kind == 4) return 5;
  if (kind == 5) return static_cast<double>(i - size / 2);
  return static_cast<double>(static_cast<float>(x));
}
constexpr int kinds = 7;

}  // namespace

TEST_CASE("keys fall as numbers rise, and say the number", "[kernels]") {
  const std::vector<double> rising{-infinity, -1e300, -1, -1e-310, 0, 5e-324, 0.5, std::nextafter(0.5, 1), 1e300, infinity};
  for (std::size_t i = 0; i < rising.size(); ++i) {
    CHECK(from_falling_key(falling_key(rising[i])) == rising[i]);
    if (i > 0) CHECK(falling_key(rising[i]) < falling_key(rising[i - 1]));
  }
  CHECK(falling_key(-0.0) == falling_key(0.0));
}

TEST_CASE("a parallel sort is the stable one on any number of threads", "[kernels]") {
  for (const Index size : {0, 1, 2, 1023, 1024, 1025, 1500, 20011})
    for (int kind = 0; kind < kinds; ++kind) {
      std::vector<Ranked> items;
      for (Index i = 0; i < size; ++i) items.push_back({falling_key(number(kind, i, size)), 3 * i});
      auto expected = items;
      std::stable_sort(expected.begin(), expected.end(), [](const Ranked& a, const Ranked& b) { return a.key < b.key; });
      for (int threads = 1; threads <= 8; ++threads) {
        CAPTURE(size, kind, threads);
        auto sorted = items;
        std::vector<Ranked> room;
        parade::kernels::sort(sorted, room, threads);
        CHECK(std::equal(sorted.begin(), sorted.end(), expected.begin(), expected.end(),
                         [](const Ranked& a, const Ranked& b) { return a.key == b.key && a.at == b.at; }));
      }
    }
}
