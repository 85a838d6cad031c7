// SPDX-License-Identifier: MIT
#include <numeric>
#include <string>

#include <parade/optimizers/adam.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/l2.hpp>

#include "support/catch.hpp"
#include "support/reference.hpp"

namespace {

using parade::Index, parade::Matrix, parade::Vector;

const nlohmann::json& file() {
  static const nlohmann::json figures = reference::read("optimizers.json");
  return figures;
}

const nlohmann::json& settings(const std::string& name) { return file().at("cases").at(name).at("settings"); }

parade::Sgd sgd(const nlohmann::json& options) {
  return {.rate = options.at("lr"),
          .momentum = options.value("momentum", 0.0),
          .dampening = options.value("dampening", 0.0),
          .nesterov = options.value("nesterov", false)};
}

parade::Adam adam(const nlohmann::json& options) {
  return {.rate = options.at("lr"), .beta1 = options.at("betas").at(0), .beta2 = options.at("betas").at(1), .epsilon = options.at("eps")};
}

/// Follows θ over all steps on the file's problem, f(θ) = 1/(2n) ‖Aθ − t‖², to which PyTorch's weight decay adds ½λ‖θ‖².
template <class Optimizer>
void check_path(const Optimizer& optimizer, const std::string& name) {
  INFO(name);
  REQUIRE_NOTHROW(optimizer.check());
  const auto& problem = file().at("problem");
  const Matrix<double> x = reference::columns(problem.at("A"));  // (d,n)
  const Vector<double> targets = reference::vector(problem.at("t"));
  const parade::L2 decay{.lambda = settings(name).value("weight_decay", 0.0)};
  const Matrix<double> expected = reference::columns(file().at("cases").at(name).at("theta"));

  Vector<double> theta = reference::vector(problem.at("theta0"));
  Matrix<double> states = Matrix<double>::Zero(theta.size(), optimizer.num_states());
  REQUIRE(expected.cols() > 1);
  for (Index t = 1; t < expected.cols(); ++t) {
    Vector<double> grad = Vector<double>::Zero(theta.size());
    for (Index j = 0; j < x.cols(); ++j) {
      const double score = std::inner_product(theta.begin(), theta.end(), x.col(j).begin(), 0.0);
      grad += (score - targets[j]) / static_cast<double>(x.cols()) * x.col(j);
    }
    decay.add_gradient(theta, grad);
    optimizer.step(theta, grad, parade::StateRef<double>{states.data(), theta.size(), theta.size()}, {.rate = optimizer.rate, .step = t});
    INFO("step " << t);
    CHECK(reference::relative_error(theta, expected.col(t)) <= reference::tolerance);
  }
}

}  // namespace

TEST_CASE("SGD takes the steps of PyTorch", "[optimizers]") {
  for (const auto* name : {"sgd", "sgd_momentum", "sgd_momentum_dampening", "sgd_nesterov", "sgd_weight_decay"})
    check_path(sgd(settings(name)), name);
}

TEST_CASE("Adam takes the steps of PyTorch", "[optimizers]") {
  for (const auto* name : {"adam", "adam_weight_decay"}) check_path(adam(settings(name)), name);
}
