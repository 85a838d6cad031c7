// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <parade/core/hash.hpp>
#include <parade/core/random.hpp>
#include <parade/data/cache.hpp>
#include <parade/data/cached.hpp>
#include <parade/data/make_cache.hpp>
#include <parade/io/cache.hpp>

#include "support/catch.hpp"
#include "support/gzip.hpp"
#include "support/sparse.hpp"
#include "support/temporary_folder.hpp"
#include "support/training.hpp"

namespace cache_test {

namespace {

using namespace parade;

std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}
void write_bytes(const std::filesystem::path& file, const std::string& bytes) { std::ofstream{file, std::ios::binary} << bytes; }

template <class S>
void check_same(const SparseRows<S>& a, const SparseRows<S>& b) {
  CHECK(a.offsets() == b.offsets());
  CHECK(a.indices() == b.indices());
  CHECK(a.values() == b.values());
  CHECK(a.num_features() == b.num_features());
  REQUIRE(a.has_labels() == b.has_labels());
  REQUIRE(a.has_weights() == b.has_weights());
  REQUIRE(a.num_targets() == b.num_targets());
  if (a.has_labels()) CHECK(a.labels() == b.labels());
  if (a.has_weights()) CHECK(a.weights() == b.weights());
  if (a.num_targets() > 0) CHECK(a.targets() == b.targets());
  REQUIRE(a.has_queries() == b.has_queries());
  if (a.has_queries()) CHECK(a.queries() == b.queries());
  REQUIRE(a.has_label_sets() == b.has_label_sets());
  for (Index i = 0; a.has_label_sets() && i < a.size(); ++i) CHECK(std::ranges::equal(a.label_set(i), b.label_set(i)));
}

/// Rows with label sets: of none to three labels in [0, k), the last of which row 2 has.
template <class S>
SparseRows<S> multilabel_rows(Index n, Index k) {
  const auto rows = sparse::random_rows<S>(30, n);
  Vector<std::int64_t> ends(n + 1);
  std::vector<Label> ids;
  ends[0] = 0;
  for (Index i = 0; i < n; ++i) {
    std::vector<Label> set;
    for (Index j = 0; j < i % 4; ++j) set.push_back(static_cast<Label>((7 * i + 5 * j * j) % k));
    if (i == 2) set.push_back(static_cast<Label>(k - 1));
    std::ranges::sort(set);
    set.erase(std::unique(set.begin(), set.end()), set.end());
    ids.insert(ids.end(), set.begin(), set.end());
    ends[i + 1] = static_cast<std::int64_t>(ids.size());
  }
  return SparseRows<S>(rows.offsets(), rows.indices(), rows.values(), 30)
      .with_label_sets(ends, Vector<Label>::Map(ids.data(), static_cast<Index>(ids.size())));
}

template <class T>
void check_same(const DenseData<T>& a, const DenseData<T>& b) {
  CHECK(a.values() == b.values());
  CHECK(a.scale() == b.scale());
  CHECK(a.offset() == b.offset());
  REQUIRE(a.has_labels() == b.has_labels());
  REQUIRE(a.has_weights() == b.has_weights());
  REQUIRE(a.num_targets() == b.num_targets());
  if (a.has_labels()) CHECK(a.labels() == b.labels());
  if (a.has_weights()) CHECK(a.weights() == b.weights());
  if (a.num_targets() > 0) CHECK(a.targets() == b.targets());
}

Vector<std::int64_t> queries_of(Index n) {
  Vector<std::int64_t> queries(n);
  for (Index i = 0; i < n; ++i) queries[i] = i == 1 ? std::numeric_limits<std::int64_t>::min() : 999'999'999'999'999'999 - i / 4;
  return queries;
}

Vector<double> weights_of(Index n) {
  Vector<double> weights(n);
  for (Index i = 0; i < n; ++i) weights[i] = i % 3 == 1 ? 0 : 0.5 + static_cast<double>(i);
  return weights;
}

/// Reads it in both ways: all at once and window by window, to the end.
template <class D, class C>
std::string error_of(const std::filesystem::path& file) {
  std::string message;
  const auto attempt = [&](const auto& read) {
    try {
      read();
    } catch (const FileError& error) {
      message = error.what();
    } catch (const DataError& error) {
      message = error.what();
    } catch (const OptionError& error) {
      message = error.what();
    }
  };
  attempt([&] { read_cache<D>(file, 1); });
  attempt([&] {
    const C cached{file, {.window_blocks = 1}};
    if (cached.size() == 0) return;
    const auto stream = cached.open({.batch_size = 3});
    while (!stream->next().ends_epoch()) {
    }
  });
  return message;
}

}  // namespace

