// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <parade/core/config.hpp>
#include <parade/data/cache.hpp>
#include <parade/data/make_cache.hpp>
#include <parade/io/idx.hpp>
#include <parade/io/npy.hpp>
#include <parade/prepare/impute.hpp>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"
#include "support/training.hpp"

namespace make_cache_test {

namespace {

using namespace parade;
using Catch::Matchers::ContainsSubstring;

std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}
void cut(const std::filesystem::path& file) { std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1); }

}  // namespace

TEMPLATE_TEST_CASE("a cache made from NPY files is byte for byte that of the data in memory", "", float, double, std::uint8_t) {
  const TemporaryFolder folder;
  const auto features = folder.path / "x.npy", labels = folder.path / "y.npy", targets = folder.path / "t.npy";
  const auto made = folder.path / "made.cache", written = folder.path / "written.cache";
  const Index n = GENERATE(0, 1, 7, 8, 5000), d = 40;  // 3276 rows are in memory at a time
  Matrix<TestType> x(d, n);
  Vector<Label> y(n);
  for (Index j = 0; j < n; ++j) {
    y[j] = static_cast<Label>(j * 7 % 5 - 1);
    for (Index i = 0; i < d; ++i) x(i, j) = static_cast<TestType>((i * 31 + j * 17) % 251);
  }
  const Matrix<double> t = training::random_matrix<double>(2, n, 3);
  write_npy(features, x);
  write_npy(labels, y);
  write_npy(targets, t);
  const CacheOptions options{.rows_per_block = GENERATE(0, 7)};

  CHECK(make_cache<TestType>(NpyFiles{.features = features, .labels = labels, .targets = targets}, made, options) == n);
  write_cache(written, DenseData<TestType>{x}.with_labels(y).with_targets(t), options);
  CHECK(bytes_of(made) == bytes_of(written));

  make_cache<TestType>(NpyFiles{.features = features}, made, options);
  write_cache(written, DenseData<TestType>{x}, options);
  CHECK(bytes_of(made) == bytes_of(written));
}

TEST_CASE("what cannot become a cache of NPY files is an error that names the file, and what was there stays") {
  const TemporaryFolder folder;
  const auto features = folder.path / "x.npy", labels = folder.path / "y.npy", targets = folder.path / "t.npy", file = folder.path / "c";
  Matrix<double> x = training::random_matrix<double>(3, 10, 1);
  write_npy(features, x);
  make_cache<double>(NpyFiles{features}, file);
  const std::string before = bytes_of(file);

  write_npy(labels, Vector<Label>{Vector<Label>::Zero(9)});
  CHECK_THROWS_WITH(make_cache<double>(NpyFiles{features, labels}, file),
                    ContainsSubstring("y.npy: found 9 rows, expected 10, one for each of ") && ContainsSubstring("x.npy"));
  write_npy(labels, Matrix<double>{Matrix<double>::Zero(2, 10)});
  CHECK_THROWS_WITH(make_cache<double>(NpyFiles{features, labels}, file), ContainsSubstring("expected one value a row"));
  write_npy(labels, Vector<double>{Vector<double>::Constant(10, 0.5)});
  CHECK_THROWS_AS(make_cache<double>(NpyFiles{features, labels}, file), FileError);
  write_npy(targets, Matrix<double>{Matrix<double>::Zero(2, 11)});
  CHECK_THROWS_WITH(make_cache<double>(NpyFiles{.features = features, .targets = targets}, file),
                    ContainsSubstring("t.npy: found 11 rows, expected 10"));
  CHECK_THROWS_AS(make_cache<double>(NpyFiles{folder.path / "none.npy"}, file), FileError);
  CHECK_THROWS_AS(make_cache<std::uint8_t>(NpyFiles{features}, file), FileError);

  Matrix<double> large = Matrix<double>::Zero(3, 50000);  // 43690 rows are in memory at a time
  large(2, 49000) = std::numeric_limits<double>::infinity();
  write_npy(features, large);
  CHECK_THROWS_WITH(make_cache<double>(NpyFiles{features}, file), "features must be finite; got inf in row 2 of sample 49000");
  write_npy(features, x);
  cut(features);
  CHECK_THROWS_AS(make_cache<double>(NpyFiles{features}, file), FileError);
  write_npy(features, x);
  std::string fortran = bytes_of(features);
  const auto at = fortran.find("False");
  REQUIRE(at != std::string::npos);
  fortran.replace(at, 5, "True ");
  std::ofstream{features, std::ios::binary} << fortran;
  CHECK_THROWS_WITH(make_cache<double>(NpyFiles{features}, file),
                    ContainsSubstring("Fortran order") && ContainsSubstring("ascontiguousarray"));

  std::string lie = "\x93NUMPY";
  lie += std::string{"\x01\x00", 2} + std::string{"\x76\x00", 2} +
         "{'descr': '|u1', 'fortran_order': False, 'shape': (0, 4611686018427387904)}";
  lie.resize(127, ' ');
  std::ofstream{features, std::ios::binary} << lie << '\n';
  CHECK_THROWS_WITH(make_cache<double>(NpyFiles{features}, file),
                    ContainsSubstring("rows of at most 2^27 values; got 4611686018427387904"));

  CHECK(bytes_of(file) == before);
  using Entries = std::filesystem::directory_iterator;
  CHECK(std::distance(Entries{folder.path}, Entries{}) == 4);  // nothing is left of what was begun
}

