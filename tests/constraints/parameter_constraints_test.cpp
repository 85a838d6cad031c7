// SPDX-License-Identifier: MIT
// Projections of whole parameters in the optimizer's metric, compared with slow ones in long double, and by what defines a projection.
#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <type_traits>
#include <vector>

#include <parade/concepts/constraint.hpp>
#include <parade/constraints/affine_equality.hpp>
#include <parade/constraints/l1_ball.hpp>
#include <parade/constraints/l2_ball.hpp>
#include <parade/constraints/monotone.hpp>
#include <parade/constraints/simplex.hpp>
#include <parade/constraints/unit_norm_rows.hpp>
#include <parade/core/hash.hpp>

#include "support/catch.hpp"
#include "support/numbers.hpp"

namespace {

using numbers::random_matrix, numbers::same_bits;
using parade::AffineEquality, parade::Groups, parade::Index, parade::L1Ball, parade::L2Ball, parade::Matrix, parade::MaxNormRows,
    parade::Monotone, parade::Simplex, parade::UnitNormRows;
using Real = long double;

constexpr double infinity = std::numeric_limits<double>::infinity();

/// What the engine asks of a constraint of a whole parameter.
template <class C, class S>
concept ParameterConstraint = requires(const C constraint, parade::detail::Argument<parade::MatrixRef<S>> theta,
                                       const parade::detail::Argument<parade::ConstMatrixRef<S>>& read) {
  { constraint.parameter_violation(read) } -> std::convertible_to<double>;
  constraint.parameter_project(theta, read);
};
static_assert(ParameterConstraint<Simplex, float> && ParameterConstraint<Simplex, double>);
static_assert(ParameterConstraint<L1Ball, float> && ParameterConstraint<L1Ball, double>);
static_assert(ParameterConstraint<L2Ball, float> && ParameterConstraint<L2Ball, double>);
static_assert(ParameterConstraint<MaxNormRows, float> && ParameterConstraint<MaxNormRows, double>);
static_assert(ParameterConstraint<UnitNormRows, float> && ParameterConstraint<UnitNormRows, double>);
static_assert(ParameterConstraint<AffineEquality, float> && ParameterConstraint<AffineEquality, double>);
static_assert(ParameterConstraint<Monotone, float> && ParameterConstraint<Monotone, double>);

template <class S>
constexpr Real eps = std::numeric_limits<S>::epsilon();

template <class C, class S>
Matrix<S> projected(const C& constraint, Matrix<S> theta, const Matrix<S>& steps) {
  constraint.parameter_project(theta, steps);
  return theta;
}
template <class C, class S>
Matrix<S> projected(const C& constraint, const Matrix<S>& theta, S step = S{1}) {
  return projected(constraint, theta, Matrix<S>(Matrix<S>::Constant(theta.rows(), theta.cols(), step)));
}

template <class S = double>
Matrix<S> row(std::initializer_list<double> numbers) {
  Matrix<S> matrix(1, static_cast<Index>(numbers.size()));
  std::transform(numbers.begin(), numbers.end(), matrix.data(), [](double x) { return static_cast<S>(x); });
  return matrix;
}

/// Σ (a − b)(c − d) / step
template <class S>
Real inner(const Matrix<S>& a, const Matrix<S>& b, const Matrix<S>& c, const Matrix<S>& d, const Matrix<S>& steps) {
  Real sum = 0;
  for (Index i = 0; i < a.size(); ++i)
    sum += (Real{a.data()[i]} - Real{b.data()[i]}) * (Real{c.data()[i]} - Real{d.data()[i]}) / Real{steps.data()[i]};
  return sum;
}

// --- slow projections of one group, in long double --------------------------------------------------------------------------------------

using List = std::vector<Real>;

/// The root of a decreasing function, by bisection.
template <class F>
Real root(Real low, Real high, const F& f) {
  for (int i = 0; i < 300; ++i) (f((low + high) / 2) > 0 ? low : high) = (low + high) / 2;
  return (low + high) / 2;
}

List slow_threshold(const List& m, const List& s, Real total) {
  Real low = infinity, high = -infinity;
  for (std::size_t i = 0; i < m.size(); ++i) {
    low = std::min(low, (m[i] - total) / s[i]);
    high = std::max(high, m[i] / s[i]);
  }
  const auto sum = [&](Real tau) {
    Real f = -total;
    for (std::size_t i = 0; i < m.size(); ++i) f += std::max(Real{0}, m[i] - s[i] * tau);
    return f;
  };
  const Real tau = root(low, high, sum);
  List u(m.size());
  for (std::size_t i = 0; i < m.size(); ++i) u[i] = std::max(Real{0}, m[i] - s[i] * tau);
  return u;
}

List slow(const Simplex& set, const List& x, const List& s) { return slow_threshold(x, s, set.total); }

List slow(const L1Ball& set, const List& x, const List& s) {
  List m(x);
  Real sum = 0;
  for (auto& v : m) sum += v = std::abs(v);
  if (sum <= set.radius) return x;
  List u = slow_threshold(m, s, set.radius);
  for (std::size_t i = 0; i < x.size(); ++i) u[i] = std::copysign(u[i], x[i]);
  return u;
}

List slow_sphere(const List& x, const List& s, Real radius) {
  const Real most = *std::max_element(s.begin(), s.end());
  const auto at = [&](Real t) {  // t = 1 + μ·most
    List u(x);
    for (std::size_t i = 0; i < x.size(); ++i) u[i] = x[i] / (1 - s[i] / most + t * (s[i] / most));
    return u;
  };
  const auto excess = [&](Real t) {
    Real squares = 0;
    for (const Real v : at(t)) squares += v * v;
    return squares - radius * radius;
  };
  Real high = 1;
  while (excess(high) > 0) high *= 2;
  return at(root(0, high, excess));
}

List slow(const L2Ball& set, const List& x, const List& s) {
  Real squares = 0;
  for (const Real v : x) squares += v * v;
  return squares <= Real{set.radius} * Real{set.radius} ? x : slow_sphere(x, s, set.radius);
}
List slow(const MaxNormRows& set, const List& x, const List& s) { return slow(L2Ball{.radius = set.radius}, x, s); }
List slow(const UnitNormRows&, const List& x, const List& s) { return slow_sphere(x, s, 1); }

List slow(const AffineEquality& set, const List& x, const List& s) {
  const auto a = [&](std::size_t i) { return set.coefficients.empty() ? Real{1} : Real{set.coefficients[i]}; };
  Real residual = -set.value, weight = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    residual += a(i) * x[i];
    weight += a(i) * a(i) * s[i];
  }
  List u(x);
  for (std::size_t i = 0; i < x.size(); ++i) u[i] -= s[i] * a(i) * residual / weight;
  return u;
}

