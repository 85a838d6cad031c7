// SPDX-License-Identifier: MIT
#include <numeric>
#include <string>
#include <type_traits>

#include <parade/losses/hinge.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>

#include "support/catch.hpp"
#include "support/reference.hpp"

namespace {

using parade::Index, parade::Label, parade::Matrix, parade::Vector;

/// Compares a loss with its case in losses.json: the sum of the values over all samples, and the gradient by the scores.
template <class Loss>
void check_case(const Loss& loss, const std::string& name) {
  INFO(name);
  const auto file = reference::read("losses.json");
  const auto& figures = file.at("cases").at(name);
  const auto by_name = [&](const char* role) { return file.at(figures.at("settings").at(role).get<std::string>()); };
  const auto as_columns = [](const nlohmann::json& numbers) -> Matrix<double> {  // a list of numbers is one row: k = 1
    return numbers.at(0).is_array() ? reference::columns(numbers) : Matrix<double>(reference::vector(numbers).transpose());
  };

  const Matrix<double> scores = as_columns(by_name("scores"));
  Matrix<double> dscores(scores.rows(), scores.cols());
  Vector<double> values(scores.cols());
  if constexpr (std::is_same_v<typename Loss::Target, Label>) {
    const Vector<double> labels = reference::vector(by_name("targets"));
    loss.value_and_gradient(scores, Vector<Label>(labels.cast<Label>()), values, dscores);
  } else {
    loss.value_and_gradient(scores, as_columns(by_name("targets")), values, dscores);
  }
  CHECK(reference::relative_error(std::accumulate(values.begin(), values.end(), 0.0), figures.at("value").get<double>()) <=
        reference::tolerance);
  CHECK(reference::relative_error(dscores, as_columns(figures.at("gradient"))) <= reference::tolerance);
}

}  // namespace

TEST_CASE("softmax cross-entropy is that of PyTorch", "[losses]") { check_case(parade::SoftmaxCrossEntropy{}, "softmax_cross_entropy"); }
TEST_CASE("the logistic loss is that of PyTorch", "[losses]") { check_case(parade::Logistic{}, "logistic"); }
TEST_CASE("the hinge loss is that of PyTorch", "[losses]") { check_case(parade::Hinge{}, "hinge"); }
TEST_CASE("the squared error is that of PyTorch", "[losses]") { check_case(parade::SquaredError{}, "squared"); }
