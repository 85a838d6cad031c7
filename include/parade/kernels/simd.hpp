// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <parade/core/types.hpp>

#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#endif

// A thin layer over the vector instructions of the machine that the program is compiled for. Only operations that IEEE 754 rounds
// correctly stand here, so a lane has the same bits on every machine, whatever the width.
namespace parade::kernels {

/// The vectors of `Scalar` (float or double). All members are static; `p` needs no alignment.
///
///     width, registers                          lanes in a vector; vector registers that the machine has
///     load(p), store(p, v)                      p[0 … width)
///     load_first(p, n), store_first(p, v, n)    p[0 … n), 0 ≤ n ≤ width: no other memory is touched; the other lanes load as 0
///     broadcast(x)                              x in all lanes
///     add, sub, mul, div                        rounded once
///     fma(a, b, c)                              ab + c, rounded once. Never add(mul(a, b), c): the compiler may fuse it or not
///     neg(a)                                    −a
///     min(a, b), max(a, b)                      a < b ? a : b and a > b ? a : b: b if one of them is a NaN
///     less(a, b), select(m, a, b)               a < b, false if one of them is a NaN; m ? a : b
///     scale(a, n)                               2ⁿ a, rounded once, for a > 0 and whole n if 2^(n/2) and a 2^(n/2) are normal numbers
///     Bits                                      unsigned integers, by std::bit_cast from and to Vector; with + − & | ^ << >>
///     zip_low(a, b), zip_high(a, b)             a₀ b₀ a₁ b₁ … from the lower, from the upper halves of a and b (not where width is 1)
template <class Scalar>
struct Simd;

/// The format of `Scalar` and the unsigned integer of its size.
template <class Scalar>
struct Format {
  using Word = std::conditional_t<sizeof(Scalar) == 4, std::uint32_t, std::uint64_t>;
  static_assert(std::numeric_limits<Scalar>::is_iec559 && sizeof(Scalar) == sizeof(Word));
  static constexpr Word fraction_bits = std::numeric_limits<Scalar>::digits - 1;
  static constexpr Word bias = std::numeric_limits<Scalar>::max_exponent - 1;
  static constexpr Word sign = Word{1} << (8 * sizeof(Scalar) - 1);
  /// (x + to_whole) − to_whole rounds |x| < 2^(fraction_bits−1) to the nearest whole number, ties to even, and the lowest bits of
  /// x + to_whole are then those of that number in two's complement.
  static constexpr Scalar to_whole = static_cast<Scalar>(Word{3} << (fraction_bits - 1));
};

/// 2ⁿ a by two powers of two. The first product is exact, so that the result is rounded once. The second is a multiply-add with 0, as no
/// compiler can fuse that with a sum that the result goes into.
template <class S, class Scalar>
auto scale_twice(typename S::Vector a, typename S::Vector n) {
  using F = Format<Scalar>;
  using Word = typename F::Word;
  using Bits = typename S::Bits;
  const Bits biased = std::bit_cast<Bits>(S::add(n, S::broadcast(F::to_whole))) - (std::bit_cast<Word>(F::to_whole) - 2 * F::bias);
  const Bits half = biased >> Word{1}, rest = biased - half;  // both are biased once
  const auto first = std::bit_cast<typename S::Vector>(half << F::fraction_bits);
  const auto second = std::bit_cast<typename S::Vector>(rest << F::fraction_bits);
  return S::fma(S::mul(a, first), second, S::broadcast(0));
}

/// What all vectors share; the compilers know these operators on the vector types of every machine.
struct SimdArithmetic {
  static auto add(auto a, decltype(a) b) { return a + b; }
  static auto sub(auto a, decltype(a) b) { return a - b; }
  static auto mul(auto a, decltype(a) b) { return a * b; }
  static auto div(auto a, decltype(a) b) { return a / b; }
  static auto neg(auto a) { return -a; }
};

#if defined(__AVX512F__)

constexpr const char* instruction_set() { return "AVX-512"; }

template <>
struct Simd<float> : SimdArithmetic {
  using Vector = __m512;
  using Mask = __mmask16;
  typedef std::uint32_t Bits __attribute__((vector_size(64)));
  static constexpr Index width = 16, registers = 32;
  static Vector load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Vector v) { _mm512_storeu_ps(p, v); }
  static Vector load_first(const float* p, Index n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static void store_first(float* p, Vector v, Index n) { _mm512_mask_storeu_ps(p, first(n), v); }
  static Vector broadcast(float x) { return _mm512_set1_ps(x); }
  static Vector fma(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
  static Vector min(Vector a, Vector b) { return _mm512_maskz_min_ps(0xFFFF, a, b); }  // GCC 12 warns of _mm512_min_ps
  static Vector max(Vector a, Vector b) { return _mm512_maskz_max_ps(0xFFFF, a, b); }
  static Mask less(Vector a, Vector b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  static Vector select(Mask m, Vector a, Vector b) { return _mm512_mask_blend_ps(m, b, a); }
  static Vector scale(Vector a, Vector n) { return _mm512_maskz_scalef_ps(0xFFFF, a, n); }
  static Vector zip_low(Vector a, Vector b) {
    return _mm512_permutex2var_ps(a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b);
  }
  static Vector zip_high(Vector a, Vector b) {
    return _mm512_permutex2var_ps(a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), b);
  }

 private:
  static __mmask16 first(Index n) { return static_cast<__mmask16>((1u << n) - 1u); }
};

template <>
struct Simd<double> : SimdArithmetic {
  using Vector = __m512d;
  using Mask = __mmask8;
  typedef std::uint64_t Bits __attribute__((vector_size(64)));
  static constexpr Index width = 8, registers = 32;
  static Vector load(const double* p) { return _mm512_loadu_pd(p); }
  static void store(double* p, Vector v) { _mm512_storeu_pd(p, v); }
  static Vector load_first(const double* p, Index n) { return _mm512_maskz_loadu_pd(first(n), p); }
  static void store_first(double* p, Vector v, Index n) { _mm512_mask_storeu_pd(p, first(n), v); }
  static Vector broadcast(double x) { return _mm512_set1_pd(x); }
  static Vector fma(Vector a, Vector b, Vector c) { return _mm512_fmadd_pd(a, b, c); }
  static Vector min(Vector a, Vector b) { return _mm512_maskz_min_pd(0xFF, a, b); }  // GCC 12 warns of _mm512_min_pd
  static Vector max(Vector a, Vector b) { return _mm512_maskz_max_pd(0xFF, a, b); }
  static Mask less(Vector a, Vector b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
  static Vector select(Mask m, Vector a, Vector b) { return _mm512_mask_blend_pd(m, b, a); }
  static Vector scale(Vector a, Vector n) { return _mm512_maskz_scalef_pd(0xFF, a, n); }
  static Vector zip_low(Vector a, Vector b) { return _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b); }
  static Vector zip_high(Vector a, Vector b) { return _mm512_permutex2var_pd(a, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b); }

 private:
  static __mmask8 first(Index n) { return static_cast<__mmask8>((1u << n) - 1u); }
};

#elif defined(__AVX2__) && defined(__FMA__)

constexpr const char* instruction_set() { return "AVX2"; }

/// The first n of `lanes` equal fields of 256 bits, cut from eight set words before eight clear ones.
inline __m256i avx2_first(Index n, Index lanes) {
  static constexpr int words[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + 8 - n * (8 / lanes)));
}

template <>
struct Simd<float> : SimdArithmetic {
  using Vector = __m256;
  using Mask = __m256;
  typedef std::uint32_t Bits __attribute__((vector_size(32)));
  static constexpr Index width = 8, registers = 16;
  static Vector load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Vector v) { _mm256_storeu_ps(p, v); }
  static Vector load_first(const float* p, Index n) { return _mm256_maskload_ps(p, avx2_first(n, width)); }
  static void store_first(float* p, Vector v, Index n) { _mm256_maskstore_ps(p, avx2_first(n, width), v); }
  static Vector broadcast(float x) { return _mm256_set1_ps(x); }
  static Vector fma(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
  static Vector min(Vector a, Vector b) { return _mm256_min_ps(a, b); }
  static Vector max(Vector a, Vector b) { return _mm256_max_ps(a, b); }
  static Mask less(Vector a, Vector b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
  static Vector select(Mask m, Vector a, Vector b) { return _mm256_blendv_ps(b, a, m); }
  static Vector scale(Vector a, Vector n) { return scale_twice<Simd, float>(a, n); }
  static Vector zip_low(Vector a, Vector b) { return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20); }
  static Vector zip_high(Vector a, Vector b) { return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31); }
};

