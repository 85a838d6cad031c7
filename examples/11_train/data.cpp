// SPDX-License-Identifier: MIT
#include "data.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <exception>
#include <fstream>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include <parade/data/cached.hpp>
#include <parade/data/dense_data.hpp>
#include <parade/data/make_cache.hpp>
#include <parade/engine/team.hpp>
#include <parade/io/csv_stream.hpp>
#include <parade/io/file.hpp>
#include <parade/io/libsvm.hpp>
#include <parade/io/npy.hpp>
#include <parade/prepare/hash_features.hpp>
#include <parade/prepare/unit_norm.hpp>

std::vector<std::size_t> number_columns(const Preparation& p) {
  std::vector<std::size_t> columns;
  for (std::size_t c = 0; c < p.columns.size(); ++c)
    if (p.columns[c].type != parade::ColumnType::text && p.columns[c].name != p.answer) columns.push_back(c);
  return columns;
}

PlacesInTraining::PlacesInTraining(const Preparation& p) : names_(p.file_columns) {
  for (std::size_t c = 0; c < names_.size(); ++c) places_.try_emplace(names_[c], c);
}

std::size_t PlacesInTraining::operator[](const std::string& name) const {
  if (const auto found = places_.find(name); found != places_.end()) return found->second;
  std::size_t number = 0;  // of a column without a name, counted from 1
  const std::size_t prefix = std::min(name.size(), name.find('_')) + 1;
  if (prefix < name.size()) std::from_chars(name.data() + prefix, name.data() + name.size(), number);
  const bool is_it = number > 0 && number <= names_.size() && names_[number - 1].empty() && name_by_place(number - 1) == name;
  return is_it ? number - 1 : names_.size();
}

namespace {

/// Rows with other entries: `change` may change them, add and leave out; then they are sorted, and values of the same feature added.
template <class S, class Change>
Rows changed(const parade::SparseRows<S>& rows, Index num_features, const Change& change) {
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> indices;
  std::vector<float> values;
  std::vector<std::pair<std::int32_t, S>> entries;
  const auto before = [](const auto& a, const auto& b) { return a.first < b.first; };
  for (Index i = 0; i < rows.size(); ++i) {
    const auto row = rows[i];
    entries.clear();
    for (std::size_t e = 0; e < row.indices.size(); ++e) entries.emplace_back(row.indices[e], row.value(e));
    change(entries);
    if (!std::is_sorted(entries.begin(), entries.end(), before)) std::stable_sort(entries.begin(), entries.end(), before);
    for (const auto& [index, value] : entries) {
      if (static_cast<std::int64_t>(indices.size()) > offsets.back() && indices.back() == index) {
        values.back() += static_cast<float>(value);
        continue;
      }
      indices.push_back(index);
      values.push_back(static_cast<float>(value));
    }
    offsets.push_back(static_cast<std::int64_t>(indices.size()));
  }
  const auto vector = [](const auto& of) {
    using T = typename std::decay_t<decltype(of)>::value_type;
    return Vector<T>{Eigen::Map<const Vector<T>>{of.data(), static_cast<Index>(of.size())}};
  };
  Rows result{vector(offsets), vector(indices), vector(values), num_features};
  if (rows.has_labels()) result = result.with_labels(rows.labels());
  if (rows.num_targets() > 0) result = result.with_targets(rows.targets());
  return result;
}

Rows without_unknown_features(const Rows& rows, Index num_features, Index& left_out) {
  return changed(rows, num_features, [&](auto& entries) {
    left_out += static_cast<Index>(std::erase_if(entries, [&](const auto& entry) { return entry.first >= num_features; }));
  });
}

Rows hashed(const Rows& rows, const Preparation& p, int threads) {
  return parade::hash_features(rows, {.bits = p.hash_bits, .index_base = p.index_base}, threads);
}

/// What is done to rows behind everything else.
Rows weighted(const Rows& rows, const Preparation& p, int threads) {
  if (p.tf_idf) return p.weights.transform(rows, threads);
  return p.unit_norm ? parade::UnitNorm{.features = rows.num_features()}.transform(rows, threads) : rows;
}

/// What errors call the columns that number_columns names: by name, and by the number that the command line knows.
class NumberNames {
 public:
  explicit NumberNames(const Preparation& p) {
    const PlacesInTraining places{p};
    for (const std::size_t c : number_columns(p)) {
      const std::string& name = p.columns[c].name;
      names_.push_back("column '" + name + "' (number " + std::to_string(places[name]) + " of the file, counted from 0)");
    }
  }
  const std::string& operator[](Index k) const { return names_[static_cast<std::size_t>(k)]; }

 private:
  std::vector<std::string> names_;
};

/// Of each name in a table which column has it.
std::unordered_map<std::string, std::size_t> columns_by_name(const parade::Table& table) {
  std::unordered_map<std::string, std::size_t> columns;
  for (std::size_t c = 0; c < table.columns.size(); ++c) columns.try_emplace(table.columns[c].name, c);
  return columns;
}

/// The columns of a table that number_columns names.
class TableNumbers final : public parade::Samples {
 public:
  TableNumbers(const parade::Table& table, const Preparation& p) : rows_(table.rows), names_(p) {
    const auto by_name = columns_by_name(table);
    for (const std::size_t c : number_columns(p)) columns_.push_back(&table.columns[by_name.at(p.columns[c].name)].numbers);
  }
  std::string feature(Index k) const override { return names_[k]; }
  Index size() const override { return rows_; }
  Index num_features() const override { return static_cast<Index>(columns_.size()); }
  void read(parade::Range range, double* x) const override {
    for (Index i = range.begin; i < range.end; ++i)
      for (const Vector<double>* column : columns_) *x++ = (*column)[i];
  }

