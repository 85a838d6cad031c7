// SPDX-License-Identifier: MIT
// Elastic net and group lasso, compared with slow ones in long double, and by what defines a proximal step; and what is for some parameters only.
#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <vector>

#include <parade/constraints/box_penalty.hpp>
#include <parade/constraints/l2_ball.hpp>
#include <parade/core/hash.hpp>
#include <parade/regularizers/elastic_net.hpp>
#include <parade/regularizers/group_lasso.hpp>
#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/regularizers/only.hpp>
#include <parade/regularizers/per_parameter.hpp>

#include "support/catch.hpp"
#include "support/numbers.hpp"

namespace {

using numbers::random_matrix, numbers::random_vector, numbers::same_bits;
using parade::ElasticNet, parade::GroupLasso, parade::Groups, parade::Index, parade::L1, parade::L2, parade::Matrix, parade::Only,
    parade::ParameterBlock, parade::ParameterList, parade::Role, parade::Vector;
using Real = long double;

constexpr double infinity = std::numeric_limits<double>::infinity();

template <class S>
constexpr Real eps = std::numeric_limits<S>::epsilon();

/// What the engine asks of a regularizer of a whole parameter.
template <class R, class S>
concept ParameterRegularizer = requires(const R regularizer, parade::detail::Argument<parade::MatrixRef<S>> theta,
                                        const parade::detail::Argument<parade::ConstMatrixRef<S>>& read) {
  { regularizer.parameter_value(read) } -> std::convertible_to<double>;
  regularizer.parameter_prox(theta, read);
};
static_assert(ParameterRegularizer<GroupLasso, float> && ParameterRegularizer<GroupLasso, double>);
static_assert(ParameterRegularizer<Only<GroupLasso>, float> && !ParameterRegularizer<Only<L2>, float>);
static_assert(parade::SmoothRegularizer<Only<L2>, float> && parade::ProximalRegularizer<Only<ElasticNet>, double>);
static_assert(!parade::ProximalRegularizer<Only<L2>, float>);
static_assert(parade::PenaltyConstraint<Only<parade::BoxPenalty>, float> && parade::ProjectionConstraint<Only<parade::Box>, double>);

template <class S>
Matrix<S> prox(const GroupLasso& lasso, Matrix<S> theta, const Matrix<S>& steps) {
  lasso.parameter_prox(theta, steps);
  return theta;
}
template <class S>
Matrix<S> prox(const GroupLasso& lasso, const Matrix<S>& theta, double step) {
  return prox(lasso, theta, Matrix<S>(Matrix<S>::Constant(theta.rows(), theta.cols(), static_cast<S>(step))));
}
template <class S>
Vector<S> prox(const ElasticNet& net, Vector<S> theta, const Vector<S>& steps) {
  net.prox(theta, steps);
  return theta;
}

template <class S = double>
Matrix<S> row(std::initializer_list<double> numbers) {
  Matrix<S> matrix(1, static_cast<Index>(numbers.size()));
  std::transform(numbers.begin(), numbers.end(), matrix.data(), [](double x) { return static_cast<S>(x); });
  return matrix;
}

template <class S>
Real difference(const Matrix<S>& a, const Matrix<S>& b) {
  Real most = 0;
  for (Index i = 0; i < a.size(); ++i) {
    const Real here = std::abs(Real{a.data()[i]} - Real{b.data()[i]});
    if (std::isnan(here) || here > most) most = here;  // NaN stays
  }
  return most;
}

/// The proximal point of one group by bisection for the norm ρ of the result, in long double: u_i = θ_i ρ / (ρ + s_i t), ‖u‖ = ρ.
std::vector<Real> slow_prox(const std::vector<Real>& x, const std::vector<Real>& s, Real t) {
  const auto at = [&](Real rho) {
    std::vector<Real> u(x);
    for (std::size_t i = 0; i < x.size(); ++i) u[i] = rho == 0 ? 0 : x[i] * (rho / (rho + s[i] * t));
    return u;
  };
  const auto norm = [](const std::vector<Real>& u) {
    Real squares = 0;
    for (const Real v : u) squares += v * v;
    return std::sqrt(squares);
  };
  Real low = 0, high = norm(x);  // ‖u(ρ)‖ − ρ is above 0 left of the root
  for (int i = 0; i < 300; ++i) {
    const Real middle = (low + high) / 2;
    (norm(at(middle)) > middle ? low : high) = middle;
  }
  return at(low);
}

template <class S>
Matrix<S> slow_prox(const GroupLasso& lasso, const Matrix<S>& theta, const Matrix<S>& steps) {
  Matrix<S> result = theta;
  parade::kernels::for_each_group(lasso.groups, theta.rows(), theta.cols(), [&](Index i, Index j) {
    const auto from = parade::kernels::group_of(lasso.groups, theta, i, j), step = parade::kernels::group_of(lasso.groups, steps, i, j);
    const auto to = parade::kernels::group_of(lasso.groups, result, i, j);
    std::vector<Real> x, s;
    for (Index k = 0; k < from.size; ++k) {
      x.push_back(from[k]);
      s.push_back(step[k]);
    }
    const auto u = slow_prox(x, s, Real{lasso.lambda} * std::sqrt(static_cast<Real>(x.size())));
    for (Index k = 0; k < to.size; ++k) to[k] = static_cast<S>(u[static_cast<std::size_t>(k)]);
  });
  return result;
}

/// λR(u) + Σ (u_i − θ_i)² / (2 s_i)
template <class S>
Real objective(const GroupLasso& lasso, const Matrix<S>& u, const Matrix<S>& theta, const Matrix<S>& steps) {
  Real sum = lasso.parameter_value(u);
  for (Index i = 0; i < u.size(); ++i) {
    const Real d = Real{u.data()[i]} - Real{theta.data()[i]};
    sum += d * d / (2 * Real{steps.data()[i]});
  }
  return sum;
}

/// call(lasso, θ, another θ, steps)
template <class S, class Call>
void for_each_case(const Call& call) {
  for (const Index n : {1, 2, 7, 64, 257})
    for (const Groups groups : {Groups::whole, Groups::rows, Groups::columns})
      for (const double lambda : {0.01, 0.3, 0.8, 3.0})
        for (std::uint64_t seed = 0; seed < 3; ++seed) {
          const Index rows = groups == Groups::rows ? 3 : n, cols = groups == Groups::columns ? 3 : groups == Groups::rows ? n : 1;
          const Matrix<S> theta = random_matrix<S>(rows, cols, 10 * seed), other = random_matrix<S>(rows, cols, 10 * seed + 1);
          INFO(n << " elements a group, groups " << static_cast<int>(groups) << ", lambda " << lambda << ", seed " << seed);
          const GroupLasso lasso{.lambda = lambda, .groups = groups};
          call(lasso, theta, other, Matrix<S>(Matrix<S>::Constant(rows, cols, S(0.7))));
          call(lasso, theta, other, random_matrix<S>(rows, cols, 10 * seed + 2, 0.01, 3));
        }
}

}  // namespace

