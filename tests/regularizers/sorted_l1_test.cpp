// SPDX-License-Identifier: MIT
// The sorted L1 norm, by what defines a proximal step and compared with a slow one, and in a training.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include <parade/core/hash.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/linear.hpp>
#include <parade/optimizers/adagrad.hpp>
#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/only.hpp>
#include <parade/regularizers/per_parameter.hpp>
#include <parade/regularizers/sorted_l1.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/numbers.hpp"
#include "support/training.hpp"

namespace {

using numbers::random_matrix, numbers::random_vector, numbers::same_bits;
using parade::benjamini_hochberg_sequence, parade::oscar_sequence;
using parade::Groups, parade::Index, parade::L1, parade::Matrix, parade::Only, parade::ParameterList, parade::Role, parade::SortedL1,
    parade::Vector;
using Real = long double;

constexpr double infinity = std::numeric_limits<double>::infinity();

template <class S>
constexpr Real eps = std::numeric_limits<S>::epsilon();

template <class S>
Matrix<S> prox(const SortedL1& norm, Matrix<S> theta, const Matrix<S>& steps) {
  norm.parameter_prox(theta, steps);
  return theta;
}
Matrix<double> column(std::initializer_list<double> numbers) {
  Matrix<double> matrix(static_cast<Index>(numbers.size()), 1);
  std::copy(numbers.begin(), numbers.end(), matrix.data());
  return matrix;
}

/// Numbers that fall: with steps, a flat part, and zeros at the end, as `kind` says.
Vector<double> sequence(Index size, int kind, double scale) {
  if (kind == 0) return oscar_sequence(size, 0.2 * scale, scale / static_cast<double>(size));
  if (kind == 1) return benjamini_hochberg_sequence(size, 0.3, scale);
  if (kind == 2) return Vector<double>::Constant(size, scale);
  Vector<double> lambda = Vector<double>::Zero(size);
  for (Index i = 0; i < (size + 1) / 2; ++i) lambda[i] = i < size / 4 ? 2 * scale : scale;
  return lambda;
}

std::vector<Real> sorted_magnitudes(std::vector<Real> x) {
  for (Real& v : x) v = std::abs(v);
  std::sort(x.begin(), x.end(), [](Real a, Real b) { return a > b; });
  return x;
}
Real sorted_norm(const Vector<double>& lambda, const std::vector<Real>& u) {
  Real sum = 0;
  const auto sizes = sorted_magnitudes(u);
  for (std::size_t i = 0; i < u.size(); ++i) sum += Real{lambda[static_cast<Index>(i)]} * sizes[i];
  return sum;
}

/// call(norm, θ, another θ, steps)
template <class S, class Call>
void for_each_case(const Call& call) {
  for (const Index n : {1, 2, 3, 8, 65, 300})
    for (const int kind : {0, 1, 2, 3})
      for (const double scale : {0.05, 0.5, 1.5})
        for (std::uint64_t seed = 0; seed < 2; ++seed) {
          INFO(n << " elements, lambda of kind " << kind << ", scale " << scale << ", seed " << seed);
          const SortedL1 norm{.lambda = sequence(n, kind, scale)};
          Matrix<S> theta = random_matrix<S>(n, 1, 10 * seed), other = random_matrix<S>(n, 1, 10 * seed + 1);
          if (seed == 1)
            for (Index i = 0; i < n; ++i) theta(i, 0) = std::round(4 * theta(i, 0)) / 4;  // ties and zeros
          call(norm, theta, other, Matrix<S>(Matrix<S>::Constant(n, 1, S(0.7))));
          call(norm, theta, other, random_matrix<S>(n, 1, 10 * seed + 2, 0.01, 2));
          Matrix<S> two = random_matrix<S>(n, 1, 10 * seed + 3);
          for (Index i = 0; i < n; ++i) two(i, 0) = two(i, 0) > 0 ? S(0.5) : S(2);
          call(norm, theta, other, two);
        }
}

}  // namespace

// --- the sequences ----------------------------------------------------------------------------------------------------------------------