/// Pooling adjacent violators, with its list of pools.
List slow(const Monotone& set, const List& x, const List& s) {
  struct Pool {
    Real mean, weight;
    std::size_t size;
  };
  const Real sign = set.increasing ? 1 : -1;
  std::vector<Pool> pools;
  for (std::size_t i = 0; i < x.size(); ++i) {
    pools.push_back({sign * x[i], 1 / s[i], 1});
    while (pools.size() > 1 && pools[pools.size() - 2].mean >= pools.back().mean) {
      const Pool last = pools.back();
      pools.pop_back();
      Pool& to = pools.back();
      to.mean = (to.mean * to.weight + last.mean * last.weight) / (to.weight + last.weight);
      to.weight += last.weight;
      to.size += last.size;
    }
  }
  List u;
  for (const Pool& pool : pools) u.insert(u.end(), pool.size, sign * pool.mean);
  return u;
}

template <class C>
Groups groups_of(const C& constraint) {
  if constexpr (requires { constraint.groups; })
    return constraint.groups;
  else
    return Groups::rows;
}

template <class C, class S>
Matrix<S> slowly_projected(const C& constraint, const Matrix<S>& theta, const Matrix<S>& steps) {
  Matrix<S> result = theta;
  parade::kernels::for_each_group(groups_of(constraint), theta.rows(), theta.cols(), [&](Index i, Index j) {
    const auto from = parade::kernels::group_of(groups_of(constraint), theta, i, j),
               step = parade::kernels::group_of(groups_of(constraint), steps, i, j);
    const auto to = parade::kernels::group_of(groups_of(constraint), result, i, j);
    List x, s;
    for (Index k = 0; k < from.size; ++k) {
      x.push_back(from[k]);
      s.push_back(step[k]);
    }
    const List u = slow(constraint, x, s);
    for (Index k = 0; k < to.size; ++k) to[k] = static_cast<S>(u[static_cast<std::size_t>(k)]);
  });
  return result;
}

// --- all of them, with all groups and sizes ---------------------------------------------------------------------------------------------