TEST_CASE("fast_hash is XXH64") {
  // Of its own tests: 222 bytes of a generator, with seed 0 (https://github.com/Cyan4973/xxHash, cli/xsum_sanity_check.c).
  CHECK(fast_hash({}) == 0xEF46DB3751D8E999);
  CHECK(fast_hash(std::as_bytes(std::span("abc", 3))) == 0x44BC2CF5AD770999);
  std::vector<std::uint8_t> bytes;
  for (std::uint64_t generator = 2654435761; bytes.size() < 222; generator *= 11400714785074694797u)
    bytes.push_back(static_cast<std::uint8_t>(generator >> 56));
  CHECK(fast_hash(std::as_bytes(std::span(bytes).first(1))) == 0xE934A84ADB052768);
  CHECK(fast_hash(std::as_bytes(std::span(bytes).first(14))) == 0x8282DCC4994E35C8);
  CHECK(fast_hash(std::as_bytes(std::span(bytes))) == 0xB641AE8CB691C174);
}

TEMPLATE_TEST_CASE("sparse rows come back from a cache as they were", "", float, double) {
  using S = TestType;
  const TemporaryFolder folder;
  const auto file = folder.path / "rows.cache";
  const bool values = GENERATE(true, false);
  const int what = GENERATE(0, 1, 2);
  const Index n = GENERATE(0, 1, 53), block = GENERATE(0, 1, 7, 1000);
  const bool queries = GENERATE(false, true);
  CAPTURE(values, what, n, block, queries);
  auto rows = sparse::random_rows<S>(30, n, 3, values);  // row 5 is empty
  if (what == 1)
    rows = SparseRows<S>(rows.offsets(), rows.indices(), rows.values(), 31).with_targets(training::random_matrix<double>(2, n, 3));
  if (what == 2) rows = rows.with_weights(weights_of(n)).with_targets(training::random_matrix<double>(1, n, 3));
  if (queries) rows = rows.with_queries(queries_of(n));
  const CacheSchema schema{{"one", "", "drei: \xC3\xA4"}, {}, {"a note"}};
  write_cache(file, rows, {.rows_per_block = block, .schema = schema});
  check_same(read_cache<SparseRows<S>>(file, 3), rows);
  const CacheInfo info = CacheFile{file}.info();
  CHECK(info.has_queries == queries);
  CHECK(CacheFile{file}.header().version == (queries ? 3u : 1u));
  CHECK(info.schema == schema);
  CHECK(info.samples == n);
  CHECK(info.nonzeros == rows.nonzeros());
  CHECK(info.all_ones == rows.all_ones());
  CHECK(info.blocks == (n == 0 ? 0 : block == 0 ? 1 : (n + block - 1) / block));
  CHECK(info.bytes == std::filesystem::file_size(file));
  CHECK(std::distance(std::filesystem::directory_iterator{folder.path}, {}) == 1);  // nothing else is left
}

