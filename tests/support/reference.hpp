// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <parade/core/types.hpp>

#include "support/catch.hpp"

// Figures that PyTorch computed in double precision; "source" in each file names the version. They lie in tests/reference; a folder of
// fresh ones of the same form can be put in their place by the environment variable PARADE_REFERENCE.
namespace reference {

/// How far a result in double may be from its figure, relative: the largest difference that another order of operations explains.
constexpr double tolerance = 1e-12;

/// "losses.json", parsed. The test fails if there is no such file.
inline nlohmann::json read(const std::string& name) {
  const char* folder = std::getenv("PARADE_REFERENCE");
  const std::string path = std::string(folder ? folder : PARADE_TESTS_DIR "/reference") + "/" + name;
  INFO("reference figures: " << path);
  std::ifstream file(path);
  REQUIRE(file.good());
  return nlohmann::json::parse(file);
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
