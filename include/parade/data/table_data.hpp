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
#include <type_traits>
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

inline const Column& column_of(const Table& table, const ColumnKey& key) {
  if (const auto* name = std::get_if<std::string>(&key)) return table[*name];
  const auto count = static_cast<Index>(table.columns.size());
  const Index number = std::get<Index>(key);
  if (number < -count || number >= count) throw DataError(text("the table has ", count, " columns; got column ", number));
  return table.columns[static_cast<std::size_t>(number < 0 ? number + count : number)];
}

/// Feature of a value of a hashed column: FNV-1a of "column=value" (64 bits), its upper half folded onto the lower, modulo 2^bits.
inline Index hashed_feature(const std::string& column, const std::string& value, int bits) {
  const std::string name = column + '=' + value;
  const std::uint64_t hash = hash_bytes(std::as_bytes(std::span{name}));
  return static_cast<Index>((hash ^ (hash >> 32)) & ((std::uint64_t{1} << bits) - 1));
}

/// All values of the column are missing.
inline bool has_no_value(const Column& column) {
  return column.type == ColumnType::text ? std::all_of(column.codes.begin(), column.codes.end(), [](auto code) { return code < 0; })
                                         : std::all_of(column.numbers.begin(), column.numbers.end(), [](auto x) { return std::isnan(x); });
}

/// Knows which feature each column of a table becomes, and which rows are used.
class TableEncoder {
 public:
  TableEncoder(const Table& table, const TableOptions& options) : table_(table) {
    if (options.hash_bits < 1 || options.hash_bits > 31) throw OptionError(text("hash_bits must be in [1, 31]; got ", options.hash_bits));
    std::vector<const Column*> unused;
    if (options.label) unused.push_back(label_ = &column_of(table, *options.label));
    if (options.target) unused.push_back(target_ = &column_of(table, *options.target));
    for (const ColumnKey& key : options.leave_out) unused.push_back(&column_of(table, key));
    for (const auto& [name, encoding] : options.encodings)
      if (table[name].type != ColumnType::text)
        throw OptionError(text("encodings must name columns of text; '", name, "' is ", name_of(table[name].type),
                               " (CsvOptions::types reads it as text)"));
    if (target_ && target_->type == ColumnType::text)
      throw DataError(text("target must be a column of numbers; '", target_->name, "' is text"));
    if (label_ && label_->type == ColumnType::real)
      throw DataError(text("label must be a column of text or whole numbers; '", label_->name, "' is real"));

    bool any_hashed = false;
    std::vector<std::string> names;
    for (const Column& column : table.columns) {
      if (std::find(unused.begin(), unused.end(), &column) != unused.end()) continue;
      if (column.type != ColumnType::text) {
        numbers_.push_back({&column, static_cast<Index>(names.size())});
        names.push_back(column.name);
        continue;
      }
      const auto own = options.encodings.find(column.name);
      const Encoding encoding = own != options.encodings.end() ? own->second : options.text;
      if (encoding == Encoding::one_hot) {
        levels_.push_back({&column, {}});
        for (const auto& level : column.levels) {
          levels_.back().features.push_back(static_cast<Index>(names.size()));
          names.push_back(column.name + '=' + level);
        }
      } else if (encoding == Encoding::hashed) {
        any_hashed = true;
        levels_.push_back({&column, {}});
        for (const auto& level : column.levels)
          levels_.back().features.push_back(-1 - hashed_feature(column.name, level, options.hash_bits));
      }
    }
    const auto first_hashed = static_cast<Index>(names.size());
    for (Levels& levels : levels_)
      for (Index& feature : levels.features)
        if (feature < 0) feature = first_hashed + (-1 - feature);
    features_ = FeatureNames{std::move(names), any_hashed ? Index{1} << options.hash_bits : Index{0}};
    if (features_.empty()) throw DataError("the table must have at least 1 column that becomes features; got none");
    find_rows(options);
  }

  const std::vector<Index>& rows() const { return rows_; }
  const FeatureNames& features() const { return features_; }
  Index dropped() const { return table_.rows - static_cast<Index>(rows_.size()); }

  /// Calls add(feature, value) for whatever row has, except for zeros: numbers in rising order of features, then levels.
  template <class Add>
  void encode(Index row, const Add& add) const {
    for (const auto& [column, feature] : numbers_)
      if (column->numbers[row] != 0) add(feature, column->numbers[row]);
    for (const auto& [column, features] : levels_)
      if (column->codes[row] >= 0) add(features[static_cast<std::size_t>(column->codes[row])], 1.0);
  }

  /// Adds labels and targets.
  template <class D>
  TableData<D> finish(D data) {
    const auto n = static_cast<Index>(rows_.size());
    std::vector<std::string> names;
    if (label_) {
      Vector<Label> labels(n);
      for (Index i = 0; i < n; ++i) labels[i] = label(rows_[static_cast<std::size_t>(i)]);
      data = data.with_labels(std::move(labels));
      names = label_->levels;
    }
    if (target_) {
      Matrix<double> targets(1, n);
      for (Index i = 0; i < n; ++i) targets(0, i) = target_->numbers[rows_[static_cast<std::size_t>(i)]];
      data = data.with_targets(std::move(targets));
    }
    return {std::move(data), std::move(features_), std::move(names), dropped()};
  }

 private:
  struct Number {
    const Column* column;
    Index feature;
  };
  struct Levels {
    const Column* column;
    std::vector<Index> features;
  };