TEST_CASE("label sets come back from a cache as they were, also of LIBSVM text, and window by window as targets") {
  const TemporaryFolder folder;
  const auto file = folder.path / "rows.cache", text = folder.path / "rows.txt", other = folder.path / "other.cache";
  const Index k = GENERATE(5, 32, 33, 100), block = GENERATE(1, 7, 1000), n = 53;
  const bool weighted = GENERATE(false, true);
  CAPTURE(k, block, weighted);
  auto rows = multilabel_rows<float>(n, k);
  if (weighted) rows = rows.with_weights(weights_of(n));
  write_cache(file, rows, {.rows_per_block = block});
  check_same(read_cache<SparseRows<float>>(file, 3), rows);
  const CacheInfo info = CacheFile{file}.info();
  CHECK(info.has_label_sets);
  CHECK(info.num_labels == k);
  CHECK(info.num_targets == 0);

  const auto with_targets = rows.with_label_set_targets();
  REQUIRE(with_targets.num_targets() == k);
  const CachedRows<float> cached{file, {.window_blocks = 2}};
  CHECK(cached.num_targets() == k);
  const auto stream = cached.open({.batch_size = 5, .seed = 3});
  Index seen = 0;
  for (bool more = true; more;) {
    const auto& window = stream->next();
    for (const Index row : window.samples()) {
      CHECK((window.targets().col(row) == with_targets.targets().col(window.number(row))));
      ++seen;
    }
    more = !window.ends_epoch();
  }
  CHECK(seen == n);

  if (weighted) return;
  write_libsvm(text, rows, 0);
  LibsvmOptions sets;
  sets.targets = LibsvmTargets::label_sets;  // some rows have no label
  const LibsvmReport report = detail::make_cache<float>(text, other, sets, CacheOptions{.rows_per_block = block}, {.piece = 60});
  CHECK(report.targets == LibsvmTargets::label_sets);
  const auto read = read_libsvm<float>(text, sets).rows;
  check_same(read_cache<SparseRows<float>>(other), read);
  write_cache(file, read, {.rows_per_block = block});
  CHECK((bytes_of(other) == bytes_of(file)));
  make_cache<float>(text, other, sets, {.num_labels = 101});
  CHECK(CacheFile{other}.info().num_labels == 101);
  CHECK_THROWS_WITH(make_cache<float>(text, other, sets, {.num_labels = 3}),
                    Catch::Matchers::ContainsSubstring("labels must be below num_labels, 3; got "));
  CHECK(CacheFile{other}.info().num_labels == 101);
}

TEST_CASE("queries come out of a cache window by window, also of rows that wait for the next window, and of LIBSVM text") {
  const TemporaryFolder folder;
  const auto file = folder.path / "rows.cache", text = folder.path / "rows.txt", other = folder.path / "other.cache";
  const Index n = 53, block = GENERATE(1, 7, 1000);
  const bool sets = GENERATE(false, true);
  CAPTURE(block, sets);
  const auto without = sets ? multilabel_rows<float>(n, 33) : sparse::random_rows<float>(30, n).with_weights(weights_of(n));
  const auto rows = without.with_queries(queries_of(n));
  write_cache(file, rows, {.rows_per_block = block});
  check_same(read_cache<SparseRows<float>>(file, 3), rows);
  CHECK(CacheFile{file}.header().version == 3);
  const CachedRows<float> cached{file, {.window_blocks = 2}};
  const auto stream = cached.open({.batch_size = 5, .seed = 3});
  Index seen = 0;
  for (bool more = true; more;) {
    const auto& window = stream->next();
    CHECK(window.has_queries());
    for (const Index row : window.samples()) {
      CHECK(window.queries()[row] == rows.queries()[window.number(row)]);
      ++seen;
    }
    more = !window.ends_epoch();
  }
  CHECK(seen == n);
  CacheWriter<SparseRows<float>> writer{file};
  writer.add(rows);
  CHECK_THROWS_WITH(writer.add(without), "labels, targets, weights and queries must be there as in what was added first");

  Vector<std::int64_t> queries = queries_of(n).cwiseAbs();
  queries[1] = 0;  // as LIBSVM has them
  write_libsvm(text, rows.with_queries(queries), 0);
  LibsvmOptions options;
  if (sets) options.targets = LibsvmTargets::label_sets;
  const auto read = read_libsvm<float>(text, options).rows;
  REQUIRE(read.has_queries());
  write_cache(file, read, {.rows_per_block = block});
  detail::make_cache<float>(text, other, options, CacheOptions{.rows_per_block = block}, {.piece = 60});
  CHECK((bytes_of(other) == bytes_of(file)));
  {  // the first pieces hold no rows
    std::string lines(70 * 64, '\n');
    write_bytes(text, lines + bytes_of(text) + lines + "# nothing\n");
    detail::make_cache<float>(text, other, options, CacheOptions{.rows_per_block = block}, {.piece = 60});
    CHECK((bytes_of(other) == bytes_of(file)));
  }

  const std::string whole = bytes_of(file);
  detail::CacheHeader header;
  for (const std::uint32_t version : {1u, 2u}) {
    std::string bytes = whole;
    std::memcpy(&header, bytes.data(), sizeof header);
    header.version = version;
    header.header_hash = header.hash();
    std::memcpy(bytes.data(), &header, sizeof header);
    write_bytes(file, bytes);
    CHECK_THROWS_WITH(CacheFile{file}, Catch::Matchers::ContainsSubstring("expected flags of version " + std::to_string(version)));
  }
}

