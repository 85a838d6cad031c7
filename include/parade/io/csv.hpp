// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <forward_list>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/threads.hpp>
#include <parade/core/types.hpp>
#include <parade/io/file.hpp>
#include <parade/io/number.hpp>
#include <parade/io/text.hpp>
#include <parade/kernels/huge_pages.hpp>

namespace parade {

/// What the values of a column are: all whole numbers between −2^53 and 2^53 (where no two of them are the same double), all finite numbers, or
/// else text. Missing values fit any.
enum class ColumnType { integer, real, text };

inline const char* name_of(ColumnType type) { return type == ColumnType::integer ? "integer" : type == ColumnType::real ? "real" : "text"; }

/// One column of a table. Numbers are kept as double; of text each different value is kept once.
struct Column {
  std::string name;
  ColumnType type = ColumnType::real;
  Index missing = 0;                // how many of the values
  Vector<double> numbers;           // (n), NaN where missing; empty for text
  std::vector<std::string> levels;  // of text: the different values, sorted by their bytes
  Vector<std::int32_t> codes;       // (n) of text: which level, −1 where missing; else empty
  std::string why_text;             // of text that the reader found to be so: the first value that is no number, and its line
  bool knows_levels = true;         // false: of text that was hashed on the way, whose levels nobody kept (make_cache)
  bool has_name = true;             // false: the file that was read gives it none, and it is called by its place: column_1, column_2, ...
};

namespace detail {

/// The names of columns, as errors list them: of more than 20 the first 20, and how many more there are.
template <class NameOf>
std::string list_of_names(const std::vector<Column>& columns, const NameOf& name_of) {
  constexpr std::size_t most = 20;
  std::string names;
  for (std::size_t c = 0; c < std::min(columns.size(), most); ++c) names += (c == 0 ? "" : ", ") + name_of(columns[c]);
  return columns.size() > most ? text(names, ", … and ", columns.size() - most, " more") : names;
}

}  // namespace detail

/// Columns with names, n values each; without any, where they were written elsewhere (make_cache).
struct Table {
  Index rows = 0;  // n
  std::vector<Column> columns;

  /// Throws DataError if there is none with this name.
  const Column& operator[](std::string_view name) const {
    for (const Column& column : columns)
      if (column.name == name) return column;
    throw DataError(detail::text("the table has no column '", name, "'; it has ",
                                 detail::list_of_names(columns, [](const Column& column) { return column.name; })));
  }

  /// The columns as lines of text: name, type, missing values, and the range of the numbers or the number of levels.
  std::string description() const {
    std::size_t width = 6;
    for (const Column& column : columns) width = std::max(width, column.name.size());
    std::string out;
    const auto cell = [&out](std::string text, std::size_t size) {
      out += text.append(size > text.size() ? size - text.size() : 0, ' ') + "  ";
    };
    cell("column", width), cell("type", 7), cell("missing", 7), out += "values\n";
    for (const Column& column : columns) {
      cell(column.name, width), cell(name_of(column.type), 7), cell(std::to_string(column.missing), 7);
      if (column.type == ColumnType::text) {
        out += column.knows_levels ? std::to_string(column.levels.size()) + " levels" : "levels not kept";
        if (!column.why_text.empty()) out += " (text because of " + column.why_text + ")";
      } else if (column.missing < rows && column.numbers.size() > 0) {
        double low = std::numeric_limits<double>::infinity(), high = -low;
        for (Index i = 0; i < column.numbers.size(); ++i) {
          if (column.numbers[i] < low) low = column.numbers[i];
          if (column.numbers[i] > high) high = column.numbers[i];
        }
        detail::append_number(out, low), out += " ... ", detail::append_number(out, high);
      }
      out += '\n';
    }
    return out;
  }
};

struct CsvOptions {
  char separator = '\0';  // NUL: of comma, tab and semicolon the one that is most often in the first record, outside quotes
  bool header = true;     // the first record is names; else columns are called column_1, column_2, ...
  std::vector<std::string> missing{"", "NA", "N/A", "?", "nan", "NaN", "NAN", "null", "NULL"};  // values that stand for none
  bool trim = true;                                                                             // blanks around a value do not count
  std::map<std::string, ColumnType> types;  // of some columns, by name; the others' are found out
  OnError on_error = OnError::stop;
  int threads = 0;  // 0: available_threads()
};

/// What was read, and what was not.
struct CsvReport {
  Index rows = 0;
  Index skipped = 0;                  // records left out, with on_error = skip
  std::vector<std::string> messages;  // of the first 10 of them
  char separator = ',';
  std::uint64_t bytes = 0;  // of text, unpacked
};

struct CsvData {
  Table table;
  CsvReport report;
};

namespace detail {

inline constexpr std::size_t csv_piece = 1 << 20;  // bytes that a thread takes at a time

/// A value between two separators.
struct CsvField {
  std::string_view text;  // without quotes and the blanks around
  bool doubled = false;   // holds a quote, written twice
  const char* at = nullptr;
};

/// What is wrong at a place in the text. Its line is counted only if somebody asks.
struct CsvError {
  const char* at = nullptr;
  std::string found, expected;
};

/// What a record may have where a file is read in parts; nothing bounds those of a text that is in memory.
struct CsvMost {
  std::size_t bytes = std::numeric_limits<std::size_t>::max();  // also of what stands before the first one
  std::size_t values = std::numeric_limits<std::size_t>::max();
};

/// A record of more than `most` bytes begins here.
inline CsvError too_long_record(const char* at, std::size_t most) {
  return {at, text("a record of more than ", most, " bytes"), "a shorter one (a quote may not end)"};
}

/// Cuts text into records and records into fields. `*end` must be readable, and is NUL.
class CsvScanner {
 public:
  CsvScanner(const char* end, char separator, bool trim, bool has_quotes = true)
      : end_(end), separator_(separator), trim_(trim), has_quotes_(has_quotes) {}

