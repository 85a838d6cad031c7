// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstddef>
#include <limits>
#include <type_traits>

#include <parade/core/types.hpp>
#include <parade/kernels/simd.hpp>

// Elementary functions on the vectors of simd.hpp: a lane has the same bits on every machine with fused multiply-add, from every compiler,
// whatever the width and wherever the element stands. (Of a NaN only this is promised, that it is one.) They hold on all of the type:
// subnormal arguments and results, overflow to ∞, ±∞, NaN, the sign of zero.
//
// What keeps the bits: every multiply-add is written as one, and no product goes into a sum, since compilers fuse these or not; only
// operations that IEEE 754 rounds correctly, integers, and choices by masks; no table, no branch on data, no function of the C library
// (but std::fma, on a machine without one).
//
// Errors are measured, in ulp: the distance of the type's numbers at the exact result. For float over all floats; for double over some 10⁷
// arguments for each function, most of them where the error is largest. Sources: W. Cody, W. Waite, "Software Manual for the Elementary
// Functions", 1980 (the reduction of exp in two steps); P. Tang, ACM TOMS 15(2), 1989 and 16(4), 1990 (exp and log as a large part and a
// small correction, there with tables); J.-M. Muller, "Elementary Functions", 2016 (all of it, and how coefficients are found).
namespace parade::detail {

using kernels::Format;
using kernels::Simd;

template <class Scalar>
using VectorOf = typename Simd<Scalar>::Vector;

/// Coefficients, lowest power first: minimax for the error of the function that they serve, rounded to the type.
///
///     exp        (eʳ − 1 − r) / r²              |r| ≤ ln 2 / 2
///     log        (log(1 + f) − f) / f²          −1/4 ≤ f ≤ 1/2
///     tanh       (tanh(a) / a − 1) / z, z = a²  0 ≤ a ≤ 0.55
///     erf        erf(a) / a − 1 in z = a²       0 ≤ a ≤ 1
///     log_erfc   log(1 − erf(a))                1 ≤ a ≤ erf_high
///     ln2_high   the leading 16 (42) bits of ln 2: its product with an exponent is exact. ln2_low: the rest
///     ∗_low, ∗_high   beyond these the result is 0, 1 or ∞ after rounding
template <class Scalar>
struct MathTable;

template <>
struct MathTable<float> {
  static constexpr float exp[] = {0x1.fffffap-2f, 0x1.555492p-3f, 0x1.555a26p-5f, 0x1.123982p-7f, 0x1.694cb2p-10f};
  static constexpr float log[] = {-0x1p-1f,       0x1.5555a6p-2f,  -0x1.00004ep-2f, 0x1.9968eap-3f, -0x1.54eb3ep-3f,
                                  0x1.288588p-3f, -0x1.0db768p-3f, 0x1.ad45e2p-4f,  -0x1.721e2ep-5f};
  static constexpr float tanh[] = {-0x1.55554ap-2f, 0x1.110cfep-3f, -0x1.b922dap-5f, 0x1.5913c4p-6f, -0x1.9a5af2p-8f};
  static constexpr float erf[] = {0x1.06eba8p-3f, -0x1.81274p-2f,   0x1.ce2d52p-4f, -0x1.b7fec4p-6f,
                                  0x1.542feap-8f, -0x1.a51952p-11f, 0x1.4c5beep-14f};
  static constexpr float log_erfc[] = {-0x1.72ecc8p-12f, -0x1.2085bp+0f,  -0x1.46c58ap-1f, -0x1.a60a5ap-4f,
                                       0x1.6541dp-6f,    -0x1.814c2ep-9f, 0x1.852c2p-13f};
  static constexpr float one_over_ln2 = 0x1.715476p0f, ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
  static constexpr float exp_low = -104, exp_high = 89, sigmoid_high = 18, tanh_high = 10, erf_high = 3.95f;
};

template <>
struct MathTable<double> {
  static constexpr double exp[] = {0x1.000000000000ap-1,  0x1.55555555554fep-3,  0x1.55555555506b7p-5,  0x1.1111111126b32p-7,
                                   0x1.6c16c18478c0ep-10, 0x1.a01a012ff2fb6p-13, 0x1.a019995924e76p-16, 0x1.71df18dcb71afp-19,
                                   0x1.28ae030132fe6p-22, 0x1.ad9316a42d5afp-26};
  static constexpr double log[] = {-0x1.ffffffffffffbp-2, 0x1.55555555555c4p-2, -0x1.0000000000dd9p-2, 0x1.999999998968ap-3,
                                   -0x1.55555553fc148p-3, 0x1.24924929f4d86p-3, -0x1.000000787e8eap-3, 0x1.c71c70f091db3p-4,
                                   -0x1.99996dec0b702p-4, 0x1.745ce2de2d7ffp-4, -0x1.555984ccc6756p-4, 0x1.3b20045c98502p-4,
                                   -0x1.2463c7f0f151cp-4, 0x1.10110d9f1f5d2p-4, -0x1.ffec8da53578dp-5, 0x1.f2ac4662dfc7cp-5,
                                   -0x1.e9b6f8c341c67p-5, 0x1.9fcb12507da7ep-5, -0x1.e1142d80f76f7p-6, 0x1.0815547abed23p-7};
  static constexpr double tanh[] = {-0x1.555555555554fp-2,  0x1.111111111078fp-3,  -0x1.ba1ba1b97c9b2p-5,  0x1.664f4859395dbp-6,
                                    -0x1.226e2f0d28e05p-7,  0x1.d6d29a65bfd1bp-9,  -0x1.7d8fc3df29678p-10, 0x1.348328d8d66c8p-11,
                                    -0x1.e96a50692ac3cp-13, 0x1.5d644cf6ee105p-14, -0x1.46e86bc157481p-16};
  static constexpr double erf[] = {0x1.06eba8214db68p-3,  -0x1.812746b0379b5p-2,  0x1.ce2f21a040affp-4,  -0x1.b82ce311f6f19p-6,
                                   0x1.565bccf904f46p-8,  -0x1.c02db03f51d4fp-11, 0x1.f9a2bb3a36f81p-14, -0x1.f4ca5a899e7f4p-17,
                                   0x1.b98072c1fb227p-20, -0x1.5c0b722c26464p-23, 0x1.d73b2500d4284p-27, -0x1.ac1306713941p-31};
  static constexpr double log_erfc[] = {-0x1.138acf3446e86p-21, -0x1.20dd1e3037825p+0,  -0x1.45f635a6530d6p-1,  -0x1.a4ab281afe87p-4,
                                        0x1.37199fae1d8bdp-6,   0x1.b19f9fb7fd31cp-12,  -0x1.f70a33699a4bcp-10, 0x1.954c00290236p-11,
                                        -0x1.1e5fca9771f04p-13, -0x1.478eb062e8c97p-16, 0x1.7a0bc25820647p-16,  -0x1.1fdc3b71e1c57p-17,
                                        0x1.1bd8e96d16e99p-19,  -0x1.8cd29ac08281p-22,  0x1.8a9157ce43d9fp-25,  -0x1.0b528a5000119p-28,
                                        0x1.bc48361b8adbbp-33,  -0x1.565a84160982dp-38};
  static constexpr double one_over_ln2 = 0x1.71547652b82fep0, ln2_high = 0x1.62e42fefa38p-1, ln2_low = 0x1.ef35793c7673p-45;
  static constexpr double exp_low = -746, exp_high = 710, sigmoid_high = 38, tanh_high = 20, erf_high = 5.93;
};

/// c₀ + c₁ x + c₂ x² + … for c[First] … c[First + Count − 1], powers = x, x², x⁴, x⁸, … (Estrin's scheme: half the latency of Horner's)
template <std::size_t First, std::size_t Count, class Scalar, std::size_t N>
VectorOf<Scalar> estrin(const Scalar (&c)[N], const VectorOf<Scalar>* powers) {
  using S = Simd<Scalar>;
  if constexpr (Count == 1) {
    return S::broadcast(c[First]);
  } else {
    constexpr std::size_t half = std::bit_floor(Count - 1);
    return S::fma(estrin<First + half, Count - half>(c, powers), powers[std::bit_width(half) - 1], estrin<First, half>(c, powers));
  }
}

/// c₀ + c₁ x + … + c_{N−1} x^{N−1}. The last two steps are Horner's: their rounding errors count most, and his are smaller.
template <class Scalar, std::size_t N>
VectorOf<Scalar> polynomial(const Scalar (&c)[N], VectorOf<Scalar> x) {
  using S = Simd<Scalar>;
  static_assert(N > 2 && N - 2 <= 32);
  const auto x2 = S::mul(x, x), x4 = S::mul(x2, x2), x8 = S::mul(x4, x4), x16 = S::mul(x8, x8);
  const VectorOf<Scalar> powers[] = {x, x2, x4, x8, x16};
  auto y = estrin<2, N - 2>(c, powers);
  y = S::fma(y, x, S::broadcast(c[1]));
  return S::fma(y, x, S::broadcast(c[0]));
}

/// |x|
template <class Scalar>
VectorOf<Scalar> magnitude(VectorOf<Scalar> x) {
  using Bits = typename Simd<Scalar>::Bits;
  return std::bit_cast<VectorOf<Scalar>>(std::bit_cast<Bits>(x) & ~(Bits{} + Format<Scalar>::sign));
}

/// x ≥ 0 with the sign of y
template <class Scalar>
VectorOf<Scalar> with_sign(VectorOf<Scalar> x, VectorOf<Scalar> y) {
  using Bits = typename Simd<Scalar>::Bits;
  return std::bit_cast<VectorOf<Scalar>>(std::bit_cast<Bits>(x) | (std::bit_cast<Bits>(y) & (Bits{} + Format<Scalar>::sign)));
}

/// x in [low, high]. NaN stays NaN.
template <class Scalar>
VectorOf<Scalar> clamp(VectorOf<Scalar> x, std::type_identity_t<Scalar> low, std::type_identity_t<Scalar> high) {
  using S = Simd<Scalar>;
  return S::max(S::broadcast(low), S::min(S::broadcast(high), x));
}

/// x = n ln 2 + r, so that eˣ = 2ⁿ eʳ: n whole, |r| ≤ ln 2 / 2 up to rounding (Cody and Waite)
template <class Scalar>
struct ReducedExp {
  using S = Simd<Scalar>;
  using T = MathTable<Scalar>;
  typename S::Vector n, r;

