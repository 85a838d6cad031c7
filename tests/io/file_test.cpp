// SPDX-License-Identifier: MIT
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <vector>

#include <parade/core/config.hpp>
#include <parade/core/random.hpp>
#include <parade/io/file.hpp>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace file_test {

namespace {

namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::Message;
using parade::FileError;

void write(const fs::path& file, std::string_view bytes) {
  parade::detail::write_file(file, {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

std::string content(const fs::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

std::ptrdiff_t entries(const fs::path& folder) { return std::distance(fs::directory_iterator{folder}, {}); }

}  // namespace

TEST_CASE("a file is written where none was, and replaces the one that was") {
  const TemporaryFolder folder;
  write(folder.path / "file", "one");
  CHECK(content(folder.path / "file") == "one");
  write(folder.path / "file", "two");
  CHECK(content(folder.path / "file") == "two");
  CHECK(entries(folder.path) == 1);
}

TEST_CASE("a pipe or a folder is not replaced by a file") {
  const TemporaryFolder folder;
  const auto pipe = folder.path / "pipe", below = folder.path / "folder", link = folder.path / "link";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  fs::create_directory(below);
  fs::create_symlink("pipe", link);
  for (const auto& file : {pipe, link})
    CHECK_THROWS_MATCHES(write(file, "bytes"), FileError,
                         Message(file.string() + ": cannot be written: is a device or pipe, expected a file or nothing"));
  CHECK_THROWS_MATCHES(write(below, "bytes"), FileError,
                       Message(below.string() + ": cannot be written: is a directory, expected a file or nothing"));
  CHECK(fs::is_fifo(pipe));
  CHECK(fs::is_symlink(link));
  CHECK(entries(folder.path) == 3);
}

TEST_CASE("behind a symbolic link the file that it points to is written, and the link stays") {
  const TemporaryFolder folder;
  const auto below = folder.path / "below", link = folder.path / "link", far_link = below / "far", new_link = folder.path / "new";
  fs::create_directory(below);
  write(below / "file", "before");
  fs::create_symlink("below/file", link);
  fs::create_symlink("../link", far_link);  // a link to a link, from another folder
  fs::create_symlink(below / "fresh", new_link);

  write(link, "one");
  CHECK(content(below / "file") == "one");
  write(far_link, "two");
  CHECK(content(below / "file") == "two");
  write(new_link, "three");
  CHECK(content(below / "fresh") == "three");
  for (const auto& each : {link, far_link, new_link}) CHECK(fs::is_symlink(each));
  CHECK(fs::is_regular_file(fs::symlink_status(below / "file")));
  CHECK(entries(folder.path) == 3);
  CHECK(entries(below) == 3);

  fs::create_symlink("circle", folder.path / "circle");
  CHECK_THROWS_MATCHES(write(folder.path / "circle", "bytes"), FileError,
                       Message((folder.path / "circle").string() + ": cannot be written: Too many levels of symbolic links"));
}

#if PARADE_HAS_ZLIB
TEST_CASE("a packed file that is damaged is the same error, in chunks of every size, and is it again for whoever reads on") {
  const TemporaryFolder folder;
  const auto file = folder.path / "t.gz";
  const parade::Random random{3, parade::Purpose::user};
  std::string text;
  for (std::uint64_t i = 0; i < 60000; ++i)
    text += std::to_string(random.bits(i) % 100000) + (random.bits(i) % 7 ? " " : "the same again\n");
  write(file, text);
  const std::string whole = content(file);
  REQUIRE(whole.size() > 150000);

  // The error of reading in chunks, and that of reading on.
  const auto error = [&](std::size_t chunk) {
    std::string first, second;
    parade::detail::ByteReader in{file};
    std::vector<std::uint8_t> to(chunk);
    try {
      while (in.read(to) == chunk) {
      }
    } catch (const FileError& found) {
      first = found.what();
    }
    try {
      in.check_rest();
    } catch (const FileError& found) {
      second = found.what();
    }
    CHECK(second == first);
    return first;
  };
  const auto check = [&](const std::string& bytes) {
    std::ofstream{file, std::ios::binary} << bytes;
    const std::string expected = error(1 << 20);
    for (const std::size_t chunk :
         {std::size_t{1}, std::size_t{257}, std::size_t{1000}, (std::size_t{1} << 16) - 1, std::size_t{1} << 16, text.size()})
      CHECK(error(chunk) == expected);
    return expected;
  };
  CHECK(check(whole).empty());
  CHECK(check(whole + whole).empty());
  for (const std::string& more : {std::string(1, '\0'), std::string("behind the end"), std::string(100, 'x'), std::string(200000, '\0'),
                                  std::string("\x1F"), std::string("\x1F\x8B\x08"), std::string("\x1F\x8B behind the end")}) {
    CAPTURE(more.substr(0, 20));
    CHECK_THAT(check(whole + more), ContainsSubstring("expected a whole gzip file and nothing behind it"));
  }
  int refused = 0;
  for (std::uint64_t i = 0; i < 40; ++i) {
    const auto at = static_cast<std::size_t>(10 + random.bits(100000 + i) % (whole.size() - 10));
    CAPTURE(at);
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 4);
    refused += !check(bytes).empty();
    refused += !check(whole.substr(0, at)).empty();
  }
  CHECK(refused == 80);
}
#endif

}  // namespace file_test
