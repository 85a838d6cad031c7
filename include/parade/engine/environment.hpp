// SPDX-License-Identifier: MIT
#pragma once

#include <cfenv>
#include <cstddef>
#include <mutex>

#include <Eigen/Core>

#include <parade/core/config.hpp>

#if PARADE_HAS_OPENMP
#include <omp.h>
#endif

namespace parade::detail {

/// While one of these lives, Eigen's products run on the thread that calls them and with blocks of one fixed size. Both decide the order of
/// their sums: Eigen 3.4 takes all cores unless `omp_get_num_threads() > 1`, so that a team of one would not be a team of one, and cuts the
/// inner dimension by the cache sizes that it asks of the processor. The settings belong to the process: the first guard saves them, the
/// last one restores them, so that several runs may overlap. Eigen does not lock these settings: a product on a thread that parade does not
/// know, at the moment when the first run begins or the last one ends, reads them unguarded.
class EigenGuard {
 public:
  EigenGuard() {
    const std::lock_guard lock(shared().mutex);
    if (shared().users++ == 0) {
      shared().threads = threads_setting();
      shared().l1 = Eigen::l1CacheSize();
      shared().l2 = Eigen::l2CacheSize();
      shared().l3 = Eigen::l3CacheSize();
      Eigen::setNbThreads(1);
      Eigen::setCpuCacheSizes(32 << 10, 512 << 10, 8 << 20);
    }
  }
  ~EigenGuard() {
    const std::lock_guard lock(shared().mutex);
    if (--shared().users == 0) {
      Eigen::setNbThreads(shared().threads);
      Eigen::setCpuCacheSizes(shared().l1, shared().l2, shared().l3);
    }
  }
  EigenGuard(const EigenGuard&) = delete;
  EigenGuard& operator=(const EigenGuard&) = delete;

 private:
  struct Shared {
    std::mutex mutex;
    int users = 0;
    int threads = 0;
    std::ptrdiff_t l1 = 0, l2 = 0, l3 = 0;
  };
  static Shared& shared() {
    static Shared only;
    return only;
  }

  /// Eigen's setting, with 0 for "as OpenMP says", which Eigen stores but does not report: it is told from a number by asking twice.
  static int threads_setting() {
    const int threads = Eigen::nbThreads();
#if PARADE_HAS_OPENMP
    const int openmp = omp_get_max_threads();
    omp_set_num_threads(openmp + 1);
    const bool follows = Eigen::nbThreads() != threads;
    omp_set_num_threads(openmp);
    if (follows) return 0;
#endif
    return threads;
  }
};

/// While one of these lives, this thread rounds to nearest and keeps subnormal numbers; before and after, as its owner set it. The state is per
/// thread: a host program built with fast-math flushes subnormals in some threads and not in others.
class FloatingPointGuard {
 public:
  FloatingPointGuard() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~FloatingPointGuard() { std::fesetenv(&saved_); }
  FloatingPointGuard(const FloatingPointGuard&) = delete;
  FloatingPointGuard& operator=(const FloatingPointGuard&) = delete;

 private:
  std::fenv_t saved_;
};

}  // namespace parade::detail