 private:
  Index rows_;
  NumberNames names_;
  std::vector<const Vector<double>*> columns_;
};

/// Those columns to mean 0 and variance 1, as p.scaler was fitted; what is missing becomes the mean.
void standardize(parade::Table& table, const Preparation& p) {
  std::vector<parade::Column*> columns;
  const auto by_name = columns_by_name(table);
  for (const std::size_t c : number_columns(p)) columns.push_back(&table.columns[by_name.at(p.columns[c].name)]);
  std::vector<double> x(columns.size()), z(columns.size());
  for (Index i = 0; i < table.rows; ++i) {
    for (std::size_t k = 0; k < columns.size(); ++k) x[k] = columns[k]->numbers[i];
    p.scaler.transform_sample(i, x.data(), z.data());
    for (std::size_t k = 0; k < columns.size(); ++k) columns[k]->numbers[i] = std::isnan(z[k]) ? 0 : z[k];
  }
  for (parade::Column* column : columns) {
    column->type = parade::ColumnType::real;
    column->missing = 0;
  }
}

/// A matrix as a table: column_1, column_2, …
parade::Table table_of(const Matrix<double>& x) {
  parade::Table table{x.cols(), {}};
  for (Index i = 0; i < x.rows(); ++i) {
    parade::Column column;
    column.name = name_by_place(static_cast<std::size_t>(i));
    column.has_name = false;
    column.numbers = x.row(i);
    column.type = parade::ColumnType::integer;
    for (const double value : column.numbers) {
      if (std::isnan(value)) ++column.missing;
      if (value != std::trunc(value)) column.type = parade::ColumnType::real;
    }
    table.columns.push_back(std::move(column));
  }
  return table;
}

/// A column's name, from the command line: a whole number counts columns, from the end where negative, unless a column is called that.
std::string column_name(const parade::Table& table, const std::string& key) {
  const auto count = static_cast<int>(table.columns.size());
  int number = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
  const bool named = std::any_of(table.columns.begin(), table.columns.end(), [&](const auto& column) { return column.name == key; });
  if (named || error != std::errc{} || end != key.data() + key.size()) return table[key].name;  // an error that lists the names there are
  if (number < -count || number >= count)
    throw parade::DataError("the file has " + std::to_string(count) + " columns; there is no column " + key);
  return table.columns[static_cast<std::size_t>(number < 0 ? number + count : number)].name;
}

/// What the command line calls columns becomes their names.
void name_columns(const parade::Table& table, Preparation& p) {
  for (const parade::Column& column : table.columns) p.file_columns.push_back(column.has_name ? column.name : "");
  p.answer = column_name(table, p.answer);
  for (std::string& key : p.leave_out) key = column_name(table, key);
  if (std::find(p.leave_out.begin(), p.leave_out.end(), p.answer) != p.leave_out.end())
    throw parade::DataError("column '" + p.answer + "' is what is to be predicted: it cannot be left out");
}

void leave_out(parade::Table& table, const Preparation& p) {
  std::erase_if(table.columns,
                [&](const auto& column) { return std::find(p.leave_out.begin(), p.leave_out.end(), column.name) != p.leave_out.end(); });
}

bool is_number(const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  return std::from_chars(text.data(), end, value).ptr == end && !text.empty();
}

/// The columns of the training file, without their values.
void keep_columns(const parade::Table& table, Preparation& p) {
  for (const parade::Column& column : table.columns) {
    if (column.type != parade::ColumnType::text || column.why_text.empty() || column.name == p.answer) continue;
    const auto numbers = std::count_if(column.levels.begin(), column.levels.end(), is_number);
    const auto all = static_cast<std::ptrdiff_t>(column.levels.size());
    if (2 * numbers > all && numbers < all)
      p.notes.push_back("column '" + column.name + "' is taken as text because of " + column.why_text + ": each of its " +
                        std::to_string(all) + " values is a category, though " + std::to_string(numbers) + " of them are numbers");
  }
  for (const parade::Column& column : table.columns) {
    p.columns.push_back({});
    p.columns.back().name = column.name;
    p.columns.back().type = column.type;
    p.columns.back().knows_levels = column.knows_levels && (p.hash_bits == 0 || column.name == p.answer);  // any text has its hash
    if (p.columns.back().knows_levels) p.columns.back().levels = column.levels;
  }
}

parade::LibsvmOptions libsvm_options(const Preparation& p, int threads) {
  parade::LibsvmOptions options;
  options.targets = p.on_labels ? parade::LibsvmTargets::labels : parade::LibsvmTargets::real;
  options.threads = threads;
  if (p.skip_malformed) options.on_error = parade::OnError::skip;
  return options;
}

parade::CsvOptions csv_options(const Preparation& p, int threads) {
  parade::CsvOptions options;
  options.header = p.header;
  options.threads = threads;
  if (p.skip_malformed) options.on_error = parade::OnError::skip;
  return options;
}

parade::TableOptions table_options(const Preparation& p, bool answered) {
  parade::TableOptions options;
  if (answered) (p.on_labels ? options.label : options.target) = p.answer;
  if (p.hash_bits > 0) options.text = parade::Encoding::hashed, options.hash_bits = p.hash_bits;
  return options;
}

/// What the training file calls the columns of another, "" where it has none like that. A column without a name is called by its place, so that those behind
/// the answer are another where that is missing: if one of p.columns, which are all but those left out, has no name, then the file must have all columns of
/// the training file, those left out too, or all but the answer. Else those left out may be missing, with a name or without. Throws DataError for a file that
/// breaks that rule, and for one that lacks a column that is needed.
std::vector<std::string> names_in_training(const parade::Table& own, const Preparation& p, const std::string& file) {
  const std::set<std::string> named(p.file_columns.begin(), p.file_columns.end());
  std::vector<std::string> names;
  for (const parade::Column& column : own.columns) names.push_back(column.has_name && named.contains(column.name) ? column.name : "");
  if (std::any_of(p.columns.begin(), p.columns.end(), [&](const auto& column) { return !named.contains(column.name); })) {
    const std::size_t all = p.file_columns.size(), answer = PlacesInTraining{p}[p.answer];
    const bool answered = named.contains(p.answer) ? std::find(names.begin(), names.end(), p.answer) != names.end() : names.size() == all;
    if (names.size() != (answered ? all : all - 1))
      throw parade::DataError(file + " must have the " + std::to_string(all) +
                              " columns of the training file, those left out too, or the " + std::to_string(all - 1) + " without '" +
                              p.answer + "' (number " + std::to_string(answer) +
                              ", counted from 0), which is predicted: some have no name and are known by their place; it has " +
                              std::to_string(names.size()) + " columns" + (names.size() == all ? ", none of them '" + p.answer + "'" : ""));
    for (std::size_t c = 0; c < names.size(); ++c)
      if (const std::string name = name_by_place(!answered && c >= answer ? c + 1 : c); !own.columns[c].has_name && !named.contains(name))
        names[c] = name;
  }
  const std::set<std::string> there(names.begin(), names.end());
  for (const parade::Column& column : p.columns)
    if (column.name != p.answer && !there.contains(column.name)) {
      const std::string found =
          parade::detail::list_of_names(own.columns, [](const auto& c) { return c.name + (c.has_name ? "" : " (without a name)"); });
      throw parade::DataError(file + " must have the column '" + column.name + "' of the training file" +
                              (named.contains(column.name) ? "" : ", which has no name there") + "; it has " + found);
    }
  return names;
}

/// The columns of a table that hold nothing but numbers, at least one, and were text in the training file, where they have these names: they must be read again.
/// (One without any value becomes text in with_levels_of.)
std::map<std::string, parade::ColumnType> texts_of_training(const parade::Table& table, const std::vector<std::string>& names,
                                                            const Preparation& p) {
  std::set<std::string> texts;
  for (const parade::Column& column : p.columns)
    if (column.type == parade::ColumnType::text) texts.insert(column.name);
  std::map<std::string, parade::ColumnType> types;
  for (std::size_t c = 0; c < names.size(); ++c)
    if (const parade::Column& column = table.columns[c];
        column.type != parade::ColumnType::text && column.missing < table.rows && texts.contains(names[c]))
      types[column.name] = parade::ColumnType::text;
  return types;
}

/// The columns of the training file, in its order, with its levels. That of the answer may be missing, and keeps its own levels: a label that training did not
/// have is no missing one.
parade::Table like_training(parade::Table table, const Preparation& p, Data& data) {
  parade::Table picked{table.rows, {}}, reference{0, {}};
  data.answered = false;
  const auto by_name = columns_by_name(table);
  for (const parade::Column& column : p.columns) {
    const bool is_answer = column.name == p.answer;
    const auto found = by_name.find(column.name);
    if (found == by_name.end()) {
      if (is_answer) continue;
      table[column.name];  // throws
    }
    data.answered |= is_answer;
    picked.columns.push_back(std::move(table.columns[found->second]));
    reference.columns.push_back(column);
    reference.columns.back().knows_levels &= !is_answer;
  }
  const auto missing = [&] {
    Index count = 0;
    for (std::size_t c = 0; c < picked.columns.size(); ++c)  // one without any value is no text before
      if (reference.columns[c].type == parade::ColumnType::text && picked.columns[c].name != p.answer) count += picked.columns[c].missing;
    return count;
  };
  const Index before = missing();
  picked = parade::with_levels_of(std::move(picked), reference);
  data.no_level = missing() - before;
  return picked;
}

/// A value that is missing where there must be one is told in the words of this program.
void check_missing(const parade::Table& table, const Preparation& p) {
  for (const parade::Column& column : table.columns) {
    const bool is_answer = column.name == p.answer;
    if (column.missing == 0 || (!is_answer && (p.standardize || column.type == parade::ColumnType::text))) continue;
    throw parade::DataError("column '" + column.name + "' must have a value in each row; it lacks " + std::to_string(column.missing) +
                            (is_answer ? "" : " (--standardize puts the mean there, --leave-out leaves the column out)"));
  }
}

/// What a reader left out, for the user.
template <class Report>
void note_skipped(const Report& report, Preparation& p) {
  p.skipped = report.skipped;
  if (report.skipped > 0)
    p.notes.push_back(std::to_string(report.skipped) + " malformed rows were left out, the first: " + report.messages.front());
}

/// The labels of the classes 0, 1, …
std::vector<std::string> class_labels(const std::map<Label, Label>& classes, const std::vector<std::string>& names) {
  std::vector<std::string> labels;
  for (const auto& [y, unused] : classes) labels.push_back(names.empty() ? std::to_string(y) : names[static_cast<std::size_t>(y)]);
  if (labels.size() < 2)
    throw parade::DataError("the training data must have at least 2 different labels; got " + std::to_string(labels.size()));
  return labels;
}

/// Labels to the classes 0, 1, … of training.
void number_classes(Data& data, const std::vector<std::string>& names, Preparation& p, bool fit) {
  const auto text = [&](Label y) { return names.empty() ? std::to_string(y) : names[static_cast<std::size_t>(y)]; };
  std::map<Label, Label> classes;
  for (const Label y : data.rows.labels()) classes.emplace(y, -1);
  if (fit) p.labels = class_labels(classes, names);
  for (auto& [y, number] : classes)
    if (const auto found = std::find(p.labels.begin(), p.labels.end(), text(y)); found != p.labels.end())
      number = static_cast<Label>(found - p.labels.begin());
  Vector<Label> numbered = data.rows.labels();
  for (Label& y : numbered) {
    const Label of_training = classes.at(y);
    if (of_training < 0 && data.unknown++ == 0) data.unknown_label = text(y);
    y = of_training;
  }
  data.rows = data.rows.with_labels(std::move(numbered));
}

/// The names of classes that a cache brings; none where some of its labels have no name of their own.
std::vector<std::string> names_of_classes(const parade::CacheInfo& info, Label least, Label greatest) {
  const std::vector<std::string>& names = info.schema.classes;
  const bool are_names = std::set<std::string>(names.begin(), names.end()).size() == names.size();
  return are_names && least >= 0 && static_cast<std::size_t>(greatest) < names.size() ? names : std::vector<std::string>{};
}

/// What `train cache` notes of the features of a cache, beside their names.
constexpr std::string_view note_of_features = "parade train: features ",
                           note_of_libsvm = "parade train: features of a LIBSVM file, numbered from ";
std::string libsvm_note(int index_base) { return std::string(note_of_libsvm) + std::to_string(index_base); }
/// `columns` are the names of all, "" of one without.
std::string csv_note(const Preparation& p, const std::vector<std::string>& columns) {
  if (p.hash_bits == 0) return std::string(note_of_features) + "of a CSV file, each with its name";
  std::string note = std::string(note_of_features) + "of a CSV file, texts hashed to 2^" + std::to_string(p.hash_bits) + ", of the columns";
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const std::string name = columns[c].empty() ? name_by_place(c) : columns[c];
    if (name != p.answer && std::find(p.leave_out.begin(), p.leave_out.end(), name) == p.leave_out.end()) note += " '" + name + "'";
  }
  return note;
}