  Label label(Index row) const {
    if (label_->type == ColumnType::text) return label_->codes[row];
    const double number = label_->numbers[row];
    if (std::abs(number) > 2147483647)
      throw DataError(text("labels must be whole numbers of 32 bits; got ", number, " in row ", row, " of column '", label_->name, "'"));
    return static_cast<Label>(number);
  }

  static bool lacks(const Column& column, Index row) {
    return column.type == ColumnType::text ? column.codes[row] < 0 : std::isnan(column.numbers[row]);
  }

  void find_rows(const TableOptions& options) {
    std::vector<const Column*> needed;
    for (const Number& number : numbers_)
      if (!options.keep_missing) needed.push_back(number.column);
    if (label_) needed.push_back(label_);
    if (target_) needed.push_back(target_);
    for (Index row = 0; row < table_.rows; ++row) {
      const auto lacking = std::find_if(needed.begin(), needed.end(), [row](const Column* column) { return lacks(*column, row); });
      if (lacking == needed.end()) {
        rows_.push_back(row);
      } else if (!options.drop_missing) {
        throw DataError(text("column '", (*lacking)->name, "' must have a value in each row; it lacks ", (*lacking)->missing,
                             ", the first in row ", row, " (leave the column out, set drop_missing, or for features keep_missing)"));
      }
    }
  }

  const Table& table_;
  const Column* label_ = nullptr;
  const Column* target_ = nullptr;
  std::vector<Number> numbers_;
  std::vector<Levels> levels_;
  FeatureNames features_;
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
  detail::TableEncoder encoder{table, options};
  const auto n = static_cast<Index>(encoder.rows().size()), d = encoder.features().size();
  Matrix<Scalar> x = Matrix<Scalar>::Zero(d, n);
  for (Index i = 0; i < n; ++i)
    encoder.encode(encoder.rows()[static_cast<std::size_t>(i)],
                   [&](Index feature, double value) { x(feature, i) += static_cast<Scalar>(value); });
  return encoder.finish(DenseData<Scalar>{std::move(x), options.keep_missing ? NotFinite::keep : NotFinite::refuse});
}

/// The same as sparse rows: zeros are not stored.
template <class Scalar>
TableData<SparseRows<Scalar>> sparse_rows(const Table& table, const TableOptions& options = {}) {
  detail::TableEncoder encoder{table, options};
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> indices;
  std::vector<Scalar> values;
  std::vector<std::pair<Index, Scalar>> entries;
  for (const Index row : encoder.rows()) {
    entries.clear();
    encoder.encode(row, [&](Index feature, double value) { entries.emplace_back(feature, static_cast<Scalar>(value)); });
    std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (std::size_t j = 0; j < entries.size(); ++j) {
      if (j > 0 && entries[j].first == entries[j - 1].first) {
        values.back() += entries[j].second;
        continue;
      }
      indices.push_back(static_cast<std::int32_t>(entries[j].first));
      values.push_back(entries[j].second);
    }
    offsets.push_back(static_cast<std::int64_t>(indices.size()));
  }
  const Index d = encoder.features().size();
  const auto vector = [](const auto& of) {
    using T = typename std::decay_t<decltype(of)>::value_type;
    return Vector<T>{Eigen::Map<const Vector<T>>{of.data(), static_cast<Index>(of.size())}};
  };
  return encoder.finish(
      SparseRows<Scalar>{vector(offsets), vector(indices), vector(values), d, options.keep_missing ? NotFinite::keep : NotFinite::refuse});
}

/// A table whose columns of text have the levels of the columns of the same name in `reference`, so that both become the same features: a test set
/// as its training set. A level that the reference does not have becomes missing, and is counted as that. A column without any value gets the
/// type that it has in the reference, whatever it was taken for.
///
/// Throws DataError for a column that the reference does not have, or has as text where this is not, or the other way round.
inline Table with_levels_of(Table table, const Table& reference) {
  for (Column& column : table.columns) {
    const Column& other = reference[column.name];
    if (detail::has_no_value(column)) {
      column.type = other.type;
      column.numbers = Vector<double>::Constant(other.type == ColumnType::text ? 0 : table.rows, std::numeric_limits<double>::quiet_NaN());
      column.codes = Vector<std::int32_t>::Constant(other.type == ColumnType::text ? table.rows : 0, -1);
      column.levels = other.levels;
      column.missing = table.rows;
      column.why_text.clear();
      continue;
    }
    if ((column.type == ColumnType::text) != (other.type == ColumnType::text))
      throw DataError(detail::text("column '", column.name, "' must be of the type that it has in the reference, ", name_of(other.type),
                                   "; got ", name_of(column.type)));
    if (column.type != ColumnType::text) continue;
    std::unordered_map<std::string_view, std::int32_t> code_of;
    for (const auto& level : other.levels) code_of.try_emplace(level, static_cast<std::int32_t>(code_of.size()));
    std::vector<std::int32_t> codes;
    for (const auto& level : column.levels) {
      const auto found = code_of.find(level);
      codes.push_back(found == code_of.end() ? -1 : found->second);
    }
    column.missing = 0;
    for (auto& code : column.codes) {
      if (code >= 0) code = codes[static_cast<std::size_t>(code)];
      column.missing += code < 0;
    }
    column.levels = other.levels;
  }
  return table;
}

}  // namespace parade