  /// Where the record ends that begins at `at`: at a line end outside quotes, or at the end of the text. A quote counts only where a field
  /// begins, up to the next one that is not doubled.
  const char* record_end(const char* at) const {
    if (!has_quotes_) {
      const auto* line_end = static_cast<const char*>(std::memchr(at, '\n', static_cast<std::size_t>(end_ - at)));
      return line_end ? line_end : end_;
    }
    for (;;) {
      at = skip_blanks(at);
      if (at < end_ && *at == '"') {
        at = behind_quote(at + 1);
        if (!at) return end_;
      }
      while (at < end_ && *at != separator_ && *at != '\n') ++at;
      if (at == end_ || *at == '\n') return at;
      ++at;
    }
  }

  /// Where the next record begins.
  const char* behind(const char* record_end) const { return record_end == end_ ? end_ : record_end + 1; }

  /// Whether nothing stands in a record, so that it is passed over.
  bool is_blank(const char* at, const char* record_end) const { return content(at, record_end) == record_end; }

  /// Where something stands in a record first.
  const char* content(const char* at, const char* record_end) const {
    while (at < record_end && (*at == '\r' || (trim_ && is_blank(*at)))) ++at;
    return at;
  }

  /// Splits a record and counts its fields, of which the first `most` + 1 are kept. 0, and the reason, if its quotes are not as they should be, or a line
  /// ends with a carriage return alone.
  std::size_t split(const char* at, const char* record_end, std::size_t most, std::vector<CsvField>& fields, CsvError& error) const {
    if (record_end > at && record_end[-1] == '\r') --record_end;
    fields.clear();
    for (std::size_t count = 1;; ++count) {
      at = skip_blanks(at);
      CsvField field;
      field.at = at;
      if (at < record_end && *at == '"') {
        const char* const begin = at + 1;
        at = behind_quote(begin);
        if (!at) {
          error = {field.at, "a quote that does not end", "a closing quote"};
          return 0;
        }
        field.text = {begin, static_cast<std::size_t>(at - 1 - begin)};
        field.doubled = field.text.find('"') != std::string_view::npos;
        at = skip_blanks(at);
        if (at < record_end && *at != separator_) {
          error = {at, in_quotes(rest(at, record_end)) + " behind a closing quote", "a separator or the end of the line"};
          return 0;
        }
      } else {
        const char* const begin = at;
        while (at < record_end && *at != separator_ && *at != '"' && *at != '\r') ++at;
        if (at < record_end && *at == '"') {
          error = {at, "a quote inside a value without quotes", "quotes around the whole value, and the quote twice"};
          return 0;
        }
        if (at < record_end && *at == '\r') {
          error = {at, "a carriage return inside a value without quotes", "a line feed behind it, or quotes around the whole value"};
          return 0;
        }
        const char* last = at;
        while (trim_ && last > begin && is_blank(last[-1])) --last;
        field.text = {begin, static_cast<std::size_t>(last - begin)};
      }
      if (count - 1 <= most) fields.push_back(field);
      if (at >= record_end) return count;
      ++at;
    }
  }