/// call(constraint, rows, cols) for every set, with groups of n elements.
template <class Call>
void for_each_set(Index n, const Call& call) {
  for (const Groups groups : {Groups::whole, Groups::rows, Groups::columns}) {
    const Index rows = groups == Groups::rows ? 3 : n, cols = groups == Groups::columns ? 3 : groups == Groups::rows ? n : 1;
    std::vector<double> a(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<double>(i % 5) - 1.25;
    call(Simplex{.groups = groups}, rows, cols);
    call(Simplex{.total = 40, .groups = groups}, rows, cols);
    call(L1Ball{.radius = 2.5, .groups = groups}, rows, cols);
    call(L2Ball{.radius = 1.3, .groups = groups}, rows, cols);
    call(AffineEquality{.value = 0.7, .groups = groups}, rows, cols);
    call(AffineEquality{.coefficients = a, .value = -0.7, .groups = groups}, rows, cols);
    call(Monotone{.groups = groups}, rows, cols);
    call(Monotone{.increasing = false, .groups = groups}, rows, cols);
  }
  call(MaxNormRows{.radius = 1.3}, 3, n);
  call(UnitNormRows{}, 3, n);
}

/// call(constraint, θ, steps) for sizes and seeds, with equal and with different steps.
template <class S, class Call>
void for_each_case(const Call& call) {
  for (const Index n : {1, 2, 7, 64, 257})
    for (std::uint64_t seed = 0; seed < 3; ++seed)
      for_each_set(n, [&](const auto& constraint, Index rows, Index cols) {
        const Matrix<S> theta = random_matrix<S>(rows, cols, 10 * seed), other = random_matrix<S>(rows, cols, 10 * seed + 1);
        const Matrix<S> steps = random_matrix<S>(rows, cols, 10 * seed + 2, 0.01, 3);
        INFO(n << " elements a group, seed " << seed << ", groups " << static_cast<int>(groups_of(constraint)));
        call(constraint, theta, other, Matrix<S>(Matrix<S>::Constant(rows, cols, S(0.3))));
        call(constraint, theta, other, steps);
      });
}

template <class S>
Real largest(const Matrix<S>& a) {
  Real most = 0;
  for (Index i = 0; i < a.size(); ++i) most = std::max(most, std::abs(Real{a.data()[i]}));
  return most;
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

template <class C>
constexpr bool is_convex = !std::same_as<C, UnitNormRows>;

}  // namespace

TEST_CASE("projections of whole parameters have their documented values", "[constraints]") {
  const auto near = [](const Matrix<double>& a, const Matrix<double>& b) { return difference(a, b) <= 4 * eps<double>; };
  CHECK(near(projected(Simplex{}, row({0.5, 0.25, 0.75})), row({1.0 / 3, 1.0 / 12, 7.0 / 12})));
  CHECK(projected(Simplex{}, row({3, 0})) == row({1, 0}));
  CHECK(Simplex{}.parameter_violation(row({3, 0})) == 2);
  CHECK(projected(Simplex{}, row({1, 1}), row({1, 3})) == row({0.75, 0.25}));
  CHECK(near(projected(L1Ball{}, row({2, -1.5, 0.25})), row({0.75, -0.25, 0})));
  CHECK(std::abs(L1Ball{}.parameter_violation(row({2, -1.5, 0.25})) - 1.59375) <= 8 * eps<double>);
  CHECK(near(projected(L2Ball{}, row({3, 4})), row({0.6, 0.8})));
  CHECK(L2Ball{}.parameter_violation(row({3, 4})) == 8);
  Matrix<double> two(2, 2), clipped(2, 2);
  two << 3, 4, 0, 0.5;
  clipped << 0.6, 0.8, 0, 0.5;
  CHECK(near(projected(MaxNormRows{}, two), clipped));
  CHECK(near(projected(UnitNormRows{}, row({3, 4})), row({0.6, 0.8})));
  CHECK(UnitNormRows{}.parameter_violation(row({3, 4})) == 8);
  CHECK(projected(AffineEquality{.coefficients = {1, 2}}, row({3, 1})) == row({2, -1}));
  CHECK(std::abs(AffineEquality{.coefficients = {1, 2}}.parameter_violation(row({3, 1})) - 2.5) <= 2.5 * 4 * eps<double>);
  CHECK(near(projected(AffineEquality{}, row({3, 0}), row({2, 1})), row({1, -1})));
  CHECK(projected(Monotone{}, row({1, 4, 2, 3, 5})) == row({1, 3, 3, 3, 5}));
  CHECK(Monotone{}.parameter_violation(row({1, 4, 2, 3, 5})) == 1);
  CHECK(projected(Monotone{}, row({4, 0}), row({1, 3})) == row({3, 3}));
  CHECK(projected(Monotone{.increasing = false}, row({5, 3, 2, 4, 1})) == row({5, 3, 3, 3, 1}));
}

TEMPLATE_TEST_CASE("projections are those of slow ones in long double", "[constraints]", float, double) {
  using S = TestType;
  for_each_case<S>([](const auto& constraint, const Matrix<S>& theta, const Matrix<S>&, const Matrix<S>& steps) {
    const Matrix<S> expected = slowly_projected(constraint, theta, steps);
    const Real magnitude = std::max(largest(theta), largest(expected));
    CHECK(difference(projected(constraint, theta, steps), expected) <= 4 * eps<S> * magnitude);
    // C is half the squared distance, in the Euclidean metric.
    const Matrix<S> ones = Matrix<S>::Constant(theta.rows(), theta.cols(), 1), nearest = slowly_projected(constraint, theta, ones);
    const Real distance = inner(theta, nearest, theta, nearest, ones);
    CHECK(std::abs(Real{constraint.parameter_violation(theta)} - distance / 2) <=
          8 * eps<S> * (distance + magnitude * std::sqrt(distance)));
  });
}

TEMPLATE_TEST_CASE("projections are feasible to rounding, and idempotent to the bit", "[constraints]", float, double) {
  using S = TestType;
  int moved = 0;
  for_each_case<S>([&](const auto& constraint, const Matrix<S>& theta, const Matrix<S>& other, const Matrix<S>& steps) {
    const Matrix<S> once = projected(constraint, theta, steps);
    CHECK(constraint.parameter_violation(once) == 0);
    CHECK(same_bits(projected(constraint, once, steps), once));
    CHECK(same_bits(projected(constraint, once, Matrix<S>(other.cwiseAbs())), once));  // what is feasible is so in any metric
    moved += !same_bits(once, theta);
  });
  CHECK(moved > 500);
}

TEMPLATE_TEST_CASE("a projection is feasible by an independent measure", "[constraints]", float, double) {
  using S = TestType;
  for (const Index n : {1, 2, 7, 64, 257, 10007})
    for (const double size : {1e-3, 1.0, 1e4}) {
      INFO(n << " elements of size " << size);
      const Matrix<S> theta = random_matrix<S>(n, 1, 31, -size, 1.5 * size), steps = random_matrix<S>(n, 1, 32, 1e-4, 1);
      const auto sum = [](const Matrix<S>& u, auto f) {
        Real total = 0;
        for (Index i = 0; i < u.size(); ++i) total += f(Real{u.data()[i]});
        return total;
      };
      const Matrix<S> on_simplex = projected(Simplex{.total = 3}, theta, steps);
      CHECK(std::abs(sum(on_simplex, [](Real x) { return x; }) - 3) <= 3 * 4 * eps<S>);
      CHECK(on_simplex.minCoeff() >= 0);
      const Matrix<S> in_diamond = projected(L1Ball{.radius = 3}, theta, steps);
      CHECK(sum(in_diamond, [](Real x) { return std::abs(x); }) <= 3 * (1 + 4 * eps<S>));
      const Matrix<S> in_ball = projected(L2Ball{.radius = 3}, theta, steps);
      CHECK(std::sqrt(sum(in_ball, [](Real x) { return x * x; })) <= 3 * (1 + 4 * eps<S>));
      const Matrix<S> on_plane = projected(AffineEquality{.value = 3}, theta, steps);
      CHECK(std::abs(sum(on_plane, [](Real x) { return x; }) - 3) <= 8 * eps<S> * (3 + sum(on_plane, [](Real x) { return std::abs(x); })));
      const Matrix<S> sorted = projected(Monotone{.groups = Groups::whole}, theta, steps);
      CHECK(std::is_sorted(sorted.data(), sorted.data() + n));
    }
}

TEMPLATE_TEST_CASE("projections on convex sets are non-expansive, and nearest to all that is feasible, in the metric", "[constraints]",
                   float, double) {
  using S = TestType;
  for_each_case<S>([](const auto& constraint, const Matrix<S>& theta, const Matrix<S>& other, const Matrix<S>& steps) {
    const Matrix<S> u = projected(constraint, theta, steps), v = projected(constraint, other, steps);
    const Matrix<S> feasible = projected(constraint, other);  // feasible, found in another metric
    const Real scale =
        inner(theta, u, theta, u, steps) + inner(theta, feasible, theta, feasible, steps) + inner(theta, other, theta, other, steps);
    const Real rounding = 32 * eps<S> * (scale + largest(theta) * std::sqrt(scale));
    CHECK(inner(theta, u, theta, u, steps) <= inner(theta, feasible, theta, feasible, steps) + rounding);
    if constexpr (is_convex<std::decay_t<decltype(constraint)>>) {
      CHECK(inner(u, v, u, v, steps) <= inner(theta, other, theta, other, steps) + rounding);
      CHECK(inner(theta, u, feasible, u, steps) <= rounding);  // no acute angle between θ − Π(θ) and any way into the set
    }
  });
}

TEMPLATE_TEST_CASE("what is feasible is left to the bit", "[constraints]", float, double) {
  using S = TestType;
  const auto kept = [](const auto& constraint, const Matrix<S>& theta) {
    CHECK(constraint.parameter_violation(theta) == 0);
    CHECK(same_bits(projected(constraint, theta, Matrix<S>(random_matrix<S>(theta.rows(), theta.cols(), 41, 0.1, 2))), theta));
  };
  kept(Simplex{}, row<S>({0.1, 0.2, 0.3, 0.4, -0.0}));
  kept(Simplex{}, Matrix<S>(Matrix<S>::Constant(1, 1009, S{1} / S{1009})));
  kept(Simplex{.total = 0}, row<S>({0, 0}));
  kept(L1Ball{}, row<S>({0.1, -0.2, 0.3, -0.4, -0.0}));
  kept(L2Ball{}, row<S>({0.6, -0.8, -0.0}));
  kept(L2Ball{.radius = 0}, row<S>({0, -0.0}));
  kept(MaxNormRows{}, row<S>({0.6, -0.8, -0.0}));
  kept(UnitNormRows{}, row<S>({0.6, -0.8, -0.0}));
  kept(AffineEquality{.value = 1}, row<S>({0.1, 0.2, 0.3, 0.4, -0.0}));
  kept(AffineEquality{}, row<S>({-0.0, 0.0}));
  kept(Monotone{}, row<S>({-1, -0.0, 0, -0.0, 3, 3, infinity}));
  kept(Monotone{.increasing = false}, row<S>({3, 3, 0, -0.0, -1}));
}

TEMPLATE_TEST_CASE("the simplex projection has its conditions of Karush, Kuhn and Tucker", "[constraints]", float, double) {
  using S = TestType;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const Matrix<S> theta = random_matrix<S>(1, 257, 50 + seed), steps = random_matrix<S>(1, 257, 60 + seed, 0.01, 3);
    const Matrix<S> u = projected(Simplex{.total = 2}, theta, steps);
    Real low = -infinity, high = infinity;  // the multipliers τ that the elements allow, but for rounding
    Index inside = 0;
    for (Index i = 0; i < u.size(); ++i) {
      const Real step = steps(0, i), moved = Real{theta(0, i)} - Real{u(0, i)}, rounding = 2 * eps<S> * (2 + std::abs(moved));
      low = std::max(low, (moved - rounding) / step);
      if (u(0, i) > 0) high = std::min(high, (moved + rounding) / step);
      inside += u(0, i) > 0;
    }
    CHECK(low <= high);
    CHECK(inside > 1);
    CHECK(inside < 200);
  }
}

