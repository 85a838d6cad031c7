// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <nlohmann/json.hpp>

#include <parade/core/types.hpp>

// Figures that other systems computed in double precision; "source" in each file names system and version. They lie in tests/reference. The
// environment variable PARADE_REFERENCE names another folder with files of the same form, say of fresh cases: it is read when a test runs.
namespace reference {

/// How far a result in double may be from its figure, relative: the largest difference that another order of operations explains.
constexpr double tolerance = 1e-12;

/// The folder that PARADE_REFERENCE names, else tests/reference.
inline std::filesystem::path folder() {
  const char* other = std::getenv("PARADE_REFERENCE");
  if (other == nullptr) return PARADE_TESTS_DIR "/reference";
  std::error_code error;
  if (!std::filesystem::is_directory(other, error))
    throw std::runtime_error("PARADE_REFERENCE must name a folder with reference figures; got \"" + std::string(other) + "\"");
  return other;
}

/// A file, parsed. Throws, so that the test fails, where it cannot be read.
inline nlohmann::json read_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file || file.peek() == std::ifstream::traits_type::eof())
    throw std::runtime_error("the reference figures " + path.string() + " cannot be read");
  try {
    return nlohmann::json::parse(file);
  } catch (const nlohmann::json::exception& error) {
    throw std::runtime_error("the reference figures " + path.string() + " are no JSON: " + error.what());
  }
}

/// "losses.json", parsed.
inline nlohmann::json read(const std::string& name) { return read_file(folder() / name); }

/// The same for a file that only parade's own script makes (make_metrics.py): from tests/reference, unless the folder brings one.
inline nlohmann::json read_own(const std::string& name) {
  const auto path = folder() / name;
  return read_file(std::filesystem::exists(path) ? path : std::filesystem::path(PARADE_TESTS_DIR "/reference") / name);
}

inline parade::Vector<double> vector(const nlohmann::json& list) {
  const auto numbers = list.get<std::vector<double>>();
  return parade::Vector<double>::Map(numbers.data(), static_cast<parade::Index>(numbers.size()));
}

/// Lists in a list, each of them one column. A file has one sample a row, so this gives X (d,n) and Z (k,m); of a weight (k,d) it gives the
/// transpose.
inline parade::Matrix<double> columns(const nlohmann::json& lists) {
  parade::Matrix<double> matrix(static_cast<parade::Index>(lists.at(0).size()), static_cast<parade::Index>(lists.size()));
  for (parade::Index j = 0; j < matrix.cols(); ++j) matrix.col(j) = vector(lists.at(static_cast<std::size_t>(j)));
  return matrix;
}

/// Largest difference of two elements, relative to the largest of `expected`; NaN, which no comparison accepts, for NaN in `actual` and for
/// shapes that differ.
template <class A, class E>
double relative_error(const Eigen::DenseBase<A>& actual, const Eigen::DenseBase<E>& expected) {
  if (actual.rows() != expected.rows() || actual.cols() != expected.cols()) return std::nan("");
  double difference = 0, magnitude = 0;
  for (parade::Index j = 0; j < expected.cols(); ++j)
    for (parade::Index i = 0; i < expected.rows(); ++i) {
      const double here = std::abs(actual.derived()(i, j) - expected.derived()(i, j));
      if (std::isnan(here)) return here;
      difference = std::max(difference, here);
      magnitude = std::max(magnitude, std::abs(expected.derived()(i, j)));
    }
  return difference / magnitude;
}
inline double relative_error(double actual, double expected) { return std::abs(actual - expected) / std::abs(expected); }

}  // namespace reference
