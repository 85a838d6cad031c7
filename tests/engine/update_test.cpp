// SPDX-License-Identifier: MIT
#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <parade/constraints/augmented_lagrangian.hpp>
#include <parade/constraints/box.hpp>
#include <parade/constraints/no_constraint.hpp>
#include <parade/engine/update.hpp>
#include <parade/optimizers/adam.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/regularizers/no_regularizer.hpp>
#include <parade/regularizers/only.hpp>
#include <parade/regularizers/per_parameter.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace update_test {

// What a step does beyond the elementwise pass: whole parameters, norms, statistics, optimizers of their own for some parameters.
namespace {

using parade::ConstMatrixRef, parade::ConstVectorRef, parade::Index, parade::Matrix, parade::MatrixRef, parade::Norms,
    parade::ParameterBlock, parade::ParameterList, parade::Range, parade::Role, parade::StateRef, parade::StepInfo, parade::TrainingState,
    parade::Vector, parade::VectorRef;

using S = double;

/// Long and short parameters, and one without elements.
const ParameterList& parameters() {
  static const ParameterList list{{"a.weight", 7, 300}, {"a.bias", 7, 1, Role::bias},       {"empty", 0, 3},
                                  {"b.weight", 40, 91}, {"b.mean", 40, 1, Role::statistic}, {"c", 1, 1}};
  return list;
}

/// Stands for the engine: a gradient that is there already.
struct Given {
  Vector<S> grad;
  std::atomic<Index> told = 0;  // elements that it was told of as updated
  bool stands = false;
  void sum_range(Range range, S* out) const { std::copy_n(grad.data() + range.begin, range.size(), out); }
  static bool sum_range_computes() { return false; }
  void begin_update() { told = 0; }
  void updated(Range range, const S*) { told += range.size(); }
  void end_update(bool finite) { stands = finite; }
};

/// Shrinks every row of a parameter to norm 1 and adds 10 times its step size, so that order and steps show.
struct Rows {
  double parameter_violation(const ConstMatrixRef<S>& theta) const { return theta.size() > 0 ? theta(0, 0) : 0; }
  void parameter_project(MatrixRef<S> theta, const ConstMatrixRef<S>& steps) const {
    for (Index i = 0; i < theta.rows(); ++i) {
      double squares = 0;
      for (Index j = 0; j < theta.cols(); ++j) squares = std::fma(theta(i, j), theta(i, j), squares);
      for (Index j = 0; j < theta.cols(); ++j) theta(i, j) = std::fma(10, steps(i, j), theta(i, j) / std::sqrt(squares));
    }
  }
};
static_assert(parade::ParameterConstraint<Rows, S> && parade::Constraint<Rows, S>);

/// Takes the mean of a parameter away.
struct Mean {
  double parameter_value(const ConstMatrixRef<S>& theta) const { return theta.size() > 0 ? 100 * theta(0, 0) : 0; }
  void parameter_prox(MatrixRef<S> theta, const ConstMatrixRef<S>&) const {
    double sum = 0;
    for (Index i = 0; i < theta.size(); ++i) sum += theta.data()[i];
    for (Index i = 0; i < theta.size(); ++i) theta.data()[i] -= sum / static_cast<double>(theta.size());
  }
};
static_assert(parade::ParameterRegularizer<Mean, S> && parade::Regularizer<Mean, S>);

/// θ ← θ − α f (2g), f from the norms and the parameter.
struct Scaled {
  double rate = 0.1;
  Index num_states() const { return 1; }
  void measure(VectorRef<S> grad, const ConstVectorRef<S>& theta, const StateRef<S>& state, const StepInfo&) const {
    for (Index i = 0; i < grad.size(); ++i) {
      state[0][i] = grad[i] + theta[i];
      grad[i] *= 2;
    }
  }
  double factor(const Norms& parameter, const Norms& all, const ParameterBlock& block, const StepInfo&) const {
    return (block.role == Role::bias ? 3 : 1) * parameter.theta / parameter.grad / all.grad;
  }
  void step(VectorRef<S> theta, const ConstVectorRef<S>& grad, const StateRef<S>& state, const StepInfo& at, double factor) const {
    for (Index i = 0; i < grad.size(); ++i) {
      theta[i] = std::fma(-at.rate * factor, grad[i], theta[i]);
      state[0][i] += 1;
    }
  }
};
static_assert(parade::MeasuredOptimizer<Scaled, S> && parade::Optimizer<Scaled, S>);

/// The same with step sizes of its own.
struct ScaledInMetric : Scaled {
  void step_sizes(const StateRef<S>&, const StepInfo& step_at, VectorRef<S> sizes) const { sizes.setConstant(2 * step_at.rate); }
};

/// Sgd, and for biases ten times as fast.
struct FastBiases : parade::Sgd {
  FastBiases for_parameter(const ParameterBlock& block) const { return {Sgd{.rate = rate}, block.role == Role::bias ? 10.0 : 1.0}; }
  double factor_of_rate = 1;
  FastBiases(parade::Sgd sgd, double factor = 1) : Sgd(sgd), factor_of_rate(factor) {}
  void step(VectorRef<S> theta, const ConstVectorRef<S>& grad, const StateRef<S>&, const StepInfo& at) const {
    for (Index i = 0; i < grad.size(); ++i) theta[i] = std::fma(-at.rate * factor_of_rate, grad[i], theta[i]);
  }
};
static_assert(parade::HasForParameter<FastBiases> && parade::Optimizer<FastBiases, S>);

template <class R, class C, class O>
struct Outcome {
  bool finite = false;
  TrainingState<S> next;
  double penalty = 0, violation = 0;
  Index told = 0;
};

TrainingState<S> start(Index states) {
  const ParameterList list = parameters();
  TrainingState<S> state(list.size(), states);
  state.theta = training::random_vector<S>(list.size(), 1);
  for (Index i = 0; i < states; ++i)
    state.states().col(i).head(list.size()) = training::random_vector<S>(list.size(), 2 + static_cast<std::uint64_t>(i)).cwiseAbs();
  return state;
}

constexpr double W = 3;
const StepInfo at{0.25, 2};

/// One step on some threads.
template <class R, class C, class O>
Outcome<R, C, O> step(int threads, R regularizer, C constraint, O optimizer, const Vector<S>& grad) {
  parade::Team team(threads);
  parade::ParallelUpdate<S, R, C, O> update(parameters(), regularizer, constraint, optimizer, team);
  const TrainingState<S> state = start(optimizer.num_states());
  Outcome<R, C, O> outcome;
  outcome.next = TrainingState<S>(state.theta.size(), optimizer.num_states());
  Given source{grad};
  team.run([&] {
    outcome.finite = update(source, W, state, outcome.next, at);
    outcome.penalty = update.penalty(state.theta);
    outcome.violation = update.violation(state.theta);
  });
  CHECK(source.stands == outcome.finite);
  CHECK(source.told == grad.size());
  return outcome;
}

Vector<S> gradient() { return training::random_vector<S>(parameters().size(), 9); }

Eigen::Map<Matrix<S>> matrix(Vector<S>& theta, const ParameterBlock& block) {
  return {theta.data() + block.offset, block.rows, block.cols};
}

}  // namespace