  std::string_view rest(const char* at, const char* record_end) const {
    const char* stop = at;
    while (stop < record_end && *stop != separator_) ++stop;
    return {at, static_cast<std::size_t>(stop - at)};
  }

 private:
  bool is_blank(char c) const { return (c == ' ' || c == '\t') && c != separator_; }
  const char* skip_blanks(const char* at) const {
    while (trim_ && at < end_ && is_blank(*at)) ++at;
    return at;
  }
  /// Behind the quote that closes what begins here; nullptr if none does.
  const char* behind_quote(const char* at) const {
    for (;;) {
      at = static_cast<const char*>(std::memchr(at, '"', static_cast<std::size_t>(end_ - at)));
      if (!at) return nullptr;
      if (at + 1 == end_ || at[1] != '"') return at + 1;
      at += 2;
    }
  }

  const char* end_;
  char separator_;
  bool trim_;
  bool has_quotes_;  // else there is surely none
};

/// A value as it is meant: a doubled quote is one.
inline std::string plain_text(const CsvField& field) {
  std::string out;
  for (std::size_t i = 0; i < field.text.size(); ++i) {
    out += field.text[i];
    if (field.doubled && field.text[i] == '"') ++i;
  }
  return out;
}

/// The whole field is one finite number.
inline bool csv_number(const CsvField& field, double& number) {
  const std::string_view text = field.text;
  if (text.empty() || text.front() > '9' || std::string_view{"0123456789+-."}.find(text.front()) == std::string_view::npos) return false;
  return parse_number(text.data(), number) == text.data() + text.size() && std::isfinite(number);
}

/// A whole number that stands for itself alone: 2^53 is also what 2^53 + 1 is rounded to.
inline bool csv_is_integer(double number) { return number == std::trunc(number) && std::abs(number) < 9007199254740992.0; }

/// Throws OptionError for a separator that could be part of a value.
inline void check_csv_separator(char separator) {
  if (is_digit(separator) || std::string_view{"\"\r\n+-.eE "}.find(separator) != std::string_view::npos)
    throw OptionError(
        text("separator must not be a digit, a sign, a point, an e, a quote, a blank or a line end; got ", in_quotes({&separator, 1})));
}

/// What all rows of a file have in common.
struct CsvColumns {
  char separator = ',';
  std::vector<std::string> names;
  std::vector<bool> nameless;                     // those that the file gives no name, which are called by their place
  std::vector<std::optional<ColumnType>> forced;  // the types that the options give
};

/// What rows tell: those of one text, or of several texts one after the other.
struct CsvFacts {
  struct OfColumn {
    Index missing = 0;
    bool has_fraction = false;
    std::string why_text;  // as of Column; empty while all values are numbers
  };

  CsvReport report;
  std::vector<OfColumn> columns;

  /// The table without its values.
  Table table(const CsvColumns& of) const {
    Table table{report.rows, {}};
    for (std::size_t c = 0; c < of.names.size(); ++c) {
      const OfColumn& found = columns[c];
      Column column;
      column.name = of.names[c];
      column.has_name = !of.nameless[c];
      column.missing = found.missing;
      column.type = of.forced[c]              ? *of.forced[c]
                    : !found.why_text.empty() ? ColumnType::text
                    : found.has_fraction      ? ColumnType::real
                                              : ColumnType::integer;
      if (column.missing == table.rows && !of.forced[c]) column.type = ColumnType::real;
      column.why_text = found.why_text;
      table.columns.push_back(std::move(column));
    }
    return table;
  }
};

/// Reads a text: all of a file by `read`, or whole records of one by `judge` and `fill`.
class CsvReader {
 public:
  /// `lines` stand before the text.
  CsvReader(std::string text, const std::string& name, const CsvOptions& options, std::size_t piece_bytes, std::uint64_t lines = 0)
      : text_(std::move(text)), name_(name), options_(options), piece_bytes_(piece_bytes), lines_(lines) {
    if (options.separator != '\0') check_csv_separator(options.separator);
    if (options.threads < 0) throw OptionError(detail::text("threads must be at least 0; got ", options.threads));
    for (const auto& word : options.missing) may_be_missing_[word.empty() ? 0 : static_cast<unsigned char>(word.front())] = true;
  }

