// SPDX-License-Identifier: MIT
// From options to a model and what it is worth, and from a model to predictions.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <limits>
#include <locale>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <parade/io/file.hpp>
#include <parade/io/npy.hpp>
#include <parade/kernels/loops.hpp>
#include <parade/kernels/math.hpp>
#include <parade/metrics/regression.hpp>
#include <parade/train/evaluate.hpp>

#include "../command_line.hpp"
#include "parts.hpp"
#include "training.hpp"

namespace {

// --- the file of a model -------------------------------------------------------------------------------------------------------------------

using Json = nlohmann::ordered_json;
constexpr std::string_view program = "parade train 4";

parade::Vector<float> read_block(const parade::NpzFile& npz, const parade::ParameterBlock& block) {
  const Matrix<float> values = npz.read<float>(block.name);  // (1,n) for a vector
  if (values.size() != block.size()) throw std::runtime_error("'" + block.name + "' has another size");
  return values.reshaped();
}

/// Text of a file that JSON will not hold is refused before training.
void check_names(const Preparation& p) {
  const auto is_utf8 = [](const std::string& text) {
    try {
      return !Json(text).dump().empty();
    } catch (const Json::type_error&) {
      return false;
    }
  };
  const bool are_of_a_cache = p.format == "cache";
  if (are_of_a_cache && !(std::all_of(p.features.begin(), p.features.end(), is_utf8) &&
                          std::all_of(p.labels.begin(), p.labels.end(), is_utf8) && is_utf8(p.features_note)))
    throw parade::DataError("--save: names of features and classes must be UTF-8; in the cache some are not");
  const PlacesInTraining places{p};
  for (const parade::Column& column : p.columns) {
    const std::string of = "column " + std::to_string(places[column.name]) + " of the file, counted from 0,";
    if (!is_utf8(column.name)) throw parade::DataError("--save: names of columns must be UTF-8; that of " + of + " is not");
    for (std::size_t l = 0; column.knows_levels && l < column.levels.size(); ++l)
      if (!is_utf8(column.levels[l])) throw parade::DataError("--save: text must be UTF-8; in " + of + " some is not");
  }
}

/// An NPZ file: each block of theta under its name, numbers of the preparation, and in `description` the rest, as the bytes of a JSON text.
void save_model(const std::string& file, const Model& model) {
  const Preparation& p = model.preparation;
  Json columns = Json::array();
  for (const auto& column : p.columns)
    columns.push_back(
        {{"name", column.name}, {"type", static_cast<int>(column.type)}, {"levels", column.knows_levels ? Json(column.levels) : Json()}});
  Json file_columns = Json::array();  // null for one left out, whose name nobody needs and may be in any encoding
  for (const std::string& name : p.file_columns)
    file_columns.push_back(std::find(p.leave_out.begin(), p.leave_out.end(), name) == p.leave_out.end() ? Json(name) : Json());
  const Json json{{"program", program},         {"model", model.kind},
                  {"loss", model.loss},         {"intercept", model.intercept},
                  {"factors", model.factors},   {"hidden", model.hidden},
                  {"outputs", model.outputs},   {"num_features", p.num_features},
                  {"format", p.format},         {"on_labels", p.on_labels},
                  {"header", p.header},         {"standardize", p.standardize},
                  {"tf_idf", p.tf_idf},         {"sublinear", p.weights.sublinear},
                  {"unit_norm", p.unit_norm},   {"hash_bits", p.hash_bits},
                  {"index_base", p.index_base}, {"answer", p.answer},
                  {"columns", columns},         {"file_columns", file_columns},
                  {"features", p.features},     {"features_note", p.features_note},
                  {"labels", p.labels}};
  const std::string text = json.dump();  // throws for text that is not UTF-8
  const Vector<std::uint8_t> description =
      Eigen::Map<const Vector<std::uint8_t>>(reinterpret_cast<const std::uint8_t*>(text.data()), static_cast<Index>(text.size()));
  std::vector<Matrix<float>> blocks;
  std::vector<std::pair<std::string, parade::detail::NpyView>> arrays;
  const parade::ParameterList list = family_of(model).parameters(model);
  blocks.reserve(list.blocks().size());
  for (const auto& block : list) {
    blocks.emplace_back(model.theta.segment(block.offset, block.size()).reshaped(block.rows, block.cols));
    arrays.emplace_back(block.name, blocks.back());
  }
  if (p.standardize) arrays.emplace_back("mean", p.scaler.mean), arrays.emplace_back("deviation", p.scaler.deviation);
  if (p.tf_idf) arrays.emplace_back("idf", p.weights.idf);
  arrays.emplace_back("description", description);
  parade::write_npz(file, arrays);
}

Model load_model(const std::string& file) {
  const parade::NpzFile npz{file};
  Model model;
  Preparation& p = model.preparation;
  const auto description = npz.read_vector<std::uint8_t>("description");
  try {
    const auto json = Json::parse(description.begin(), description.end());
    if (json.at("program") != program) throw std::runtime_error("written by another program, or another version of it");
    json.at("model").get_to(model.kind), json.at("loss").get_to(model.loss), json.at("intercept").get_to(model.intercept);
    json.at("factors").get_to(model.factors), json.at("hidden").get_to(model.hidden), json.at("outputs").get_to(model.outputs);
    json.at("num_features").get_to(p.num_features);
    json.at("format").get_to(p.format), json.at("on_labels").get_to(p.on_labels), json.at("header").get_to(p.header);
    json.at("standardize").get_to(p.standardize), json.at("tf_idf").get_to(p.tf_idf), json.at("sublinear").get_to(p.weights.sublinear),
        json.at("unit_norm").get_to(p.unit_norm);
    json.at("hash_bits").get_to(p.hash_bits), json.at("index_base").get_to(p.index_base), json.at("answer").get_to(p.answer);
    json.at("features").get_to(p.features), json.at("labels").get_to(p.labels);
    p.features_note = json.value("features_note", "");  // not in models of before there was one
    for (const auto& name : json.at("file_columns")) p.file_columns.push_back(name.is_null() ? "" : name.get<std::string>());
    const PlacesInTraining places{p};
    std::set<std::string> names;
    for (const auto& column : json.at("columns")) {
      const auto name = column.at("name").get<std::string>();
      if (!names.insert(name).second) throw std::runtime_error("it has the column '" + name + "' twice");
      if (places[name] == p.file_columns.size()) throw std::runtime_error("its column '" + name + "' is none of the training file");
      const int type = column.at("type").get<int>();
      if (type < 0 || type > 2)
        throw std::runtime_error("its column '" + name + "' is of the type " + std::to_string(type) + ", which there is not");
      p.columns.push_back({});
      p.columns.back().name = name;
      p.columns.back().type = static_cast<parade::ColumnType>(type);
      p.columns.back().knows_levels = !column.at("levels").is_null();
      if (p.columns.back().knows_levels) column.at("levels").get_to(p.columns.back().levels);
    }
    if ((p.format == "csv" || p.format == "npy") && !names.contains(p.answer))
      throw std::runtime_error("the answer '" + p.answer + "' is none of its columns");
    const auto k = static_cast<std::size_t>(model.outputs);
    if (p.hash_bits < 0 || p.hash_bits > 28 || (p.on_labels && p.labels.size() != std::max<std::size_t>(k, 2)))
      throw std::runtime_error("its parts do not fit");
    const parade::ParameterList blocks = family_of(model).parameters(model);
    model.theta.resize(blocks.size());
    for (const auto& block : blocks) model.theta.segment(block.offset, block.size()) = read_block(npz, block);
    if (p.standardize) p.scaler.mean = npz.read_vector<double>("mean"), p.scaler.deviation = npz.read_vector<double>("deviation");
    if (p.tf_idf) p.weights.idf = npz.read_vector<double>("idf");
    p.scaler.settle(), p.weights.settle();
    if ((p.standardize && p.scaler.num_inputs() != static_cast<Index>(number_columns(p).size())) ||
        (p.tf_idf && p.weights.num_inputs() != p.num_features))
      throw std::runtime_error("its parts do not fit");
  } catch (const std::exception& error) {
    throw parade::DataError(file + " is not a model of this program: " + error.what());
  }
  return model;
}

// --- options ---------------------------------------------------------------------------------------------------------------------------------

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
  only(o.skip_malformed, o.format == "libsvm" || o.format == "csv", "--skip-malformed", "--format libsvm and csv");
  only(o.standardize, table, "--standardize", "--format csv and npy: sparse features would be sparse no more (--unit-norm keeps them so)");
  only(o.tf_idf, !o.standardize, "--tfidf", "counts of words; --standardize makes other numbers of them");
  only(o.sublinear, o.tf_idf, "--sublinear", "--tfidf");
  only(o.unit_norm, !o.tf_idf, "--unit-norm", "rows without --tfidf, which has it in itself");
  only(o.hash_bits > 0, o.format == "libsvm" || o.format == "csv", "--hash-bits",
       "--format libsvm and csv; the columns of a matrix are few enough, and a cache does not know the numbers of the text");
  only(o.memory.has_value(), !o.dense, "--memory", "sparse rows; --dense holds all of the data as a matrix");
  only(o.dense, o.model != "fm", "--dense", "--model linear and mlp");
  only(o.factors.has_value(), o.model == "fm", "--factors", "--model fm");
  only(!o.hidden.empty(), o.model == "mlp", "--hidden", "--model mlp");
  double weights = 0;
  for (std::size_t l = 1; l < o.hidden.size(); ++l) weights += static_cast<double>(o.hidden[l - 1]) * static_cast<double>(o.hidden[l]);
  if (weights > 0x1p31)
    refuse("--hidden must give at most 2^31 weights between hidden layers; got " + std::to_string(std::llround(weights)));
  only(o.intercept, o.model == "linear", "--intercept", "--model linear; the others always have one");
  only(o.delta.has_value(), o.loss == "huber", "--delta", "--loss huber");
  only(o.quantile.has_value(), o.loss == "quantile", "--quantile", "--loss quantile");
  only(o.epsilon.has_value(), o.loss.ends_with("epsilon-insensitive"), "--epsilon", "--loss epsilon-insensitive and its square");
  only(o.momentum.has_value(), o.optimizer == "sgd", "--momentum", "--optimizer sgd");
  only(o.power.has_value(), o.schedule == "inverse-scaling", "--power", "--schedule inverse-scaling");
  only(o.schedule == "inverse", o.l2 == "1/n" || std::stod(o.l2) > 0, "--schedule inverse", "--l2 above 0, by which it falls");
}

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
  if (data.no_level > 0) out << "; " << data.no_level << " values of text that training did not have, taken as missing";
  if (data.skipped > 0) out << "; left out " << data.skipped << " malformed rows";
  if (data.unknown > 0)
    out << "; " << data.unknown << " labels that training did not have (the first: " << data.unknown_label << "), counted as wrong";
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