template <>
struct Simd<double> : SimdArithmetic {
  using Vector = __m256d;
  using Mask = __m256d;
  typedef std::uint64_t Bits __attribute__((vector_size(32)));
  static constexpr Index width = 4, registers = 16;
  static Vector load(const double* p) { return _mm256_loadu_pd(p); }
  static void store(double* p, Vector v) { _mm256_storeu_pd(p, v); }
  static Vector load_first(const double* p, Index n) { return _mm256_maskload_pd(p, avx2_first(n, width)); }
  static void store_first(double* p, Vector v, Index n) { _mm256_maskstore_pd(p, avx2_first(n, width), v); }
  static Vector broadcast(double x) { return _mm256_set1_pd(x); }
  static Vector fma(Vector a, Vector b, Vector c) { return _mm256_fmadd_pd(a, b, c); }
  static Vector min(Vector a, Vector b) { return _mm256_min_pd(a, b); }
  static Vector max(Vector a, Vector b) { return _mm256_max_pd(a, b); }
  static Mask less(Vector a, Vector b) { return _mm256_cmp_pd(a, b, _CMP_LT_OQ); }
  static Vector select(Mask m, Vector a, Vector b) { return _mm256_blendv_pd(b, a, m); }
  static Vector scale(Vector a, Vector n) { return scale_twice<Simd, double>(a, n); }
  static Vector zip_low(Vector a, Vector b) { return _mm256_permute2f128_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b), 0x20); }
  static Vector zip_high(Vector a, Vector b) { return _mm256_permute2f128_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b), 0x31); }
};