TEMPLATE_TEST_CASE("ties stay ties", "[constraints]", float, double) {
  using S = TestType;
  CHECK(projected(Simplex{}, row<S>({5, 5, 5, 5, 1})) == row<S>({0.25, 0.25, 0.25, 0.25, 0}));
  CHECK(projected(L1Ball{}, row<S>({5, -5, 5, -5, 0})) == row<S>({0.25, -0.25, 0.25, -0.25, 0}));
  CHECK(projected(L2Ball{}, row<S>({5, -5, 5, -5, 0})) == row<S>({0.5, -0.5, 0.5, -0.5, 0}));
  CHECK(projected(Monotone{}, row<S>({2, 2, 1, 1, 3})) == row<S>({1.5, 1.5, 1.5, 1.5, 3}));
  CHECK(projected(Monotone{}, row<S>({3, 3, 1, 1, 1, 1, 1, 1})) == row<S>({1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5}));
}

TEMPLATE_TEST_CASE("small sums of large numbers are right", "[constraints]", float, double) {
  using S = TestType;
  const S big = S{1} / std::numeric_limits<S>::epsilon();  // next to it: a half less, one more
  CHECK(projected(Simplex{}, row<S>({big, big})) == row<S>({0.5, 0.5}));
  CHECK(projected(Simplex{}, row<S>({double(big), double(big - 1)})) == row<S>({1, 0}));
  CHECK(projected(Simplex{}, row<S>({1e20, 3})) == row<S>({1, 0}));
  CHECK(projected(L1Ball{}, row<S>({-1e20, 3})) == row<S>({-1, 0}));
  CHECK(projected(Simplex{}, row<S>({-1e20, -1e20})) == row<S>({0.5, 0.5}));
  CHECK(projected(AffineEquality{}, row<S>({1e20, 1e20})) == row<S>({0, 0}));
  // 2⁰ … 2¹⁰⁰: one element leaves a pass, the most that there can be
  Matrix<S> powers(1, 101);
  for (int i = 0; i <= 100; ++i) powers(0, i) = std::ldexp(S{1}, i);
  Matrix<S> last = Matrix<S>::Zero(1, 101);
  last(0, 100) = 1;
  CHECK(projected(Simplex{}, powers) == last);
  CHECK(difference(projected(Monotone{.increasing = false}, powers), Matrix<S>(Matrix<S>::Constant(1, 101, powers.sum() / 101))) <=
        4 * eps<S> * largest(powers));
}