TEST_CASE("a cache made from an NPZ file is byte for byte that of the data in memory") {
  const TemporaryFolder folder;
  const auto file = folder.path / "data.npz", made = folder.path / "made.cache", written = folder.path / "written.cache";
  const Index n = GENERATE(0, 1, 5000), d = 40;
  const Matrix<float> x = training::random_matrix<float>(d, n, 1);
  const Matrix<double> t = training::random_matrix<double>(2, n, 3);
  Vector<Label> y(n);
  for (Index j = 0; j < n; ++j) y[j] = static_cast<Label>(j % 5);
  write_npz(file, {{"t", t}, {"x", x}, {"y", y}});
  CHECK(make_cache<double>(NpzArrays{.file = file, .features = "x", .labels = "y", .targets = "t"}, made) == n);
  write_cache(written, DenseData<double>{x.cast<double>()}.with_labels(y).with_targets(t));
  CHECK((bytes_of(made) == bytes_of(written)));
  CHECK(make_cache<float>(NpzArrays{.file = file, .features = "x"}, made) == n);
  write_cache(written, DenseData<float>{x});
  CHECK((bytes_of(made) == bytes_of(written)));

  const std::string before = bytes_of(made);
  CHECK_THROWS_WITH(make_cache<float>(NpzArrays{.file = file, .features = "z"}, made),
                    ContainsSubstring("has no array 'z'; it has t, x, y"));
  CHECK_THROWS_WITH(make_cache<float>(NpzArrays{.file = file, .features = "x", .labels = "t"}, made),
                    ContainsSubstring("data.npz, array t: byte 0: found an array of " + std::to_string(n) + " rows of 2 values"));
  write_npz(file, {{"x", x}, {"y", Vector<Label>{Vector<Label>::Zero(n + 1)}}});
  CHECK_THROWS_WITH(make_cache<float>(NpzArrays{.file = file, .features = "x", .labels = "y"}, made),
                    ContainsSubstring("data.npz, array y: found " + std::to_string(n + 1) + " rows, expected " + std::to_string(n)));
  if (n > 0) {
    std::string damaged = bytes_of(file);
    damaged[200] ^= 1;  // in the first value
    std::ofstream{file, std::ios::binary} << damaged;
    CHECK_THROWS_WITH(make_cache<float>(NpzArrays{.file = file, .features = "x", .not_finite = NotFinite::keep}, made),
                      ContainsSubstring("data.npz: byte 35: found damage in 'x', expected its CRC-32"));
  }
  CHECK((bytes_of(made) == before));
}