  explicit ReducedExp(typename S::Vector x) {
    const auto to_whole = S::broadcast(Format<Scalar>::to_whole);
    n = S::sub(S::fma(x, S::broadcast(T::one_over_ln2), to_whole), to_whole);
    r = S::fma(n, S::broadcast(-T::ln2_high), x);  // exact
    r = S::fma(n, S::broadcast(-T::ln2_low), r);
  }
};

/// eʳ = 1 + r (1 + r Q(r)), |r| ≤ ln 2 / 2
template <class Scalar>
VectorOf<Scalar> reduced_exp(VectorOf<Scalar> r) {
  using S = Simd<Scalar>;
  const auto one = S::broadcast(1);
  return S::fma(S::fma(polynomial(MathTable<Scalar>::exp, r), r, one), r, one);
}

/// k ln 2 + log(1 + f) = (k ln2_high + f) + (f² Q(f) + k ln2_low), −1/4 ≤ f ≤ 1/2. The large part keeps the error of its sum.
template <class Scalar>
VectorOf<Scalar> reduced_log(VectorOf<Scalar> k, VectorOf<Scalar> f) {
  using S = Simd<Scalar>;
  using T = MathTable<Scalar>;
  const auto high = S::fma(k, S::broadcast(T::ln2_high), f);
  const auto error = S::add(S::fma(k, S::broadcast(T::ln2_high), S::neg(high)), f);
  const auto low = S::fma(k, S::broadcast(T::ln2_low), error);
  return S::add(high, S::fma(S::mul(f, f), polynomial(T::log, f), low));
}

/// For u = 2ᵏ m > 0 with 3/4 ≤ m < 3/2: the exponent bias + k, k as a number, and m.
template <class Scalar>
struct SplitExponent {
  using S = Simd<Scalar>;
  using F = Format<Scalar>;
  using Word = typename F::Word;
  using Bits = typename S::Bits;
  using Vector = typename S::Vector;
  static constexpr Word lowest = std::bit_cast<Word>(Scalar{0.75});