TEST_CASE("the normal quantile is the inverse of the tail of the normal distribution", "[regularizers]") {
  using parade::kernels::normal_quantile;
  CHECK(normal_quantile(0.5) == 0);
  CHECK(normal_quantile(0.25) == Approx(0.6744897501960817).epsilon(1e-15));
  CHECK(normal_quantile(0.025) == Approx(1.9599639845400545).epsilon(1e-15));
  Real tail = 0.5L;
  for (int i = 0; i < 2000; ++i, tail *= 0.71L) {  // down to 1e-300
    const Real x = normal_quantile(static_cast<double>(tail)), back = std::erfc(x / std::sqrt(Real{2})) / 2;
    const Real slope = std::exp(-x * x / 2) / std::sqrt(8 * std::atan(Real{1}));
    CAPTURE(i);
    CHECK(std::abs(back - static_cast<double>(tail)) <= 4 * eps<double> * std::max(x, Real{0.1}) * slope);
    if (tail < 1e-300L) break;
  }
}

TEST_CASE("the sequences of SLOPE and OSCAR are what they are documented to be, and fall", "[regularizers]") {
  CHECK(oscar_sequence(3, 1, 0.5) == Vector<double>{{2, 1.5, 1}});
  CHECK(oscar_sequence(0, 1, 0.5).size() == 0);
  const Vector<double> theta{{0.5, -3, 2, 0, 1}};
  double pairs = 0;
  for (Index i = 0; i < 5; ++i)
    for (Index j = 0; j < i; ++j) pairs += std::max(std::abs(theta[i]), std::abs(theta[j]));
  CHECK(SortedL1{.lambda = oscar_sequence(5, 0.25, 0.5)}.parameter_value(theta) == 0.25 * 6.5 + 0.5 * pairs);

  const auto two = benjamini_hochberg_sequence(2, 0.1);
  CHECK(two[0] == Approx(1.959963984540054).epsilon(1e-14));
  CHECK(two[1] == Approx(1.6448536269514722).epsilon(1e-14));
  CHECK(benjamini_hochberg_sequence(2, 0.1, 3) == Vector<double>(3 * two));
  for (const Index size : {1, 10, 100000}) {
    const auto lambda = benjamini_hochberg_sequence(size, 0.99);
    CHECK_NOTHROW(SortedL1{.lambda = lambda}.check());
    CHECK(lambda[size - 1] == Approx(0.012533469508069276).epsilon(1e-13));
  }
  CHECK_THROWS_WITH(oscar_sequence(3, -1, 0), "oscar_sequence: l1 must be finite and at least 0; got -1");
  CHECK_THROWS_WITH(oscar_sequence(3, 1, infinity), "oscar_sequence: pairwise must be finite and at least 0; got inf");
  CHECK_THROWS_WITH(oscar_sequence(-3, 1, 0), "oscar_sequence: size must be at least 0; got -3");
  CHECK_THROWS_WITH(benjamini_hochberg_sequence(3, 1), "benjamini_hochberg_sequence: q must be above 0 and below 1; got 1");
  CHECK_THROWS_AS(benjamini_hochberg_sequence(3, std::nan("")), parade::OptionError);
  CHECK_THROWS_AS(benjamini_hochberg_sequence(3, 0.1, -1), parade::OptionError);
  CHECK_THROWS_AS(benjamini_hochberg_sequence(-1, 0.1), parade::OptionError);
}

// --- value and proximal step ------------------------------------------------------------------------------------------------------------

TEST_CASE("the sorted L1 norm has its documented values", "[regularizers]") {
  const SortedL1 norm{.lambda = Vector<double>{{2, 1}}};
  const Matrix<double> ones = Matrix<double>::Ones(2, 1);
  CHECK(norm.parameter_value(column({3, -4})) == 11);
  CHECK(prox(norm, column({3, -4}), ones) == column({2, -2}));
  CHECK(same_bits(prox(norm, column({3, -1}), ones), column({1, 0})));
  CHECK(prox(norm, column({3, -4}), column({0, 0})) == column({3, -4}));
  // λ_1 times the largest: its proximal step takes αλ_1 off the largest together.
  CHECK(prox(SortedL1{.lambda = Vector<double>{{2, 0, 0}}}, column({5, -4, 1}), Matrix<double>(Matrix<double>::Ones(3, 1))) ==
        column({3.5, -3.5, 1}));
  CHECK(prox(SortedL1{.lambda = Vector<double>::Zero(2)}, column({3, -4}), column({1, 2})) == column({3, -4}));
  // In the metric: (θ − u)/α = (1.5, 1.5) has the sums 1.5 ≤ 2, 3 = 3 and u = (2.25, 2.25).
  CHECK(prox(norm, column({3, 3.75}), column({0.5, 1})) == column({2.25, 2.25}));
  CHECK(SortedL1{.lambda = Vector<double>(0)}.parameter_value(Matrix<double>(0, 1)) == 0);
  CHECK(prox(SortedL1{.lambda = Vector<double>(0)}, Matrix<double>(0, 1), Matrix<double>(0, 1)).size() == 0);
}