void take_features(const parade::CacheInfo& info, Preparation& p) {
  p.features = info.schema.features;
  for (const std::string& note : info.schema.notes)
    if (note.starts_with(note_of_features)) p.features_note = note;
}

/// Throws DataError for a cache whose features are known to be others than those of the training cache. More of them at the end, or fewer, are no harm.
void check_same_features(const parade::CacheFile& cache, const Preparation& p) {
  const parade::CacheInfo& info = cache.info();
  Preparation own;
  take_features(info, own);
  constexpr const char* advice =
      ". (The features of a cache are those of the file that it was made of. Of CSV files make the caches to test on by train cache --like "
      "the training file; or train on the files themselves, with --memory)";
  if (!own.features_note.empty() && !p.features_note.empty()) {
    const auto what = [](const std::string& note) { return note.substr(std::string_view("parade train: ").size()); };
    const bool libsvm = own.features_note.starts_with(note_of_libsvm) && p.features_note.starts_with(note_of_libsvm);
    if (own.features_note != p.features_note)
      throw parade::DataError(cache.name() + " must have the " + what(p.features_note) + ", as the training cache; it has the " +
                              what(own.features_note) + (libsvm ? ". (Make both by train cache --index-base 0)" : advice));
    if (p.features_note.find(", texts hashed to ") != std::string::npos && info.num_features != p.num_features)
      throw parade::DataError(cache.name() + " must have the " + std::to_string(p.num_features) +
                              " features of the training cache; it has " + std::to_string(info.num_features) +
                              ": a column of numbers there is one of text here, or the other way round" + advice);
  }
  if (own.features.empty() || p.features.empty() || own.features == p.features) return;
  const auto [theirs, here] = std::mismatch(p.features.begin(), p.features.end(), own.features.begin(), own.features.end());
  if (theirs == p.features.end() || here == own.features.end()) return;
  throw parade::DataError(cache.name() + ": feature " + std::to_string(theirs - p.features.begin()) +
                          ", counted from 0, must be that of the training cache, '" + *theirs + "'; it is '" + *here + "'" + advice);
}

