// SPDX-License-Identifier: MIT
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <parade/engine/serial_gradient.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/linear.hpp>
#include <parade/models/mlp.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/no_regularizer.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

#if defined(__SSE2__)
#include <xmmintrin.h>

namespace guards_test {
#endif

// What silently breaks "one run, one hash": each test fails when the guard that it names is taken out.

namespace {

using parade::FitOptions, parade::Index, parade::Linear, parade::NoRegularizer, parade::Sgd, parade::SoftmaxCrossEntropy, parade::Trainer;
using training::EigenModel;

/// The inner dimension of 1000 is more than Eigen's blocks hold; shards of 64 samples are enough work for threads of Eigen's own.
std::uint64_t eigen_model_hash(int threads) {
  // Made once, before any test starts threads: it multiplies outside of parade, and Eigen's settings belong to the process.
  static const auto data = training::labelled_data<float>(1000, 128, 6);
  Trainer trainer{EigenModel<float>{1000, 48, 6}, SoftmaxCrossEntropy{}, NoRegularizer{}, Sgd{.rate = 0.1}};
  return trainer.fit(data, {.epochs = 1, .batch_size = 128, .seed = 1, .threads = threads, .shard_size = 64}).theta_hash;
}

/// Eigen's settings of the process, put back at the end.
struct EigenSettings {
  std::ptrdiff_t l1 = Eigen::l1CacheSize(), l2 = Eigen::l2CacheSize(), l3 = Eigen::l3CacheSize();
  EigenSettings() = default;
  ~EigenSettings() {
    Eigen::setCpuCacheSizes(l1, l2, l3);
    Eigen::setNbThreads(0);
  }
  EigenSettings(const EigenSettings&) = delete;
  EigenSettings& operator=(const EigenSettings&) = delete;
};

/// A model that writes down what Eigen was set to while it ran, and whether its products could have threads of their own.
struct Witness : EigenModel<float> {
  struct Notes {
    std::mutex mutex;
    std::set<int> eigen_threads;
    std::set<std::ptrdiff_t> l1;
    std::set<int> rounding;
  };
  Notes* notes = nullptr;

