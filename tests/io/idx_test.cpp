// SPDX-License-Identifier: MIT
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <numeric>
#include <random>
#include <string>
#include <system_error>
#include <vector>

#include <parade/io/idx.hpp>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace idx_test {

namespace {

namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::Message;
using parade::DataError;
using parade::FileError;
using parade::IdxArray;
using parade::Index;
using parade::read_idx;
using parade::write_idx;
using Bytes = std::vector<std::uint8_t>;

class Folder : public TemporaryFolder {
 public:
  fs::path write(const std::string& name, const Bytes& bytes) const {
    std::ofstream out{path / name, std::ios::binary};
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    REQUIRE(out.flush());
    return path / name;
  }
  /// The file is refused with its name and this text behind it.
  void refuses(const Bytes& bytes, const std::string& why) const {
    const auto file = write("bad", bytes);
    CHECK_THROWS_MATCHES(read_idx(file), FileError, Message(file.string() + ": " + why));
  }
  std::size_t entries() const { return static_cast<std::size_t>(std::distance(fs::directory_iterator{path}, fs::directory_iterator{})); }
};

Bytes content(const fs::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// Values that do not pack well, so that a packed file has something to cut off.
IdxArray sample_array(const std::vector<Index>& shape) {
  IdxArray array{shape, {}};
  array.values.resize(static_cast<std::size_t>(std::accumulate(shape.begin(), shape.end(), Index{1}, std::multiplies<>{})));
  std::uint32_t state = 1;
  for (auto& value : array.values) value = static_cast<std::uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  return array;
}

/// The array {7, 9} as an IDX file, packed by gzip.
const Bytes packed_by_gzip{0x1F, 0x8B, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x63, 0x60, 0xE0, 0x60, 0x64,
                           0x60, 0x60, 0x60, 0x62, 0xE7, 0x04, 0x00, 0x7A, 0x82, 0x01, 0xA3, 0x0A, 0x00, 0x00, 0x00};

#if PARADE_HAS_ZLIB
/// Any bytes, packed by gzip.
Bytes packed(const Bytes& bytes) {
  const Folder folder;
  const auto file = folder.path / "packed";
  const gzFile out = gzopen(file.string().c_str(), "wb");
  REQUIRE(gzfwrite(bytes.data(), 1, bytes.size(), out) == bytes.size());
  REQUIRE(gzclose(out) == Z_OK);
  return content(file);
}
#endif

}  // namespace

TEST_CASE("an IDX file is a header, the highest byte of each number first, and the values") {
  const Folder folder;
  const auto file = folder.write("three", Bytes{0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3} + Bytes{1, 2, 3, 253, 254, 255});
  const auto array = read_idx(file);
  CHECK(array.shape == std::vector<Index>{2, 1, 3});
  CHECK(array.values == Bytes{1, 2, 3, 253, 254, 255});

  write_idx(folder.path / "written", array);
  CHECK(content(folder.path / "written") == content(file));

  write_idx(folder.path / "long", sample_array({66051}));  // 0x010203
  CHECK(read_idx(folder.path / "long").shape == std::vector<Index>{66051});
  const auto bytes = content(folder.path / "long");
  CHECK(Bytes(bytes.begin(), bytes.begin() + 8) == Bytes{0, 0, 8, 1, 0, 1, 2, 3});
}

TEST_CASE("what was written is read again: ranks 1 to 3, empty ones, small and large ones, plain and packed") {
  const Folder folder;
  std::vector<std::string> names{"a", "a.idx"};
  if (PARADE_HAS_ZLIB)
    names.push_back("a.gz");
  else
    WARN("built without zlib: packed files were not written and read");
  for (const auto& name : names)
    for (const std::vector<Index>& shape :
         {std::vector<Index>{0}, {1}, {17}, {3, 5}, {0, 28, 28}, {2, 3, 4}, {1 << 20}, {(1 << 20) + 1}, {3, 1000003}}) {
      CAPTURE(name, shape);
      const auto array = sample_array(shape);
      write_idx(folder.path / name, array);
      const auto read = read_idx(folder.path / name);
      CHECK(read.shape == array.shape);
      CHECK((read.values == array.values));
    }
  CHECK(folder.entries() == names.size());  // nothing else was left behind
}

TEST_CASE("whether a file is packed is told by its bytes, not by its name") {
  const Folder folder;
  CHECK(read_idx(folder.write("plain.gz", {0, 0, 8, 1, 0, 0, 0, 2, 7, 9})).values == Bytes{7, 9});
  const auto file = folder.write("packed.idx", packed_by_gzip);
  if (PARADE_HAS_ZLIB)
    CHECK(read_idx(file).values == Bytes{7, 9});
  else
    CHECK_THROWS_MATCHES(
        read_idx(file), FileError,
        Message(file.string() + ": is packed by gzip; unpack it with gunzip, or compile with -DPARADE_WITH_ZLIB and link with -lz"));
}

TEST_CASE("a file that is not there, or is a folder or a device, is refused") {
  const Folder folder;
  CHECK_THROWS_MATCHES(read_idx(folder.path / "missing"), FileError,
                       Message((folder.path / "missing").string() + ": cannot be opened: No such file or directory"));
  CHECK_THROWS_MATCHES(read_idx(folder.path), FileError, Message(folder.path.string() + ": is a directory, expected a file"));
  CHECK_THROWS_MATCHES(read_idx("/dev/null"), FileError, Message("/dev/null: is a device or pipe, expected a file"));
}

TEST_CASE("a header that is cut off is refused at every length") {
  const Folder folder;
  const Bytes header{0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3};
  for (std::size_t length = 0; length < header.size(); ++length) {
    const auto expected =
        length < 4 ? std::string{"an IDX header of 8 bytes or more"} : parade::detail::text("the size of dimension ", length / 4, " of 3");
    folder.refuses({header.begin(), header.begin() + static_cast<std::ptrdiff_t>(length)},
                   parade::detail::text("byte ", length, ": found the end of the file, expected ", expected));
  }
}

TEST_CASE("another magic number, type or rank is refused") {
  const Folder folder;
  folder.refuses({'P', 'K', 8, 1, 0, 0, 0, 0}, "byte 0: found 0x50 0x4B, expected 0x00 0x00, the start of an IDX file");
  folder.refuses({0, 1, 8, 1, 0, 0, 0, 0}, "byte 0: found 0x00 0x01, expected 0x00 0x00, the start of an IDX file");
  const auto refuses_type = [&](std::uint8_t type, const std::string& name) {
    folder.refuses({0, 0, type, 1, 0, 0, 0, 0}, "byte 2: found type " + name + ", expected type 0x08 (unsigned byte)");
  };
  refuses_type(0x09, "0x09 (signed byte)");
  refuses_type(0x0A, "0x0A (unknown)");
  refuses_type(0x0B, "0x0B (16-bit integer)");
  refuses_type(0x0C, "0x0C (32-bit integer)");
  refuses_type(0x0D, "0x0D (float)");
  refuses_type(0x0E, "0x0E (double)");
  refuses_type(0x0F, "0x0F (unknown)");
  refuses_type(0x07, "0x07 (unknown)");
  refuses_type(0xA7, "0xA7 (unknown)");
  folder.refuses({0, 0, 8, 0, 0, 0, 0, 0}, "byte 3: found rank 0, expected rank 1, 2 or 3");
  folder.refuses({0, 0, 8, 4, 0, 0, 0, 0}, "byte 3: found rank 4, expected rank 1, 2 or 3");
  folder.refuses({0, 0, 8, 255, 0, 0, 0, 0}, "byte 3: found rank 255, expected rank 1, 2 or 3");
}

TEST_CASE("too few and too many values are refused") {
  const Folder folder;
  const Bytes header{0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3};
  folder.refuses(header, "byte 12: found 0 bytes of data, expected 6 (2 x 3)");
  folder.refuses(header + Bytes(5, 1), "byte 12: found 5 bytes of data, expected 6 (2 x 3)");
  folder.refuses(header + Bytes(7, 1), "byte 12: found 7 bytes of data, expected 6 (2 x 3)");
  folder.refuses({0, 0, 8, 1, 0, 0, 0, 0, 1}, "byte 8: found 1 bytes of data, expected 0 (0)");
}

TEST_CASE("dimensions that no memory can hold are refused before any is taken") {
  const Folder folder;
  const Bytes most(4, 0xFF);
  folder.refuses(Bytes{0, 0, 8, 1} + most, "byte 8: found 0 bytes of data, expected 4294967295 (4294967295)");
  folder.refuses(Bytes{0, 0, 8, 2, 0x7F, 0xFF, 0xFF, 0xFF} + most,
                 "byte 12: found 0 bytes of data, expected 9223372030412324865 (2147483647 x 4294967295)");
  folder.refuses(Bytes{0, 0, 8, 2} + most + most,
                 "byte 8: found the dimensions 4294967295 x 4294967295, expected a product below 2^63, zeros aside");
  folder.refuses(Bytes{0, 0, 8, 3, 0x7F, 0xFF, 0xFF, 0xFF} + most + Bytes{0, 0, 0, 2},
                 "byte 12: found the dimensions 2147483647 x 4294967295 x 2, expected a product below 2^63, zeros aside");
  // No images, but each would have more pixels than Index can count.
  folder.refuses(Bytes{0, 0, 8, 3, 0, 0, 0, 0} + most + most,
                 "byte 12: found the dimensions 0 x 4294967295 x 4294967295, expected a product below 2^63, zeros aside");
}

#if PARADE_HAS_ZLIB
TEST_CASE("a packed file that is cut off anywhere is refused, never taken for a whole one") {
  const Folder folder;
  write_idx(folder.path / "whole.gz", sample_array({20, 30}));
  const auto whole = content(folder.path / "whole.gz");
  for (std::size_t length = 2; length < whole.size(); ++length) {
    const auto file = folder.write("cut.gz", {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)});
    CHECK_THROWS_MATCHES(read_idx(file), FileError,
                         Message(parade::detail::text(file.string(), ": byte ", length,
                                                      ": found the end of the file, expected a whole gzip file and nothing behind it")));
  }
}

