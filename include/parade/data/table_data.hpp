// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/hash.hpp>
#include <parade/core/types.hpp>
#include <parade/data/dense_data.hpp>
#include <parade/data/sparse_rows.hpp>
#include <parade/io/csv.hpp>
#include <parade/kernels/huge_pages.hpp>

namespace parade {

/// A column by its name, or by its number from 0 on, from the end where negative: −1 is the last.
using ColumnKey = std::variant<std::string, Index>;

/// What becomes of a column of text.
enum class Encoding {
  one_hot,    // a feature for each level, in their order: 1 where the row has it
  hashed,     // 1 is added to one of the 2^hash_bits features that all hashed columns share
  leave_out,  // nothing
};

struct TableOptions {
  std::optional<ColumnKey> label;             // text: 0 … k−1 in the order of its levels; whole numbers stay what they are
  std::optional<ColumnKey> target;            // numbers
  std::vector<ColumnKey> leave_out;           // columns that are not used
  Encoding text = Encoding::one_hot;          // of the columns of text
  std::map<std::string, Encoding> encodings;  // of single columns of text, by name
  int hash_bits = 18;
  bool drop_missing = false;  // rows that lack a number, the label or the target are left out; else they are an error
  bool keep_missing =
      false;  // numbers that are missing become NaN, which parade::Impute fills in; labels and targets are needed nevertheless
};

/// What features are called. The names of hashed features, of which there may be 2^31, are made when they are asked for.
///
///   features.size() → 3 + 2^18     features[1] → "job=cook"     features[20] → "hash_17"     for (const std::string& name : features) …
class FeatureNames {
 public:
  FeatureNames() = default;
  /// `names`, and behind them hash_0 … hash_(hashed−1).
  explicit FeatureNames(std::vector<std::string> names, Index hashed = 0) : names_(std::move(names)), hashed_(hashed) {}

  Index size() const { return static_cast<Index>(names_.size()) + hashed_; }
  bool empty() const { return size() == 0; }

  /// The name of feature i, 0 ≤ i < size().
  std::string operator[](Index i) const {
    const auto own = static_cast<Index>(names_.size());
    return i < own ? names_[static_cast<std::size_t>(i)] : "hash_" + std::to_string(i - own);
  }

  class Iterator {
   public:
    using value_type = std::string;
    using reference = std::string;
    using pointer = void;
    using difference_type = std::ptrdiff_t;
    using iterator_category = std::input_iterator_tag;  // in the words of C++17: what is referred to is made on the way
    using iterator_concept = std::forward_iterator_tag;

    Iterator() = default;
    Iterator(const FeatureNames& names, Index i) : names_(&names), i_(i) {}

    std::string operator*() const { return (*names_)[i_]; }
    Iterator& operator++() { return ++i_, *this; }
    Iterator operator++(int) { return {*names_, i_++}; }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    const FeatureNames* names_ = nullptr;
    Index i_ = 0;
  };
  Iterator begin() const { return {*this, 0}; }
  Iterator end() const { return {*this, size()}; }

  friend bool operator==(const FeatureNames&, const FeatureNames&) = default;

 private:
  std::vector<std::string> names_;
  Index hashed_ = 0;
};
static_assert(std::forward_iterator<FeatureNames::Iterator>);

/// A data set made of a table, and what its features and labels are called.
template <class D>
struct TableData {
  D data;
  FeatureNames features;            // "age", "job=cook", "hash_17"
  std::vector<std::string> labels;  // of a label column of text: the text of label 0, 1, ...
  Index dropped = 0;                // rows left out by drop_missing
};

namespace detail {

inline std::size_t column_number(const Table& table, const ColumnKey& key) {
  if (const auto* name = std::get_if<std::string>(&key)) return static_cast<std::size_t>(&table[*name] - table.columns.data());
  const auto count = static_cast<Index>(table.columns.size());
  const Index number = std::get<Index>(key);
  if (number < -count || number >= count) throw DataError(text("the table has ", count, " columns; got column ", number));
  return static_cast<std::size_t>(number < 0 ? number + count : number);
}

/// What each column of a table is for, whatever its type.
struct TableRoles {
  std::optional<std::size_t> label, target;
  std::vector<bool> is_feature;
  std::vector<Encoding> encodings;  // where it is text