TEMPLATE_TEST_CASE("the sorted L1 step is a minimum: (theta - u)/step is in the dual ball and meets u", "[regularizers]", float, double) {
  using S = TestType;
  Index zeros = 0, elements = 0, clusters = 0;
  for_each_case<S>([&](const SortedL1& norm, const Matrix<S>& theta, const Matrix<S>&, const Matrix<S>& steps) {
    const Matrix<S> u = prox(norm, theta, steps);
    // With v = (θ − u)/α: Σ of the k largest |v_i| ≤ Σ of the k largest λ for all k, and ⟨v, u⟩ = R(u). That is all (Fenchel, Moreau).
    std::vector<Real> v, into, doubts;
    Real along = 0, doubt = 0;
    for (Index i = 0; i < u.size(); ++i) {
      v.push_back((Real{theta(i, 0)} - u(i, 0)) / steps(i, 0));
      into.push_back(u(i, 0));
      along += v.back() * u(i, 0);
      doubt += 2 * eps<S> * (std::abs(Real{theta(i, 0)}) / steps(i, 0));
      doubt += std::is_same_v<S, double> ? 2 * eps<S> * Real{norm.lambda[i]} : 0;
      CHECK(u(i, 0) * theta(i, 0) >= 0);
      zeros += u(i, 0) == 0;
    }
    elements += u.size();
    const auto sizes = sorted_magnitudes(v);
    Real sum = 0;
    for (Index k = 0; k < u.size(); ++k) {
      sum += sizes[static_cast<std::size_t>(k)] - Real{norm.lambda[k]};
      CHECK(sum <= doubt);
    }
    CHECK(std::abs(along - sorted_norm(norm.lambda, into)) <= 2 * doubt);
    CHECK(norm.parameter_value(u) == Approx(static_cast<double>(sorted_norm(norm.lambda, into))).epsilon(1e-14).margin(1e-300));
    auto distinct = sorted_magnitudes(into);
    for (std::size_t i = 1; i < distinct.size(); ++i) clusters += distinct[i] == distinct[i - 1] && distinct[i] != 0;
  });
  CHECK(zeros > elements / 10);
  CHECK(zeros < elements / 2);
  CHECK(clusters > elements / 10);
}

TEMPLATE_TEST_CASE("the sorted L1 step beats random points, and is non-expansive in the metric", "[regularizers]", float, double) {
  using S = TestType;
  for_each_case<S>([](const SortedL1& norm, const Matrix<S>& theta, const Matrix<S>& other, const Matrix<S>& steps) {
    const auto objective = [&](const Matrix<S>& u) {
      Real sum = norm.parameter_value(u);
      for (Index i = 0; i < u.size(); ++i) {
        const Real d = Real{u(i, 0)} - Real{theta(i, 0)};
        sum += d * d / (2 * Real{steps(i, 0)});
      }
      return sum;
    };
    const Matrix<S> u = prox(norm, theta, steps), v = prox(norm, other, steps);
    const Real best = objective(u);
    for (std::uint64_t k = 0; k < 4; ++k) {
      const Matrix<S> near = u + random_matrix<S>(u.rows(), 1, 90 + k, -1, 1) * S(k % 2 == 0 ? 0.1 : 1e-3);
      CHECK(best <= objective(near) + 8 * eps<S> * best);
      CHECK(best <= objective(random_matrix<S>(u.rows(), 1, 95 + k)) + 8 * eps<S> * best);
    }
    Real moved = 0, apart = 0;
    for (Index i = 0; i < u.size(); ++i) {
      const Real du = Real{u(i, 0)} - Real{v(i, 0)}, dx = Real{theta(i, 0)} - Real{other(i, 0)};
      moved += du * du / steps(i, 0);
      apart += dx * dx / steps(i, 0);
    }
    CHECK(moved <= apart * (1 + 16 * eps<S>));
  });
}

