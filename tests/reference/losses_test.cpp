// SPDX-License-Identifier: MIT
#include <numeric>
#include <string>
#include <type_traits>

#include <parade/losses/absolute_error.hpp>
#include <parade/losses/epsilon_insensitive.hpp>
#include <parade/losses/focal_logistic.hpp>
#include <parade/losses/focal_softmax.hpp>
#include <parade/losses/gamma.hpp>
#include <parade/losses/hinge.hpp>
#include <parade/losses/huber.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/modified_huber.hpp>
#include <parade/losses/multiclass_hinge.hpp>
#include <parade/losses/multilabel_logistic.hpp>
#include <parade/losses/poisson.hpp>
#include <parade/losses/quantile.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_epsilon_insensitive.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/losses/squared_hinge.hpp>
#include <parade/losses/tweedie.hpp>

#include "support/catch.hpp"
#include "support/reference.hpp"

namespace {

using parade::Index, parade::Label, parade::Matrix, parade::Vector;

/// losses.json and losses_sklearn.json, which have one form.
const nlohmann::json& pytorch() {
  static const nlohmann::json figures = reference::read("losses.json");
  return figures;
}
const nlohmann::json& scikit_learn() {
  static const nlohmann::json figures = reference::read_own("losses_sklearn.json");
  return figures;
}

/// A setting of a case, as the other system was given it.
double setting(const std::string& name, const char* what, const nlohmann::json& file = pytorch()) {
  return file.at("cases").at(name).at("settings").at(what).get<double>();
}

/// Compares a loss with its case: the sum of the values over all samples, and the gradient by the scores.
template <class Loss>
void check_case(const Loss& loss, const std::string& name, const nlohmann::json& file = pytorch()) {
  INFO(name);
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
TEST_CASE("softmax cross-entropy with label smoothing is that of PyTorch", "[losses]") {
  const std::string name = "softmax_cross_entropy_label_smoothing";
  check_case(parade::SoftmaxCrossEntropy{.label_smoothing = setting(name, "label_smoothing")}, name);
}
TEST_CASE("the multiclass hinge loss is that of PyTorch", "[losses]") { check_case(parade::MulticlassHinge{}, "multiclass_hinge"); }
TEST_CASE("the logistic loss is that of PyTorch", "[losses]") { check_case(parade::Logistic{}, "logistic"); }
TEST_CASE("the hinge loss is that of PyTorch", "[losses]") { check_case(parade::Hinge{}, "hinge"); }
TEST_CASE("the squared error is that of PyTorch", "[losses]") { check_case(parade::SquaredError{}, "squared"); }
TEST_CASE("the squared hinge loss is that of PyTorch", "[losses]") { check_case(parade::SquaredHinge{}, "squared_hinge"); }
TEST_CASE("the absolute error is that of PyTorch", "[losses]") { check_case(parade::AbsoluteError{}, "absolute"); }
TEST_CASE("the Huber loss is that of PyTorch", "[losses]") { check_case(parade::Huber{.delta = setting("huber", "delta")}, "huber"); }
TEST_CASE("the quantile loss is that of PyTorch", "[losses]") {
  check_case(parade::Quantile{.quantile = setting("quantile", "quantile")}, "quantile");
}
TEST_CASE("the Poisson loss is that of PyTorch", "[losses]") {
  check_case(parade::Poisson{}, "poisson");
  check_case(parade::Tweedie{.power = 1}, "poisson");
}

TEST_CASE("the modified Huber loss is that of scikit-learn", "[losses]") {
  check_case(parade::ModifiedHuber{}, "modified_huber", scikit_learn());
}
TEST_CASE("the insensitive losses are those of scikit-learn", "[losses]") {
  const std::string plain = "epsilon_insensitive", squared = "squared_epsilon_insensitive";
  check_case(parade::EpsilonInsensitive{.epsilon = setting(plain, "epsilon", scikit_learn())}, plain, scikit_learn());
  check_case(parade::SquaredEpsilonInsensitive{.epsilon = setting(squared, "epsilon", scikit_learn())}, squared, scikit_learn());
}
TEST_CASE("the losses with log link are those of scikit-learn", "[losses]") {
  check_case(parade::Poisson{}, "poisson", scikit_learn());
  check_case(parade::Gamma{}, "gamma", scikit_learn());
  for (const std::string name : {"tweedie_1.2", "tweedie_1.9", "tweedie_3"})
    check_case(parade::Tweedie{.power = setting(name, "power", scikit_learn())}, name, scikit_learn());
}
TEST_CASE("the multilabel and focal losses are those of their definitions", "[losses]") {
  check_case(parade::MultilabelLogistic{}, "multilabel_logistic", scikit_learn());
  for (const std::string exponent : {"0.5", "2.0"}) {
    const std::string two = "focal_logistic_" + exponent, several = "focal_softmax_" + exponent;
    check_case(parade::FocalLogistic{.gamma = setting(two, "gamma", scikit_learn())}, two, scikit_learn());
    check_case(parade::FocalSoftmax{.gamma = setting(several, "gamma", scikit_learn())}, several, scikit_learn());
  }
}