/// Throws DataError for a cache that the loss cannot be fitted to.
void check_cache(const parade::CacheFile& cache, const Preparation& p) {
  const parade::CacheInfo& info = cache.info();
  std::string rule;
  if (!info.is_sparse || info.scalar != "float")
    rule = "sparse rows of float";
  else if (p.on_labels && !info.has_labels)
    rule = "labels, for a loss on labels";
  else if (!p.on_labels && info.num_targets != 1)
    rule = "one real target a row, for a loss on targets";
  else if (info.has_weights)
    rule = "no weights, which are not used here";
  if (!rule.empty()) throw parade::DataError(cache.name() + " must hold " + rule);
}

// --- data that is larger than memory -----------------------------------------------------------------------------------------------------------

using Exact = parade::SparseRows<double>;
using Dense = parade::DenseData<double>;

/// The rows of one block of a cache of D, sparse rows or dense data.
template <class D>
D read_block(const parade::CacheFile& cache, Index block) {
  using Value = typename D::Value;
  const parade::CacheInfo& info = cache.info();
  const Index n = cache.rows(block), entries = cache.entries(block);
  Vector<Label> labels(info.has_labels ? n : 0);
  Matrix<double> targets(info.num_targets, n);
  Vector<std::int64_t> queries(info.has_queries ? n : 0);  // of no use here
  const auto read = [&](Vector<std::uint32_t>& lengths, Vector<std::int32_t>& indices, auto& values) {
    cache.read_block(block, {targets.data(), nullptr, labels.data(), lengths.data(), indices.data(),
                             reinterpret_cast<std::byte*>(values.data()), nullptr, queries.data()});
  };
  const auto with_answers = [&](D data) {
    if (info.has_labels) data = data.with_labels(std::move(labels));
    if (info.num_targets > 0) data = data.with_targets(std::move(targets));
    return data;
  };
  Vector<std::uint32_t> lengths(info.is_sparse ? n : 0);
  Vector<std::int32_t> indices(entries);
  if constexpr (std::is_same_v<D, parade::SparseRows<Value>>) {
    Vector<Value> values(info.all_ones ? 0 : entries);
    read(lengths, indices, values);
    Vector<std::int64_t> offsets(n + 1);
    offsets[0] = 0;
    for (Index i = 0; i < n; ++i) offsets[i + 1] = offsets[i] + lengths[i];
    return with_answers(D{std::move(offsets), std::move(indices), std::move(values), info.num_features, parade::NotFinite::keep});
  } else {
    Matrix<Value> values(info.num_features, n);
    read(lengths, indices, values);
    return with_answers(D{std::move(values), parade::NotFinite::keep});
  }
}