TEST_CASE("what label sets a cache cannot hold is refused, and so is one that claims another version or labels that there are not") {
  const TemporaryFolder folder;
  const auto file = folder.path / "rows.cache";
  const auto rows = multilabel_rows<float>(20, 40);
  CHECK_THROWS_WITH(write_cache(file, rows.with_label_set_targets()), "a cache holds targets or label sets, not both");
  CHECK_THROWS_AS(write_cache(file, rows, {.num_labels = -1}), OptionError);
  CHECK_THROWS_WITH(write_cache(file, sparse::random_rows<float>(9, 5), {.num_labels = 3}),
                    "num_labels is for rows with label sets; got rows without");
  CHECK_THROWS_WITH(rows.with_label_set_targets(39), "labels must be in [0, 39); got 39");
  CHECK_THROWS_AS(sparse::random_rows<float>(30, 9).with_label_set_targets(), DataError);
  const auto far = SparseRows<float>(Vector<std::int64_t>{{0, 0}}, {}, {}, 1)
                       .with_label_sets(Vector<std::int64_t>{{0, 1}}, Vector<Label>{{std::numeric_limits<Label>::max()}});
  CHECK_THROWS_WITH(write_cache(file, far), "a cache holds label sets of at most 2^24 labels; got 2147483648");
  {
    CacheWriter<SparseRows<float>> writer{file};
    writer.add(multilabel_rows<float>(20, 5));
    CHECK_THROWS_WITH(writer.add(rows), "labels must be below num_labels, 5 by what was added first; got 39");
  }
  write_cache(file, rows, {.rows_per_block = 7});
  const std::string whole = bytes_of(file);
  detail::CacheHeader header;
  const auto change = [&](const auto& how, const std::string& expected) {
    std::string bytes = whole;
    std::memcpy(&header, bytes.data(), sizeof header);
    how(header);
    header.header_hash = header.hash();
    std::memcpy(bytes.data(), &header, sizeof header);
    write_bytes(file, bytes);
    const std::string error = error_of<SparseRows<float>, CachedRows<float>>(file);
    CAPTURE(error);
    CHECK(error.find(expected) != std::string::npos);
  };
  CHECK((change([](auto&) {}, ""), header.version == 2));
  change([](auto& h) { h.version = 1; }, "found flags 9, expected flags of version 1");
  change([](auto& h) { h.flags = 1; }, "found flags 1, expected flags of version 2");
  change([](auto& h) { h.kind = 2; }, "expected flags of version 2");
  change([](auto& h) { h.targets = 39; }, "block 0 (byte 128): found a label in row 2, expected those in [0, 39)");
  change([](auto& h) { h.targets = 1 << 20; }, "found 20 rows of at least");
  for (std::size_t size = 0; size < whole.size(); size += 3) {
    write_bytes(file, whole.substr(0, size));
    CHECK(!error_of<SparseRows<float>, CachedRows<float>>(file).empty());
  }
}

