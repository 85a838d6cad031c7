// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include <parade/core/hash.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/random.hpp>
#include <parade/core/types.hpp>
#include <parade/data/dense_data.hpp>

#if PARADE_HAS_OPENMP
#include <omp.h>
#endif

#include "support/catch.hpp"

// What the tests of the engine and the trainer share: small data sets that are the same on every machine, a user's own model, and ways to
// make the surroundings of a run unpleasant.
namespace training {

using parade::Index, parade::Label, parade::Matrix, parade::Vector;

/// Numbers of threads that every promise is tried with: one, the cores of a small machine, and more than those.
inline const std::vector<int> thread_counts{1, 2, 3, 4, 7, 8};

template <class S>
Matrix<S> random_matrix(Index rows, Index cols, std::uint64_t stream) {
  const parade::Random random(17, parade::Purpose::user, stream);
  Matrix<S> matrix(rows, cols);
  for (Index i = 0; i < matrix.size(); ++i) matrix.data()[i] = static_cast<S>(random.uniform(static_cast<std::uint64_t>(i), -1, 1));
  return matrix;
}
template <class S>
Vector<S> random_vector(Index size, std::uint64_t stream) {
  return random_matrix<S>(size, 1, stream);
}

/// X (d,n) uniform in [−1, 1), and the label that a fixed random linear map gives the largest score.
template <class S>
parade::DenseData<S> labelled_data(Index d, Index n, Index classes) {
  const Matrix<S> x = random_matrix<S>(d, n, 1);
  const Matrix<double> scores = random_matrix<double>(classes, d, 2) * x.template cast<double>();
  Vector<Label> labels(n);
  for (Index j = 0; j < n; ++j) {
    Index best = 0;
    scores.col(j).maxCoeff(&best);
    labels[j] = static_cast<Label>(best);
  }
  return parade::DenseData<S>(x).with_labels(labels);
}

/// X (d,n) and Y (k,n), all uniform in [−1, 1).
template <class S>
parade::DenseData<S> regression_data(Index d, Index n, Index k) {
  return parade::DenseData<S>(random_matrix<S>(d, n, 3)).with_targets(random_matrix<double>(k, n, 4));
}

/// Weights (n) of 0, ¼, ½, …, 2, with some of each.
inline Vector<double> sample_weights(Index n) {
  const parade::Random random(17, parade::Purpose::user, 5);
  Vector<double> weights(n);
  for (Index i = 0; i < n; ++i) weights[i] = 0.25 * static_cast<double>(random.below(static_cast<std::uint64_t>(i), 9));
  return weights;
}

inline std::vector<Index> first_samples(Index n) {
  std::vector<Index> samples(static_cast<std::size_t>(n));
  std::iota(samples.begin(), samples.end(), Index{0});
  return samples;
}

/// The same data, but a third of the shards take a nap: so that on a small or busy machine, too, every worker gets some to do, and shards
/// are done in another order than they began.
template <class S>
struct SleepyData : parade::DenseData<S> {
  explicit SleepyData(const parade::DenseData<S>& data) : parade::DenseData<S>(data) {}
  void gather(std::span<const Index> samples, parade::DenseBatch<S>& batch) const {
    if (samples.front() % 3 == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
    parade::DenseData<S>::gather(samples, batch);
  }
};

/// As a user writes it, in plain Eigen: z = B tanh(A x), A (h,d), B (k,h). Its inner dimensions may be so large that Eigen cuts them into
/// blocks, and its products so large that Eigen would give them threads of its own.
template <class S>
struct EigenModel {
  using Scalar = S;
  struct Workspace {
    Matrix<S> hidden, scores, delta;
  };
  Index d, h, k;

  parade::ParameterList parameters() const { return {{"first", h, d}, {"second", k, h}}; }
  Index num_inputs() const { return d; }
  Index num_outputs() const { return k; }
  void initialize(parade::VectorRef<S> theta, std::uint64_t seed) const {
    theta = static_cast<S>(0.1) * random_vector<S>(theta.size(), 100 + seed);
  }