template <class D, class Use>
void for_each_block(const parade::CacheFile& cache, const Use& use) {
  for (Index block = 0; block < cache.info().blocks; ++block) use(read_block<D>(cache, block));
}

/// load(block) of the block that a sample is in; the last one is kept. For one thread.
template <class Load>
class BlockOf {
 public:
  BlockOf(const parade::CacheFile& cache, Load load) : size_(cache.info().rows_per_block), load_(std::move(load)) {}
  const auto& operator()(Index sample) const {
    const Index block = sample / size_;
    if (block != block_) data_.emplace(load_(block));
    block_ = block;
    return *data_;
  }
  Index row(Index sample) const { return sample % size_; }

 private:
  Index size_;
  Load load_;
  mutable Index block_ = -1;
  mutable std::optional<std::invoke_result_t<const Load&, Index>> data_;
};

/// Some features of the samples of a cache: take(data, i, x) takes those of sample i of what load(block) is. For one thread.
template <class Load, class Take>
class CacheNumbers final : public parade::Samples {
 public:
  CacheNumbers(const parade::CacheFile& cache, const Preparation& p, Load load, Take take)
      : size_(cache.info().samples),
        features_(static_cast<Index>(number_columns(p).size())),
        names_(p),
        block_of_(cache, std::move(load)),
        take_(std::move(take)) {}
  Index size() const override { return size_; }
  Index num_features() const override { return features_; }
  std::string feature(Index k) const override { return names_[k]; }
  void read(parade::Range range, double* x) const override {
    for (Index i = range.begin; i < range.end; ++i, x += features_) take_(block_of_(i), block_of_.row(i), x);
  }

 private:
  Index size_, features_;
  NumberNames names_;
  BlockOf<Load> block_of_;
  Take take_;
};

/// The rows of a cache, block by block what load(block) is. For one thread.
template <class Load>
class CacheRows final : public parade::SparseSamples {
 public:
  CacheRows(const parade::CacheFile& cache, Index features, Load load)
      : size_(cache.info().samples), entries_(cache.info().nonzeros), features_(features), block_of_(cache, std::move(load)) {}
  Index size() const override { return size_; }
  Index num_features() const override { return features_; }
  Index entries() const override { return entries_; }
  std::span<const std::int32_t> indices(Index i) const override { return block_of_(i)[block_of_.row(i)].indices; }
  void read(Index i, double* values) const override {
    const auto row = block_of_(i)[block_of_.row(i)];
    for (std::size_t e = 0; e < row.indices.size(); ++e) values[e] = static_cast<double>(row.value(e));
  }

 private:
  Index size_, entries_, features_;
  BlockOf<Load> block_of_;
};

/// work(), whose errors name rows of a block: they say where it begins.
template <class Work>
void counted_from(Index first, const Work& work) {
  try {
    work();
  } catch (const parade::DataError& error) {
    if (first == 0) throw;
    throw parade::DataError("in the rows from " + std::to_string(first) + " on, counted from there: " + error.what());
  }
}

/// The error, beginning with the file.
std::string with_file(const std::string& file, const std::string& what) {
  return what.starts_with(file + ':') || what.starts_with(file + ' ') ? what : file + ": " + what;
}

/// The columns of a CSV file that another is to be like, but those that p leaves out. Of the answer the type alone: labels that training did not have count as
/// wrong, not as missing.
parade::Table columns_to_be_like(const std::string& file, const parade::CsvOptions& read, const Preparation& p) {
  try {
    parade::CsvFile csv{file, read, table_options(p, false)};
    for (const parade::Column& column : parade::read_csv_header(file, read).columns)
      if (column.name == p.answer || std::find(p.leave_out.begin(), p.leave_out.end(), column.name) != p.leave_out.end())
        csv.use.leave_out.emplace_back(column.name);
    parade::Table columns = parade::read_csv_columns(csv);
    leave_out(columns, p);
    return columns;
  } catch (const parade::DataError& error) {
    throw parade::DataError("--like " + with_file(file, error.what()));
  }
}

/// What is to be left out and only the file that `data_file` is to be like has: its names, which are taken from p.leave_out.
std::vector<std::string> left_out_of_like(const std::string& data_file, const std::string& like, const parade::CsvOptions& read,
                                          Preparation& p) {
  std::set<std::string> own, there;
  for (const parade::Column& column : parade::read_csv_header(data_file, read).columns) own.insert(column.name);
  for (const parade::Column& column : parade::read_csv_header(like, read).columns) there.insert(column.name);
  std::vector<std::string> names;
  std::erase_if(p.leave_out, [&](const std::string& key) {
    const bool is_there_only = !own.contains(key) && there.contains(key);
    if (is_there_only) names.push_back(key);
    return is_there_only;
  });
  return names;
}