  CsvData read() {
    CsvColumns columns;
    const std::size_t rows = *find_columns(columns, true);
    CsvFacts facts;
    judge(columns, rows, true, facts);
    CsvData data{facts.table(columns), std::move(facts.report)};
    fill(columns, data.table, {});
    return data;
  }

  /// Finds separator and names, and answers at which byte the rows begin: nothing, if the text is not the whole file and ends too early to tell. Where there
  /// is more than `most`, the answer, an error, does not depend on how much of the file the text is.
  std::optional<std::size_t> find_columns(CsvColumns& columns, bool is_whole, const CsvMost& most = {}) const {
    bool is_open = false;  // what was looked at may go on behind the text
    columns.separator = options_.separator != '\0' ? options_.separator : detect_separator(most, is_open);
    std::vector<CsvField> fields;
    CsvError error;
    const auto [stop, found, values] = first_record(scanner(columns), most, fields, error);
    is_open |= stop == end();
    if (is_open && !is_whole) return std::nullopt;
    if (found == First::too_long) fail(error);
    if (found == First::none) {
      if (error.at && (options_.header || options_.on_error == OnError::stop)) fail(error);
      if (options_.header) fail({end(), "the end of the file", "a header with the names of the columns"});
    } else {
      if (values > most.values)
        fail({fields[most.values].at, detail::text(values, " values"),
              detail::text("at most ", most.values, " where a file is read in parts")});
      std::unordered_set<std::string_view> names;
      columns.names.reserve(fields.size());  // they stay where they are
      for (const CsvField& field : fields) {
        std::string name = options_.header ? plain_text(field) : "";
        columns.nameless.push_back(name.empty());
        if (name.empty()) name = detail::text("column_", columns.names.size() + 1);
        columns.names.push_back(std::move(name));
        if (!names.insert(columns.names.back()).second)
          fail({field.at, in_quotes(columns.names.back()) + " again", "a name for each column that no other has"});
      }
    }
    force_types(columns);
    return static_cast<std::size_t>((options_.header ? scanner(columns).behind(stop) : begin()) - text_.data());
  }

  /// Adds to the facts what the rows from byte `begin` on tell; of types only with `find_types`.
  void judge(const CsvColumns& columns, std::size_t begin, bool find_types, CsvFacts& facts) {
    find_pieces(columns, text_.data() + begin);
    const int wanted = options_.threads > 0 ? options_.threads : available_threads();
    threads_ = static_cast<int>(std::clamp<Index>(wanted, 1, std::max<Index>(static_cast<Index>(starts_.size()) - 1, 1)));

    struct Found {
      Index missing = 0;
      bool has_fraction = false;
      const char* text_at = nullptr;  // the first value that is no number
      std::string text;
    };
    struct Piece {
      Index rows = 0, skipped = 0;
      std::vector<CsvError> errors;
      std::vector<Found> columns;
    };
    struct Nothing {};
    const std::size_t count = columns.names.size();
    facts.columns.resize(count);
    std::vector<bool> is_open(count);  // whether its type must still be found
    for (std::size_t c = 0; c < count; ++c) is_open[c] = find_types && !columns.forced[c] && facts.columns[c].why_text.empty();
    std::vector<Piece> pieces(starts_.size() - 1);
    for_each_piece<Nothing>(static_cast<Index>(pieces.size()), threads_, [&](Index p, Nothing&) {
      Piece& piece = pieces[static_cast<std::size_t>(p)];
      piece.columns.resize(count);
      const auto on_row = [&](const std::vector<CsvField>& fields) {
        ++piece.rows;
        for (std::size_t c = 0; c < count; ++c) {
          Found& found = piece.columns[c];
          if (is_missing(fields[c])) {
            ++found.missing;
          } else if (!found.text_at && is_open[c]) {
            double number = 0;
            if (!csv_number(fields[c], number)) {
              found.text_at = fields[c].at;
              found.text = in_quotes(fields[c].text);
            } else {
              found.has_fraction |= !csv_is_integer(number);
            }
          }
        }
      };
      const auto on_bad = [&](CsvError& error) {
        ++piece.skipped;
        if (piece.errors.size() < most_messages) piece.errors.push_back(std::move(error));
        return options_.on_error == OnError::skip;
      };
      for_each_row(columns, p, on_row, on_bad);
    });

    CsvReport& report = facts.report;
    report.separator = columns.separator;
    report.bytes += text_.size();
    rows_.assign(1, 0);
    for (const Piece& piece : pieces) {
      for (const CsvError& error : piece.errors) {
        if (options_.on_error == OnError::stop) fail(error);
        if (report.messages.size() < most_messages) report.messages.push_back(message(error));
      }
      report.skipped += piece.skipped;
      rows_.push_back(rows_.back() + piece.rows);
      for (std::size_t c = 0; c < count; ++c) {
        const Found& found = piece.columns[c];
        CsvFacts::OfColumn& all = facts.columns[c];
        all.missing += found.missing;
        all.has_fraction |= found.has_fraction;
        if (found.text_at && all.why_text.empty()) all.why_text = detail::text(found.text, " in line ", line_of(found.text_at));
      }
    }
    report.rows += rows_.back();
  }