TEST_CASE("with one lambda it is L1, and the two ways to the proximal point are one", "[regularizers]") {
  const Matrix<double> theta = random_matrix<double>(1009, 1, 1), steps = random_matrix<double>(1009, 1, 2, 0, 3);
  const SortedL1 norm{.lambda = Vector<double>::Constant(1009, 0.3)};
  for (const bool equal : {true, false}) {
    const Matrix<double> of = equal ? Matrix<double>(Matrix<double>::Constant(1009, 1, 0.8)) : steps;
    Vector<double> lasso = theta.col(0);
    L1{.lambda = 0.3}.prox(lasso, of.col(0));
    const Matrix<double> u = prox(norm, theta, of);
    if (equal) CHECK(same_bits(Vector<double>(u.col(0)), lasso));
    CHECK((u.col(0) - lasso).cwiseAbs().maxCoeff() <= 4 * std::numeric_limits<double>::epsilon());
    CHECK(norm.parameter_value(theta) == Approx(L1{.lambda = 0.3}.value(theta.col(0))).epsilon(1e-14));
  }
  // One step that differs by 1e-13 is the other way, and nearly the same point.
  for (const int kind : {0, 1, 3}) {
    const SortedL1 slope{.lambda = sequence(1009, kind, 0.5)};
    const Matrix<double> same = Matrix<double>::Constant(1009, 1, 0.8);
    Matrix<double> nearly = same;
    nearly(77, 0) *= 1 + 1e-13;
    CHECK((prox(slope, theta, same) - prox(slope, theta, nearly)).cwiseAbs().maxCoeff() <= 1e-12);
  }
}

TEST_CASE("sorted L1 of rows and of columns is that of each", "[regularizers]") {
  const Matrix<double> theta = random_matrix<double>(3, 7, 5), steps = random_matrix<double>(3, 7, 6, 0.1, 1);
  const SortedL1 rows{.lambda = sequence(7, 1, 0.5), .groups = Groups::rows},
      columns{.lambda = sequence(3, 1, 0.5), .groups = Groups::columns};
  const Matrix<double> by_rows = prox(rows, theta, steps), by_columns = prox(columns, theta, steps);
  double of_rows = 0, of_columns = 0;
  for (Index i = 0; i < 3; ++i) {
    const Matrix<double> row = theta.row(i), row_steps = steps.row(i);
    CHECK(same_bits(by_rows.row(i), prox(rows, row, row_steps)));
    of_rows += rows.parameter_value(row);
  }
  for (Index j = 0; j < 7; ++j) {
    const Matrix<double> one = theta.col(j), one_steps = steps.col(j);
    CHECK(same_bits(by_columns.col(j), prox(columns, one, one_steps)));
    of_columns += columns.parameter_value(one);
  }
  CHECK(rows.parameter_value(theta) == Approx(of_rows).epsilon(1e-14));
  CHECK(columns.parameter_value(theta) == Approx(of_columns).epsilon(1e-14));
}

TEMPLATE_TEST_CASE("steps of any range are taken by sorted L1, and many equal elements in no time", "[regularizers]", float, double) {
  using S = TestType;
  const SortedL1 norm{.lambda = Vector<double>{{1, 0.5, 0.5, 0.25}}};
  Matrix<S> theta(4, 1), steps(4, 1);
  theta << 1, -2, 3, 0;
  for (const double wild : {0.0, 1e-30, 1e30}) {
    steps << 1, static_cast<S>(wild), S(0.5), static_cast<S>(wild);
    const Matrix<S> u = prox(norm, theta, steps);
    INFO("steps of " << wild);
    CHECK(u.allFinite());
    CHECK(same_bits(u.row(3), Matrix<S>(Matrix<S>::Zero(1, 1))));
    if (wild < 1) {
      CHECK(u(1, 0) == -2);
      CHECK(u(2, 0) == 2.5);  // |θ|_(1) − ½
      CHECK(u(0, 0) == 0.5);  // the third
    } else {
      CHECK(u(1, 0) == 0);
    }
  }
  // What barely moves does so by at most α times the largest λ, and the others by as much.
  for (const int kind : {0, 1, 3}) {
    const SortedL1 slope{.lambda = sequence(65, kind, 1)};
    const Matrix<S> from = random_matrix<S>(65, 1, 31);
    Matrix<S> tiny = random_matrix<S>(65, 1, 32, 0.1, 1), small = tiny;
    for (Index i = 0; i < 65; i += 3) {
      tiny(i, 0) = S(1e-30);
      small(i, 0) = S(1e-6);
    }
    CHECK((prox(slope, from, tiny) - prox(slope, from, small)).cwiseAbs().maxCoeff() <= S(3e-6));
  }
  const Index many = 100000;  // and not many² operations
  for (const double value : {0.3, 0.77, 1.1, 1.9}) {
    const Matrix<S> same = Matrix<S>::Constant(many, 1, static_cast<S>(value));
    Matrix<S> two = Matrix<S>::Constant(many, 1, S(0.1));
    two(5, 0) = S(0.23);
    const Matrix<S> u = prox(SortedL1{.lambda = Vector<double>::Constant(many, 0.7)}, same, two);
    CHECK(u.minCoeff() == u(5, 0));
    CHECK(u.maxCoeff() == u(6, 0));
    CHECK((u.array() == u(6, 0)).count() == many - 1);
  }
}