TEMPLATE_TEST_CASE("a plane is reached from afar", "[constraints]", float, double) {
  using S = TestType;
  const AffineEquality plane{.value = 0.7};
  const Matrix<S> theta = random_matrix<S>(257, 1, 61) + Matrix<S>::Constant(257, 1, S{0.01f} / std::numeric_limits<S>::epsilon());
  const Matrix<S> u = projected(plane, theta);
  CHECK(plane.parameter_violation(u) == 0);
  CHECK(same_bits(projected(plane, u), u));
}

TEST_CASE("neither overflow nor underflow of squares spoils a ball", "[constraints]") {
  for (const double size : {1e300, 1e-300}) {
    CHECK(difference(projected(L2Ball{.radius = size}, row({3 * size, 4 * size})), row({0.6 * size, 0.8 * size})) <=
          4 * eps<double> * size);
    CHECK(difference(projected(L2Ball{.radius = size}, row({3 * size, 4 * size}), row({1e-3, 1})),
                     Matrix<double>(size * projected(L2Ball{}, row({3, 4}), row({1e-3, 1})))) <= 8 * eps<double> * size);
  }
  CHECK(difference(projected(UnitNormRows{}, row({3e-310, 4e-310})), row({0.6, 0.8})) <= 1e-12L);  // subnormal: few bits
}

