// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <locale>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <parade/core/random.hpp>
#include <parade/io/libsvm.hpp>

#include "support/catch.hpp"
#include "support/gzip.hpp"
#include "support/temporary_folder.hpp"

namespace libsvm_test {

namespace {

namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::Message;
using parade::DataError;
using parade::FileError;
using parade::Index;
using parade::LibsvmOptions;
using parade::LibsvmTargets;
using parade::NotFinite;
using parade::OnError;
using parade::OptionError;
using parade::parse_libsvm;
using parade::read_libsvm;
using parade::SparseRows;
using parade::Vector;
using parade::write_libsvm;
using parade::detail::text;

/// Everything that rows hold, as text: values with all their bits.
template <class S>
std::string content(const SparseRows<S>& rows) {
  std::ostringstream out;
  out << rows.num_features() << " features" << (rows.all_ones() ? ", all ones" : "") << std::hexfloat << '\n';
  for (Index i = 0; i < rows.size(); ++i) {
    if (rows.has_labels()) out << rows.label(i);
    if (rows.num_targets() > 0) out << 't' << rows.targets()(0, i);
    if (rows.has_label_sets()) {
      out << '{';
      for (const auto label : rows.label_set(i)) out << label << ' ';
      out << '}';
    }
    if (rows.has_queries()) out << " q" << rows.queries()[i];
    for (std::size_t j = 0; j < rows[i].indices.size(); ++j) out << ' ' << rows[i].indices[j] << ':' << rows[i].value(j);
    out << '\n';
  }
  return out.str();
}

std::string parsed(std::string_view lines, const LibsvmOptions& options = {}) { return content(parse_libsvm<double>(lines, options).rows); }

LibsvmOptions with(void (*set)(LibsvmOptions&)) {
  LibsvmOptions options;
  set(options);
  return options;
}

const auto skip = [](LibsvmOptions& options) { options.on_error = OnError::skip; };

void refuses(std::string_view lines, const std::string& why, const LibsvmOptions& options = {}) {
  CAPTURE(lines);
  CHECK_THROWS_MATCHES(parse_libsvm<double>(lines, options), FileError, Message("text: " + why));
}

fs::path write(const fs::path& file, std::string_view bytes) {
  std::ofstream out{file, std::ios::binary};
  out << bytes;
  REQUIRE(out.flush());
  return file;
}

/// Random rows, with blank lines, comments, labels and queries, and where `bad` with lines that are no rows.
std::string random_lines(int count, bool bad) {
  const parade::Random random{1, parade::Purpose::user};
  std::uint64_t next = 0;
  const auto below = [&](std::uint64_t end) { return random.bits(next++) % end; };
  std::string out;
  for (int i = 0; i < count; ++i) {
    out += std::to_string(static_cast<int>(below(5)) - 2);
    out += below(2) ? " qid:3" : "  qid:12 ";
    std::uint64_t index = 0;
    for (std::uint64_t j = below(6); j > 0; --j)
      out += " " + std::to_string(index += 1 + below(1000)) + ":" + std::to_string(below(3)) +
             (below(2) ? "." + std::to_string(below(100000)) : "");
    if (bad && below(4) == 0) out += below(2) ? " x" : " 1:1 1:2";
    if (below(4) == 0) out += " # note";
    out += below(2) ? "\n" : below(2) ? "\r\n" : "\n\n";
  }
  return out + "1 qid:3 5:1";  // no line end
}

}  // namespace

TEST_CASE("a LIBSVM line is a label and index:value with rising indices") {
  const auto [rows, report] = parse_libsvm<double>("+1 3:0.5 7:1\n-1 1:2.5\n");
  CHECK(content(rows) == "7 features\n1 2:0x1p-1 6:0x1p+0\n-1 0:0x1.4p+1\n");
  CHECK(report.rows == 2);
  CHECK(report.nonzeros == 3);
  CHECK(report.index_base == 1);
  CHECK(report.targets == LibsvmTargets::labels);
  CHECK(report.skipped == 0);
  CHECK(report.bytes == 22);
}

TEST_CASE("blanks, tabs, comments, carriage returns, empty lines, a byte order mark and a missing last line end change nothing") {
  const std::string expected = parsed("1 1:2 3:4\n2\n");
  CHECK(expected == "3 features\n1 0:0x1p+1 2:0x1p+2\n2\n");
  for (const char* lines : {"1 1:2 3:4\n2", "1 1:2 3:4\r\n2\r\n", "  1\t1:2  3:4 \t\n 2 \n", "# first\n\n1 1:2 3:4# note\n2 # 5:6\n\n#",
                            "\xEF\xBB\xBF"
                            "1 1:2 3:4\n2\n",
                            "\r\n1 1:2 3:4 \r\n \n\t\r\n2\r\n", "1 1:2 3:4 # a # b 5:1\n2#"}) {
    CAPTURE(lines);
    CHECK(parsed(lines) == expected);
  }
  CHECK(parsed("") == "0 features, all ones\n");
  CHECK(parsed("\n# nothing\n \n") == "0 features, all ones\n");
}

TEST_CASE("indices begin with 1, or with 0 where index 0 is used anywhere, or as the options say") {
  CHECK(parsed("1 1:1\n1 2:1\n") == "2 features, all ones\n1 0:0x1p+0\n1 1:0x1p+0\n");
  CHECK(parsed("1 1:1\n1 0:1\n") == "2 features, all ones\n1 1:0x1p+0\n1 0:0x1p+0\n");
  CHECK(parsed("1 1:1\n", with([](auto& o) { o.index_base = 0; })) == "2 features, all ones\n1 1:0x1p+0\n");
  refuses("1 1:1\n1 0:1\n", "line 2, column 3: found '0:1', expected an index from 1 to 2147483647",
          with([](auto& o) { o.index_base = 1; }));
  CHECK(parsed("1 00000000001:1 0000000000000000000000000003:1\n") == "3 features, all ones\n1 0:0x1p+0 2:0x1p+0\n");
  CHECK(parse_libsvm<float>("1 2147483647:1\n").rows.num_features() == 2147483647);
  CHECK(parse_libsvm<float>("1 0:1 2147483647:1\n").rows.num_features() == 2147483648);
}

TEST_CASE("num_features is the largest index or what the options say, and then a larger index is refused") {
  const auto four = with([](auto& o) { o.num_features = 4; });
  CHECK(parsed("1 1:1\n", four) == "4 features, all ones\n1 0:0x1p+0\n");
  CHECK(parsed("1 4:1\n", four) == "4 features, all ones\n1 3:0x1p+0\n");
  refuses("1 4:1\n1 5:1\n", "line 2, column 3: found '5:1', expected an index from 0 to 4 (by num_features)", four);
  // That 4 is one too many here is known only at the end.
  refuses("1 1:1\n1 4:1\n1 0:1\n", "line 2, column 3: found '4:1', expected an index from 0 to 3 (by num_features)", four);
  const auto [rows, report] =
      parse_libsvm<double>("1 1:1\n1 4:1\n1 0:1\n", with([](auto& o) { o.num_features = 4, o.on_error = OnError::skip; }));
  CHECK(content(rows) == "4 features, all ones\n1 1:0x1p+0\n1 0:0x1p+0\n");
  CHECK(report.skipped == 1);
}

TEST_CASE("labels are whole numbers, real numbers or sets, as the file has them or as the options say") {
  CHECK(parsed("1.0 1:1\n-2e0 1:1\n") == "1 features, all ones\n1 0:0x1p+0\n-2 0:0x1p+0\n");
  CHECK(parsed("-2147483648\n2147483647\n") == "0 features, all ones\n-2147483648\n2147483647\n");
  CHECK(parsed("1 1:1\n0.5 1:1\n") == "1 features, all ones\nt0x1p+0 0:0x1p+0\nt0x1p-1 0:0x1p+0\n");
  CHECK(parsed("2147483648\n") == "0 features, all ones\nt0x1p+31\n");
  CHECK(parsed("1 1:1\n5,2 1:1\n") == "1 features, all ones\n{1 } 0:0x1p+0\n{2 5 } 0:0x1p+0\n");
  CHECK(parsed("1\n", with([](auto& o) { o.targets = LibsvmTargets::real; })) == "0 features, all ones\nt0x1p+0\n");

  const auto sets = with([](auto& o) { o.targets = LibsvmTargets::label_sets; });
  CHECK(parsed("3,1,2 2:1\n 1:1\n1:1 2:1\n4 1:1\n", sets) ==
        "2 features, all ones\n{1 2 3 } 1:0x1p+0\n{} 0:0x1p+0\n{} 0:0x1p+0 1:0x1p+0\n{4 } 0:0x1p+0\n");
  CHECK(parsed("1:1\n3,1,2 2:1\n", sets) == "2 features, all ones\n{} 0:0x1p+0\n{1 2 3 } 1:0x1p+0\n");
  CHECK(parsed("7\n1:1\n", sets) == "1 features, all ones\n{7 }\n{} 0:0x1p+0\n");
  CHECK(parsed("qid:3 1:1\n", sets) == "1 features, all ones\n{} q3 0:0x1p+0\n");

  const auto labels = with([](auto& o) { o.targets = LibsvmTargets::labels; });
  refuses("1\n0.5 1:1\n", "line 2, column 1: found '0.5', expected a label: a whole number of 32 bits", labels);
  refuses("2147483648\n", "line 1, column 1: found '2147483648', expected a label: a whole number of 32 bits", labels);
  refuses("1,2 1:1\n", "line 1, column 1: found '1,2', expected one label (several are read with targets = label_sets)", labels);
  refuses(" 1:1\n", "line 1, column 2: found '1:1', expected a label", labels);
  refuses(" 1:1\n", "line 1, column 2: found '1:1', expected a label (rows without one are read with targets = label_sets)");
  refuses("1,1 1:1\n", "line 1, column 1: found '1,1', expected each label once");
  refuses("1,2\n-1\n", "line 2, column 1: found '-1', expected labels: whole numbers from 0 to 2147483647, with commas between");
  refuses("1,\n", "line 1, column 3: found the end of the line, expected a label: a number");
  refuses("spam 1:1\n", "line 1, column 1: found 'spam', expected a label: a number");
  refuses("nan 1:1\n", "line 1, column 1: found 'nan', expected a finite number");
}

TEST_CASE("a file has a query in each row or in none") {
  CHECK(parsed("1 qid:4 1:1\n0 qid:123456789012345678\n") == "1 features, all ones\n1 q4 0:0x1p+0\n0 q123456789012345678\n");
  CHECK(parsed("1 qid:000000000000000000000000\n1 qid:0000000123456789012345678\n") ==
        "0 features, all ones\n1 q0\n1 q123456789012345678\n");
  refuses("1 qid:4 1:1\n0 1:1\n", "line 2, column 3: found '1:1', expected qid:, as in the first row");
  refuses("1 1:1\n0 qid:4 1:1\n", "line 2, column 3: found 'qid:4', expected no qid:, as in the first row");
  refuses("1 qid:x\n", "line 1, column 3: found 'qid:x', expected qid: and a whole number of at most 18 digits");
  refuses("1 qid:1234567890123456789\n",
          "line 1, column 3: found 'qid:1234567890123456789', expected qid: and a whole number of at most 18 digits");
  refuses("1 1:1 qid:3\n", "line 1, column 7: found 'qid:3', expected index:value");
  const auto [rows, report] = parse_libsvm<double>("1 qid:4 1:1\n0 1:1\n2 qid:5\n", with(skip));
  CHECK(content(rows) == "1 features, all ones\n1 q4 0:0x1p+0\n2 q5\n");
  CHECK(report.messages == std::vector<std::string>{"text: line 2, column 3: found '1:1', expected qid:, as in the first row"});
}

TEST_CASE("malformed entries are refused with line, column, what was found and what was expected") {
  refuses("1 1:1\n1 2\n", "line 2, column 3: found '2', expected index:value");
  refuses("1 :1\n", "line 1, column 3: found ':1', expected index:value");
  refuses("1 -1:1\n", "line 1, column 3: found '-1:1', expected index:value");
  refuses("1 1 :1\n", "line 1, column 3: found '1', expected index:value");
  refuses("1 1: 1\n", "line 1, column 5: found a blank, expected a number");
  refuses("1 1:\n", "line 1, column 5: found the end of the line, expected a number");
  refuses("1 1:\r\n", "line 1, column 5: found a blank, expected a number");
  refuses("1 1:x\n", "line 1, column 5: found 'x', expected a number");
  refuses("1 1:1x\n", "line 1, column 5: found '1x', expected a number");
  refuses("1 1:1:1\n", "line 1, column 5: found '1:1', expected a number");
  refuses("1 1:1,5\n", "line 1, column 5: found '1,5', expected a number");
  refuses("1 1:0x10\n", "line 1, column 5: found '0x10', expected a number");
  refuses("1 1:1\r2:2\n", "line 1, column 5: found '1\\x0D2:2', expected a number");
  refuses({"1 \0 1:1\n", 8}, "line 1, column 3: found '\\x00', expected index:value");
  refuses("1 2:1 1:1\n", "line 1, column 7: found '1:1', expected an index above 2, the one before");
  refuses("1 2:1 2:1\n", "line 1, column 7: found '2:1', expected each index once in a row");
  refuses("1 2147483648:1\n", "line 1, column 3: found '2147483648:1', expected an index from 0 to 2147483647");
  refuses("1 18446744073709551617:1\n", "line 1, column 3: found '18446744073709551617:1', expected an index from 0 to 2147483647");
  refuses("1 00021474836480:1\n", "line 1, column 3: found '00021474836480:1', expected an index from 0 to 2147483647");
  refuses("1 1:1e999\n", "line 1, column 5: found '1e999', expected a finite number");
  refuses("1 1:nan\n", "line 1, column 5: found 'nan', expected a finite number");
  refuses("1 1:-inf\n", "line 1, column 5: found '-inf', expected a finite number");
  refuses("1 1:" + std::string(50, 'y'), "line 1, column 5: found '" + std::string(40, 'y') + "…', expected a number");
  CHECK_THROWS_MATCHES(parse_libsvm<float>("1 1:1e39\n"), FileError,
                       Message("text: line 1, column 5: found '1e39', expected a finite number that float can hold"));
}

TEST_CASE("what is refused is read where the options say so") {
  const auto kept = parse_libsvm<double>("1 1:nan 2:-inf 3:1e999\n", with([](auto& o) { o.not_finite = NotFinite::keep; })).rows;
  CHECK(std::isnan(kept.values()[0]));
  CHECK(kept.values()[1] == -std::numeric_limits<double>::infinity());
  CHECK(kept.values()[2] == std::numeric_limits<double>::infinity());
  const auto sort = with([](auto&o) { o.sort_indices = true; }), add = with([](auto&o) { o.add_duplicates = true; }),
             both = with([](auto&o) { o.sort_indices = o.add_duplicates = true; });
  CHECK(parsed("1 1:1\n1 3:3 1:1 2:2\n", sort) == "3 features\n1 0:0x1p+0\n1 0:0x1p+0 1:0x1p+1 2:0x1.8p+1\n");
  refuses("1 3:3 1:1 3:2\n", "line 1, column 1: found '1', expected each index once in a row", sort);
  CHECK(parsed("1 1:1 1:1 2:3\n", add) == "2 features\n1 0:0x1p+1 1:0x1.8p+1\n");
  refuses("1 2:1 1:1\n", "line 1, column 7: found '1:1', expected an index above 2, the one before", add);
  refuses("1 1:1e308 1:1e308\n", "line 1, column 1: found '1', expected values of the same index with a finite sum", add);
  CHECK(parsed("1 1:0 1:1 2:1\n", add) == "2 features, all ones\n1 0:0x1p+0 1:0x1p+0\n");
  CHECK(parsed("1 3:1 1:1\n", sort) == "3 features, all ones\n1 0:0x1p+0 2:0x1p+0\n");
  CHECK(parsed("1 2:1 1:1 2:4\n", both) == "2 features\n1 0:0x1p+0 1:0x1.4p+2\n");
}

TEST_CASE("rows that hold something else are skipped and counted where the options say so, and the rest is as if they were not there") {
  const auto [rows, report] = parse_libsvm<double>("1 1:2 2:1\nspam\n2 3:1 4:x\n3 1:1 1:1\n4 2:5\n", with(skip));
  CHECK(content(rows) == parsed("1 1:2 2:1\n4 2:5\n"));
  CHECK(report.rows == 2);
  CHECK(report.skipped == 3);
  CHECK(report.messages == std::vector<std::string>{"text: line 2, column 1: found 'spam', expected a label: a number",
                                                    "text: line 3, column 9: found 'x', expected a number",
                                                    "text: line 4, column 7: found '1:1', expected each index once in a row"});
  std::string many;
  for (int i = 0; i < 100; ++i) many += "x\n";
  const auto all = parse_libsvm<double>(many, with(skip)).report;
  CHECK(all.skipped == 100);
  CHECK(all.messages.size() == 10);
  // Index 0, a comma or 0.5 in a row left out say nothing about the others.
  CHECK(parsed("1 1:1\n1 0:1 x\n1,2 x\n0.5 x\n", with(skip)) == "1 features, all ones\n1 0:0x1p+0\n");
  // A row without a label is one of them, also beside label sets, and whether or not the file is read again for another row.
  const std::string expected = "5 features, all ones\n{0 2 } 0:0x1p+0\n{1 } 4:0x1p+0\n";
  CHECK(parsed("0,2 1:1\n3:1\n1 5:1\n", with(skip)) == expected);
  CHECK(parsed("0,2 1:1\n3:1\n1 5:1\n-1 2:1\n", with(skip)) == expected);
}

TEST_CASE("the result and the first error are the same for pieces of every size and any number of threads") {
  const std::string good = random_lines(200, false), bad = random_lines(200, true);
  const std::string expected = content(parse_libsvm<float>(good).rows);
  const auto skipped = parse_libsvm<float>(bad, with(skip));
  REQUIRE(skipped.report.skipped > 20);
  std::string error;
  try {
    parse_libsvm<float>(bad);
  } catch (const FileError& first) {
    error = first.what();
  }
  CHECK(error == skipped.report.messages[0]);
  for (const std::size_t piece : {1u, 2u, 3u, 7u, 16u, 64u, 100u, 1000u, 100000u})
    for (const int threads : {1, 2, 3}) {
      CAPTURE(piece, threads);
      auto options = with(skip);
      options.threads = threads;
      const auto again = parade::detail::read_libsvm<float>(parade::detail::TextSource{bad, "text"}, options, {.piece = piece});
      CHECK(content(again.rows) == content(skipped.rows));
      CHECK(again.report.messages == skipped.report.messages);
      CHECK(again.report.skipped == skipped.report.skipped);
      options.on_error = OnError::stop;
      CHECK_THROWS_MATCHES(parade::detail::read_libsvm<float>(parade::detail::TextSource{bad, "text"}, options, {.piece = piece}),
                           FileError, Message(error));
      CHECK(content(parade::detail::read_libsvm<float>(parade::detail::TextSource{good, "text"}, options, {.piece = piece}).rows) ==
            expected);
    }
}

TEST_CASE("values, sets and queries that begin in a later piece are found for the rows before it, too") {
  const LibsvmOptions options = with(skip);
  for (const char* lines : {"1 1:1\n2 3:1\n3 1:1 2:5\n4 1:1\n", "1 2:1\n2,3 1:1\n4 1:1\n", "1 qid:1\n2 qid:2 1:1\n3 1:1\n4 qid:5\n"})
    for (const std::size_t piece : {1u, 6u, 8u, 14u})
      CHECK(content(parade::detail::read_libsvm<double>(parade::detail::TextSource{lines, "text"}, options, {.piece = piece}).rows) ==
            parsed(lines, options));
}

TEST_CASE("values and sets that begin after many pieces are found for the rows before them, too") {
  std::string ones;
  for (int i = 0; i < 1000; ++i) ones += "1 1:1\n";
  for (const std::string& last : {std::string{"1 1:2\n"}, std::string{"1,2 1:1\n"}}) {
    const auto read = [&](std::size_t piece) {
      return content(parade::detail::read_libsvm<double>(parade::detail::TextSource{ones + last, "text"}, {}, {.piece = piece}).rows);
    };
    CHECK((read(6) == read(1 << 20)));
  }
}

TEST_CASE("a file is read like text in memory, packed or not, and a line may be longer than a piece") {
  const TemporaryFolder folder;
  std::string lines = random_lines(5000, false) + "\n1 qid:3";
  for (int i = 1; i < 100000; ++i) lines += " " + std::to_string(i) + ":" + std::to_string(i % 7) + ".5";
  lines += "\n2 qid:3 1:1\n";
  const auto expected = content(parse_libsvm<float>(lines).rows);
  const auto file = write(folder.path / "plain", lines);
  CHECK((content(read_libsvm<float>(file).rows) == expected));
#if PARADE_HAS_ZLIB
  parade::detail::write_file(folder.path / "packed.gz", {reinterpret_cast<const std::uint8_t*>(lines.data()), lines.size()});
  REQUIRE(fs::file_size(folder.path / "packed.gz") < lines.size() / 2);
  CHECK((content(read_libsvm<float>(folder.path / "packed.gz").rows) == expected));
  CHECK(read_libsvm<float>(folder.path / "packed.gz").report.bytes == lines.size());
  write(folder.path / "cut.gz", "\x1F\x8B\x08");
  CHECK_THROWS_MATCHES(
      read_libsvm<float>(folder.path / "cut.gz"), FileError,
      Message((folder.path / "cut.gz").string() + ": byte 3: found the end of the file, expected a whole gzip file and nothing behind it"));
#endif
  CHECK_THROWS_MATCHES(read_libsvm<float>(folder.path / "missing"), FileError,
                       Message((folder.path / "missing").string() + ": cannot be opened: No such file or directory"));
  CHECK_THROWS_MATCHES(read_libsvm<float>(write(folder.path / "bad", "1 1:1\n?\n")), FileError,
                       Message((folder.path / "bad").string() + ": line 2, column 1: found '?', expected a label: a number"));
}

#if PARADE_HAS_ZLIB
TEST_CASE("a packed file is unpacked by and by, whatever its lines and pieces are") {
  const TemporaryFolder folder;
  const std::string lines = random_lines(3000, true), text = lines.substr(0, lines.size() - 1);  // no line end at the end
  parade::detail::write_file(folder.path / "t.gz", {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  const auto options = with(skip);
  const auto expected = parse_libsvm<float>(text, options, (folder.path / "t.gz").string());
  for (const std::size_t piece : {1u, 3u, 50u, 1000u, 1u << 18})
    for (const int threads : {1, 3}) {
      CAPTURE(piece, threads);
      auto own = options;
      own.threads = threads;
      const auto found = parade::detail::read_libsvm<float>(
          parade::detail::TextSource{folder.path / "t.gz", parade::detail::Unpack::by_and_by}, own, {.piece = piece});
      CHECK(content(found.rows) == content(expected.rows));
      CHECK(found.report.messages == expected.report.messages);
      CHECK(found.report.bytes == text.size());
    }
  // No more is in memory than what is loaded and the line that it ends in.
  parade::detail::TextSource source{folder.path / "t.gz", parade::detail::Unpack::by_and_by};
  std::uint64_t begin = 0;
  for (std::uint64_t end; (end = source.load(begin, begin + 1000)) > begin; begin = end) {
    CHECK(source.size() >= end);
    CHECK(source.size() <= end + (1 << 16));
    std::string there(end - begin, '\0');
    source.read(begin, there);
    CHECK((there == text.substr(begin, end - begin)));
  }
  CHECK(begin == text.size());
  CHECK(source.load(0, 10) == 10);  // and from the beginning again
}

TEST_CASE("a packed file that is damaged is that and nothing else, for any piece and number of threads") {
  const TemporaryFolder folder;
  std::string text = "1 1:x\n";  // which is wrong, too
  for (int i = 0; i < 40000; ++i)
    text += std::to_string(i % 7) + " " + std::to_string(i % 1000 + 1) + ":" + std::to_string(i * 37 % 1009) + "\n";
  const auto file = folder.path / "t.gz";
  parade::detail::write_file(file, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  const auto check = [&](const std::string& why) {
    for (const OnError on_error : {OnError::stop, OnError::skip})
      for (const std::size_t piece : {100u, 1u << 18})
        for (const int threads : {1, 3}) {
          CAPTURE(piece, threads);
          LibsvmOptions options;
          options.on_error = on_error;
          options.threads = threads;
          CHECK_THROWS_WITH(parade::detail::read_libsvm<float>(parade::detail::TextSource{file, parade::detail::Unpack::by_and_by}, options,
                                                               {.piece = piece}),
                            ContainsSubstring(why));
        }
  };
  fs::resize_file(file, fs::file_size(file) - 5);
  check("found the end of the file, expected a whole gzip file");
  fs::resize_file(file, fs::file_size(file) / 2);
  check("found the end of the file, expected a whole gzip file");
}
#endif

TEST_CASE("a line that is too long for a file that is read in parts is refused, whatever its pieces are") {
  const TemporaryFolder folder;
  constexpr std::size_t most = 30;
  const auto read = [&](const fs::path& file, OnError on_error, std::size_t piece, int threads) {
    LibsvmOptions options;
    options.on_error = on_error;
    options.threads = threads;
    try {
      const auto found = parade::detail::read_libsvm<float>(parade::detail::TextSource{file, parade::detail::Unpack::by_and_by}, options,
                                                            {.piece = piece, .most_line = most});
      return content(found.rows) + std::to_string(found.report.skipped);
    } catch (const FileError& error) {
      return std::string(error.what()).substr(file.string().size() + 2);
    }
  };
  const parade::Random random{9, parade::Purpose::user};
  std::uint64_t next = 0;
  const auto below = [&](std::uint64_t end) { return static_cast<std::size_t>(random.bits(next++) % end); };
  int too_long = 0, bad = 0, good = 0;
  for (int trial = 0; trial < 40; ++trial) {
    // Lines of many lengths, most of them short enough, and what the answer is for the first that is not.
    std::string lines;
    const std::string end = below(2) ? "\n" : "\r\n";
    bool is_bad = false;
    const OnError on_error = below(2) ? OnError::skip : OnError::stop;
    std::string expected;
    int number = 1;
    for (std::size_t count = below(12); count > 0; --count, ++number) {
      std::string line = below(3) ? "1 1:1 #" : below(3) ? "1 1:" : below(2) ? "#" : "?";
      line += std::string(below(8) ? below(20) : count == 1 ? most - line.size() : below(300), '1');
      if (line.ends_with(':')) line += '1';
      lines += line + end;
      if (!expected.empty()) continue;
      if (line.size() + end.size() - 1 > most) {
        expected =
            text("line ", number, ", column 1: found a line of more than 30 bytes, expected a shorter one where a file is read in parts");
      } else if (line[0] == '?' && on_error == OnError::stop) {
        expected = text("line ", number, ", column 1: found");
        is_bad = true;
      }
    }
    if (below(2) && !lines.empty()) lines.pop_back();  // no line end at the end
    const auto plain = write(folder.path / "plain", lines);
    const std::string whole = read(plain, on_error, most, 1);
    if (expected.empty()) {
      LibsvmOptions options;
      options.on_error = on_error;
      const auto found = parse_libsvm<float>(lines, options);
      CHECK(whole == content(found.rows) + std::to_string(found.report.skipped));
    } else {
      CHECK(whole.substr(0, is_bad ? expected.size() : whole.size()) == expected);
    }
    ++(expected.empty() ? good : is_bad ? bad : too_long);
    for (const std::size_t piece : {1u, 2u, 5u, 16u, 29u, 30u})
      for (const int threads : {1, 3}) {
        CAPTURE(lines, piece, threads);
        CHECK(read(plain, on_error, piece, threads) == whole);
#if PARADE_HAS_ZLIB
        parade::detail::write_file(folder.path / "packed.gz", {reinterpret_cast<const std::uint8_t*>(lines.data()), lines.size()});
        CHECK(read(folder.path / "packed.gz", on_error, piece, threads) == whole);
#endif
      }
  }
  CHECK(std::min({too_long, bad, good}) >= 3);
  // Read as a whole, no line is.
  std::string line = "1";
  for (int i = 1; i < 100000; ++i) line += " " + std::to_string(i) + ":2";
  CHECK(parse_libsvm<float>(line).report.nonzeros == 99999);
}

#if PARADE_HAS_ZLIB
TEST_CASE("a packed file of many members, some of them empty, is one text, with any line ends") {
  const TemporaryFolder folder;
  const auto file = folder.path / "t.gz";
  for (const std::string end : {"\n", "\r\n"})
    for (const bool ends : {true, false}) {
      std::string lines;
      for (int i = 0; i < 60; ++i)
        lines += std::to_string(i % 3) + " " + std::to_string(i % 7 + 1) + ":0.25 9:" + std::to_string(i) + (i < 59 || ends ? end : "");
      const auto expected = content(parse_libsvm<float>(lines).rows);
      LibsvmOptions options;
      options.threads = 1;  // several would wait for each other at many small pieces
      for (const std::size_t most : {1u, 3u, 10u, 1000u}) {
        write_members(file, parts_of(lines, most, most));
        CAPTURE(end, ends, most);
        const auto found = read_libsvm<float>(file);
        CHECK(content(found.rows) == expected);
        CHECK(found.report.bytes == lines.size());
        for (const std::size_t piece : {1u, 7u, 1000u})
          CHECK(content(parade::detail::read_libsvm<float>(parade::detail::TextSource{file, parade::detail::Unpack::by_and_by}, options,
                                                           {.piece = piece})
                            .rows) == expected);
        CHECK((parade::detail::TextSource{file}.all() == lines));
      }
    }
  write_members(file, {"", "", ""});
  CHECK(read_libsvm<float>(file).report.rows == 0);
  write_members(file, {"1 1:1\r", "", "\n1 1:x\r", "\n"});
  CHECK_THROWS_WITH(read_libsvm<float>(file), ContainsSubstring("line 2, column 5: found 'x', expected a number"));
}

TEST_CASE("a packed file whose parts are packed very differently is unpacked in equal steps, and nothing is lost") {
  const TemporaryFolder folder;
  const auto file = folder.path / "t.gz";
  const parade::Random random{5, parade::Purpose::user};
  std::string same, different, comments;
  for (std::uint64_t i = 0; i < 12000; ++i) {
    same += "1 1:1 2:1\n";
    different += std::to_string(random.below(3 * i, 9)) + " 1:" + std::to_string(random.bits(3 * i + 1)) +
                 " 2:" + std::to_string(random.bits(3 * i + 2)) + "\n";
  }
  comments = std::string(300000, '#') + "\n" + std::string(100000, '\n');
  std::vector<double> ratios;
  for (const std::string& part : {same, different, comments}) {
    write_members(file, {part});
    ratios.push_back(static_cast<double>(part.size()) / static_cast<double>(fs::file_size(file)));
  }
  REQUIRE(*std::max_element(ratios.begin(), ratios.end()) > 50 * *std::min_element(ratios.begin(), ratios.end()));
  for (const auto& parts :
       {std::vector{same, different, comments}, {different, same, comments}, {comments, different, same}, {different, comments, same}}) {
    write_members(file, parts);
    std::string text;
    for (const auto& part : parts) text += part;
    LibsvmOptions options;
    options.threads = 2;
    const auto found = read_libsvm<float>(file, options);
    CHECK((content(found.rows) == content(parse_libsvm<float>(text, options).rows)));
    CHECK(found.report.rows == 24000);
    CHECK(found.report.bytes == text.size());
    parade::detail::TextSource source{file, parade::detail::Unpack::by_and_by};
    std::uint64_t begin = 0;
    bool whole = true;
    for (std::uint64_t end; (end = source.load(begin, begin + 100000)) > begin; begin = end) {
      CHECK(source.size() <= end + 300000 + (1 << 16));  // the longest line
      std::string there(end - begin, '\0');
      source.read(begin, there);
      whole = whole && there == text.substr(begin, end - begin);
    }
    CHECK(whole);
    CHECK(begin == text.size());
  }
}

TEST_CASE("no more of a packed file is unpacked than tells that a line is too long") {
  const TemporaryFolder folder;
  const std::string text = "1 1:1\n#" + std::string(10000000, 'x');
  parade::detail::write_file(folder.path / "t.gz", {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  parade::detail::TextSource source{folder.path / "t.gz", parade::detail::Unpack::by_and_by};
  CHECK(source.load(0, 1000, 500000) == 1000);
  CHECK(source.size() > 500000);
  CHECK(source.size() < 600000);
  parade::detail::TextPiece piece;
  parade::detail::read_lines(source, 0, 1000, piece, 500000);
  CHECK(piece.is_too_long);
  CHECK(std::string(piece.begin, piece.end) == "1 1:1\n");
}
#endif

TEST_CASE("a line that holds something else is reported before the part of the file behind it that cannot be read") {
  const TemporaryFolder folder;
  std::string lines = "1";  // long, so that the other thread fails first
  for (int i = 1; i < 500000; ++i) lines += " " + std::to_string(i) + ":2";
  const std::size_t cut = lines.size() + 3;
  for (const auto& [end, on_error] : {std::pair{" x\n", OnError::stop}, {" x\n", OnError::skip}, {" \n\n", OnError::stop}}) {
    const auto file = write(folder.path / "file", lines + end + "1\n");
    parade::detail::TextSource source{file};
    fs::resize_file(file, cut);  // while it is open
    LibsvmOptions options;
    options.on_error = on_error;
    options.threads = 2;
    const bool bad_line = end == std::string{" x\n"} && on_error == OnError::stop;
    CHECK_THROWS_MATCHES(parade::detail::read_libsvm<float>(std::move(source), options, {.piece = cut}), FileError,
                         Message(file.string() + (bad_line ? text(": line 1, column ", cut - 1, ": found 'x', expected index:value")
                                                           : text(": byte ", cut, ": found the end of the file, expected ", cut + 2,
                                                                  " bytes as when it was opened"))));
  }
}

TEST_CASE("options that break a rule are refused") {
  const auto refused = [](const LibsvmOptions& options, const char* why) {
    CHECK_THROWS_MATCHES(parse_libsvm<float>("1\n", options), OptionError, Message(why));
  };
  refused(with([](auto& o) { o.index_base = 2; }), "index_base must be 0 or 1; got 2");
  refused(with([](auto& o) { o.num_features = -1; }), "num_features must be in [0, 2^31]; got -1");
  refused(with([](auto& o) { o.threads = -1; }), "threads must be at least 0; got -1");
}

TEST_CASE("rows that were written are read again, to the last bit") {
  const TemporaryFolder folder;
  const auto file = folder.path / "written";
  const auto rows = parse_libsvm<float>("1 1:0.1 3:1e-30\n-2\n0 2:16777216 4:-0\n").rows;
  write_libsvm(file, rows);
  std::ifstream in{file};
  CHECK(std::string{std::istreambuf_iterator<char>{in}, {}} == "1 1:0.1 3:1e-30\n-2\n0 2:16777216 4:-0\n");
  CHECK(content(read_libsvm<float>(file).rows) == content(rows));

  for (const char* lines : {"", "1 qid:3 1:1 2:1\n2 qid:4 2:1\n", "0.1 1:0.3\n1e300 2:5e-324\n-0 3:1\n", "1,2 1:1\n3 2:1\n"}) {
    CAPTURE(lines);
    const auto more = parse_libsvm<double>(lines).rows;
    write_libsvm(file, more);
    CHECK(content(read_libsvm<double>(file).rows) == content(more));
    write_libsvm(file, more, 0);
    CHECK(content(read_libsvm<double>(file, with([](auto& o) { o.index_base = 0; })).rows) == content(more));
  }
  const auto sets = with([](auto& o) { o.targets = LibsvmTargets::label_sets; });
  const auto empty_set = parse_libsvm<double>("1,2 1:1\n 1:1\n", sets).rows;
  write_libsvm(file, empty_set);
  CHECK(content(read_libsvm<double>(file, sets).rows) == content(empty_set));

  // What the file does not say, the reader is told.
  const auto real = with([](auto& o) { o.targets = LibsvmTargets::real; });
  const auto whole_targets = parse_libsvm<double>("1 1:1\n-2 1:1\n", real).rows;
  write_libsvm(file, whole_targets);
  CHECK(read_libsvm<double>(file).rows.has_labels());
  CHECK(content(read_libsvm<double>(file, real).rows) == content(whole_targets));
  const auto last = with([](auto& o) { o.index_base = 0; });
  const auto with_last = parse_libsvm<double>("1 2147483647:1\n", last).rows;
  write_libsvm(file, with_last, 0);
  CHECK(content(read_libsvm<double>(file, last).rows) == content(with_last));

  const auto large = parse_libsvm<float>(random_lines(40000, false)).rows;  // more than is written at a time
  write_libsvm(file, large);
  REQUIRE(fs::file_size(file) > 1 << 20);
  CHECK((content(read_libsvm<float>(file).rows) == content(large)));
#if PARADE_HAS_ZLIB
  write_libsvm(folder.path / "written.gz", large);
  CHECK(fs::file_size(folder.path / "written.gz") < fs::file_size(file) / 2);
  CHECK((content(read_libsvm<float>(folder.path / "written.gz").rows) == content(large)));
#endif
}

TEST_CASE("rows that the format cannot hold are not written, and leave what was there") {
  const TemporaryFolder folder;
  const auto file = write(folder.path / "file", "before");
  const Vector<std::int64_t> none = Vector<std::int64_t>::Zero(2);
  const SparseRows<float> rows{none, {}, {}, 1};
  CHECK_THROWS_MATCHES(write_libsvm(file, rows.with_targets(parade::Matrix<double>::Zero(2, 1))), DataError,
                       Message("a LIBSVM file holds 1 target a row; got 2"));
  CHECK_THROWS_MATCHES(write_libsvm(file, rows.with_label_sets(none, {})), DataError,
                       Message("row 0 has no labels, no entries and no query: a LIBSVM file cannot hold it"));
  CHECK_THROWS_MATCHES(write_libsvm(file, rows.with_queries(Vector<std::int64_t>::Constant(1, -1))), DataError,
                       Message("queries must be in [0, 10^18) in a LIBSVM file; got -1 in row 0"));
  const Vector<std::int64_t> one{{0, 1}};
  const SparseRows<float> last{one, Vector<std::int32_t>{{2147483647}}, {}, Index{1} << 31};
  CHECK_THROWS_MATCHES(write_libsvm(file, last), DataError,
                       Message("indices must be below 2147483647 in a LIBSVM file with index_base = 1; got 2147483647 in row 0"));
  CHECK_THROWS_MATCHES(write_libsvm(file, rows, 2), OptionError, Message("index_base must be 0 or 1; got 2"));
  std::ifstream in{file};
  CHECK(std::string{std::istreambuf_iterator<char>{in}, {}} == "before");
  CHECK(std::distance(fs::directory_iterator{folder.path}, fs::directory_iterator{}) == 1);
}

TEST_CASE("reading and writing take no notice of the locale") {
  struct Comma : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  const TemporaryFolder folder;
  const auto before = std::locale::global(std::locale{std::locale::classic(), new Comma});
  const auto rows = parse_libsvm<double>("1234.5 1234567:1234.5\n").rows;
  std::string why;
  try {
    parse_libsvm<double>("1 1:1,5\n" + std::string(2000, '\n'));
  } catch (const FileError& error) {
    why = error.what();
  }
  write_libsvm(folder.path / "file", rows);
  std::locale::global(before);
  CHECK(rows.targets()(0, 0) == 1234.5);
  CHECK(rows.values()[0] == 1234.5);
  CHECK(why == "text: line 1, column 5: found '1,5', expected a number");
  std::ifstream in{folder.path / "file"};
  CHECK(std::string{std::istreambuf_iterator<char>{in}, {}} == "1234.5 1234567:1234.5\n");
}

}  // namespace libsvm_test
