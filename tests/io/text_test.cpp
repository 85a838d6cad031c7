// SPDX-License-Identifier: MIT
#include <atomic>
#include <cstddef>
#include <fstream>
#include <new>
#include <stdexcept>
#include <string>

#include <parade/io/text.hpp>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace text_test {

namespace {

using parade::Index;
using parade::detail::for_each_piece;
using parade::detail::TextSource;

/// Takes memory that is not there.
struct TooLarge {
  TooLarge() { throw std::bad_alloc{}; }
};

struct Count {
  int pieces = 0;
};

}  // namespace

TEST_CASE("each piece is worked on once, with the state of its thread") {
  for (const int threads : {1, 3}) {
    std::atomic<int> sum{0}, fresh{0};
    for_each_piece<Count>(100, threads, [&](Index i, Count& count) {
      sum += static_cast<int>(i);
      fresh += count.pieces++ == 0;
    });
    CAPTURE(threads);
    CHECK(sum == 4950);
    CHECK(fresh >= 1);
    CHECK(fresh <= threads);
  }
  for_each_piece<TooLarge>(0, 2, [](Index, TooLarge&) {});
}

TEST_CASE("what a piece throws is thrown on, of several the first, and also what its state throws") {
  for (const int threads : {1, 3}) {
    CAPTURE(threads);
    CHECK_THROWS_MATCHES(for_each_piece<Count>(20, threads,
                                               [](Index i, Count&) {
                                                 if (i >= 7) throw std::runtime_error(std::to_string(i));
                                               }),
                         std::runtime_error, Catch::Matchers::Message("7"));
    CHECK_THROWS_AS(for_each_piece<TooLarge>(5, threads, [](Index, TooLarge&) {}), std::bad_alloc);
  }
}

TEST_CASE("all of a text is what stands in the file, for sizes around those that are read at a time") {
  const TemporaryFolder folder;
  const auto file = folder.path / "text";
  for (const std::size_t size : {0u, 1u, 262143u, 262144u, 262145u, 700001u, 5000000u}) {
    std::string expected(size, 'x');
    for (std::size_t i = 0; i < size; i += 7) expected[i] = static_cast<char>(i % 251);
    if (size > 1) expected[0] = 'p';  // not gzip's first byte
    std::ofstream{file, std::ios::binary} << expected;
    CAPTURE(size);
    CHECK((TextSource{file}.all() == expected));
    CHECK((TextSource{expected, "memory"}.all() == expected));
  }
}

}  // namespace text_test
