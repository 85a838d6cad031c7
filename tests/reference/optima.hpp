// SPDX-License-Identifier: MIT
#pragma once

#include <regex>
#include <string>

#include "support/catch.hpp"
#include "support/numbers.hpp"
#include "support/reference.hpp"

namespace optima {

using parade::Index, parade::Label, parade::Matrix, parade::Vector;

/// One case of optima.json, and the data that it names.
struct Case {
  nlohmann::json figures;
  Matrix<double> x;      // (d,n)
  Matrix<double> theta;  // (k,d), the optimum
  double value;

  explicit Case(const std::string& name) {
    const auto cases = reference::read("optima.json").at("cases");
    figures = cases.at(name);
    for (auto& [field, content] : figures.items())  // "as ridge": that of another case
      if (content.is_string() && content.template get<std::string>().starts_with("as "))
        content = cases.at(content.template get<std::string>().substr(3)).at(field);
    x = reference::columns(figures.at("X"));
    const auto& optimum = figures.at("theta");
    theta = optimum.at(0).is_array() ? Matrix<double>(reference::columns(optimum).transpose())
                                     : Matrix<double>(reference::vector(optimum).transpose());
    value = figures.at("value").get<double>();
  }

  double number(const char* field) const { return figures.at(field).get<double>(); }
  /// The last number of the constraint's text: "|w|_2 <= 0.5".
  double bound() const {
    const auto text = figures.at("constraint").get<std::string>();
    std::smatch match;
    REQUIRE(std::regex_search(text, match, std::regex(".*[^0-9.]([0-9]+(\\.[0-9]+)?)")));
    return std::stod(match[1]);
  }
  Vector<Label> labels(const char* field) const { return reference::vector(figures.at(field)).cast<Label>(); }
  Matrix<double> targets() const { return reference::vector(figures.at("y")).transpose(); }  // (1,n)
};

/// The largest eigenvalue of X Xᵀ/n, from above by a little.
inline double curvature(const Matrix<double>& x) {
  Vector<double> v = numbers::random_vector<double>(x.rows(), 1, 0.5, 1);
  double norm = 0;
  for (int i = 0; i < 1000; ++i) {
    v = x * (x.transpose() * v).eval() / static_cast<double>(x.cols());
    norm = v.norm();
    v /= norm;
  }
  return norm * 1.001;
}

}  // namespace optima
