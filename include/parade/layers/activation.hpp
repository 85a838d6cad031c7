// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include <parade/core/types.hpp>
#include <parade/kernels/math.hpp>

namespace parade {

/// The nonlinearity between the layers of an Mlp, element by element.
enum class Activation {
  relu,     // a = max(0, z), a' = 1 where z > 0 else 0; NaN stays NaN
  tanh,     // a = tanh z,    a' = 1 − a²
  sigmoid,  // a = 1 / (1 + e^{−z}), a' = a (1 − a)
};

namespace detail {

/// z ← a(z), for `size` contiguous elements.
template <class Scalar>
void activate(Activation activation, Scalar* z, Index size) {
  switch (activation) {
    case Activation::relu:
      for (Index i = 0; i < size; ++i) z[i] = z[i] < Scalar{0} ? Scalar{0} : z[i];
      break;
    case Activation::tanh:
      kernels::transform(z, size, [](auto x) { return kernels::tanh<Scalar>(x); });
      break;
    case Activation::sigmoid:
      kernels::transform(z, size, [](auto x) { return kernels::sigmoid<Scalar>(x); });
      break;
  }
}

/// da ← da ⊙ a'(z), from a = a(z).
template <class Scalar>
void multiply_derivative(Activation activation, const Scalar* a, Scalar* da, Index size) {
  switch (activation) {
    case Activation::relu:
      for (Index i = 0; i < size; ++i) da[i] = a[i] > Scalar{0} ? da[i] : Scalar{0};
      break;
    case Activation::tanh:
      for (Index i = 0; i < size; ++i) da[i] *= std::fma(-a[i], a[i], Scalar{1});
      break;
    case Activation::sigmoid:
      for (Index i = 0; i < size; ++i) da[i] *= a[i] * (Scalar{1} - a[i]);
      break;
  }
}

}  // namespace detail
}  // namespace parade
