// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <filesystem>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/threads.hpp>
#include <parade/core/types.hpp>
#include <parade/data/sparse_rows.hpp>
#include <parade/io/file.hpp>
#include <parade/io/number.hpp>
#include <parade/io/text.hpp>
#include <parade/kernels/huge_pages.hpp>

namespace parade {

/// What stands at the beginning of each line of a LIBSVM file. Only label_sets reads rows without a label.
enum class LibsvmTargets {
  automatic,   // label sets if there is a comma anywhere, else labels if all are whole numbers of 32 bits, else real targets
  labels,      // one whole number: the class
  real,        // one number
  label_sets,  // any number of whole numbers with commas between, none less than 0: multilabel
};

struct LibsvmOptions {
  std::optional<int> index_base;  // of the first feature, 0 or 1; if not given: 0 if index 0 is used anywhere in the file, else 1
  Index num_features = 0;         // d; 0: as many as the largest index asks for
  LibsvmTargets targets = LibsvmTargets::automatic;
  OnError on_error = OnError::stop;
  NotFinite not_finite = NotFinite::refuse;
  bool sort_indices = false;    // else indices that do not rise are an error
  bool add_duplicates = false;  // values of the same index in the same row are added, in the order of the file; else they are an error
  int threads = 0;              // 0: available_threads()
};

/// What was read, and what was not.
struct LibsvmReport {
  Index rows = 0;
  Index skipped = 0;                  // rows left out, with on_error = skip
  std::vector<std::string> messages;  // of the first 10 of them
  int index_base = 1;
  LibsvmTargets targets = LibsvmTargets::labels;  // never automatic
  Index nonzeros = 0;
  std::uint64_t bytes = 0;  // of text, unpacked
};

template <class Scalar>
struct LibsvmData {
  SparseRows<Scalar> rows;
  LibsvmReport report;
};

namespace detail {

/// How much of a LIBSVM file is in memory at a time. The result does not depend on the piece. The bytes of a line are all but its LF: a CR before it and a
/// byte order mark too.
struct LibsvmSizes {
  std::size_t piece = 1 << 18;  // bytes that a thread takes at a time: more than a line, less than a cache
  std::size_t most_line = std::numeric_limits<std::size_t>::max();  // bytes of a line; not less than the piece
};

/// What must be known of the whole file before a line can be judged. What is not known yet is gathered in a first pass.
struct LibsvmRules {
  std::optional<int> index_base;
  LibsvmTargets targets;
  std::optional<bool> queries;
};

/// The rows of one piece of text.
template <class Scalar>
struct LibsvmPiece {
  std::vector<std::int64_t> row_ends;  // entries up to the end of each row
  std::vector<std::int32_t> indices;   // as they are written
  std::vector<Scalar> values;          // empty while all are 1
  std::vector<double> labels;
  std::vector<std::int64_t> label_ends;  // empty while each row has one label
  std::vector<std::int64_t> queries;     // empty, or one for each row, without meaning where there was none

  std::uint64_t lines = 0;
  Index skipped = 0;
  std::vector<TextError> errors;
  bool is_too_long = false;  // the line behind those
  std::int64_t largest_index = -1;
  bool has_index_0 = false;
  bool has_comma = false;     // between labels
  bool has_no_class = false;  // a label that is not a whole number of 32 bits
  bool has_no_id = false;     // a label that is not a whole number of 32 bits or is less than 0
  bool has_query = false;
  bool has_no_query = false;
  bool begins_with_query = false;  // its first row

  /// Nothing is left but the room.
  void clear() {
    row_ends.clear(), indices.clear(), values.clear(), labels.clear(), label_ends.clear(), queries.clear(), errors.clear();
    lines = 0;
    skipped = 0;
    largest_index = -1;
    is_too_long = has_index_0 = has_comma = has_no_class = has_no_id = has_query = has_no_query = begins_with_query = false;
  }
};

template <class Scalar>
class LibsvmParser {
 public:
  LibsvmParser(const LibsvmOptions& options, const LibsvmRules& rules) : options_(options), rules_(rules) {
    first_index_ = rules.index_base.value_or(0);
    last_index_ = (std::int64_t{1} << 31) - 1;
    if (options.num_features > 0)
      last_index_ = std::min<std::int64_t>(last_index_, options.num_features - 1 + rules.index_base.value_or(1));
  }