TEMPLATE_TEST_CASE("dense samples come back from a cache as they were", "", float, double, std::uint8_t) {
  using T = TestType;
  const TemporaryFolder folder;
  const auto file = folder.path / "dense.cache";
  const int what = GENERATE(0, 1, 2);
  const Index n = GENERATE(0, 1, 41), block = GENERATE(0, 1, 7, 1000);
  CAPTURE(what, n, block);
  Matrix<T> x(5, n);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<T>(3 * i % 250);
  DenseData<T> data(x);
  if (what != 1) data = data.with_labels(Vector<Label>::LinSpaced(n, 0, static_cast<Label>(n)));
  if (what > 0) data = data.with_targets(training::random_matrix<double>(3, n, 3)).with_scale(0.25, 2);
  if (what == 2) data = data.with_weights(weights_of(n));
  write_cache(file, data, {.rows_per_block = block});
  check_same(read_cache<DenseData<T>>(file), data);
}

TEST_CASE("a cache that is written chunk by chunk is the same file") {
  const TemporaryFolder folder;
  const auto rows = sparse::random_rows<float>(30, 100).with_weights(weights_of(100));
  const Index block = GENERATE(0, 9);
  write_cache(folder.path / "whole", rows, {.rows_per_block = block});
  CacheWriter<SparseRows<float>> writer{folder.path / "chunks", {.rows_per_block = block}};
  for (Index first = 0, size = 1; first < 100; first += size, size = std::min<Index>(2 * size + 1, 100 - first)) {
    const Index begin = rows.offsets()[first], count = rows.offsets()[first + size] - begin;
    Vector<std::int64_t> offsets = rows.offsets().segment(first, size + 1);
    offsets.array() -= begin;
    writer.add(SparseRows<float>(offsets, rows.indices().segment(begin, count), rows.values().segment(begin, count),
                                 first < 50 ? 29 + (first > 3) : 30)
                   .with_labels(rows.labels().segment(first, size))
                   .with_weights(rows.weights().segment(first, size)));
  }
  CHECK(writer.size() == 100);
  CHECK(!std::filesystem::exists(folder.path / "chunks"));
  writer.finish();
  CHECK(bytes_of(folder.path / "chunks") == bytes_of(folder.path / "whole"));
}

TEST_CASE("by default a block holds about a mebibyte") {
  const TemporaryFolder folder;
  const DenseData<float> data(Matrix<float>::Random(512, 1300));
  write_cache(folder.path / "dense", data);
  const CacheInfo info = CacheFile{folder.path / "dense"}.info();
  CHECK(info.rows_per_block == 512);
  CHECK(info.blocks == 3);
}

TEST_CASE("a cache that is not finished leaves nothing, and what it cannot hold is refused") {
  const TemporaryFolder folder;
  const auto file = folder.path / "x.cache";
  const auto rows = sparse::random_rows<float>(30, 10);
  const auto is_empty = [&] { return std::filesystem::is_empty(folder.path); };
  {
    CacheWriter<SparseRows<float>> writer{file};
    writer.add(rows);
    CHECK(!is_empty());
    CHECK_THROWS_WITH(writer.add(rows.with_weights(weights_of(10))),
                      "labels, targets, weights and queries must be there as in what was added first");
  }
  CHECK(is_empty());
  CHECK_THROWS_WITH(write_cache(file, rows, {.num_features = 29}), "rows must have at most num_features = 29 features; got 30");
  CHECK_THROWS_AS(write_cache(file, rows, {.rows_per_block = -1}), OptionError);
  CHECK_THROWS_AS((CacheWriter<SparseRows<float>>{file, {.all_ones = true}}.add(rows)), DataError);
  CHECK_THROWS_AS(CacheWriter<DenseData<float>>{file}.finish(), DataError);
  CHECK_THROWS_AS(write_cache(folder.path / "none" / "x", rows), FileError);
  CHECK(is_empty());
  write_cache(file, rows, {.num_features = 35});
  CHECK(read_cache<SparseRows<float>>(file).num_features() == 35);
  CHECK_THROWS_WITH(read_cache<SparseRows<double>>(file),
                    Catch::Matchers::ContainsSubstring("found sparse rows of float, expected sparse rows of double"));
  CHECK_THROWS_WITH(CachedDense<float>{file},
                    Catch::Matchers::ContainsSubstring("found sparse rows of float, expected dense data of float"));
  CHECK_THROWS_AS(CacheFile{folder.path / "none"}, FileError);
  CHECK_THROWS_AS(CacheFile{folder.path}, FileError);
}