TEST_CASE("what is done to whole parameters comes after the step, the proximal step before the projection, whoever does them") {
  const Vector<S> g = gradient();
  Vector<S> expected = start(0).theta;
  double penalty = 0, violation = 0;
  for (const auto& block : parameters()) {
    auto theta = matrix(expected, block);
    if (block.role == Role::weight && block.size() > 0) {
      penalty += 100 * theta(0, 0);
      violation += theta(0, 0);
    }
    for (Index i = 0; i < block.size(); ++i) {
      S& t = expected[block.offset + i];
      const S mean = g[block.offset + i] / W;
      t = block.role == Role::statistic ? t - mean : std::fma(-at.rate, mean, t);
    }
    if (block.role != Role::weight) continue;
    const Matrix<S> steps = Matrix<S>::Constant(block.rows, block.cols, at.rate);
    Mean{}.parameter_prox(theta, steps);
    Rows{}.parameter_project(theta, steps);
  }
  for (const int threads : training::thread_counts) {
    CAPTURE(threads);
    const auto outcome = step(threads, Mean{}, Rows{}, parade::Sgd{}, g);
    // The one element of "c" is its own mean: 0, which has no direction.
    CHECK_FALSE(outcome.finite);
    CHECK(outcome.next.theta.head(expected.size() - 1) == expected.head(expected.size() - 1));
    CHECK(outcome.penalty == Approx(penalty).epsilon(1e-14));
    CHECK(outcome.violation == Approx(violation).epsilon(1e-14));
  }
}

