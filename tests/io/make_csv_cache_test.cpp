// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/core/config.hpp>
#include <parade/core/random.hpp>
#include <parade/data/cache.hpp>
#include <parade/data/make_cache.hpp>
#include <parade/data/table_data.hpp>
#include <parade/io/csv.hpp>
#include <parade/io/csv_stream.hpp>

#include "support/catch.hpp"
#include "support/gzip.hpp"
#include "support/temporary_folder.hpp"

namespace make_csv_cache_test {

namespace {

using namespace parade;
namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::Message;
using detail::CsvSizes;

std::string bytes_of(const fs::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}
/// Packed, where the name ends in ".gz".
fs::path write_text(const fs::path& file, std::string_view text) {
  detail::write_file(file, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  return file;
}

TableOptions use(void (*set)(TableOptions&)) {
  TableOptions options;
  set(options);
  return options;
}
CsvOptions read_with(void (*set)(CsvOptions&)) {
  CsvOptions options;
  set(options);
  return options;
}

template <class D>
TableData<D> in_memory(const Table& table, const TableOptions& use) {
  if constexpr (detail::is_sparse_rows<D>)
    return sparse_rows<typename D::Value>(table, use);
  else
    return dense_data<typename D::Value>(table, use);
}

/// Makes a cache of a file chunk by chunk, and checks that it is the one, and the report that, of the same table in memory; or that the error is. Returns the error.
template <class D>
std::string check_same(const fs::path& file, CsvOptions read, const TableOptions& use, const CsvSizes& sizes, CacheOptions cache = {},
                       const Table* like = nullptr) {
  if (read.threads == 0) read.threads = 1;  // many small chunks would take their time to wait for threads
  const fs::path made = file.parent_path() / "made.cache", written = file.parent_path() / "written.cache";
  std::string expected, error;
  CsvData csv;
  std::optional<TableData<D>> data;
  try {
    CsvOptions own = read;
    for (const Column& column : read_csv_header(file, read).columns)
      if (like && std::any_of(like->columns.begin(), like->columns.end(),
                              [&](const Column& other) { return other.name == column.name && other.type == ColumnType::text; }))
        own.types[column.name] = ColumnType::text;
    csv = read_csv(file, own);
    if (like) csv.table = with_levels_of(std::move(csv.table), *like);
    data.emplace(in_memory<D>(csv.table, use));
    CacheOptions options = cache;
    const Index d = data->features.size();
    if (!data->features[d - 1].starts_with("hash_")) options.schema.features.assign(data->features.begin(), data->features.end());
    options.schema.classes = data->labels;
    write_cache(written, data->data, options);
  } catch (const std::exception& refused) {
    expected = refused.what();
  }
  CsvCacheReport report;
  try {
    report = detail::make_cache<D>(CsvFile{file, read, use, like}, made, cache, sizes);
  } catch (const std::exception& refused) {
    error = refused.what();
  }
  CHECK(error == expected);
  if (!error.empty() || !expected.empty()) return error;
  CHECK((bytes_of(made) == bytes_of(written)));
  CHECK(report.features == data->features);
  CHECK(report.labels == data->labels);
  CHECK(report.dropped == data->dropped);
  CHECK(report.report.rows == csv.report.rows);
  CHECK(report.report.skipped == csv.report.skipped);
  CHECK(report.report.messages == csv.report.messages);
  CHECK(report.report.separator == csv.report.separator);
  CHECK(report.report.bytes == csv.report.bytes);
  REQUIRE(report.table.columns.size() == csv.table.columns.size());
  CHECK(report.table.rows == csv.table.rows);
  for (std::size_t c = 0; c < csv.table.columns.size(); ++c) {
    const Column &a = report.table.columns[c], &b = csv.table.columns[c];
    CHECK(a.name == b.name);
    CHECK(a.has_name == b.has_name);
    CHECK(a.type == b.type);
    CHECK(a.missing == b.missing);
    CHECK(a.why_text == b.why_text);
    CHECK((a.numbers.size() == 0 && a.codes.size() == 0));
    if (a.knows_levels) CHECK(a.levels == b.levels);
  }
  return "";
}

/// Numbers, some of them missing; words in quotes with separators, quotes and line ends; a class; a column that is text only because of its last row.
std::string table_text(int rows, const std::string& line_end, bool bad) {
  const Random random{3, Purpose::user};
  std::uint64_t next = 0;
  const auto below = [&](std::uint64_t end) { return random.bits(next++) % end; };
  std::string out = "whole,real,words,\"a class\",late" + line_end;
  for (int i = 0; i < rows; ++i) {
    out += (below(9) ? std::to_string(below(100)) : "NA") + ',' + std::to_string(below(100)) + (below(2) ? ".25," : "e-3,");
    const std::string words[] = {"", "a", "b b", "NA", "\"x, \"\"y\"\"" + line_end + "z\"", "\"\"", "\" c\""};
    out += words[below(7)];
    out += below(2) ? ",yes" : below(20) ? ",no" : ",?";
    out += ',' + (i + 1 == rows ? "late" : std::to_string(below(5)));
    if (bad && below(5) == 0) out += ",5";
    out += line_end;
    if (below(7) == 0) out += below(2) ? " " + line_end : line_end;
  }
  return out;
}

}  // namespace

TEMPLATE_TEST_CASE("a cache made from CSV is byte for byte that of the table in memory, in chunks of every size", "", SparseRows<float>,
                   SparseRows<double>, DenseData<float>) {
  const TemporaryFolder folder;
  const std::string line_end = GENERATE("\n", "\r\n");
  const auto file = write_text(folder.path / "t.csv", table_text(40, line_end, true));
  CsvOptions read;
  read.on_error = OnError::skip;
  for (const std::size_t chunk : {1u, 33u, 300u, 1u << 20}) {
    for (const Encoding text : {Encoding::one_hot, Encoding::hashed, Encoding::leave_out}) {
      CAPTURE(line_end, chunk, int(text));
      read.threads = chunk == 300 && text == Encoding::hashed && std::is_same_v<TestType, DenseData<float>> ? 2 : 1;
      TableOptions options = use([](auto& o) { o.label = "a class", o.hash_bits = 7, o.drop_missing = true; });
      options.text = text;
      CHECK(check_same<TestType>(file, read, options, {chunk, 1 + chunk / 3, 1 << 26}, {.rows_per_block = 7}) == "");
      options.encodings = {{"words", Encoding::one_hot}};
      options.label = std::nullopt;
      options.target = -4;
      options.leave_out = {"a class"};
      CHECK(check_same<TestType>(file, read, options, {chunk, 1 + chunk / 3, 1 << 26}) == "");
      options.drop_missing = false;
      options.keep_missing = true;
      CHECK(check_same<TestType>(file, read, options, {chunk, 1 + chunk / 3, 1 << 26}) == "");
    }
  }
}

TEST_CASE("CSV files that are packed, begin with a byte order mark, have no header or another separator become the same caches") {
  using D = SparseRows<float>;
  const TemporaryFolder folder;
  const std::string text = table_text(300, "\n", false);
  const auto label = use([](auto& o) { o.label = 3, o.drop_missing = true; });
  const auto chunk = GENERATE(std::size_t{1}, std::size_t{50}, std::size_t{4000});
  const CsvSizes sizes{chunk, 20, 1 << 26};
#if PARADE_HAS_ZLIB
  CHECK(check_same<D>(write_text(folder.path / "t.csv.gz", text), {}, label, sizes) == "");
#endif
  const auto file = folder.path / "t";
  CHECK(check_same<D>(write_text(file, "\xEF\xBB\xBF" + text), {}, label, sizes) == "");
  CHECK(check_same<D>(write_text(file, "\n \n" + text + "\n\n"), {}, label, sizes) == "");
  CHECK(check_same<D>(write_text(file, text.substr(0, text.size() - 1)), {}, label, sizes) == "");  // no line end at the end

  const auto no_header = read_with([](auto& o) { o.header = false; });
  const std::string rows = text.substr(text.find('\n') + 1);
  for (const char* before : {"", "\n\n", "\xEF\xBB\xBF", "\xEF\xBB\xBF\"in\nquotes\",1,a,no,1\n"})
    CHECK(check_same<D>(write_text(file, before + rows), no_header, label, sizes) == "");
  const auto skip = read_with([](auto& o) { o.header = false, o.on_error = OnError::skip; });
  CHECK(check_same<D>(write_text(file, "x\"y,\n\n1\"2\"\n" + rows), skip, label, sizes) == "");

  CHECK(check_same<D>(write_text(file, "a;b,c;d\n1;2,5;x\n2;3;y\n"), {}, use([](auto& o) { o.label = "d"; }), sizes) == "");
  CHECK(check_same<D>(write_text(file, "a\tb\n1\t\n2\tx\n"), {}, use([](auto& o) { o.label = "a"; }), sizes) == "");
  CHECK(check_same<D>(write_text(file, "a|b\n1|4\n2|3\n"), read_with([](auto& o) { o.separator = '|'; }), {}, sizes) == "");
  CHECK(check_same<D>(write_text(file, "zip,x\n01,1\n,2\n1,3\n"), read_with([](auto& o) {
                        o.types = {{"zip", ColumnType::text}};
                      }),
                      {}, sizes) == "");
}

TEST_CASE("CSV files without rows, without columns and without entries") {
  const TemporaryFolder folder;
  const auto file = folder.path / "t";
  const CsvSizes sizes{GENERATE(std::size_t{1}, std::size_t{1} << 20), 20, 1 << 26};
  const auto no_header = read_with([](auto& o) { o.header = false; });
  for (const char* text : {"a,b\n", "a,b", "a,b\n\n \n"}) {
    CHECK(check_same<SparseRows<float>>(write_text(file, text), {}, {}, sizes) == "");
    CHECK(check_same<DenseData<double>>(file, {}, use([](auto& o) { o.target = "b"; }), sizes) == "");
    CHECK(check_same<DenseData<double>>(file, {}, use([](auto& o) { o.label = "b"; }), sizes) ==
          "label must be a column of text or whole numbers; 'b' is real");
  }
  for (const char* text : {"", "\n", "\xEF\xBB\xBF", " \n\n"}) {
    CHECK_THAT(check_same<SparseRows<float>>(write_text(file, text), {}, {}, sizes),
               ContainsSubstring("found the end of the file, expected a header with the names of the columns"));
    CHECK_THAT(check_same<SparseRows<float>>(file, no_header, {}, sizes), ContainsSubstring("at least 1 column that becomes features"));
  }
  // Zeros are not stored: rows without entries are all ones, whatever comes last.
  CHECK(check_same<SparseRows<float>>(write_text(file, "a,b\n0,\n-0,NA\n0.0,x\n"), {}, use([](auto& o) { o.leave_out = {"b"}; }), sizes) ==
        "");
  CHECK(CacheFile{folder.path / "made.cache"}.info().all_ones);
  CHECK(check_same<SparseRows<float>>(write_text(file, "a\n0\n0\n1\n"), {}, {}, sizes) == "");
  CHECK_FALSE(CacheFile{folder.path / "made.cache"}.info().all_ones);
}

TEST_CASE("errors in a CSV file that becomes a cache name line and column as they do in memory, and what was there stays") {
  const TemporaryFolder folder;
  const auto file = folder.path / "t";
  const CsvSizes sizes{GENERATE(std::size_t{1}, std::size_t{64}, std::size_t{1} << 20), 20, 1 << 26};
  using D = SparseRows<float>;
  std::string text = "a,b,c\n";
  for (int i = 0; i < 40; ++i) text += std::to_string(i) + ",\"x\ny\",1e" + std::to_string(i) + "\n";
  const auto keep = use([](auto& o) { o.keep_missing = true; });
  detail::make_cache<D>(CsvFile{write_text(file, text), {}, keep}, folder.path / "made.cache", {}, sizes);
  const std::string before = bytes_of(folder.path / "made.cache");

  const auto error = [&](const std::string& rest, const CsvOptions& read = {}, const TableOptions& options = {}) {
    return check_same<D>(write_text(file, text + rest), read, options, sizes);
  };
  CHECK_THAT(error("\n1,2\n5,5,5\n"), ContainsSubstring("line 83, column 4: found 2 values, expected 3, one for each column"));
  CHECK_THAT(error("1,2,3,4\n"), ContainsSubstring("line 82, column 7: found 4 values"));
  CHECK_THAT(error("1,\"2\n\n\n,3"), ContainsSubstring("line 82, column 3: found a quote that does not end"));
  CHECK_THAT(error("1,\"2\n\"3,3\n1"), ContainsSubstring("line 83, column 2: found '3' behind a closing quote"));
  CHECK_THAT(error("1,2\r,3\n"), ContainsSubstring("line 82, column 4: found a carriage return"));
  CHECK_THAT(error("1.5,b,3\n", read_with([](auto& o) {
                     o.types = {{"a", ColumnType::integer}};
                   })),
             ContainsSubstring("line 82, column 1: found '1.5', expected a whole number"));
  CHECK_THAT(error("", read_with([](auto& o) { o.types = {{"d", ColumnType::text}}; })), ContainsSubstring("got 'd'"));
  CHECK_THAT(error("", read_with([](auto& o) { o.threads = -1; })), ContainsSubstring("threads must be at least 0"));
  CHECK_THAT(error("1,b,\n2,b,?\n"), ContainsSubstring("column 'c' must have a value in each row; it lacks 2, the first in row 40 (leave"));
  CHECK_THAT(error("1,b,1e999\n", read_with([](auto& o) {
                     o.types = {{"c", ColumnType::real}};
                   })),
             ContainsSubstring("found '1e999', expected a finite number"));
  CHECK_THAT(error(""), ContainsSubstring("values must be finite; got inf in row 39"));
  CHECK_THAT(check_same<DenseData<float>>(file, {}, {}, sizes),
             ContainsSubstring("features must be finite; got inf in row 2 of sample 39"));
  CHECK(check_same<DenseData<float>>(file, {}, use([](auto& o) { o.keep_missing = true; }), sizes) == "");
  write_text(folder.path / "made.cache", before);
  CHECK_THAT(error("5000000000,b,3\n", {}, use([](auto& o) {
                     o.label = "a";
                     o.leave_out = {"c"};
                   })),
             ContainsSubstring("labels must be whole numbers of 32 bits; got 5e+09 in row 40 of column 'a'"));
  for (const auto& [options, why] :
       {std::pair{use([](auto& o) { o.label = "d"; }), "the table has no column 'd'"},
        std::pair{use([](auto& o) { o.label = 3; }), "the table has 3 columns; got column 3"},
        std::pair{use([](auto& o) { o.label = "c"; }), "'c' is real"}, std::pair{use([](auto& o) { o.target = "b"; }), "'b' is text"},
        std::pair{use([](auto& o) { o.hash_bits = 0; }), "hash_bits must be in [1, 31]"},
        std::pair{use([](auto& o) {
                    o.encodings = {{"a", Encoding::hashed}};
                  }),
                  "'a' is integer"},
        std::pair{use([](auto& o) {
                    o.leave_out = {0, 1, 2};
                  }),
                  "at least 1 column that becomes features"}})
    CHECK_THAT(error("", {}, options), ContainsSubstring(why));
  CHECK_THAT(check_same<D>(folder.path / "none", {}, {}, sizes), ContainsSubstring("none: cannot be opened"));

  const CsvSizes short_records{std::min<std::size_t>(sizes.chunk, 64), 20, 1000};
  write_text(file, text + "1,\"" + std::string(5000, '\n'));
  const auto skip = read_with([](auto& o) { o.on_error = OnError::skip; });
  CHECK_THROWS_WITH(detail::make_cache<D>(CsvFile{file, skip, keep}, folder.path / "made.cache", {}, short_records),
                    ContainsSubstring("line 82, column 1: found a record of more than 1000 bytes, expected a shorter one"));
  write_text(file, "a,\"" + std::string(5000, 'b'));
  CHECK_THROWS_AS(detail::make_cache<D>(CsvFile{file}, folder.path / "made.cache", {}, short_records), FileError);
  write_text(file, std::string(5000, 'b'));
  CHECK_THROWS_WITH(detail::make_cache<D>(CsvFile{file}, folder.path / "made.cache", {}, short_records),
                    ContainsSubstring("line 1, column 1: found a record of more than 1000 bytes"));
#if PARADE_HAS_ZLIB
  const auto packed = write_text(folder.path / "t.gz", text);
  fs::resize_file(packed, fs::file_size(packed) - 5);
  CHECK_THROWS_WITH(detail::make_cache<D>(CsvFile{packed, {}, keep}, folder.path / "made.cache", {}, sizes),
                    ContainsSubstring("a whole gzip file"));
  fs::remove(packed);
#endif
  CHECK((bytes_of(folder.path / "made.cache") == before));
  using Entries = fs::directory_iterator;
  CHECK(std::distance(Entries{folder.path}, Entries{}) == 3);  // nothing is left of what was begun
}

TEST_CASE("a first record far behind blank or malformed lines of a CSV file is found, or the error says what stands there") {
  const TemporaryFolder folder;
  const auto file = folder.path / "t";
  const CsvSizes sizes{GENERATE(std::size_t{1}, std::size_t{64}, std::size_t{3000}), 20, 1000};
  const std::string blank(900, '\n'), more_blank(1500, '\n'), record = "\"" + std::string(900, 'n') + "\",b\n1,2\n",
                                                              quote = "a,\"" + std::string(5000, 'b');
  std::string malformed;
  while (malformed.size() < 1500) malformed += "1,\"2\"3\n";
  const auto header = [](auto&) {};
  const auto rows = [](CsvOptions& o) { o.header = false; };
  const auto skip = [](CsvOptions& o) { o.header = false, o.on_error = OnError::skip; };
  struct Case {
    std::string text;
    void (*set)(CsvOptions&);
    std::string error;
  };
  for (const Case& one : std::vector<Case>{
           {blank + record, header, ""},  // neither is too long, both together are
           {blank + "1,2\n", rows, ""},
           {malformed.substr(0, 896) + "1,2\n", skip, ""},
           {more_blank + more_blank + record, header,
            "t: line 1, column 1: found more than 1000 bytes of blank lines, expected a header with the names"},
           {more_blank + more_blank + "1,2\n", rows, "t: line 1, column 1: found more than 1000 bytes of blank lines, expected a record"},
           {malformed + malformed + "1,2\n", skip,
            "t: line 1, column 1: found more than 1000 bytes of blank or malformed lines, expected a record"},
           {malformed + malformed, rows, "t: line 1, column 6: found '3' behind a closing quote"},
           {malformed + malformed, header, "t: line 1, column 6: found '3' behind a closing quote"},
           {blank + quote, header, "t: line 901, column 1: found a record of more than 1000 bytes, expected a shorter one"}}) {
    CAPTURE(one.text.substr(0, 20), one.error, sizes.chunk);
    write_text(file, one.text);
    if (one.error.empty())
      CHECK(check_same<DenseData<float>>(file, read_with(one.set), {}, sizes) == "");
    else
      CHECK_THROWS_WITH(detail::make_cache<DenseData<float>>(CsvFile{file, read_with(one.set), {}}, folder.path / "made.cache", {}, sizes),
                        ContainsSubstring(one.error));
  }
}

TEST_CASE("what is too long in a CSV file does not depend on how it is cut into chunks and pieces") {
  using D = SparseRows<float>;
  const TemporaryFolder folder;
  const auto file = folder.path / "t";
  const Random random{11, Purpose::user};
  std::uint64_t next = 0;
  const auto below = [&](std::uint64_t end) { return random.bits(next++) % end; };
  const std::string parts[] = {"a",  "b,",    ",",    ";",     "\t",    "\n",   "\n\n",         " ",
                               "\"", "\"x\n", "\"\"", "1,2\n", "3,4\n", "\r\n", "\xEF\xBB\xBF", "longer"};
  TableOptions use;
  use.text = Encoding::hashed;
  use.hash_bits = 3;
  use.keep_missing = true;
  int too_long = 0, made = 0, others = 0;
  for (int i = 0; i < 600; ++i) {
    std::string text = below(3) ? "c,d\n" : "";
    for (std::uint64_t k = below(24); k > 0; --k) text += parts[below(std::size(parts))];
    write_text(file, text);
    CsvOptions read;
    read.threads = 1;
    read.header = below(2);
    read.on_error = below(2) ? OnError::skip : OnError::stop;
    read.trim = below(2);
    if (below(2)) read.separator = ',';
    const std::size_t most = below(2) ? 6 : 15;
    std::string expected;
    for (const std::size_t chunk : {1u << 20, 1u, 2u, 5u, 7u, 16u, 40u}) {
      CAPTURE(text, most, chunk, read.header, read.trim, read.separator, read.on_error == OnError::skip);
      std::string answer;
      try {
        const auto report =
            detail::make_cache<D>(CsvFile{file, read, use}, folder.path / "c", {.rows_per_block = 2}, {chunk, 1 + chunk / 2, most});
        answer = std::to_string(report.report.rows) + " rows, " + std::to_string(report.report.skipped) + " skipped, " +
                 bytes_of(folder.path / "c");
      } catch (const std::exception& refused) {
        answer = refused.what();
      }
      if (chunk == 1u << 20) expected = answer;
      CHECK((answer == expected));
    }
    (expected.find(": found a record of more than") != std::string::npos || expected.find(": found more than") != std::string::npos
         ? too_long
     : expected.find(" skipped, ") != std::string::npos ? made
                                                        : others)++;
  }
  CHECK(std::min({too_long, made, others}) > 50);

  // A record of exactly so many bytes is none that is too long, wherever it stands.
  const CsvOptions read;
  for (const std::size_t chunk : {1u, 10u, 11u, 12u, 100u})
    for (const std::string end : {"", "\n", "\n1,2\n"})
      for (const std::string& record : {std::string{"\"1\n345\",89"}, std::string{"1234567,90"}}) {
        CAPTURE(chunk, end, record);
        const CsvSizes sizes{chunk, 5, 10};
        write_text(file, "a,b\n" + record + end);
        CHECK_NOTHROW(detail::make_cache<D>(CsvFile{file, read, use}, folder.path / "c", {}, sizes));
        write_text(file, "a,b\n1,2\n" + record + "1" + end);
        CHECK_THROWS_WITH(detail::make_cache<D>(CsvFile{file, read, use}, folder.path / "c", {}, sizes),
                          ContainsSubstring("line 3, column 1: found a record of more than 10 bytes"));
        write_text(file, "a,b\n1,2,3\n" + record + "1" + end);  // what is wrong before it comes first
        CHECK_THROWS_WITH(detail::make_cache<D>(CsvFile{file, read, use}, folder.path / "c", {}, sizes),
                          ContainsSubstring("line 2, column 5: found 3 values"));
      }
}

TEST_CASE("a CSV file of more columns than may be in a file that is read in parts is refused, whatever the chunks are") {
  using D = SparseRows<float>;
  const TemporaryFolder folder;
  const auto file = folder.path / "t";
  TableOptions use;
  use.keep_missing = true;
  const auto made = [&](const std::string& text, std::size_t chunk, std::size_t most, const CsvOptions& read) {
    write_text(file, text);
    try {
      detail::make_cache<D>(CsvFile{file, read, use}, folder.path / "c", {}, {chunk, 1 + chunk / 2, 1 << 26, most});
    } catch (const FileError& error) {
      return std::string(error.what()).substr(file.string().size() + 2);
    }
    return bytes_of(folder.path / "c");
  };
  for (const bool header : {true, false})
    for (const char separator : {',', '\t', ';'}) {
      CsvOptions read, detected;
      read.header = detected.header = header;
      read.separator = separator;
      std::string text = header ? "a,\"b\",c,d\n" : "\n";
      text += "1,2,3,4\n5,6,7,8\n";
      std::replace(text.begin(), text.end(), ',', separator);
      const std::string whole = made(text, 1 << 20, 4, read);
      for (const std::size_t chunk : {1u, 2u, 5u, 7u, 16u, 40u, 1u << 20}) {
        CAPTURE(header, separator, chunk);
        for (const CsvOptions& options : {read, detected}) {
          CHECK((made(text, chunk, 4, options) == whole));
          CHECK(made(text, chunk, 3, options) ==
                (header ? "line 1, column 9: found 4 values, expected at most 3 where a file is read in parts"
                        : "line 2, column 7: found 4 values, expected at most 3 where a file is read in parts"));
        }
        std::string longer = text + std::string(30, separator);  // no column has it: that is what is wrong with it
        CHECK(made(longer, chunk, 4, read) == "line 4, column 5: found 31 values, expected 4, one for each column");
      }
    }
  write_text(file, std::string((1 << 18) - 1, ','));
  CHECK(read_csv_header(file).columns.size() == 1 << 18);
  write_text(file, std::string(1 << 18, ','));
  CHECK_THROWS_WITH(read_csv_header(file), ContainsSubstring(": found 262145 values, expected at most 262144"));
  CHECK(read_csv(file).table.columns.size() == (1 << 18) + 1);
}

#if PARADE_HAS_ZLIB
TEST_CASE("a packed CSV file of many members, some of them empty or packed much better than others, becomes the same cache") {
  const TemporaryFolder folder;
  const auto file = folder.path / "t.gz";
  for (const std::string end : {"\n", "\r\n"}) {
    const std::string text = table_text(60, end, false);
    for (const std::size_t most : {1u, 10u, 1000u})
      for (const std::size_t chunk : {1u, 20u, 500u}) {
        CAPTURE(end, most, chunk);
        write_members(file, parts_of(text, most, most));
        CHECK(check_same<SparseRows<float>>(file, {}, use([](auto& o) { o.label = "a class", o.keep_missing = true; }),
                                            {chunk, 20, 1 << 26}) == "");
      }
  }
  const Random random{5, Purpose::user};
  std::string same, different;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    same += "1,2,x\n\n\n";
    different += std::to_string(random.bits(2 * i)) + ',' + std::to_string(random.bits(2 * i + 1)) + ",\"x\"\n";
  }
  for (const auto& parts : {std::vector<std::string>{"a,b,c\n", same, different, same}, {"a,b,c\n", different, same, different}}) {
    write_members(file, parts);
    for (const std::size_t chunk : {1000u, 100000u}) CHECK(check_same<SparseRows<float>>(file, {}, {}, {chunk, 300, 1 << 26}) == "");
  }
}

TEST_CASE("a packed CSV file that is damaged is that and nothing else, in chunks of every size") {
  const TemporaryFolder folder;
  std::string text = "a,b\n1,2,3\n";
  for (int i = 0; i < 20000; ++i) text += std::to_string(i * 37 % 1009) + ",2\n";
  const auto file = write_text(folder.path / "t.gz", text);
  const auto check = [&] {
    for (const std::size_t chunk : {10u, 1000u, 1u << 20}) {
      CAPTURE(chunk);
      CHECK_THAT(check_same<SparseRows<float>>(file, {}, {}, {chunk, 20, 1 << 26}), ContainsSubstring("expected a whole gzip file"));
    }
  };
  std::ofstream{file, std::ios::app | std::ios::binary} << "behind the end" << std::string(100000, 'x');
  check();
  write_text(file, text);
  fs::resize_file(file, fs::file_size(file) - 5);
  check();
  CHECK_THROWS_WITH(read_csv_header(write_text(folder.path / "names.gz", "a,a\n"), read_with([](auto&) {})),
                    ContainsSubstring("'a' again"));
}
#endif

TEST_CASE("a CSV file that changes between the passes is an error before anything of it is used") {
  const TemporaryFolder folder;
  const auto file = folder.path / "t";
  const std::string text = table_text(50, "\n", false);
  const CsvOptions read;
  std::string changed = text;
  SECTION("another byte") { changed[text.size() - 10] ^= 1; }
  SECTION("another name") { changed[0] = 'W'; }
  SECTION("a longer header") { changed.insert(0, "more,"); }
  SECTION("more rows") { changed += "1,2,a,yes,3\n"; }
  SECTION("one byte more") { changed += '\n'; }
  SECTION("fewer rows") { changed.resize(text.size() / 2); }
  SECTION("fewer whole rows") { changed.resize(text.rfind('\n', text.size() - 2) + 1); }
  SECTION("one byte less") { changed.pop_back(); }
  SECTION("nothing left") { changed.clear(); }
  for (const std::size_t chunk : {1u, 100u, 1u << 20}) {
    CAPTURE(chunk);
    write_text(file, text);
    detail::CsvStream stream{file, read, {chunk, 20, 1 << 26}};
    const auto none = [](detail::CsvReader&, std::size_t) {};
    stream.pass(none);
    stream.pass(none);
    write_text(file, changed);
    CHECK_THROWS_WITH(stream.pass(none), ContainsSubstring("t: changed while it was read, in line "));
    CHECK_THROWS_AS(stream.pass(none), DataError);
    write_text(file, text);
    stream.pass(none);
  }
}

TEST_CASE("the report of a CSV file that became a cache brings a test set to the same features") {
  const TemporaryFolder folder;
  const auto file = write_text(folder.path / "t", "n,c,h\n1,x,p\n2,y,q\n3,x,p\n");
  TableOptions options;
  options.encodings = {{"h", Encoding::hashed}};
  options.hash_bits = 4;
  const auto made = make_cache<SparseRows<float>>(CsvFile{file, {}, options}, folder.path / "c");
  CHECK(read_cache<SparseRows<float>>(folder.path / "c").to_dense() == sparse_rows<float>(read_csv(file).table, options).data.to_dense());
  CHECK(made.table["c"].levels == std::vector<std::string>{"x", "y"});
  CHECK(made.table["h"].levels.empty());
  CHECK_FALSE(made.table["h"].knows_levels);
  CHECK(made.table.description() ==
        "column  type     missing  values\n"
        "n       integer  0        \n"
        "c       text     0        2 levels (text because of 'x' in line 2)\n"
        "h       text     0        levels not kept (text because of 'p' in line 2)\n");
  CHECK(CacheFile{folder.path / "c"}.info().schema == CacheSchema{});  // the names of hashed features are none

  const auto test = with_levels_of(parse_csv("n,c,h\n1,y,q\n1,z,new\n").table, made.table);
  CHECK(test["c"].missing == 1);
  CHECK(test["h"].levels == std::vector<std::string>{"new", "q"});
  const Matrix<float> x = sparse_rows<float>(test, options).data.to_dense();
  CHECK(x.rows() == made.features.size());
  CHECK(x(2, 0) == 1);
  CHECK(x(3 + detail::hashed_feature("h", "new", 4), 1) == 1);
}

TEMPLATE_TEST_CASE("a CSV file becomes the features of another, in chunks of every size", "", SparseRows<float>, DenseData<double>) {
  const TemporaryFolder folder;
  const auto train = write_text(folder.path / "train", "n,zip,w,h,none,c\n1,07,b,p,x,yes\n2,10,d,q,x,no\n,x1,b,p,,yes\n");
  const auto file = folder.path / "test";
  const std::size_t chunk = GENERATE(std::size_t{1}, std::size_t{20}, std::size_t{1} << 20);
  const Encoding hidden = GENERATE(Encoding::one_hot, Encoding::hashed, Encoding::leave_out);
  const CsvSizes sizes{chunk, 1 + chunk / 3, 1 << 26};
  TableOptions options = use([](auto& o) { o.label = "c", o.hash_bits = 4, o.drop_missing = true; });
  options.encodings = {{"h", hidden}};
  CAPTURE(chunk, int(hidden));
  const CsvOptions read;  // GCC 12 takes no {} for it in a template
  const auto made = make_cache<TestType>(CsvFile{train, read, options}, folder.path / "train.cache");
  CHECK(made.unknown == 0);
  const Table like = made.table;
  CHECK(read_csv_columns({train, read, options}).description() == like.description());
  const auto check = [&](const std::string& rows, const Table& columns) {
    return check_same<TestType>(write_text(file, "n,zip,w,h,none,c\n" + rows), read, options, sizes, {}, &columns);
  };
  const auto unknown = [&] {
    return detail::make_cache<TestType>(CsvFile{file, read, options, &like}, folder.path / "c", {}, sizes).unknown;
  };

  // Only some of the levels, others, numbers that are text, a column without values, one that is text behind the first rows.
  CHECK(check("4,10,d,r,,no\n", like) == "");
  CHECK(unknown() == (hidden == Encoding::one_hot ? 1 : 0));
  CHECK(check("4.5,10,e,p,,no\n5,11,b,q,,yes\n-1,07,\"a\"\"\",p,,no\n", like) == "");
  CHECK(unknown() == 3);
  CHECK(CacheFile{folder.path / "c"}.info().num_features == made.features.size());
  CHECK(check("4,10,1,1,1,no\n4,10,1,1,1,no\n4,10,1,1,1,no\n4,x1,d,p,x,no\n", like) == "");
  CHECK(check("", like) == "");
  CHECK(check("4,,,,,yes\n,,,,,no\n", like) == "");

  // A label that is new is missing, or kept if the user says so.
  CHECK(check("4,10,b,p,x,maybe\n5,07,b,p,x,yes\n", like) == "");
  CHECK(read_cache<TestType>(folder.path / "made.cache").size() == 1);
  Table own_labels = like;
  std::find_if(own_labels.columns.begin(), own_labels.columns.end(), [](const Column& c) { return c.name == "c"; })->knows_levels = false;
  CHECK(check("4,10,b,p,x,maybe\n5,07,b,p,x,yes\n", own_labels) == "");
  CHECK(CacheFile{folder.path / "made.cache"}.info().schema.classes == std::vector<std::string>{"maybe", "yes"});
  for (const char* const no_label : {"", "4,10,b,p,x,\n"}) {
    CHECK(check(no_label, own_labels) == "");
    CHECK(CacheFile{folder.path / "made.cache"}.info().schema.classes == std::vector<std::string>{"no", "yes"});
  }
  options.drop_missing = false;
  CHECK_THAT(check("5,07,b,p,x,yes\n4,10,b,p,x,maybe\n", like), ContainsSubstring("it lacks 1, the first in row 1 "));

  CHECK_THAT(check("5,07,b,p,x,yes\nx,10,b,p,x,no\n", like),
             Catch::Matchers::Equals("column 'n' must be of the type that it has in the reference, real; got text") ||
                 Catch::Matchers::Equals("column 'n' must be of the type that it has in the reference, integer; got text"));
  const auto refused = [&](const std::string& text) -> std::string {
    try {
      detail::make_cache<TestType>(CsvFile{write_text(file, text), read, options, &like}, folder.path / "c", {}, sizes);
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  };
  const std::string before = bytes_of(folder.path / "c");
  const bool is_hashed = hidden == Encoding::hashed, is_used = hidden != Encoding::leave_out;
  CHECK_THAT(
      refused("zip,n,w,h,none,c\n07,5,b,p,x,yes\n"),
      ContainsSubstring("test must have the columns in the order of the table that it is to be like; found 'zip' where 'n' is there"));
  CHECK_THAT(refused("n,zip,w,h,c\n5,07,b,p,yes\n"),
             ContainsSubstring("test must have the column 'none' of the table that it is to be like"));
  CHECK_THAT(refused("n,zip,w,h,none,c,more\n5,07,b,p,x,yes,1\n"),
             ContainsSubstring("test: the table that it is to be like has no column 'more' (leave_out leaves it out)"));
  // At a place of its own is no difference where a column is hashed or left out.
  CHECK((refused("h,n,zip,w,none,c\np,5,07,b,x,yes\n") == "") == (is_hashed || !is_used));
  CHECK((refused("h,n,zip,w,none,c\n3,5,07,b,x,yes\n") == "") == (is_hashed || !is_used));
  write_text(folder.path / "c", before);
  CHECK((bytes_of(folder.path / "c") == before));
}

TEST_CASE("what a CSV file that becomes the features of another does not use need not be like it") {
  using D = SparseRows<float>;
  const TemporaryFolder folder;
  const auto train = write_text(folder.path / "train", "y,id,n,job\nyes,1,1,a\nno,2,2,b\n"), file = folder.path / "test";
  TableOptions options = use([](auto& o) { o.label = "y", o.leave_out = {"id"}; });
  auto made = make_cache<D>(CsvFile{train, {}, options}, folder.path / "c");
  const auto dense = [&](const std::string& text, const TableOptions& of, const Table& like) {
    make_cache<D>(CsvFile{write_text(file, text), {}, of, &like}, folder.path / "t");
    CHECK(CacheFile{folder.path / "t"}.info().schema.features == std::vector<std::string>{"n", "job=a", "job=b"});
    return read_cache<D>(folder.path / "t").to_dense();
  };
  const Matrix<float> expected{{7, 8}, {0, 1}, {1, 0}};
  CHECK(dense("y,id,n,job\nyes,text,7,b\nno,2,8,a\n", options, made.table) == expected);  // of another type
  CHECK(dense("id,n,y,job\n1,7,yes,b\n2,8,no,a\n", options, made.table) == expected);     // at another place
  options.leave_out = {"more", Index{0}};
  CHECK(dense("id,n,more,y,job\n1,7,1,yes,b\n2,8,1,no,a\n", options, made.table) == expected);  // which the other does not have

  // Without labels, and by the number of the column.
  Table no_labels = made.table;
  no_labels.columns.erase(no_labels.columns.begin());
  CHECK(dense("id,n,job\n1,7,b\n2,8,a\n", use([](auto& o) { o.leave_out = {Index{0}}; }), no_labels) == expected);
  CHECK(dense("z,id,n,job\n0,1,7,b\n1,2,8,a\n", use([](auto& o) { o.label = Index{0}, o.leave_out = {Index{1}}; }), no_labels) == expected);
  CHECK_THROWS_WITH(dense("id,n,job\n1,7,b\n", use([](auto& o) { o.leave_out = {"id"}; }), made.table),
                    ContainsSubstring("test must have the column 'y' of the table that it is to be like"));

  // The texts must be known.
  options = use([](auto& o) { o.label = "y", o.leave_out = {"id"}, o.text = Encoding::hashed; });
  made = make_cache<D>(CsvFile{train, {}, options}, folder.path / "c");
  options.text = Encoding::one_hot;
  CHECK_THROWS_WITH(make_cache<D>(CsvFile{train, {}, options, &made.table}, folder.path / "t"),
                    ContainsSubstring("train: the table that it is to be like must know the texts of column 'job', which are one-hot"));
  options.text = Encoding::hashed;
  CHECK_THROWS_WITH(make_cache<D>(CsvFile{write_text(file, "y,id,n\nyes,1,7\n"), {}, options, &made.table}, folder.path / "t"),
                    ContainsSubstring("test must have the column 'job' of the table that it is to be like"));
}

TEST_CASE("the names of a CSV file's columns are read alone, and which have none") {
  const TemporaryFolder folder;
  const auto file = write_text(folder.path / "t", "a;\"b\n,c\";;column_4\n1;2\nnot read\"");
  const auto names = [&](const CsvOptions& options) {
    std::vector<std::string> found;
    for (const Column& column : read_csv_header(file, options).columns) found.push_back(column.name + (column.has_name ? "" : " (none)"));
    return found;
  };
  CHECK(names({}) == std::vector<std::string>{"a", "b\n,c", "column_3 (none)", "column_4"});
  CHECK(names(read_with([](auto& o) { o.header = false; })) ==
        std::vector<std::string>{"column_1 (none)", "column_2 (none)", "column_3 (none)", "column_4 (none)"});
  CHECK(read_csv_header(file).rows == 0);
  CHECK_THROWS_AS(read_csv_header(folder.path / "none"), FileError);
}

TEST_CASE("a CSV file of several chunks of the default size") {
  const TemporaryFolder folder;
  std::string text = "a,b,long,c\n";
  const std::string rest = ',' + std::string(2000, '_') + ",0\n";
  for (int i = 0; text.size() < (9 << 20); ++i) text += std::to_string(i) + (i % 3 ? ",x" : ",\"y\nz\"") + rest;
  text += "1,z,,late\n";
  const auto file = write_text(folder.path / "t", text);
  CHECK(check_same<SparseRows<double>>(file, {}, use([](auto& o) { o.label = "b"; }), {}) == "");
}

}  // namespace make_csv_cache_test
