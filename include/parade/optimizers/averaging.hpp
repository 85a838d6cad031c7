// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/loops.hpp>
#include <parade/kernels/simd.hpp>
#include <parade/optimizers/rules.hpp>
#include <parade/optimizers/wrapper.hpp>

namespace parade::detail {

/// average ← average + w (θ − average); w = 1 gives θ to the bit, w = 0 leaves the average, and an average of equal θ is that θ.
template <class S>
struct AddToAverage {
  using V = kernels::Simd<S>;
  using Lanes = typename V::Vector;
  Lanes weight;
  typename V::Mask anew;

  explicit AddToAverage(double w) : weight(broadcast<S>(w)), anew(V::less(broadcast<S>(w < 1 ? 1 : 0), broadcast<S>(1))) {}
  auto operator()(Lanes theta, Lanes average) const {
    const auto before = V::select(anew, theta, average);
    return V::fma(weight, V::sub(theta, before), before);
  }
};

/// The step of an optimizer that keeps an average of the θ that enter the steps in one more vector, the last one. Self has
/// `weight(t)`, the weight of the θ that enters step t.
template <class O, class Self>
struct Averaging : Wrapper<O, Self> {
  using Wrapper<O, Self>::optimizer;

  /// Those of the optimizer, and the average.
  Index num_states() const { return optimizer.num_states() + 1; }

  /// The state vector that holds the average.
  Index average_state() const { return optimizer.num_states(); }

  /// One step for a slice of θ, g and the state, all of one length.
  template <class S>
    requires HasStep<O, S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at) const {
    add(theta, state, at);
    optimizer.step(theta, grad, state, at);
  }

  /// The step as a rule of kernels/update.hpp: call(rule).
  template <class S, class Call>
    requires GivesRule<O, S>
  auto with_rule(const StepInfo& at, Call&& call) const {
    const AddToAverage<S> added{this->self().weight(at.step)};
    return optimizer.template with_rule<S>(at, [&](const auto& rule) {
      return call(Rule<S, std::remove_cvref_t<decltype(rule)>>{rule, added});
    });
  }

  // Of a MeasuredOptimizer.
  template <class S>
    requires MeasuredOptimizer<O, S>
  void measure(std::type_identity_t<VectorRef<S>> grad, const std::type_identity_t<ConstVectorRef<S>>& theta, const StateRef<S>& state,
               const StepInfo& at) const {
    optimizer.measure(grad, theta, state, at);
  }
  template <class S>
    requires MeasuredOptimizer<O, S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>& state,
            const StepInfo& at, double factor) const {
    add(theta, state, at);
    optimizer.step(theta, grad, state, at, factor);
  }

 protected:
  using Wrapper<O, Self>::Wrapper;

 private:
  template <class S, class Inner>
  struct Rule {
    using Lanes = typename kernels::Simd<S>::Vector;
    static constexpr int states = Inner::states + 1;
    Inner inner;
    AddToAverage<S> add;
    void operator()(Lanes& theta, Lanes grad, Lanes* state) const {
      state[Inner::states] = add(theta, state[Inner::states]);
      inner(theta, grad, state);
    }
  };

  template <class S>
  void add(const VectorRef<S>& theta, const StateRef<S>& state, const StepInfo& at) const {
    const AddToAverage<S> added{this->self().weight(at.step)};
    S* average = state[average_state()].data();
    kernels::for_each_vector<S>(
        theta.size(), [&, t = theta.data()](Index i, auto load, auto store) { store(average + i, added(load(t + i), load(average + i))); });
  }
};

}  // namespace parade::detail