TEST_CASE("a projection of slices comes after the proximal step of whole parameters") {
  const Vector<S> g = gradient();
  for (const int threads : {1, 4}) {
    const auto outcome = step(threads, Mean{}, parade::Box{.lower = 0.125}, parade::Sgd{}, g);
    CHECK(outcome.finite);
    const auto& block = parameters()["b.weight"];
    CHECK(outcome.next.theta.segment(block.offset, block.size()).minCoeff() == 0.125);
  }
}

TEST_CASE("no constraint is one that does nothing, bit for bit") {
  struct Idle {
    bool applies_to(const parade::ParameterBlock&) const { return true; }
    double violation(const parade::ConstVectorRef<S>&) const { return 0; }
    void project(parade::VectorRef<S>) const {}
  };
  const Vector<S> g = gradient();
  for (const int threads : {1, 3}) {
    const auto check = [&](const auto& regularizer, const auto& optimizer) {
      const auto none = step(threads, regularizer, parade::NoConstraint{}, optimizer, g);
      const auto idle = step(threads, regularizer, Idle{}, optimizer, g);
      CHECK(none.next.theta == idle.next.theta);
      CHECK(none.next.states() == idle.next.states());
    };
    check(parade::L2{.lambda = 0.25}, parade::Sgd{.momentum = 0.5});
    check(parade::L1{.lambda = 0.25}, parade::Adam{});
  }
}

TEST_CASE("a projection of whole parameters is given the optimizer's own step sizes") {
  const Vector<S> g = gradient();
  const parade::Adam adam;
  const auto plain = step(1, parade::NoRegularizer{}, parade::NoConstraint{}, adam, g);
  Vector<S> expected = plain.next.theta, sizes(expected.size());
  TrainingState<S> state = plain.next;
  adam.step_sizes<S>(state.slice({0, expected.size()}), at, sizes);
  for (const auto& block : parameters())
    if (block.role == Role::weight) Rows{}.parameter_project(matrix(expected, block), matrix(sizes, block));
  for (const int threads : training::thread_counts) {
    CAPTURE(threads);
    const auto outcome = step(threads, parade::NoRegularizer{}, Rows{}, adam, g);
    CHECK(outcome.finite);
    CHECK(outcome.next.theta == expected);
    CHECK(outcome.next.states() == plain.next.states());
  }
}

TEST_CASE("a measured optimizer gets the norms of each parameter and of all, and its step is scaled") {
  const Vector<S> g = gradient();
  const parade::L2 l2{.lambda = 0.5};
  const TrainingState<S> state = start(1);
  Vector<S> direction(g.size()), expected(g.size()), kept(g.size());
  double all = 0;
  for (const auto& block : parameters())
    for (Index i = block.offset; i < block.offset + block.size(); ++i) {
      direction[i] = g[i] / W;
      if (block.role == Role::weight) direction[i] = std::fma(l2.lambda, state.theta[i], direction[i]);
      kept[i] = block.role == Role::statistic ? state.states()(i, 0) : direction[i] + state.theta[i] + 1;
      if (block.role != Role::statistic) all += 4 * direction[i] * direction[i];
    }
  for (const auto& block : parameters()) {
    const Vector<S> theta = state.theta.segment(block.offset, block.size()), d = direction.segment(block.offset, block.size());
    const double factor = (block.role == Role::bias ? 3 : 1) * theta.norm() / (2 * d.norm()) / std::sqrt(all);
    expected.segment(block.offset, block.size()) =
        block.role == Role::statistic ? Vector<S>(theta - d) : Vector<S>(theta - at.rate * factor * 2 * d);
  }
  Vector<S> first;
  for (const int threads : training::thread_counts) {
    CAPTURE(threads);
    const auto outcome = step(threads, l2, parade::NoConstraint{}, Scaled{}, g);
    CHECK(outcome.finite);
    CHECK((outcome.next.theta - expected).cwiseAbs().maxCoeff() < 1e-14);
    CHECK(outcome.next.states().col(0).head(g.size()) == kept);
    if (first.size() == 0) first = outcome.next.theta;
    CHECK(outcome.next.theta == first);
  }
}