  parade::ConstMatrixRef<S> forward(const parade::ConstVectorRef<S>& theta, const parade::ConstMatrixRef<S>& x, Workspace& w) const {
    w.hidden.noalias() = first(theta.data()) * x;  // (h,m) = (h,d)(d,m)
    for (Index i = 0; i < w.hidden.size(); ++i) w.hidden.data()[i] = std::tanh(w.hidden.data()[i]);
    w.scores.noalias() = second(theta.data()) * w.hidden;  // (k,m) = (k,h)(h,m)
    return w.scores;
  }
  void add_gradient(const parade::ConstVectorRef<S>& theta, const parade::ConstMatrixRef<S>& x, const parade::ConstMatrixRef<S>& dscores,
                    Workspace& w, parade::VectorRef<S> grad) const {
    w.delta.noalias() = second(theta.data()).transpose() * dscores;  // (h,m) = (h,k)(k,m)
    for (Index i = 0; i < w.delta.size(); ++i) w.delta.data()[i] *= 1 - w.hidden.data()[i] * w.hidden.data()[i];
    Eigen::Map<Matrix<S>>(grad.data(), h, d).noalias() += w.delta * x.transpose();                 // (h,d) += (h,m)(m,d)
    Eigen::Map<Matrix<S>>(grad.data() + h * d, k, h).noalias() += dscores * w.hidden.transpose();  // (k,h) += (k,m)(m,h)
  }

 private:
  Eigen::Map<const Matrix<S>> first(const S* theta) const { return {theta, h, d}; }
  Eigen::Map<const Matrix<S>> second(const S* theta) const { return {theta + h * d, k, h}; }
};

/// OpenMP's settings of the calling thread, put back at the end. Without OpenMP there is nothing to set.
class OpenMpSettings {
 public:
#if PARADE_HAS_OPENMP
  OpenMpSettings() : dynamic_(omp_get_dynamic()), threads_(omp_get_max_threads()) {}
  ~OpenMpSettings() {
    omp_set_dynamic(dynamic_);
    omp_set_num_threads(threads_);
  }
  void dynamic(bool on) { omp_set_dynamic(on); }
  void threads(int number) { omp_set_num_threads(number); }

 private:
  int dynamic_, threads_;
#else
  OpenMpSettings() = default;
  ~OpenMpSettings() {}
  void dynamic(bool) {}
  void threads(int) {}
#endif
  OpenMpSettings(const OpenMpSettings&) = delete;
  OpenMpSettings& operator=(const OpenMpSettings&) = delete;
};

/// Whether this is a build with ThreadSanitizer, whose view of OpenMP (libarcher) crashes in `omp teams`.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool thread_sanitizer = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool thread_sanitizer = true;
#else
inline constexpr bool thread_sanitizer = false;
#endif
#else
inline constexpr bool thread_sanitizer = false;
#endif

/// Calls `call` on the calling thread under a limit of `limit` threads, as OMP_THREAD_LIMIT sets it. Returns whether it did.
template <class Call>
bool under_thread_limit([[maybe_unused]] int limit, [[maybe_unused]] const Call& call) {
#if PARADE_HAS_OPENMP
  if constexpr (!thread_sanitizer) {
#pragma omp teams num_teams(1) thread_limit(limit)
    call();
    return true;
  }
#endif
  WARN("NOT TESTED: a limit on the number of threads");
  return false;
}

/// Keeps a core busy while it lives.
class BusyThread {
 public:
  BusyThread()
      : thread_([this] {
          while (!stop_.load(std::memory_order_relaxed)) {
          }
        }) {}
  ~BusyThread() {
    stop_ = true;
    thread_.join();
  }
  BusyThread(const BusyThread&) = delete;
  BusyThread& operator=(const BusyThread&) = delete;

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace training
