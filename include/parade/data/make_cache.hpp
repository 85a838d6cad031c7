// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/data/cache.hpp>
#include <parade/data/dense_data.hpp>
#include <parade/data/sparse_rows.hpp>
#include <parade/data/table_data.hpp>
#include <parade/io/csv.hpp>
#include <parade/io/csv_stream.hpp>
#include <parade/io/idx.hpp>
#include <parade/io/libsvm.hpp>
#include <parade/io/npy.hpp>
#include <parade/io/text.hpp>

namespace parade {
namespace detail {

/// Throws OptionError where the cache would replace a file that it is made of.
inline void check_is_another(const std::filesystem::path& source, const std::filesystem::path& cache) {
  std::error_code not_there;
  if (std::filesystem::equivalent(source, cache, not_there))
    throw OptionError(text("the cache must have a name of its own; got that of what it is made of, ", cache.string()));
}

template <class Scalar>
LibsvmReport make_cache(const std::filesystem::path& text_file, const std::filesystem::path& file, LibsvmOptions options,
                        CacheOptions cache, const LibsvmSizes& sizes) {
  check_libsvm_options(options);
  check_is_another(text_file, file);
  TextSource source{text_file, Unpack::by_and_by};
  LibsvmRules rules{options.index_base, options.targets, std::nullopt};
  bool all_ones = true, has_queries = false;
  double last_label = -1;
  Index num_features = 0;
  std::vector<std::string> messages;  // those of read_libsvm: the second pass knows more of what a line may hold
  for (bool again = true; again;) {   // once, or twice where a line does not fit what the others say
    all_ones = true;
    last_label = -1;
    LibsvmReport first;
    const LibsvmFacts facts = parse_rounds<Scalar>(source, options, rules, sizes, first, [&](auto& pieces, Index count, double, int) {
      for (Index p = 0; p < count; ++p) {
        const auto& piece = pieces[static_cast<std::size_t>(p)];
        all_ones = all_ones && std::all_of(piece.values.begin(), piece.values.end(), [](Scalar value) { return value == 1; });
        if (!piece.labels.empty()) last_label = std::max(last_label, *std::max_element(piece.labels.begin(), piece.labels.end()));
      }
    });
    again = complete_rules(rules, facts, options);
    messages = std::move(first.messages);
    has_queries = facts.has_query;
    num_features = libsvm_features(options, facts, *rules.index_base);
  }
  options.num_features = num_features;
  if (rules.targets == LibsvmTargets::label_sets && cache.num_labels == 0) {
    if (last_label >= 1 << 24)
      throw DataError(text(source.name(), ": a cache holds label sets of at most 2^24 labels; got label ", static_cast<Index>(last_label)));
    cache.num_labels = static_cast<Index>(last_label) + 1;
  }

  cache.all_ones = all_ones;
  cache.num_features = std::max(cache.num_features, options.num_features);
  LibsvmReport report;
  CacheWriter<SparseRows<Scalar>> writer{file, std::move(cache)};
  bool is_empty = true;
  const auto write = [&](LibsvmRows<Scalar>& rows) {
    is_empty = false;
    report.nonzeros += rows.entries();
    auto data = rows.finish(options.num_features, *rules.index_base, rules.targets, options.not_finite);
    if (has_queries && data.size() == 0) data = data.with_queries({});  // nothing but comments
    writer.add(data);
  };
  parse_rounds<Scalar>(source, options, rules, sizes, report, [&](auto& pieces, Index count, double, int threads) {
    LibsvmRows<Scalar> rows{*rules.index_base};
    rows.add(pieces, count, 1, threads);
    write(rows);
  });
  if (is_empty) {  // a file of no bytes, whose rows have labels like all others
    LibsvmRows<Scalar> none{*rules.index_base};
    write(none);
  }
  report.messages = std::move(messages);
  report.rows = writer.size();
  report.index_base = *rules.index_base;
  report.targets = rules.targets;
  writer.finish();
  return report;
}

}  // namespace detail

/// Writes the rows of a LIBSVM file as a cache, in two passes over the text: the first finds out how many features there are, what the labels are, and
/// whether all values are 1. The memory it takes does not grow with the text (some tens of megabytes, of very short rows or a long line some hundred, and more for each thread), packed or not: what gzip packed
/// is unpacked some megabytes at a time, once for each pass.
///
///   parade::make_cache<float>("train.txt", "train.cache");      // then: parade::CachedRows<float> rows{"train.cache"};
///
/// Label sets and queries are kept: see CachedRows. Throws as read_libsvm and CacheWriter; FileError for a line of more than 64 MiB, of which the CR of a CR LF and a byte order mark are part, whatever on_error says. What was there under the name of the cache is then left as it was.
template <class Scalar>
LibsvmReport make_cache(const std::filesystem::path& text_file, const std::filesystem::path& file, const LibsvmOptions& options = {},
                        const CacheOptions& cache = {}) {
  return detail::make_cache<Scalar>(text_file, file, options, cache, {.most_line = 1 << 26});
}

/// A data set in NumPy's files, plain or .gz: features (n, ...), of which all dimensions but the first are features; labels (n), whole numbers;
/// targets (n) or (n,t). Labels and targets may be missing.
struct NpyFiles {
  std::filesystem::path features;
  std::filesystem::path labels{};
  std::filesystem::path targets{};
  NotFinite not_finite = NotFinite::refuse;  // keep: of features, NaN that parade::Impute is to fill in, as in DenseData
};

/// The same in one NPZ file: the names of its arrays.
struct NpzArrays {
  std::filesystem::path file;
  std::string features;
  std::string labels{};
  std::string targets{};
  NotFinite not_finite = NotFinite::refuse;
};

/// A data set in IDX files, plain or .gz: images (n, ...) and labels (n), which may be missing.
struct IdxFiles {
  std::filesystem::path images;
  std::filesystem::path labels{};
};

namespace detail {

/// A header may claim anything, and the first row gets its memory before there is one.
inline void check_row_size(const std::filesystem::path& file, Index values) {
  if (values > Index{1} << 27) throw DataError(text(file.string(), ": a cache is made of rows of at most 2^27 values; got ", values));
}

inline constexpr Index bytes_at_a_time = Index{1} << 20;  // of rows in memory
/// How many rows are in memory at a time.
inline Index rows_at_a_time(Index row_bytes, Index bytes = bytes_at_a_time) {
  return std::max<Index>(1, bytes / std::max<Index>(1, row_bytes));
}

inline void check_rows(const std::filesystem::path& file, Index rows, Index wanted, const std::filesystem::path& features) {
  if (rows != wanted)
    throw FileError(text(file.string(), ": found ", rows, " rows, expected ", wanted, ", one for each of ", features.string()));
}

/// x (d,m) are the values of samples first … first+m−1.
template <class T>
void check_all_finite(std::string_view field, const Matrix<T>& x, Index first) {
  if constexpr (std::is_floating_point_v<T>)
    for (Index j = 0; j < x.cols(); ++j)
      for (Index i = 0; i < x.rows(); ++i)
        if (!std::isfinite(x(i, j)))
          throw DataError(text(field, " must be finite; got ", x(i, j), " in row ", i, " of sample ", first + j));
}

/// The arrays are at `features`, `labels` and `targets`, from which a Source is made, or null.
template <class T, class Source, class Place>
Index make_npy_cache(const Place& features_at, const Place* labels_at, const Place* targets_at, NotFinite not_finite,
                     const std::filesystem::path& file, const CacheOptions& cache, Index bytes) {
  NpyRows<T, Source> features{features_at};
  std::optional<NpyRows<Label, Source>> labels;
  std::optional<NpyRows<double, Source>> targets;
  const Index n = features.size();
  if (features.row_size() == 0) throw DataError(text(features.file().string(), " must have at least 1 feature; got rows of 0 numbers"));
  check_row_size(features.file(), features.row_size());
  if (labels_at) {
    labels.emplace(*labels_at).check_is_vector();
    check_rows(labels->file(), labels->size(), n, features.file());
  }
  if (targets_at) {
    targets.emplace(*targets_at);
    check_row_size(targets->file(), targets->row_size());
    check_rows(targets->file(), targets->size(), n, features.file());
  }
  CacheWriter<DenseData<T>> writer{file, cache};
  const Index values = features.row_size() + (targets ? targets->row_size() : 0);
  const Index piece = rows_at_a_time(values * static_cast<Index>(sizeof(double)), bytes);
  Index row = 0;
  do {  // once for no rows at all, too: d, labels and targets come from what is added
    const Index count = std::min(piece, n - row);
    Matrix<T> x = features.next(count);
    if (not_finite == NotFinite::refuse) check_all_finite("features", x, row);
    DenseData<T> data{std::move(x), NotFinite::keep};
    if (labels) data = data.with_labels(labels->next_vector(count));
    if (targets) {
      Matrix<double> y = targets->next(count);
      check_all_finite("targets", y, row);
      data = data.with_targets(std::move(y));
    }
    writer.add(data);
    row += count;
  } while (row < n);
  writer.finish();
  return n;
}

template <class T>
Index make_cache(const NpyFiles& files, const std::filesystem::path& file, const CacheOptions& cache, Index bytes) {
  const auto given = [](const std::filesystem::path& of) { return of.empty() ? nullptr : &of; };
  if (files.features.empty()) throw OptionError("NpyFiles.features must name a file; got an empty name");
  for (const auto* source : {&files.features, &files.labels, &files.targets}) check_is_another(*source, file);
  return make_npy_cache<T, ByteReader>(files.features, given(files.labels), given(files.targets), files.not_finite, file, cache, bytes);
}

template <class T>
Index make_cache(const NpzArrays& arrays, const std::filesystem::path& file, const CacheOptions& cache, Index bytes) {
  if (arrays.file.empty()) throw OptionError("NpzArrays.file must name a file; got an empty name");
  if (arrays.features.empty()) throw OptionError("NpzArrays.features must name an array; got an empty name");
  check_is_another(arrays.file, file);
  const NpzFile npz{arrays.file};
  std::optional<NpzPlace> labels, targets;
  if (!arrays.labels.empty()) labels.emplace(npz.place(arrays.labels));
  if (!arrays.targets.empty()) targets.emplace(npz.place(arrays.targets));
  return make_npy_cache<T, NpzStream>(npz.place(arrays.features), labels ? &*labels : nullptr, targets ? &*targets : nullptr,
                                      arrays.not_finite, file, cache, bytes);
}

inline Index make_cache(const IdxFiles& files, const std::filesystem::path& file, const CacheOptions& cache, Index bytes) {
  for (const auto* source : {&files.images, &files.labels}) check_is_another(*source, file);
  IdxStream images{files.images};
  std::optional<IdxStream> labels;
  const Index n = images.shape()[0];
  Index d = 1;
  for (std::size_t i = 1; i < images.shape().size(); ++i) d *= images.shape()[i];  // below 2^63: IdxStream
  check_row_size(files.images, d);
  if (!files.labels.empty()) {
    labels.emplace(files.labels);
    if (labels->shape().size() != 1) fail_at(files.labels, 3, text("rank ", labels->shape().size()), "rank 1 (labels)");
    check_rows(files.labels, labels->shape()[0], n, files.images);
  }
  CacheWriter<DenseData<std::uint8_t>> writer{file, cache};
  const Index piece = rows_at_a_time(d, bytes);
  Index row = 0;
  do {
    const Index count = std::min(piece, n - row);
    Matrix<std::uint8_t> x(d, count);
    images.read({x.data(), static_cast<std::size_t>(x.size())});
    DenseData<std::uint8_t> data{std::move(x)};
    if (labels) {
      Vector<std::uint8_t> y(count);
      labels->read({y.data(), static_cast<std::size_t>(count)});
      data = data.with_labels(y.cast<Label>());
    }
    writer.add(data);
    row += count;
  } while (row < n);
  writer.finish();
  return n;
}

}  // namespace detail

/// Writes what NumPy saved as a cache of dense data, in one pass, and returns the number of rows. T is float, double or std::uint8_t; other
/// numbers in the files become T as in read_npy. The memory it takes does not grow with the files, packed ones included. The cache is that of
/// `write_cache` from the same data in memory. A row has at most 2^27 values.
///
///   parade::make_cache<float>(parade::NpyFiles{.features = "x.npy", .labels = "y.npy"}, "train.cache");
///
/// Throws as read_npy and CacheWriter; FileError for an array in Fortran order, whose rows lie all over the file, and for files of different
/// numbers of rows; DataError for features (unless they are kept) and targets that are not finite. What was there under the name of the cache is then
/// left as it was.
template <class T, std::same_as<NpyFiles> Files>  // nothing else may become one: {"train.txt"} is a path
Index make_cache(const Files& files, const std::filesystem::path& file, const CacheOptions& cache = {}) {
  return detail::make_cache<T>(files, file, cache, detail::bytes_at_a_time);
}

/// The same from the arrays of one NPZ file, stored or deflated:
///
///   parade::make_cache<float>(parade::NpzArrays{.file = "data.npz", .features = "x", .labels = "y"}, "train.cache");
///
/// Throws also as NpzFile.
template <class T, std::same_as<NpzArrays> Arrays>
Index make_cache(const Arrays& arrays, const std::filesystem::path& file, const CacheOptions& cache = {}) {
  return detail::make_cache<T>(arrays, file, cache, detail::bytes_at_a_time);
}

/// The same for IDX files, the format of MNIST: x in [0, 1] as in parade::mnist.
///
///   parade::make_cache(parade::IdxFiles{"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"}, "mnist.cache");
///
/// Throws as read_idx and CacheWriter; FileError for files of different numbers of rows. What was there under the name of the cache is then
/// left as it was.
inline Index make_cache(const IdxFiles& files, const std::filesystem::path& file, const CacheOptions& cache = {}) {
  return detail::make_cache(files, file, cache, detail::bytes_at_a_time);
}

/// A table in a CSV file, plain or .gz, and how it becomes a data set. With `like`, which must live as long as the call, it becomes the features of another,
/// as a test set those of its training set: `like` are the columns of that (CsvCacheReport::table, read_csv_columns), and `use` says of both what they are
/// for. Columns of text have the levels that they have there, and what is text there is read as text. Another text is missing, but where it is hashed: any text
/// has its feature then. Columns that are features must be the same, in the same order unless they are hashed; label, target and what is left out may be
/// missing in `like`.
struct CsvFile {
  std::filesystem::path file;
  CsvOptions read{};
  TableOptions use{};
  const Table* like = nullptr;
};

/// What became of a table whose values are in a cache: as CsvData and TableData, without these.
struct CsvCacheReport {
  Table table;  // columns without values; of text that is not hashed or left out, with levels
  CsvReport report;
  FeatureNames features;            // "age", "job=cook", "hash_17"
  std::vector<std::string> labels;  // of a label column of text: the text of label 0, 1, ...
  Index dropped = 0;                // rows left out by drop_missing
  Index unknown = 0;                // values of text that the columns of `like` do not have: they are missing
};

namespace detail {

/// What is text in `like` is read as text.
inline CsvOptions read_options(const CsvFile& csv) {
  CsvOptions options = csv.read;
  if (!csv.like) return options;
  std::unordered_set<std::string_view> texts;
  for (const Column& column : csv.like->columns)
    if (column.type == ColumnType::text) texts.insert(column.name);
  for (const Column& column : read_csv_header(csv.file, csv.read).columns)
    if (texts.contains(column.name)) options.types.try_emplace(column.name, ColumnType::text);
  return options;
}

/// Throws DataError where a file, whose columns `own` names, would become other features than `like`, whose columns are `named`.
inline void check_like(const std::string& file, const Table& own, const Table& like,
                       const std::unordered_map<std::string_view, const Column*>& named, const TableRoles& roles) {
  struct Names {
    std::vector<std::string_view> ordered, hashed;
  };
  std::unordered_map<std::string_view, std::size_t> places;
  for (std::size_t c = 0; c < own.columns.size(); ++c) places.try_emplace(own.columns[c].name, c);
  Names wanted, found;
  const auto add = [&](Names& names, const Column& column, std::size_t c) {  // what it is there it must be here
    const bool is_text = column.type == ColumnType::text;
    if (!roles.is_feature[c] || (is_text && roles.encodings[c] == Encoding::leave_out)) return;
    if (is_text && roles.encodings[c] == Encoding::one_hot && !column.knows_levels)
      throw DataError(
          text(file, ": the table that it is to be like must know the texts of column ", in_quotes(column.name), ", which are one-hot"));
    (is_text && roles.encodings[c] == Encoding::hashed ? names.hashed : names.ordered).push_back(column.name);
  };
  for (const Column& column : like.columns) {
    const auto place = places.find(column.name);
    if (place == places.end())
      throw DataError(text(file, " must have the column ", in_quotes(column.name), " of the table that it is to be like"));
    add(wanted, column, place->second);
  }
  for (std::size_t c = 0; c < own.columns.size(); ++c) {
    const std::string& name = own.columns[c].name;
    if (const auto other = named.find(name); other != named.end())
      add(found, *other->second, c);
    else if (roles.is_feature[c])
      throw DataError(text(file, ": the table that it is to be like has no column ", in_quotes(name), " (leave_out leaves it out)"));
  }
  if (wanted.ordered.size() != found.ordered.size() || wanted.hashed.size() != found.hashed.size())  // of equal names
    throw DataError(text(file, " must have each column of the table that it is to be like once"));
  const auto [a, b] = std::mismatch(wanted.ordered.begin(), wanted.ordered.end(), found.ordered.begin());
  if (a != wanted.ordered.end())
    throw DataError(text(file, " must have the columns in the order of the table that it is to be like; found ", in_quotes(*b), " where ",
                         in_quotes(*a), " is there"));
}

/// A CSV file in passes; after the first, or two, what its columns are.
struct CsvTable {
  CsvOptions options;
  CsvStream stream;
  Table table{};  // without values
  CsvReport report{};
  Index unknown = 0;

