// SPDX-License-Identifier: MIT
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <locale>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <parade/core/random.hpp>
#include <parade/io/csv.hpp>

#include "support/catch.hpp"
#include "support/gzip.hpp"
#include "support/temporary_folder.hpp"

namespace csv_test {

namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Message;
using parade::Column;
using parade::ColumnType;
using parade::CsvOptions;
using parade::DataError;
using parade::FileError;
using parade::Index;
using parade::OnError;
using parade::OptionError;
using parade::parse_csv;
using parade::read_csv;
using parade::Table;
using parade::write_csv;

/// Everything that a table holds, as text: numbers with all their bits, levels in brackets, a missing value as a dash.
std::string content(const Table& table) {
  std::ostringstream out;
  out << std::hexfloat << table.rows << " rows\n";
  for (const Column& column : table.columns) {
    out << column.name << ' ' << name_of(column.type) << ' ' << column.missing << ':';
    for (Index i = 0; i < column.numbers.size(); ++i) std::isnan(column.numbers[i]) ? out << " -" : out << ' ' << column.numbers[i];
    for (Index i = 0; i < column.codes.size(); ++i)
      column.codes[i] < 0 ? out << " -" : out << " [" << column.levels[static_cast<std::size_t>(column.codes[i])] << ']';
    out << '\n';
  }
  return out.str();
}

std::string parsed(std::string_view text, const CsvOptions& options = {}) { return content(parse_csv(text, options).table); }

CsvOptions with(void (*set)(CsvOptions&)) {
  CsvOptions options;
  set(options);
  return options;
}

const auto skip = [](CsvOptions& options) { options.on_error = OnError::skip; };

void refuses(std::string_view text, const std::string& why, const CsvOptions& options = {}) {
  CAPTURE(text);
  CHECK_THROWS_MATCHES(parse_csv(text, options), FileError, Message("text: " + why));
}

std::string read_all(const fs::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

fs::path write(const fs::path& file, std::string_view bytes) {
  std::ofstream out{file, std::ios::binary};
  out << bytes;
  REQUIRE(out.flush());
  return file;
}

/// Random values of every kind; with `bad`, also records that are none.
std::string random_table(int rows, bool quotes, bool bad) {
  const parade::Random random{2, parade::Purpose::user};
  std::uint64_t next = 0;
  const auto below = [&](std::uint64_t end) { return random.bits(next++) % end; };
  std::string out = "whole,real,words,mixed\n";
  for (int i = 0; i < rows; ++i) {
    out += std::to_string(below(100)) + ',' + std::to_string(below(100)) + (below(2) ? ".25," : "e-3,");
    const char* words[] = {"", "a", "b b", "NA", quotes ? "\"x, \"\"y\"\"\nz\"" : "x", quotes ? "\"\"" : "y"};
    out += words[below(6)];
    out += below(50) ? ',' + std::to_string(below(10)) : ",text";
    if (bad && below(5) == 0) out += below(2) || !quotes ? ",5" : " \"q";
    out += below(2) ? "\n" : below(2) ? "\r\n" : "\n\n";
  }
  return out;
}

}  // namespace

TEST_CASE("a table is a header and records, and the types of its columns are found out") {
  const auto [table, report] = parse_csv("age,job,\"wage, weekly\"\n41,\"cook\",512.5\nNA,\"the \"\"boss\"\"\",480\n");
  CHECK(content(table) ==
        "2 rows\nage integer 1: 0x1.48p+5 -\njob text 0: [cook] [the \"boss\"]\nwage, weekly real 0: 0x1.004p+9 0x1.ep+8\n");
  CHECK(report.rows == 2);
  CHECK(report.separator == ',');
  CHECK(report.skipped == 0);
  CHECK(table["job"].levels == std::vector<std::string>{"cook", "the \"boss\""});
  CHECK(table["job"].why_text == "'cook' in line 2");
  CHECK(table.description() ==
        "column        type     missing  values\n"
        "age           integer  1        41 ... 41\n"
        "job           text     0        2 levels (text because of 'cook' in line 2)\n"
        "wage, weekly  real     0        480 ... 512.5\n");
  CHECK_THROWS_MATCHES(table["wage"], DataError, Message("the table has no column 'wage'; it has age, job, wage, weekly"));
}

TEST_CASE("line ends, empty lines, blanks, a byte order mark and quotes that are not needed change nothing") {
  const std::string expected = parsed("a,b\n1,x y\n2,z\n");
  for (const char* text :
       {"a,b\n1,x y\n2,z", "a,b\r\n1,x y\r\n2,z\r\n",
        "\xEF\xBB\xBF"
        "a,b\n1,x y\n2,z\n",
        "\n\na,b\n\n1,x y\n  \n2,z\n\r\n\n", " a , b\n1 ,\tx y \n 2,z ", "\"a\",\"b\"\n\"1\",\"x y\"\n\"2\" , \"z\" \n"}) {
    CAPTURE(text);
    CHECK(parsed(text) == expected);
  }
  CHECK(parsed("a,b\n 1,\" x\"\n") == "1 rows\na integer 0: 0x1p+0\nb text 0: [ x]\n");
  CHECK(parsed("a,b\n 1, x\n", with([](auto& o) { o.trim = false; })) == "1 rows\na text 0: [ 1]\nb text 0: [ x]\n");
}

TEST_CASE("in quotes stand separators, line ends and doubled quotes") {
  for (const bool in_header : {false, true})  // and nowhere else: then rows have none, or the first has none
    CHECK(parsed(std::string{in_header ? "\"a,\n\",b\n" : "a,b\n"} + "1,2\n" + (in_header ? "x,y\n" : "x,\"y,\ny\"\n")) ==
          std::string{"2 rows\na"} + (in_header ? ",\n" : "") + " text 0: [1] [x]\nb text 0: [2] [" + (in_header ? "y" : "y,\ny") + "]\n");
  CHECK(parsed("a,b\n\"1,5\",\"x\ny\"\n\"\"\"\",\"\"\"\"\"\"\n") == "2 rows\na text 0: [1,5] [\"]\nb text 0: [x\ny] [\"\"]\n");
  CHECK(parsed("a\n\"x\r\ny\"") == "1 rows\na text 0: [x\r\ny]\n");
  CHECK(parsed("a,b\nx,\"\"\n") == "1 rows\na text 0: [x]\nb real 1: -\n");
  CHECK(parsed("a\n\"x\"") == "1 rows\na text 0: [x]\n");
  CHECK(parsed("a\n\"x\"\"\"") == "1 rows\na text 0: [x\"]\n");
}

TEST_CASE("the separator is the one that is most often in the first record, or what the options say") {
  CHECK(parsed("a;b\n1;2,5\n") == "1 rows\na integer 0: 0x1p+0\nb text 0: [2,5]\n");
  CHECK(parsed("a\tb\n1\t2\n") == parsed("a,b\n1,2\n"));
  CHECK(parsed("a\tb\n\t2\n") == parsed("a,b\n,2\n"));
  CHECK(parsed("\"x,y,z\";b\n1;2\n") == "1 rows\nx,y,z integer 0: 0x1p+0\nb integer 0: 0x1p+1\n");
  CHECK(parsed("a\n1\n") == "1 rows\na integer 0: 0x1p+0\n");
  CHECK(parsed("a,b;c\n1,2;3\n", with([](auto& o) { o.separator = ';'; })) == "1 rows\na,b text 0: [1,2]\nc integer 0: 0x1.8p+1\n");
  CHECK(parsed("a|b\n1|2\n", with([](auto& o) { o.separator = '|'; })) == parsed("a,b\n1,2\n"));
  CHECK_THROWS_MATCHES(parse_csv("a\n", with([](auto& o) { o.separator = '1'; })), OptionError,
                       Message("separator must not be a digit, a sign, a point, an e, a quote, a blank or a line end; got '1'"));
  CHECK_THROWS_MATCHES(parse_csv("a\n", with([](auto& o) { o.threads = -1; })), OptionError, Message("threads must be at least 0; got -1"));
}

TEST_CASE("without a header columns are numbered, and a header may leave names out") {
  CHECK(parsed("1,x\n2,y\n", with([](auto& o) { o.header = false; })) ==
        "2 rows\ncolumn_1 integer 0: 0x1p+0 0x1p+1\ncolumn_2 text 0: [x] [y]\n");
  CHECK(parsed("\"\",b\n1,x\n") == "1 rows\ncolumn_1 integer 0: 0x1p+0\nb text 0: [x]\n");
  CHECK(parsed("a,b\n") == "0 rows\na real 0:\nb real 0:\n");
  CHECK(parsed("", with([](auto& o) { o.header = false; })) == "0 rows\n");
  refuses("", "line 1, column 1: found the end of the file, expected a header with the names of the columns");
  refuses("\n \n", "line 3, column 1: found the end of the file, expected a header with the names of the columns");
  refuses("a,b,a\n", "line 1, column 5: found 'a' again, expected a name for each column that no other has");
}

TEST_CASE("columns that the file gives no name are known as such, whatever the others are called") {
  const auto has_name = [](const std::string& text, const CsvOptions& options = {}) {
    std::string out;
    for (const Column& column : parse_csv(text, options).table.columns) out += column.name + (column.has_name ? "" : " (none)") + ' ';
    return out;
  };
  CHECK(has_name("a,,\"\", ,b\n1,2,3,4,5\n") == "a column_2 (none) column_3 (none) column_4 (none) b ");
  CHECK(has_name("column_2,column_1,\"column_3\"\n1,2,3\n") == "column_2 column_1 column_3 ");
  CHECK(has_name("column_1,\n") == "column_1 column_2 (none) ");
  CHECK(has_name("a,b\n1,2\n", with([](auto& o) { o.header = false; })) == "column_1 (none) column_2 (none) ");
  CHECK(has_name(" ,b\n1,2\n", with([](auto& o) { o.trim = false; })) == "  b ");
  refuses("column_2,\n", "line 1, column 10: found 'column_2' again, expected a name for each column that no other has");
  CHECK(Column{}.has_name);

  // As CsvReader finds them, whole or not.
  const std::string text = "a,,column_3\n1,2,3\n", name = "text";
  const CsvOptions options;
  for (const std::size_t size : {std::size_t{12}, std::size_t{13}, text.size()}) {
    parade::detail::CsvColumns columns;
    CHECK(parade::detail::CsvReader{text.substr(0, size), name, options, 100}.find_columns(columns, size == text.size()) ==
          std::optional<std::size_t>{12});
    CHECK(columns.names == std::vector<std::string>{"a", "column_2", "column_3"});
    CHECK(columns.nameless == std::vector<bool>{false, true, false});
  }
  parade::detail::CsvColumns none;
  CHECK(parade::detail::CsvReader{text.substr(0, 11), name, options, 100}.find_columns(none, false) == std::nullopt);
}

TEST_CASE("a table of very many columns has their names, types and values, and two of one name are found") {
  constexpr int count = 100000;  // of which all pairs are 5 * 10^9
  std::string names, first, second;
  CsvOptions options;
  for (int c = 0; c < count; ++c) {
    const std::string between = c + 1 < count ? "," : "\n";
    names += "name " + std::to_string(c) + between;
    first += std::to_string(c) + between;
    second += (c % 1000 == 7 ? "text" : "2.5") + between;
    if (c % 2 == 0) options.types["name " + std::to_string(c)] = ColumnType::real;
  }
  const auto [table, report] = parse_csv(names + first + second, options);
  REQUIRE(table.columns.size() == count);
  CHECK(report.rows == 2);
  bool right = true;
  for (int c = 0; c < count; ++c) {
    const Column& column = table.columns[static_cast<std::size_t>(c)];
    right = right && column.name == "name " + std::to_string(c) && column.type == (c % 1000 == 7 ? ColumnType::text : ColumnType::real) &&
            (c % 1000 == 7 ? column.levels[0] == std::to_string(c) : column.numbers[0] == c && column.numbers[1] == 2.5);
  }
  CHECK(right);
  names.back() = ',';
  refuses(names + "name 5\n", parade::detail::text("line 1, column ", names.size() + 1,
                                                   ": found 'name 5' again, expected a name for each column that no other has"));
  options.types["none"] = ColumnType::text;
  CHECK_THROWS_WITH(parse_csv(names + "last\n", options), "types must name columns of text; got 'none'");
  refuses("a,b\n1,2\n" + first, "line 3, column 5: found 100000 values, expected 2, one for each column");
  refuses("a,b\n" + second.substr(0, second.size() - 1) + ",\"x\n",
          parade::detail::text("line 2, column ", second.size() + 1, ": found a quote that does not end, expected a closing quote"));

  // In pieces, which are larger then, and of a text that has shorter records.
  std::string long_text = names + "last\n1,2\n";
  for (int i = 0; i < 8; ++i) long_text += (first + second).substr(0, first.size() - 1) + ",1\n";
  const auto expected = parse_csv(long_text, with(skip));
  CHECK(expected.report.rows == 8);
  const std::string name = "text";
  const auto own = with(skip);
  const auto found = parade::detail::CsvReader{long_text, name, own, 1}.read();
  CHECK((content(found.table) == content(expected.table)));
  CHECK(found.report.messages == expected.report.messages);
}

TEST_CASE("types: whole numbers that double holds exactly, finite numbers, text, and missing values fit any") {
  const auto type = [](const std::string& values) { return parse_csv("a\n" + values).table.columns[0].type; };
  CHECK(type("1\n-2\n+3\n1e3\n4.0\n") == ColumnType::integer);
  CHECK(type("1\nNA\n?\n") == ColumnType::integer);
  CHECK(type("9007199254740991\n-9007199254740991\n") == ColumnType::integer);
  for (const char* large : {"9007199254740992\n", "9007199254740993\n", "9007199254740994\n", "-9007199254740993\n", "1e300\n"}) {
    CAPTURE(large);
    CHECK(type(large) == ColumnType::real);
  }
  CHECK(type("1\n0.5\n") == ColumnType::real);
  CHECK(type(".5\n-.5\n5.\n1e-3\n") == ColumnType::real);
  CHECK(type("NA\n\"\"\n") == ColumnType::real);
  for (const char* text : {"1\nx\n", "1\ninf\n", "1e999\n", "1 2\n", "0x10\n", "\"1,5\"\n", "--1\n", "1e\n", "-\n", "1-2\n"}) {
    CAPTURE(text);
    CHECK(type(text) == ColumnType::text);
  }
  CHECK(parse_csv("a\n1\n2\nthree\nfour\n").table.columns[0].why_text == "'three' in line 4");
  CHECK(parsed("a\n1\n-\n", with([](auto& o) { o.missing = {"-"}; })) == "2 rows\na integer 1: 0x1p+0 -\n");
  CHECK(parsed("a,b\nNA,\n", with([](auto& o) { o.missing = {}; })) == "1 rows\na text 0: [NA]\nb text 0: []\n");
  const std::string nul(1, '\0'), with_nul = "a,b\n" + nul + "x,\n" + nul + ",1\n";
  CHECK(parsed(with_nul, with([](auto& o) {
                 o.missing = {std::string{"\0x", 2}};
               })) == "2 rows\na text 1: - [" + nul + "]\nb text 0: [] [1]\n");
  CHECK(parsed(with_nul, with([](auto& o) { o.missing = {""}; })) ==
        "2 rows\na text 0: [" + nul + "x] [" + nul + "]\nb integer 1: - 0x1p+0\n");
}

TEST_CASE("the options may give a column its type, and values that do not fit are refused") {
  const auto options = with([](auto& o) { o.types = {{"zip", ColumnType::text}, {"x", ColumnType::real}, {"n", ColumnType::integer}}; });
  CHECK(parsed("zip,x,n\n01234,1,2\n,,\n", options) == "2 rows\nzip text 1: [01234] -\nx real 1: 0x1p+0 -\nn integer 1: 0x1p+1 -\n");
  refuses("zip,x,n\n1,1,1\n1,one,1\n", "line 3, column 3: found 'one', expected a finite number (by types)", options);
  refuses("zip,x,n\n1,1,1.5\n", "line 2, column 5: found '1.5', expected a whole number between −2^53 and 2^53 (by types)", options);
  refuses("zip,x,n\n1,1,9007199254740993\n",
          "line 2, column 5: found '9007199254740993', expected a whole number between −2^53 and 2^53 (by types)", options);
  CHECK_THROWS_MATCHES(parse_csv("a\n", with([](auto& o) {
                                   o.types = {{"b", ColumnType::text}};
                                 })),
                       OptionError, Message("types must name columns of text; got 'b'"));
}

TEST_CASE("malformed records are refused with line, column, what was found and what was expected") {
  refuses("a,b\n1\n", "line 2, column 2: found 1 value, expected 2, one for each column");
  refuses("a,b\n1,2\n1,2,3,4\n", "line 3, column 5: found 4 values, expected 2, one for each column");
  refuses("a,b\n\"1\n2\",3\n5,6,\n", "line 4, column 5: found 3 values, expected 2, one for each column");
  refuses("a,b\n1,\"x\n3,4\n", "line 2, column 3: found a quote that does not end, expected a closing quote");
  refuses("a,b\n1,\"x\"\"", "line 2, column 3: found a quote that does not end, expected a closing quote");
  refuses("a,b\n1,\"", "line 2, column 3: found a quote that does not end, expected a closing quote");
  refuses("a,b\n1,\"x\"y,3\n", "line 2, column 6: found 'y' behind a closing quote, expected a separator or the end of the line");
  refuses("a,b\n1,x\"y\"\n",
          "line 2, column 4: found a quote inside a value without quotes, expected quotes around the whole value, and the quote twice");
  const std::string cr =
      "found a carriage return inside a value without quotes, expected a line feed behind it, or quotes around the whole value";
  refuses("a,b\r1,2\r3,4\r", "line 1, column 4: " + cr);  // the line ends of old Macs
  refuses("a,b\n1,x\ry\n", "line 2, column 4: " + cr);
  refuses("a,b\n1,x\r\r\n", "line 2, column 4: " + cr);
  refuses("a,b\n1,\rx\n", "line 2, column 3: " + cr);
  refuses("a,b\n\"1\"\r,2\n", "line 2, column 4: found '\\x0D' behind a closing quote, expected a separator or the end of the line");
  CHECK(parsed("a,b\r\n1,\"x\ry\"\r\n2,z\r") == "2 rows\na integer 0: 0x1p+0 0x1p+1\nb text 0: [x\ry] [z]\n");
  refuses("a,\"b\n", "line 1, column 3: found a quote that does not end, expected a closing quote");
}

TEST_CASE("records that are none are skipped and counted where the options say so, and the rest is as if they were not there") {
  const auto [table, report] = parse_csv("a,b\n1,x\n1\nbad\"quote,2\n2,y\n3,\"z\"z\n4,\"w\n", with(skip));
  CHECK(content(table) == parsed("a,b\n1,x\n2,y\n"));
  CHECK(report.rows == 2);
  CHECK(report.skipped == 4);
  CHECK(report.messages ==
        std::vector<std::string>{"text: line 3, column 2: found 1 value, expected 2, one for each column",
                                 "text: line 4, column 4: found a quote inside a value without quotes, expected quotes around the whole "
                                 "value, and the quote twice",
                                 "text: line 6, column 6: found 'z' behind a closing quote, expected a separator or the end of the line",
                                 "text: line 7, column 3: found a quote that does not end, expected a closing quote"});
}

TEST_CASE("without a header, records that are none may be left out from the first one on") {
  const auto options = with([](auto& o) { o.header = false, o.on_error = OnError::skip; });
  for (const char* bad : {"1;x\"y\n", "\"1\"2;x\n\n4;\ry\n", "\n1;x\"y;3\n"}) {
    CAPTURE(bad);
    const auto [table, report] = parse_csv(bad + std::string{"1;x\n2;y\n3\n"}, options);
    CHECK(content(table) == "2 rows\ncolumn_1 integer 0: 0x1p+0 0x1p+1\ncolumn_2 text 0: [x] [y]\n");
    CHECK(report.separator == ';');
    CHECK(report.skipped == (std::string_view{bad}.find("\n4") != std::string_view::npos ? 3 : 2));
    CHECK(report.messages.size() == static_cast<std::size_t>(report.skipped));
  }
  const auto none = parse_csv("x\"y\n\n\"z", options);
  CHECK(content(none.table) == "0 rows\n");
  CHECK(none.report.skipped == 2);
  refuses("1,x\"y\n1,2\n",
          "line 1, column 4: found a quote inside a value without quotes, expected quotes around the whole value, and the quote twice",
          with([](auto& o) { o.header = false; }));
  // The first record says how many columns there are, if it can be split at all.
  CHECK(parse_csv("1\n1,2\n3,4\n", options).report.skipped == 2);
}

TEST_CASE("a table is the same in pieces of every size and on any number of threads") {
  for (const bool quotes : {false, true}) {
    const std::string text = random_table(150, quotes, true);
    const auto options = with(skip);
    const auto whole = parse_csv(text, options);
    REQUIRE(whole.report.skipped > 10);
    REQUIRE(whole.table.rows > 100);
    for (const std::size_t piece : {1u, 2u, 5u, 30u, 100u, 1000u})
      for (const int threads : {1, 3}) {
        CAPTURE(quotes, piece, threads);
        auto own = options;
        own.threads = threads;
        const std::string name = "text";
        const auto again = parade::detail::CsvReader{text, name, own, piece}.read();
        CHECK(content(again.table) == content(whole.table));
        CHECK(again.table.description() == whole.table.description());
        CHECK(again.report.messages == whole.report.messages);
        CHECK(again.report.skipped == whole.report.skipped);
        own.on_error = OnError::stop;
        CHECK_THROWS_MATCHES((parade::detail::CsvReader{text, name, own, piece}.read()), FileError, Message(whole.report.messages[0]));
      }
  }
}

TEST_CASE("a file is read like text in memory, packed or not") {
  const TemporaryFolder folder;
  const std::string text = random_table(60000, true, false);
  const auto expected = content(parse_csv(text).table);
  CHECK((content(read_csv(write(folder.path / "plain.csv", text)).table) == expected));
#if PARADE_HAS_ZLIB
  parade::detail::write_file(folder.path / "packed.csv.gz", {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  CHECK((content(read_csv(folder.path / "packed.csv.gz").table) == expected));
#endif
  CHECK_THROWS_MATCHES(read_csv(folder.path / "missing.csv"), FileError,
                       Message((folder.path / "missing.csv").string() + ": cannot be opened: No such file or directory"));
  CHECK_THROWS_MATCHES(read_csv(write(folder.path / "bad.csv", "a,b\n1\n")), FileError,
                       Message((folder.path / "bad.csv").string() + ": line 2, column 2: found 1 value, expected 2, one for each column"));
}

#if PARADE_HAS_ZLIB
TEST_CASE("a packed table of many members, some of them empty, is one text, with any line ends") {
  const TemporaryFolder folder;
  const auto file = folder.path / "t.gz";
  const std::string text = random_table(60, true, false);  // LF and CR LF
  for (const std::string& lines : {text, text.substr(0, text.find_last_not_of("\r\n") + 1)})
    for (const std::size_t most : {1u, 3u, 10u, 1000u}) {
      write_members(file, parts_of(lines, most, most));
      CAPTURE(most);
      const auto found = read_csv(file);
      CHECK(content(found.table) == parsed(lines));
      CHECK(found.report.bytes == lines.size());
    }
  write_members(file, {"", ""});
  CHECK_THROWS_AS(read_csv(file), FileError);
  write_members(file, {"a,\"b\r", "", "\n\"\r", "\n1,2\r\n", "", "3\r\n"});
  CHECK_THROWS_MATCHES(read_csv(file), FileError,
                       Message(file.string() + ": line 4, column 3: found 1 value, expected 2, one for each column"));
}
#endif

TEST_CASE("a table that was written is read again, to the last bit") {
  const TemporaryFolder folder;
  const auto file = folder.path / "written.csv";
  const auto small = parse_csv("a,\"b,\"\"c\"\"\"\n0.1,\" x\"\n,\"y\nz\"\n1e-300,\n").table;
  write_csv(file, small);
  CHECK(read_all(file) == "a,\"b,\"\"c\"\"\"\n0.1,\" x\"\n,\"y\nz\"\n1e-300,\n");
  CHECK(content(read_csv(file).table) == content(small));
  write_csv(file, small, '\t');
  CHECK(content(read_csv(file).table) == content(small));

  for (const char* name : {"\x1F\x8B",
                           "\xEF\xBB\xBF"
                           "a",
                           " a", "a\t", "a\rb", "\"\""}) {  // found by the fuzz target: gzip's first bytes
    CAPTURE(name);
    Table table = parse_csv("a\nx\n").table;
    table.columns[0].name = name;
    write_csv(file, table);
    CHECK(content(read_csv(file).table) == content(table));
  }

  // Text that looks like a number or like nothing comes back where the reader is told so.
  const auto as_text = with([](auto& o) { o.types = {{"code", ColumnType::text}}, o.missing = {""}; });
  const auto codes = parse_csv("code,n\n007,1\nNA,2\n?,3\n,4\n12,\n", as_text).table;
  CHECK(content(codes).find("code text 1: [007] [NA] [?] - [12]\n") != std::string::npos);
  write_csv(file, codes);
  CHECK(content(read_csv(file, as_text).table) == content(codes));

  const auto alone = parse_csv("a\n1\n\"\"\n2\n").table;
  write_csv(file, alone);
  CHECK(content(read_csv(file).table) == content(alone));

  const auto large = parse_csv(random_table(90000, true, false)).table;
  write_csv(file, large);
  REQUIRE(fs::file_size(file) > 1 << 20);
  CHECK((content(read_csv(file).table) == content(large)));
#if PARADE_HAS_ZLIB
  write_csv(folder.path / "written.csv.gz", large);
  CHECK((content(read_csv(folder.path / "written.csv.gz").table) == content(large)));
#endif
}

TEST_CASE("a table whose columns do not fit is not written") {
  const TemporaryFolder folder;
  Table table;
  table.rows = 2;
  table.columns.resize(1);
  table.columns[0].name = "a";
  CHECK_THROWS_MATCHES(write_csv(folder.path / "file", table), DataError,
                       Message("column 'a' must have one value for each of the n rows; got 0 (n = 2)"));
  table.columns[0].type = ColumnType::text;
  table.columns[0].codes.resize(2);
  table.columns[0].codes << 0, 1;
  table.columns[0].levels = {"x"};
  CHECK_THROWS_MATCHES(write_csv(folder.path / "file", table), DataError,
                       Message("codes of column 'a' must be −1 or in [0, 1); got 1 in row 1"));
  CHECK_THROWS_MATCHES(write_csv(folder.path / "file", Table{}), DataError, Message("a CSV file must have at least 1 column; got none"));

  Table numbers = parse_csv("a,b\n1,2\n,3\n").table;
  for (const double infinite : {std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()}) {
    numbers.columns[0].numbers[1] = infinite;
    CHECK_THROWS_MATCHES(write_csv(folder.path / "file", numbers), DataError,
                         Message(parade::detail::text("numbers of column 'a' must be finite, or NaN for missing, in a CSV file; got ",
                                                      infinite, " in row 1")));
  }
  numbers.columns[0].numbers[1] = 0;
  for (const char separator : {'.', '\n', '\r', '"', '7', '-', ' '})
    CHECK_THROWS_MATCHES(write_csv(folder.path / "file", numbers, separator), OptionError,
                         Message("separator must not be a digit, a sign, a point, an e, a quote, a blank or a line end; got " +
                                 parade::detail::in_quotes({&separator, 1})));
  CHECK_THROWS_MATCHES(write_csv(folder.path / "file", numbers, '\0'), OptionError, Message("separator must be a character; got NUL"));
  numbers.columns[1].name = "a";
  CHECK_THROWS_MATCHES(write_csv(folder.path / "file", numbers), DataError,
                       Message("each column must have a name of its own; got 'a' twice"));
  CHECK(fs::is_empty(folder.path));
}

TEST_CASE("tables take no notice of the locale") {
  struct Comma : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  const TemporaryFolder folder;
  const auto before = std::locale::global(std::locale{std::locale::classic(), new Comma});
  const auto table = parse_csv("a,b\n1234.5,\"1234,5\"\n").table;
  const auto description = table.description();
  write_csv(folder.path / "file", table);
  std::locale::global(before);
  CHECK(content(table) == "1 rows\na real 0: 0x1.34ap+10\nb text 0: [1234,5]\n");
  CHECK_THAT(description, Catch::Matchers::ContainsSubstring("1234.5 ... 1234.5"));
  CHECK(read_all(folder.path / "file") == "a,b\n1234.5,\"1234,5\"\n");
}

}  // namespace csv_test
