// SPDX-License-Identifier: MIT
// Files to rows, the same way for training, test and prediction.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <unistd.h>
#include <unordered_map>
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
  bool skip_malformed = false;  // not saved
  int hash_bits = 0, index_base = 1;
  Index num_features = 0;
  std::string answer;                     // csv, npy: the column of labels or targets
  std::vector<std::string> leave_out;     // csv, npy
  std::vector<std::string> file_columns;  // csv, npy: of all columns of the training file the names; "" of one without, or left out
  std::vector<parade::Column> columns;    // csv, npy: of the training file, without their values
  parade::Standardize scaler;             // of those of numbers, in their order, but the answer
  parade::TfIdf weights;                  // of features
  std::vector<std::string> features;      // csv, npy, unless hashed, and of a cache that has them: names
  std::string features_note;              // of a cache that `train cache` made: which features these are
  std::vector<std::string> labels;        // of class 0, 1, ...
  Index skipped = 0;                      // not saved: malformed rows of the training file
  std::vector<std::string> notes;         // not saved: what the user should know of it
};

struct Data {
  Rows rows;                  // with classes 0, 1, …, −1 where training knows no such label; or targets
  bool answered = true;       // there are labels or targets
  Index unknown = 0;          // rows of class −1
  std::string unknown_label;  // of the first of them
  Index left_out = 0;         // entries whose features training did not have
  Index no_level = 0;         // values of text that training did not have
  Index skipped = 0;          // malformed rows
};

/// Reads a file: with `fit` the training file, from which p takes what it does not know yet.
Data read(const std::string& file, Preparation& p, bool fit, int threads);

/// A folder beside a file, made when it is asked for, gone when this is.
class FolderBeside {
 public:
  explicit FolderBeside(const std::string& file) : path_(file + "." + std::to_string(::getpid()) + ".tmp") {}
  FolderBeside(const FolderBeside&) = delete;
  FolderBeside& operator=(const FolderBeside&) = delete;
  ~FolderBeside() { remove(); }
  /// What is in it and open can still be read.
  void remove() {
    std::error_code ignored;
    if (made_) std::filesystem::remove_all(path_, ignored);
    made_ = false;
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

/// Writes a LIBSVM or CSV file as a cache, whatever its size, for training from it; returns the labels of a CSV file. What is fitted (TF-IDF, standardized
/// columns) is not for caches: it belongs to a model. index_base: as in LibsvmOptions. like: a CSV file whose columns and texts decide the features.
std::vector<std::string> write_cache_of(const std::string& data_file, Preparation& p, const std::filesystem::path& output, int threads,
                                        std::optional<int> index_base, const std::optional<std::string>& like);

/// Throws as `read` will, for a cache to test on that does not fit the training data, as far as its header tells.
void check_second_cache(const std::string& file, const Preparation& p);

/// Throws OptionError where so many bytes will not hold two windows of that cache, as far as the beginning of the file tells.
void check_memory(const std::string& data_file, Preparation p, FolderBeside& folder, int threads, std::size_t memory);

/// The columns of p that are numbers and features: those that p.scaler is for.
std::vector<std::size_t> number_columns(const Preparation& p);

/// What a column without a name is called.
inline std::string name_by_place(std::size_t c) { return "column_" + std::to_string(c + 1); }

/// Where in the training file each of p.columns stands, counted from 0; p.file_columns.size() for one that does not.
class PlacesInTraining {
 public:
  explicit PlacesInTraining(const Preparation& p);
  std::size_t operator[](const std::string& name) const;

 private:
  const std::vector<std::string>& names_;
  std::unordered_map<std::string_view, std::size_t> places_;  // of names_
};
