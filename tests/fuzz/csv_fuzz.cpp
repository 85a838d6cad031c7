// SPDX-License-Identifier: MIT
// Any bytes as a CSV file: FileError or a table that holds together, the same in pieces of every size, and packed. See fuzz.hpp.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <parade/data/table_data.hpp>
#include <parade/io/csv.hpp>

#include "fuzz.hpp"

namespace {

using parade::Index;

bool same(const parade::Table& a, const parade::Table& b) {
  if (a.rows != b.rows || a.columns.size() != b.columns.size()) return false;
  for (std::size_t c = 0; c < a.columns.size(); ++c) {
    const auto &x = a.columns[c], &y = b.columns[c];
    if (x.name != y.name || x.type != y.type || x.missing != y.missing || x.levels != y.levels || x.codes != y.codes ||
        !fuzz::same_bits(x.numbers, y.numbers))
      return false;
  }
  return true;
}

/// Of the messages, `own` and `other` are the names of the files that they begin with.
bool same(const parade::CsvReport& a, const std::string& own, const parade::CsvReport& b, const std::string& other) {
  const auto is_same_message = [&](const std::string& x, const std::string& y) {
    return x.starts_with(own) && y.starts_with(other) && x.substr(own.size()) == y.substr(other.size());
  };
  return a.rows == b.rows && a.skipped == b.skipped && a.separator == b.separator && a.bytes == b.bytes &&
         std::equal(a.messages.begin(), a.messages.end(), b.messages.begin(), b.messages.end(), is_same_message);
}

/// The text packed, also with one byte changed: what is read then is the same, or the file is refused as damaged.
void check_packed(std::string_view text, const parade::CsvOptions& options, std::size_t which, const std::string& error,
                  const parade::CsvData& whole) {
  static const std::filesystem::path file = fuzz::scratch_file();
  fuzz::write_packed(file, text.data(), text.size());
  for (const bool damaged : {false, true}) {
    if (damaged) fuzz::damage(file, which);
    std::string why;
    try {
      const auto found = parade::read_csv(file, options);
      fuzz::require(error.empty() && same(found.table, whole.table), "packed tables differ");
      fuzz::require(same(found.report, file.string(), whole.report, "text"), "packed reports differ");
      continue;
    } catch (const parade::FileError& refused) {
      why = refused.what();
    }
    why.replace(0, file.string().size(), "text");
    fuzz::require(damaged || why == error, "errors of packed text differ");
    fuzz::require(why == error || why.find("a whole gzip file") != std::string::npos, "damage is told as something else");
  }
}

}  // namespace

/// The first two bytes choose the options.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  parade::CsvOptions options;
  options.on_error = data[0] & 1 ? parade::OnError::skip : parade::OnError::stop;
  options.header = data[0] & 2;
  options.trim = data[0] & 4;
  if (data[0] & 8) options.separator = ";\t,|"[data[0] >> 6];
  if (data[0] & 16) options.missing = {"-", "x"};
  options.threads = 1;
  const std::string_view text{reinterpret_cast<const char*>(data) + 2, size - 2};

  std::string error, error_in_pieces;
  const auto read = [&](std::size_t piece, std::string& why) -> parade::CsvData {
    const std::string name = "text";
    try {
      return parade::detail::CsvReader{std::string{text}, name, options, piece}.read();
    } catch (const parade::FileError& refused) {
      why = refused.what();
      return {};
    }
  };
  const auto whole = read(1 << 20, error), pieces = read(1 + data[1] % 64, error_in_pieces);
  fuzz::require(error == error_in_pieces, "errors differ");
  fuzz::require(same(whole.table, pieces.table) && whole.table.description() == pieces.table.description(), "tables differ");
  fuzz::require(same(whole.report, "text", pieces.report, "text"), "reports differ");
  if (data[1] & 64) check_packed(text, options, data[1], error, whole);
  if (!error.empty()) return 0;
  const auto& report = whole.report;
  fuzz::require(report.rows == whole.table.rows && report.bytes == text.size() &&
                    static_cast<Index>(report.messages.size()) == std::min<Index>(report.skipped, 10),
                "the report does not fit the table");
  if (text.find('"') == std::string_view::npos) {  // else a record may have several lines
    const std::string blanks = !options.trim ? "\r" : report.separator == '\t' ? "\r " : report.separator == ' ' ? "\r\t" : "\r\t ";
    const auto is_blank = [&](std::string_view line) { return line.find_first_not_of(blanks) == std::string_view::npos; };
    fuzz::require(report.rows + report.skipped + (options.header ? 1 : 0) == fuzz::count_lines(text, is_blank),
                  "not every line is a row or is left out");
  }

  for (const auto encoding : {parade::Encoding::one_hot, parade::Encoding::hashed}) {
    parade::TableOptions use;
    use.text = encoding;
    use.hash_bits = 3;
    use.drop_missing = true;
    try {
      const auto sparse = parade::sparse_rows<double>(whole.table, use);
      const auto dense = parade::dense_data<double>(whole.table, use);
      fuzz::require(sparse.data.to_dense() == parade::Matrix<double>{dense.data.values()}, "sparse and dense differ");
    } catch (const parade::DataError&) {  // no features
    }
  }

  // Text that the options below take for missing does not come back.
  for (const auto& column : whole.table.columns) {
    if (column.type != parade::ColumnType::text || options.missing.size() != 2) continue;
    return 0;
  }
  if (whole.table.columns.empty()) return 0;
  static const std::filesystem::path file = fuzz::scratch_file();
  parade::write_csv(file, whole.table);
  parade::CsvOptions again;
  again.separator = ',';
  again.threads = 1;
  for (const auto& column : whole.table.columns) again.types[column.name] = column.type;
  fuzz::require(same(parade::read_csv(file, again).table, whole.table), "what was written is not what is read");
  return 0;
}