/// A CSV file as a cache of D; returns the names of the classes. `like` is a file or none.
template <class D>
std::vector<std::string> write_cache_of_csv(const std::string& data_file, Preparation& p, const std::filesystem::path& file, int threads,
                                            const std::optional<std::string>& like = {}) {
  parade::CsvFile csv{data_file, csv_options(p, threads), {}};
  const auto only_there = like ? left_out_of_like(data_file, *like, csv.read, p) : std::vector<std::string>{};
  name_columns(parade::read_csv_header(data_file, csv.read), p);
  csv.use = table_options(p, true);
  csv.use.leave_out.assign(p.leave_out.begin(), p.leave_out.end());
  csv.use.keep_missing = p.standardize;
  parade::CacheOptions options;
  std::vector<std::string> noted = p.file_columns;
  parade::Table columns;
  if (like) {
    Preparation all = p;
    all.leave_out.insert(all.leave_out.end(), only_there.begin(), only_there.end());
    csv.like = &(columns = columns_to_be_like(*like, csv.read, all));
    noted.clear();  // hashed columns may be at other places than there
    for (const parade::Column& column : columns.columns) noted.push_back(column.name);
  }
  options.schema.notes = {csv_note(p, noted)};
  auto made = parade::make_cache<D>(csv, file, options);
  note_skipped(made.report, p);
  if (made.unknown > 0)
    p.notes.push_back(std::to_string(made.unknown) + " values of text that " + *like + " does not have are taken as missing");
  leave_out(made.table, p);
  keep_columns(made.table, p);
  if (p.hash_bits == 0) p.features.assign(made.features.begin(), made.features.end());
  return std::move(made.labels);
}

/// A LIBSVM file as a cache; index_base as in LibsvmOptions.
void write_cache_of_libsvm(const std::string& data_file, Preparation& p, const std::filesystem::path& file, int threads,
                           const std::optional<int>& index_base = {}, const std::vector<std::string>& notes = {}) {
  parade::LibsvmOptions options = libsvm_options(p, threads);
  options.index_base = index_base;
  parade::CacheOptions cache;
  cache.schema.notes = notes;
  const auto report = parade::make_cache<float>(data_file, file, options, cache);
  p.index_base = report.index_base;
  note_skipped(report, p);
}

/// work(), whose DataErrors know neither the file nor this program's options.
template <class Work>
auto in_words_of_this_program(const std::string& data_file, const Preparation& p, const char* for_missing_numbers, const Work& work) {
  try {
    return work();
  } catch (const parade::DataError& error) {
    std::string what = error.what();
    if (const auto advice = what.find(" (leave the column out, set drop_missing"); advice != std::string::npos) {
      what.resize(advice);
      if (!what.starts_with("column '" + p.answer + "'")) what += for_missing_numbers;
    }
    if (const auto advice = what.find("(leave_out leaves"); advice != std::string::npos) what.replace(advice + 1, 9, "--leave-out");
    throw parade::DataError(with_file(data_file, what));
  }
}

/// A CSV file as a cache of what `read` makes of it, but for the numbering of classes, of which these are the names.
std::filesystem::path cache_of_csv(const std::string& data_file, Preparation& p, FolderBeside& folder, int threads,
                                   std::vector<std::string>& label_names) {
  const auto file = folder / "rows";
  label_names = in_words_of_this_program(data_file, p, " (--standardize puts the mean there, --leave-out leaves the column out)", [&] {
    return p.standardize ? write_cache_of_csv<Exact>(data_file, p, file, threads) : write_cache_of_csv<Rows>(data_file, p, file, threads);
  });
  if (!p.standardize) return file;

  // Features in the order of the columns: one for numbers, one for each level of a text, and behind them the hashed ones.
  const std::vector<std::size_t> columns = number_columns(p);
  std::vector<std::int32_t> features;  // of these
  std::vector<Index> number;           // of the features before the hashed ones: which of them it is, or −1
  for (std::size_t c = 0, k = 0; c < p.columns.size(); ++c) {
    if (k < columns.size() && columns[k] == c) {
      features.push_back(static_cast<std::int32_t>(number.size()));
      number.push_back(static_cast<Index>(k++));
    } else if (p.columns[c].name != p.answer && p.hash_bits == 0) {
      number.resize(number.size() + p.columns[c].levels.size(), -1);
    }
  }
  const auto number_of = [&](std::int32_t feature) {
    return static_cast<std::size_t>(feature) < number.size() ? number[static_cast<std::size_t>(feature)] : -1;
  };
  const parade::CacheFile cache{file};
  const auto take_numbers = [&](const Exact& rows, Index i, double* x) {
    const auto row = rows[i];
    std::fill_n(x, features.size(), 0.0);
    for (std::size_t e = 0; e < row.indices.size(); ++e)
      if (const Index k = number_of(row.indices[e]); k >= 0) x[k] = row.value(e);
  };
  parade::Team alone{1};
  p.scaler.fit_samples(CacheNumbers{cache, p, [&](Index block) { return read_block<Exact>(cache, block); }, take_numbers}, alone);
  const auto standardized_file = folder / "standardized";
  parade::CacheWriter<Rows> writer{standardized_file, {.num_features = cache.info().num_features}};
  std::vector<double> x(columns.size()), z(columns.size());
  for_each_block<Exact>(cache, [&](const Exact& rows) {
    counted_from(writer.size(), [&] {
      writer.add(changed(rows, rows.num_features(), [&](auto& entries) {
        std::fill(x.begin(), x.end(), 0.0);
        std::erase_if(entries, [&](const auto& entry) {
          const Index k = number_of(entry.first);
          if (k >= 0) x[static_cast<std::size_t>(k)] = entry.second;
          return k >= 0;
        });
        p.scaler.transform_sample(0, x.data(), z.data());
        for (std::size_t k = 0; k < z.size(); ++k)
          if (!std::isnan(z[k]) && z[k] != 0) entries.emplace_back(features[k], z[k]);
      }));
    });
  });
  writer.finish();
  std::filesystem::remove(file);
  return standardized_file;
}