  /// The table, which has its names and types, gets the values of the rows that were judged; with `wanted`, those columns only.
  void fill(const CsvColumns& of, Table& table, const std::vector<bool>& wanted) const {
    table.rows = rows_.back();
    struct Levels {
      std::unordered_map<std::string_view, std::int32_t> codes;
      std::vector<std::string_view> names;
      std::forward_list<std::string> own;  // names that do not stand in the text as they are
    };
    struct Nothing {};
    const std::size_t columns = table.columns.size(), count = starts_.size() - 1;
    const auto is_wanted = [&](std::size_t c) { return wanted.empty() || wanted[c]; };
    for (std::size_t c = 0; c < columns; ++c) {
      Column& column = table.columns[c];
      const bool is_text = column.type == ColumnType::text;
      column.codes.resize(is_text && is_wanted(c) ? table.rows : 0);
      column.numbers.resize(!is_text && is_wanted(c) ? table.rows : 0);
      kernels::use_huge_pages(column.codes);
      kernels::use_huge_pages(column.numbers);
    }
    std::vector<std::vector<Levels>> levels(count);  // of each piece, for each column
    for_each_piece<Nothing>(static_cast<Index>(count), threads_, [&](Index p, Nothing&) {
      auto& own = levels[static_cast<std::size_t>(p)];
      own.resize(columns);
      Index row = rows_[static_cast<std::size_t>(p)];
      const auto on_row = [&](const std::vector<CsvField>& fields) {
        for (std::size_t c = 0; c < columns; ++c) {
          if (!is_wanted(c)) continue;
          Column& column = table.columns[c];
          const bool missing = is_missing(fields[c]);
          if (column.type != ColumnType::text) {
            double number = std::numeric_limits<double>::quiet_NaN();
            if (!missing) csv_number(fields[c], number);
            column.numbers[row] = number;
            continue;
          }
          if (missing) {
            column.codes[row] = -1;
            continue;
          }
          std::string_view name = fields[c].text;
          if (fields[c].doubled) name = own[c].own.emplace_front(plain_text(fields[c]));
          const auto [found, fresh] = own[c].codes.try_emplace(name, static_cast<std::int32_t>(own[c].names.size()));
          if (fresh) own[c].names.push_back(name);
          column.codes[row] = found->second;
        }
        ++row;
      };
      for_each_row(of, p, on_row, [](CsvError&) { return true; });
    });

    for_each_piece<Nothing>(static_cast<Index>(columns), threads_, [&](Index which, Nothing&) {
      const auto c = static_cast<std::size_t>(which);
      Column& column = table.columns[c];
      if (column.type != ColumnType::text || !is_wanted(c)) return;
      std::vector<std::string_view> names;
      for (const auto& piece : levels) names.insert(names.end(), piece[c].names.begin(), piece[c].names.end());
      std::sort(names.begin(), names.end());
      names.erase(std::unique(names.begin(), names.end()), names.end());
      column.levels.assign(names.begin(), names.end());
      for (std::size_t p = 0; p < count; ++p) {
        std::vector<std::int32_t> code;
        for (const auto name : levels[p][c].names)
          code.push_back(static_cast<std::int32_t>(std::lower_bound(names.begin(), names.end(), name) - names.begin()));
        for (Index row = rows_[p]; row < rows_[p + 1]; ++row)
          if (column.codes[row] >= 0) column.codes[row] = code[static_cast<std::size_t>(column.codes[row])];
      }
    });
  }

 private:
  const char* begin() const {
    return text_.data() + (lines_ == 0 && text_.starts_with(byte_order_mark) ? byte_order_mark.size() : std::size_t{0});
  }
  const char* end() const { return text_.data() + text_.size(); }
  CsvScanner scanner(const CsvColumns& columns) const { return {end(), columns.separator, options_.trim}; }

