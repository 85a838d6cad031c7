// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include <parade/core/types.hpp>
#include <parade/kernels/loops.hpp>
#include <parade/kernels/simd.hpp>

// The elementwise part of a step in one pass over memory. What an optimizer does to an element is a *rule*:
//
//     static constexpr int states                           vectors like θ that it keeps
//     rule(theta, grad, state)                              θ, g and state[0 … states) of the same lanes; changes θ and the state
//
// and what a smooth regularizer adds to the gradient is a *term*: term(theta, grad) returns g + λ∇R. Both on whole vectors of Simd, with operations
// that are rounded once, so that an element has the same bits whatever its place.
namespace parade::kernels {

/// No term: g.
struct NoTerm {
  template <class V>
  V operator()(V, V grad) const {
    return grad;
  }
};

/// λθ: g + λθ.
template <class Scalar>
struct ScaledTheta {
  typename Simd<Scalar>::Vector lambda;
  auto operator()(typename Simd<Scalar>::Vector theta, typename Simd<Scalar>::Vector grad) const {
    return Simd<Scalar>::fma(lambda, theta, grad);
  }
};

/// θ' and state' (`size` elements, state vectors `stride` apart) from θ, the state and g: the rule on g = term(θ, scale(sum)). Old and new may
/// be the same memory. Returns whether g, θ' and state' are finite: 0·x is 0 for a finite x and NaN for any other.
template <class Scalar, class Rule, class Scale, class Term>
bool update(const Rule& rule, const Scale& scale, const Term& term, Index size, const Scalar* sum, const Scalar* theta, Scalar* new_theta,
            const Scalar* state, Scalar* new_state, Index stride) {
  using V = Simd<Scalar>;
  auto bad = V::broadcast(0);
  for_each_vector<Scalar>(size, [&](Index i, auto load, auto store) {
    typename V::Vector t = load(theta + i), s[static_cast<std::size_t>(Rule::states) + 1];
    for (int k = 0; k < Rule::states; ++k) s[k] = load(state + k * stride + i);
    const auto g = term(t, scale(load(sum + i)));
    rule(t, g, s);
    store(new_theta + i, t);
    auto zero = V::fma(V::broadcast(0), t, V::fma(V::broadcast(0), g, V::broadcast(0)));
    for (int k = 0; k < Rule::states; ++k) {
      store(new_state + k * stride + i, s[k]);
      zero = V::fma(V::broadcast(0), s[k], zero);
    }
    bad = V::add(bad, zero);
  });
  Scalar lanes[V::width];
  V::store(lanes, bad);
  for (const Scalar lane : lanes)
    if (!(lane == 0)) return false;
  return true;
}

/// The rule alone, in place.
template <class Scalar, class Rule>
void apply(const Rule& rule, Index size, const Scalar* grad, Scalar* theta, Scalar* state, Index stride) {
  update<Scalar>(
      rule, [](auto g) { return g; }, NoTerm{}, size, grad, theta, theta, state, state, stride);
}

}  // namespace parade::kernels