TEST_CASE("a measured optimizer's step sizes are taken times its factor") {
  const Vector<S> g = gradient();
  const auto plain = step(1, parade::NoRegularizer{}, parade::NoConstraint{}, Scaled{}, g);
  const auto& block = parameters()["b.weight"];
  const auto all = step(1, parade::NoRegularizer{}, Rows{}, Scaled{}, g);
  const auto metric = step(1, parade::NoRegularizer{}, Rows{}, ScaledInMetric{}, g);
  const Vector<S> theta = start(1).theta;
  double squares = 0;
  for (const auto& p : parameters())
    if (p.role != Role::statistic) squares += 4 * g.segment(p.offset, p.size()).squaredNorm() / (W * W);
  const double factor =
      theta.segment(block.offset, block.size()).norm() / (2 * g.segment(block.offset, block.size()).norm() / W) / std::sqrt(squares);
  // Rows adds 10 times the step size: the difference is that of the sizes.
  const Vector<S> more = (metric.next.theta - all.next.theta).segment(block.offset, block.size());
  CHECK((more.array() - 10 * at.rate * factor).abs().maxCoeff() < 1e-14);
  CHECK(plain.next.theta != all.next.theta);
}

TEST_CASE("a parameter may have an optimizer of its own, and a statistic has none") {
  const Vector<S> g = gradient();
  const Vector<S> theta = start(0).theta;
  for (const int threads : {1, 3}) {
    const auto outcome = step(threads, parade::NoRegularizer{}, parade::NoConstraint{}, FastBiases{parade::Sgd{}}, g);
    CHECK(outcome.finite);
    for (const auto& block : parameters())
      for (Index i = block.offset; i < block.offset + block.size(); ++i) {
        const S mean = g[i] / W, rate = block.role == Role::bias ? 10 * at.rate : at.rate;
        REQUIRE(outcome.next.theta[i] == (block.role == Role::statistic ? theta[i] - mean : std::fma(-rate, mean, theta[i])));
      }
  }
}

TEST_CASE("a statistic is stepped by every optimizer alike, and its state stays") {
  const Vector<S> g = gradient();
  const auto& block = parameters()["b.mean"];
  const TrainingState<S> state = start(2);
  const auto outcome = step(2, parade::L2{.lambda = 1}, parade::Box{.lower = 5}, parade::Adam{}, g);
  for (Index i = block.offset; i < block.offset + block.size(); ++i) {
    CHECK(outcome.next.theta[i] == state.theta[i] - g[i] / W);
    CHECK(outcome.next.states()(i, 0) == state.states()(i, 0));
    CHECK(outcome.next.states()(i, 1) == state.states()(i, 1));
  }
}

TEST_CASE("parts of their own for each parameter do what each does alone") {
  const Vector<S> g = gradient();
  const auto of = [](const char* name) { return [name](const ParameterBlock& block) { return block.name == name; }; };
  const parade::PerParameter regularizer{parade::Only{parade::L2{.lambda = 0.5}, of("a.weight")},
                                         parade::Only{parade::L1{.lambda = 0.25}, of("b.weight")}, parade::Only{Mean{}, of("a.bias")}};
  const parade::PerParameter constraint{parade::Only{parade::Box{.upper = 0.125}, of("a.bias")}, parade::Only{Rows{}, of("a.weight")}};
  static_assert(parade::Regularizer<decltype(regularizer), S> && parade::Constraint<decltype(constraint), S>);
  const auto l2 = step(1, parade::L2{.lambda = 0.5}, Rows{}, parade::Sgd{}, g);
  const auto l1 = step(1, parade::L1{.lambda = 0.25}, parade::NoConstraint{}, parade::Sgd{}, g);
  const auto mean = step(1, parade::Only{Mean{}, of("a.bias")}, parade::Only{parade::Box{.upper = 0.125}, of("a.bias")}, parade::Sgd{}, g);
  const auto slice = [](const Vector<S>& theta, const char* name) {
    const auto& block = parameters()[name];
    return Vector<S>(theta.segment(block.offset, block.size()));
  };
  for (const int threads : training::thread_counts) {
    CAPTURE(threads);
    const auto outcome = step(threads, regularizer, constraint, parade::Sgd{}, g);
    CHECK(outcome.finite);
    CHECK(slice(outcome.next.theta, "a.weight") == slice(l2.next.theta, "a.weight"));
    CHECK(slice(outcome.next.theta, "b.weight") == slice(l1.next.theta, "b.weight"));
    CHECK(slice(outcome.next.theta, "a.bias") == slice(mean.next.theta, "a.bias"));
    CHECK(slice(outcome.next.theta, "a.bias").maxCoeff() == 0.125);
    const Vector<S> theta = start(0).theta;
    const double expected =
        0.25 * slice(theta, "a.weight").squaredNorm() + 0.25 * slice(theta, "b.weight").cwiseAbs().sum() + 100 * slice(theta, "a.bias")[0];
    CHECK(outcome.penalty == Approx(expected).epsilon(1e-13));
  }
}