// --- elastic net ------------------------------------------------------------------------------------------------------------------------

TEST_CASE("the elastic net has its documented values", "[regularizers]") {
  const ElasticNet net{.lambda = 2};
  CHECK(net.value(Vector<double>{{3, -4}}) == 19.5);
  CHECK(net.value(Vector<double>()) == 0);
  CHECK(prox(net, Vector<double>{{3, -0.5, -4}}, Vector<double>{{1, 1, 1}}) == Vector<double>{{1, 0, -1.5}});
  CHECK(prox(net, Vector<double>{{3, 3, 9}}, Vector<double>{{0, 1, 2}}) == Vector<double>{{3, 1, 7.0 / 3}});
  CHECK(prox(ElasticNet{}, Vector<double>{{3, -4}}, Vector<double>{{1, 1}}) == Vector<double>{{3, -4}});
}

TEMPLATE_TEST_CASE("the elastic net is the lasso at ratio 1, and shrinks by a factor at ratio 0", "[regularizers]", float, double) {
  using S = TestType;
  const Vector<S> theta = random_vector<S>(1009, 1), steps = random_vector<S>(1009, 2, 0, 3);
  Vector<S> lasso = theta;
  L1{.lambda = 0.3}.prox(lasso, steps);
  CHECK(same_bits(prox(ElasticNet{.lambda = 0.3, .l1_ratio = 1}, theta, steps), lasso));
  CHECK(ElasticNet{.lambda = 0.3, .l1_ratio = 1}.value(theta) == L1{.lambda = 0.3}.value(theta));
  const Vector<S> ridge = prox(ElasticNet{.lambda = 0.3, .l1_ratio = 0}, theta, steps);
  for (Index i = 0; i < theta.size(); ++i) CHECK(ridge[i] == theta[i] / std::fma(S(0.3), steps[i], S{1}));
  CHECK(ElasticNet{.lambda = 0.3, .l1_ratio = 0}.value(theta) == Approx(L2{.lambda = 0.3}.value(theta)).epsilon(1e-14));
}