  void parse(const TextPiece& text, LibsvmPiece<Scalar>& out) {
    const char* at = text.begin;
    most_entries_ = static_cast<std::size_t>(text.end - text.begin) / 4 + 1;  // "1:1 "
    out.indices.reserve(most_entries_);                                       // what is never touched is never there
    while (at < text.end) {
      ++out.lines;
      at = parse_line(at, out);
      if (at) {
        ++at;
        continue;
      }
      error_.line = out.lines;
      error_.column = static_cast<std::uint64_t>(error_at_ - line_) + 1;
      if (out.errors.size() < most_messages) out.errors.push_back(std::move(error_));
      if (options_.on_error == OnError::stop) return;
      ++out.skipped;
      at = static_cast<const char*>(std::memchr(line_, '\n', static_cast<std::size_t>(text.end - line_ + 1))) + 1;
    }
  }

 private:
  static const char* skip_blanks(const char* at) {
    while (*at == ' ' || *at == '\t') ++at;
    return *at == '\r' && at[1] == '\n' ? at + 1 : at;
  }
  static bool is_end(const char* at) { return *at == '\n' || *at == '#'; }
  static bool ends_token(const char* at) { return *at == ' ' || *at == '\t' || is_end(at) || (*at == '\r' && at[1] == '\n'); }
  /// How many digits there are in [begin, end), without zeros in front.
  static std::ptrdiff_t significant_digits(const char* begin, const char* end) {
    while (begin < end && *begin == '0') ++begin;
    return end - begin;
  }
  static const char* line_end(const char* at) {
    while (*at != '\n') ++at;
    return at;
  }

  /// Notes what is wrong. The text up to the next blank is what was found.
  const char* fail(const char* at, std::string expected) {
    const char* end = at;
    while (!ends_token(end)) ++end;
    error_.found = end == at ? (is_end(at) ? "the end of the line" : "a blank") : in_quotes({at, static_cast<std::size_t>(end - at)});
    error_.expected = std::move(expected);
    error_at_ = at;
    return nullptr;
  }

  /// Adds the row of a line, if there is one, and answers where the line ends; nullptr if something is wrong, and then nothing is added.
  const char* parse_line(const char* at, LibsvmPiece<Scalar>& out) {
    line_ = at;
    at = skip_blanks(at);
    if (is_end(at)) return line_end(at);
    const bool first_entry_was_one = out.values.empty();
    const std::size_t entries = out.indices.size(), labels = out.labels.size();
    RowFacts facts{out.largest_index, out.has_index_0, out.has_comma, out.has_no_class, out.has_no_id};
    at = parse_labels(at, out, facts);
    std::optional<std::int64_t> query;
    if (at) at = parse_query(skip_blanks(at), query);
    if (at) at = parse_entries(at, out, facts, entries);
    if (!at) {
      out.indices.resize(entries);
      if (first_entry_was_one) out.values.clear();
      if (!out.values.empty()) out.values.resize(entries);
      out.labels.resize(labels);
      return nullptr;
    }

    if (out.label_ends.empty() && out.labels.size() != labels + 1) {  // so far there was one in each row
      out.label_ends.resize(out.row_ends.size());
      std::iota(out.label_ends.begin(), out.label_ends.end(), std::int64_t{1});
      if (out.row_ends.empty()) out.label_ends.reserve(1);
      several_labels_ = true;
    }
    if (several_labels_) out.label_ends.push_back(static_cast<std::int64_t>(out.labels.size()));
    if (query && !out.has_query) out.queries.resize(out.row_ends.size());
    if (out.row_ends.empty()) out.begins_with_query = query.has_value();
    out.has_query |= query.has_value();
    out.has_no_query |= !query;
    if (out.has_query) out.queries.push_back(query.value_or(0));
    out.row_ends.push_back(static_cast<std::int64_t>(out.indices.size()));
    out.largest_index = facts.largest_index;
    out.has_index_0 = facts.has_index_0;
    out.has_comma = facts.has_comma;
    out.has_no_class = facts.has_no_class;
    out.has_no_id = facts.has_no_id;
    return at;
  }

  /// Of the piece, if the row under way is added.
  struct RowFacts {
    std::int64_t largest_index;
    bool has_index_0, has_comma, has_no_class, has_no_id;
  };