  char detect_separator(const CsvMost& most, bool& is_open) const {
    char best = ',';
    std::size_t separators = 0;
    for (const char candidate : {',', '\t', ';'}) {
      std::vector<CsvField> fields;
      CsvError ignored;
      const auto [stop, found, values] = first_record(CsvScanner{end(), candidate, true}, {most.bytes, 0}, fields, ignored);
      is_open |= stop == end();
      if (found == First::record && values > separators + 1) {
        separators = values - 1;
        best = candidate;
      }
    }
    return best;
  }

  [[noreturn]] void fail(const CsvError& error) const { throw FileError(message(error)); }

  std::uint64_t line_of(const char* at) const { return lines_ + 1 + static_cast<std::uint64_t>(std::count(text_.data(), at, '\n')); }

  std::string message(const CsvError& error) const {
    const char* line = error.at;
    while (line > text_.data() && line[-1] != '\n') --line;
    return TextError{line_of(error.at), static_cast<std::uint64_t>(error.at - line) + 1, error.found, error.expected}.message(name_);
  }

  enum class First { record, none, too_long };
  struct FirstRecord {
    const char* end;  // of what was looked at last; where more of the text cannot change the answer, before the text's own end
    First found;      // none: there is none, or it is malformed; too_long: what stands there, or before it, has more than `most.bytes`
    std::size_t values = 0;  // of a record, of which the first most.values + 1 are kept
  };
  /// Splits the first record that is not blank. Without a header, where malformed records are left out, it is the first that is well-formed.
  FirstRecord first_record(const CsvScanner& scanner, const CsvMost& most, std::vector<CsvField>& fields, CsvError& error) const {
    const bool may_skip = !options_.header && options_.on_error == OnError::skip;
    for (const char* at = begin();;) {
      const char* const stop = scanner.record_end(at);
      const char* const content = scanner.content(at, stop);
      const bool blank = content == stop;
      if (static_cast<std::size_t>(content - begin()) > most.bytes) {
        error = {text_.data(), detail::text("more than ", most.bytes, " bytes of blank ", may_skip ? "or malformed " : "", "lines"),
                 options_.header ? "a header with the names of the columns" : "a record"};
        return {content - 1, First::too_long};
      }
      if (static_cast<std::size_t>(stop - at) > most.bytes) {
        error = too_long_record(at, most.bytes);
        return {stop - 1, First::too_long};
      }
      if (!blank)
        if (const std::size_t values = scanner.split(at, stop, most.values, fields, error); values > 0)
          return {stop, First::record, values};
      if (stop == end() || !(blank || may_skip)) return {stop, First::none};
      at = scanner.behind(stop);
    }
  }

  void force_types(CsvColumns& columns) const {
    columns.forced.assign(columns.names.size(), std::nullopt);
    auto missing = options_.types;
    for (std::size_t c = 0; c < columns.names.size() && !missing.empty(); ++c)
      if (const auto found = missing.find(columns.names[c]); found != missing.end()) {
        columns.forced[c] = found->second;
        missing.erase(found);
      }
    if (!missing.empty()) throw OptionError(detail::text("types must name columns of ", name_, "; got '", missing.begin()->first, "'"));
  }

  /// Cuts the text into pieces of whole records.
  void find_pieces(const CsvColumns& columns, const char* at) {
    const CsvScanner scanner = this->scanner(columns);
    const char* const end = this->end();
    has_quotes_ = std::memchr(at, '"', static_cast<std::size_t>(end - at)) != nullptr;
    // For each piece there are facts about each column: of very many columns, pieces are so large that these take no more than some times the text.
    const std::size_t many = columns.names.size() > 1000 ? columns.names.size() : 0, piece_bytes = std::max(piece_bytes_, 64 * many);
    starts_.assign(1, at);
    while (at < end) {
      if (has_quotes_) {
        const char* const from = at;
        while (at < end && static_cast<std::size_t>(at - from) < piece_bytes) at = scanner.behind(scanner.record_end(at));
      } else {
        at += std::min(piece_bytes, static_cast<std::size_t>(end - at));
        if (at < end && at[-1] != '\n') {
          const auto* line_end = static_cast<const char*>(std::memchr(at, '\n', static_cast<std::size_t>(end - at)));
          at = line_end ? line_end + 1 : end;
        }
      }
      starts_.push_back(at);
    }
  }

