// SPDX-License-Identifier: MIT
// Trains linear models on LIBSVM, CSV and NPY files and caches from the command line, and predicts with them.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <unistd.h>
#include <utility>
#include <variant>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <parade/data/cache.hpp>
#include <parade/data/cached.hpp>
#include <parade/data/make_cache.hpp>
#include <parade/data/table_data.hpp>
#include <parade/io/csv.hpp>
#include <parade/io/csv_stream.hpp>
#include <parade/io/libsvm.hpp>
#include <parade/io/npy.hpp>
#include <parade/parade.hpp>

#include "command_line.hpp"

using parade::Index;
using parade::Label;
using parade::Matrix;
using parade::Vector;
using Json = nlohmann::ordered_json;
using Rows = parade::SparseRows<float>;
using CachedRows = parade::CachedRows<float>;

// --- parts that are chosen at run time -------------------------------------------------------------------------------------------------
// Each is one type for the trainer, whatever is chosen: losses times optimizers times schedules would take minutes to compile. What is
// chosen is asked for once a call, not once a sample.

/// One of several losses on the same kind of targets.
template <class Target_, class... Losses>
struct AnyLoss {
  static_assert((parade::SampleBySample<Losses> && ...) && (std::is_same_v<typename Losses::Target, Target_> && ...));
  using SampleBySampleOf = AnyLoss;
  using Target = Target_;

  std::variant<Losses...> loss;

  void check() const {
    std::visit(
        [](const auto& one) {
          if constexpr (requires { one.check(); }) one.check();
        },
        loss);
  }
  std::string check_outputs(Index k) const {
    return std::visit(
        [k]<class L>(const L& one) -> std::string {
          if constexpr (parade::ChecksOutputs<L>) return one.check_outputs(k);
          return "";
        },
        loss);
  }
  std::string check_target(std::conditional_t<std::is_same_v<Target, Label>, Label, double> y, Index k) const {
    return std::visit(
        [&](const auto& one) -> std::string {
          if constexpr (requires { one.check_target(y, k); }) return one.check_target(y, k);
          return "";
        },
        loss);
  }
  void value_and_gradient(const parade::ConstMatrixRef<float>& scores, const parade::TargetsRef<Target, float>& targets,
                          parade::VectorRef<float> values, parade::MatrixRef<float> dscores) const {
    std::visit([&](const auto& one) { one.value_and_gradient(scores, targets, values, dscores); }, loss);
  }
};

using parade::Hinge, parade::Logistic, parade::ModifiedHuber, parade::OneVsRest, parade::SoftmaxCrossEntropy, parade::SquaredHinge;
using LabelLoss = AnyLoss<Label, Logistic, Hinge, SquaredHinge, ModifiedHuber, OneVsRest<Logistic>, OneVsRest<Hinge>,
                          OneVsRest<SquaredHinge>, OneVsRest<ModifiedHuber>, SoftmaxCrossEntropy>;
using RealLoss = AnyLoss<parade::Real, parade::SquaredError, parade::Huber, parade::AbsoluteError, parade::Quantile, parade::Poisson,
                         parade::EpsilonInsensitive, parade::SquaredEpsilonInsensitive>;
static_assert(parade::Loss<LabelLoss, float> && parade::Loss<RealLoss, float>);

struct AnyOptimizer {
  std::variant<parade::Sgd, parade::Adagrad, parade::FtrlProximal, parade::LazyAdam, parade::Adam> rule;
  double rate = 0;  // the rule's own

  void check() const {
    std::visit([](const auto& one) { one.check(); }, rule);
  }
  Index num_states() const {
    return std::visit([](const auto& one) { return one.num_states(); }, rule);
  }
  void step(parade::VectorRef<float> theta, const parade::ConstVectorRef<float>& grad, const parade::StateRef<float>& state,
            const parade::StepInfo& at) const {
    std::visit([&](const auto& one) { one.template step<float>(theta, grad, state, at); }, rule);
  }
  void step_sizes(const parade::StateRef<float>& state, const parade::StepInfo& at, parade::VectorRef<float> sizes) const {
    std::visit([&](const auto& one) { one.template step_sizes<float>(state, at, sizes); }, rule);
  }

  using ZeroGradientOf = AnyOptimizer;
  parade::ZeroGradient zero_gradient() const {
    return std::visit(
        []<class O>(const O& one) {
          if constexpr (parade::SaysZeroGradient<O>) return one.zero_gradient();
          return parade::ZeroGradient::moves;
        },
        rule);
  }
  double effective_rate(const parade::StepInfo& at) const {
    return std::visit(
        [&]<class O>(const O& one) {
          if constexpr (parade::HasEffectiveRate<O>) return static_cast<double>(one.effective_rate(at));
          return at.rate;
        },
        rule);
  }
};

/// λ₂/2 ‖θ‖² in the gradient, λ₁‖θ‖₁ by the soft threshold; biases are left alone.
struct L1AndL2 {
  parade::L2 l2;
  parade::L1 l1;

  void check() const {
    l2.check();
    l1.check();
  }
  using ShrinkageOf = L1AndL2;
  parade::Shrinkage shrinkage() const { return {.l2 = l2.lambda, .l1 = l1.lambda}; }
  double value(const parade::ConstVectorRef<float>& theta) const { return l2.value(theta) + l1.value(theta); }
  void add_gradient(const parade::ConstVectorRef<float>& theta, parade::VectorRef<float> grad) const { l2.add_gradient(theta, grad); }
  void prox(parade::VectorRef<float> theta, const parade::ConstVectorRef<float>& steps) const {
    if (l1.lambda > 0) l1.prox(theta, steps);
  }
};

/// α = base / (1 + decay t)
struct InverseTime {
  double decay = 0;
  double rate(double base, const parade::TrainingTime& at) const { return base / std::fma(decay, static_cast<double>(at.step), 1.0); }
};

struct AnySchedule {
  std::variant<parade::Constant, InverseTime, parade::InverseScaling, parade::PolynomialDecay, parade::Cosine> schedule;

  void check(const parade::TrainingTime& start) const {
    std::visit(
        [&](const auto& one) {
          if constexpr (requires { one.check(start); }) one.check(start);
        },
        schedule);
  }
  double rate(double base, const parade::TrainingTime& at) const {
    return std::visit([&](const auto& one) { return static_cast<double>(one.rate(base, at)); }, schedule);
  }
};

// --- options -----------------------------------------------------------------------------------------------------------------------------

struct Options {
  std::string data, format = "libsvm", loss = "logistic", l2 = "0", optimizer = "sgd", schedule = "cosine";
  std::optional<std::string> test, label, target, save, json;
  std::vector<std::string> leave_out;
  bool no_header = false, standardize = false, unit_norm = false, intercept = false, dense = false, progressive = false;
  std::optional<double> rate, momentum, power, delta, quantile, epsilon;
  double l1 = 0;
  Index epochs = 10;
  std::optional<Index> batch, memory;
  int hash_bits = 0, threads = 0;
  std::uint64_t seed = 1;

  bool on_labels() const {
    return loss == "logistic" || loss == "hinge" || loss == "squared-hinge" || loss == "modified-huber" || loss == "softmax";
  }
};