  const char* parse_labels(const char* at, LibsvmPiece<Scalar>& out, RowFacts& facts) {
    const LibsvmTargets kind = rules_.targets;
    const std::size_t first = out.labels.size();
    // "3:1" where the labels should be: there are none.
    const char* digits = at;
    while (is_digit(*digits)) ++digits;
    if ((digits > at && *digits == ':') || std::strncmp(at, "qid:", 4) == 0) {
      const bool needs_label = options_.targets == LibsvmTargets::automatic;  // in every pass, also where the targets are label sets then
      if (kind == LibsvmTargets::label_sets && !needs_label) return at;
      return fail(at, needs_label ? "a label (rows without one are read with targets = label_sets)" : "a label");
    }
    for (;;) {
      double label = 0;
      const char* const end = parse_number(at, label);
      if (!end || !(ends_token(end) || *end == ',')) return fail(at, expected_label());
      const bool whole = label == std::trunc(label) && std::abs(label) <= 2147483648.0 && label != 2147483648.0;
      if (!std::isfinite(label)) return fail(at, "a finite number");
      if (kind == LibsvmTargets::labels && !whole) return fail(at, expected_label());
      if (kind == LibsvmTargets::label_sets && !(whole && label >= 0)) return fail(at, expected_label());
      facts.has_no_class |= !whole;
      facts.has_no_id |= !(whole && label >= 0);
      out.labels.push_back(label);
      if (*end != ',') {
        at = end;
        break;
      }
      if (kind == LibsvmTargets::labels || kind == LibsvmTargets::real)
        return fail(at, "one label (several are read with targets = label_sets)");
      facts.has_comma = true;
      at = end + 1;
    }
    if (out.labels.size() - first > 1) {
      const std::span labels = std::span{out.labels}.subspan(first);
      std::sort(labels.begin(), labels.end());
      if (std::adjacent_find(labels.begin(), labels.end()) != labels.end()) return fail(skip_blanks(line_), "each label once");
    }
    return at;
  }

  std::string expected_label() const {
    if (rules_.targets == LibsvmTargets::labels) return "a label: a whole number of 32 bits";
    if (rules_.targets == LibsvmTargets::label_sets) return "labels: whole numbers from 0 to 2147483647, with commas between";
    return "a label: a number";
  }

  const char* parse_query(const char* at, std::optional<std::int64_t>& query) {
    if (std::strncmp(at, "qid:", 4) != 0) {
      if (rules_.queries == true) return fail(at, "qid:, as in the first row");
      return at;
    }
    if (rules_.queries == false) return fail(at, "no qid:, as in the first row");
    const char* const begin = at + 4;
    std::uint64_t number = 0;
    const char* const end = parse_digits(begin, number);
    if (end == begin || significant_digits(begin, end) > 18 || !ends_token(end))
      return fail(at, "qid: and a whole number of at most 18 digits");
    query = static_cast<std::int64_t>(number);
    return skip_blanks(end);
  }

  const char* parse_entries(const char* at, LibsvmPiece<Scalar>& out, RowFacts& facts, std::size_t first) {
    std::int64_t previous = -1;
    bool rising = true;
    while (!is_end(at)) {
      std::uint64_t index = 0;
      const char* const colon = parse_digits(at, index);
      if (colon == at || *colon != ':') return fail(at, "index:value");
      if ((colon - at > 10 && significant_digits(at, colon) > 10) || static_cast<std::int64_t>(index) > last_index_ ||
          static_cast<std::int64_t>(index) < first_index_)
        return fail(at, expected_index());
      if (static_cast<std::int64_t>(index) <= previous) {
        const bool again = static_cast<std::int64_t>(index) == previous;
        if (!(again ? options_.add_duplicates : options_.sort_indices))
          return fail(at, again ? "each index once in a row" : text("an index above ", previous, ", the one before"));
        rising = false;
      }
      Scalar value{};
      const char* const begin = colon + 1;
      const char* end = begin + 1;
      if (is_digit(*begin) && ends_token(end)) {
        value = static_cast<Scalar>(*begin - '0');
      } else {
        end = parse_number(begin, value);
        if (!end || !ends_token(end)) return fail(begin, "a number");
        if (options_.not_finite == NotFinite::refuse && !std::isfinite(value))
          return fail(begin, std::is_same_v<Scalar, float> ? "a finite number that float can hold" : "a finite number");
      }
      facts.has_index_0 |= index == 0;
      previous = static_cast<std::int64_t>(index);
      if (previous > facts.largest_index) facts.largest_index = previous;
      if (value != 1) begin_values(out);
      if (value != 1 || !out.values.empty()) out.values.push_back(value);
      out.indices.push_back(static_cast<std::int32_t>(index));
      at = *end == ' ' ? end + 1 : end;
      if (*at <= ' ') at = skip_blanks(at);
    }
    return rising || put_in_order(out, first) ? line_end(at) : nullptr;
  }

