// SPDX-License-Identifier: MIT
// Files to rows, the same way for training, test and prediction.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include <parade/core/types.hpp>
#include <parade/data/cache.hpp>
#include <parade/data/sparse_rows.hpp>
#include <parade/data/table_data.hpp>
#include <parade/io/csv.hpp>
#include <parade/prepare/standardize.hpp>
#include <parade/prepare/tf_idf.hpp>

using parade::Index;
using parade::Label;
using parade::Matrix;
using parade::Vector;
using Rows = parade::SparseRows<float>;

/// What a file is made into rows by. The training file decides it; it is saved with the model.
struct Preparation {
  std::string format = "libsvm";
  bool on_labels = true, header = true, standardize = false, tf_idf = false, unit_norm = false;
  int hash_bits = 0, index_base = 1;
  Index num_features = 0;
  std::string answer;                   // csv, npy: the column of labels or targets
  std::vector<std::string> leave_out;   // csv, npy
  std::vector<parade::Column> columns;  // csv, npy: of the training file, without their values
  parade::Standardize scaler;           // of those of numbers, in their order, but the answer
  parade::TfIdf weights;                // of features
  std::vector<std::string> features;    // csv, npy, unless hashed: names
  std::vector<std::string> labels;      // of class 0, 1, ...
};

struct Data {
  Rows rows;             // with classes 0, 1, …, −1 where training knows no such label; or targets
  bool answered = true;  // there are labels or targets
  Index unknown = 0;     // rows of class −1
  Index left_out = 0;    // entries whose features training did not have
};

/// Reads a file: with `fit` the training file, from which p takes what it does not know yet.
Data read(const std::string& file, Preparation& p, bool fit, int threads);

/// A folder beside a file, made when it is asked for, gone when this is.
class FolderBeside {
 public:
  explicit FolderBeside(const std::string& file) : path_(file + "." + std::to_string(::getpid()) + ".tmp") {}
  FolderBeside(const FolderBeside&) = delete;
  FolderBeside& operator=(const FolderBeside&) = delete;
  ~FolderBeside() {
    std::error_code ignored;
    if (made_) std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path operator/(const char* name) {
    if (!made_ && !std::filesystem::create_directory(path_)) throw std::runtime_error(path_.string() + " is in the way");
    made_ = true;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
  bool made_ = false;
};

/// The training file as a cache of what `read` would make of it, one block in memory at a time: the file itself, if it is that already.
std::filesystem::path prepared_cache(const std::string& data_file, Preparation& p, FolderBeside& folder, int threads);

/// Throws OptionError where so many bytes will not hold two windows of that cache, as far as the beginning of the file tells.
void check_memory(const std::string& data_file, Preparation p, FolderBeside& folder, int threads, std::size_t memory);

// --- what both share ---------------------------------------------------------------------------------------------------------------------

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

Rows hashed(const Rows& rows, int bits, int index_base);
Rows with_unit_norm(const Rows& rows);

/// What is done to rows behind everything else.
Rows weighted(const Rows& rows, const Preparation& p, int threads);

/// The columns of p that are numbers and features.
std::vector<std::size_t> number_columns(const Preparation& p);
/// Those columns of a table to mean 0 and variance 1, as p.scaler was fitted; what is missing becomes the mean.
void standardize(parade::Table& table, const Preparation& p);

/// A matrix as a table: column_1, column_2, …
parade::Table table_of(const Matrix<double>& x);
/// What the command line calls columns becomes their names.
void name_columns(const parade::Table& table, Preparation& p);
void leave_out(parade::Table& table, const Preparation& p);
/// The columns of the training file, without their values.
void keep_columns(const parade::Table& table, Preparation& p);
parade::TableOptions table_options(const Preparation& p, bool answered);

/// The labels of the classes 0, 1, …
std::vector<std::string> class_labels(const std::map<Label, Label>& classes, const std::vector<std::string>& names);
/// Labels to the classes 0, 1, … of training.
void number_classes(Data& data, const std::vector<std::string>& names, Preparation& p, bool fit);

/// Throws DataError for a cache that the loss cannot be fitted to.
void check_cache(const parade::CacheFile& cache, const Preparation& p);
