// SPDX-License-Identifier: MIT
#include <parade/constraints/box_penalty.hpp>
#include <parade/constraints/no_constraint.hpp>
#include <parade/constraints/scheduled_penalty.hpp>
#include <parade/engine/update.hpp>
#include <parade/optimizers/adam.hpp>
#include <parade/optimizers/rate_factors.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/no_regularizer.hpp>
#include <parade/regularizers/only.hpp>
#include <parade/regularizers/per_parameter.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace hooks_test {

// What the engine asks before a step and for a parameter.
namespace {

using parade::Index, parade::ParameterList, parade::Range, parade::Role, parade::TrainingState, parade::Vector;

const ParameterList& parameters() {
  static const ParameterList list{{"a", 40, 60}, {"b", 40, 1, Role::bias}, {"c", 5, 3}};
  return list;
}

struct Given {
  Vector<double> grad;
  void sum_range(Range range, double* out) const { std::copy_n(grad.data() + range.begin, range.size(), out); }
  static bool sum_range_computes() { return false; }
  static void begin_update() {}
  static void updated(Range, const double*) {}
  static void end_update(bool) {}
};

/// θ after some steps of one gradient, on some threads.
template <class R, class C, class O>
Vector<double> train(R regularizer, C constraint, O optimizer, int steps, int threads = 2) {
  parade::Team team(threads);
  parade::ParallelUpdate<double, R, C, O> update(parameters(), regularizer, constraint, optimizer, team);
  TrainingState<double> state(parameters().size(), optimizer.num_states()), next = state;
  state.theta = training::random_vector<double>(parameters().size(), 1);
  Given source{training::random_vector<double>(parameters().size(), 2)};
  team.run([&] {
    for (int i = 1; i <= steps; ++i) {
      REQUIRE(update(source, 1, state, next, {0.1, i}));
      std::swap(state, next);
    }
  });
  return state.theta;
}

struct OfWholeTheta {
  static constexpr bool of_whole_theta = true;
};

Vector<double> of(const Vector<double>& theta, const char* name) {
  const auto& block = parameters()[name];
  return theta.segment(block.offset, block.size());
}

}  // namespace

TEST_CASE("a parameter with a rate factor is stepped with its own rate, by rules, metrics and proximal steps alike") {
  const parade::L1 lasso{.lambda = 0.05};
  const auto with = [&](auto optimizer) { return train(lasso, parade::NoConstraint{}, optimizer, 5); };
  const auto check = [&](auto fast, auto slow) {
    const parade::RateFactors factors{fast, {{"a", 0.25}, {"b", 0}}};
    const auto theta = with(factors), all = with(fast);
    CHECK(of(theta, "c") == of(all, "c"));
    CHECK(of(theta, "b") == of(training::random_vector<double>(parameters().size(), 1), "b"));
    CHECK(of(theta, "a") == of(with(slow), "a"));
    CHECK(of(theta, "a") != of(all, "a"));
  };
  struct Quarter : parade::Sgd {  // the same rate by other means
    void step(parade::VectorRef<double> theta, const parade::ConstVectorRef<double>& grad, const parade::StateRef<double>& state,
              const parade::StepInfo& at) const {
      Sgd::step<double>(theta, grad, state, {at.rate * 0.25, at.step});
    }
    void step_sizes(const parade::StateRef<double>& state, const parade::StepInfo& at, parade::VectorRef<double> sizes) const {
      Sgd::step_sizes<double>(state, {at.rate * 0.25, at.step}, sizes);
    }
  };
  check(parade::Sgd{.momentum = 0.9}, Quarter{{.momentum = 0.9}});
  const parade::RateFactors adam{parade::Adam{}, {{"a", 0}}};
  CHECK(of(train(parade::NoRegularizer{}, parade::NoConstraint{}, adam, 3), "a") ==
        of(training::random_vector<double>(parameters().size(), 1), "a"));

  CHECK_THROWS_AS((parade::RateFactors{parade::Sgd{}, {{"d", 1}}}).check(parameters()), parade::OptionError);
  CHECK_THROWS_AS((parade::RateFactors{parade::Sgd{}, {{"a", -1}}}).check(), parade::OptionError);
}

TEST_CASE("a penalty's beta follows its schedule") {
  struct Growth {
    double rate(double base, const parade::TrainingTime& at) const { return base * static_cast<double>(at.step); }
  };
  const parade::BoxPenalty box{.beta = 2, .upper = -1};
  const auto once = train(parade::NoRegularizer{}, parade::ScheduledPenalty{box, Growth{}}, parade::Sgd{}, 1);
  CHECK(once == train(parade::NoRegularizer{}, parade::BoxPenalty{.beta = 0, .upper = -1}, parade::Sgd{}, 1));
  auto expected = once;  // the second step has β = 2
  const auto grad = training::random_vector<double>(parameters().size(), 2);
  for (const char* name : {"a", "c"})
    for (Index i = parameters()[name].offset, end = i + parameters()[name].size(); i < end; ++i) {
      const double outside = std::max(0.0, expected[i] + 1);
      expected[i] -= 0.1 * (grad[i] + 2 * outside);
    }
  const auto twice = train(parade::NoRegularizer{}, parade::ScheduledPenalty{box, Growth{}}, parade::Sgd{}, 2);
  for (const char* name : {"a", "c"}) CHECK((of(twice, name) - of(expected, name)).cwiseAbs().maxCoeff() < 1e-15);

  // As one part of several it is told of the steps too.
  const auto for_a = [](const parade::ParameterBlock& block) { return block.name == "a"; };
  const auto part =
      train(parade::NoRegularizer{}, parade::PerParameter{parade::Only{parade::ScheduledPenalty{box, Growth{}}, for_a}}, parade::Sgd{}, 2);
  CHECK(of(part, "a") == of(twice, "a"));
}

TEST_CASE("a term of all of theta counts once, whether its functions are const or not, and only where it applies") {
  struct Shift {
    void add_gradient(const parade::ConstVectorRef<double>&, parade::VectorRef<double> grad) const { grad.array() += 1; }
    double value(const parade::ConstVectorRef<double>&) const { return 2; }
    double violation(const parade::ConstVectorRef<double>&) const { return 3; }
  };
  struct Whole : Shift, OfWholeTheta {};
  const auto plain = train(parade::NoRegularizer{}, parade::NoConstraint{}, parade::Sgd{}, 1);
  const auto shifted = train(parade::NoRegularizer{}, Whole{}, parade::Sgd{}, 1);
  CHECK(((plain - shifted).array() - 0.1).abs().maxCoeff() < 1e-15);
  const auto for_c = [](const parade::ParameterBlock& block) { return block.name == "c"; };
  const auto some = train(parade::NoRegularizer{}, parade::Only{Whole{}, for_c}, parade::Sgd{}, 1);
  CHECK(of(some, "a") == of(plain, "a"));
  CHECK(of(some, "c") == of(shifted, "c"));
}

}  // namespace hooks_test