  std::string expected_index() const {
    return text("an index from ", first_index_, " to ", last_index_, options_.num_features > 0 ? " (by num_features)" : "");
  }

  /// Sorts the entries from `first` on by index, and adds those of the same index. nullptr if that must not or cannot be done.
  const char* put_in_order(LibsvmPiece<Scalar>& out, std::size_t first) {
    std::vector<std::pair<std::int32_t, Scalar>> entries;
    for (std::size_t j = first; j < out.indices.size(); ++j)
      entries.emplace_back(out.indices[j], out.values.empty() ? Scalar{1} : out.values[j]);
    std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::size_t last = 0;
    for (std::size_t j = 1; j < entries.size(); ++j) {
      if (entries[j].first != entries[last].first) {
        entries[++last] = entries[j];
        continue;
      }
      if (!options_.add_duplicates) return fail(skip_blanks(line_), "each index once in a row");
      entries[last].second += entries[j].second;
      if (options_.not_finite == NotFinite::refuse && !std::isfinite(entries[last].second))
        return fail(skip_blanks(line_), "values of the same index with a finite sum");
    }
    entries.resize(last + 1);
    if (std::any_of(entries.begin(), entries.end(), [](const auto& entry) { return entry.second != 1; })) begin_values(out);
    const bool has_values = !out.values.empty();
    out.indices.resize(first);
    if (has_values) out.values.resize(first);
    for (const auto& [index, value] : entries) {
      out.indices.push_back(index);
      if (has_values) out.values.push_back(value);
    }
    return line_;
  }

  void begin_values(LibsvmPiece<Scalar>& out) const {
    if (!out.values.empty()) return;
    out.values.reserve(most_entries_);
    out.values.assign(out.indices.size(), Scalar{1});
  }

  const LibsvmOptions& options_;
  const LibsvmRules& rules_;
  std::int64_t first_index_, last_index_;
  const char* line_ = nullptr;
  const char* error_at_ = nullptr;
  TextError error_;
  std::size_t most_entries_ = 0;
  bool several_labels_ = false;
};

/// Grows without touching what is new, where the system lets memory grow in place. `expected` is the size that it may come to.
template <class T>
void grow(Vector<T>& to, Index size, Index expected) {
  if (size <= to.size()) return;
  to.conservativeResize(std::max({size, expected, to.size() + to.size() / 2}));
  kernels::use_huge_pages(to);
}

/// All rows, in the order of the file. Pieces are added a round at a time, so that little memory is used twice.
template <class Scalar>
class LibsvmRows {
 public:
  using Piece = LibsvmPiece<Scalar>;

  explicit LibsvmRows(int index_base) : base_(index_base) {}