  bool is_missing(const CsvField& field) const {
    if (!may_be_missing_[field.text.empty() ? 0 : static_cast<unsigned char>(field.text.front())]) return false;
    return std::find(options_.missing.begin(), options_.missing.end(), field.text) != options_.missing.end();
  }

  /// Calls on_row(fields) for each record of piece p that is a row, and on_error(error) for the others.
  template <class OnRow, class OnBad>
  void for_each_row(const CsvColumns& columns, Index p, const OnRow& on_row, const OnBad& on_bad) const {
    const CsvScanner scanner{end(), columns.separator, options_.trim, has_quotes_};
    std::vector<CsvField> fields;
    CsvError error;
    const char* const stop_at = starts_[static_cast<std::size_t>(p) + 1];
    for (const char* at = starts_[static_cast<std::size_t>(p)]; at < stop_at;) {
      const char* const stop = scanner.record_end(at);
      const char* const begin = std::exchange(at, scanner.behind(stop));
      if (scanner.is_blank(begin, stop)) continue;
      const std::size_t values = scanner.split(begin, stop, columns.names.size(), fields, error);
      if (values == 0 || !fits(fields, values, columns, stop, error)) {
        if (!on_bad(error)) return;
        continue;
      }
      on_row(fields);
    }
  }

  /// Of the values at least the first columns + 1 are there.
  bool fits(const std::vector<CsvField>& fields, std::size_t values, const CsvColumns& columns, const char* stop, CsvError& error) const {
    const std::size_t count = columns.names.size();
    if (values != count) {
      error = {values > count ? fields[count].at : stop, detail::text(values, values == 1 ? " value" : " values"),
               detail::text(count, ", one for each column")};
      return false;
    }
    for (std::size_t c = 0; c < count; ++c) {
      const auto& forced = columns.forced[c];
      if (!forced || *forced == ColumnType::text || is_missing(fields[c])) continue;
      double number = 0;
      const bool whole = *forced == ColumnType::integer;
      if (csv_number(fields[c], number) && (!whole || csv_is_integer(number))) continue;
      error = {fields[c].at, in_quotes(fields[c].text),
               whole ? "a whole number between −2^53 and 2^53 (by types)" : "a finite number (by types)"};
      return false;
    }
    return true;
  }

