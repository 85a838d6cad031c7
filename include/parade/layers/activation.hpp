// SPDX-License-Identifier: MIT
#pragma once

#include <parade/core/types.hpp>
#include <parade/layers/elementwise.hpp>

namespace parade {

/// The nonlinearity between the layers of an Mlp, element by element.
enum class Activation {
  relu,     // a = max(0, z), a' = 1 where z > 0 else 0; NaN stays NaN
  tanh,     // a = tanh z,    a' = 1 − a²
  sigmoid,  // a = 1 / (1 + e^{−z}), a' = a (1 − a)
};

namespace detail {

/// f(the layer that is this nonlinearity)
template <class F>
void with_activation(Activation activation, const F& f) {
  switch (activation) {
    case Activation::relu:
      return f(Relu{});
    case Activation::tanh:
      return f(Tanh{});
    case Activation::sigmoid:
      return f(Sigmoid{});
  }
}

/// z ← a(z), for `size` contiguous elements.
template <class Scalar>
void activate(Activation activation, Scalar* z, Index size) {
  with_activation(activation, [&](const auto& a) { a.template apply<Scalar>(z, z, size); });
}

/// da ← da ⊙ a'(z), from a = a(z).
template <class Scalar>
void multiply_derivative(Activation activation, const Scalar* a, Scalar* da, Index size) {
  with_activation(activation, [&](const auto& layer) { layer.template apply_slope<Scalar>(a, da, da, size); });
}

}  // namespace detail
}  // namespace parade