TEMPLATE_TEST_CASE("steps of any range are a metric", "[constraints]", float, double) {
  using S = TestType;
  const Matrix<S> theta = random_matrix<S>(3, 7, 71), zeros = Matrix<S>::Zero(3, 7);
  for_each_set(7, [&](const auto& constraint, Index rows, Index cols) {
    const Matrix<S> x = theta.reshaped().head(rows * cols > 7 ? 21 : 7).reshaped(rows, cols);
    const Matrix<S> none = Matrix<S>::Zero(rows, cols);
    CHECK(same_bits(projected(constraint, x, none), projected(constraint, x, S(0.3))));  // a rate of 0: Euclidean
    // A common factor is none: no bits change by a power of two.
    const Matrix<S> steps = random_matrix<S>(rows, cols, 72, 0.01, 3);
    CHECK(same_bits(projected(constraint, x, steps), projected(constraint, x, Matrix<S>(steps * std::ldexp(S{1}, -40)))));
    for (const double wild : {0.0, 1e-30, 1e30, infinity}) {
      Matrix<S> some = steps;
      for (Index i = 0; i < some.size(); i += 2) some.data()[i] = static_cast<S>(wild);
      const Matrix<S> u = projected(constraint, x, some);
      INFO("steps of " << wild << " among others");
      CHECK(u.allFinite());
      CHECK(constraint.parameter_violation(u) == 0);
    }
  });
  // What has no step stays, as far as the set allows.
  CHECK(projected(Simplex{}, row<S>({0.75, 0.5, 0.5}), row<S>({0, 1, 1})) == row<S>({0.75, 0.125, 0.125}));
  CHECK(projected(AffineEquality{}, row<S>({0.75, 0.5}), row<S>({0, 1})) == row<S>({0.75, -0.75}));
  CHECK(projected(Simplex{}, row<S>({3, 0.5}), row<S>({0, 1})) == row<S>({1, 0}));
}

