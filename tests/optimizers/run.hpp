// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <parade/concepts/optimizer.hpp>
#include <parade/core/types.hpp>

#include "support/catch.hpp"
#include "support/numbers.hpp"

// What the tests of optimizers share.
namespace optimizers {

using numbers::random_vector, numbers::same_bits;
using parade::Index, parade::Matrix, parade::StateRef, parade::StepInfo, parade::Vector;

/// θ and the optimizer's state, which a step is taken on, whole or in two slices.
template <class S>
struct Run {
  Vector<S> theta;
  Matrix<S> states;

  template <class Optimizer>
  Run(const Optimizer& optimizer, Vector<S> start)
      : theta(std::move(start)), states(Matrix<S>::Zero(theta.size() + 3, optimizer.num_states())) {}  // slices need not fill a column

  StateRef<S> slice(Index begin, Index size) { return {states.size() > 0 ? states.data() + begin : nullptr, states.rows(), size}; }

  /// State vector i.
  Vector<S> state(Index i) const { return states.col(i).head(theta.size()); }

  template <class Optimizer>
  void step(const Optimizer& optimizer, const Vector<S>& grad, std::int64_t t, Index cut = 0) {
    const StepInfo at{.rate = static_cast<double>(optimizer.rate), .step = t};
    const Index rest = theta.size() - cut;
    const parade::VectorRef<S> head = theta.head(cut), tail = theta.tail(rest);
    const parade::ConstVectorRef<S> head_grad = grad.head(cut), tail_grad = grad.tail(rest);
    optimizer.step(head, head_grad, slice(0, cut), at);
    optimizer.step(tail, tail_grad, slice(cut, rest), at);
  }

  template <class Optimizer>
  Vector<S> step_sizes(const Optimizer& optimizer, std::int64_t t) {
    Vector<S> sizes = Vector<S>::Constant(theta.size(), std::numeric_limits<S>::quiet_NaN());
    optimizer.step_sizes(slice(0, theta.size()), {.rate = static_cast<double>(optimizer.rate), .step = t}, sizes);
    return sizes;
  }
};

/// The gradient of step t for tests that need some numbers.
template <class S>
Vector<S> gradient(Index size, std::int64_t t) {
  return random_vector<S>(size, 10 + static_cast<std::uint64_t>(t));
}

/// A product that no compiler can make part of a fused multiply-add.
template <class S>
S product(S a, S b) {
  const volatile S rounded = a * b;
  return rounded;
}

/// Three steps on two slices, cut at every place, against the same steps on the whole.
template <class S, class Optimizer>
void check_slices(const Optimizer& optimizer, Index size) {
  const Vector<S> start = random_vector<S>(size, 2);
  Run<S> whole(optimizer, start);
  std::vector<Run<S>> cuts(static_cast<std::size_t>(size + 1), whole);
  for (std::int64_t t = 1; t <= 3; ++t) {
    const Vector<S> grad = random_vector<S>(size, 20 + static_cast<std::uint64_t>(t));
    whole.step(optimizer, grad, t);
    bool same = true;
    for (std::size_t cut = 0; cut < cuts.size(); ++cut) {
      cuts[cut].step(optimizer, grad, t, static_cast<Index>(cut));
      same = same && same_bits(cuts[cut].theta, whole.theta) && same_bits(cuts[cut].states, whole.states);
    }
    INFO("size " << size << ", step " << t);
    CHECK(same);
  }
}

/// |x|·eps·k: how far k roundings move a number of that size.
template <class S>
double roundings(double k, double x) {
  return k * static_cast<double>(std::numeric_limits<S>::epsilon()) * std::abs(x);
}

}  // namespace optimizers