#if PARADE_HAS_ZLIB
TEST_CASE("a cache made from a deflated NPZ file is that of the array, and damage is found") {
  const TemporaryFolder folder;
  const auto stored = folder.path / "stored.npz", file = folder.path / "data.npz", made = folder.path / "made.cache",
             written = folder.path / "written.cache";
  Matrix<float> x = training::random_matrix<float>(40, 5000, 1);
  for (Index j = 0; j < x.size(); ++j) x.data()[j] = std::trunc(8 * x.data()[j]);
  write_npz(stored, {{"x", x}});
  // The same with the array deflated: gzip's stream without its header and trailer.
  const std::string plain = bytes_of(stored),
                    array = plain.substr(35, detail::little_endian<4>(reinterpret_cast<const std::uint8_t*>(&plain[18])));
  detail::write_file(folder.path / "x.gz", {reinterpret_cast<const std::uint8_t*>(array.data()), array.size()});
  std::string packed = bytes_of(folder.path / "x.gz");
  packed = packed.substr(10, packed.size() - 18);
  REQUIRE(packed.size() > 1 << 17);  // several buffers
  const auto number = [](std::size_t value) {
    std::string bytes;
    for (int i = 0; i < 4; ++i) bytes += static_cast<char>(value >> (8 * i) & 255);
    return bytes;
  };
  std::string head = plain.substr(0, 35), directory = plain.substr(35 + array.size());
  head[8] = directory[10] = 8;
  head.replace(18, 4, number(packed.size()));
  directory.replace(20, 4, number(packed.size()));
  directory.replace(directory.size() - 6, 4, number(35 + packed.size()));
  const auto with = [&](const std::string& bytes) { std::ofstream{file, std::ios::binary} << head << bytes << directory; };

  with(packed);
  CHECK(make_cache<float>(NpzArrays{.file = file, .features = "x"}, made) == 5000);
  write_cache(written, DenseData<float>{x});
  CHECK((bytes_of(made) == bytes_of(written)));
  CHECK(NpzFile{file}.read<float>("x") == x);

  const std::string before = bytes_of(made);
  for (const std::size_t at : {std::size_t{1}, packed.size() / 2}) {
    CAPTURE(at);
    std::string damaged = packed;
    damaged[at] ^= 64;
    with(damaged);
    CHECK_THROWS_AS(make_cache<float>(NpzArrays{.file = file, .features = "x", .not_finite = NotFinite::keep}, made), FileError);
  }
  directory.replace(24, 4, number(array.size() - 4));  // the header of the array says otherwise
  with(packed);
  CHECK_THROWS_AS(make_cache<float>(NpzArrays{.file = file, .features = "x"}, made), FileError);
  CHECK((bytes_of(made) == before));
}
#endif

TEST_CASE("NaN that is to be filled in is kept in a cache, if the user says so") {
  const TemporaryFolder folder;
  const auto features = folder.path / "x.npy", targets = folder.path / "t.npy", made = folder.path / "made.cache",
             written = folder.path / "written.cache";
  Matrix<float> x = training::random_matrix<float>(3, 50000, 1);  // 21845 rows are in memory at a time
  x(0, 0) = x(1, 30000) = std::numeric_limits<float>::quiet_NaN();
  x(2, 49999) = std::numeric_limits<float>::infinity();
  write_npy(features, x);
  CHECK_THROWS_WITH(make_cache<float>(NpyFiles{features}, made), "features must be finite; got nan in row 0 of sample 0");
  CHECK(make_cache<float>(NpyFiles{.features = features, .not_finite = NotFinite::keep}, made) == 50000);
  write_cache(written, DenseData<float>{x, NotFinite::keep});
  CHECK((bytes_of(made) == bytes_of(written)));

  CHECK_THROWS_WITH(read_cache<DenseData<float>>(made), "features must be finite; got nan in row 0 of sample 0");
  const auto data = read_cache<DenseData<float>>(made, 0, NotFinite::keep);
  Impute fill;
  CHECK(std::isinf(data.values()(2, 49999)));
  CHECK_THROWS_AS(fill.fit(data), DataError);  // it fills in NaN and nothing else
  x(2, 49999) = 1;
  write_npy(features, x);
  make_cache<float>(NpyFiles{.features = features, .not_finite = NotFinite::keep}, made);
  CHECK(fill.fit(read_cache<DenseData<float>>(made, 0, NotFinite::keep)).fill == Impute{}.fit(DenseData<float>{x, NotFinite::keep}).fill);

  write_npy(targets, Matrix<double>{Matrix<double>::Constant(1, 50000, std::numeric_limits<double>::quiet_NaN())});
  CHECK_THROWS_WITH(make_cache<float>(NpyFiles{.features = features, .targets = targets, .not_finite = NotFinite::keep}, made),
                    ContainsSubstring("targets must be finite; got nan in row 0 of sample 0"));
}