TEMPLATE_TEST_CASE("NaN and infinity make a group of sorted L1 NaN, whatever else is in it", "[regularizers]", float, double) {
  using S = TestType;
  const SortedL1 norm{.lambda = sequence(7, 1, 0.2), .groups = Groups::rows};
  for (const double bad : {std::nan(""), infinity, -infinity})
    for (const bool in_steps : {false, true})
      for (const bool equal : {true, false}) {
        Matrix<S> theta = random_matrix<S>(3, 7, 20);
        Matrix<S> steps = equal ? Matrix<S>(Matrix<S>::Ones(3, 7)) : random_matrix<S>(3, 7, 21, 0.1, 1);
        (in_steps ? steps : theta)(1, 2) = static_cast<S>(bad);
        if (!in_steps) CHECK_FALSE(std::isfinite(norm.parameter_value(theta)));
        const Matrix<S> u = prox(norm, theta, steps);
        CHECK(u.row(1).array().isNaN().all());
        CHECK(u.row(0).allFinite());
        CHECK(u.row(2).allFinite());
      }
}

TEMPLATE_TEST_CASE("sorted L1 has the same bits under every compiler", "[regularizers]", float, double) {
  using S = TestType;
  std::vector<S> all;
  for_each_case<S>([&](const SortedL1& norm, const Matrix<S>& theta, const Matrix<S>&, const Matrix<S>& steps) {
    const Matrix<S> u = prox(norm, theta, steps);
    all.insert(all.end(), u.data(), u.data() + u.size());
    all.push_back(static_cast<S>(norm.parameter_value(theta)));
  });
  const Vector<S> numbers = Eigen::Map<const Vector<S>>(all.data(), static_cast<Index>(all.size()));
  CHECK(parade::hash_text(parade::theta_hash(numbers)) == (std::is_same_v<S, float> ? "6b63c317ffd62f29" : "dfe2be752c94fe71"));
}

// --- settings ---------------------------------------------------------------------------------------------------------------------------