TEST_CASE("a cache that is cut off anywhere, or has a byte changed, is refused") {
  const TemporaryFolder folder;
  const auto file = folder.path / "x.cache", damaged = folder.path / "damaged.cache";
  const bool sparse = GENERATE(true, false);
  if (sparse)
    write_cache(file, sparse::random_rows<float>(20, 9).with_weights(weights_of(9)).with_queries(queries_of(9)),
                {.rows_per_block = 4, .schema = {{"a"}, {}, {"b"}}});
  else
    write_cache(file, DenseData<std::uint8_t>(Matrix<std::uint8_t>::Constant(3, 9, 7)).with_labels(Vector<Label>::Ones(9)),
                {.rows_per_block = 4});
  const auto check = [&](const std::string& bytes) {
    write_bytes(damaged, bytes);
    const std::string error = sparse ? error_of<SparseRows<float>, CachedRows<float>>(damaged)
                                     : error_of<DenseData<std::uint8_t>, CachedDense<std::uint8_t>>(damaged);
    CAPTURE(error);
    CHECK(error.find("damaged.cache") != std::string::npos);
  };
  const std::string whole = bytes_of(file);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    check(whole.substr(0, size));
  }
  check(whole + '\0');
  for (std::size_t at = 0; at < whole.size(); ++at)
    for (const int mask : {1, 128}) {
      CAPTURE(at, mask);
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ mask);
      check(bytes);
    }
}

TEST_CASE("sizes that a cache claims are checked before memory is taken, with the hashes all right") {
  const TemporaryFolder folder;
  const auto file = folder.path / "x.cache";
  write_cache(file, sparse::random_rows<float>(20, 9), {.rows_per_block = 4});
  const std::string whole = bytes_of(file);
  const auto check = [&](const auto& change, const std::string& expected) {
    std::string bytes = whole;
    detail::CacheHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    change(header);
    header.header_hash = header.hash();
    std::memcpy(bytes.data(), &header, sizeof header);
    write_bytes(file, bytes);
    CHECK_THROWS_WITH(CacheFile{file},
                      Catch::Matchers::ContainsSubstring("x.cache: byte ") && Catch::Matchers::ContainsSubstring(expected));
  };
  using Header = detail::CacheHeader;
  constexpr std::uint64_t huge = std::uint64_t{1} << 62;
  check([](Header& h) { h.samples = huge; }, "found 4611686018427387904 rows of at least 8 bytes");
  check([](Header& h) { h.samples += 1; }, "byte 88: found an index at byte");
  check([](Header& h) { h.features = huge; }, "features, expected at most 2^31");
  check([](Header& h) { h.nonzeros = huge; }, "entries, expected what");
  check([](Header& h) { h.nonzeros += 1; }, "entries in all blocks");
  check([](Header& h) { h.nonzeros -= 1; }, "entries in block 2");
  check([](Header& h) { h.rows_per_block = 0; }, "0 rows a block");
  check([](Header& h) { h.rows_per_block = huge; }, "rows a block");
  check([](Header& h) { h.blocks = huge; }, "blocks, expected those of 9 rows, 4 a block");
  check([](Header& h) { h.kind = 3; }, "kind 3");
  check([](Header& h) { h.kind = 2; }, "found ");
  check([](Header& h) { h.scalar = detail::CacheScalar{9}; }, "scalar type 9");
  check([](Header& h) { h.flags = 8; }, "flags 8, expected flags of version 1");
  check([](Header& h) { h.flags = 32; }, "flags 32");
  check([](Header& h) { h.version = 3; }, "flags 3, expected flags of version 3");
  check([](Header& h) { h.targets = 1u << 31; }, "targets a row");
  check([](Header& h) { h.index_begin = huge; }, "as many as its header says");
  check([](Header& h) { h.schema_bytes = huge; }, "as many as its header says");
  check([](Header& h) { h.schema_bytes -= 8, h.index_begin += 8; }, "damaged index");
  check([](Header& h) { h.scale = std::numeric_limits<double>::quiet_NaN(); }, "finite numbers");
  check([](Header& h) { h.version = 2; }, "flags 3, expected flags of version 2");
  check([](Header& h) { h.version = 4; }, "version 4, expected version 1, 2 or 3");
  check([](Header& h) { h.endianness = 0x04030201; }, "another order of bytes");
}