  /// `done` is the share of the file that has been read with these, by which more room is taken than needed now.
  void add(std::vector<Piece>& pieces, Index count, double done, int threads) {
    struct Place {
      Index rows, entries, labels;
    };
    std::vector<Place> places;
    const Index rows_before = rows_, entries_before = entries_, labels_before = labels_count_;
    const bool had_values = has_values_, had_sets = has_sets_, had_queries = has_queries_;
    for (Index p = 0; p < count; ++p) {
      const Piece& piece = pieces[static_cast<std::size_t>(p)];
      places.push_back({rows_, entries_, labels_count_});
      rows_ += static_cast<Index>(piece.row_ends.size());
      entries_ += static_cast<Index>(piece.indices.size());
      labels_count_ += static_cast<Index>(piece.labels.size());
      has_values_ |= !piece.values.empty();
      has_sets_ |= !piece.label_ends.empty();
      has_queries_ |= piece.has_query;
    }
    const auto expected = [done](Index so_far) { return static_cast<Index>(1.02 * static_cast<double>(so_far) / done) + 1; };
    grow(ends_, rows_, expected(rows_));
    grow(indices_, entries_, expected(entries_));
    grow(labels_, labels_count_, expected(labels_count_));
    if (has_values_) grow(values_, entries_, expected(entries_));
    if (has_sets_) grow(label_ends_, rows_, expected(rows_));
    if (has_queries_) grow(queries_, rows_, expected(rows_));
    if (has_values_ && !had_values) std::fill_n(values_.data(), entries_before, Scalar{1});
    if (has_sets_ && !had_sets) std::iota(label_ends_.data(), label_ends_.data() + labels_before, std::int64_t{1});
    if (has_queries_ && !had_queries) std::fill_n(queries_.data(), rows_before, std::int64_t{0});

    struct Nothing {};
    for_each_piece<Nothing>(count, threads, [&](Index p, Nothing&) {
      const Piece& piece = pieces[static_cast<std::size_t>(p)];
      const auto [row, entry, label] = places[static_cast<std::size_t>(p)];
      const auto size = static_cast<Index>(piece.row_ends.size());
      const auto base = static_cast<std::int32_t>(base_);
      std::transform(piece.row_ends.begin(), piece.row_ends.end(), ends_.data() + row, [from = entry](auto end) { return from + end; });
      std::transform(piece.indices.begin(), piece.indices.end(), indices_.data() + entry, [base](auto index) { return index - base; });
      std::copy(piece.labels.begin(), piece.labels.end(), labels_.data() + label);
      if (has_values_ && piece.values.empty()) std::fill_n(values_.data() + entry, piece.indices.size(), Scalar{1});
      if (!piece.values.empty()) std::copy(piece.values.begin(), piece.values.end(), values_.data() + entry);
      for (Index i = 0; has_sets_ && i < size; ++i)
        label_ends_[row + i] = label + (piece.label_ends.empty() ? i + 1 : piece.label_ends[static_cast<std::size_t>(i)]);
      if (has_queries_ && !piece.has_query) std::fill_n(queries_.data() + row, size, std::int64_t{0});
      if (piece.has_query) std::copy(piece.queries.begin(), piece.queries.end(), queries_.data() + row);
    });
  }

  Index rows() const { return rows_; }
  Index entries() const { return entries_; }

  SparseRows<Scalar> finish(Index num_features, int index_base, LibsvmTargets kind, NotFinite not_finite) {
    Vector<std::int64_t> offsets(rows_ + 1);
    offsets[0] = 0;
    std::copy_n(ends_.data(), rows_, offsets.data() + 1);
    ends_.resize(0);
    indices_.conservativeResize(entries_);
    const auto shift = static_cast<std::int32_t>(base_ - index_base);
    for (Index j = 0; shift != 0 && j < entries_; ++j) indices_[j] += shift;
    const auto is_one = [](Scalar value) { return value == 1; };
    has_values_ = has_values_ && !std::all_of(values_.data(), values_.data() + entries_, is_one);  // 0 + 1, added up
    values_.conservativeResize(has_values_ ? entries_ : 0);
    SparseRows<Scalar> sparse{std::move(offsets), std::move(indices_), std::move(values_), num_features, not_finite};

    if (kind == LibsvmTargets::real) {
      sparse = sparse.with_targets(Eigen::Map<const Matrix<double>>{labels_.data(), 1, rows_});
    } else {
      Vector<Label> classes(labels_count_);
      for (Index i = 0; i < labels_count_; ++i) classes[i] = static_cast<Label>(labels_[i]);
      if (kind == LibsvmTargets::labels) {
        sparse = sparse.with_labels(std::move(classes));
      } else {
        Vector<std::int64_t> label_offsets(rows_ + 1);
        std::iota(label_offsets.data(), label_offsets.data() + rows_ + 1, std::int64_t{0});
        if (has_sets_) std::copy_n(label_ends_.data(), rows_, label_offsets.data() + 1);
        sparse = sparse.with_label_sets(std::move(label_offsets), std::move(classes));
      }
    }
    if (has_queries_) {
      queries_.conservativeResize(rows_);
      sparse = sparse.with_queries(std::move(queries_));
    }
    return sparse;
  }

