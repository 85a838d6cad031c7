// SPDX-License-Identifier: MIT
// What holds for every elementwise optimizer.
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>

#include <parade/core/hash.hpp>
#include <parade/engine/update.hpp>
#include <parade/kernels/update.hpp>

#include "optimizers/all.hpp"
#include "optimizers/run.hpp"
#include "support/catch.hpp"

namespace {

using namespace optimizers;

template <class O>
struct Derived : O {  // with a step of its own, it might be
  explicit Derived(O optimizer) : O(optimizer) {}
  // The one that is inherited would answer with the base: a concept refuses that.
  Derived for_parameter(const parade::ParameterBlock& block) const requires parade::HasForParameter<O> {
    return Derived(O::for_parameter(block));
  }
};

/// θ and the state as the engine makes them: from one memory into another, by the rule.
template <class S, class Optimizer>
void check_rule(const Optimizer& optimizer) {
  constexpr Index size = 67;
  Run<S> stepped(optimizer, random_vector<S>(size, 3)), ruled = stepped;
  for (std::int64_t t = 1; t <= 7; ++t) {
    const Vector<S> grad = gradient<S>(size, t);
    stepped.step(optimizer, grad, t, 13);
    Run<S> next = ruled;
    next.theta.setConstant(-1);
    next.states.setConstant(-1);
    optimizer.template with_rule<S>({.rate = optimizer.rate, .step = t}, [&](const auto& rule) {
      CHECK(std::remove_cvref_t<decltype(rule)>::states == optimizer.num_states());
      const bool finite = parade::kernels::update<S>(
          rule, [](auto g) { return g; }, parade::kernels::NoTerm{}, size, grad.data(), ruled.theta.data(), next.theta.data(),
          ruled.states.data(), next.states.data(), ruled.states.rows());
      CHECK(finite);
    });
    next.states.bottomRows(3) = ruled.states.bottomRows(3);
    ruled = next;
    INFO("step " << t);
    CHECK(same_bits(stepped.theta, ruled.theta));
    CHECK(same_bits(stepped.states, ruled.states));
  }
}

template <class S>
std::string path_hash(const auto& optimizer) {
  Run<S> run(optimizer, random_vector<S>(67, 4));
  for (std::int64_t t = 1; t <= 20; ++t) run.step(optimizer, gradient<S>(67, t), t);
  Vector<S> all(67 * (1 + run.states.cols()));
  all << run.theta, run.states.topRows(67).reshaped();
  return parade::hash_text(parade::theta_hash(all));
}

}  // namespace

TEMPLATE_TEST_CASE("every optimizer gives the same bits however θ is cut into slices", "[optimizers]", float, double) {
  for_each_optimizer([](const auto& optimizer, const char* name) {
    INFO(name);
    REQUIRE_NOTHROW(optimizer.check());
    for (const Index size : {0, 1, 7, 17, 33}) check_slices<TestType>(optimizer, size);
  });
}

TEMPLATE_TEST_CASE("every optimizer steps by its rule, from memory to memory as in place", "[optimizers]", float, double) {
  for_each_optimizer([](const auto& optimizer, const char* name) {
    INFO(name);
    check_rule<TestType>(optimizer);
  });
}

TEST_CASE("the engine finds every optimizer's own rule, and none that is inherited", "[optimizers]") {
  for_each_optimizer([](const auto& optimizer, const char*) {
    using O = std::remove_cvref_t<decltype(optimizer)>;
    static_assert(parade::detail::HasRule<O, float> && parade::detail::HasRule<O, double>);
    static_assert(parade::Optimizer<Derived<O>, float> && !parade::detail::HasRule<Derived<O>, float>);
    static_assert(!parade::detail::HasRule<parade::Ema<Derived<O>>, float>);
    static_assert(parade::Optimizer<parade::Ema<Derived<O>>, float>);
  });
  SUCCEED("checked by the compiler");
}

TEST_CASE("no optimizer keeps a vector that it does not need", "[optimizers]") {
  const std::map<std::string_view, Index> needed{{"Sgd", 0},
                                                 {"Sgd with momentum", 1},
                                                 {"Sgd with Nesterov's momentum", 1},
                                                 {"Adam", 2},
                                                 {"AdamW", 2},
                                                 {"LazyAdam", 2},
                                                 {"AmsGrad", 3},
                                                 {"Adamax", 2},
                                                 {"NAdam", 2},
                                                 {"RAdam", 2},
                                                 {"Adagrad", 1},
                                                 {"Adagrad with decay", 1},
                                                 {"Adadelta", 2},
                                                 {"RmsProp", 1},
                                                 {"RmsProp, centered", 2},
                                                 {"RmsProp with momentum", 2},
                                                 {"RmsProp, centered, with momentum", 3},
                                                 {"Lion", 1},
                                                 {"FtrlProximal", 2},
                                                 {"ClipValue of Adam", 2},
                                                 {"Ema of Sgd", 2},
                                                 {"PolyakAverage of ClipValue of Sgd", 1}};
  for_each_optimizer([&](const auto& optimizer, const char* name) {
    INFO(name);
    CHECK(optimizer.num_states() == needed.at(name));
    // and each vector it keeps it also writes
    Run<double> run(optimizer, random_vector<double>(5, 1));
    for (std::int64_t t = 1; t <= 4; ++t) run.step(optimizer, gradient<double>(5, t), t);
    for (Index i = 0; i < optimizer.num_states(); ++i) CHECK((run.state(i).array() != 0).all());
  });
}