/// The same of a matrix, which becomes a cache of dense data on the way.
std::filesystem::path cache_of_npy(const std::string& data_file, Preparation& p, FolderBeside& folder) {
  const auto file = folder / "matrix";
  parade::make_cache<double>(parade::NpyFiles{.features = data_file, .not_finite = parade::NotFinite::keep}, file);
  const parade::CacheFile cache{file};
  parade::Table all = table_of(Matrix<double>(cache.info().num_features, 0));
  for_each_block<Dense>(cache, [&](const Dense& block) {
    const parade::Table part = table_of(block.values());
    for (std::size_t c = 0; c < all.columns.size(); ++c) {
      all.columns[c].missing += part.columns[c].missing;
      if (part.columns[c].type == parade::ColumnType::real) all.columns[c].type = part.columns[c].type;
    }
  });
  name_columns(all, p);
  leave_out(all, p);
  keep_columns(all, p);
  check_missing(all, p);

  const auto for_each_part = [&](const auto& use) {
    Index first = 0;
    for_each_block<Dense>(cache, [&](const Dense& block) {
      parade::Table part = table_of(block.values());
      leave_out(part, p);
      for (std::size_t c = 0; c < part.columns.size(); ++c) part.columns[c].type = all.columns[c].type;
      counted_from(first, [&] { use(part); });
      first += block.size();
    });
  };
  if (p.standardize) {
    std::vector<Index> features;  // column_1 is the first
    for (const std::size_t c : number_columns(p)) features.push_back(std::stoll(p.columns[c].name.substr(7)) - 1);
    const auto take_numbers = [&](const Dense& data, Index i, double* to) {
      for (const Index feature : features) *to++ = data.values()(feature, i);
    };
    parade::Team alone{1};
    p.scaler.fit_samples(CacheNumbers{cache, p, [&](Index block) { return read_block<Dense>(cache, block); }, take_numbers}, alone);
  }
  const auto rows_file = folder / "rows";
  parade::CacheWriter<Rows> writer{rows_file};
  for_each_part([&](parade::Table& part) {
    if (p.standardize) standardize(part, p);
    const auto rows = parade::sparse_rows<float>(part, table_options(p, true));
    p.features.assign(rows.features.begin(), rows.features.end());
    writer.add(rows.data);
  });
  if (writer.size() == 0) throw parade::DataError(data_file + " must have at least 1 row; got 0");
  writer.finish();
  std::filesystem::remove(file);
  return rows_file;
}

}  // namespace

namespace {

Data read_file(const std::string& file, Preparation& p, bool fit, int threads) {
  Data data;
  std::vector<std::string> label_names;
  if (p.format == "libsvm") {
    parade::LibsvmOptions options = libsvm_options(p, threads);
    if (!fit) options.index_base = p.index_base;
    auto [rows, report] = parade::read_libsvm<float>(file, options);
    data.rows = std::move(rows);
    data.skipped = report.skipped;
    if (fit) p.index_base = report.index_base, note_skipped(report, p);
    if (p.hash_bits > 0) data.rows = hashed(data.rows, p, threads);
  } else if (p.format == "cache") {
    const parade::CacheFile cache{file};
    check_cache(cache, p);
    fit ? take_features(cache.info(), p) : check_same_features(cache, p);
    data.rows = parade::read_cache<Rows>(file, threads);
    if (p.on_labels && data.rows.size() > 0)
      label_names = names_of_classes(cache.info(), data.rows.labels().minCoeff(), data.rows.labels().maxCoeff());
  } else {
    parade::CsvOptions options = csv_options(p, threads);
    parade::Table table;
    if (p.format == "npy") {
      table = table_of(parade::read_npy<double>(file));
    } else {
      auto [read, report] = parade::read_csv(file, options);
      table = std::move(read);
      data.skipped = report.skipped;
      if (fit) note_skipped(report, p);
    }
    if (table.rows == 0) throw parade::DataError("must have at least 1 row; got 0");
    if (!fit) {
      const std::vector<std::string> names = names_in_training(table, p, file);
      options.types = texts_of_training(table, names, p);
      if (!options.types.empty()) table = parade::read_csv(file, options).table;
      if (table.columns.size() != names.size()) throw parade::DataError(file + ": changed while it was read");
      for (std::size_t c = 0; c < names.size(); ++c) table.columns[c].name = names[c];
    }
    if (fit) {
      name_columns(table, p);
      leave_out(table, p);
      keep_columns(table, p);
    } else {
      table = like_training(std::move(table), p, data);
    }
    check_missing(table, p);
    if (p.standardize && fit) {
      parade::Team team{threads};
      p.scaler.fit_samples(TableNumbers{table, p}, team);
    }
    if (p.standardize) standardize(table, p);
    auto [rows, features, labels, dropped] = parade::sparse_rows<float>(table, table_options(p, data.answered));
    data.rows = std::move(rows);
    label_names = std::move(labels);
    if (fit && p.hash_bits == 0) p.features.assign(features.begin(), features.end());
  }
  if (data.rows.size() == 0) throw parade::DataError("must have at least 1 row; got 0");
  if (fit) p.num_features = data.rows.num_features();
  if (p.num_features == 0) throw parade::DataError("must have at least 1 feature; got 0");
  if (data.rows.num_features() != p.num_features) data.rows = without_unknown_features(data.rows, p.num_features, data.left_out);
  if (p.tf_idf && fit) p.weights.fit(data.rows, threads);
  data.rows = weighted(data.rows, p, threads);
  if (p.on_labels && data.answered) number_classes(data, label_names, p, fit);
  return data;
}

}  // namespace

Data read(const std::string& file, Preparation& p, bool fit, int threads) {
  try {
    return read_file(file, p, fit, threads);
  } catch (const parade::DataError& error) {
    throw parade::DataError(with_file(file, error.what()));
  }
}

