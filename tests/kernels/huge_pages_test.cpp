// SPDX-License-Identifier: MIT
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <numeric>
#include <utility>

#include <parade/kernels/huge_pages.hpp>

#include "support/catch.hpp"

namespace huge_pages_test {

using parade::kernels::HugePageAllocator;
using parade::kernels::HugePageVector;

TEST_CASE("a vector on large pages is a vector, below, at and above the size where they begin") {
  constexpr std::size_t begin = (1 << 20) / sizeof(std::int64_t);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, begin - 1, begin, begin + 1, 2 * begin, 5 * begin + 3}) {
    CAPTURE(size);
    HugePageVector<std::int64_t> values;
    values.resize(size);
    std::iota(values.begin(), values.end(), 1);
    values.push_back(-5);  // moves, for some sizes from small memory to large
    values.resize(size + 2, 7);
    CHECK(std::accumulate(values.begin(), values.end(), std::int64_t{0}) == static_cast<std::int64_t>(size * (size + 1) / 2) + 2);
    auto copy = values;
    CHECK(copy == values);
    const auto moved = std::move(copy);
    CHECK(moved == values);
    values.assign(3, 1);
    values.shrink_to_fit();
    CHECK(values == HugePageVector<std::int64_t>{1, 1, 1});
    if (size > begin && parade::detail::has_huge_pages) CHECK(reinterpret_cast<std::uintptr_t>(moved.data()) % (2 << 20) == 0);
  }
}

TEST_CASE("allocators are equal, and refuse more than there can be") {
  CHECK(HugePageAllocator<int>{} == HugePageAllocator<double>{});
  HugePageAllocator<double> allocator;
  CHECK_THROWS_AS(allocator.allocate(std::numeric_limits<std::size_t>::max() / 8), std::bad_alloc);
  CHECK_THROWS_AS(allocator.allocate(std::numeric_limits<std::size_t>::max()), std::bad_alloc);
}

}  // namespace huge_pages_test