  CsvTable(const CsvFile& csv, const CsvSizes& sizes) : options(read_options(csv)), stream(csv.file, options, sizes) { find(csv); }
  CsvTable(const CsvTable&) = delete;
  CsvTable& operator=(const CsvTable&) = delete;

 private:
  /// Names, types, numbers of missing values, and the levels that must be known before a row can be encoded.
  void find(const CsvFile& csv) {
    const CsvColumns& columns = stream.columns();
    const std::size_t count = columns.names.size();
    CsvFacts facts;
    facts.columns.resize(count);
    table = facts.table(columns);
    const TableRoles roles{table, csv.use};
    std::vector<const Column*> like(count);  // null where there is none
    std::vector<std::unordered_map<std::string_view, std::int32_t>> given(count);
    if (csv.like) {
      const auto named = columns_by_name(*csv.like);
      check_like(stream.name(), table, *csv.like, named, roles);
      for (std::size_t c = 0; c < count; ++c)
        if (const auto found = named.find(columns.names[c]); found != named.end() && roles.is_used(c)) like[c] = found->second;
    }
    const auto takes_levels = [&](std::size_t c) {
      return like[c] && like[c]->type == ColumnType::text && like[c]->knows_levels && roles.needs_levels(c);
    };
    for (std::size_t c = 0; c < count; ++c)
      if (takes_levels(c)) given[c] = codes_of(like[c]->levels);
    std::vector<bool> wanted, late(count);
    std::vector<std::set<std::string>> levels(count);
    std::vector<Index> news(count);
    const auto collect = [&](CsvReader& reader, Table& part, const std::vector<bool>& of) {
      if (std::find(of.begin(), of.end(), true) == of.end()) return;
      reader.fill(columns, part, of);
      for (std::size_t c = 0; c < count; ++c) {
        if (!of[c]) continue;
        Column& column = part.columns[c];
        if (!takes_levels(c)) {
          levels[c].insert(column.levels.begin(), column.levels.end());
          continue;
        }
        const Index missing = count_missing(column.codes);
        take_codes(column, given[c], true);
        news[c] += count_missing(column.codes) - missing;
      }
    };
    stream.pass([&](CsvReader& reader, std::size_t begin) {
      reader.judge(columns, begin, true, facts);
      Table part = facts.table(columns);
      if (wanted.empty())  // what text shows itself only behind the first chunk needs another pass: any of its numbers is a level
        for (std::size_t c = 0; c < count; ++c) wanted.push_back(part.columns[c].type == ColumnType::text && roles.needs_levels(c));
      collect(reader, part, wanted);
    });
    table = facts.table(columns);
    for (std::size_t c = 0; c < count; ++c) {
      Column& column = table.columns[c];
      if (!like[c]) continue;
      if (column.missing == table.rows)
        column.type = like[c]->type, column.why_text.clear();
      else
        check_same_kind(column, *like[c]);
    }
    for (std::size_t c = 0; c < count; ++c)
      late[c] = table.columns[c].type == ColumnType::text && roles.needs_levels(c) && !wanted[c] && !takes_levels(c);
    if (std::find(late.begin(), late.end(), true) != late.end())
      stream.pass([&](CsvReader& reader, std::size_t begin) {
        CsvFacts ignored;
        reader.judge(columns, begin, false, ignored);
        Table part = table;
        collect(reader, part, late);
      });
    for (std::size_t c = 0; c < count; ++c) {
      Column& column = table.columns[c];
      column.knows_levels = column.type != ColumnType::text || roles.needs_levels(c);
      const bool has_no_value = column.missing == table.rows;
      column.missing += news[c];
      unknown += news[c];
      if (takes_levels(c) || (like[c] && has_no_value && roles.needs_levels(c)))  // as with_levels_of
        column.levels = like[c]->levels;
      else
        column.levels.assign(levels[c].begin(), levels[c].end());
    }
    report = std::move(facts.report);
    report.bytes += stream.head_bytes();
  }
};

/// Rows of samples `first` … are finite.
template <class T>
void check_all_finite(const SparseRows<T>& rows, Index first) {
  for (Index i = 0; i < rows.size(); ++i)
    for (const T value : rows[i].values)
      if (!std::isfinite(value)) throw DataError(text("values must be finite; got ", value, " in row ", first + i));
}
template <class T>
void check_all_finite(const DenseData<T>& data, Index first) {
  check_all_finite<T>("features", data.values(), first);
}

template <class D>
CsvCacheReport make_cache(const CsvFile& csv, const std::filesystem::path& file, CacheOptions cache, const CsvSizes& sizes) {
  using Value = typename D::Value;
  static_assert(std::is_same_v<D, SparseRows<Value>> || (std::is_same_v<D, DenseData<Value>> && std::is_floating_point_v<Value>),
                "parade::make_cache<D> from CSV: D is SparseRows or DenseData of float or double");
  CsvTable found{csv, sizes};
  CsvStream& stream = found.stream;
  CsvCacheReport made;
  made.table = std::move(found.table);
  made.report = std::move(found.report);
  made.unknown = found.unknown;
  const TableEncoder encoder{made.table, csv.use};
  const TableRoles roles{made.table, csv.use};
  made.features = encoder.features();
  made.labels = encoder.labels();
  const Index d = made.features.size();
  if (!is_sparse_rows<D>) check_row_size(csv.file, d);

  const CsvColumns& columns = stream.columns();
  std::vector<bool> used;
  for (std::size_t c = 0; c < columns.names.size(); ++c) used.push_back(roles.is_used(c));
  cache.all_ones = false;
  if (cache.schema.features.empty() && !encoder.hashes()) cache.schema.features.assign(made.features.begin(), made.features.end());
  if (cache.schema.classes.empty()) cache.schema.classes = made.labels;
  CacheWriter<D> writer{file, std::move(cache)};
  Table part = made.table;
  for (Column& column : part.columns) column.levels.clear();
  std::vector<std::unordered_map<std::string_view, std::int32_t>> codes;
  for (const Column& column : made.table.columns) codes.push_back(codes_of(column.levels));
  Index row = 0;
  const bool is_refused = encoder.refuses(made.table);
  stream.pass([&](CsvReader& reader, std::size_t begin) {
    CsvFacts ignored;
    reader.judge(columns, begin, false, ignored);
    reader.fill(columns, part, used);
    for (std::size_t c = 0; c < part.columns.size(); ++c)
      if (part.columns[c].type == ColumnType::text && roles.needs_levels(c)) take_codes(part.columns[c], codes[c], csv.like != nullptr);
    const TableRows rows{encoder, part, row};
    row += part.rows;
    made.dropped += rows.dropped();
    if (is_refused) return;  // by the row that lacks something, as it would be in memory, whatever else is wrong with another
    const Index at_a_time = is_sparse_rows<D> ? rows.size() : rows_at_a_time(d * static_cast<Index>(sizeof(Value)));
    Index first = 0;
    do {  // once for no rows at all, too
      const Index count = std::min(at_a_time, rows.size() - first);
      const D data = [&] {
        if constexpr (is_sparse_rows<D>)
          return rows.template sparse<Value>(first, count, NotFinite::keep);
        else
          return rows.template dense<Value>(first, count, NotFinite::keep);
      }();
      if (!csv.use.keep_missing) check_all_finite(data, writer.size());
      writer.add(data);
      first += count;
    } while (first < rows.size());
  });
  writer.finish();
  return made;
}

}  // namespace detail

/// Writes a table in a CSV file as a cache of D, SparseRows<S> or DenseData<S> with S = float or double: that which `write_cache` makes of
/// `sparse_rows<S>` or `dense_data<S>` of what `read_csv` reads, with names of the features (unless some are hashed) and classes in the schema.
///
///   const auto made = parade::make_cache<parade::SparseRows<float>>(parade::CsvFile{"adult.csv", {}, {.label = "income"}}, "adult.cache");
///   std::cout << made.table.description();
///   parade::make_cache<parade::SparseRows<float>>(parade::CsvFile{"test.csv", {}, {.label = "income"}, &made.table}, "test.cache");
///
/// The cache of the test set has the features of the training set: see CsvFile. It is that of `with_levels_of(read_csv(…).table, made.table)`. A label that
/// training did not have is missing, like any other text; where it is to be kept, `knows_levels` of that column of `like` is false. (For a file without labels the
/// column is erased from it.) Of hashed columns no levels are taken, as if `like` knew none.
///
/// The memory it takes does not grow with the number of rows, in packed files neither: it holds 8 MiB of text and what becomes of them, some hundred
/// megabytes at most where fields are short, and the levels of the label and of what is one-hot. Of hashed columns no levels are kept. The text is read twice; a third time where a column turns out to be
/// text only behind the first 8 MiB, and is one-hot or the label. A record has at most 64 MiB, a file 2^18 columns, and a row of dense data 2^27 values.
///
/// Throws as read_csv, with_levels_of, sparse_rows and CacheWriter; DataError for a file that would not become the features of `like`; FileError for a record that is too long and for too many columns, whatever on_error says; DataError for a file that changes
/// while it is read. What was there under the name of the cache is then left as it was.
template <class D, std::same_as<CsvFile> Csv>
CsvCacheReport make_cache(const Csv& csv, const std::filesystem::path& file, const CacheOptions& cache = {}) {
  detail::check_is_another(csv.file, file);
  return detail::make_cache<D>(csv, file, cache, detail::CsvSizes{});
}

/// The columns of a CSV file of any size, without their values: what CsvCacheReport::table would be, for CsvFile::like. The text is read once, or twice, as
/// for a cache. Throws as make_cache.
inline Table read_csv_columns(const CsvFile& csv) { return detail::CsvTable{csv, {}}.table; }

}  // namespace parade