TEST_CASE("a term of all of θ is added to the gradient, and updated after an epoch") {
  struct Sum {  // h(θ) = Σ θ − 1
    static Index count() { return 1; }
    static void values(const ConstVectorRef<S>& theta, VectorRef<double> out) { out[0] = theta.sum() - 1; }
    static void add_gradient(const ConstVectorRef<S>&, const ConstVectorRef<double>& weights, VectorRef<S> grad) {
      grad.array() += weights[0];
    }
  };
  const parade::AugmentedLagrangian constraint{Sum{}};
  const Vector<S> g = gradient(), theta = start(0).theta;
  const double h = theta.sum() - 1;
  for (const int threads : {1, 4}) {
    const auto outcome = step(threads, parade::NoRegularizer{}, constraint, parade::Sgd{}, g);
    CHECK(outcome.finite);
    CHECK(outcome.penalty == Approx(h * h / 2).epsilon(1e-13));
    CHECK(outcome.violation == Approx(std::abs(h)).epsilon(1e-13));
    for (const auto& block : parameters())
      for (Index i = block.offset; i < block.offset + block.size(); ++i) {
        const S mean = g[i] / W;
        const S expected = block.role == Role::statistic ? theta[i] - mean : theta[i] - at.rate * (mean + h);
        REQUIRE(outcome.next.theta[i] == Approx(expected).epsilon(1e-12));
      }
  }
}

TEST_CASE("a number that is not finite is seen wherever it comes from") {
  const auto& list = parameters();
  for (const auto& block : list) {
    if (block.size() == 0) continue;
    CAPTURE(block.name);
    Vector<S> g = gradient();
    g[block.offset + block.size() / 2] = std::numeric_limits<S>::quiet_NaN();
    CHECK_FALSE(step(2, parade::NoRegularizer{}, parade::NoConstraint{}, parade::Sgd{}, g).finite);
    CHECK_FALSE(step(2, parade::NoRegularizer{}, parade::NoConstraint{}, Scaled{}, g).finite);
    CHECK_FALSE(step(2, parade::NoRegularizer{}, Rows{}, parade::Sgd{}, g).finite);
  }
}

TEST_CASE("thousands of parameters of one element are each stepped as their role says") {
  ParameterList many;
  for (int i = 0; i < 3000; ++i) many.add({"p" + std::to_string(i), 1, i % 7 == 0 ? 2 : 1, i % 3 == 0 ? Role::bias : Role::weight});
  const Vector<S> theta = training::random_vector<S>(many.size(), 1), g = training::random_vector<S>(many.size(), 2);
  for (const int threads : {1, 3, 8}) {
    parade::Team team(threads);
    parade::ParallelUpdate<S, parade::L2, parade::NoConstraint, parade::Sgd> update(many, {.lambda = 0.5}, {}, {}, team);
    TrainingState<S> state(many.size(), 0), next(many.size(), 0);
    state.theta = theta;
    Given source{g};
    bool finite = false;
    team.run([&] { finite = update(source, 1, state, next, at); });
    CHECK(finite);
    CHECK(source.told == many.size());
    for (const auto& block : many)
      for (Index i = block.offset; i < block.offset + block.size(); ++i) {
        const S grad = block.role == Role::bias ? g[i] : std::fma(0.5, theta[i], g[i]);
        REQUIRE(next.theta[i] == std::fma(-at.rate, grad, theta[i]));
      }
  }
}

}  // namespace update_test
