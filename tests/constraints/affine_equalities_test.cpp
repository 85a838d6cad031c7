// SPDX-License-Identifier: MIT
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include <parade/concepts/constraint.hpp>
#include <parade/constraints/affine_equalities.hpp>
#include <parade/constraints/affine_equality.hpp>
#include <parade/core/hash.hpp>

#include "support/catch.hpp"
#include "support/numbers.hpp"

namespace {

using numbers::random_matrix, numbers::same_bits;
using parade::AffineEqualities, parade::Groups, parade::Index, parade::Matrix, parade::Vector;

static_assert(parade::ParameterConstraint<AffineEqualities, float> && parade::ParameterConstraint<AffineEqualities, double>);
static_assert(parade::Constraint<AffineEqualities, float> && parade::Constraint<AffineEqualities, double>);

template <class S>
constexpr double eps = static_cast<double>(std::numeric_limits<S>::epsilon());

template <class S>
Matrix<S> projected(const AffineEqualities& set, Matrix<S> theta, const Matrix<S>& steps) {
  set.parameter_project(theta, steps);
  return theta;
}
template <class S>
Matrix<S> projected(const AffineEqualities& set, const Matrix<S>& theta) {
  return projected(set, theta, Matrix<S>(Matrix<S>::Constant(theta.rows(), theta.cols(), S(0.3))));
}

/// Σ (a − b)(c − d)/step in long double.
template <class S>
double inner(const Matrix<S>& a, const Matrix<S>& b, const Matrix<S>& c, const Matrix<S>& d, const Matrix<S>& steps) {
  long double sum = 0;
  for (Index i = 0; i < a.size(); ++i) {
    const auto of = [i](const Matrix<S>& m) { return static_cast<long double>(m.data()[i]); };
    sum += (of(a) - of(b)) * (of(c) - of(d)) / of(steps);
  }
  return static_cast<double>(sum);
}

/// m equations for d elements.
AffineEqualities equations(Index m, Index d, std::uint64_t seed, Groups groups) {
  return {random_matrix<double>(m, d, 100 + seed), numbers::random_vector<double>(m, 200 + seed), groups};
}

/// call(set, θ, another θ, steps) for all groups, some sizes and numbers of equations, with equal and with different steps.
template <class S, class Call>
void for_each_case(const Call& call) {
  for (const auto& [m, d] : std::vector<std::pair<Index, Index>>{{1, 1}, {1, 7}, {2, 2}, {2, 7}, {5, 64}, {17, 20}, {32, 40}})
    for (const Groups groups : {Groups::whole, Groups::rows, Groups::columns}) {
      const auto seed = static_cast<std::uint64_t>(10 * m + d);
      const Index rows = groups == Groups::rows ? 3 : d, cols = groups == Groups::columns ? 3 : groups == Groups::rows ? d : 1;
      const auto set = equations(m, d, seed, groups);
      const Matrix<S> theta = random_matrix<S>(rows, cols, seed), other = random_matrix<S>(rows, cols, seed + 1);
      INFO(m << " equations, " << d << " elements, groups " << static_cast<int>(groups));
      call(set, theta, other, Matrix<S>(Matrix<S>::Constant(rows, cols, S(0.3))));
      call(set, theta, other, random_matrix<S>(rows, cols, seed + 2, 0.01, 3));
    }
}

Matrix<double> matrix(Index rows, std::initializer_list<double> by_rows) {
  Matrix<double> result(rows, static_cast<Index>(by_rows.size()) / rows);
  Index i = 0;
  for (const double x : by_rows) {
    result(i / result.cols(), i % result.cols()) = x;
    ++i;
  }
  return result;
}
Vector<double> vector(std::initializer_list<double> numbers) { return Vector<double>(matrix(static_cast<Index>(numbers.size()), numbers)); }

}  // namespace

TEST_CASE("equations have their documented projection and violation", "[constraints]") {
  const AffineEqualities set{matrix(2, {1, 1, 1, 1, 0, -1}), vector({1, 0})};
  const auto near = [](const Matrix<double>& a, const Matrix<double>& b) { return (a - b).cwiseAbs().maxCoeff() <= 4 * eps<double>; };
  CHECK(near(projected(set, matrix(3, {1, 0, 0})), matrix(3, {0.5, 0, 0.5})));
  CHECK(std::abs(set.parameter_violation(matrix(3, {1, 0, 0})) - 0.25) <= 4 * eps<double>);
  CHECK(near(projected(set, matrix(3, {1, 1, 0}), matrix(3, {1, 2, 1})), matrix(3, {0.25, 0.5, 0.25})));
}