TEST_CASE("a packed file with one bit turned over is refused, or reads the same where the bit says nothing about the data") {
  const Folder folder;
  const auto array = sample_array({10, 30});
  write_idx(folder.path / "whole.gz", array);
  const auto whole = content(folder.path / "whole.gz");
  std::size_t refused = 0;
  for (std::size_t i = 0; i < whole.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      auto bytes = whole;
      bytes[i] = static_cast<std::uint8_t>(bytes[i] ^ (1 << bit));
      const auto file = folder.write("bad.gz", bytes);
      try {
        const auto read = read_idx(file);
        CHECK((read.shape == array.shape && read.values == array.values));
      } catch (const FileError& error) {
        ++refused;
        CHECK_THAT(error.what(), ContainsSubstring(file.string()) && ContainsSubstring(": byte "));
      }
    }
  // Harmless are only the time and the like in gzip's header of 10 bytes, and what fills up a byte behind the kind of a deflate block.
  CHECK(refused >= 8 * (whole.size() - 11));
}

TEST_CASE("what stands behind a packed file is refused, and packed files one behind the other are one") {
  const Folder folder;
  write_idx(folder.path / "whole.gz", sample_array({5}));
  const auto whole = content(folder.path / "whole.gz");
  for (const Bytes& more : {Bytes{0}, Bytes{1, 2, 3}, Bytes{0x1F, 0x8B}, Bytes(70000, 0)}) {
    const auto file = folder.write("more.gz", whole + more);
    CHECK_THROWS_WITH(read_idx(file),
                      ContainsSubstring(file.string() + ": byte ") && ContainsSubstring("a whole gzip file and nothing behind it"));
  }
  const auto two = folder.write("two.gz", packed({0, 0, 8, 1, 0, 0, 0, 2, 7}) + packed({9}));
  CHECK(read_idx(two).values == Bytes{7, 9});
  folder.refuses(packed_by_gzip + packed_by_gzip, "byte 8: found more than 2 bytes of data, expected 2 (2)");
}