  TableRoles(const Table& table, const TableOptions& options) : is_feature(table.columns.size(), true) {
    if (options.hash_bits < 1 || options.hash_bits > 31) throw OptionError(text("hash_bits must be in [1, 31]; got ", options.hash_bits));
    if (options.label) is_feature[*(label = column_number(table, *options.label))] = false;
    if (options.target) is_feature[*(target = column_number(table, *options.target))] = false;
    for (const ColumnKey& key : options.leave_out) is_feature[column_number(table, key)] = false;
    encodings.assign(table.columns.size(), options.text);
    for (const auto& [name, encoding] : options.encodings) encodings[column_number(table, name)] = encoding;
  }

  /// Whether values of the column are needed at all, and whether all its levels must be known before a row can be encoded, if it is text.
  bool is_used(std::size_t c) const { return is_feature[c] || c == label || c == target; }
  bool needs_levels(std::size_t c) const { return (is_feature[c] && encodings[c] == Encoding::one_hot) || c == label; }
};

/// Feature of a value of a hashed column: FNV-1a of "column=value" (64 bits), its upper half folded onto the lower, modulo 2^bits.
inline Index hashed_feature(const std::string& column, const std::string& value, int bits) {
  const std::string name = column + '=' + value;
  return folded_hash(hash_bytes(std::as_bytes(std::span{name})), bits);
}

/// The number of each level.
inline std::unordered_map<std::string_view, std::int32_t> codes_of(const std::vector<std::string>& levels) {
  std::unordered_map<std::string_view, std::int32_t> codes;
  for (const auto& level : levels) codes.try_emplace(level, static_cast<std::int32_t>(codes.size()));
  return codes;
}

/// The codes of a column become those of the whole, whose levels have these. A level that is none of them is missing, if there may be such.
inline void take_codes(Column& part, const std::unordered_map<std::string_view, std::int32_t>& whole,
                       [[maybe_unused]] bool may_be_unknown) {
  std::vector<std::int32_t> codes;
  for (const std::string& level : part.levels) {
    const auto found = whole.find(level);
    PARADE_ASSERT(may_be_unknown || found != whole.end());
    codes.push_back(found == whole.end() ? -1 : found->second);
  }
  for (auto& code : part.codes)
    if (code >= 0) code = codes[static_cast<std::size_t>(code)];
  part.levels.clear();
}

inline Index count_missing(const Vector<std::int32_t>& codes) {
  return std::count_if(codes.begin(), codes.end(), [](auto code) { return code < 0; });
}

/// Of each name in a table the first column that has it.
inline std::unordered_map<std::string_view, const Column*> columns_by_name(const Table& table) {
  std::unordered_map<std::string_view, const Column*> named;
  for (const Column& column : table.columns) named.try_emplace(column.name, &column);
  return named;
}

/// Throws DataError where one is text and the other is not.
inline void check_same_kind(const Column& column, const Column& reference) {
  if ((column.type == ColumnType::text) != (reference.type == ColumnType::text))
    throw DataError(text("column '", column.name, "' must be of the type that it has in the reference, ", name_of(reference.type), "; got ",
                         name_of(column.type)));
}

/// All values of the column are missing.
inline bool has_no_value(const Column& column) {
  return column.type == ColumnType::text ? std::all_of(column.codes.begin(), column.codes.end(), [](auto code) { return code < 0; })
                                         : std::all_of(column.numbers.begin(), column.numbers.end(), [](auto x) { return std::isnan(x); });
}

/// Knows which features the columns of a table become.
class TableEncoder {
 public:
  /// The table needs no values, and of hashed columns no levels.
  TableEncoder(const Table& table, const TableOptions& options)
      : roles_(table, options), hash_bits_(options.hash_bits), drop_missing_(options.drop_missing), keep_missing_(options.keep_missing) {
    for (const auto& [name, encoding] : options.encodings)
      if (table[name].type != ColumnType::text)
        throw OptionError(text("encodings must name columns of text; '", name, "' is ", name_of(table[name].type),
                               " (CsvOptions::types reads it as text)"));
    if (roles_.target && table.columns[*roles_.target].type == ColumnType::text)
      throw DataError(text("target must be a column of numbers; '", table.columns[*roles_.target].name, "' is text"));
    if (roles_.label && table.columns[*roles_.label].type == ColumnType::real)
      throw DataError(text("label must be a column of text or whole numbers; '", table.columns[*roles_.label].name, "' is real"));

    std::vector<std::string> names;
    for (std::size_t c = 0; c < table.columns.size(); ++c) {
      const Column& column = table.columns[c];
      if (!roles_.is_feature[c]) continue;
      const auto first = static_cast<Index>(names.size());
      if (column.type != ColumnType::text) {
        numbers_.push_back({c, first});
        names.push_back(column.name);
      } else if (roles_.encodings[c] == Encoding::one_hot) {
        one_hot_.push_back({c, first});
        for (const auto& level : column.levels) names.push_back(column.name + '=' + level);
      } else if (roles_.encodings[c] == Encoding::hashed) {
        hashed_.push_back(c);
      }
    }
    first_hashed_ = static_cast<Index>(names.size());
    features_ = FeatureNames{std::move(names), hashed_.empty() ? Index{0} : Index{1} << hash_bits_};
    if (features_.empty()) throw DataError("the table must have at least 1 column that becomes features; got none");
    if (roles_.label) labels_ = table.columns[*roles_.label].levels;
  }