TEMPLATE_TEST_CASE("a projection on equations is feasible by plain sums, idempotent to the bit, and leaves what is feasible",
                   "[constraints]", float, double) {
  using S = TestType;
  for_each_case<S>([](const AffineEqualities& set, const Matrix<S>& theta, const Matrix<S>& other, const Matrix<S>& steps) {
    const Matrix<S> once = projected(set, theta, steps);
    CHECK_FALSE(same_bits(once, theta));
    CHECK(set.parameter_violation(theta) > 0);
    CHECK(set.parameter_violation(once) == 0);
    CHECK(same_bits(projected(set, once, steps), once));
    CHECK(same_bits(projected(set, once, Matrix<S>(other.cwiseAbs())), once));  // in any metric
    parade::kernels::for_each_group(set.groups, theta.rows(), theta.cols(), [&](Index row, Index col) {
      const auto group = parade::kernels::group_of(set.groups, once, row, col);
      for (Index i = 0; i < set.values().size(); ++i) {
        long double sum = -static_cast<long double>(set.values()[i]), size = std::abs(sum);
        for (Index j = 0; j < group.size; ++j) {
          const long double term = static_cast<long double>(set.coefficients()(i, j)) * static_cast<long double>(group[j]);
          sum += term;
          size += std::abs(term);
        }
        CHECK(std::abs(sum) <= 8.1L * eps<S> * size);
      }
    });
  });
}

TEMPLATE_TEST_CASE("a projection on equations is the nearest of the feasible, and brings no two points further apart", "[constraints]",
                   float, double) {
  using S = TestType;
  for_each_case<S>([](const AffineEqualities& set, const Matrix<S>& theta, const Matrix<S>& other, const Matrix<S>& steps) {
    const Matrix<S> u = projected(set, theta, steps), v = projected(set, other, steps);
    const double far = inner(theta, other, theta, other, steps) + inner(theta, u, theta, u, steps) + inner(other, v, other, v, steps);
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      const Matrix<S> feasible = projected(set, random_matrix<S>(theta.rows(), theta.cols(), 300 + seed));
      const double reach = inner(theta, feasible, theta, feasible, steps), rounding = 64 * eps<S> * (far + reach) * std::sqrt(theta.size());
      CHECK(inner(theta, u, theta, u, steps) <= reach + rounding);
      CHECK(std::abs(inner(theta, u, feasible, v, steps)) <= 8 * rounding);  // θ − Π(θ) is a normal of the set
    }
    CHECK(inner(u, v, u, v, steps) <= inner(theta, other, theta, other, steps) * (1 + 64 * eps<S>));
    // C is half the squared distance, in the Euclidean metric.
    const Matrix<S> ones = Matrix<S>::Constant(theta.rows(), theta.cols(), 1), nearest = projected(set, theta, ones);
    CHECK(set.parameter_violation(theta) == Approx(inner(theta, nearest, theta, nearest, ones) / 2).epsilon(1e3 * eps<S>));
  });
}

TEST_CASE("one equation is an AffineEquality, and m rows of the identity fix m elements", "[constraints]") {
  const Matrix<double> a = random_matrix<double>(1, 9, 1), theta = random_matrix<double>(9, 1, 2),
                       steps = random_matrix<double>(9, 1, 3, 0.1, 2);
  Matrix<double> one = theta;
  parade::AffineEquality{.coefficients = {a.data(), a.data() + 9}, .value = 0.5}.parameter_project(one, steps);
  CHECK((projected(AffineEqualities{a, vector({0.5})}, theta, steps) - one).cwiseAbs().maxCoeff() <= 8 * eps<double>);
  const AffineEqualities fixed{Matrix<double>(Matrix<double>::Identity(3, 9)), vector({1, 2, 3})};
  const Matrix<double> u = projected(fixed, theta, steps);
  CHECK((u.topRows(3) - vector({1, 2, 3})).cwiseAbs().maxCoeff() <= 3 * eps<double>);
  CHECK(u.bottomRows(6) == theta.bottomRows(6));
}

TEST_CASE("nearly dependent equations and steps of any range still end feasible", "[constraints]") {
  for (const double angle : {1e-2, 1e-3, 1e-4}) {
    INFO("an angle of " << angle);
    const AffineEqualities narrow{matrix(2, {1, 1, 1, 1, 1 + angle, 1}), vector({1, 1})};
    const Matrix<double> theta = matrix(3, {3, -7, 0.5}), u = projected(narrow, theta);
    CHECK(narrow.parameter_violation(u) == 0);
    CHECK(same_bits(projected(narrow, u), u));
    CHECK(std::abs(u(1, 0)) <= 1e-14 / angle);
    CHECK(std::abs(u(0, 0) - u(2, 0) - 2.5) <= 1e-14 / angle);
  }
  const auto set = equations(3, 8, 1, Groups::whole);
  const Matrix<double> theta = random_matrix<double>(8, 1, 5), zeros = Matrix<double>::Zero(8, 1);
  CHECK(same_bits(projected(set, theta, zeros), projected(set, theta)));
  for (const double wild : {0.0, 1e-30, 1e30, std::numeric_limits<double>::infinity()})
    for (const Index period : {2, 5}) {
      Matrix<double> steps = random_matrix<double>(8, 1, 6, 0.1, 1);
      for (Index i = 0; i < 8; i += period) steps(i, 0) = wild;
      INFO("every " << period << ". step is " << wild);
      const Matrix<double> u = projected(set, theta, steps);
      CHECK(u.allFinite());
      CHECK(set.parameter_violation(u) == 0);
    }
}