TEST_CASE("rows that no rows can be are refused, with the hashes all right") {
  const TemporaryFolder folder;
  const auto file = folder.path / "x.cache";
  const auto check = [&](std::vector<std::uint32_t> lengths, std::vector<std::int32_t> indices, double weight,
                         const std::string& expected) {
    detail::CacheHeader header;
    header.kind = 1;
    header.scalar = detail::CacheScalar::float32;
    header.flags = detail::CacheHeader::weights;
    header.samples = lengths.size();
    header.rows_per_block = lengths.size();
    header.features = 10;
    const std::vector<double> weights(lengths.size(), weight);
    detail::CacheOutput out{file};
    out.write_block(header, {nullptr, weights.data(), nullptr, lengths.data(), indices.data(), nullptr}, lengths.size(), indices.size());
    out.finish(header, {});
    const std::string error = error_of<SparseRows<float>, CachedRows<float>>(file);
    CAPTURE(error);
    if (expected.empty()) CHECK(error.empty());
    CHECK(error.find(expected) != std::string::npos);
  };
  check({2, 0, 1}, {3, 9, 0}, 1, "");
  check({2, 0, 1}, {9, 9, 0}, 1, "block 0 (byte 128): found indices that do not rise, or are not in [0, 10), in row 0");
  check({2, 0, 1}, {3, 10, 0}, 1, "in row 0");
  check({2, 0, 1}, {3, 9, -1}, 1, "in row 2");
  check({2, 0, 2}, {3, 9, 0}, 1, "found 2 entries in row 2, expected at most 1");
  check({2, 0, 0}, {3, 9, 0}, 1, "found 1 entries in no row");
  check({0xFFFFFFFF, 0, 1}, {3, 9, 0}, 1, "entries in row 0");
  check({2, 0, 1}, {3, 9, 0}, -1, "the weight -1 in row 0");
  check({2, 0, 1}, {3, 9, 0}, std::numeric_limits<double>::infinity(), "the weight inf in row 0");
}