TEMPLATE_TEST_CASE("the elastic net's step is a minimum, non-expansive, and has Moreau's identity", "[regularizers]", float, double) {
  using S = TestType;
  const ElasticNet net{.lambda = 0.7, .l1_ratio = 0.4};
  const Vector<S> a = random_vector<S>(1009, 3), b = random_vector<S>(1009, 4), steps = random_vector<S>(1009, 5, 0.01, 3);
  const Vector<S> pa = prox(net, a, steps), pb = prox(net, b, steps);
  const Real l1 = Real{0.7} * Real{0.4}, l2 = Real{0.7} * Real{0.6};
  for (Index i = 0; i < a.size(); ++i) {
    const Real x = a[i], u = pa[i], step = steps[i], rounding = 4 * eps<S> * std::max(Real{1}, std::abs(x));
    CHECK(std::abs(Real{pa[i]} - Real{pb[i]}) <= std::abs(x - Real{b[i]}) / (1 + step * l2) + rounding);
    // The subgradient (θ − u)/α is in λ∂R(u).
    const Real slope = (x - u) / step;
    if (u != 0)
      CHECK(std::abs(slope - l2 * u - std::copysign(l1, u)) <= rounding / step);
    else
      CHECK(std::abs(slope) <= l1 + rounding / step);
    // θ = prox_{αf}(θ) + α prox_{f*/α}(θ/α), f*(v) = max(0, |v| − λρ)² / (2λ(1 − ρ)): its prox at v is v inside, else shrunk.
    const Real v = x / step;
    const Real dual = std::abs(v) <= l1 ? v : std::copysign((step * l2 * std::abs(v) + l1) / (step * l2 + 1), v);
    CHECK(std::abs(u + step * dual - x) <= rounding);
  }
}

TEMPLATE_TEST_CASE("the elastic net gives exact zeros, +0, keeps NaN and infinity, and does not depend on slices", "[regularizers]", float,
                   double) {
  using S = TestType;
  const ElasticNet net{.lambda = 2};
  const Vector<S> shrunk =
      prox(net, Vector<S>{{S{1}, S{-1}, -S{0}, S(std::nan("")), S(infinity), S(-infinity)}}, Vector<S>(Vector<S>::Ones(6)));
  CHECK(same_bits(Vector<S>(shrunk.head(3)), Vector<S>(Vector<S>::Zero(3))));
  CHECK(std::isnan(shrunk[3]));
  CHECK(shrunk[4] == S(infinity));
  CHECK(shrunk[5] == S(-infinity));
  const Vector<S> theta = random_vector<S>(131, 6), steps = random_vector<S>(131, 7, 0, 3), whole = prox(net, theta, steps);
  for (Index cut = 0; cut <= theta.size(); ++cut) {
    Vector<S> part = theta;
    net.prox(part.head(cut), steps.head(cut));
    net.prox(part.tail(131 - cut), steps.tail(131 - cut));
    CHECK(same_bits(part, whole));
  }
}

// --- group lasso ------------------------------------------------------------------------------------------------------------------------

TEST_CASE("the group lasso has its documented values", "[regularizers]") {
  CHECK(GroupLasso{.lambda = 1}.parameter_value(row({3, 4})) == Approx(5 * std::sqrt(2)).epsilon(1e-15));
  const GroupLasso lasso{.lambda = 1 / std::sqrt(2)};
  CHECK(difference(prox(lasso, row({3, 4}), 1), row({2.4, 3.2})) <= 4 * eps<double>);
  CHECK(same_bits(prox(lasso, row({0.3, -0.4}), 1), row({0, 0})));
  CHECK(prox(lasso, row({3, 4}), 0) == row({3, 4}));
  CHECK(prox(GroupLasso{}, row({3, 4}), 1) == row({3, 4}));
  Matrix<double> theta(2, 2);
  theta << 3, 4, 0, 12;
  CHECK(GroupLasso{.lambda = 1}.parameter_value(theta) == Approx(17 * std::sqrt(2)).epsilon(1e-15));
  CHECK(GroupLasso{.lambda = 1, .groups = Groups::columns}.parameter_value(theta) ==
        Approx((3 + std::sqrt(160)) * std::sqrt(2)).epsilon(1e-15));
  CHECK(GroupLasso{.lambda = 1, .groups = Groups::whole}.parameter_value(theta) == Approx(26).epsilon(1e-15));
}