TEMPLATE_TEST_CASE("a row of norm 1 is found for zeros, in the metric", "[constraints]", float, double) {
  using S = TestType;
  CHECK(projected(UnitNormRows{}, row<S>({0, 0, 0})) == row<S>({1, 0, 0}));
  CHECK(projected(UnitNormRows{}, row<S>({0, 0, 0}), row<S>({1, 3, 3})) == row<S>({0, 1, 0}));
  // Zero at the largest step, and short: u_2 = 0.3/(1 − ½) and the rest goes to the element that is free.
  const Matrix<S> u = projected(UnitNormRows{}, row<S>({0, 0.3}), row<S>({2, 1}));
  CHECK(difference(u, row<S>({0.8, 0.6})) <= 4 * eps<S>);
  for (int k = 0; k <= 360; ++k) {  // no point of the circle is nearer in the metric
    const S c = static_cast<S>(std::cos(k * 3.14159265358979 / 180)), s = static_cast<S>(std::sin(k * 3.14159265358979 / 180));
    const Matrix<S> v = row<S>({double(c), double(s)}), theta = row<S>({0, 0.3}), steps = row<S>({2, 1});
    CHECK(inner(theta, u, theta, u, steps) <= inner(theta, v, theta, v, steps) + 8 * eps<S>);
  }
}

TEMPLATE_TEST_CASE("what is not finite does not become finite in a projection", "[constraints]", float, double) {
  using S = TestType;
  for (const double bad : {std::nan(""), infinity, -infinity})
    for (const Index n : {2, 7})
      for_each_set(n, [&](const auto& constraint, Index rows, Index cols) {
        using C = std::decay_t<decltype(constraint)>;
        if (std::same_as<C, Monotone> && !std::isnan(bad)) return;  // infinity may be in order
        for (const Index at : {Index{0}, rows * cols - 1}) {
          if constexpr (std::same_as<C, AffineEquality>) {
            if (!constraint.coefficients.empty() && constraint.coefficients.front() == 0) continue;
          }
          for (const bool equal : {true, false}) {
            Matrix<S> theta = random_matrix<S>(rows, cols, 81);
            theta.data()[at] = static_cast<S>(bad);
            const Matrix<S> steps =
                equal ? Matrix<S>(Matrix<S>::Constant(rows, cols, 1)) : Matrix<S>(random_matrix<S>(rows, cols, 82, 0.1, 3));
            const Matrix<S> u = projected(constraint, theta, steps);
            CHECK_FALSE(std::isfinite(u.data()[at]));
            CHECK(std::isnan(constraint.parameter_violation(theta)));
          }
        }
      });
  for (const double size : {0.0, 1.0}) {
    CHECK(std::isnan(projected(Simplex{.total = size}, row<S>({std::nan(""), 1}))(0, 0)));
    CHECK(std::isnan(projected(L1Ball{.radius = size}, row<S>({std::nan(""), 1}))(0, 0)));
    CHECK(std::isnan(projected(L2Ball{.radius = size}, row<S>({std::nan(""), 1}))(0, 0)));
  }
  CHECK(std::isnan(projected(Monotone{}, row<S>({std::nan("")}))(0, 0)));
  CHECK(std::isnan(projected(Simplex{}, row<S>({1, 2}), row<S>({std::nan(""), 1}))(0, 0)));
}

TEMPLATE_TEST_CASE("parameters of no elements have no violation", "[constraints]", float, double) {
  using S = TestType;
  for (const auto& [rows, cols] : std::vector<std::pair<Index, Index>>{{0, 0}, {0, 3}, {3, 0}})
    for_each_set(0, [&, rows = rows, cols = cols](const auto& constraint, Index, Index) {
      CHECK(constraint.parameter_violation(Matrix<S>(rows, cols)) == 0);
      CHECK(projected(constraint, Matrix<S>(rows, cols)).size() == 0);
    });
}

TEST_CASE("sets of size 0 hold nothing but 0", "[constraints]") {
  CHECK(same_bits(projected(Simplex{.total = 0}, row({3, -2})), row({0, 0})));
  CHECK(same_bits(projected(L1Ball{.radius = 0}, row({3, -2})), row({0, 0})));
  CHECK(same_bits(projected(L2Ball{.radius = 0}, row({3, -2})), row({0, 0})));
  CHECK(same_bits(projected(MaxNormRows{.radius = 0}, row({3, -2})), row({0, 0})));
  CHECK(L2Ball{.radius = 0}.parameter_violation(row({3, 4})) == 12.5);
  CHECK(Simplex{.total = 0}.parameter_violation(row({3, -4})) == 12.5);
}