  const FeatureNames& features() const { return features_; }
  const std::vector<std::string>& labels() const { return labels_; }
  bool hashes() const { return !hashed_.empty(); }
  /// Columns of the table without a value of which a row is not used.
  std::vector<const Column*> needed(const Table& table) const {
    std::vector<const Column*> columns;
    for (const auto& number : numbers_)
      if (!keep_missing_) columns.push_back(&table.columns[number.column]);
    if (roles_.label) columns.push_back(&table.columns[*roles_.label]);
    if (roles_.target) columns.push_back(&table.columns[*roles_.target]);
    return columns;
  }
  /// Whether the table is refused for what it lacks.
  bool refuses(const Table& table) const {
    const auto columns = needed(table);
    return !drop_missing_ && std::any_of(columns.begin(), columns.end(), [](const Column* column) { return column->missing > 0; });
  }
  NotFinite not_finite() const { return keep_missing_ ? NotFinite::keep : NotFinite::refuse; }

 private:
  friend class TableRows;

  struct Features {
    std::size_t column;
    Index first;  // of its features
  };

  TableRoles roles_;
  int hash_bits_;
  bool drop_missing_, keep_missing_;
  std::vector<Features> numbers_, one_hot_;
  std::vector<std::size_t> hashed_;
  Index first_hashed_ = 0;
  FeatureNames features_;
  std::vector<std::string> labels_;
};

/// The rows of a table that are used, or of a part of one that has the columns, types and levels of all.
class TableRows {
 public:
  /// `first_row` stand before the part; columns say how many values are missing in all.
  TableRows(const TableEncoder& encoder, const Table& part, Index first_row = 0) : of_(encoder), table_(part), first_row_(first_row) {
    for (const std::size_t c : encoder.hashed_) {
      std::vector<Index>& features = hashed_.emplace_back();
      const Column& column = part.columns[c];
      for (const auto& level : column.levels)
        features.push_back(encoder.first_hashed_ + hashed_feature(column.name, level, encoder.hash_bits_));
    }
    find_rows();
  }

  Index size() const { return static_cast<Index>(rows_.size()); }
  Index dropped() const { return table_.rows - size(); }