TEMPLATE_TEST_CASE("the group lasso's step is that of a slow one in long double", "[regularizers]", float, double) {
  using S = TestType;
  int zeros = 0, cases = 0;
  for_each_case<S>([&](const GroupLasso& lasso, const Matrix<S>& theta, const Matrix<S>&, const Matrix<S>& steps) {
    const Matrix<S> u = prox(lasso, theta, steps);
    CHECK(difference(u, slow_prox(lasso, theta, steps)) <= 4 * eps<S> * 2);  // elements up to 2
    zeros += u.isZero(0);
    ++cases;
  });
  CHECK(zeros > cases / 10);
  CHECK(zeros < cases / 2);
}

TEMPLATE_TEST_CASE("the group lasso's step is non-expansive, a minimum, and has Moreau's identity, in the metric", "[regularizers]", float,
                   double) {
  using S = TestType;
  for_each_case<S>([](const GroupLasso& lasso, const Matrix<S>& theta, const Matrix<S>& other, const Matrix<S>& steps) {
    const Matrix<S> u = prox(lasso, theta, steps), v = prox(lasso, other, steps);
    Real moved = 0, apart = 0;
    for (Index i = 0; i < u.size(); ++i) {
      const Real du = Real{u.data()[i]} - Real{v.data()[i]}, dx = Real{theta.data()[i]} - Real{other.data()[i]};
      moved += du * du / steps.data()[i];
      apart += dx * dx / steps.data()[i];
    }
    CHECK(moved <= apart * (1 + 16 * eps<S>));

    const Real best = objective(lasso, u, theta, steps);
    for (std::uint64_t k = 0; k < 4; ++k) {
      const Matrix<S> near = u + random_matrix<S>(u.rows(), u.cols(), 90 + k, -1, 1) * S(0.1),
                      far = random_matrix<S>(u.rows(), u.cols(), 95 + k);
      CHECK(best <= objective(lasso, near, theta, steps) + 8 * eps<S> * best);
      CHECK(best <= objective(lasso, far, theta, steps) + 8 * eps<S> * best);
    }
    // Moreau: (θ − u)/α is the projection of θ/α on the dual ball ‖v‖ ≤ λ√p, in the metric α. So it is in the ball, and on its edge where u is
    // not 0, in the direction of u.
    parade::kernels::for_each_group(lasso.groups, u.rows(), u.cols(), [&](Index i, Index j) {
      const auto x = parade::kernels::group_of(lasso.groups, theta, i, j), w = parade::kernels::group_of(lasso.groups, u, i, j);
      const auto s = parade::kernels::group_of(lasso.groups, steps, i, j);
      Real squares = 0, along = 0, norm = 0, doubt = 0;
      for (Index k = 0; k < x.size; ++k) {
        const Real dual = (Real{x[k]} - Real{w[k]}) / s[k];
        squares += dual * dual;
        along += dual * w[k];
        norm += Real{w[k]} * Real{w[k]};
        doubt += std::abs(Real{x[k]}) / s[k] * eps<S>;
      }
      const Real radius = Real{lasso.lambda} * std::sqrt(static_cast<Real>(x.size));
      CHECK(std::sqrt(squares) <= radius + 4 * doubt);
      if (norm > 0) CHECK(std::abs(along - radius * std::sqrt(norm)) <= 4 * doubt * std::sqrt(norm));
    });
  });
}

TEMPLATE_TEST_CASE("steps of any range are taken by the group lasso", "[regularizers]", float, double) {
  using S = TestType;
  const Matrix<S> theta = row<S>({1, -2, 3, 0});
  const GroupLasso lasso{.lambda = 0.25};
  CHECK(same_bits(prox(lasso, theta, row<S>({0, 0, 0, 0})), theta));  // a rate of 0
  for (const double wild : {0.0, 1e-30, 1e30, infinity}) {
    const Matrix<S> steps = row<S>({1, wild, 0.5, wild}), u = prox(lasso, theta, steps);
    INFO("steps of " << wild);
    CHECK(u.allFinite());
    CHECK(u(0, 3) == 0);
    if (wild < 1) CHECK(u(0, 1) == -2);
    if (wild > 1) CHECK(std::abs(u(0, 1)) <= 1e-28L);
    CHECK(u(0, 0) > 0);
    CHECK(u(0, 0) < 1);
  }
  CHECK(same_bits(prox(lasso, row<S>({0, 0}), row<S>({0, 1})), row<S>({0, 0})));
}

