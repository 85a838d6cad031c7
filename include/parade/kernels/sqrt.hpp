// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

#include <parade/kernels/simd.hpp>

// Square roots of the vectors of simd.hpp, rounded correctly in every lane. Compilers do not make them from a loop over std::sqrt, which
// may set errno. Eigen's own are, for some types, approximations: the bits differ between machines, and between vectors and tails.
namespace parade::kernels {

#if defined(__AVX512F__)
inline __m512 sqrt(__m512 v) { return _mm512_maskz_sqrt_ps(0xFFFF, v); }  // GCC 12 warns of _mm512_sqrt_ps
inline __m512d sqrt(__m512d v) { return _mm512_maskz_sqrt_pd(0xFF, v); }
#elif defined(__AVX2__) && defined(__FMA__)
inline __m256 sqrt(__m256 v) { return _mm256_sqrt_ps(v); }
inline __m256d sqrt(__m256d v) { return _mm256_sqrt_pd(v); }
#elif defined(__aarch64__) && defined(__ARM_NEON)
inline float32x4_t sqrt(float32x4_t v) { return vsqrtq_f32(v); }
inline float64x2_t sqrt(float64x2_t v) { return vsqrtq_f64(v); }
#else
inline float sqrt(float v) { return std::sqrt(v); }
inline double sqrt(double v) { return std::sqrt(v); }
#endif

}  // namespace parade::kernels