  /// `count` rows from `first` on, and their labels and targets.
  template <class Scalar>
  DenseData<Scalar> dense(Index first, Index count, NotFinite not_finite) const {
    Matrix<Scalar> x(of_.features().size(), count);
    kernels::use_huge_pages(x);
    x.setZero();
    for (Index i = 0; i < count; ++i)
      encode(row(first + i), [&](Index feature, double value) { x(feature, i) += static_cast<Scalar>(value); });
    return with_answers(DenseData<Scalar>{std::move(x), not_finite}, first, count);
  }

  /// The same as sparse rows.
  template <class Scalar>
  SparseRows<Scalar> sparse(Index first, Index count, NotFinite not_finite) const {
    Index most = 0, size = 0;
    for (Index i = 0; i < count; ++i) encode(row(first + i), [&most](Index, double) { ++most; });
    Vector<std::int64_t> offsets(count + 1);
    Vector<std::int32_t> indices(most);
    Vector<Scalar> values(most);
    kernels::use_huge_pages(indices);
    kernels::use_huge_pages(values);
    offsets[0] = 0;
    std::vector<std::pair<Index, Scalar>> entries;
    const auto by_feature = [](const auto& a, const auto& b) { return a.first < b.first; };
    for (Index i = 0; i < count; ++i) {
      entries.clear();
      encode(row(first + i), [&](Index feature, double value) { entries.emplace_back(feature, static_cast<Scalar>(value)); });
      if (!std::is_sorted(entries.begin(), entries.end(), by_feature)) std::stable_sort(entries.begin(), entries.end(), by_feature);
      for (std::size_t j = 0; j < entries.size(); ++j) {
        if (j > 0 && entries[j].first == entries[j - 1].first) {
          values[size - 1] += entries[j].second;
          continue;
        }
        indices[size] = static_cast<std::int32_t>(entries[j].first);
        values[size++] = entries[j].second;
      }
      offsets[i + 1] = size;
    }
    indices.conservativeResize(size);
    values.conservativeResize(size);
    return with_answers(SparseRows<Scalar>{std::move(offsets), std::move(indices), std::move(values), of_.features().size(), not_finite},
                        first, count);
  }

 private:
  Index row(Index i) const { return rows_[static_cast<std::size_t>(i)]; }

  /// Calls add(feature, value) for whatever row has, except for zeros: numbers in rising order of features, then levels.
  template <class Add>
  void encode(Index row, const Add& add) const {
    for (const auto& [c, feature] : of_.numbers_)
      if (const double number = table_.columns[c].numbers[row]; number != 0) add(feature, number);
    for (const auto& [c, first] : of_.one_hot_)
      if (const auto code = table_.columns[c].codes[row]; code >= 0) add(first + code, 1.0);
    for (std::size_t h = 0; h < hashed_.size(); ++h)
      if (const auto code = table_.columns[of_.hashed_[h]].codes[row]; code >= 0) add(hashed_[h][static_cast<std::size_t>(code)], 1.0);
  }

  template <class D>
  D with_answers(D data, Index first, Index count) const {
    if (of_.roles_.label) {
      const Column& column = table_.columns[*of_.roles_.label];
      Vector<Label> labels(count);
      for (Index i = 0; i < count; ++i) labels[i] = label(column, row(first + i));
      data = data.with_labels(std::move(labels));
    }
    if (of_.roles_.target) {
      const Column& column = table_.columns[*of_.roles_.target];
      Matrix<double> targets(1, count);
      for (Index i = 0; i < count; ++i) targets(0, i) = column.numbers[row(first + i)];
      data = data.with_targets(std::move(targets));
    }
    return data;
  }

  Label label(const Column& column, Index row) const {
    if (column.type == ColumnType::text) return column.codes[row];
    const double number = column.numbers[row];
    if (std::abs(number) > 2147483647)
      throw DataError(
          text("labels must be whole numbers of 32 bits; got ", number, " in row ", first_row_ + row, " of column '", column.name, "'"));
    return static_cast<Label>(number);
  }