TEST_CASE("neither overflow nor underflow of squares spoils the group lasso", "[regularizers]") {
  const GroupLasso lasso{.lambda = 1 / std::sqrt(2)};
  for (const double size : {1e300, 1e-300}) {
    CHECK(lasso.parameter_value(row({3 * size, 4 * size})) == Approx(5 * size).epsilon(1e-15));
    CHECK(difference(prox(lasso, row({3 * size, 4 * size}), size), row({2.4 * size, 3.2 * size})) <= 4 * eps<double> * size);
  }
}

TEMPLATE_TEST_CASE("NaN and infinity do not become finite in a group lasso, and no elements are no cost", "[regularizers]", float, double) {
  using S = TestType;
  for (const double bad : {std::nan(""), infinity, -infinity})
    for (const Groups groups : {Groups::whole, Groups::rows, Groups::columns})
      for (const bool equal : {true, false}) {
        Matrix<S> theta = random_matrix<S>(3, 7, 20);
        theta(1, 2) = static_cast<S>(bad);
        const Matrix<S> steps = equal ? Matrix<S>(Matrix<S>::Ones(3, 7)) : random_matrix<S>(3, 7, 21, 0.1, 1);
        const GroupLasso lasso{.lambda = 0.1, .groups = groups};
        CHECK_FALSE(std::isfinite(prox(lasso, theta, steps)(1, 2)));
        CHECK_FALSE(std::isfinite(lasso.parameter_value(theta)));
      }
  CHECK(GroupLasso{.lambda = 1}.parameter_value(Matrix<S>(3, 0)) == 0);
  CHECK(prox(GroupLasso{.lambda = 1}, Matrix<S>(3, 0), 1).size() == 0);
  CHECK(prox(GroupLasso{.lambda = 1}, Matrix<S>(0, 3), 1).size() == 0);
}

TEMPLATE_TEST_CASE("the group lasso has the same bits under every compiler", "[regularizers]", float, double) {
  using S = TestType;
  Vector<S> all(0);
  for_each_case<S>([&](const GroupLasso& lasso, const Matrix<S>& theta, const Matrix<S>&, const Matrix<S>& steps) {
    const Matrix<S> u = prox(lasso, theta, steps);
    const double value = lasso.parameter_value(theta);
    const Index size = all.size();
    all.conservativeResize(size + u.size() + 1);
    all.segment(size, u.size()) = u.reshaped();
    all[size + u.size()] = static_cast<S>(value);
  });
  CHECK(parade::hash_text(parade::theta_hash(all)) == (std::same_as<S, float> ? "384fac93c017dc92" : "6dafff6e7350cb7e"));
}

// --- settings and parameters ------------------------------------------------------------------------------------------------------------

TEST_CASE("elastic net and group lasso refuse settings out of their range, and leave biases alone", "[regularizers]") {
  const ParameterBlock weight{"weight", 3, 2, Role::weight}, bias{"bias", 3, 1, Role::bias};
  CHECK_NOTHROW(ElasticNet{}.check());
  CHECK_NOTHROW(GroupLasso{}.check());
  CHECK_THROWS_WITH(ElasticNet{.lambda = -1}.check(), "ElasticNet.lambda must be finite and at least 0; got -1");
  CHECK_THROWS_WITH((ElasticNet{.l1_ratio = 1.5}.check()), "ElasticNet.l1_ratio must be in [0, 1]; got 1.5");
  CHECK_THROWS_AS((ElasticNet{.l1_ratio = std::nan("")}.check()), parade::OptionError);
  CHECK_THROWS_WITH(GroupLasso{.lambda = -1}.check(), "GroupLasso.lambda must be finite and at least 0; got -1");
  CHECK_THROWS_AS(GroupLasso{.lambda = infinity}.check(), parade::OptionError);
  CHECK(ElasticNet{}.applies_to(weight));
  CHECK_FALSE(ElasticNet{}.applies_to(bias));
  CHECK(ElasticNet{.biases = true}.applies_to(bias));
  CHECK(GroupLasso{}.applies_to(weight));
  CHECK_FALSE(GroupLasso{}.applies_to(bias));
  CHECK(GroupLasso{.biases = true}.applies_to(bias));
}

