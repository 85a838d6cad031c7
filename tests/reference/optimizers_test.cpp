// SPDX-License-Identifier: MIT
#include <cmath>
#include <numeric>
#include <set>
#include <string>

#include <parade/optimizers/adadelta.hpp>
#include <parade/optimizers/adagrad.hpp>
#include <parade/optimizers/adam.hpp>
#include <parade/optimizers/adamax.hpp>
#include <parade/optimizers/adamw.hpp>
#include <parade/optimizers/amsgrad.hpp>
#include <parade/optimizers/nadam.hpp>
#include <parade/optimizers/radam.hpp>
#include <parade/optimizers/rmsprop.hpp>
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

/// Adam or one of its kin.
template <class Optimizer>
Optimizer with_betas(const nlohmann::json& options) {
  Optimizer optimizer;
  optimizer.rate = options.at("lr");
  optimizer.beta1 = options.at("betas").at(0);
  optimizer.beta2 = options.at("betas").at(1);
  optimizer.epsilon = options.at("eps");
  return optimizer;
}

/// θ after every step on the file's problem, f(θ) = 1/(2n) ‖Aθ − t‖², to which PyTorch's weight decay adds ½λ‖θ‖², if it is not decoupled.
template <class Optimizer>
Matrix<double> path(const Optimizer& optimizer, const std::string& name, bool decoupled = false) {
  const auto& problem = file().at("problem");
  const Matrix<double> x = reference::columns(problem.at("A"));  // (d,n)
  const Vector<double> targets = reference::vector(problem.at("t"));
  const parade::L2 decay{.lambda = decoupled ? 0 : settings(name).value("weight_decay", 0.0)};
  const Index steps = problem.at("steps");

  Vector<double> theta = reference::vector(problem.at("theta0"));
  Matrix<double> states = Matrix<double>::Zero(theta.size(), optimizer.num_states()), path(theta.size(), steps + 1);
  path.col(0) = theta;
  for (Index t = 1; t <= steps; ++t) {
    Vector<double> grad = Vector<double>::Zero(theta.size());
    for (Index j = 0; j < x.cols(); ++j) {
      const double score = std::inner_product(theta.begin(), theta.end(), x.col(j).begin(), 0.0);
      grad += (score - targets[j]) / static_cast<double>(x.cols()) * x.col(j);
    }
    decay.add_gradient(theta, grad);
    optimizer.step(theta, grad, parade::StateRef<double>{states.data(), theta.size(), theta.size()}, {.rate = optimizer.rate, .step = t});
    path.col(t) = theta;
  }
  return path;
}

void check_steps(const Matrix<double>& actual, const Matrix<double>& expected) {
  REQUIRE(actual.cols() == expected.cols());
  REQUIRE(expected.cols() > 1);
  for (Index t = 0; t < expected.cols(); ++t) {
    INFO("step " << t);
    CHECK(reference::relative_error(actual.col(t), expected.col(t)) <= reference::tolerance);
  }
}

Matrix<double> figures(const std::string& name) { return reference::columns(file().at("cases").at(name).at("theta")); }

template <class Optimizer>
void check_path(const Optimizer& optimizer, const std::string& name, bool decoupled = false) {
  INFO(name);
  REQUIRE_NOTHROW(optimizer.check());
  check_steps(path(optimizer, name, decoupled), figures(name));
}

/// NAdam as its formula stands. PyTorch before 2.0 took the last factor into the product for the mean twice (pytorch/pytorch, pull request
/// 92699): with `flaw` that too.
struct FormulaOfNAdam {
  parade::NAdam settings;
  bool flaw;
  double rate = settings.rate;
  Index num_states() const { return 2; }
  void step(parade::VectorRef<double> theta, const parade::ConstVectorRef<double>& grad, const parade::StateRef<double>& state,
            const parade::StepInfo& at) const {
    const auto t = static_cast<double>(at.step);
    const auto mu = [&](double s) { return settings.beta1 * (1 - 0.5 * std::pow(0.96, s * settings.momentum_decay)); };
    double product = 1;
    for (double s = 1; s <= t; ++s) product *= mu(s);
    const double product_next = product * (flaw ? mu(t) : 1) * mu(t + 1);
    for (Index i = 0; i < theta.size(); ++i) {
      const double g = grad[i], m = settings.beta1 * state[0][i] + (1 - settings.beta1) * g,
                   v = settings.beta2 * state[1][i] + (1 - settings.beta2) * g * g,
                   metric = std::sqrt(v / (1 - std::pow(settings.beta2, t))) + settings.epsilon;
      theta[i] -= at.rate * ((1 - mu(t)) / (1 - product) * g + mu(t + 1) / (1 - product_next) * m) / metric;
      state[0][i] = m;
      state[1][i] = v;
    }
  }
};

}  // namespace