TEST_CASE("a packed file whose data do not fit its header is refused, without taking the memory that the header asks for") {
  const Folder folder;
  folder.refuses(packed({0, 0, 8, 1, 0, 0, 0, 3, 7, 9}), "byte 8: found 2 bytes of data, expected 3 (3)");
  folder.refuses(packed({0, 0, 8, 1, 0, 0, 0, 1, 7, 9}), "byte 8: found more than 1 bytes of data, expected 1 (1)");
  folder.refuses(packed({}), "byte 0: found the end of the file, expected an IDX header of 8 bytes or more");
  folder.refuses(packed({0, 0, 8, 1, 0, 0}), "byte 6: found the end of the file, expected the size of dimension 1 of 1");
  folder.refuses(packed({0, 0, 8, 2, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3}),
                 "byte 12: found 3 bytes of data, expected 9223372030412324865 (2147483647 x 4294967295)");
}
#endif

TEST_CASE("an array whose shape and values do not fit is not written") {
  const Folder folder;
  const auto file = folder.path / "none";
  CHECK_THROWS_MATCHES(write_idx(file, {{}, {1}}), DataError, Message("shape must have 1, 2 or 3 dimensions; got 0"));
  CHECK_THROWS_MATCHES(write_idx(file, {{1, 1, 1, 1}, {1}}), DataError, Message("shape must have 1, 2 or 3 dimensions; got 4"));
  CHECK_THROWS_MATCHES(write_idx(file, {{2, 3}, Bytes(5)}), DataError, Message("values must be as many as the shape tells, 2 x 3; got 5"));
  CHECK_THROWS_MATCHES(write_idx(file, {{-1, -5}, Bytes(5)}), DataError, Message("each dimension must be in [0, 2^32); got -1"));
  CHECK_THROWS_MATCHES(write_idx(file, {{Index{1} << 32, 0}, {}}), DataError,
                       Message("each dimension must be in [0, 2^32); got 4294967296"));
  CHECK(folder.entries() == 0);
}

TEST_CASE("a file that cannot be written leaves what was there, and nothing else") {
  const Folder folder;
  const auto file = folder.write("file", {1, 2, 3});
  CHECK_THROWS_WITH(write_idx(file / "below", {{1}, {1}}), ContainsSubstring((file / "below").string() + ": cannot be written: "));
  CHECK_THROWS_AS(write_idx(folder.path / "no" / "such.idx", {{1}, {1}}), FileError);
  CHECK_THROWS_AS(write_idx(folder.path / "no" / "such.gz", {{1}, {1}}), FileError);
  fs::create_directory(folder.path / "full");
  folder.write("full/x", {});
  CHECK_THROWS_AS(write_idx(folder.path / "full", {{1}, {1}}), FileError);  // a folder that is not empty takes no file's name
  CHECK(content(file) == Bytes{1, 2, 3});
  CHECK(folder.entries() == 2);
}

}  // namespace idx_test
