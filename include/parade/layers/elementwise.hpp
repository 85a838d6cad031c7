// SPDX-License-Identifier: MIT
#pragma once

#include <parade/concepts/layer.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/loops.hpp>
#include <parade/kernels/math.hpp>
#include <parade/kernels/simd.hpp>

// Nonlinearities, element by element, between the layers of a Sequential. No parameters; any shape. f' is computed from z = f(x) where that is as
// accurate: then the layer works in place.
namespace parade {

namespace detail {

/// A nonlinearity F, with F::value(x) and either F::slope_of_output(z) or F::slope(x), all on vectors.
template <class F>
struct Elementwise {
  using SampleBySampleOf = F;

  Shape connect(const Shape& input) { return input; }

  /// z ← f(x), element by element; z may be x.
  template <class S>
  void apply(const S* x, S* z, Index size) const {
    const F& f = static_cast<const F&>(*this);
    kernels::transform(x, z, size, [&](auto v) { return f.template value<S>(v); });
  }
  /// dx ← dz f', from z if f is computed in place, else from x; dx may be dz.
  template <class S>
  void apply_slope(const S* x_or_z, const S* dz, S* dx, Index size) const {
    const F& f = static_cast<const F&>(*this);
    kernels::for_each_vector<S>(
        size, [&](Index i, auto load, auto store) { store(dx + i, f.template times_slope<S>(load(x_or_z + i), load(dz + i))); });
  }

  template <class S>
  void forward(const ConstVectorRef<S>&, const ConstMatrixRef<S>& x, MatrixRef<S> z, auto&) const {
    if (x.outerStride() == x.rows() && z.outerStride() == z.rows()) return apply(x.data(), z.data(), x.size());
    for (Index j = 0; j < x.cols(); ++j) apply(x.data() + j * x.outerStride(), z.data() + j * z.outerStride(), x.rows());
  }
  template <class S>
  void input_gradient(const ConstVectorRef<S>&, const ConstMatrixRef<S>& x, const ConstMatrixRef<S>& z, const ConstMatrixRef<S>& dz,
                      MatrixRef<S> dx, auto&) const {
    const ConstMatrixRef<S>& from = is_in_place<F> ? z : x;
    if (from.outerStride() == from.rows() && dz.outerStride() == dz.rows() && dx.outerStride() == dx.rows())
      return apply_slope(from.data(), dz.data(), dx.data(), from.size());
    for (Index j = 0; j < from.cols(); ++j)
      apply_slope(from.data() + j * from.outerStride(), dz.data() + j * dz.outerStride(), dx.data() + j * dx.outerStride(), from.rows());
  }
};

}  // namespace detail

/// max(0, x); the slope at 0 is 0. NaN stays NaN. The usual choice behind Dense and Conv2d, which start with He's weights then.
/// (Nair, Hinton: "Rectified linear units improve restricted Boltzmann machines", ICML 2010.)
struct Relu : detail::Elementwise<Relu> {
  static constexpr const char* name = "Relu";
  static constexpr bool commutes_with_maximum = true;
  static constexpr bool in_place = true;

  template <class S, class V>
  V value(V x) const {
    using K = kernels::Simd<S>;
    const V zero = K::broadcast(0);
    return K::select(K::less(x, zero), zero, x);
  }
  template <class S, class V>
  V times_slope(V z, V d) const {
    using K = kernels::Simd<S>;
    const V zero = K::broadcast(0);
    return K::select(K::less(zero, z), d, zero);
  }
};

/// x where x ≥ 0, else slope · x: no unit stays without a gradient. Throws OptionError unless slope is in [0, ∞).
/// (Maas, Hannun, Ng: "Rectifier nonlinearities improve neural network acoustic models", ICML 2013.)
struct LeakyRelu : detail::Elementwise<LeakyRelu> {
  static constexpr const char* name = "LeakyRelu";
  static constexpr bool in_place = true;  // slope ≥ 0: z > 0 where x > 0

  double slope = 0.01;

  LeakyRelu() = default;
  explicit LeakyRelu(double slope_below_zero) : slope(slope_below_zero) {}