TEST_CASE("SGD takes the steps of PyTorch", "[optimizers]") {
  for (const auto* name : {"sgd", "sgd_momentum", "sgd_momentum_dampening", "sgd_nesterov", "sgd_weight_decay"})
    check_path(sgd(settings(name)), name);
}

TEST_CASE("Adam takes the steps of PyTorch", "[optimizers]") {
  for (const auto* name : {"adam", "adam_weight_decay"}) check_path(with_betas<parade::Adam>(settings(name)), name);
}

TEST_CASE("Adam's kin take the steps of PyTorch", "[optimizers]") {
  check_path(with_betas<parade::AmsGrad>(settings("amsgrad")), "amsgrad");
  check_path(with_betas<parade::Adamax>(settings("adamax")), "adamax");
  check_path(with_betas<parade::RAdam>(settings("radam")), "radam");
  auto adamw = with_betas<parade::AdamW>(settings("adamw"));
  adamw.weight_decay = settings("adamw").at("weight_decay");
  check_path(adamw, "adamw", true);
  auto nadam = with_betas<parade::NAdam>(settings("nadam"));
  nadam.momentum_decay = settings("nadam").at("momentum_decay");
  const bool flaw = file().at("source").get<std::string>().starts_with("torch.optim 1.");
  check_steps(path(FormulaOfNAdam{nadam, flaw}, "nadam"), figures("nadam"));
  check_steps(path(nadam, "nadam"), path(FormulaOfNAdam{nadam, false}, "nadam"));
}

TEST_CASE("Adagrad takes the steps of PyTorch", "[optimizers]") {
  for (const auto* name : {"adagrad", "adagrad_lr_decay"}) {
    const auto& options = settings(name);
    check_path(parade::Adagrad{.rate = options.at("lr"),
                               .rate_decay = options.value("lr_decay", 0.0),
                               .initial_accumulator = options.value("initial_accumulator_value", 0.0),
                               .epsilon = options.at("eps")},
               name);
  }
}

TEST_CASE("Adadelta takes the steps of PyTorch", "[optimizers]") {
  const auto& options = settings("adadelta");
  check_path(parade::Adadelta{.rate = options.at("lr"), .rho = options.at("rho"), .epsilon = options.at("eps")}, "adadelta");
}

TEST_CASE("RMSprop takes the steps of PyTorch", "[optimizers]") {
  for (const auto* name : {"rmsprop", "rmsprop_centered_momentum"}) {
    const auto& options = settings(name);
    check_path(parade::RmsProp{.rate = options.at("lr"),
                               .smoothing = options.at("alpha"),
                               .epsilon = options.at("eps"),
                               .momentum = options.value("momentum", 0.0),
                               .centered = options.value("centered", false)},
               name);
  }
}

TEST_CASE("every optimizer of the file of figures is compared", "[optimizers]") {
  const std::set<std::string> compared{"sgd",
                                       "sgd_momentum",
                                       "sgd_momentum_dampening",
                                       "sgd_nesterov",
                                       "sgd_weight_decay",
                                       "adagrad",
                                       "adagrad_lr_decay",
                                       "adadelta",
                                       "rmsprop",
                                       "rmsprop_centered_momentum",
                                       "adam",
                                       "adam_weight_decay",
                                       "amsgrad",
                                       "adamw",
                                       "adamax",
                                       "nadam",
                                       "radam"};
  std::set<std::string> names;
  for (const auto& [name, figure] : file().at("cases").items()) names.insert(name);
  CHECK(names == compared);
}
