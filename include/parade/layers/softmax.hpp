// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <stdexcept>

#include <parade/concepts/layer.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/math.hpp>

namespace parade {

/// z_i = e^{x_i} / Σ_j e^{x_j} over the features of a sample; the largest is taken off first, so that nothing overflows. ∂J/∂x_i = z_i (dz_i − Σ_j z_j dz_j).
///
/// For probabilities inside a network. Not in front of SoftmaxCrossEntropy, which is that already.
struct Softmax {
  using SampleBySampleOf = Softmax;
  static constexpr const char* name = "Softmax";
  static constexpr bool in_place = true;

  Shape connect(const Shape& input) {
    if (input.is_image()) throw std::invalid_argument(detail::text("it wants features; got ", input, ": put a Flatten before it"));
    return input;
  }

  template <class S>
  void forward(const ConstVectorRef<S>&, const ConstMatrixRef<S>& x, MatrixRef<S> z, auto&) const {
    using K = kernels::Simd<S>;
    for (Index j = 0; j < x.cols(); ++j) {
      const S* from = x.data() + j * x.outerStride();
      S* to = z.data() + j * z.outerStride();
      S top = from[0], sum = 0;
      for (Index i = 1; i < x.rows(); ++i) top = from[i] > top || from[i] != from[i] ? from[i] : top;
      kernels::transform(from, to, x.rows(), [&](auto v) { return kernels::exp<S>(K::sub(v, K::broadcast(top))); });
      for (Index i = 0; i < x.rows(); ++i) sum += to[i];
      for (Index i = 0; i < x.rows(); ++i) to[i] /= sum;
    }
  }

  template <class S>
  void input_gradient(const ConstVectorRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& z, const ConstMatrixRef<S>& dz,
                      MatrixRef<S> dx, auto&) const {
    for (Index j = 0; j < z.cols(); ++j) {
      S inner = 0;
      for (Index i = 0; i < z.rows(); ++i) inner = std::fma(z(i, j), dz(i, j), inner);
      for (Index i = 0; i < z.rows(); ++i) dx(i, j) = z(i, j) * (dz(i, j) - inner);
    }
  }
};

static_assert(Layer<Softmax>);

}  // namespace parade