  Shape connect(const Shape& input) {
    if (!(slope >= 0 && slope < std::numeric_limits<double>::infinity()))
      throw OptionError(detail::text("slope must be finite and at least 0; got ", slope));
    return input;
  }
  template <class S, class V>
  V value(V x) const {
    using K = kernels::Simd<S>;
    return K::select(K::less(x, K::broadcast(0)), K::mul(K::broadcast(static_cast<S>(slope)), x), x);
  }
  template <class S, class V>
  V times_slope(V z, V d) const {
    using K = kernels::Simd<S>;
    return K::select(K::less(K::broadcast(0), z), d, K::mul(K::broadcast(static_cast<S>(slope)), d));
  }
};

/// tanh x, slope 1 − z².
struct Tanh : detail::Elementwise<Tanh> {
  static constexpr const char* name = "Tanh";
  static constexpr bool in_place = true;

  template <class S, class V>
  V value(V x) const {
    return kernels::tanh<S>(x);
  }
  template <class S, class V>
  V times_slope(V z, V d) const {
    using K = kernels::Simd<S>;
    return K::mul(d, K::fma(K::neg(z), z, K::broadcast(1)));
  }
};

/// σ(x) = 1 / (1 + e⁻ˣ), slope z (1 − z).
struct Sigmoid : detail::Elementwise<Sigmoid> {
  static constexpr const char* name = "Sigmoid";
  static constexpr bool in_place = true;

  template <class S, class V>
  V value(V x) const {
    return kernels::sigmoid<S>(x);
  }
  template <class S, class V>
  V times_slope(V z, V d) const {
    using K = kernels::Simd<S>;
    return K::mul(d, K::mul(z, K::sub(K::broadcast(1), z)));
  }
};

/// x Φ(x) = x (1 + erf(x/√2)) / 2, the exact form; slope Φ(x) + x φ(x), φ(x) = e^(−x²/2) / √(2π).
/// (Hendrycks, Gimpel: "Gaussian error linear units", 2016.)
struct Gelu : detail::Elementwise<Gelu> {
  static constexpr const char* name = "Gelu";
  static constexpr bool needs_output = false;

  template <class S, class V>
  V value(V x) const {
    using K = kernels::Simd<S>;
    return K::mul(x, distribution<S>(x));
  }
  template <class S, class V>
  V times_slope(V x, V d) const {
    using K = kernels::Simd<S>;
    const V half_square = K::mul(K::mul(x, K::broadcast(S{-0.5})), x);
    const V density = K::mul(kernels::exp<S>(half_square), K::broadcast(static_cast<S>(0x1.9884533d43651p-2)));  // 1/√(2π)
    // Far out x is ∞ where the density is 0.
    const V slope = K::fma(x, density, distribution<S>(x));
    const V far = K::broadcast(S{40});
    return K::mul(d, K::select(K::less(far, x), K::broadcast(1), K::select(K::less(x, K::neg(far)), K::broadcast(0), slope)));
  }

 private:
  /// Φ(x)
  template <class S, class V>
  static V distribution(V x) {
    using K = kernels::Simd<S>;
    const V half = K::broadcast(S{0.5});
    const V e = kernels::erf<S>(K::mul(x, K::broadcast(static_cast<S>(0x1.6a09e667f3bcdp-1))));  // x/√2
    return K::fma(half, e, half);
  }
};

/// x σ(x), also called swish; slope σ(x) (1 + x (1 − σ(x))).
/// (Elfwing, Uchibe, Doya: "Sigmoid-weighted linear units", 2017; Ramachandran, Zoph, Le: "Searching for activation functions", 2017.)
struct Silu : detail::Elementwise<Silu> {
  static constexpr const char* name = "Silu";
  static constexpr bool needs_output = false;

  template <class S, class V>
  V value(V x) const {
    using K = kernels::Simd<S>;
    return K::mul(x, kernels::sigmoid<S>(x));
  }
  template <class S, class V>
  V times_slope(V x, V d) const {
    using K = kernels::Simd<S>;
    const V one = K::broadcast(1), s = kernels::sigmoid<S>(x);
    return K::mul(d, K::mul(s, K::fma(x, K::sub(one, s), one)));
  }
};

/// log(1 + eˣ), a smooth ReLU; slope σ(x). (Dugas et al., NIPS 2000.)
struct Softplus : detail::Elementwise<Softplus> {
  static constexpr const char* name = "Softplus";
  static constexpr bool needs_output = false;

  template <class S, class V>
  V value(V x) const {
    return kernels::softplus<S>(x);
  }
  template <class S, class V>
  V times_slope(V x, V d) const {
    return kernels::Simd<S>::mul(d, kernels::sigmoid<S>(x));
  }
};

static_assert(Layer<Relu> && Layer<LeakyRelu> && Layer<Tanh> && Layer<Sigmoid> && Layer<Gelu> && Layer<Silu> && Layer<Softplus>);

}  // namespace parade