double mean_loss(const Options& o, const Model& model, const Matrix<float>& z, const Data& data) {
  const Preparation& p = model.preparation;
  return p.on_labels ? mean_loss(label_loss(o, p.labels.size()), z, data) : mean_loss(real_loss(o), z, data);
}

/// Refuses what the trainer would refuse, before any file is read: it is given one row, and no epoch.
void check_trainer(const Options& o, Model model) {
  Rows row{Vector<std::int64_t>::Zero(2), {}, {}, 1};
  if (o.on_labels())
    row = row.with_labels(Vector<Label>::Zero(1));
  else
    row = row.with_targets(Matrix<double>::Ones(1, 1));
  model.preparation.num_features = 1;
  model.preparation.labels.resize(2);
  model.outputs = o.loss == "softmax" ? 2 : 1;
  Progress none{Progress::Show::nothing};
  try {
    family_of(model).fit(o, model, {.rows = &row}, {.epochs = 0, .batch_size = 1, .threads = o.threads}, none);
  } catch (const parade::OptionError& error) {
    if (o.dense || o.model == "fm" || std::string(error.what()).find("no exact lazy form") == std::string::npos) throw;
    refuse(std::string(error.what()) + ". With --dense there are all of them");
  }
}

Json number_or_null(double x) { return std::isfinite(x) ? Json(x) : Json(); }