 private:
  int base_;
  Index rows_ = 0, entries_ = 0, labels_count_ = 0;
  bool has_values_ = false, has_sets_ = false, has_queries_ = false;
  Vector<std::int64_t> ends_, label_ends_, queries_;  // a place for each row, and more
  Vector<std::int32_t> indices_;                      // a place for each entry, and more
  Vector<Scalar> values_;
  Vector<double> labels_;
};

/// What the pieces of a file tell about it.
struct LibsvmFacts {
  std::uint64_t lines = 0;
  std::int64_t largest_index = -1;
  bool has_index_0 = false, has_comma = false, has_no_class = false, has_no_id = false, has_query = false, has_no_query = false;
  std::optional<bool> begins_with_query;

  template <class Scalar>
  void add(const LibsvmPiece<Scalar>& piece) {
    lines += piece.lines;
    largest_index = std::max(largest_index, piece.largest_index);
    has_index_0 |= piece.has_index_0;
    has_comma |= piece.has_comma;
    has_no_class |= piece.has_no_class;
    has_no_id |= piece.has_no_id;
    has_query |= piece.has_query;
    has_no_query |= piece.has_no_query;
    if (!begins_with_query && !piece.row_ends.empty()) begins_with_query = piece.begins_with_query;
  }
};

/// Parses the text round by round, and calls add(pieces, count, done, threads) for each in order, where `done` is the share of the text that has been
/// read then, or near it. Of the report it adds what is found: rows left out, and why. Throws FileError for the first error in the order of the text, unless
/// these are skipped; for a line that is too long, and for a packed file that is damaged, in any case.
template <class Scalar, class Add>
LibsvmFacts parse_rounds(TextSource& source, const LibsvmOptions& options, const LibsvmRules& rules, const LibsvmSizes& sizes,
                         LibsvmReport& report, const Add& add) {
  const std::size_t piece_bytes = sizes.piece;
  const auto wanted = static_cast<Index>(options.threads > 0 ? options.threads : available_threads());
  const Index round = std::max<Index>(8 * wanted, 64);  // few rounds: threads wait for each other at their ends
  std::vector<LibsvmPiece<Scalar>> pieces;
  std::vector<std::exception_ptr> failures;  // of pieces that could not be read
  LibsvmFacts facts;

  const auto parse_round = [&](std::uint64_t first, std::uint64_t end) {
    const auto size = static_cast<Index>((end - first + piece_bytes - 1) / piece_bytes);
    const int threads = static_cast<int>(std::min(wanted, size));
    pieces.resize(std::max(pieces.size(), static_cast<std::size_t>(size)));
    failures.assign(pieces.size(), nullptr);
    std::atomic<Index> failed{size};  // the first piece with an error: none behind it matters any more
    for_each_piece<TextPiece>(size, threads, [&](Index p, TextPiece& text_piece) {
      if (p > failed.load(std::memory_order_relaxed)) return;
      const std::uint64_t begin = first + static_cast<std::uint64_t>(p) * piece_bytes;
      auto& out = pieces[static_cast<std::size_t>(p)];
      out.clear();
      try {
        read_lines(source, begin, std::min<std::uint64_t>(begin + piece_bytes, end), text_piece, sizes.most_line);
        LibsvmParser<Scalar>{options, rules}.parse(text_piece, out);
        out.is_too_long = text_piece.is_too_long;
        if ((out.errors.empty() || options.on_error == OnError::skip) && !out.is_too_long) return;
      } catch (...) {  // which is thrown when it is this piece's turn: a line before it may hold something else
        failures[static_cast<std::size_t>(p)] = std::current_exception();
      }
      Index least = failed.load();
      while (p < least && !failed.compare_exchange_weak(least, p)) {
      }
    });
    for (Index p = 0; p < size; ++p) {
      auto& piece = pieces[static_cast<std::size_t>(p)];
      for (auto& error : piece.errors) {
        error.line += facts.lines;
        if (options.on_error == OnError::stop) throw FileError(error.message(source.name()));
        if (report.messages.size() < most_messages) report.messages.push_back(error.message(source.name()));
      }
      if (piece.is_too_long)
        throw FileError(TextError{facts.lines + piece.lines + 1, 1, text("a line of more than ", sizes.most_line, " bytes"),
                                  "a shorter one where a file is read in parts"}
                            .message(source.name()));
      if (const auto& failure = failures[static_cast<std::size_t>(p)]) std::rethrow_exception(failure);
      report.skipped += piece.skipped;
      facts.add(piece);
    }
    add(pieces, size, source.share(end), threads);
    for (auto& piece : pieces)  // the room of a long line is given back: in time each of the pieces would have one
      if (std::max(piece.indices.capacity(), piece.labels.capacity()) > piece_bytes) piece = {};
  };
  try {
    for (std::uint64_t begin = 0;;) {
      const std::uint64_t end = source.load(begin, begin + static_cast<std::uint64_t>(round) * piece_bytes, sizes.most_line);
      if (end == begin) break;
      parse_round(begin, end);
      begin = end;
    }
  } catch (...) {
    source.check_rest();
    throw;
  }
  report.bytes = source.size();
  return facts;
}

/// Fills in what the file as a whole says that a line may hold. True if there may be lines that do not fit, which are found by reading again.
inline bool complete_rules(LibsvmRules& rules, const LibsvmFacts& facts, const LibsvmOptions& options) {
  bool again = false;
  if (!rules.index_base) {
    rules.index_base = facts.has_index_0 ? 0 : 1;
    again |= facts.has_index_0 && options.num_features > 0 && facts.largest_index >= options.num_features;
  }
  if (rules.targets == LibsvmTargets::automatic) {
    rules.targets = facts.has_comma ? LibsvmTargets::label_sets : facts.has_no_class ? LibsvmTargets::real : LibsvmTargets::labels;
    again |= facts.has_comma && facts.has_no_id;
  }
  if (!rules.queries) {
    rules.queries = facts.begins_with_query;
    again |= facts.has_query && facts.has_no_query;
  }
  return again;
}

/// d, of a text with these facts.
inline Index libsvm_features(const LibsvmOptions& options, const LibsvmFacts& facts, int index_base) {
  return options.num_features > 0 ? options.num_features : std::max<Index>(0, facts.largest_index + 1 - index_base);
}

template <class Scalar>
LibsvmData<Scalar> read_libsvm(TextSource& source, const LibsvmOptions& options, const LibsvmRules& rules, const LibsvmSizes& sizes) {
  LibsvmRows<Scalar> rows{rules.index_base.value_or(1)};
  LibsvmReport report;
  const LibsvmFacts facts =
      parse_rounds<Scalar>(source, options, rules, sizes, report,
                           [&](auto& pieces, Index count, double done, int threads) { rows.add(pieces, count, done, threads); });
  LibsvmRules found = rules;
  if (complete_rules(found, facts, options)) return read_libsvm<Scalar>(source, options, found, sizes);

  report.rows = rows.rows();
  report.nonzeros = rows.entries();
  report.index_base = *found.index_base;
  report.targets = found.targets;
  return {rows.finish(libsvm_features(options, facts, report.index_base), report.index_base, report.targets, options.not_finite),
          std::move(report)};
}

inline void check_libsvm_options(const LibsvmOptions& options) {
  if (options.index_base && *options.index_base != 0 && *options.index_base != 1)
    throw OptionError(text("index_base must be 0 or 1; got ", *options.index_base));
  if (options.num_features < 0 || options.num_features > Index{1} << 31)
    throw OptionError(text("num_features must be in [0, 2^31]; got ", options.num_features));
  if (options.threads < 0) throw OptionError(text("threads must be at least 0; got ", options.threads));
}

template <class Scalar>
LibsvmData<Scalar> read_libsvm(TextSource&& source, const LibsvmOptions& options, const LibsvmSizes& sizes = {}) {
  check_libsvm_options(options);
  return read_libsvm<Scalar>(source, options, {options.index_base, options.targets, std::nullopt}, sizes);
}

}  // namespace detail

/// Reads a file in the format of LIBSVM and SVMlight (T. Joachims: "Making large-scale SVM learning practical", 1999; C.-C. Chang, C.-J. Lin:
/// "LIBSVM: a library for support vector machines", 2011), plain or packed by gzip:
///
///   +1 3:0.5 7:1            label, then index:value with rising indices
///   -1 qid:4 1:2.5 # note   a query; a comment
///   0,2,5 2:1               a set of labels
///
///   const auto [rows, report] = parade::read_libsvm<float>("a9a");   // 32561 rows of 123 features, indices from 1, labels −1 and 1
///
/// Between the parts stand blanks or tabs, at a line's end also a carriage return. Lines without anything, or with a comment alone, are
/// passed over. Each value is the Scalar nearest to what is written. Where all are 1 the rows have no values (see SparseRows). Text is parsed on
/// several threads; the result, and the error where there is one, are the same on any number of them, and in every locale.
///
/// Throws FileError, naming file, line, column, what was found and what was expected, for the first line that holds something else; with
/// on_error = skip such a row is left out and counted in the report. A packed file is unpacked some megabytes at a time. One that is damaged is an error that
/// names this, whatever else is wrong with its text, and is never skipped, nor is a file that cannot be read;
/// a piece of a file that cannot be read (256 KiB) counts as an error at its beginning.
/// Throws OptionError for options that break a rule. The memory taken grows with the text that is really there, never with a number in it.
template <class Scalar>
LibsvmData<Scalar> read_libsvm(const std::filesystem::path& file, const LibsvmOptions& options = {}) {
  return detail::read_libsvm<Scalar>(detail::TextSource{file, detail::Unpack::by_and_by}, options);
}

/// The same from text in memory; `name` stands in errors.
template <class Scalar>
LibsvmData<Scalar> parse_libsvm(std::string_view text, const LibsvmOptions& options = {}, const std::string& name = "text") {
  return detail::read_libsvm<Scalar>(detail::TextSource{text, name}, options);
}

/// Writes rows in the format of LIBSVM, packed by gzip where the name ends in ".gz" (with zlib only): the label set, else the target, else the
/// label, else 0; the query; the entries. Numbers have the fewest digits with which they are read as the same number again. It is written
/// under another name in the same folder first and then renamed, so that nobody ever sees half of it.
///
/// The format does not say all about the rows. Whoever reads gives num_features; index_base = 0 where that was written and index 0 may be unused;
/// targets = real where all targets may be whole numbers, or label_sets where no row may have several labels (both would be read as labels);
/// not_finite = keep where values are not finite. Weights are not written.
///
/// Throws OptionError for an index_base other than 0 and 1; DataError for what the format cannot hold: more than one target a row, a row that
/// would be an empty line, a query outside [0, 10^18), index 2147483647 with index_base = 1; FileError when the file cannot be written. Each
/// leaves what was there before.
template <class Scalar>
void write_libsvm(const std::filesystem::path& file, const SparseRows<Scalar>& rows, int index_base = 1) {
  if (index_base != 0 && index_base != 1) throw OptionError(detail::text("index_base must be 0 or 1; got ", index_base));
  if (rows.num_targets() > 1) throw DataError(detail::text("a LIBSVM file holds 1 target a row; got ", rows.num_targets()));
  detail::write_file_pieces(file, [&](const auto& write) {
    std::string out;
    for (Index i = 0; i < rows.size(); ++i) {
      const auto row = rows[i];
      if (rows.has_label_sets()) {
        const auto set = rows.label_set(i);
        if (set.empty() && row.indices.empty() && !rows.has_queries())
          throw DataError(detail::text("row ", i, " has no labels, no entries and no query: a LIBSVM file cannot hold it"));
        for (std::size_t j = 0; j < set.size(); ++j) {
          if (j > 0) out += ',';
          detail::append_number(out, set[j]);
        }
      } else if (rows.num_targets() > 0) {
        detail::append_number(out, rows.targets()(0, i));
      } else {
        detail::append_number(out, rows.has_labels() ? rows.label(i) : Label{0});
      }
      if (rows.has_queries()) {
        if (rows.queries()[i] < 0 || rows.queries()[i] >= 1'000'000'000'000'000'000)
          throw DataError(detail::text("queries must be in [0, 10^18) in a LIBSVM file; got ", rows.queries()[i], " in row ", i));
        detail::append_number(out += " qid:", rows.queries()[i]);
      }
      if (index_base == 1 && !row.indices.empty() && row.indices.back() == 2147483647)  // the indices rise
        throw DataError(detail::text("indices must be below 2147483647 in a LIBSVM file with index_base = 1; got 2147483647 in row ", i));
      for (std::size_t j = 0; j < row.indices.size(); ++j) {
        detail::append_number(out += ' ', std::int64_t{row.indices[j]} + index_base);
        detail::append_number(out += ':', row.value(j));
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
