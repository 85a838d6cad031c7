// SPDX-License-Identifier: MIT
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include <parade/constraints/box.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/losses/softmax_cross_entropy.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/factorization_machine.hpp>
#include <parade/models/linear.hpp>
#include <parade/models/mlp.hpp>
#include <parade/optimizers/adagrad.hpp>
#include <parade/optimizers/adam.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/l1.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/regularizers/sorted_l1.hpp>
#include <parade/schedules/cosine.hpp>
#include <parade/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/sparse.hpp"
#include "support/training.hpp"

namespace allocation_test {

// The allocator of this whole program is replaced by one that counts calls, from any thread, while it is told to. A sanitizer has an
// allocator of its own; and only glibc gives its functions second names to forward to.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PARADE_TEST_COUNTS_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define PARADE_TEST_COUNTS_ALLOCATIONS 0
#endif
#endif
#if !defined(PARADE_TEST_COUNTS_ALLOCATIONS)
#if defined(__GLIBC__)
#define PARADE_TEST_COUNTS_ALLOCATIONS 1
#else
#define PARADE_TEST_COUNTS_ALLOCATIONS 0
#endif
#endif

#if PARADE_TEST_COUNTS_ALLOCATIONS

namespace {

std::atomic<bool> counting{false};
std::atomic<int> allocations{0};

void count() {
  if (counting.load(std::memory_order_relaxed)) ++allocations;
}

}  // namespace

// operator new, Eigen and the runtime libraries all end in one of these.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t size) {
  count();
  return __libc_malloc(size);
}
void* calloc(std::size_t number, std::size_t size) {
  count();
  return __libc_calloc(number, size);
}
void* realloc(void* old, std::size_t size) {
  count();
  return __libc_realloc(old, size);
}
void* memalign(std::size_t alignment, std::size_t size) {
  count();
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  count();
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** result, std::size_t alignment, std::size_t size) {
  count();
  *result = __libc_memalign(alignment, size);
  return *result ? 0 : ENOMEM;
}
}

namespace {

using parade::FitOptions, parade::Index, parade::Trainer;

/// Counts from the end of the first step of each epoch to its end.
struct Count {
  std::array<int, 8> of_epoch{};
  std::array<int, 8> steps{};
  Index first_step_of = 0;

  void on_step(const parade::StepReport& report) {
    if (report.epoch != first_step_of) {
      first_step_of = report.epoch;
      allocations = 0;
      counting = true;
    } else {
      ++steps[static_cast<std::size_t>(report.epoch)];
    }
  }
  void on_epoch(const parade::EpochReport& report) {
    counting = false;
    of_epoch[static_cast<std::size_t>(report.epoch)] = allocations;
  }
  void on_end() { counting = false; }
};

template <class T, class S>
void check_no_allocation(T trainer, const parade::DenseData<S>& plain, FitOptions options) {
  const training::SleepyData<S> data(plain);
  for (const int threads : {1, 2, 4}) {
    options.threads = threads;
    options.epochs = 3;
    Count count;
    trainer.fit(data, options, count);
    for (std::size_t epoch = 1; epoch <= 3; ++epoch) {
      CAPTURE(threads, epoch);
      CHECK(count.steps[epoch] > 2);
      CHECK(count.of_epoch[epoch] == 0);
    }
  }
}

template <class T, class S>
void check_no_allocation_on_rows(T trainer, const parade::SparseRows<S>& rows, FitOptions options) {
  for (const int threads : {1, 2, 4}) {
    options.threads = threads;
    options.epochs = 3;
    Count count;
    trainer.fit(rows, options, count);
    for (std::size_t epoch = 1; epoch <= 3; ++epoch) {
      CAPTURE(threads, epoch);
      CHECK(count.steps[epoch] > 2);
      CHECK(count.of_epoch[epoch] == 0);
    }
  }
}

}  // namespace