  explicit SplitExponent(Vector u) : SplitExponent(std::bit_cast<Bits>(u) + (std::bit_cast<Word>(Scalar{1}) - lowest)) {}

  Bits exponent;
  Vector k, m;

 private:
  static constexpr Scalar whole = static_cast<Scalar>(Word{1} << F::fraction_bits);  // whole + i has i in its lowest bits
  explicit SplitExponent(Bits shifted)
      : exponent(shifted >> F::fraction_bits),
        k(S::sub(std::bit_cast<Vector>(exponent | std::bit_cast<Word>(whole)), S::broadcast(whole + F::bias))),
        m(std::bit_cast<Vector>((shifted & ((Word{1} << F::fraction_bits) - 1)) + lowest)) {}
};

/// The parts of 1 / (1 + eᵗ) = power · y, power = 2⁻ⁿ. With t = n ln 2 + r and p = eʳ − 1 the sum is 2ⁿ (1 + 2⁻ⁿ + p): it neither
/// overflows nor loses the small one of the two. Its rounding error and that of the division go into one correction of y.
template <class Scalar>
struct Logistic {
  using S = Simd<Scalar>;
  using Vector = typename S::Vector;
  Vector exponent, power, y;  // −n, 2⁻ⁿ (0 or subnormal where n is large), 0 < y < 3/2