TEST_CASE("a cache does not take the place of what it is made of, and names must not be empty") {
  const TemporaryFolder folder;
  std::ofstream(folder.path / "x.npy") << "anything";
  const auto file = folder.path / "x.npy";
  const auto own_name = ContainsSubstring("the cache must have a name of its own");
  CHECK_THROWS_WITH(parade::make_cache<float>(parade::NpyFiles{file}, file), own_name);
  CHECK_THROWS_WITH(parade::make_cache<float>(parade::NpyFiles{.features = folder.path / "y.npy", .labels = file}, file), own_name);
  CHECK_THROWS_WITH(parade::make_cache<float>(parade::NpzArrays{.file = file, .features = "x"}, file), own_name);
  CHECK_THROWS_WITH(parade::make_cache(parade::IdxFiles{file}, file), own_name);
  CHECK_THROWS_WITH(parade::make_cache<float>(file, file), own_name);
  CHECK_THROWS_WITH(parade::make_cache<parade::SparseRows<float>>(parade::CsvFile{file, {}, {}}, file), own_name);
  CHECK_THROWS_WITH(parade::make_cache<float>(parade::NpyFiles{}, file), "NpyFiles.features must name a file; got an empty name");
  CHECK_THROWS_WITH(parade::make_cache<float>(parade::NpzArrays{.file = file, .features = ""}, file),
                    "NpzArrays.features must name an array; got an empty name");
  CHECK(std::filesystem::file_size(file) == 8);
}

TEST_CASE("no cache is written that could not be read again") {
  const TemporaryFolder folder;
  const auto data = DenseData<std::uint8_t>::view(nullptr, (Index{1} << 40) + 1, 0);
  CHECK_THROWS_WITH(write_cache(folder.path / "c", data), "a cache of dense data holds at most 2^40 features; got 1099511627777");
}

TEST_CASE("a cache made from IDX files is byte for byte that of the data in memory, packed files too") {
  const TemporaryFolder folder;
  const std::string packed = PARADE_HAS_ZLIB ? GENERATE("", ".gz") : "";
  const auto images = folder.path / ("images" + packed), labels = folder.path / ("labels" + packed);
  const auto made = folder.path / "made.cache", written = folder.path / "written.cache";
  const Index n = GENERATE(0, 1, 6000);  // 5349 images are in memory at a time
  IdxArray x{{n, 14, 14}, std::vector<std::uint8_t>(static_cast<std::size_t>(n * 14 * 14))}, y{{n}, {}};
  for (std::size_t i = 0; i < x.values.size(); ++i) x.values[i] = static_cast<std::uint8_t>(i * 37 % 253);
  for (Index j = 0; j < n; ++j) y.values.push_back(static_cast<std::uint8_t>(j % 26));
  write_idx(images, x);
  write_idx(labels, y);

  CHECK(make_cache(IdxFiles{images, labels}, made) == n);
  const DenseData<std::uint8_t> data{x.values, 14 * 14};
  write_cache(written, data.with_labels(Eigen::Map<const Vector<std::uint8_t>>{y.values.data(), n}.cast<Label>()));
  CHECK(bytes_of(made) == bytes_of(written));
  make_cache(IdxFiles{images}, made);
  write_cache(written, data);
  CHECK(bytes_of(made) == bytes_of(written));

  const std::string before = bytes_of(made);
  write_idx(labels, IdxArray{{n + 1}, std::vector<std::uint8_t>(static_cast<std::size_t>(n) + 1)});
  CHECK_THROWS_WITH(make_cache(IdxFiles{images, labels}, made), ContainsSubstring("labels" + packed + ": found "));
  CHECK_THROWS_WITH(make_cache(IdxFiles{images, images}, made), ContainsSubstring("rank 3"));
  if (n > 0) {
    cut(images);
    CHECK_THROWS_AS(make_cache(IdxFiles{images}, made), FileError);
  }
  CHECK(bytes_of(made) == before);
}

}  // namespace make_cache_test