void add_options(CLI::App& app, Options& options) {
  app.option_defaults()->always_capture_default();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr Index many = 1'000'000'000;
  constexpr std::uint64_t all = std::numeric_limits<std::uint64_t>::max();
  const auto add = [&](const char* name, auto& value, const char* type, const char* help, CLI::Validator rule) {
    return app.add_option(name, value, help)->type_name(type)->transform(std::move(rule));
  };
  const auto group = [&](const char* name, std::initializer_list<CLI::Option*> members) {
    for (CLI::Option* option : members) option->group(name);
  };
  group("Data",
        {add("--data", options.data, "FILE", "what to train on, plain or .gz", {})->required(),
         add("--test", options.test, "FILE", "what to test on: the same format, columns and features", {}),
         add("--format", options.format, "NAME",
             "libsvm, csv (or tab, or semicolon), npy (a matrix, one row a sample) or cache (sparse rows of float, by parade::make_cache)",
             CLI::IsMember({"libsvm", "csv", "npy", "cache"})),
         add("--memory", options.memory, "MB",
             "the rows of --data in memory at a time, for data that is larger than it. What is no cache becomes one first, in a temporary "
             "folder beside it. (--test is read as a whole.)",
             in<Index>(1, 1'000'000)),
         add("--label", options.label, "COLUMN", "csv, npy: the column of the labels, by name or number; 0 is the first, -1 the last", {}),
         add("--target", options.target, "COLUMN", "the same, for a loss on real targets", {}),
         add("--leave-out", options.leave_out, "COLUMN,...", "csv, npy: columns that are not used", {})->delimiter(',')->default_str(""),
         app.add_flag("--no-header", options.no_header, "csv: the first line is data; the columns are column_1, column_2, ..."),
         app.add_flag("--standardize", options.standardize,
                      "csv, npy: each column of numbers to mean 0 and variance 1; missing ones become the mean"),
         app.add_flag("--unit-norm", options.unit_norm, "each row to length 1"),
         add("--hash-bits", options.hash_bits, "N",
             "the hashing trick: libsvm features, or csv's columns of text, share 2^N features; 0: off", in<int>(0, 28))});
  group("Objective: mean loss + l2/2 |w|^2 + l1 |w|, not of the intercept",
        {add("--loss", options.loss, "NAME",
             "on labels: logistic, hinge, squared-hinge, modified-huber (one against the rest if there are more than two), softmax; on "
             "targets: squared, huber, absolute, quantile, poisson (predicts exp(score)), epsilon-insensitive, squared-epsilon-insensitive",
             CLI::IsMember({"logistic", "hinge", "squared-hinge", "modified-huber", "softmax", "squared", "huber", "absolute", "quantile",
                            "poisson", "epsilon-insensitive", "squared-epsilon-insensitive"})),
         add("--delta", options.delta, "X", "of huber, 1 if not given", in<double>(0, infinity)),
         add("--quantile", options.quantile, "X", "of quantile, 0.5 if not given", in<double>(0, 1)),
         add("--epsilon", options.epsilon, "X", "of the epsilon-insensitive ones, 0.1 if not given", in<double>(0, infinity)),
         add("--l2", options.l2, "X", "lambda, or 1/n: what LIBLINEAR's C = 1 is",
             CLI::Validator([](std::string& text) { return text == "1/n" ? std::string{} : in<double>(0, infinity)(text); }, "")),
         add("--l1", options.l1, "X", "lambda. (ftrl takes --l1 and --l2 as its own, on the scale of a sum of gradients)",
             in<double>(0, infinity)),
         app.add_flag("--intercept", options.intercept, "fit a constant term")});
  group(
      "Training",
      {add("--optimizer", options.optimizer, "NAME", "sgd, adagrad, ftrl, lazy_adam; with --dense also adam",
           CLI::IsMember({"sgd", "adagrad", "ftrl", "lazy_adam", "adam"})),
       add("--rate", options.rate, "X", "learning rate of the first step; 0.1, for adam and lazy_adam 0.001", in<double>(0, infinity)),
       add("--momentum", options.momentum, "X", "of sgd, with --dense", in<double>(0, 1)),
       add("--schedule", options.schedule, "NAME",
           "rate at step t: constant; inverse: rate / (1 + 1.4 rate l2 t); inverse-scaling: rate / (t+1)^power; linear and cosine fall to "
           "0 with the last step",
           CLI::IsMember({"constant", "inverse", "inverse-scaling", "linear", "cosine"})),
       add("--power", options.power, "X", "of inverse-scaling, 0.5 if not given", in<double>(0, infinity)),
       add("--epochs", options.epochs, "N", "passes over the data", in<Index>(1, 100'000)),
       add("--batch", options.batch, "N", "rows a step, over all threads; 64, or all if there are fewer", in<Index>(1, many)),
       app.add_flag("--dense", options.dense, "hold the data as a full matrix: for momentum and adam, and for few features"),
       add("--threads", options.threads, "N", "0: as many as the process may use. They do not change the result", in<int>(0, 1024)),
       add("--seed", options.seed, "N", "of the order of the rows", in<std::uint64_t>(0, all))});
  group("Results", {app.add_flag("--progressive", options.progressive,
                                 "print the progressive loss, that of each batch before its step, when 1, 2, 4, 8, ... rows are seen"),
                    add("--save", options.save, "MODEL", "file for the model (.npz: weight, bias, description), for 'train predict'", {}),
                    add("--json", options.json, "FILE", "for the result; written when all is done", {})});
  app.footer(
      "To predict:\n  train predict --model MODEL --data FILE --output FILE       (train predict --help)\n\n"
      "Examples:\n  train --data a9a --test a9a.t --l2 1/n --rate 1\n"
      "  train --data adult.csv --format csv --label income --standardize --intercept --save adult.npz\n"
      "  train --data houses.csv --format csv --target price --loss squared --standardize --intercept\n\n"
      "The exit status is 0 if all went well, 1 for data that cannot be used or a run that diverged, 2 for a bad command line.");
}

[[noreturn]] void refuse(const std::string& text) { throw parade::OptionError(text); }

/// What can be said about the options without looking at the data.
void check_options(const Options& o) {
  const bool table = o.format == "csv" || o.format == "npy", labels = o.on_labels();
  const auto only = [&](bool given, bool makes_sense, const char* option, const std::string& with) {
    if (given && !makes_sense) refuse(std::string(option) + " is for " + with);
  };
  only(o.label.has_value(), table, "--label", "--format csv and npy; in a LIBSVM file the label comes first in each line");
  only(o.target.has_value(), table, "--target", "--format csv and npy; in a LIBSVM file the target comes first in each line");
  only(o.label.has_value(), labels, "--label", "losses on labels; --loss " + o.loss + " takes --target");
  only(o.target.has_value(), !labels, "--target", "losses on real targets; --loss " + o.loss + " takes --label");
  if (table && !(labels ? o.label : o.target))
    refuse("--format " + o.format + " with --loss " + o.loss + " needs " + (labels ? "--label" : "--target"));
  only(!o.leave_out.empty(), table, "--leave-out", "--format csv and npy");
  only(o.no_header, o.format == "csv", "--no-header", "--format csv");
  only(o.standardize, table, "--standardize", "--format csv and npy: sparse features would be sparse no more (--unit-norm keeps them so)");
  only(o.hash_bits > 0, o.format == "libsvm" || o.format == "csv", "--hash-bits",
       "--format libsvm and csv; the columns of a matrix are few enough, and a cache does not know the numbers of the text");
  only(o.memory.has_value(), !o.dense, "--memory", "sparse rows; --dense holds all of the data as a matrix");
  only(o.memory.has_value(), table || !o.data.ends_with(".gz"), "--memory",
       "plain files with --format libsvm; what gzip packed is unpacked in memory");
  only(o.delta.has_value(), o.loss == "huber", "--delta", "--loss huber");
  only(o.quantile.has_value(), o.loss == "quantile", "--quantile", "--loss quantile");
  only(o.epsilon.has_value(), o.loss.ends_with("epsilon-insensitive"), "--epsilon", "--loss epsilon-insensitive and its square");
  only(o.momentum.has_value(), o.optimizer == "sgd", "--momentum", "--optimizer sgd");
  only(o.power.has_value(), o.schedule == "inverse-scaling", "--power", "--schedule inverse-scaling");
  only(o.schedule == "inverse", o.l2 == "1/n" || std::stod(o.l2) > 0, "--schedule inverse", "--l2 above 0, by which it falls");
}

// --- data: files to rows, the same way for training, test and prediction -------------------------------------------------------------------

/// What a file is made into rows by. The training file decides it; it is saved with the model.
struct Preparation {
  std::string format = "libsvm";
  bool on_labels = true, header = true, standardize = false, unit_norm = false;
  int hash_bits = 0, index_base = 1;
  Index num_features = 0;
  std::string answer;                     // csv, npy: the column of labels or targets
  std::vector<std::string> leave_out;     // csv, npy
  std::vector<parade::Column> columns;    // csv, npy: of the training file, without their values
  std::vector<double> means, deviations;  // of those, if standardized; 0 and 1 for text and the answer
  std::vector<std::string> features;      // csv, npy, unless hashed: names
  std::vector<std::string> labels;        // of class 0, 1, ...
};

struct Data {
  Rows rows;             // with classes 0, 1, …, −1 where training knows no such label; or targets
  bool answered = true;  // there are labels or targets
  Index unknown = 0;     // rows of class −1
  Index left_out = 0;    // entries whose features training did not have
};

/// Rows with other entries: `change` may change them, add and leave out; then they are sorted, and values of the same feature added.
template <class Change>
Rows changed(const Rows& rows, Index num_features, const Change& change) {
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> indices;
  std::vector<float> values;
  std::vector<std::pair<std::int32_t, float>> entries;
  const auto before = [](const auto& a, const auto& b) { return a.first < b.first; };
  for (Index i = 0; i < rows.size(); ++i) {
    const auto row = rows[i];
    entries.clear();
    for (std::size_t e = 0; e < row.indices.size(); ++e) entries.emplace_back(row.indices[e], row.value(e));
    change(entries);
    if (!std::is_sorted(entries.begin(), entries.end(), before)) std::stable_sort(entries.begin(), entries.end(), before);
    for (const auto& [index, value] : entries) {
      if (static_cast<std::int64_t>(indices.size()) > offsets.back() && indices.back() == index) {
        values.back() += value;
        continue;
      }
      indices.push_back(index);
      values.push_back(value);
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

/// The hashing trick (Weinberger et al. 2009, without signs): FNV-1a of the number that stands in the file, its upper half folded onto the lower.
Rows hashed(const Rows& rows, int bits, int index_base) {
  const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
  return changed(rows, Index{1} << bits, [&](auto& entries) {
    for (auto& [index, value] : entries) {
      const auto number = static_cast<std::uint32_t>(index) + static_cast<std::uint32_t>(index_base);
      std::byte bytes[4];
      for (int b = 0; b < 4; ++b) bytes[b] = static_cast<std::byte>(number >> (8 * b) & 255);
      const std::uint64_t hash = parade::hash_bytes(bytes);
      index = static_cast<std::int32_t>((hash ^ hash >> 32) & mask);
    }
  });
}

Rows without_unknown_features(const Rows& rows, Index num_features, Index& left_out) {
  return changed(rows, num_features, [&](auto& entries) {
    left_out += static_cast<Index>(std::erase_if(entries, [&](const auto& entry) { return entry.first >= num_features; }));
  });
}

Rows with_unit_norm(const Rows& rows) {
  return changed(rows, rows.num_features(), [](auto& entries) {
    double squares = 0;
    for (const auto& entry : entries) squares = std::fma(static_cast<double>(entry.second), static_cast<double>(entry.second), squares);
    if (squares > 0)
      for (auto& entry : entries) entry.second = static_cast<float>(static_cast<double>(entry.second) / std::sqrt(squares));
  });
}

/// Means and deviations of the training file's columns of numbers. each_value(use) calls use(c, x) for all values x of column c, in the order of the rows.
void fit_standardize(Preparation& p, const auto& each_value) {
  const std::size_t columns = p.columns.size();
  std::vector<double> sums(columns), squares(columns), counts(columns);
  p.means.assign(columns, 0), p.deviations.assign(columns, 1);
  each_value([&](std::size_t c, double x) {
    if (!std::isnan(x)) sums[c] += x, ++counts[c];
  });
  for (std::size_t c = 0; c < columns; ++c)
    if (counts[c] > 0) p.means[c] = sums[c] / counts[c];
  each_value([&](std::size_t c, double x) {
    if (!std::isnan(x)) squares[c] = std::fma(x - p.means[c], x - p.means[c], squares[c]);
  });
  for (std::size_t c = 0; c < columns; ++c)
    if (squares[c] > 0) p.deviations[c] = std::sqrt(squares[c] / counts[c]);
}

/// To mean 0 and variance 1; what is missing becomes the mean.
double standardized(double x, std::size_t c, const Preparation& p) { return std::isnan(x) ? 0 : (x - p.means[c]) / p.deviations[c]; }

/// Calls use(column, c) for each column of numbers that is a feature and is the training file's column c.
void for_each_number(auto& table, const Preparation& p, const auto& use) {
  for (auto& column : table.columns) {
    if (column.type == parade::ColumnType::text || column.name == p.answer) continue;
    const auto known = std::find_if(p.columns.begin(), p.columns.end(), [&](const auto& other) { return other.name == column.name; });
    use(column, static_cast<std::size_t>(known - p.columns.begin()));
  }
}

void each_number(const parade::Table& table, const Preparation& p, const auto& use) {
  for_each_number(table, p, [&](const parade::Column& column, std::size_t c) {
    for (const double x : column.numbers) use(c, x);
  });
}

void standardize(parade::Table& table, const Preparation& p) {
  for_each_number(table, p, [&](parade::Column& column, std::size_t c) {
    for (double& x : column.numbers) x = standardized(x, c, p);
    column.type = parade::ColumnType::real;
    column.missing = 0;
  });
}

/// A matrix as a table: column_1, column_2, …
parade::Table table_of(const Matrix<double>& x) {
  parade::Table table{x.cols(), {}};
  for (Index i = 0; i < x.rows(); ++i) {
    parade::Column column;
    column.name = "column_" + std::to_string(i + 1);
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
  p.answer = column_name(table, p.answer);
  for (std::string& key : p.leave_out) key = column_name(table, key);
}

void leave_out(parade::Table& table, const Preparation& p) {
  std::erase_if(table.columns,
                [&](const auto& column) { return std::find(p.leave_out.begin(), p.leave_out.end(), column.name) != p.leave_out.end(); });
}

/// The columns of the training file, without their values.
void keep_columns(const parade::Table& table, Preparation& p) {
  for (const parade::Column& column : table.columns) {
    p.columns.push_back({});
    p.columns.back().name = column.name;
    p.columns.back().type = column.type;
    p.columns.back().levels = column.levels;
    p.columns.back().knows_levels = column.knows_levels;
  }
}

parade::TableOptions table_options(const Preparation& p, bool answered) {
  parade::TableOptions options;
  if (answered) (p.on_labels ? options.label : options.target) = p.answer;
  if (p.hash_bits > 0) options.text = parade::Encoding::hashed, options.hash_bits = p.hash_bits;
  return options;
}

/// The columns of the training file, in its order. That of the answer may be missing.
parade::Table like_training(parade::Table table, const Preparation& p, bool& answered) {
  parade::Table picked{table.rows, {}}, reference{0, {}};
  answered = false;
  for (const parade::Column& column : p.columns) {
    const bool is_answer = column.name == p.answer;
    const auto found = std::find_if(table.columns.begin(), table.columns.end(), [&](const auto& c) { return c.name == column.name; });
    if (is_answer && found == table.columns.end()) continue;
    answered |= is_answer;
    if (found == table.columns.end()) table[column.name];  // throws
    picked.columns.push_back(std::move(*found));
    reference.columns.push_back(column);
  }
  return parade::with_levels_of(std::move(picked), reference);
}

/// The labels of the classes 0, 1, …
std::vector<std::string> class_labels(const std::map<Label, Label>& classes, const auto& text) {
  std::vector<std::string> labels;
  for (const auto& [y, unused] : classes) labels.push_back(text(y));
  if (labels.size() < 2)
    throw parade::DataError("the training data must have at least 2 different labels; got " + std::to_string(labels.size()));
  return labels;
}

/// Labels to the classes 0, 1, … of training.
void number_classes(Data& data, const std::vector<std::string>& names, Preparation& p, bool fit) {
  const auto text = [&](Label y) { return names.empty() ? std::to_string(y) : names[static_cast<std::size_t>(y)]; };
  std::map<Label, Label> classes;
  for (const Label y : data.rows.labels()) classes.emplace(y, -1);
  if (fit) p.labels = class_labels(classes, text);
  for (auto& [y, number] : classes)
    if (const auto found = std::find(p.labels.begin(), p.labels.end(), text(y)); found != p.labels.end())
      number = static_cast<Label>(found - p.labels.begin());
  Vector<Label> numbered = data.rows.labels();
  for (Label& y : numbered) {
    y = classes.at(y);
    data.unknown += y < 0;
  }
  data.rows = data.rows.with_labels(std::move(numbered));
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

/// Reads a file: with `fit` the training file, from which p takes what it does not know yet.
Data read(const std::string& file, Preparation& p, bool fit, int threads) {
  Data data;
  std::vector<std::string> label_names;
  if (p.format == "libsvm") {
    parade::LibsvmOptions options;
    options.targets = p.on_labels ? parade::LibsvmTargets::labels : parade::LibsvmTargets::real;
    options.threads = threads;
    if (!fit) options.index_base = p.index_base;
    auto [rows, report] = parade::read_libsvm<float>(file, options);
    data.rows = std::move(rows);
    if (fit) p.index_base = report.index_base;
    if (p.hash_bits > 0) data.rows = hashed(data.rows, p.hash_bits, p.index_base);
  } else if (p.format == "cache") {
    check_cache(parade::CacheFile{file}, p);
    data.rows = parade::read_cache<Rows>(file, threads);
  } else {
    parade::Table table;
    if (p.format == "npy") {
      table = table_of(parade::read_npy<double>(file));
    } else {
      parade::CsvOptions options;
      options.header = p.header;
      options.threads = threads;
      for (const parade::Column& column : p.columns)
        if (column.type == parade::ColumnType::text && column.name != p.answer) options.types[column.name] = column.type;
      table = parade::read_csv(file, options).table;
    }
    if (fit) {
      name_columns(table, p);
      leave_out(table, p);
      keep_columns(table, p);
    } else {
      table = like_training(std::move(table), p, data.answered);
    }
    if (p.standardize && fit) fit_standardize(p, [&](const auto& use) { each_number(table, p, use); });
    if (p.standardize) standardize(table, p);
    auto [rows, features, labels, dropped] = parade::sparse_rows<float>(table, table_options(p, data.answered));
    data.rows = std::move(rows);
    label_names = std::move(labels);
    if (fit && p.hash_bits == 0) p.features.assign(features.begin(), features.end());
  }
  if (data.rows.size() == 0) throw parade::DataError(file + " must have at least 1 row; got 0");
  if (fit) p.num_features = data.rows.num_features();
  if (data.rows.num_features() != p.num_features) data.rows = without_unknown_features(data.rows, p.num_features, data.left_out);
  if (p.unit_norm) data.rows = with_unit_norm(data.rows);
  if (p.on_labels && data.answered) number_classes(data, label_names, p, fit);
  return data;
}

// --- data that is larger than memory -----------------------------------------------------------------------------------------------------------

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

/// Calls use(data) for the rows of each block of a cache of D, sparse rows or dense data.
template <class D>
void for_each_block(const parade::CacheFile& cache, const auto& use) {
  using Value = typename D::Value;
  const parade::CacheInfo& info = cache.info();
  for (Index block = 0; block < info.blocks; ++block) {
    const Index n = cache.rows(block), entries = cache.entries(block);
    Vector<Label> labels(info.has_labels ? n : 0);
    Matrix<double> targets(info.num_targets, n);
    const auto read = [&](Vector<std::uint32_t>& lengths, Vector<std::int32_t>& indices, auto& values) {
      cache.read_block(
          block, {targets.data(), nullptr, labels.data(), lengths.data(), indices.data(), reinterpret_cast<std::byte*>(values.data())});
    };
    const auto give = [&](D data) {
      if (info.has_labels) data = data.with_labels(std::move(labels));
      if (info.num_targets > 0) data = data.with_targets(std::move(targets));
      use(data);
    };
    Vector<std::uint32_t> lengths(info.is_sparse ? n : 0);
    Vector<std::int32_t> indices(entries);
    if constexpr (std::is_same_v<D, parade::SparseRows<Value>>) {
      Vector<Value> values(info.all_ones ? 0 : entries);
      read(lengths, indices, values);
      Vector<std::int64_t> offsets(n + 1);
      offsets[0] = 0;
      for (Index i = 0; i < n; ++i) offsets[i + 1] = offsets[i] + lengths[i];
      give(D{std::move(offsets), std::move(indices), std::move(values), info.num_features, parade::NotFinite::keep});
    } else {
      Matrix<Value> values(info.num_features, n);
      read(lengths, indices, values);
      give(D{std::move(values), parade::NotFinite::keep});
    }
  }
}

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

/// A CSV file as a cache of what `read` makes of it, but for the numbering of classes, of which these are the names.
std::filesystem::path cache_of_csv(const std::string& data_file, Preparation& p, FolderBeside& folder, int threads,
                                   std::vector<std::string>& label_names) {
  using Exact = parade::SparseRows<double>;
  parade::CsvFile csv{data_file, {}, {}};
  csv.read.header = p.header;
  csv.read.threads = threads;
  parade::Table named;
  for (const std::string& name : parade::read_csv_names(data_file, csv.read)) {
    named.columns.push_back({});
    named.columns.back().name = name;
  }
  name_columns(named, p);
  csv.use = table_options(p, true);
  csv.use.leave_out.assign(p.leave_out.begin(), p.leave_out.end());
  csv.use.keep_missing = p.standardize;
  const auto file = folder / "rows";
  auto made = p.standardize ? parade::make_cache<Exact>(csv, file) : parade::make_cache<Rows>(csv, file);
  leave_out(made.table, p);
  keep_columns(made.table, p);
  if (p.hash_bits == 0) p.features.assign(made.features.begin(), made.features.end());
  label_names = std::move(made.labels);
  if (!p.standardize) return file;

  // Features in the order of the columns: one for numbers, one for each level of a text, and behind them the hashed ones.
  std::vector<std::size_t> columns;     // of numbers
  std::vector<Index> features, number;  // of these; of the features before the hashed ones: which of them it is, or −1
  for (std::size_t c = 0; c < p.columns.size(); ++c) {
    if (p.columns[c].name == p.answer) continue;
    if (p.columns[c].type == parade::ColumnType::text) {
      if (p.hash_bits == 0) number.resize(number.size() + p.columns[c].levels.size(), -1);
      continue;
    }
    features.push_back(static_cast<Index>(number.size()));
    number.push_back(static_cast<Index>(columns.size()));
    columns.push_back(c);
  }
  const parade::CacheFile cache{file};
  std::vector<double> numbers(columns.size());  // of a row
  const auto number_of = [&](std::int32_t feature) {
    return static_cast<std::size_t>(feature) < number.size() ? number[static_cast<std::size_t>(feature)] : -1;
  };
  const auto take_numbers = [&](const Exact::Row& row) {
    std::fill(numbers.begin(), numbers.end(), 0);
    for (std::size_t e = 0; e < row.indices.size(); ++e)
      if (const Index k = number_of(row.indices[e]); k >= 0) numbers[static_cast<std::size_t>(k)] = row.value(e);
  };
  fit_standardize(p, [&](const auto& use) {
    for_each_block<Exact>(cache, [&](const Exact& rows) {
      for (Index i = 0; i < rows.size(); ++i) {
        take_numbers(rows[i]);
        for (std::size_t k = 0; k < columns.size(); ++k) use(columns[k], numbers[k]);
      }
    });
  });
  const auto standardized_file = folder / "standardized";
  parade::CacheWriter<Rows> writer{standardized_file, {.num_features = cache.info().num_features}};
  for_each_block<Exact>(cache, [&](const Exact& rows) {
    std::vector<std::int64_t> offsets{0};
    std::vector<std::int32_t> indices;
    std::vector<float> values;
    const auto put = [&](std::int64_t feature, double value) {
      indices.push_back(static_cast<std::int32_t>(feature));
      values.push_back(static_cast<float>(value));
    };
    for (Index i = 0; i < rows.size(); ++i) {
      const auto row = rows[i];
      take_numbers(row);
      std::size_t k = 0;
      const auto put_numbers = [&](std::int64_t before) {
        for (; k < columns.size() && features[k] < before; ++k)
          if (const double x = standardized(numbers[k], columns[k], p); x != 0) put(features[k], x);
      };
      for (std::size_t e = 0; e < row.indices.size(); ++e) {
        if (number_of(row.indices[e]) >= 0) continue;
        put_numbers(row.indices[e]);
        put(row.indices[e], row.value(e));
      }
      put_numbers(cache.info().num_features);
      offsets.push_back(static_cast<std::int64_t>(indices.size()));
    }
    const auto vector = [](const auto& of) {
      using T = typename std::decay_t<decltype(of)>::value_type;
      return Vector<T>{Eigen::Map<const Vector<T>>{of.data(), static_cast<Index>(of.size())}};
    };
    counted_from(writer.size(), [&] {
      Rows block{vector(offsets), vector(indices), vector(values), cache.info().num_features};
      if (rows.has_labels()) block = block.with_labels(rows.labels());
      if (rows.num_targets() > 0) block = block.with_targets(rows.targets());
      writer.add(block);
    });
  });
  writer.finish();
  std::filesystem::remove(file);
  return standardized_file;
}

/// The same of a matrix, which becomes a cache of dense data on the way.
std::filesystem::path cache_of_npy(const std::string& data_file, Preparation& p, FolderBeside& folder) {
  using Dense = parade::DenseData<double>;
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
  for (const parade::Column& column : all.columns)
    if (column.missing > 0 && (!p.standardize || column.name == p.answer))
      throw parade::DataError("column '" + column.name + "' must have a value in each row; it lacks " + std::to_string(column.missing) +
                              (column.name == p.answer ? "" : " (--standardize puts the mean there, --leave-out leaves the column out)"));

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
  if (p.standardize)
    fit_standardize(p, [&](const auto& use) { for_each_part([&](const parade::Table& part) { each_number(part, p, use); }); });
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

/// The training file as a cache of what `read` would make of it, one block in memory at a time: the file itself, if it is that already.
std::filesystem::path prepared_cache(const std::string& data_file, Preparation& p, FolderBeside& folder, int threads) {
  std::filesystem::path file = data_file;
  std::vector<std::string> label_names;
  if (p.format == "libsvm") {
    parade::LibsvmOptions options;
    options.targets = p.on_labels ? parade::LibsvmTargets::labels : parade::LibsvmTargets::real;
    options.threads = threads;
    file = folder / "rows";
    p.index_base = parade::make_cache<float>(data_file, file, options).index_base;
  } else if (p.format == "csv") {
    file = cache_of_csv(data_file, p, folder, threads, label_names);
  } else if (p.format == "npy") {
    file = cache_of_npy(data_file, p, folder);
  }
  const parade::CacheFile cache{file};
  check_cache(cache, p);
  if (cache.info().samples == 0) throw parade::DataError(data_file + " must have at least 1 row; got 0");
  const bool hash = p.hash_bits > 0 && p.format == "libsvm";  // texts are hashed already
  bool as_it_is = !hash && !p.unit_norm;
  p.num_features = hash ? Index{1} << p.hash_bits : cache.info().num_features;
  if (p.on_labels) {
    std::map<Label, Label> classes;
    for_each_block<Rows>(cache, [&](const Rows& rows) {
      for (const Label y : rows.labels()) classes.emplace(y, -1);
    });
    p.labels =
        class_labels(classes, [&](Label y) { return label_names.empty() ? std::to_string(y) : label_names[static_cast<std::size_t>(y)]; });
    as_it_is &= classes.begin()->first == 0 && classes.rbegin()->first == static_cast<Label>(classes.size()) - 1;
  }
  if (as_it_is) return file;

  parade::CacheWriter<Rows> writer{folder / "prepared",
                                   {.rows_per_block = cache.info().rows_per_block,
                                    .num_features = p.num_features,
                                    .all_ones = cache.info().all_ones && !hash && !p.unit_norm}};
  for_each_block<Rows>(cache, [&](const Rows& rows) {
    Data block;
    block.rows = hash ? hashed(rows, p.hash_bits, p.index_base) : rows;
    if (p.unit_norm) block.rows = with_unit_norm(block.rows);
    if (p.on_labels) number_classes(block, label_names, p, false);
    writer.add(block.rows);
  });
  writer.finish();
  if (file != data_file) std::filesystem::remove(file);
  return folder / "prepared";
}

// --- the model and its file ------------------------------------------------------------------------------------------------------------------

struct Model {
  Preparation preparation;
  std::string loss;
  Matrix<float> weight;  // (k,d)
  Vector<float> bias;    // (k), empty without an intercept
};

/// An NPZ file: weight and bias, and in `description` the rest, as the bytes of a JSON text.
void save_model(const std::string& file, const Model& model) {
  const Preparation& p = model.preparation;
  Json columns = Json::array();
  for (const auto& column : p.columns)
    columns.push_back(
        {{"name", column.name}, {"type", static_cast<int>(column.type)}, {"levels", column.knows_levels ? Json(column.levels) : Json()}});
  const Json json{{"program", "parade train 1"}, {"loss", model.loss},           {"format", p.format},       {"on_labels", p.on_labels},
                  {"header", p.header},          {"standardize", p.standardize}, {"unit_norm", p.unit_norm}, {"hash_bits", p.hash_bits},
                  {"index_base", p.index_base},  {"answer", p.answer},           {"columns", columns},       {"means", p.means},
                  {"deviations", p.deviations},  {"features", p.features},       {"labels", p.labels}};
  const std::string text = json.dump();  // throws for text that is not UTF-8
  const Vector<std::uint8_t> description =
      Eigen::Map<const Vector<std::uint8_t>>(reinterpret_cast<const std::uint8_t*>(text.data()), static_cast<Index>(text.size()));
  parade::write_npz(file, {{"weight", model.weight}, {"bias", model.bias}, {"description", description}});
}

Model load_model(const std::string& file) {
  const parade::NpzFile npz{file};
  Model model;
  Preparation& p = model.preparation;
  model.weight = npz.read<float>("weight");
  model.bias = npz.read_vector<float>("bias");
  const auto description = npz.read_vector<std::uint8_t>("description");
  try {
    const auto json = Json::parse(description.begin(), description.end());
    if (json.at("program") != "parade train 1") throw std::runtime_error("written by another program");
    json.at("loss").get_to(model.loss);
    json.at("format").get_to(p.format), json.at("on_labels").get_to(p.on_labels), json.at("header").get_to(p.header);
    json.at("standardize").get_to(p.standardize), json.at("unit_norm").get_to(p.unit_norm), json.at("hash_bits").get_to(p.hash_bits);
    json.at("index_base").get_to(p.index_base), json.at("answer").get_to(p.answer);
    json.at("means").get_to(p.means), json.at("deviations").get_to(p.deviations);
    json.at("features").get_to(p.features), json.at("labels").get_to(p.labels);
    for (const auto& column : json.at("columns")) {
      p.columns.push_back({});
      column.at("name").get_to(p.columns.back().name);
      p.columns.back().type = static_cast<parade::ColumnType>(column.at("type").get<int>());
      p.columns.back().knows_levels = !column.at("levels").is_null();
      if (p.columns.back().knows_levels) column.at("levels").get_to(p.columns.back().levels);
    }
    p.num_features = model.weight.cols();
    const auto k = static_cast<std::size_t>(model.weight.rows());
    if ((model.bias.size() > 0 && model.bias.size() != model.weight.rows()) || p.hash_bits < 0 || p.hash_bits > 28 ||
        (p.on_labels && p.labels.size() != std::max<std::size_t>(k, 2)) ||
        (p.standardize && (p.means.size() != p.columns.size() || p.deviations.size() != p.columns.size())))
      throw std::runtime_error("its parts do not fit");
  } catch (const std::exception& error) {
    throw parade::DataError(file + " is not a model of this program: " + error.what());
  }
  return model;
}

// --- what scores say -------------------------------------------------------------------------------------------------------------------------

/// The numbers that a regression predicts.
Matrix<float> predicted_numbers(const std::string& loss, Matrix<float> scores) {
  if (loss == "poisson") parade::kernels::transform(scores.data(), scores.size(), [](auto z) { return parade::kernels::exp<float>(z); });
  return scores;
}

/// Softmax of the scores; one score z stands for 0 and z.
Vector<float> probabilities(const Vector<float>& scores) {
  Vector<float> shares = scores;
  if (scores.size() == 1) shares = Vector<float>{{0.0F, scores[0]}};
  const float largest = shares.maxCoeff();
  parade::kernels::transform(shares.data(), shares.size(), [=](auto z) {
    using V = parade::kernels::Simd<float>;
    return parade::kernels::exp<float>(V::sub(z, V::broadcast(largest)));
  });
  float sum = 0;
  for (const float share : shares) sum += share;
  for (float& share : shares) share /= sum;
  return shares;
}

struct Measured {
  double accuracy = std::nan(""), rmse = std::nan(""), mae = std::nan(""), r_squared = std::nan("");
};

Measured measure(const Model& model, const Matrix<float>& scores, const Data& data) {
  Measured result;
  if (model.preparation.on_labels) {
    Index right = 0;
    for (Index j = 0; j < scores.cols(); ++j) right += parade::predicted_label(scores.col(j)) == data.rows.label(j);
    result.accuracy = static_cast<double>(right) / static_cast<double>(scores.cols());
  } else {
    const Matrix<float> z = predicted_numbers(model.loss, scores);
    const Matrix<double>& y = data.rows.targets();
    result.rmse = parade::root_mean_squared_error(z, y);
    result.mae = parade::mean_absolute_error(z, y);
    const bool varies = (y.array() != y(0, 0)).any();
    if (varies) result.r_squared = parade::r_squared(z, y);
  }
  return result;
}

std::string text_of(const Measured& measured) {
  std::ostringstream out;
  if (!std::isnan(measured.accuracy)) out << "accuracy " << 100 * measured.accuracy << " %";
  if (!std::isnan(measured.rmse)) out << "RMSE " << measured.rmse << ", MAE " << measured.mae << ", R^2 " << measured.r_squared;
  return out.str();
}

std::string text_of(const Data& data) {
  std::ostringstream out;
  out << data.rows.size() << " rows, " << data.rows.num_features() << " features, " << data.rows.nonzeros() << " nonzeros";
  if (data.left_out > 0) out << "; left out " << data.left_out << " values of features that training did not have";
  if (data.unknown > 0) out << "; " << data.unknown << " labels that training did not have, counted as wrong";
  return out.str();
}

/// Mean loss.
template <class L>
double mean_loss(const L& loss, const Matrix<float>& scores, const Data& data) {
  Vector<float> values(scores.cols());
  Matrix<float> unused(scores.rows(), scores.cols());
  if constexpr (std::is_same_v<typename L::Target, Label>)
    loss.value_and_gradient(scores, data.rows.labels(), values, unused);
  else
    loss.value_and_gradient(scores, Matrix<float>(data.rows.targets().cast<float>()), values, unused);
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value);
  return data.unknown > 0 ? std::nan("") : sum / static_cast<double>(scores.cols());
}

// --- training ----------------------------------------------------------------------------------------------------------------------------------

/// The progressive loss, as Vowpal Wabbit prints it: of each batch before its step, which in the first epoch has not seen it yet.
class Progress {
 public:
  explicit Progress(bool shown) : shown_(shown) {}
  void on_step(const parade::StepReport& report) {
    if (!shown_) return;
    if (report.epoch != epoch_) epoch_ = report.epoch, before_ = rows_;
    const Index batch = before_ + report.samples_done - rows_;
    rows_ += batch;
    total_ = std::fma(report.loss, static_cast<double>(batch), total_);
    if (rows_ < next_ && !(report.epoch == report.epochs && report.samples_done == report.samples)) return;
    if (printed_ == 0) std::cout << "       rows  epoch  loss since  loss so far\n";
    std::cout << std::setw(11) << rows_ << std::setw(7) << epoch_ << std::setw(12)
              << (total_ - printed_total_) / static_cast<double>(rows_ - printed_) << std::setw(13) << total_ / static_cast<double>(rows_)
              << std::endl;
    printed_ = rows_, printed_total_ = total_;
    while (next_ <= rows_) next_ *= 2;
  }

 private:
  bool shown_;
  Index epoch_ = 0, before_ = 0, rows_ = 0, next_ = 1, printed_ = 0;
  double total_ = 0, printed_total_ = 0;
};

/// A loss by its name. Of k > 2 classes, those for two classes are taken one against the rest.
LabelLoss label_loss(const Options& o, std::size_t k) {
  if (o.loss == "softmax") return {SoftmaxCrossEntropy{}};
  if (o.loss == "hinge") return k > 2 ? LabelLoss{OneVsRest{Hinge{}}} : LabelLoss{Hinge{}};
  if (o.loss == "squared-hinge") return k > 2 ? LabelLoss{OneVsRest{SquaredHinge{}}} : LabelLoss{SquaredHinge{}};
  if (o.loss == "modified-huber") return k > 2 ? LabelLoss{OneVsRest{ModifiedHuber{}}} : LabelLoss{ModifiedHuber{}};
  return k > 2 ? LabelLoss{OneVsRest{Logistic{}}} : LabelLoss{Logistic{}};
}

RealLoss real_loss(const Options& o) {
  if (o.loss == "huber") return {parade::Huber{.delta = o.delta.value_or(1)}};
  if (o.loss == "absolute") return {parade::AbsoluteError{}};
  if (o.loss == "quantile") return {parade::Quantile{.quantile = o.quantile.value_or(0.5)}};
  if (o.loss == "poisson") return {parade::Poisson{}};
  if (o.loss == "epsilon-insensitive") return {parade::EpsilonInsensitive{.epsilon = o.epsilon.value_or(0.1)}};
  if (o.loss == "squared-epsilon-insensitive") return {parade::SquaredEpsilonInsensitive{.epsilon = o.epsilon.value_or(0.1)}};
  return {parade::SquaredError{}};
}

AnyOptimizer optimizer(const Options& o, double l2) {
  const double rate = o.rate.value_or(o.optimizer.ends_with("adam") ? 0.001 : 0.1);
  if (o.optimizer == "adagrad") return {parade::Adagrad{.rate = rate}, rate};
  if (o.optimizer == "ftrl") return {parade::FtrlProximal{.rate = rate, .l1 = o.l1, .l2 = l2}, rate};
  if (o.optimizer == "lazy_adam") return {parade::LazyAdam{.rate = rate}, rate};
  if (o.optimizer == "adam") return {parade::Adam{.rate = rate}, rate};
  return {parade::Sgd{.rate = rate, .momentum = o.momentum.value_or(0)}, rate};
}

/// `inverse` is that of stochastic gradient descent for a strongly convex objective (Bottou 2012), a little steeper, since batches are less noisy.
AnySchedule schedule(const Options& o, double rate, double l2) {
  if (o.schedule == "inverse") return {InverseTime{1.4 * rate * l2}};
  if (o.schedule == "inverse-scaling") return {parade::InverseScaling{.power = o.power.value_or(0.5)}};
  if (o.schedule == "linear") return {parade::PolynomialDecay{}};
  if (o.schedule == "cosine") return {parade::Cosine{}};
  return {parade::Constant{}};
}

template <class L>
auto make_trainer(const Options& o, const L& loss, Index features, Index outputs, Index n) {
  const double l2 = o.l2 == "1/n" ? 1 / static_cast<double>(n) : std::stod(o.l2);
  const bool own = o.optimizer == "ftrl";  // it has both terms in itself
  const AnyOptimizer steps = optimizer(o, l2);
  return parade::Trainer{parade::Linear<float>{features, outputs, o.intercept ? parade::Intercept::fitted : parade::Intercept::none}, loss,
                         L1AndL2{{.lambda = own ? 0 : l2}, {.lambda = own ? 0 : o.l1}}, steps, schedule(o, steps.rate, l2)};
}

template <class T>
parade::Summary fit(T& trainer, const Rows& rows, bool dense, const parade::FitOptions& options, Progress& progress) {
  if (!dense) return trainer.fit(rows, options, progress);
  parade::DenseData<float> x{rows.to_dense()};
  if (rows.has_labels()) x = x.with_labels(rows.labels());
  if (rows.num_targets() > 0) x = x.with_targets(rows.targets());
  return trainer.fit(x, options, progress);
}

template <class T>
parade::Summary fit(T& trainer, const CachedRows& rows, bool, const parade::FitOptions& options, Progress& progress) {
  return trainer.fit(rows, options, progress);
}

/// Mean loss on the training data, and what else there is to say.
template <class T, class L>
std::pair<double, std::string> fitted(T& trainer, const L& loss, const Model& model, const Data& data) {
  const Matrix<float> scores = trainer.scores(data.rows);
  return {mean_loss(loss, scores, data), ", " + text_of(measure(model, scores, data))};
}
template <class T, class L>
std::pair<double, std::string> fitted(T& trainer, const L&, const Model& model, const CachedRows& rows) {
  const parade::Evaluation result = trainer.evaluate(rows);
  return {result.loss, model.preparation.on_labels ? ", " + text_of(Measured{.accuracy = result.accuracy}) : ""};
}

/// Refuses what the trainer would refuse, before any file is read: it is given one row, and no epoch.
template <class L>
void check_trainer(const Options& o, const L& loss, Index outputs) {
  Rows row{Vector<std::int64_t>::Zero(2), {}, {}, 1};
  if (o.on_labels())
    row = row.with_labels(Vector<Label>::Zero(1));
  else
    row = row.with_targets(Matrix<double>::Ones(1, 1));
  auto trainer = make_trainer(o, loss, 1, outputs, 1);
  Progress none{false};
  try {
    fit(trainer, row, o.dense, {.epochs = 0, .batch_size = 1, .threads = o.threads}, none);
  } catch (const parade::OptionError& error) {
    if (o.dense) throw;
    refuse(std::string(error.what()) + ". With --dense there are all of them");
  }
}

Json number_or_null(double x) { return std::isfinite(x) ? Json(x) : Json(); }

const Rows& rows_of(const Data& data) { return data.rows; }
const CachedRows& rows_of(const CachedRows& rows) { return rows; }

template <class L, class D>
int train(const Options& o, Model& model, const L& loss, const D& data, Index nonzeros) {
  const Preparation& p = model.preparation;
  const Index k = !p.on_labels || (p.labels.size() == 2 && o.loss != "softmax") ? 1 : static_cast<Index>(p.labels.size()),
              n = rows_of(data).size();
  auto trainer = make_trainer(o, loss, p.num_features, k, n);
  Progress progress{o.progressive};
  const auto summary =
      fit(trainer, rows_of(data), o.dense,
          {.epochs = o.epochs, .batch_size = o.batch.value_or(std::min<Index>(64, n)), .seed = o.seed, .threads = o.threads}, progress);
  const bool diverged = summary.stop_reason == parade::StopReason::diverged;
  model.weight = trainer.parameter("weight");
  if (o.intercept) model.bias = trainer.parameter("bias").col(0);

  const auto [train_loss, measured] = fitted(trainer, loss, model, data);
  const double penalty = summary.history.empty() ? 0 : summary.history.back().penalty;
  std::cout << summary.full() << "train       objective " << train_loss + penalty << ", loss " << train_loss << measured << '\n';

  Json json{{"data", o.data}, {"format", o.format}, {"loss", o.loss}, {"optimizer", o.optimizer}, {"schedule", o.schedule}};
  json.update({{"rows", n}, {"features", p.num_features}, {"nonzeros", nonzeros}, {"labels", p.labels}});
  json.update({{"outputs", k}, {"weights", model.weight.size()}, {"nonzero_weights", (model.weight.array() != 0).count()}});
  json.update({{"epochs", summary.epochs()}, {"batch", summary.batch_size}, {"seed", o.seed}, {"threads", summary.threads}});
  json.update({{"stop_reason", to_string(summary.stop_reason)}, {"train_objective", number_or_null(train_loss + penalty)}});
  json.update({{"train_loss", number_or_null(train_loss)}, {"seconds", summary.seconds.wall}});
  json.update({{"samples_per_second", summary.samples_per_second()}, {"theta_hash", parade::hash_text(summary.theta_hash)}});

  if (o.test) {
    const Data test = read(*o.test, model.preparation, false, o.threads);
    if (!test.answered) throw parade::DataError("--test: " + *o.test + " has no column '" + p.answer + "'");
    const Matrix<float> test_scores = trainer.scores(test.rows);
    const Measured on_test = measure(model, test_scores, test);
    const double test_loss = mean_loss(loss, test_scores, test);
    std::cout << "test        loss " << test_loss << ", " << text_of(on_test) << ", " << text_of(test) << '\n';
    json["test_rows"] = test.rows.size();
    json["test_loss"] = number_or_null(test_loss);
    if (p.on_labels)
      json["test_accuracy"] = on_test.accuracy;
    else
      json.update({{"test_rmse", number_or_null(on_test.rmse)},
                   {"test_mae", number_or_null(on_test.mae)},
                   {"test_r2", number_or_null(on_test.r_squared)}});
  }
  if (o.save && !diverged) save_model(*o.save, model);
  if (o.json) write("--json", *o.json, json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n');
  return diverged ? 1 : 0;
}

int train(const Options& o) {
  check_options(o);
  if (o.on_labels())
    check_trainer(o, label_loss(o, 2), o.loss == "softmax" ? 2 : 1);
  else
    check_trainer(o, real_loss(o), 1);
  if (o.json) write("--json", *o.json, {});
  if (o.save) write("--save", *o.save, {});

  Model model;
  Preparation& p = model.preparation;
  model.loss = o.loss;
  p.format = o.format, p.on_labels = o.on_labels(), p.header = !o.no_header, p.standardize = o.standardize, p.unit_norm = o.unit_norm;
  p.hash_bits = o.hash_bits, p.answer = o.label ? *o.label : o.target.value_or(""), p.leave_out = o.leave_out;
  const auto say = [&](const std::string& what) {
    std::cout << "data        " << o.data << ": " << what;
    for (std::size_t c = 0; c < std::min<std::size_t>(p.labels.size(), 10); ++c) std::cout << (c == 0 ? "; labels " : " ") << p.labels[c];
    std::cout << (p.labels.size() > 10 ? " ..." : "") << std::endl;
  };
  const auto go_on = [&](const auto& data, Index nonzeros) {
    return p.on_labels ? train(o, model, label_loss(o, p.labels.size()), data, nonzeros) : train(o, model, real_loss(o), data, nonzeros);
  };
  if (!o.memory) {
    const Data data = read(o.data, p, true, o.threads);
    say(text_of(data));
    return go_on(data, data.rows.nonzeros());
  }
  FolderBeside folder{o.data};
  const CachedRows rows{prepared_cache(o.data, p, folder, o.threads), {.memory = static_cast<std::size_t>(*o.memory) << 20}};
  const parade::CacheInfo& info = rows.info();
  say(std::to_string(rows.size()) + " rows, " + std::to_string(p.num_features) + " features, " + std::to_string(info.nonzeros) +
      " nonzeros; " + std::to_string(info.blocks) + " blocks on disk, " + std::to_string(rows.windows().blocks) + " in memory at a time");
  return go_on(rows, info.nonzeros);
}

// --- prediction ----------------------------------------------------------------------------------------------------------------------------------

struct PredictOptions {
  std::string model, data, output;
  bool scores = false, probabilities = false;
  int threads = 0;
};

int predict(const PredictOptions& o) {
  Model model = load_model(o.model);
  Preparation& p = model.preparation;
  if (o.probabilities && model.loss != "softmax" && !(model.loss == "logistic" && model.weight.rows() == 1))
    refuse("--probabilities is for models of --loss softmax, and of --loss logistic on two labels; this one is of --loss " + model.loss);
  write("--output", o.output, {});
  const Data data = read(o.data, p, false, o.threads);

  parade::Team team{o.threads};
  const Index k = model.weight.rows();
  const parade::Linear<float> linear{p.num_features, k, model.bias.size() > 0 ? parade::Intercept::fitted : parade::Intercept::none};
  Vector<float> theta(linear.parameters().size());
  theta.head(model.weight.size()) = model.weight.reshaped();
  theta.tail(model.bias.size()) = model.bias;
  Matrix<float> scores;
  team.run([&] { scores = parade::compute_sparse_scores(team, linear, theta, data.rows); });

  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << std::setprecision(std::numeric_limits<float>::max_digits10);
  const Matrix<float> numbers = p.on_labels ? Matrix<float>{} : predicted_numbers(model.loss, scores);
  for (Index j = 0; j < scores.cols(); ++j) {
    if (p.on_labels)
      out << p.labels[static_cast<std::size_t>(parade::predicted_label(scores.col(j)))];
    else
      out << numbers(0, j);
    if (o.scores)
      for (Index c = 0; c < k; ++c) out << ' ' << scores(c, j);
    if (o.probabilities)
      for (const float share : probabilities(scores.col(j))) out << ' ' << share;
    out << '\n';
  }
  write("--output", o.output, out.str());
  std::cout << "data        " << o.data << ": " << text_of(data) << '\n';
  if (data.answered) std::cout << "prediction  " << text_of(measure(model, scores, data)) << '\n';
  return 0;
}

int main(int argc, char** argv) {
  const bool predicts = argc > 1 && std::string(argv[1]) == "predict";
  CLI::App app{predicts ? "Predicts with a model that 'train' has saved: a line for each row, its label or number."
                        : "Trains linear models on LIBSVM, CSV and NPY files and caches by stochastic gradient descent.",
               predicts ? "train predict" : "train"};
  try {
    if (predicts) {
      PredictOptions options;
      app.option_defaults()->always_capture_default();
      app.add_option("--model", options.model, "what 'train --save' wrote")->type_name("MODEL")->required();
      app.add_option("--data", options.data, "file of the format and columns of the training file; the column of labels may be missing")
          ->type_name("FILE")
          ->required();
      app.add_option("--output", options.output, "for the predictions")->type_name("FILE")->required();
      app.add_flag("--scores", options.scores, "behind each prediction the model's scores");
      app.add_flag("--probabilities", options.probabilities, "behind each label the probabilities of all labels, in their order");
      app.add_option("--threads", options.threads, "0: as many as the process may use")->type_name("N")->transform(in<int>(0, 1024));
      app.parse(argc - 1, argv + 1);
      return predict(options);
    }
    Options options;
    add_options(app, options);
    app.parse(argc, argv);
    return train(options);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;  // 0: --help
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return dynamic_cast<const parade::OptionError*>(&error) ? 2 : 1;
  }
}