TEST_CASE("the count of allocations sees every kind of them") {
  const auto calls = [](auto&& allocate) {
    allocations = 0;
    counting = true;
    allocate();
    counting = false;
    return allocations.load();
  };
  static void* volatile sink = nullptr;
  const auto keep = [](void* p) { sink = p; };
  CHECK(calls([&] { keep(std::malloc(8)); }) == 1);
  std::free(sink);
  CHECK(calls([&] { keep(std::calloc(8, 8)); }) == 1);
  CHECK(calls([&] { keep(std::realloc(sink, 800)); }) == 1);
  std::free(sink);
  CHECK(calls([&] { keep(std::aligned_alloc(64, 64)); }) == 1);
  std::free(sink);
  CHECK(calls([&] { keep(new double); }) >= 1);
  delete static_cast<double*>(sink);
  CHECK(calls([&] { keep(parade::Vector<double>(100).data()); }) >= 1);
  CHECK(calls([] {}) == 0);
}

TEMPLATE_TEST_CASE("no memory is allocated after the first step of an epoch on any number of threads", "", float, double) {
  using S = TestType;
  const auto data = training::labelled_data<S>(40, 130, 5);
  const FitOptions options{.batch_size = 24, .seed = 1, .shard_size = 5};  // the last batch of an epoch has 10 samples
  const parade::SoftmaxCrossEntropy loss;
  check_no_allocation(Trainer{parade::Linear<S>(40, 5), loss, parade::L2{.lambda = 0.01}, parade::Sgd{.rate = 0.1}}, data, options);
  check_no_allocation(Trainer{parade::Mlp<S>{40, 67, 5}, loss, parade::L1{.lambda = 0.01}, parade::Adam{.rate = 0.01}, parade::Cosine{}},
                      data, options);
  check_no_allocation(Trainer{parade::Mlp<S>({40, 33, 9, 5}, parade::Activation::tanh), loss, parade::L2{.lambda = 0.01},
                              parade::Sgd{.rate = 0.1, .momentum = 0.9}, parade::Box{.lower = -1, .upper = 1}},
                      data.with_weights(training::sample_weights(130)), options);
  check_no_allocation(Trainer{parade::Linear<S>(40, 2), parade::SquaredError{},
                              parade::SortedL1{.lambda = parade::oscar_sequence(80, 0.01, 1e-4)}, parade::Sgd{.rate = 0.1}},
                      training::regression_data<S>(40, 130, 2), options);
}

TEST_CASE("no memory is allocated after the first step of an epoch on sparse rows") {
  const auto rows = sparse::random_rows<float>(40, 600);
  for (const Index b : {Index{24}, Index{140}}) {
    const FitOptions options{.batch_size = b, .seed = 1};
    check_no_allocation_on_rows(Trainer{parade::Linear<float>(40), parade::Logistic{}, sparse::Both{0.01, 0.001}, parade::Sgd{.rate = 0.1}},
                                rows, options);
    check_no_allocation_on_rows(
        Trainer{parade::Linear<float>(40), parade::Logistic{}, sparse::Both{0, 0.001}, parade::Adagrad{.rate = 0.1}}, rows, options);
    check_no_allocation_on_rows(
        Trainer{parade::FactorizationMachine<float>(40, 3), parade::Logistic{}, sparse::Both{0, 0.001}, parade::Adagrad{.rate = 0.1}}, rows,
        options);
    check_no_allocation_on_rows(
        Trainer{parade::Mlp<float>{40, 9, 5, 1}, parade::Logistic{}, sparse::Both{0.01, 0.001}, parade::Sgd{.rate = 0.1}},
        rows.with_weights(training::sample_weights(600)), options);
  }
}

#else

TEST_CASE("no memory is allocated after the first step of an epoch on any number of threads") {
  WARN("NOT TESTED: calls of the allocator are counted with glibc and without sanitizers only");
}

#endif

}  // namespace allocation_test