#elif defined(__aarch64__) && defined(__ARM_NEON)

constexpr const char* instruction_set() { return "NEON"; }

/// NEON has no masks: lanes go through memory one by one.
template <class Scalar>
struct NeonLanes : SimdArithmetic {
  static constexpr Index width = 16 / sizeof(Scalar), registers = 32;
  static auto load_first(const Scalar* p, Index n) {
    Scalar lanes[16 / sizeof(Scalar)] = {};
    for (Index i = 0; i < n; ++i) lanes[i] = p[i];
    return Simd<Scalar>::load(lanes);
  }
  static void store_first(Scalar* p, auto v, Index n) {
    Scalar lanes[16 / sizeof(Scalar)];
    Simd<Scalar>::store(lanes, v);
    for (Index i = 0; i < n; ++i) p[i] = lanes[i];
  }
};

template <>
struct Simd<float> : NeonLanes<float> {
  using Vector = float32x4_t;
  using Mask = uint32x4_t;
  using Bits = uint32x4_t;
  static Vector load(const float* p) { return vld1q_f32(p); }
  static void store(float* p, Vector v) { vst1q_f32(p, v); }
  static Vector broadcast(float x) { return vdupq_n_f32(x); }
  static Vector fma(Vector a, Vector b, Vector c) { return vfmaq_f32(c, a, b); }
  static Mask less(Vector a, Vector b) { return vcltq_f32(a, b); }
  static Vector select(Mask m, Vector a, Vector b) { return vbslq_f32(m, a, b); }
  static Vector min(Vector a, Vector b) { return select(less(a, b), a, b); }
  static Vector max(Vector a, Vector b) { return select(less(b, a), a, b); }
  static Vector scale(Vector a, Vector n) { return scale_twice<Simd, float>(a, n); }
  static Vector zip_low(Vector a, Vector b) { return vzip1q_f32(a, b); }
  static Vector zip_high(Vector a, Vector b) { return vzip2q_f32(a, b); }
};

template <>
struct Simd<double> : NeonLanes<double> {
  using Vector = float64x2_t;
  using Mask = uint64x2_t;
  using Bits = uint64x2_t;
  static Vector load(const double* p) { return vld1q_f64(p); }
  static void store(double* p, Vector v) { vst1q_f64(p, v); }
  static Vector broadcast(double x) { return vdupq_n_f64(x); }
  static Vector fma(Vector a, Vector b, Vector c) { return vfmaq_f64(c, a, b); }
  static Mask less(Vector a, Vector b) { return vcltq_f64(a, b); }
  static Vector select(Mask m, Vector a, Vector b) { return vbslq_f64(m, a, b); }
  static Vector min(Vector a, Vector b) { return select(less(a, b), a, b); }
  static Vector max(Vector a, Vector b) { return select(less(b, a), a, b); }
  static Vector scale(Vector a, Vector n) { return scale_twice<Simd, double>(a, n); }
  static Vector zip_low(Vector a, Vector b) { return vzip1q_f64(a, b); }
  static Vector zip_high(Vector a, Vector b) { return vzip2q_f64(a, b); }
};

#else

constexpr const char* instruction_set() { return "scalar"; }

/// One lane. Without a fused multiply-add in hardware std::fma computes it in software: the same bits, many times slower.
template <class Scalar>
struct Simd : SimdArithmetic {
  using Vector = Scalar;
  using Mask = bool;
  using Bits = typename Format<Scalar>::Word;
  static constexpr Index width = 1, registers = 16;
  static Vector load(const Scalar* p) { return *p; }
  static void store(Scalar* p, Vector v) { *p = v; }
  static Vector load_first(const Scalar* p, Index n) { return n == 0 ? Scalar{0} : *p; }
  static void store_first(Scalar* p, Vector v, Index n) {
    if (n == 1) *p = v;
  }
  static Vector broadcast(Scalar x) { return x; }
  static Vector fma(Vector a, Vector b, Vector c) { return std::fma(a, b, c); }
  static Vector min(Vector a, Vector b) { return a < b ? a : b; }
  static Vector max(Vector a, Vector b) { return a > b ? a : b; }
  static Mask less(Vector a, Vector b) { return a < b; }
  static Vector select(Mask m, Vector a, Vector b) { return m ? a : b; }
  static Vector scale(Vector a, Vector n) { return scale_twice<Simd, Scalar>(a, n); }
};

#endif

}  // namespace parade::kernels