  static bool lacks(const Column& column, Index row) {
    return column.type == ColumnType::text ? column.codes[row] < 0 : std::isnan(column.numbers[row]);
  }

  void find_rows() {
    const std::vector<const Column*> needed = of_.needed(table_);
    for (Index row = 0; row < table_.rows; ++row) {
      const auto lacking = std::find_if(needed.begin(), needed.end(), [row](const Column* column) { return lacks(*column, row); });
      if (lacking == needed.end()) {
        rows_.push_back(row);
      } else if (!of_.drop_missing_) {
        throw DataError(text("column '", (*lacking)->name, "' must have a value in each row; it lacks ", (*lacking)->missing,
                             ", the first in row ", first_row_ + row,
                             " (leave the column out, set drop_missing, or for features keep_missing)"));
      }
    }
  }

  const TableEncoder& of_;
  const Table& table_;
  Index first_row_;
  std::vector<std::vector<Index>> hashed_;  // of each hashed column, the feature of each level
  std::vector<Index> rows_;
};

}  // namespace detail

/// Dense samples of a table: columns of numbers as they are, columns of text by their encoding (see TableOptions); in the order of the columns,
/// the hashed features behind all others.
///
///   const auto [table, report] = parade::read_csv("adult.csv");
///   const auto [data, features, labels, dropped] = parade::dense_data<float>(table, {.label = "income"});
///
/// A text that is missing sets none of its column's features. A table with other levels than those that were trained on is brought to them by
/// with_levels_of.
///
/// Throws DataError, naming column, row and rule: for no such column, a number, label or target that is missing (unless drop_missing), a label
/// column of real numbers, no features; OptionError for options that break a rule.
template <class Scalar>
TableData<DenseData<Scalar>> dense_data(const Table& table, const TableOptions& options = {}) {
  const detail::TableEncoder encoder{table, options};
  const detail::TableRows rows{encoder, table};
  return {rows.template dense<Scalar>(0, rows.size(), encoder.not_finite()), encoder.features(), encoder.labels(), rows.dropped()};
}

/// The same as sparse rows: zeros are not stored.
template <class Scalar>
TableData<SparseRows<Scalar>> sparse_rows(const Table& table, const TableOptions& options = {}) {
  const detail::TableEncoder encoder{table, options};
  const detail::TableRows rows{encoder, table};
  return {rows.template sparse<Scalar>(0, rows.size(), encoder.not_finite()), encoder.features(), encoder.labels(), rows.dropped()};
}

/// A table whose columns of text have the levels of the columns of the same name in `reference`, so that both become the same features: a test set
/// as its training set. A level that the reference does not have becomes missing, and is counted as that. A column without any value gets the
/// type that it has in the reference, whatever it was taken for. One whose levels the reference does not know (`knows_levels`) keeps its own.
///
/// Throws DataError for a column that the reference does not have, or has as text where this is not, or the other way round.
inline Table with_levels_of(Table table, const Table& reference) {
  const auto named = detail::columns_by_name(reference);
  for (Column& column : table.columns) {
    const auto found = named.find(column.name);
    const Column& other = found == named.end() ? reference[column.name] : *found->second;  // the former throws
    if (detail::has_no_value(column)) {
      column.type = other.type;
      column.numbers = Vector<double>::Constant(other.type == ColumnType::text ? 0 : table.rows, std::numeric_limits<double>::quiet_NaN());
      column.codes = Vector<std::int32_t>::Constant(other.type == ColumnType::text ? table.rows : 0, -1);
      column.levels = other.levels;
      column.missing = table.rows;
      column.why_text.clear();
      continue;
    }
    detail::check_same_kind(column, other);
    if (column.type != ColumnType::text || !other.knows_levels) continue;
    detail::take_codes(column, detail::codes_of(other.levels), true);
    column.missing = detail::count_missing(column.codes);
    column.levels = other.levels;
  }
  return table;
}

}  // namespace parade