TEST_CASE("what is not finite does not become finite on equations", "[constraints]") {
  const auto set = equations(3, 8, 1, Groups::whole);
  const Matrix<double> steps = random_matrix<double>(8, 1, 6, 0.1, 1);
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    Matrix<double> theta = random_matrix<double>(8, 1, 5);
    theta(3, 0) = bad;
    CHECK_FALSE(std::isfinite(projected(set, theta)(3, 0)));
    CHECK_FALSE(std::isfinite(projected(set, theta, steps)(3, 0)));
    CHECK(std::isnan(set.parameter_violation(theta)));
  }
  Matrix<double> of_nan = steps;
  of_nan(2, 0) = std::nan("");
  CHECK_FALSE(projected(set, random_matrix<double>(8, 1, 5), of_nan).allFinite());
}

TEST_CASE("equations that contradict or repeat each other are refused, with the row", "[constraints]") {
  const auto error = [](const Matrix<double>& a, const Vector<double>& c) -> std::string {
    try {
      AffineEqualities{a, c};
    } catch (const parade::OptionError& refused) {
      return refused.what();
    }
    return "";
  };
  const std::string dependent =
      "AffineEqualities.coefficients must have rows that are no combination of others, nor within a part of 2^-17 of one; row ";
  CHECK(
      error(matrix(3, {1, 2, 3, 0, 1, 0, 2, 5, 6}), vector({1, 2, 3})) ==
      dependent +
          "2 is, with another value: no θ solves the equations, or, if it is not exactly one, centre and scale the rows until it is none");
  CHECK(error(matrix(3, {1, 2, 3, 0, 1, 0, 2, 5, 6}), vector({1, 2, 4})) ==
        dependent + "2 is, with the same value: leave it out, or, if it is another equation, centre and scale the rows until it is none");
  CHECK(error(matrix(2, {0.1, 0.7, 0.3, 2.1}), vector({0.1, 0.3})) ==
        dependent + "1 is, with the same value: leave it out, or, if it is another equation, centre and scale the rows until it is none");
  CHECK(error(matrix(2, {1, 1, 0, 0}), vector({0, 1})) == "AffineEqualities.coefficients must have no row of zeros; row 1 is one");
  CHECK(error(matrix(1, {0, 0}), vector({0})) == "AffineEqualities.coefficients must have no row of zeros; row 0 is one");
  CHECK(error(matrix(3, {1, 0, 0, 1, 1, 1}), vector({1, 2, 3})) ==
        dependent + "2 is, with the same value: leave it out, or, if it is another equation, centre and scale the rows until it is none");
  CHECK(error(matrix(2, {1, 1, 1, 1e-6}), vector({0, 1})).empty());
  CHECK(error(matrix(2, {1e-150, 0, 0, 1e150}), vector({0, 1})).empty());
  CHECK(error(matrix(2, {1, 0, 0, 1e160}), vector({0, 1})) ==
        "AffineEqualities.coefficients must have rows with a norm in the range of numbers; row 1 has not");
  CHECK(error(Matrix<double>(0, 3), Vector<double>(0)) == "AffineEqualities.coefficients must have 1 to 32 rows; got 0");
  CHECK(error(random_matrix<double>(33, 50, 1), numbers::random_vector<double>(33, 1)) ==
        "AffineEqualities.coefficients must have 1 to 32 rows; got 33");
  CHECK(error(matrix(1, {1, 2}), vector({0, 1})) == "AffineEqualities.values must have one number for each equation: 1; got 2");
  CHECK(error(matrix(1, {1, std::nan("")}), vector({0})) == "AffineEqualities.coefficients must be finite; got nan in row 0, column 1");
  CHECK(error(matrix(1, {1, 1}), vector({std::nan("")})) == "AffineEqualities.values must be finite; got nan at 0");
  const auto set = equations(2, 3, 1, Groups::rows);
  CHECK_THROWS_WITH(set.parameter_violation(random_matrix<double>(3, 4, 1)),
                    "AffineEqualities.coefficients must have one column for each element of a group: 4; got 3");
  CHECK_THROWS_AS(projected(set, random_matrix<double>(3, 4, 1)), parade::OptionError);
  CHECK(set.parameter_violation(Matrix<double>(0, 3)) == 0);
}

TEMPLATE_TEST_CASE("projections on equations have the same bits under every compiler", "[constraints]", float, double) {
  using S = TestType;
  Vector<S> all(0);
  for_each_case<S>([&](const AffineEqualities& set, const Matrix<S>& theta, const Matrix<S>&, const Matrix<S>& steps) {
    const Matrix<S> u = projected(set, theta, steps);
    const double violation = set.parameter_violation(theta);
    const Index size = all.size();
    all.conservativeResize(size + u.size() + 1);
    all.segment(size, u.size()) = u.reshaped();
    all[size + u.size()] = static_cast<S>(violation);
  });
  CHECK(parade::hash_text(parade::theta_hash(all)) == (std::same_as<S, float> ? "a38ac744f75b1ffc" : "0371ff0d0ca263b6"));
}
