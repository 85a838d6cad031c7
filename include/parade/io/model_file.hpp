// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>
#include <parade/io/npy.hpp>

// A model in a file: θ, and what its data was prepared with. It is an ordinary NPZ file:
//
//   parade.model                 int64 (3,): version of the format, bytes of a parameter (4 or 8), P
//   weight, layer0.bias, …       each parameter by its name, of shape (rows, cols), or (rows,) for one column
//   prepare.0.impute.fill, …     float64: what the stages of a Pipeline hold; options and single numbers are of shape (1,)
//   extra.…                      float64: what the program adds
namespace parade {

/// Arrays of the program's own, by name: the labels that classes stand for, say.
using ExtraArrays = std::map<std::string, Matrix<double>>;

/// For a model whose data is not prepared.
struct NoPreparation {};

/// What load_model answers.
template <class Scalar>
struct LoadedModel {
  Vector<Scalar> theta;  // (P)
  ExtraArrays extra;
};

namespace detail {

inline constexpr std::int64_t model_file_version = 1;

/// visit(prefix, stage) for each stage of a preparation that is none of several others, in order.
template <class P, class Visit>
void for_each_stage(P& preparation, const std::string& prefix, const Visit& visit) {
  using Plain = std::remove_const_t<P>;
  const auto inner = [&](const std::string& name, auto& stage) { for_each_stage(stage, prefix + name + ".", visit); };
  if constexpr (requires { Plain::visit_stages(preparation, inner); })
    Plain::visit_stages(preparation, inner);
  else
    visit(prefix, preparation);
}

template <class P, class Visit>
void for_each_prepared(P& preparation, const Visit& visit) {
  using Plain = std::remove_const_t<P>;
  if constexpr (std::is_same_v<Plain, NoPreparation>)
    return;
  else if constexpr (requires { Plain::visit_stages(preparation, [](const std::string&, auto&) {}); })
    for_each_stage(preparation, "prepare.", visit);
  else
    visit(std::string("prepare.0.") + Plain::kind + ".", preparation);
}

/// An option or a single number as a double, and back: false if it is none.
template <class Stage, class T>
bool from_number(double number, T& to) {
  if constexpr (std::is_same_v<T, double>) {
    to = number;
    return true;
  } else {
    double last = 0x1p53;
    if constexpr (std::is_same_v<T, bool>) last = 1;
    if constexpr (std::is_enum_v<T>) last = static_cast<double>(Stage::last(T{}));
    if (!(number >= 0 && number <= last) || number != std::trunc(number)) return false;
    to = static_cast<T>(static_cast<Index>(number));
    return true;
  }
}

template <class P>
void settle_all(P& preparation) {
  const auto settle = [](auto& stage) {
    if constexpr (requires { stage.check(); }) stage.check();
    if constexpr (requires { stage.settle(); }) stage.settle();
  };
  for_each_prepared(preparation, [&](const std::string&, auto& stage) { settle(stage); });
  settle(preparation);
}

}  // namespace detail

/// Writes θ, by the names of the parameters, and the preparation of the data (a Pipeline or a single stage).
///
///   parade::save_model("model.npz", trainer.parameters(), trainer.theta(), prepare);
///
///   numpy.load("model.npz")["weight"].shape     # (k, d)
///
/// Bits survive. It is written under another name in the same folder first and then renamed, so that nobody ever sees half of it. Throws
/// DataError for a θ of another size than the parameters have, and for names that begin with "parade.", "prepare." or "extra."; FileError
/// when the file cannot be written, which leaves what was there before.
template <class Scalar, class P = NoPreparation>
void save_model(const std::filesystem::path& file, const ParameterList& parameters, const Vector<Scalar>& theta, const P& preparation = {},
                const ExtraArrays& extra = {}) {
  using detail::text;
  if (theta.size() != parameters.size())
    throw DataError(text("theta must have the ", parameters.size(), " parameters of the model; got ", theta.size()));
  std::vector<std::pair<std::string, detail::NpyView>> arrays;
  std::deque<Matrix<Scalar>> matrices;  // the views look at them
  std::deque<Vector<Scalar>> vectors;
  std::deque<Vector<double>> numbers;
  Vector<std::int64_t> about(3);
  about << detail::model_file_version, std::int64_t{sizeof(Scalar)}, parameters.size();
  arrays.emplace_back("parade.model", about);
  for (const auto& block : parameters) {
    for (const char* taken : {"parade.", "prepare.", "extra."})
      if (block.name.starts_with(taken))
        throw DataError(text("the names of a model file's parameters must not begin with '", taken, "'; got '", block.name, "'"));
    if (block.cols == 1)
      arrays.emplace_back(block.name, vectors.emplace_back(theta.segment(block.offset, block.rows)));
    else
      arrays.emplace_back(block.name, matrices.emplace_back(slice<Scalar>(ConstVectorRef<Scalar>(theta), block).transpose()));
  }
  detail::for_each_prepared(preparation, [&](const std::string& prefix, const auto& stage) {
    using Stage = std::remove_cvref_t<decltype(stage)>;
    Stage::visit_state(stage, [&](const char* name, const auto& member) {
      if constexpr (std::is_same_v<std::remove_cvref_t<decltype(member)>, Vector<double>>)
        arrays.emplace_back(prefix + name, member);
      else
        arrays.emplace_back(prefix + name, numbers.emplace_back(Vector<double>::Constant(1, static_cast<double>(member))));
    });
  });
  for (const auto& [name, matrix] : extra) arrays.emplace_back("extra." + name, matrix);
  write_npz(file, arrays);
}

/// Reads what save_model wrote: θ into the answer, the preparation into `preparation`, which must have the stages that were saved, with
/// any options: those of the file replace them. If something is thrown, the preparation is as it was.
///
///   parade::Pipeline prepare{parade::Impute{}, parade::Standardize{}};
///   const auto model = parade::load_model<float>("model.npz", trainer.parameters(), prepare);
///   trainer.set_theta(model.theta);
///   trainer.predict(prepare.transform(data));
///
/// Throws DataError, naming file, array, what was found and what was expected, for an array that is missing, that the program has no place
/// for, or that has another shape, for another version, other parameters than float or double that it was saved with, and for what
/// contradicts itself; FileError for a file that is no NPZ file or is damaged (see NpzFile).
template <class Scalar, class P>
LoadedModel<Scalar> load_model(const std::filesystem::path& file, const ParameterList& parameters, P& preparation) {
  using detail::text;
  const NpzFile arrays{file};
  std::vector<std::string> left = arrays.names();
  const auto fail = [&](const std::string& array, const std::string& found, const std::string& expected) {
    throw DataError(text(file.string(), ", array ", array, ": found ", found, ", expected ", expected));
  };
  const auto take = [&](const std::string& name) {
    const auto found = std::find(left.begin(), left.end(), name);
    if (found == left.end()) {
      std::string has;
      for (const auto& other : arrays.names()) has += (has.empty() ? "" : ", ") + other;
      fail(name, "none (the file has " + has + ")", "one");
    }
    left.erase(found);
  };
  // Of shape (rows, cols), or (rows,) for one column.
  const auto shape = [](Index rows, Index cols) {
    return cols == 1 ? text("shape (", rows, ",)") : text("shape (", rows, ", ", cols, ")");
  };
  const auto numbers = [&](const std::string& name) {
    const Matrix<double> x = arrays.read<double>(name);
    if (x.rows() != 1) fail(name, shape(x.cols(), x.rows()), "an array of one dimension");
    return Vector<double>(x.transpose());
  };

  take("parade.model");
  const Matrix<std::int64_t> about = arrays.read<std::int64_t>("parade.model");
  if (about.size() < 1 || about.rows() != 1) fail("parade.model", shape(about.cols(), about.rows()), "shape (3,)");
  if (about(0, 0) != detail::model_file_version)
    fail("parade.model", text("version ", about(0, 0)), text("version ", detail::model_file_version));
  if (about.size() != 3) fail("parade.model", shape(about.cols(), about.rows()), "shape (3,)");
  if (about(0, 1) != std::int64_t{sizeof(Scalar)})
    fail("parade.model", text("parameters of ", about(0, 1), " bytes"),
         text(sizeof(Scalar), " bytes, those of ", std::is_same_v<Scalar, float> ? "float" : "double"));
  if (about(0, 2) != parameters.size())
    fail("parade.model", text(about(0, 2), " parameters"), text(parameters.size(), ", as the model has"));

  LoadedModel<Scalar> model;
  model.theta.resize(parameters.size());
  for (const auto& block : parameters) {
    take(block.name);
    const Matrix<Scalar> x = arrays.read<Scalar>(block.name);
    if (x.cols() != block.rows || x.rows() != block.cols) fail(block.name, shape(x.cols(), x.rows()), shape(block.rows, block.cols));
    Eigen::Map<Matrix<Scalar>>(model.theta.data() + block.offset, block.rows, block.cols) = x.transpose();
  }

  P loaded = preparation;
  detail::for_each_prepared(loaded, [&](const std::string& prefix, auto& stage) {
    using Stage = std::remove_cvref_t<decltype(stage)>;
    Stage::visit_state(stage, [&](const char* name, auto& member) {
      take(prefix + name);
      const Vector<double> x = numbers(prefix + name);
      if constexpr (std::is_same_v<std::remove_cvref_t<decltype(member)>, Vector<double>>) {
        member = x;
      } else {
        if (x.size() != 1) fail(prefix + name, shape(x.size(), 1), "shape (1,)");
        if (!detail::from_number<Stage>(x[0], member)) fail(prefix + name, text(x[0]), "a value that this setting can have");
      }
    });
  });
  for (const auto& name : left) {
    if (!name.starts_with("extra.")) fail(name, "one", "none, since model and preparation have no place for it");
    model.extra[name.substr(6)] = arrays.read<double>(name);
  }
  try {
    detail::settle_all(loaded);
  } catch (const std::invalid_argument& error) {
    throw DataError(text(file.string(), ", arrays prepare.*: ", error.what()));
  }
  preparation = std::move(loaded);
  return model;
}
template <class Scalar>
LoadedModel<Scalar> load_model(const std::filesystem::path& file, const ParameterList& parameters) {
  NoPreparation none;
  return load_model<Scalar>(file, parameters, none);
}

}  // namespace parade