TEST_CASE("groups are rows, columns, or all, and a whole parameter must be contiguous", "[constraints]") {
  Matrix<double> theta(2, 2);
  theta << 3, 1, 1, 1;
  Matrix<double> rows(2, 2), columns(2, 2), whole(2, 2);
  rows << 1, 0, 0.5, 0.5;
  columns << 1, 0.5, 0, 0.5;
  whole << 1, 0, 0, 0;
  CHECK(projected(Simplex{.groups = Groups::rows}, theta) == rows);
  CHECK(projected(Simplex{.groups = Groups::columns}, theta) == columns);
  CHECK(projected(Simplex{}, theta) == whole);
  Matrix<double> wide = Matrix<double>::Constant(4, 2, 7);
  wide.topRows(2) = theta;
  Simplex{.groups = Groups::rows}.parameter_project(wide.topRows(2), Matrix<double>::Ones(2, 2));
  CHECK(wide.topRows(2) == rows);
  CHECK(wide.bottomRows(2) == Matrix<double>::Constant(2, 2, 7));
  CHECK_THROWS_AS(Simplex{}.parameter_project(wide.topRows(2), Matrix<double>::Ones(2, 2)), std::invalid_argument);
}

TEST_CASE("constraints of whole parameters refuse settings that have no sense", "[constraints]") {
  CHECK_NOTHROW(Simplex{.total = 0}.check());
  CHECK_NOTHROW(L1Ball{.radius = 0}.check());
  CHECK_NOTHROW(L2Ball{}.check());
  CHECK_NOTHROW(AffineEquality{}.check());
  CHECK_NOTHROW(AffineEquality{.coefficients = {0, 1}, .value = -3}.check());
  CHECK_THROWS_WITH(Simplex{.total = -1}.check(), "Simplex.total must be finite and at least 0; got -1");
  CHECK_THROWS_WITH(L1Ball{.radius = -1}.check(), "L1Ball.radius must be finite and at least 0; got -1");
  CHECK_THROWS_WITH(L2Ball{.radius = -1}.check(), "L2Ball.radius must be finite and at least 0; got -1");
  CHECK_THROWS_WITH(MaxNormRows{.radius = -1}.check(), "MaxNormRows.radius must be finite and at least 0; got -1");
  CHECK_THROWS_WITH((AffineEquality{.coefficients = {1, infinity}}.check()), "AffineEquality.coefficients must be finite; got inf at 1");
  CHECK_THROWS_WITH((AffineEquality{.coefficients = {0, 0}, .value = 1}.check()),
                    "AffineEquality.coefficients must not be all 0: no θ, or any θ, would solve the equation");
  for (const double bad : {std::nan(""), infinity}) {
    CHECK_THROWS_AS(Simplex{.total = bad}.check(), parade::OptionError);
    CHECK_THROWS_AS(L1Ball{.radius = bad}.check(), parade::OptionError);
    CHECK_THROWS_AS(L2Ball{.radius = bad}.check(), parade::OptionError);
    CHECK_THROWS_AS(MaxNormRows{.radius = bad}.check(), parade::OptionError);
    CHECK_THROWS_AS(AffineEquality{.value = bad}.check(), parade::OptionError);
  }
  CHECK_THROWS_WITH((AffineEquality{.coefficients = {1, 2}}.parameter_violation(row({1, 2, 3}))),
                    "AffineEquality.coefficients must have one number for each element of a group: 3; got 2");
  CHECK_THROWS_AS((projected(AffineEquality{.coefficients = {1, 2}}, row({1, 2, 3}))), parade::OptionError);
}

TEMPLATE_TEST_CASE("projections have the same bits under every compiler", "[constraints]", float, double) {
  using S = TestType;
  parade::Vector<S> all(0);
  for_each_case<S>([&](const auto& constraint, const Matrix<S>& theta, const Matrix<S>&, const Matrix<S>& steps) {
    const Matrix<S> u = projected(constraint, theta, steps);
    const double violation = constraint.parameter_violation(theta);
    const Index size = all.size();
    all.conservativeResize(size + u.size() + 1);
    all.segment(size, u.size()) = u.reshaped();
    all[size + u.size()] = static_cast<S>(violation);
  });
  CHECK(parade::hash_text(parade::theta_hash(all)) == (std::same_as<S, float> ? "035bb9a993d842a4" : "13f215a0753b37de"));
}