  std::string text_;
  const std::string& name_;
  const CsvOptions& options_;
  std::size_t piece_bytes_;
  std::uint64_t lines_;
  std::vector<const char*> starts_;         // of the pieces, and the end
  std::vector<Index> rows_;                 // before each piece, and all
  bool has_quotes_ = true;                  // in the rows there may be quotes
  std::array<bool, 256> may_be_missing_{};  // by the first byte of a value, 0 where it has none
  int threads_ = 1;
};

}  // namespace detail

/// Reads a table of text, one record a line, plain or packed by gzip (Y. Shafranovich: "Common format and MIME type for comma-separated values (CSV)
/// files", RFC 4180, 2005): values between separators; in quotes a value may hold separators, line ends and, written twice, quotes.
///
///   age,job,"wage, weekly"        const auto [table, report] = parade::read_csv("people.csv");
///   41,"cook",512.5               table["age"]   integer, 1 missing: {41, NaN}         table["wage, weekly"]   real: {512.5, 480}
///   NA,"the ""boss""",480         table["job"]   text, levels {"cook", "the \"boss\""}, codes {0, 1}
///
/// The type of a column is found out from all of its values; `table.description()` shows what was found, and what made a column text. Numbers
/// are those of read_libsvm: rounded correctly, in no locale; with or without quotes. Numbers that are not finite are text, if they are not
/// among the missing values. Whole numbers from 2^53 on are rounded as all numbers are, and make a column real: identifiers of that size are read
/// with types = text. Lines end with LF or CR LF; lines without anything are passed over. Several threads read; the result is the same on any
/// number of them.
///
/// Throws FileError, naming file, line, column, what was found and what was expected: too many or too few values, quotes that do not end or
/// stand inside a value, a CR in a value without quotes (as in files whose lines end with CR alone), a value that does not fit the type that the
/// options give its column, two columns of one name, no header; for records (not for the header) they are left out with on_error = skip, and
/// counted. Without a header the first record with quotes and line ends as they should be tells how many columns there are. Throws OptionError for
/// options that break a rule.
inline CsvData read_csv(const std::filesystem::path& file, const CsvOptions& options = {}) {
  const std::string name = file.string();
  return detail::CsvReader{detail::TextSource{file}.all(), name, options, detail::csv_piece}.read();
}

/// The same from text in memory; `name` stands in errors.
inline CsvData parse_csv(std::string_view text, const CsvOptions& options = {}, const std::string& name = "text") {
  return detail::CsvReader{std::string{text}, name, options, detail::csv_piece}.read();
}

/// Writes a table, packed by gzip where the name ends in ".gz" (with zlib only): names, then rows; missing values as nothing, numbers with the
/// fewest digits with which they are read as the same number again, quotes where they are needed. It is written under another name in the same
/// folder first and then renamed, so that nobody ever sees half of it.
///
/// The format does not say which values are text and which are missing. Whoever reads gives types = text for columns whose levels may all be
/// numbers ("007"), and missing = {""} where levels may be among the words that stand for none ("NA", "?"):
///
///   parade::CsvOptions options;
///   options.types = {{"post code", parade::ColumnType::text}};
///   options.missing = {""};
///   const auto same = parade::read_csv(file, options).table;
///
/// A level without any characters is written like a missing value, and levels that no row has are not written.
///
/// Throws DataError for a table without columns, with two columns of one name, columns that are not of the table's length, or numbers that are ±∞
/// (which would be read as text); OptionError for a separator that read_csv refuses; FileError when the file cannot be written. Each leaves what
/// was there before.
inline void write_csv(const std::filesystem::path& file, const Table& table, char separator = ',') {
  if (separator == '\0') throw OptionError("separator must be a character; got NUL");
  detail::check_csv_separator(separator);
  if (table.columns.empty()) throw DataError("a CSV file must have at least 1 column; got none");
  std::unordered_set<std::string_view> names;
  for (const Column& column : table.columns) {
    if (!names.insert(column.name).second)
      throw DataError(detail::text("each column must have a name of its own; got '", column.name, "' twice"));
    const Index size = column.type == ColumnType::text ? column.codes.size() : column.numbers.size();
    if (size != table.rows)
      throw DataError(
          detail::text("column '", column.name, "' must have one value for each of the n rows; got ", size, " (n = ", table.rows, ")"));
    for (Index i = 0; column.type != ColumnType::text && i < size; ++i)
      if (std::isinf(column.numbers[i]))
        throw DataError(detail::text("numbers of column '", column.name, "' must be finite, or NaN for missing, in a CSV file; got ",
                                     column.numbers[i], " in row ", i));
    for (Index i = 0; column.type == ColumnType::text && i < size; ++i)
      if (column.codes[i] < -1 || column.codes[i] >= static_cast<Index>(column.levels.size()))
        throw DataError(detail::text("codes of column '", column.name, "' must be −1 or in [0, ", column.levels.size(), "); got ",
                                     column.codes[i], " in row ", i));
  }
  const auto append = [separator](std::string& out, const std::string& value) {
    // What a reader would trim, or take for a byte order mark or a gzip file, is safe behind a quote.
    const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
    const bool plain = !value.empty() && value.find_first_of(std::string{"\"\r\n"} + separator) == std::string::npos &&
                       !is_blank(value.front()) && !is_blank(value.back()) && !value.starts_with(detail::byte_order_mark) &&
                       value.front() != '\x1F';
    if (plain) {
      out += value;
      return;
    }
    out += '"';
    for (const char c : value) out.append(c == '"' ? 2 : 1, c);
    out += '"';
  };
  const bool alone = table.columns.size() == 1;  // an empty line would be passed over
  detail::write_file_pieces(file, [&](const auto& write) {
    std::string out;
    for (std::size_t c = 0; c < table.columns.size(); ++c) {
      if (c > 0) out += separator;
      append(out, table.columns[c].name);
    }
    out += '\n';
    for (Index i = 0; i < table.rows; ++i) {
      for (std::size_t c = 0; c < table.columns.size(); ++c) {
        const Column& column = table.columns[c];
        if (c > 0) out += separator;
        const bool text = column.type == ColumnType::text;
        if (text ? column.codes[i] < 0 : std::isnan(column.numbers[i]))
          out += alone ? "\"\"" : "";
        else if (text)
          append(out, column.levels[static_cast<std::size_t>(column.codes[i])]);
        else
          detail::append_number(out, column.numbers[i]);
      }
      out += '\n';
      if (out.size() >= 1 << 20) {
        write(out.data(), out.size());
        out.clear();
      }
    }
    write(out.data(), out.size());
  });
}

}  // namespace parade
