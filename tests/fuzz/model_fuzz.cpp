// SPDX-License-Identifier: MIT
// A model file with arrays that were changed, lost, renamed or given another shape or type: refused, with all as it was, or a model that works and survives
// being written and read again. (The bytes of an NPZ file are npy_fuzz's: a checksum of its arrays would stop most of what is changed here.) See fuzz.hpp.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <iterator>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>
#include <parade/data/sparse_rows.hpp>
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

struct Dense {
  static auto stages() {
    return Pipeline{Impute{}, OneHot{.columns = {2}}, MinMax{}, PolynomialFeatures{},
                    Pipeline{Standardize{}, MaxAbs{}, TfIdf{}, UnitNorm{}}};
  }
  static Matrix<double> samples() {
    Matrix<double> x(4, 5);
    x << 0.5, -1, 2, 3, std::numeric_limits<double>::quiet_NaN(),  //
        1, 1, 0, 2, 0, 0, 1, 2, 1, 0, 7, 8, 9, 10, 11;
    return x;
  }
  static Matrix<double> samples_of(Index features) { return Matrix<double>::Constant(features, 3, 1.0); }
  static Matrix<double> values(const Matrix<double>& x) { return x; }
};

struct Sparse {
  static auto stages() { return Pipeline{Standardize{.center = false}, Pipeline{MaxAbs{}, TfIdf{}}, UnitNorm{}}; }
  static SparseRows<double> samples() {
    return {Vector<std::int64_t>{{0, 2, 2, 5}}, Vector<std::int32_t>{{1, 3, 0, 1, 3}}, Vector<double>{{1, 2.5, 3, 1, 0.25}}, 4};
  }
  /// A row with the first feature, and one with the last.
  static SparseRows<double> samples_of(Index features) {
    const auto last = static_cast<std::int32_t>(features - 1);
    return {Vector<std::int64_t>{{0, 1, 2}}, Vector<std::int32_t>{{0, last}}, Vector<double>{{1, 2}}, features};
  }
  static Matrix<double> values(const SparseRows<double>& rows) { return rows.values(); }
};

using Arrays = std::vector<std::pair<std::string, Matrix<double>>>;

/// Arrays of a model file that is as it should be.
template <class Kind>
Arrays good_arrays(const std::filesystem::path& file) {
  auto prepare = Kind::stages();
  prepare.fit(Kind::samples(), 1);
  save_model<float>(file, parameters, Vector<float>::LinSpaced(8, -1, 1), prepare, {{"labels", Matrix<double>{{1, 2}}}});
  Arrays arrays;
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

/// Three bytes for each change: what, of which array, and how.
template <class Kind>
void check(const std::uint8_t* data, std::size_t size) {
  static const std::filesystem::path file = fuzz::scratch_file(), again = file.parent_path() / "again",
                                     third = file.parent_path() / "third";
  static const Arrays good = good_arrays<Kind>(file);
  auto arrays = good;
  const bool is_good = size < 3;
  std::vector<bool> is_float(arrays.size(), false);
  for (std::size_t i = 0; i < 2; ++i) is_float[i + 1] = true;  // θ, behind parade.model
  for (; size >= 3 && !arrays.empty(); data += 3, size -= 3) {
    const std::size_t which = data[1] % arrays.size();
    auto& [name, values] = arrays[which];
    const std::size_t how = data[2];
    switch (data[0] % 8) {
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
      case 6: {  // another length of all that are as long
        const Index length = values.size();
        for (auto& [unused, of] : arrays)
          if (of.rows() == 1 && of.size() == length && length > 1) of = Matrix<double>::Constant(1, static_cast<Index>(how % 8), of(0, 0));
        break;
      }
      default:
        arrays.erase(arrays.begin() + static_cast<std::ptrdiff_t>(which));
        is_float.erase(is_float.begin() + static_cast<std::ptrdiff_t>(which));
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
    return;  // a name twice

  auto prepare = Kind::stages();
  prepare.fit(Kind::samples(), 1);
  const auto transformed = [&] { return Kind::values(prepare.transform(Kind::samples(), 1)); };
  const Matrix<double> before = transformed();
  LoadedModel<float> model;
  const std::string error = fuzz::error_of([&] { model = load_model<float>(file, parameters, prepare); });
  fuzz::require(error.empty() || !is_good, "a file as it should be is refused");
  if (!error.empty()) return fuzz::require(fuzz::same_bits(transformed(), before), "a file that is refused has changed the preparation");
  fuzz::require(model.theta.size() == parameters.size(), "theta of another size");
  try {
    transformed();  // refused, if it is of another width
  } catch (const DataError&) {
  } catch (const std::logic_error&) {  // of no features: not fitted
  }
  if (const Index d = prepare.num_inputs(); d > 0 && d < 1000 && prepare.num_outputs() < 100000)
    fuzz::error_of([&] { prepare.transform(Kind::samples_of(d), 1); });
  save_model<float>(again, parameters, model.theta, prepare, model.extra);
  auto other = Kind::stages();
  model = load_model<float>(again, parameters, other);
  save_model<float>(third, parameters, model.theta, other, model.extra);
  fuzz::require(fuzz::bytes_of(again) == fuzz::bytes_of(third), "what was written is not what is read");
}

}  // namespace

/// The first byte chooses the preparation, the rest the changes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  data[0] & 1 ? check<Sparse>(data + 1, size - 1) : check<Dense>(data + 1, size - 1);
  return 0;
}
