// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>

#include <parade/constraints/augmented_lagrangian.hpp>

#include "support/catch.hpp"
#include "support/numbers.hpp"

namespace {

using numbers::random_vector;
using parade::AugmentedLagrangian, parade::AugmentedLagrangianOptions, parade::Index, parade::Matrix, parade::Vector;

/// A θ − c, and with `curved` also ‖θ‖² − 1 in the first place.
struct Functions {
  Matrix<double> a;
  Vector<double> c;
  bool curved = false;

  Index count() const { return c.size(); }
  void values(const parade::ConstVectorRef<double>& theta, parade::VectorRef<double> out) const {
    out = a * theta - c;
    if (curved) out[0] = theta.squaredNorm() - 1;
  }
  void add_gradient(const parade::ConstVectorRef<double>& theta, const parade::ConstVectorRef<double>& weights,
                    parade::VectorRef<double> grad) const {
    for (Index i = 0; i < count(); ++i)
      grad += curved && i == 0 ? Vector<double>(2 * weights[0] * theta) : Vector<double>(weights[i] * a.row(i).transpose());
  }
};

Functions functions(Matrix<double> a, Vector<double> c) { return {std::move(a), std::move(c)}; }

}  // namespace

TEST_CASE("the augmented Lagrangian has its documented values", "[constraints]") {
  AugmentedLagrangian term{functions(Matrix<double>::Ones(1, 1), Vector<double>::Ones(1)), parade::NoFunctions{}, {.beta = 2}};
  const Vector<double> theta{{3}};
  Vector<double> grad{{10}};
  CHECK(term.value(theta) == 4);
  term.add_gradient(theta, grad);
  CHECK(grad == Vector<double>{{14}});
  CHECK(term.violation(theta) == 2);
  CHECK(term.update(theta) == 2);
  CHECK(term.equality_multipliers() == Vector<double>{{4}});
  CHECK(term.beta() == 2);  // the first violation is compared with none
  CHECK(term.update(Vector<double>{{2}}) == 1);
  CHECK(term.beta() == 20);  // it fell to a half only
  CHECK(term.update(Vector<double>{{1.125}}) == 0.125);
  CHECK(term.beta() == 20);
  term.reset();
  CHECK(term.beta() == 2);
  CHECK(term.equality_multipliers() == Vector<double>{{0}});
}

TEST_CASE("the gradient of the augmented Lagrangian is that of central differences", "[constraints]") {
  constexpr double h = 1e-5;
  Functions curved = functions(numbers::random_matrix<double>(3, 7, 1), random_vector<double>(3, 2));
  curved.curved = true;
  AugmentedLagrangian term{curved, functions(numbers::random_matrix<double>(9, 7, 3), random_vector<double>(9, 4)), {.beta = 0.7}};
  for (int round = 0; round < 3; ++round) {
    const Vector<double> theta = random_vector<double>(7, static_cast<std::uint64_t>(10 + round));
    Vector<double> grad = Vector<double>::Zero(7);
    term.add_gradient(theta, grad);
    const double rounding = 100 * std::numeric_limits<double>::epsilon() * (std::abs(term.value(theta)) + term.beta() * 100) / h;
    for (Index i = 0; i < theta.size(); ++i) {
      Vector<double> up = theta, down = theta;
      up[i] += h;
      down[i] -= h;
      CHECK(std::abs((term.value(up) - term.value(down)) / (2 * h) - grad[i]) <= rounding + 1e-4 * std::abs(grad[i]) * h);
    }
    term.update(theta);  // multipliers that are not 0
  }
  CHECK(term.inequality_multipliers().minCoeff() >= 0);
  CHECK(term.inequality_multipliers().maxCoeff() > 0);
}

TEST_CASE("the method of multipliers reaches a constrained minimum and its multipliers, with a bounded β", "[constraints]") {
  // min ½‖θ − (2, 1, −1)‖², θ₁ + θ₂ + θ₃ = 1, θ₁ ≤ ½, θ₃ ≥ −3: θ = (½, 1¼, −¾), ν = −¼, μ = (1¾, 0)
  const Vector<double> target{{2, 1, -1}};
  Matrix<double> bounds(2, 3);
  bounds << 1, 0, 0, 0, 0, -1;
  AugmentedLagrangian term{functions(Matrix<double>::Ones(1, 3), Vector<double>::Ones(1)), functions(bounds, Vector<double>{{0.5, 3}})};
  Vector<double> theta = Vector<double>::Zero(3);
  double violation = 1;
  for (int outer = 0; outer < 40 && violation > 1e-12; ++outer) {
    for (int inner = 0; inner < 2000; ++inner) {
      Vector<double> grad = theta - target;
      term.add_gradient(theta, grad);
      theta -= grad / (1 + 4 * term.beta());
    }
    violation = term.update(theta);
  }
  CHECK(violation <= 1e-12);
  CHECK((theta - Vector<double>{{0.5, 1.25, -0.75}}).cwiseAbs().maxCoeff() <= 1e-10);
  CHECK(std::abs(term.equality_multipliers()[0] + 0.25) <= 1e-10);
  CHECK((term.inequality_multipliers() - Vector<double>{{1.75, 0}}).cwiseAbs().maxCoeff() <= 1e-10);
  CHECK(term.beta() <= 100);
}

TEST_CASE("the augmented Lagrangian shows NaN, keeps its multipliers from it, and refuses settings out of range", "[constraints]") {
  AugmentedLagrangian term{functions(Matrix<double>::Ones(1, 1), Vector<double>::Ones(1)),
                           functions(Matrix<double>::Ones(1, 1), Vector<double>::Ones(1))};
  const Vector<double> bad{{std::nan("")}};
  Vector<double> grad{{0}};
  CHECK(std::isnan(term.value(bad)));
  CHECK(std::isnan(term.violation(bad)));
  CHECK(std::isnan(term.update(bad)));
  CHECK(term.equality_multipliers() == Vector<double>{{0}});
  CHECK(term.inequality_multipliers() == Vector<double>{{0}});
  term.add_gradient(bad, grad);
  CHECK(std::isnan(grad[0]));
  // also where another function is fine
  AugmentedLagrangian two{functions(Matrix<double>::Identity(2, 2), Vector<double>::Ones(2)),
                          functions(Matrix<double>::Identity(1, 2), Vector<double>::Ones(1))};
  CHECK(std::isnan(two.violation(Vector<double>{{std::nan(""), 3}})));
  CHECK(std::isnan(two.update(Vector<double>{{3, std::nan("")}})));
  CHECK_THROWS_WITH(AugmentedLagrangianOptions{.beta = 0}.check(), "AugmentedLagrangian.beta must be finite and above 0; got 0");
  CHECK_THROWS_WITH(AugmentedLagrangianOptions{.growth = 0.5}.check(), "AugmentedLagrangian.growth must be finite and at least 1; got 0.5");
  CHECK_THROWS_WITH(AugmentedLagrangianOptions{.enough = 1}.check(), "AugmentedLagrangian.enough must be in (0, 1); got 1");
  CHECK_THROWS_WITH((AugmentedLagrangianOptions{.beta = 2, .max_beta = 1}.check()),
                    "AugmentedLagrangian.max_beta must be finite and at least beta; got 1 and 2");
  CHECK_THROWS_AS((AugmentedLagrangian{parade::NoFunctions{}, parade::NoFunctions{}, {.beta = std::nan("")}}), parade::OptionError);
}