std::vector<std::string> write_cache_of(const std::string& data_file, Preparation& p, const std::filesystem::path& output, int threads,
                                        std::optional<int> index_base, const std::optional<std::string>& like) {
  const auto target = parade::detail::file_to_replace(output);  // where output is a link to
  FolderBeside folder{target.string()};
  const auto draft = folder / "cache";
  std::vector<std::string> labels;
  try {
    labels = in_words_of_this_program(data_file, p, " (--leave-out leaves the column out)", [&]() -> std::vector<std::string> {
      if (p.format == "csv") return write_cache_of_csv<Rows>(data_file, p, draft, threads, like);
      int noted = index_base.value_or(1);  // nearly always right
      write_cache_of_libsvm(data_file, p, draft, threads, index_base, {libsvm_note(noted)});
      if (p.index_base != noted) {  // what the file says is known only now: once more, with the right note
        noted = p.index_base;
        p.notes.clear();
        write_cache_of_libsvm(data_file, p, draft, threads, noted, {libsvm_note(noted)});
      }
      return {};
    });
  } catch (const parade::FileError& error) {
    std::string what = error.what();
    if (const auto at = what.find(draft.string()); at != std::string::npos) what.replace(at, draft.string().size(), output.string());
    throw parade::FileError(what);
  }
  const parade::CacheInfo info = parade::CacheFile{draft}.info();
  if (info.samples == 0) throw parade::DataError(data_file + ": must have at least 1 row; got 0");
  if (info.num_features == 0) throw parade::DataError(data_file + ": must have at least 1 feature; got 0");
  std::filesystem::rename(draft, target);
  return labels;
}

void check_second_cache(const std::string& file, const Preparation& p) {
  const parade::CacheFile cache{file};
  check_cache(cache, p);
  check_same_features(cache, p);
}

std::filesystem::path prepared_cache(const std::string& data_file, Preparation& p, FolderBeside& folder, int threads) {
  std::filesystem::path file = data_file;
  std::vector<std::string> label_names;
  if (p.format == "libsvm") {
    file = folder / "rows";
    write_cache_of_libsvm(data_file, p, file, threads);
  } else if (p.format == "csv") {
    file = cache_of_csv(data_file, p, folder, threads, label_names);
  } else if (p.format == "npy") {
    file = in_words_of_this_program(data_file, p, "", [&] { return cache_of_npy(data_file, p, folder); });
  }
  const parade::CacheFile cache{file};
  check_cache(cache, p);
  if (p.format == "cache") take_features(cache.info(), p);
  if (cache.info().samples == 0) throw parade::DataError(data_file + " must have at least 1 row; got 0");
  if (cache.info().num_features == 0) throw parade::DataError(data_file + " must have at least 1 feature; got 0");
  const bool hash = p.hash_bits > 0 && p.format == "libsvm";  // texts are hashed already
  bool as_it_is = !hash && !p.tf_idf && !p.unit_norm;
  p.num_features = hash ? Index{1} << p.hash_bits : cache.info().num_features;
  if (p.on_labels) {
    std::map<Label, Label> classes;
    for_each_block<Rows>(cache, [&](const Rows& rows) {
      for (const Label y : rows.labels()) classes.emplace(y, -1);
    });
    if (p.format == "cache") label_names = names_of_classes(cache.info(), classes.begin()->first, classes.rbegin()->first);
    p.labels = class_labels(classes, label_names);
    as_it_is &= classes.begin()->first == 0 && classes.rbegin()->first == static_cast<Label>(classes.size()) - 1;
  }
  if (as_it_is) return file;

  const auto rows_of = [&](const Rows& rows) { return hash ? hashed(rows, p, 1) : rows; };
  if (p.tf_idf) {
    parade::Team alone{1};
    p.weights.fit_rows(CacheRows{cache, p.num_features, [&](Index block) { return rows_of(read_block<Rows>(cache, block)); }}, alone);
  }
  parade::CacheWriter<Rows> writer{folder / "prepared",
                                   {.rows_per_block = cache.info().rows_per_block,
                                    .num_features = p.num_features,
                                    .all_ones = cache.info().all_ones && !hash && !p.tf_idf && !p.unit_norm}};
  for_each_block<Rows>(cache, [&](const Rows& rows) {
    counted_from(writer.size(), [&] {
      Data block;
      block.rows = weighted(rows_of(rows), p, 1);
      if (p.on_labels) number_classes(block, label_names, p, false);
      writer.add(block.rows);
    });
  });
  writer.finish();
  if (file != data_file) std::filesystem::remove(file);
  return folder / "prepared";
}

void check_memory(const std::string& data_file, Preparation p, FolderBeside& folder, int threads, std::size_t memory) {
  constexpr std::size_t enough = std::size_t{1} << 23;  // bytes, of which more than one block becomes
  std::filesystem::path cache = data_file;
  try {
    if (p.format == "npy") {
      parade::detail::NpyRows<double, parade::detail::ByteReader> matrix{std::filesystem::path{data_file}};
      const Index row_bytes = std::max<Index>(1, matrix.row_size() * Index{sizeof(double)});
      const Matrix<double> x = matrix.next(std::min(matrix.size(), std::max<Index>(1, static_cast<Index>(enough) / row_bytes)));
      const auto beginning = folder / "beginning";
      parade::write_npy(beginning, x);
      cache = prepared_cache(beginning.string(), p, folder, threads);
    } else if (p.format != "cache") {
      std::string text(enough, '\0');
      parade::detail::ByteReader in{std::filesystem::path{data_file}};
      text.resize(in.read({reinterpret_cast<std::uint8_t*>(text.data()), text.size()}));
      if (text.size() == enough) text.resize(text.rfind('\n') + 1);  // npos + 1 is 0
      const auto beginning = folder / "beginning";
      std::ofstream{beginning, std::ios::binary} << text;
      cache = prepared_cache(beginning.string(), p, folder, threads);
    }
  } catch (const std::exception&) {  // one class only, say; what is wrong, all of the file will tell with the right place
    cache = folder / "rows";
  }
  try {
    const parade::CachedRows<float> trial{cache, {.memory = memory}};
  } catch (const parade::FileError&) {
  }
}