TEST_CASE("Only is for the parameters that are named, and else what it was", "[regularizers]") {
  const ParameterList parameters{{"layer0.weight", 3, 2}, {"layer0.bias", 3, 1, Role::bias}, {"layer1.weight", 2, 3}};
  const Only named{L2{.lambda = 2}, "layer0.bias", std::string("layer1.weight")};
  CHECK_FALSE(named.applies_to(parameters["layer0.weight"]));
  CHECK(named.applies_to(parameters["layer0.bias"]));
  CHECK(named.applies_to(parameters["layer1.weight"]));
  CHECK(named.lambda == 2);
  CHECK(named.value(Vector<double>{{3, 4}}) == 25);
  Vector<double> grad = Vector<double>::Zero(2);
  named.add_gradient(Vector<double>{{3, 4}}, grad);
  CHECK(grad == Vector<double>{{6, 8}});
  STATIC_REQUIRE(std::same_as<Only<L2>::TermOf, Only<L2>>);  // still in one pass
  STATIC_REQUIRE(std::same_as<Only<L1>::TermOf, void>);

  const Only first{parade::MaxNormRows{}, [](const ParameterBlock& block) { return block.name.starts_with("layer0"); }};
  CHECK(first.applies_to(parameters["layer0.weight"]));
  CHECK(first.applies_to(parameters["layer0.bias"]));
  CHECK_FALSE(first.applies_to(parameters["layer1.weight"]));

  CHECK_NOTHROW(named.check());
  CHECK_NOTHROW(named.check(parameters));
  CHECK_NOTHROW(first.check(parameters));
  CHECK_THROWS_WITH((Only{L2{.lambda = -1}, "layer0.weight"}.check()), "L2.lambda must be finite and at least 0; got -1");
  CHECK_THROWS_WITH((Only{L2{}, "layer0.weight", "layer2.weight"}.check(parameters)),
                    "Only must name parameters of the model: layer0.weight, layer0.bias, layer1.weight; got 'layer2.weight'");
}

TEST_CASE("PerParameter gives each parameter its own parts, in order", "[regularizers]") {
  const ParameterList parameters{{"layer0.weight", 3, 2}, {"layer0.bias", 3, 1, Role::bias}, {"layer1.weight", 2, 3}};
  const parade::PerParameter parts{Only{L2{.lambda = 2}, "layer0.weight", "layer0.bias"}, Only{L1{.lambda = 3}, "layer1.weight"},
                                   L2{.lambda = 4}};
  const auto lambdas = [&](const char* name) {
    std::vector<double> seen;
    parts.for_each_part(parameters[name], [&](const auto& part) { seen.push_back(part.lambda); });
    return seen;
  };
  CHECK(lambdas("layer0.weight") == std::vector<double>{2, 4});
  CHECK(lambdas("layer0.bias") == std::vector<double>{2});
  CHECK(lambdas("layer1.weight") == std::vector<double>{3, 4});
  CHECK(parts.applies_to(parameters["layer0.bias"]));
  CHECK_FALSE(parts.applies_to({"layer1.bias", 2, 1, Role::bias}));
  CHECK(std::get<2>(parts.parts()).lambda == 4);
  CHECK_NOTHROW(parts.check());
  CHECK_NOTHROW(parts.check(parameters));
}

TEST_CASE("PerParameter refuses what its parts refuse, and two proximal steps or projections on a parameter", "[regularizers]") {
  using parade::PerParameter;
  const ParameterList parameters{{"first", 3, 2}, {"second", 2, 3}};
  CHECK_THROWS_WITH((PerParameter{L1{}, L2{.lambda = -1}}.check()), "L2.lambda must be finite and at least 0; got -1");
  CHECK_THROWS_WITH((PerParameter{L1{}, Only{L2{}, "third"}}.check(parameters)),
                    "Only must name parameters of the model: first, second; got 'third'");
  CHECK_THROWS_WITH((PerParameter{Only{L1{}, "second"}, GroupLasso{}}.check(parameters)),
                    "PerParameter must have at most one proximal step or projection for a parameter; got 2 for 'second'");
  CHECK_THROWS_AS((PerParameter{parade::Box{}, parade::MaxNormRows{}}.check(parameters)), parade::OptionError);
  CHECK_NOTHROW((PerParameter{Only{L1{}, "first"}, Only{GroupLasso{}, "second"}, L2{}}.check(parameters)));
  CHECK_NOTHROW((PerParameter{parade::BoxPenalty{}, parade::MaxNormRows{}}.check(parameters)));
}