TEST_CASE("sorted L1 refuses a lambda that increases, is negative, NaN or infinite, or not as long as a group", "[regularizers]") {
  CHECK_NOTHROW((SortedL1{.lambda = Vector<double>{{3, 3, 1, 0, 0}}}.check()));
  CHECK_NOTHROW(SortedL1{}.check());
  CHECK_THROWS_WITH((SortedL1{.lambda = Vector<double>{{3, 1, 2}}}.check()), "SortedL1.lambda must not increase; got 2 at 2 after 1");
  CHECK_THROWS_WITH((SortedL1{.lambda = Vector<double>{{3, -1}}}.check()), "SortedL1.lambda must be finite and at least 0; got -1 at 1");
  CHECK_THROWS_AS((SortedL1{.lambda = Vector<double>{{3, std::nan("")}}}.check()), parade::OptionError);
  CHECK_THROWS_AS((SortedL1{.lambda = Vector<double>{{infinity, 1}}}.check()), parade::OptionError);

  const ParameterList parameters{{"weight", 3, 2}, {"bias", 3, 1, Role::bias}};
  const SortedL1 six{.lambda = oscar_sequence(6, 1, 1)}, three{.lambda = oscar_sequence(3, 1, 1)};
  CHECK_NOTHROW(six.check(parameters));
  CHECK_NOTHROW((SortedL1{.lambda = three.lambda, .groups = Groups::columns}.check(parameters)));
  CHECK_NOTHROW((SortedL1{.lambda = oscar_sequence(2, 1, 1), .groups = Groups::rows}.check(parameters)));
  CHECK_THROWS_WITH(three.check(parameters), "SortedL1.lambda must have one number for each element of a group: 6 for 'weight'; got 3");
  CHECK_THROWS_WITH((SortedL1{.lambda = six.lambda, .biases = true}.check(parameters)),
                    "SortedL1.lambda must have one number for each element of a group: 3 for 'bias'; got 6");
  CHECK_THROWS_WITH(prox(three, Matrix<double>(Matrix<double>::Ones(2, 1)), Matrix<double>(Matrix<double>::Ones(2, 1))),
                    "SortedL1.lambda must have one number for each element of a group: 2; got 3");
  CHECK_THROWS_AS(three.parameter_value(Matrix<double>(Matrix<double>::Ones(2, 1))), parade::OptionError);

  // Only checks what it is for.
  const ParameterList two{{"first", 3, 2}, {"second", 3, 1}};
  CHECK_NOTHROW((Only{three, "second"}.check(two)));
  CHECK_THROWS_WITH((Only{three, "first"}.check(two)),
                    "SortedL1.lambda must have one number for each element of a group: 6 for 'first'; got 3");
  CHECK_NOTHROW((parade::PerParameter{Only{six, "first"}, Only{three, "second"}}.check(two)));
  CHECK_NOTHROW((Only{three, "bias"}.check(parameters)));
  CHECK_THROWS_WITH((Only{six, "bias"}.check(parameters)),
                    "SortedL1.lambda must have one number for each element of a group: 3 for 'bias'; got 6");

  // What leaves the range of numbers is not 0.
  Matrix<double> theta(2, 1), steps(2, 1);
  theta << 1e300, 5;
  steps << 1e-30, 1;
  (SortedL1{.lambda = oscar_sequence(2, 0.5, 0.5)}.parameter_prox(parade::MatrixRef<double>(theta), steps));
  CHECK(theta.array().isNaN().all());
}

// --- training ---------------------------------------------------------------------------------------------------------------------------

namespace {

/// Two parts with a workspace each, in the metric of an adaptive optimizer.
auto trainer(Index outputs = 3) {
  return parade::Trainer{parade::Linear<double>{8, outputs}, parade::SquaredError{},
                         parade::PerParameter{Only{SortedL1{.lambda = oscar_sequence(24, 0.02, 0.004)}, "weight"},
                                              Only{SortedL1{.lambda = oscar_sequence(3, 0, 0.1)}, "bias"}},
                         parade::Adagrad{.rate = 0.1}};
}
const parade::FitOptions options{.epochs = 60, .batch_size = 24, .seed = 3, .threads = 1, .shard_size = 5};

}  // namespace

TEST_CASE("a training with sorted L1 has one hash on any number of threads, zeros, and rests at the optimum") {
  const auto data = training::regression_data<double>(8, 103, 3);
  const training::SleepyData<double> sleepy(data);
  const auto hash = [&](const auto& of, int threads) {
    auto own = options;
    own.epochs = 4;
    own.threads = threads;
    auto one = trainer();
    const auto summary = one.fit(of, own);
    CHECK(summary.history.back().penalty ==
          Approx(SortedL1{.lambda = oscar_sequence(24, 0.02, 0.004)}.parameter_value(one.parameter("weight")) +
                 SortedL1{.lambda = oscar_sequence(3, 0, 0.1)}.parameter_value(one.parameter("bias")))
              .epsilon(1e-13));
    return summary.theta_hash;
  };
  const auto one = hash(data, 1);
  for (const int threads : training::thread_counts) {
    CAPTURE(threads);
    CHECK(hash(data, threads) == one);
    CHECK(hash(sleepy, threads) == one);
  }

  auto whole = trainer();
  auto own = options;
  own.epochs = 3000;
  own.batch_size = 103;
  const auto summary = whole.fit(data, own);
  CHECK(summary.zeros > 0);
  CHECK(whole.residual(data) < 1e-12);
  CHECK(whole.residual(data, 0.01) < 1e-12);
  CHECK_THROWS_WITH(trainer(2).fit(training::regression_data<double>(8, 30, 2), options),
                    "SortedL1.lambda must have one number for each element of a group: 16 for 'weight'; got 24");
}