  explicit Logistic(Vector t) {
    const auto one = S::broadcast(1);
    const auto [n, r] = ReducedExp<Scalar>(t);
    const auto p = S::fma(S::mul(r, r), polynomial(MathTable<Scalar>::exp, r), r);
    exponent = S::neg(n);
    power = S::scale(one, exponent);
    const auto sum = S::add(one, power), d = S::add(sum, p);
    const auto error = S::add(S::sub(power, S::sub(sum, one)), S::add(S::sub(sum, d), p));  // 1 + 2⁻ⁿ + p = d + error
    const auto quotient = S::div(one, d);
    const auto rest = S::fma(S::neg(error), quotient, S::fma(S::neg(d), quotient, one));
    y = S::fma(quotient, rest, quotient);
  }
};

}  // namespace parade::detail

namespace parade::kernels {

/// eˣ. Error below 0.90 ulp, for float and double.
/// 2ⁿ eʳ, x = n ln 2 + r (Cody and Waite), eʳ by a polynomial of degree 6 (11).
template <class Scalar>
typename Simd<Scalar>::Vector exp(typename Simd<Scalar>::Vector x) {
  using T = detail::MathTable<Scalar>;
  const auto [n, r] = detail::ReducedExp<Scalar>(detail::clamp<Scalar>(x, T::exp_low, T::exp_high));
  return Simd<Scalar>::scale(detail::reduced_exp<Scalar>(r), n);
}

/// log x, the natural logarithm: −∞ at ±0, NaN below. Error below 0.92 ulp for float, 0.95 for double.
/// k ln 2 + log(1 + f), x = 2ᵏ (1 + f), −1/4 ≤ f < 1/2, log(1 + f) by a polynomial of degree 10 (21).
template <class Scalar>
typename Simd<Scalar>::Vector log(typename Simd<Scalar>::Vector x) {
  using S = Simd<Scalar>;
  using Limits = std::numeric_limits<Scalar>;
  constexpr Scalar steps = Limits::digits;
  const auto subnormal = S::less(x, S::broadcast(Limits::min()));
  const auto normal = S::select(subnormal, S::mul(x, S::broadcast(2 / Limits::epsilon())), x);  // · 2^steps
  const detail::SplitExponent<Scalar> split(normal);
  const auto k = S::sub(split.k, S::select(subnormal, S::broadcast(steps), S::broadcast(0)));
  auto y = detail::reduced_log<Scalar>(k, S::sub(split.m, S::broadcast(1)));
  y = S::select(S::less(x, S::broadcast(Limits::infinity())), y, x);
  y = S::select(S::less(x, S::broadcast(Limits::denorm_min())), S::broadcast(-Limits::infinity()), y);
  return S::select(S::less(x, S::broadcast(0)), S::broadcast(Limits::quiet_NaN()), y);
}

/// log(1 + x), accurate for small x: −∞ at −1, NaN below. Error below 0.92 ulp for float, 0.97 for double.
/// As log, with k from the rounded 1 + x, and 1 + f = 2⁻ᵏ (1 + x) from x itself: f = 2⁻ᵏ x + (2⁻ᵏ − 1) is exact or nearly so.
template <class Scalar>
typename Simd<Scalar>::Vector log1p(typename Simd<Scalar>::Vector x) {
  using S = Simd<Scalar>;
  using F = Format<Scalar>;
  using Limits = std::numeric_limits<Scalar>;
  const auto minus_one = S::broadcast(-1), quarter = S::broadcast(Scalar{0.25});
  const detail::SplitExponent<Scalar> split(S::add(S::broadcast(1), x));
  // 2^(2−k), since 2⁻ᵏ is not a normal number for the largest x
  const auto power = std::bit_cast<typename S::Vector>((2 * F::bias + 2 - split.exponent) << F::fraction_bits);
  auto y = detail::reduced_log<Scalar>(split.k, S::fma(S::mul(quarter, x), power, S::fma(quarter, power, minus_one)));
  y = S::select(S::less(detail::magnitude<Scalar>(x), S::broadcast(Limits::epsilon() / 4)), x, y);  // also −0 and subnormal x
  y = S::select(S::less(minus_one, x), y, S::broadcast(-Limits::infinity()));
  y = S::select(S::less(x, minus_one), S::broadcast(Limits::quiet_NaN()), y);
  return S::select(S::less(x, S::broadcast(Limits::infinity())), y, x);
}

/// σ(x) = 1 / (1 + e⁻ˣ), accurate in both tails. Error below 0.97 ulp, for float and double.
template <class Scalar>
typename Simd<Scalar>::Vector sigmoid(typename Simd<Scalar>::Vector x) {
  using S = Simd<Scalar>;
  using T = detail::MathTable<Scalar>;
  const detail::Logistic<Scalar> logistic(S::neg(detail::clamp<Scalar>(x, T::exp_low, T::sigmoid_high)));
  return S::scale(logistic.y, logistic.exponent);
}

/// tanh x. Error below 0.89 ulp, for float and double.
/// With a = |x|: a + a³ P(a²) below 0.55, a polynomial of degree 11 (23), else 1 − 2 / (1 + e²ᵃ).
template <class Scalar>
typename Simd<Scalar>::Vector tanh(typename Simd<Scalar>::Vector x) {
  using S = Simd<Scalar>;
  using T = detail::MathTable<Scalar>;
  const auto a = detail::magnitude<Scalar>(x), z = S::mul(a, a);
  const auto small = S::fma(S::mul(a, z), detail::polynomial(T::tanh, z), a);
  const auto b = S::min(S::broadcast(T::tanh_high), a);
  const detail::Logistic<Scalar> logistic(S::add(b, b));
  const auto large = S::fma(S::mul(logistic.y, logistic.power), S::broadcast(-2), S::broadcast(1));
  return detail::with_sign<Scalar>(S::select(S::less(a, S::broadcast(Scalar{0.55f})), small, large), x);
}

/// erf x = 2/√π ∫₀ˣ e^{−t²} dt. Error below 1.17 ulp for float, 1.30 for double.
/// With a = |x|: a + a P(a²) below 1, P of degree 6 (11), else 1 − e^{Q(a)}, Q of degree 6 (17).
template <class Scalar>
typename Simd<Scalar>::Vector erf(typename Simd<Scalar>::Vector x) {
  using S = Simd<Scalar>;
  using T = detail::MathTable<Scalar>;
  const auto one = S::broadcast(1), a = detail::magnitude<Scalar>(x);
  const auto small = S::fma(a, detail::polynomial(T::erf, S::mul(a, a)), a);
  const auto [n, r] = detail::ReducedExp<Scalar>(detail::polynomial(T::log_erfc, S::min(S::broadcast(T::erf_high), a)));
  const auto large = S::fma(S::neg(detail::reduced_exp<Scalar>(r)), S::scale(one, n), one);
  return detail::with_sign<Scalar>(S::select(S::less(a, one), small, large), x);
}

/// log(1 + eˣ) = max(x, 0) + log1p(e^{−|x|}). Error below 1.75 ulp, for float and double.
template <class Scalar>
typename Simd<Scalar>::Vector softplus(typename Simd<Scalar>::Vector x) {
  using S = Simd<Scalar>;
  return S::add(S::max(S::broadcast(0), x), log1p<Scalar>(exp<Scalar>(S::neg(detail::magnitude<Scalar>(x)))));
}

/// y ← f(x), element by element, for f: Vector → Vector, which must treat all lanes alike. y may be x, but must not overlap it otherwise.
///
///     transform(z, y, size, [&](auto v) { return exp<Scalar>(S::sub(v, top)); });
///
/// A vector a turn: no turn waits for another, so that processors overlap them by themselves. f stands in the code once, whatever
/// the rest, so that it is inlined.
template <class Scalar, class F>
void transform(const Scalar* x, Scalar* y, Index size, const F& f) {
  using S = Simd<Scalar>;
  for (Index i = 0; i < size; i += S::width) {
    const Index rest = size - i;
    const auto v = f(rest < S::width ? S::load_first(x + i, rest) : S::load(x + i));
    rest < S::width ? S::store_first(y + i, v, rest) : S::store(y + i, v);
  }
}

/// x ← f(x)
template <class Scalar, class F>
void transform(Scalar* x, Index size, const F& f) {
  transform(static_cast<const Scalar*>(x), x, size, f);
}

}  // namespace parade::kernels
