// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/hash.hpp>
#include <parade/io/csv.hpp>
#include <parade/io/file.hpp>
#include <parade/io/text.hpp>

namespace parade {
namespace detail {

/// How much of a CSV file is in memory at a time. Neither the result nor the error depends on chunk and piece.
struct CsvSizes {
  std::size_t chunk = 1 << 23;  // bytes of whole records, one at least
  std::size_t piece = 1 << 18;  // of a chunk, that a thread takes at a time
  // Bytes of a record, of all records: with a quote that does not end it would be the rest of the file. And of what stands before the first one.
  std::size_t most_record = 1 << 26;
  std::size_t most_values = 1 << 18;  // of the first record, and so columns
};

/// A CSV file, plain or packed, that is read from the first byte to the last in passes: in each some whole records at a time.
class CsvStream {
 public:
  /// Reads the names.
  CsvStream(std::filesystem::path file, const CsvOptions& options, const CsvSizes& sizes = {})
      : file_(std::move(file)), name_(file_.string()), options_(options), sizes_(sizes) {
    ByteReader in{file_};
    whole(in, [&] {
      std::string text;
      for (std::size_t wanted = std::clamp(sizes_.chunk, byte_order_mark.size(), std::size_t{1} << 16);; wanted *= 2) {
        const bool is_whole = read(in, text, wanted);
        const auto rows =
            CsvReader{text, name_, options_, sizes_.piece}.find_columns(columns_, is_whole, {sizes_.most_record, sizes_.most_values});
        if (!rows) continue;
        text.resize(*rows);
        head_bytes_ = options_.header ? text.size() : 0;
        head_lines_ = options_.header ? lines_in(text) : 0;
        head_hash_ = hash(std::string_view{text}.substr(0, head_bytes_));
        return;
      }
    });
  }

  const std::string& name() const { return name_; }
  const CsvColumns& columns() const { return columns_; }
  std::uint64_t head_bytes() const { return head_bytes_; }  // before the rows

  /// One more pass: use(reader, begin) for all rows, some at a time; those of the reader begin at this byte. Once at least, also without any rows. Throws
  /// DataError if the file is not what it was in the first pass, before that is used.
  template <class Use>
  void pass(const Use& use) {
    ByteReader in{file_};
    whole(in, [&] {
      std::string left;
      read(in, left, head_bytes_);
      if (hash(left) != head_hash_) fail_changed(0);
      left.clear();
      std::uint64_t lines = head_lines_;
      std::size_t chunk = 0;
      for (bool ended = false; !ended; ++chunk) {
        std::string text = std::exchange(left, {});
        ended = next(in, text, left, lines);
        if (is_first_)
          hashes_.push_back(hash(text));
        else if (chunk >= hashes_.size() || hash(text) != hashes_[chunk])
          fail_changed(lines);
        const std::uint64_t more = lines_in(text);
        const std::size_t begin = lines == 0 ? start_of(text) : 0;
        CsvReader reader{std::move(text), name_, options_, sizes_.piece, lines};
        use(reader, begin);
        lines += more;
      }
      if (chunk != hashes_.size()) fail_changed(lines);
    });
    is_first_ = false;
  }

 private:
  static std::uint64_t hash(std::string_view text) { return fast_hash(std::as_bytes(std::span{text})); }
  static std::uint64_t lines_in(std::string_view text) { return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n')); }
  static std::size_t start_of(std::string_view text) { return text.starts_with(byte_order_mark) ? byte_order_mark.size() : 0; }

  /// work(). What is wrong with the text counts only where the file is whole: in a packed file that is damaged anything may be wrong, and which of it would be
  /// found first depends on how much is read at a time.
  template <class Work>
  static void whole(ByteReader& in, const Work& work) {
    try {
      work();
    } catch (...) {
      in.check_rest();
      throw;
    }
  }

  /// Reads until the text has so many bytes. True if the file ends before.
  static bool read(ByteReader& in, std::string& text, std::size_t wanted) {
    const std::size_t had = text.size();
    if (had >= wanted) return false;
    text.resize(wanted);
    const std::size_t got = in.read({reinterpret_cast<std::uint8_t*>(text.data()) + had, wanted - had});
    text.resize(had + got);
    return had + got < wanted;
  }

  /// Reads on behind the text, which becomes whole records; what is `left` is the beginning of the next. True at the end of the file.
  bool next(ByteReader& in, std::string& text, std::string& left, std::uint64_t lines) const {
    for (std::size_t wanted = sizes_.chunk;;) {
      const bool is_whole = read(in, text, wanted);
      const std::size_t begin = lines == 0 ? start_of(text) : 0;
      const auto [end, is_too_long] = whole_records(text, begin, is_whole);
      if (is_whole && end == text.size()) return true;
      if (end > begin) {
        left.assign(text, end);
        text.resize(end);
        return false;
      }
      if (is_too_long) {
        const CsvError error = too_long_record(nullptr, sizes_.most_record);
        throw FileError(TextError{lines + 1, 1, error.found, error.expected}.message(name_));
      }
      wanted = std::min(2 * wanted, begin + sizes_.most_record + 1);  // with which it is too long, if it does not end
    }
  }

  struct Whole {
    std::size_t end;   // of them
    bool is_too_long;  // the record behind them, that is why they end here
  };
  /// The records from byte `begin` on that surely end in the text, up to one that is too long.
  Whole whole_records(const std::string& text, std::size_t begin, bool is_whole) const {
    const std::size_t most = sizes_.most_record;
    if (text.size() - begin <= most) {
      if (is_whole) return {text.size(), false};
      if (text.find('"') == std::string::npos) return {std::max(begin, text.rfind('\n') + 1), false};  // npos + 1 is 0
    }
    const CsvScanner scanner{text.data() + text.size(), columns_.separator, options_.trim};
    const char* const text_end = text.data() + text.size();
    for (const char* at = text.data() + begin;;) {
      const char* const stop = scanner.record_end(at);
      const auto end = static_cast<std::size_t>(at - text.data());
      if (static_cast<std::size_t>(stop - at) > most) return {end, true};
      if (stop == text_end) return {is_whole ? text.size() : end, false};
      at = scanner.behind(stop);
    }
  }

  [[noreturn]] void fail_changed(std::uint64_t lines) const {
    throw DataError(detail::text(name_, ": changed while it was read, in line ", lines + 1, " or behind it"));
  }

  std::filesystem::path file_;
  std::string name_;
  const CsvOptions& options_;
  CsvSizes sizes_;
  CsvColumns columns_;
  std::uint64_t head_bytes_ = 0, head_lines_ = 0, head_hash_ = 0;  // what stands before the rows: the header
  std::vector<std::uint64_t> hashes_;                              // of the chunks
  bool is_first_ = true;
};

}  // namespace detail

/// The columns without types and values, for which only the beginning of the file is read: which names there are, and which columns have none. Throws as
/// read_csv; FileError also for a first record of more than 64 MiB or 2^18 values.
inline Table read_csv_header(const std::filesystem::path& file, const CsvOptions& options = {}) {
  Table table;
  const detail::CsvStream stream{file, options};
  for (std::size_t c = 0; c < stream.columns().names.size(); ++c) {
    Column column;
    column.name = stream.columns().names[c];
    column.has_name = !stream.columns().nameless[c];
    table.columns.push_back(std::move(column));
  }
  return table;
}

}  // namespace parade
