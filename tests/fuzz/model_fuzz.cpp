// SPDX-License-Identifier: MIT
// A model file with arrays that were changed, lost, doubled, renamed or given another shape: refused, with all as it was, or a model that works and survives
// being written and read again. (The bytes of an NPZ file are npy_fuzz's: a checksum of its arrays would stop most of what is changed here.) See fuzz.hpp.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <iterator>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>
#include <parade/io/model_file.hpp>
#include <parade/io/npy.hpp>
#include <parade/prepare/impute.hpp>
#include <parade/prepare/max_abs.hpp>
#include <parade/prepare/min_max.hpp>
#include <parade/prepare/one_hot.hpp>
#include <parade/prepare/pipeline.hpp>
#include <parade/prepare/polynomial_features.hpp>
#include <parade/prepare/standardize.hpp>
#include <parade/prepare/tf_idf.hpp>
#include <parade/prepare/unit_norm.hpp>

#include "fuzz.hpp"

namespace {

using namespace parade;

const ParameterList parameters{{.name = "weight", .rows = 2, .cols = 3}, {.name = "bias", .rows = 2, .cols = 1, .role = Role::bias}};

auto stages() {
  return Pipeline{Impute{}, OneHot{.columns = {2}}, MinMax{}, PolynomialFeatures{}, Pipeline{Standardize{}, MaxAbs{}, TfIdf{}, UnitNorm{}}};
}

Matrix<double> samples() {
  Matrix<double> x(4, 5);
  x << 0.5, -1, 2, 3, std::numeric_limits<double>::quiet_NaN(),  //
      1, 1, 0, 2, 0, 0, 1, 2, 1, 0, 7, 8, 9, 10, 11;
  return x;
}

/// Arrays of a model file that is as it should be.
std::vector<std::pair<std::string, Matrix<double>>> good_arrays(const std::filesystem::path& file) {
  auto prepare = stages();
  prepare.fit(samples(), 1);
  save_model<float>(file, parameters, Vector<float>::LinSpaced(8, -1, 1), prepare, {{"labels", Matrix<double>{{1, 2}}}});
  std::vector<std::pair<std::string, Matrix<double>>> arrays;
  const NpzFile npz{file};
  for (const auto& name : npz.names()) arrays.emplace_back(name, npz.read<double>(name));
  return arrays;
}

constexpr double odd_numbers[] = {0,
                                  -0.0,
                                  1,
                                  -1,
                                  2,
                                  3,
                                  0.5,
                                  4,
                                  8,
                                  255,
                                  1e9,
                                  -1e9,
                                  0x1p31,
                                  0x1p53,
                                  1e300,
                                  -1e300,
                                  1e-320,
                                  std::numeric_limits<double>::infinity(),
                                  -std::numeric_limits<double>::infinity(),
                                  std::numeric_limits<double>::quiet_NaN()};

}  // namespace

/// Three bytes for each change: what, of which array, and how.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::filesystem::path file = fuzz::scratch_file(), again = file.parent_path() / "again",
                                     third = file.parent_path() / "third";
  static const auto good = good_arrays(file);
  auto arrays = good;
  const bool is_good = size < 3;
  std::vector<bool> is_float(arrays.size(), false);
  for (std::size_t i = 0; i < 2; ++i) is_float[i + 1] = true;  // θ, behind parade.model
  for (; size >= 3 && !arrays.empty(); data += 3, size -= 3) {
    const std::size_t which = data[1] % arrays.size();
    auto& [name, values] = arrays[which];
    const std::size_t how = data[2];
    switch (data[0] % 7) {
      case 0:  // another number
        if (values.size() > 0) values.data()[how % static_cast<std::size_t>(values.size())] = odd_numbers[how / 8 % std::size(odd_numbers)];
        break;
      case 1:  // all the same
        values.setConstant(odd_numbers[how % std::size(odd_numbers)]);
        break;
      case 2: {  // another shape
        const Index rows = static_cast<Index>(how % 4), cols = static_cast<Index>(how / 4 % 8);
        values = Matrix<double>::Constant(rows, cols, values.size() > 0 ? values(0, 0) : 0);
        break;
      }
      case 3:
        values.transposeInPlace();
        break;
      case 4:
        name = good[how % good.size()].first;
        break;
      case 5:
        is_float[which] = !is_float[which];
        break;
      default:
        arrays.erase(arrays.begin() + static_cast<std::ptrdiff_t>(which));
    }
  }
  std::deque<Matrix<float>> floats;  // the views look at them
  std::deque<Matrix<std::int64_t>> integers;
  std::vector<std::pair<std::string, detail::NpyView>> views;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const std::string& name = arrays[i].first;
    const Matrix<double>& values = arrays[i].second;
    const auto as = [&](auto zero) {
      return values.unaryExpr([=](double x) { return std::abs(x) < 1e18 ? static_cast<decltype(zero)>(x) : zero; });
    };
    if (is_float[i])
      views.emplace_back(name, floats.emplace_back(as(0.0F)));
    else if (name == "parade.model")
      views.emplace_back(name, integers.emplace_back(as(std::int64_t{0})));
    else
      views.emplace_back(name, values);
  }
  if (!fuzz::error_of([&] { write_npz(file, std::span<const std::pair<std::string, detail::NpyView>>{views}); }).empty())
    return 0;  // a name twice

  auto prepare = stages();
  prepare.fit(samples(), 1);
  const Matrix<double> before = prepare.transform(samples(), 1);
  LoadedModel<float> model;
  const std::string error = fuzz::error_of([&] { model = load_model<float>(file, parameters, prepare); });
  fuzz::require(error.empty() || !is_good, "a file as it should be is refused");
  if (!error.empty()) {
    fuzz::require(fuzz::same_bits(Matrix<double>{prepare.transform(samples(), 1)}, before),
                  "a file that is refused has changed the preparation");
    return 0;
  }
  fuzz::require(model.theta.size() == parameters.size(), "theta of another size");
  fuzz::error_of([&] { prepare.transform(samples(), 1); });  // of any number of features
  save_model<float>(again, parameters, model.theta, prepare, model.extra);
  auto other = stages();
  model = load_model<float>(again, parameters, other);
  save_model<float>(third, parameters, model.theta, other, model.extra);
  fuzz::require(fuzz::bytes_of(again) == fuzz::bytes_of(third), "what was written is not what is read");
  return 0;
}
