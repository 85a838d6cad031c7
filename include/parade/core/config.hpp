// SPDX-License-Identifier: MIT
#pragma once

#include <parade/core/version.hpp>

// Every macro of parade is set here.
//
//   PARADE_HAS_OPENMP   1 when the compiler was given -fopenmp, else 0: parade then runs on one thread and its summary says so
//   PARADE_HAS_ZLIB     1 when the program was compiled with -DPARADE_WITH_ZLIB (and linked with -lz): .gz files can be read. The same
//                       for all files of a program
//   PARADE_ASSERT(c)    a check inside a kernel: in debug builds (NDEBUG not defined) stops the program, else nothing

#if __cplusplus < 202002L
#error "parade needs C++20: compile with -std=c++20 or later"
#endif

// Under -ffast-math a compiler may reorder sums and assume that no value is NaN: neither the promise (one run, one hash) nor the
// detection of divergence can be kept. -ffp-contract=fast is fine: every multiply-add of the kernels is written as one.
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) || defined(__ASSOCIATIVE_MATH__) || \
    defined(__RECIPROCAL_MATH__)
#error \
    "parade does not compile under -ffast-math, -ffinite-math-only or (as far as the compiler tells) -funsafe-math-optimizations: they break the promise that one run has one hash"
#endif

#if defined(_OPENMP)
#define PARADE_HAS_OPENMP 1
#else
#define PARADE_HAS_OPENMP 0
#endif

#if defined(PARADE_WITH_ZLIB)
#define PARADE_HAS_ZLIB 1
#else
#define PARADE_HAS_ZLIB 0
#endif

#if !defined(PARADE_ASSERT)
#include <cassert>
#define PARADE_ASSERT(condition) assert(condition)
#endif