TEST_CASE("a LIBSVM file becomes the cache of its rows, piece by piece") {
  const auto libsvm = [](const auto& set) {
    LibsvmOptions options;
    set(options);
    return options;
  };
  const TemporaryFolder folder;
  const auto text = folder.path / "rows.txt", file = folder.path / "rows.cache";
  const bool values = GENERATE(true, false);
  const auto rows = sparse::random_rows<float>(30, 500, 3, values);
  write_libsvm(text, rows, 0);
  const auto piece = static_cast<std::size_t>(GENERATE(1, 50, 1 << 18));
  const LibsvmReport report =
      detail::make_cache<float>(text, file, libsvm([](auto& o) { o.threads = 2; }), CacheOptions{.rows_per_block = 13}, {.piece = piece});
  const auto expected = read_libsvm<float>(text);
  check_same(read_cache<SparseRows<float>>(file), expected.rows);
  CHECK(CacheFile{file}.info().all_ones == !values);
  CHECK(report.rows == expected.report.rows);
  CHECK(report.nonzeros == expected.report.nonzeros);
  CHECK(report.index_base == 0);
  CHECK(report.targets == LibsvmTargets::labels);

  write_libsvm(
      text, SparseRows<float>(rows.offsets(), rows.indices(), rows.values(), 30).with_targets(training::random_matrix<double>(1, 500, 8)));
  make_cache<float>(text, file, libsvm([](auto& o) { o.num_features = 40; }));
  check_same(read_cache<SparseRows<float>>(file), read_libsvm<float>(text, libsvm([](auto& o) { o.num_features = 40; })).rows);
  const std::string before = bytes_of(file);
  write_bytes(text, "1 3:1\n2 4:x\n3 1:1\n");
  CHECK_THROWS_WITH(make_cache<float>(text, file),
                    Catch::Matchers::ContainsSubstring("rows.txt: line 2, column 5: found 'x', expected a number"));
  CHECK(bytes_of(file) == before);
  const LibsvmReport skipped = make_cache<float>(text, file, libsvm([](auto& o) { o.on_error = OnError::skip; }));
  CHECK(skipped.skipped == 1);
  CHECK(skipped.messages.size() == 1);
  CHECK(read_cache<SparseRows<float>>(file).size() == 2);
  CHECK_THROWS_WITH(detail::make_cache<float>(text, file, libsvm([](auto& o) { o.on_error = OnError::skip; }), CacheOptions{},
                                              {.piece = 4, .most_line = 4}),
                    Catch::Matchers::ContainsSubstring("rows.txt: line 1, column 1: found a line of more than 4 bytes"));
#if PARADE_HAS_ZLIB
  // Packed in many members, some of them empty, with other line ends.
  std::string lines;
  for (int i = 0; i < 40; ++i) lines += "1 " + std::to_string(i + 1) + ":0.5\r\n";
  write_bytes(text, lines);
  write_members(folder.path / "rows.gz", parts_of(lines, 4, 30));
  detail::make_cache<float>(folder.path / "rows.gz", file, {}, CacheOptions{}, {.piece = piece});
  check_same(read_cache<SparseRows<float>>(file), read_libsvm<float>(text).rows);
#endif
}

TEST_CASE(
    "the cache that is made of LIBSVM text is byte for byte that of the rows in memory, also where there is little or nothing in it") {
  const TemporaryFolder folder;
  const auto text = folder.path / "rows.txt", made = folder.path / "made", written = folder.path / "written";
  const auto content = GENERATE(as<std::string>{}, "", "\n", "# nothing\n", "1\n", "1 1:0 1:1\n2 3:1\n", "1 1:2\n2 1:1\n", "a 1:1\n1 1:1\n",
                                "1 1:1\n2 qid:3 5:1\n",          // the second is left out when the file is read again
                                "0,2 1:1\n 5:1\n",               // no label, which only label_sets that are asked for allow
                                "0,2 1:1\n 5:1\n-1 2:1\n3:1\n",  // nor when the file is read again
                                "-1 qid:3 1:1\n0,2\n");          // no row is left that has a query
  const auto targets = GENERATE(LibsvmTargets::automatic, LibsvmTargets::labels, LibsvmTargets::real, LibsvmTargets::label_sets);
  CAPTURE(content, static_cast<int>(targets));
  write_bytes(text, content);
  LibsvmOptions options;
  options.targets = targets;
  options.add_duplicates = true;
  options.on_error = OnError::skip;
  const auto [rows, expected] = read_libsvm<float>(text, options);
  write_cache(written, rows);
  const LibsvmReport report = make_cache<float>(text, made, options);
  CHECK((bytes_of(made) == bytes_of(written)));
  CHECK(report.rows == expected.rows);
  CHECK(report.skipped == expected.skipped);
  CHECK(report.messages == expected.messages);
  CHECK(report.nonzeros == expected.nonzeros);
}

TEST_CASE("a label that is too large for a set of labels in a cache is named in full") {
  const TemporaryFolder folder;
  write_bytes(folder.path / "rows.txt", "1,222222223 1:1\n");
  CHECK_THROWS_WITH(make_cache<float>(folder.path / "rows.txt", folder.path / "made"), Catch::Matchers::ContainsSubstring("222222223"));
}

}  // namespace cache_test