  parade::ConstMatrixRef<float> forward(const parade::ConstVectorRef<float>& theta, const parade::ConstMatrixRef<float>& x,
                                        Workspace& w) const {
    {
      const std::lock_guard lock(notes->mutex);
      notes->eigen_threads.insert(Eigen::nbThreads());
      notes->l1.insert(Eigen::l1CacheSize());
      notes->rounding.insert(std::fegetround());
    }
    return EigenModel<float>::forward(theta, x, w);
  }
};

}  // namespace

TEST_CASE("Eigen starts no threads of its own in a user's model, on one thread and on several") {
  const EigenSettings eigen;
  training::OpenMpSettings openmp;
  openmp.threads(4);  // what Eigen would take
  const auto expected = eigen_model_hash(2);
  for (const int eigen_threads : {0, 1, 3, 4}) {
    Eigen::setNbThreads(eigen_threads);
    const int before = Eigen::nbThreads();
    for (const int threads : {1, 2, 4}) {
      CAPTURE(eigen_threads, threads);
      CHECK(eigen_model_hash(threads) == expected);
      CHECK(Eigen::nbThreads() == before);
    }
  }
  Witness::Notes notes;
  Witness model{{10, 5, 3}, &notes};
  const auto data = training::labelled_data<float>(10, 40, 3);
  Eigen::setNbThreads(4);
  for (const int threads : {1, 2}) {
    Trainer trainer{model, SoftmaxCrossEntropy{}, NoRegularizer{}, Sgd{.rate = 0.1}};
    trainer.fit(data, {.epochs = 1, .batch_size = 40, .threads = threads, .shard_size = 5});
    trainer.partial_fit(data, {.threads = threads, .shard_size = 5});
    trainer.accuracy(data);
    trainer.scores(data);
  }
  CHECK(notes.eigen_threads == std::set<int>{1});
  CHECK(notes.l1.size() == 1);
}

TEST_CASE("theta does not follow the cache sizes that Eigen finds, and they are as before afterwards") {
  const EigenSettings eigen;
  const auto expected = eigen_model_hash(1);
  for (const std::ptrdiff_t l1 : {16 << 10, 48 << 10, 128 << 10})
    for (const int threads : {1, 2}) {
      Eigen::setCpuCacheSizes(l1, 16 * l1, 100 * l1);
      CAPTURE(l1, threads);
      CHECK(eigen_model_hash(threads) == expected);
      CHECK(Eigen::l1CacheSize() == l1);
      CHECK(Eigen::l2CacheSize() == 16 * l1);
      CHECK(Eigen::l3CacheSize() == 100 * l1);
    }
}

TEST_CASE("a host program that flushes subnormal numbers to zero does not change theta on any number of threads") {
#if defined(__SSE2__)
  // Features of 1e-40: every element of the gradient and of θ is subnormal.
  const parade::Matrix<float> x = 1e-40f * training::random_matrix<float>(6, 90, 7);
  const auto data = parade::DenseData<float>(x).with_targets(training::random_matrix<double>(2, 90, 8));
  const auto hash = [&](int threads) {
    Trainer trainer{Linear<float>(6, 2), parade::SquaredError{}, NoRegularizer{}, Sgd{.rate = 0.1, .momentum = 0.5}};
    trainer.fit(data, {.epochs = 2, .batch_size = 30, .seed = 1, .threads = threads, .shard_size = 4});
    const auto smallest = trainer.parameter("weight").cwiseAbs().maxCoeff();
    CHECK(smallest > 0);
    CHECK(smallest < std::numeric_limits<float>::min());
    return parade::theta_hash(trainer.theta());
  };
  const auto expected = hash(1);
  const unsigned before = _mm_getcsr();
  for (const unsigned flush : {0x8000u, 0x0040u, 0x8040u})  // results to zero, arguments to zero, both
    for (const int threads : training::thread_counts) {
      Trainer trainer{Linear<float>(6, 2), parade::SquaredError{}, NoRegularizer{}, Sgd{.rate = 0.1, .momentum = 0.5}};
      _mm_setcsr(before | flush);
      const auto summary = trainer.fit(data, {.epochs = 2, .batch_size = 30, .seed = 1, .threads = threads, .shard_size = 4});
      const unsigned after = _mm_getcsr();
      _mm_setcsr(before);
      CAPTURE(flush, threads);
      CHECK(summary.theta_hash == expected);
      CHECK((after & 0x8040u) == flush);
    }
#else
  WARN("NOT TESTED: this processor has no MXCSR register to flush subnormal numbers with");
#endif
}

TEST_CASE("a host program that rounds downwards does not change theta on any number of threads") {
  const auto data = training::labelled_data<double>(6, 60, 3);
  const auto fit = [&](int threads) {
    Trainer trainer{parade::Mlp<double>{6, 8, 3}, SoftmaxCrossEntropy{}, NoRegularizer{}, Sgd{.rate = 0.1}};
    const auto summary = trainer.fit(data, {.epochs = 2, .batch_size = 25, .seed = 1, .threads = threads, .shard_size = 4});
    return summary.theta_hash;
  };
  const auto expected = fit(1);
  for (const int threads : {1, 2, 4}) {
    std::fesetround(FE_DOWNWARD);
    const auto hash = fit(threads);
    const int rounding = std::fegetround();
    std::fesetround(FE_TONEAREST);
    CAPTURE(threads);
    CHECK(hash == expected);
    CHECK(rounding == FE_DOWNWARD);
  }
}

TEST_CASE("a host program that rounds downwards does not change the starting theta") {
  Trainer trainer{parade::Mlp<double>{6, 8, 3}, SoftmaxCrossEntropy{}, NoRegularizer{}, Sgd{.rate = 0.1}};
  trainer.initialize(1);
  const auto expected = parade::theta_hash(trainer.theta());
  std::fesetround(FE_DOWNWARD);
  trainer.initialize(1);
  const int rounding = std::fegetround();
  std::fesetround(FE_TONEAREST);
  CHECK(parade::theta_hash(trainer.theta()) == expected);
  CHECK(rounding == FE_DOWNWARD);
}

TEST_CASE("the serial gradient is that of round-to-nearest and of Eigen's fixed blocks in any surroundings") {
  const auto data = training::labelled_data<float>(1000, 40, 4);
  const EigenModel<float> model{1000, 24, 4};
  parade::Vector<float> theta(model.parameters().size()), expected, grad;
  model.initialize(theta, 1);
  const parade::SerialGradient<EigenModel<float>, SoftmaxCrossEntropy> serial(model, {}, 16);
  serial.sum(theta, data, training::first_samples(40), expected);
  std::fesetround(FE_DOWNWARD);
  serial.sum(theta, data, training::first_samples(40), grad);
  std::fesetround(FE_TONEAREST);
  CHECK(grad == expected);
  const EigenSettings eigen;
  Eigen::setCpuCacheSizes(1 << 10, 4 << 10, 16 << 10);
  serial.sum(theta, data, training::first_samples(40), grad);
  CHECK(grad == expected);
}

/// Starts from a product.
struct StartsFromAProduct : EigenModel<float> {
  void initialize(parade::VectorRef<float> theta, std::uint64_t seed) const {
    const auto a = training::random_matrix<float>(30, 3000, seed);
    const parade::Matrix<float> square = a * a.transpose();
    for (Index i = 0; i < theta.size(); ++i) theta[i] = 1e-4f * square.data()[i % square.size()];
  }
};

TEST_CASE("a starting theta that a model makes by products does not follow Eigen's settings") {
  Trainer trainer{StartsFromAProduct{{1000, 24, 4}}, SoftmaxCrossEntropy{}, NoRegularizer{}, Sgd{.rate = 0.1}};
  trainer.initialize(1);
  const auto expected = parade::theta_hash(trainer.theta());
  const EigenSettings eigen;
  Eigen::setCpuCacheSizes(1 << 10, 4 << 10, 16 << 10);
  trainer.initialize(1);
  CHECK(parade::theta_hash(trainer.theta()) == expected);
}

#if PARADE_HAS_OPENMP
TEST_CASE("when fewer threads arrive than asked for, the summary says so and theta is the same") {
  const auto data = training::labelled_data<float>(20, 150, 4);
  const FitOptions options{.epochs = 2, .batch_size = 60, .seed = 5, .threads = 4, .shard_size = 7};
  const auto fit = [&] {
    Trainer trainer{parade::Mlp<float>{20, 31, 4}, SoftmaxCrossEntropy{}, NoRegularizer{}, Sgd{.rate = 0.1}};
    return trainer.fit(data, options);
  };
  training::OpenMpSettings openmp;
  openmp.dynamic(false);
  const auto all = fit();
  CHECK(all.threads_asked == 4);
  CHECK(all.threads == 4);

  const int levels = omp_get_max_active_levels();
  omp_set_max_active_levels(1);  // a region inside a region gets one thread
  parade::Summary inner[2];
#pragma omp parallel num_threads(2)
  inner[omp_get_thread_num()] = fit();
  omp_set_max_active_levels(levels);
  for (const auto& summary : inner) {
    CHECK(summary.threads_asked == 4);
    CHECK(summary.threads == 1);
    CHECK(summary.theta_hash == all.theta_hash);
    REQUIRE(summary.notes().size() == 1);
    CHECK(summary.notes().front() == "4 threads were asked for, 1 arrived; the result is the same, and slower");
  }

  training::under_thread_limit(3, [&] {
    const auto limited = fit();
    CHECK(limited.threads_asked == 4);
    CHECK(limited.threads <= 3);
    CHECK(limited.theta_hash == all.theta_hash);
  });
}
#endif

TEST_CASE("two trainers at once, each on threads of its own, change neither each other nor the settings of the process") {
  const EigenSettings eigen;
  Eigen::setNbThreads(3);
  const int eigen_threads = Eigen::nbThreads();  // 1 without OpenMP
  Eigen::setCpuCacheSizes(48 << 10, 1 << 20, 4 << 20);
  const auto expected = eigen_model_hash(1);
  std::uint64_t hashes[2]{};
  {
    std::thread first([&] { hashes[0] = eigen_model_hash(2); });
    std::thread second([&] { hashes[1] = eigen_model_hash(3); });
    first.join();
    second.join();
  }
  CHECK(hashes[0] == expected);
  CHECK(hashes[1] == expected);
  CHECK(Eigen::nbThreads() == eigen_threads);
  CHECK(Eigen::l1CacheSize() == 48 << 10);
}

}  // namespace guards_test