TEMPLATE_TEST_CASE("an element without gradient stays where it is, or decays by exactly 1 − αλ", "[optimizers]", float, double) {
  using S = TestType;
  for_each_optimizer([](const auto& optimizer, const char* name) {
    INFO(name);
    const Vector<S> start = random_vector<S>(21, 5);
    Run<S> run(optimizer, start);
    Vector<S> expected = start;
    for (std::int64_t t = 1; t <= 9; ++t) {
      run.step(optimizer, Vector<S>::Zero(21), t);
      if constexpr (requires { optimizer.weight_decay; })
        for (S& element : expected) element *= static_cast<S>(std::fma(-optimizer.rate, optimizer.weight_decay, 1.0));
    }
    if (std::string_view(name) == "FtrlProximal") {
      CHECK((run.theta - expected).cwiseAbs().maxCoeff() <= roundings<S>(20, 2));
    } else {
      CHECK(run.theta == expected);
    }
    CHECK(run.theta.allFinite());
    CHECK(run.states.allFinite());
  });
}

TEMPLATE_TEST_CASE("a gradient that is NaN makes its own element NaN and no other", "[optimizers]", float, double) {
  using S = TestType;
  for_each_optimizer([](const auto& optimizer, const char* name) {
    INFO(name);
    Run<S> good(optimizer, random_vector<S>(21, 6)), bad = good;
    for (std::int64_t t = 1; t <= 7; ++t) {
      Vector<S> grad = gradient<S>(21, t);
      good.step(optimizer, grad, t);
      if (t == 4) grad[8] = std::numeric_limits<S>::quiet_NaN();
      bad.step(optimizer, grad, t);
      if (t >= 4) CHECK(std::isnan(bad.theta[8]));
      Vector<S> mended = bad.theta;
      mended[8] = good.theta[8];
      CHECK(same_bits(mended, good.theta));
    }
  });
}

TEMPLATE_TEST_CASE("a gradient too large to be squared is seen in θ or in the state, or does no harm", "[optimizers]", float, double) {
  using S = TestType;
  const S huge = std::numeric_limits<S>::max() / 4;
  for_each_optimizer([&](const auto& optimizer, const char* name) {
    INFO(name);
    Run<S> run(optimizer, random_vector<S>(5, 6));
    run.step(optimizer, random_vector<S>(5, 7), 1);
    const Vector<S> before = run.theta;
    run.step(optimizer, Vector<S>::Constant(5, -huge), 2);
    const bool refused = !run.theta.allFinite() || !run.states.allFinite();
    const bool harmless = (run.theta - before).cwiseAbs().maxCoeff() <= 1;
    if (std::string_view(name).substr(0, 3) == "Sgd" || std::string_view(name).substr(0, 3) == "Ema")
      CHECK_FALSE(harmless);  // plain descent takes the step that it is told to take
    else
      CHECK((refused || harmless));
  });
}

TEST_CASE("the bits of every optimizer are the same on every machine", "[optimizers]") {
  const std::map<std::string_view, std::pair<std::string_view, std::string_view>> known{
      {"Sgd", {"bb2906fe87e218a5", "6e9af7dd39093c26"}},
      {"Sgd with momentum", {"52b7636dcae475ab", "a65f5eb624642d7f"}},
      {"Sgd with Nesterov's momentum", {"ebdbb095fb471511", "f1bcc4625ba4a965"}},
      {"Adam", {"456cbff69c6356db", "2ec1442e302f7f53"}},
      {"LazyAdam", {"456cbff69c6356db", "2ec1442e302f7f53"}},  // those of Adam: no gradient is 0
      {"AdamW", {"715b9469ea25d564", "4c7f63f9a0993d15"}},
      {"AmsGrad", {"eca3e4434bad5028", "02772cb33e3f9ddc"}},
      {"Adamax", {"a28b85b723da2553", "2e99a98954d11c2f"}},
      {"NAdam", {"71533be5445872bd", "ec46bff3c852713d"}},
      {"RAdam", {"f96f4a190f9a555f", "0f3da763b2c73a33"}},
      {"Adagrad", {"a375ffe58983673a", "70db0b0dfea4e275"}},
      {"Adagrad with decay", {"72be7d74cb83acf5", "02866c5ab3047f87"}},
      {"Adadelta", {"73e3323944299e4b", "b73f279a3feb4989"}},
      {"RmsProp", {"ab9f71bf368fbda9", "dc1ec10cd8241053"}},
      {"RmsProp, centered", {"a0ce4c606bbc5daa", "2c23b96878c229ae"}},
      {"RmsProp with momentum", {"9a8805145931788f", "dcaddf9f6d872a39"}},
      {"RmsProp, centered, with momentum", {"ded51a92b4f2bb17", "d22fa738f0c8f7bf"}},
      {"Lion", {"0169e1cd9718cc68", "7e35844b1a924ddb"}},
      {"FtrlProximal", {"0568df108581e82e", "d2d1ec5e39a201a4"}},
      {"ClipValue of Adam", {"61d5f8ced636410b", "c97e2eed052d95b0"}},
      {"Ema of Sgd", {"ba254f85839eb471", "d2db3be5c410c97d"}},
      {"PolyakAverage of ClipValue of Sgd", {"c80705c09977040e", "cea89dda65ba65f6"}},
  };
  for_each_optimizer([&](const auto& optimizer, const char* name) {
    INFO(name);
    const auto entry = known.find(name);
    REQUIRE(entry != known.end());
    CHECK(path_hash<float>(optimizer) == entry->second.first);
    CHECK(path_hash<double>(optimizer) == entry->second.second);
  });
}