/// What was read, before anything is done with it.
void say(const std::string& file, const std::string& what, const Preparation& p) {
  constexpr std::size_t most_labels = 10, most_columns = 40;
  std::cout << "data        " << file << ": " << what;
  for (std::size_t c = 0; c < std::min(p.labels.size(), most_labels); ++c) std::cout << (c == 0 ? "; labels " : " ") << p.labels[c];
  std::cout << (p.labels.size() > most_labels ? " ...\n" : "\n");
  if (p.format == "csv") {
    for (std::size_t c = 0; c < std::min(p.columns.size(), most_columns); ++c) {
      const parade::Column& column = p.columns[c];
      std::cout << (c == 0 ? "columns     " : ", ") << column.name << ' ' << parade::name_of(column.type);
      if (column.type == parade::ColumnType::text && column.knows_levels) std::cout << " (" << column.levels.size() << ")";
    }
    std::cout << (p.columns.size() > most_columns ? ", ...\n" : "\n");
  }
  std::cout << std::flush;
  for (const std::string& note : p.notes) std::cerr << "warning: " << note << '\n';
}

int train(const Options& o, Model& model, const Source& source, const Data* data, Index nonzeros) {
  const Preparation& p = model.preparation;
  if (o.save) check_names(p);
  if (o.test && p.format == "cache") check_second_cache(*o.test, p);  // not only when all is trained
  const Index n = source.size();
  if (o.batch && *o.batch > n)
    refuse("--batch must be at most " + std::to_string(n) + ", the rows there are; got " + std::to_string(*o.batch));
  model.outputs = !p.on_labels || (p.labels.size() == 2 && o.loss != "softmax") ? 1 : static_cast<Index>(p.labels.size());
  Progress progress{o.progressive                  ? Progress::Show::progressive_loss
                    : ::isatty(STDERR_FILENO) == 1 ? Progress::Show::bar
                                                   : Progress::Show::nothing};
  auto [summary, theta, evaluation, error] = family_of(model).fit(
      o, model, source, {.epochs = o.epochs, .batch_size = o.batch.value_or(std::min<Index>(64, n)), .seed = o.seed, .threads = o.threads},
      progress);
  const bool diverged = summary.stop_reason == parade::StopReason::diverged;
  model.theta = std::move(theta);
  if (error) {
    if (o.save) {
      save_model(*o.save, model);
      std::cerr << "--save: " << *o.save << " holds the model as it was after the last step before this error:\n";
    }
    std::rethrow_exception(error);
  }

  double train_loss = 0, other_loss = 0;
  std::string measured, other;
  if (data) {
    const Matrix<float> z = family_of(model).scores(model, data->rows, o.threads);
    train_loss = mean_loss(o, model, z, *data);
    measured = ", " + text_of(measure(model, z, *data));
    other_loss = mean_loss(o, model, Matrix<float>::Zero(z.rows(), z.cols()), *data);
    other = "the model that is 0 everywhere";
  } else {
    train_loss = evaluation->loss;
    other_loss = summary.history.empty() ? train_loss : summary.history.front().loss;
    other = "the first epoch";
    if (p.on_labels) measured = ", " + text_of(Measured{.accuracy = evaluation->accuracy});
  }
  const double penalty = summary.history.empty() ? 0 : summary.history.back().penalty;
  std::cout << summary.full() << "train       objective " << train_loss + penalty << ", loss " << train_loss << measured << '\n';
  if (!diverged && !(train_loss <= other_loss))
    std::cerr << "warning: the loss of " << other << ", " << other_loss << ", is less than that of this model: --rate may be too high"
              << (p.format == "libsvm" || p.format == "cache" || p.standardize ? "" : ", or --standardize missing") << '\n';
  Index weights = 0, nonzero_weights = 0;
  for (const auto& block : family_of(model).parameters(model)) {
    if (block.role == parade::Role::bias) continue;
    weights += block.size();
    nonzero_weights += (model.theta.segment(block.offset, block.size()).array() != 0).count();
  }

  Json json{{"data", o.data}, {"format", o.format},       {"model", o.model},
            {"loss", o.loss}, {"optimizer", o.optimizer}, {"schedule", o.schedule}};
  json.update({{"rows", n}, {"features", p.num_features}, {"nonzeros", nonzeros}, {"labels", p.labels}, {"skipped", p.skipped}});
  json.update({{"outputs", model.outputs}, {"weights", weights}, {"nonzero_weights", nonzero_weights}});
  json.update({{"epochs", summary.epochs()}, {"batch", summary.batch_size}, {"seed", o.seed}, {"threads", summary.threads}});
  json.update({{"stop_reason", to_string(summary.stop_reason)}, {"train_objective", number_or_null(train_loss + penalty)}});
  json.update({{"train_loss", number_or_null(train_loss)}, {"seconds", summary.seconds.wall}});
  json.update({{"samples_per_second", summary.samples_per_second()}, {"theta_hash", parade::hash_text(summary.theta_hash)}});

  if (o.save && !diverged) save_model(*o.save, model);
  if (o.test) {  // whatever is wrong with it, the model is there
    const Data test = read(*o.test, model.preparation, false, o.threads);
    if (!test.answered) throw parade::DataError("--test: " + *o.test + " has no column '" + p.answer + "'");
    if (test.unknown == test.rows.size())
      throw parade::DataError("--test: " + *o.test + " must have labels that training had; all " + std::to_string(test.unknown) +
                              " are others, the first '" + test.unknown_label + "'; training had '" + p.labels[0] + "', '" + p.labels[1] +
                              (p.labels.size() > 2 ? "', ..." : "'"));
    const Matrix<float> test_scores = family_of(model).scores(model, test.rows, o.threads);
    const Measured on_test = measure(model, test_scores, test);
    const double test_loss = mean_loss(o, model, test_scores, test);
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
  if (o.json) write("--json", *o.json, json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n');
  return diverged ? 1 : 0;
}

}  // namespace

void Progress::on_step(const parade::StepReport& report) {
  has_begun_ = true;
  if (show_ == Show::bar) bar_.on_step(report);
  if (show_ != Show::progressive_loss) return;
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

int train(const Options& o) {
  check_options(o);
  Model model;
  model.kind = o.model, model.loss = o.loss, model.intercept = o.intercept;
  model.factors = o.model == "fm" ? o.factors.value_or(8) : 0;
  if (o.model == "mlp") model.hidden = o.hidden.empty() ? std::vector<Index>{128, 64} : o.hidden;
  check_trainer(o, model);
  std::vector<NamedFile> inputs{{"--data", o.data}}, outputs;
  if (o.test) inputs.push_back({"--test", *o.test});
  if (o.save) outputs.push_back({"--save", *o.save});
  if (o.json) outputs.push_back({"--json", *o.json});
  check_apart(inputs, outputs);
  if (o.test) parade::detail::ByteReader{std::filesystem::path{*o.test}};  // a wrong name is told before the training
  if (o.json) write("--json", *o.json, {});
  if (o.save) write("--save", *o.save, {});

  Preparation& p = model.preparation;
  p.format = o.format, p.on_labels = o.on_labels(), p.header = !o.no_header, p.standardize = o.standardize, p.tf_idf = o.tf_idf,
  p.weights.sublinear = o.sublinear;
  p.skip_malformed = o.skip_malformed, p.unit_norm = o.unit_norm, p.hash_bits = o.hash_bits,
  p.answer = o.label ? *o.label : o.target.value_or(""), p.leave_out = o.leave_out;
  if (!o.memory) {
    const Data data = read(o.data, p, true, o.threads);
    say(o.data, text_of(data), p);
    return train(o, model, {.rows = &data.rows}, &data, data.rows.nonzeros());
  }
  FolderBeside folder{o.data};
  const std::size_t memory = static_cast<std::size_t>(*o.memory) << 20;
  const auto check = [&](const auto& work) {
    try {
      return work();
    } catch (const parade::OptionError& error) {
      refuse("--memory " + std::to_string(*o.memory) + ": " + error.what());
    }
  };
  check([&] { check_memory(o.data, p, folder, o.threads, memory); });
  const std::filesystem::path file = prepared_cache(o.data, p, folder, o.threads);
  const CachedRows rows = check([&] { return CachedRows{file, {.memory = memory}}; });
  const parade::CacheInfo& info = rows.info();
  folder.remove();  // the file is open: it goes when this process does, however that ends
  say(o.data,
      std::to_string(rows.size()) + " rows, " + std::to_string(p.num_features) + " features, " + std::to_string(info.nonzeros) +
          " nonzeros; " + std::to_string(info.blocks) + " blocks on disk, " + std::to_string(rows.windows().blocks) +
          " in memory at a time" + (p.skipped > 0 ? "; left out " + std::to_string(p.skipped) + " malformed rows" : ""),
      p);
  return train(o, model, {.cache = &rows}, nullptr, info.nonzeros);
}

int predict(const PredictOptions& o) {
  Model model = load_model(o.model);
  Preparation& p = model.preparation;
  if (o.probabilities && model.loss != "softmax" && !(model.loss == "logistic" && model.outputs == 1))
    refuse("--probabilities is for models of --loss softmax, and of --loss logistic on two labels; this one is of --loss " + model.loss);
  check_apart({{"--model", o.model}, {"--data", o.data}}, {{"--output", o.output}});
  write("--output", o.output, {});
  const Data data = read(o.data, p, false, o.threads);

  const Matrix<float> z = family_of(model).scores(model, data.rows, o.threads);
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << std::setprecision(std::numeric_limits<float>::max_digits10);
  const Matrix<float> numbers = p.on_labels ? Matrix<float>{} : predicted_numbers(model.loss, z);
  for (Index j = 0; j < z.cols(); ++j) {
    if (p.on_labels)
      out << p.labels[static_cast<std::size_t>(parade::predicted_label(z.col(j)))];
    else
      out << numbers(0, j);
    if (o.scores)
      for (Index c = 0; c < model.outputs; ++c) out << ' ' << z(c, j);
    if (o.probabilities)
      for (const float share : probabilities(z.col(j))) out << ' ' << share;
    out << '\n';
  }
  write("--output", o.output, out.str());
  std::cout << "data        " << o.data << ": " << text_of(data) << '\n';
  if (data.answered) std::cout << "prediction  " << text_of(measure(model, z, data)) << '\n';
  return 0;
}
