// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstdint>
#include <exception>
#include <mutex>
#include <type_traits>

#include <parade/core/config.hpp>
#include <parade/core/error.hpp>
#include <parade/core/threads.hpp>
#include <parade/core/types.hpp>
#include <parade/engine/environment.hpp>

#if PARADE_HAS_OPENMP
#include <omp.h>
#endif

namespace parade {
namespace detail {

/// One turn of a wait that is expected to be short.
inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Returns when `ready(value)` holds for the atomic: looks for a while, then sleeps until notified.
template <class T, class Ready>
T wait_until(const std::atomic<T>& atomic, int spins, Ready ready) {
  for (int i = 0; i < spins; ++i) {
    const T value = atomic.load(std::memory_order_acquire);
    if (ready(value)) return value;
    pause();
  }
  for (;;) {
    const T value = atomic.load(std::memory_order_acquire);
    if (ready(value)) return value;
    atomic.wait(value, std::memory_order_acquire);
  }
}

}  // namespace detail

/// A team of workers on OpenMP threads, with one primitive: a loop over tasks that are claimed dynamically.
///
///   Team team{threads};
///   team.run([&] {                                                   // one parallel region; this body runs on the calling thread
///     team.for_each(tasks, [&](Index task, int worker) { … });       // any number of times
///   });
///
/// A loop is over when its tasks are done, not when every thread has arrived: a thread that is late finds nothing left to do, and a thread
/// that is preempted delays only the task in its hands. Which worker does which task is open; so a task must write only to what its index
/// owns, and to scratch of its worker, and the result is the same for any number of threads, under any schedule.
///
/// Fewer threads than asked for may arrive (OMP_DYNAMIC, a thread limit, a nested region): `arrived()` says how many did. Without OpenMP
/// the team is the calling thread.
class Team {
 public:
  /// `threads` = 0 stands for as many as the process may really use (thread_limits()). Throws OptionError if negative.
  explicit Team(int threads = 0) : limits_(thread_limits()), asked_(threads > 0 ? threads : limits_.available()) {
    if (threads < 0) throw OptionError(detail::text("threads must be at least 1, or 0 for all that the process may use; got ", threads));
    // With more threads than cores, looking takes the core from the one that is waited for.
    spins_ = asked_ <= limits_.available() ? 4000 : 50;
  }
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int asked() const { return asked_; }
  /// Threads in the last region; 1 before the first.
  int arrived() const { return arrived_; }
  const ThreadLimits& limits() const { return limits_; }
  /// One more than the largest worker number there can be: for sizing what each worker owns.
  int max_workers() const { return PARADE_HAS_OPENMP ? asked_ : 1; }

  /// Runs `body` on the calling thread with the other threads of the team standing by. An exception of the body reaches the caller. Inside,
  /// Eigen's products are serial and the floating-point environment of every worker is the default one; the caller's settings are back
  /// afterwards. A call inside `body` just runs its own body.
  template <std::invocable Body>
  void run(Body&& body) {
    if (inside_) return body();
    const detail::EigenGuard eigen;
    std::exception_ptr error;
    const auto lead = [&] {
      const detail::FloatingPointGuard floating_point;
      inside_ = true;
      try {
        body();
      } catch (...) {
        error = std::current_exception();
      }
      inside_ = false;
    };
#if PARADE_HAS_OPENMP
    if (asked_ > 1) {
      closed_.store(false, std::memory_order_relaxed);
#pragma omp parallel num_threads(asked_)
      {
        if (omp_get_thread_num() == 0) {
          arrived_ = omp_get_num_threads();
          lead();
          close();
        } else {
          const detail::FloatingPointGuard floating_point;
          serve(omp_get_thread_num());
        }
      }
    } else
#endif
    {
      arrived_ = 1;
      lead();
    }
    if (error) std::rethrow_exception(error);
  }

  /// Calls task(i, worker) once for each i in [0, tasks), and returns when all are done. `worker` is in [0, max_workers()), and no two tasks
  /// with the same worker run at the same time. All tasks are done even if some throw; then the exception of the lowest i is rethrown, so
  /// that it does not depend on the schedule. To be called by the thread that called `run`, or outside of `run`: then it opens a region.
  template <std::invocable<Index, int> Task>
  void for_each(Index tasks, Task&& task) {
    if (tasks <= 0) return;
    if (!inside_) return run([&] { for_each(tasks, task); });
    failed_task_ = tasks;
    if (arrived_ == 1 || tasks == 1) {
      for (Index i = 0; i < tasks; ++i) guarded(i, [&] { task(i, 0); });
    } else {
      using Callable = std::remove_reference_t<Task>;
      call_ = [](void* context, Index i, int worker) { (*static_cast<Callable*>(context))(i, worker); };
      context_ = const_cast<void*>(static_cast<const void*>(&task));
      tasks_ = tasks;
      unfinished_.store(static_cast<std::int32_t>(tasks), std::memory_order_relaxed);
      ticket_.store((std::uint64_t{++generation_} << 32) | static_cast<std::uint64_t>(tasks), std::memory_order_release);
      ring();
      work(0);
      detail::wait_until(unfinished_, spins_, [](std::int32_t left) { return left == 0; });
    }
    if (failed_task_ < tasks) {
      failed_task_ = tasks;
      std::rethrow_exception(std::exchange(failure_, nullptr));
    }
  }

 private:
  static constexpr std::uint64_t unclaimed_mask = 0xFFFFFFFFu;

  /// A helper's life: work, and wait for the bell.
  void serve(int worker) {
    for (;;) {
      const std::uint32_t heard = bell_.load(std::memory_order_acquire);
      if (closed_.load(std::memory_order_acquire)) return;
      work(worker);
      detail::wait_until(bell_, spins_, [heard](std::uint32_t now) { return now != heard; });
    }
  }

  /// Claims and does tasks until none is left. A claim succeeds only on the ticket that was read, generation included; whoever holds a task
  /// keeps its loop from ending, so that what describes the loop can be read without a lock after the claim, and only then.
  void work(int worker) {
    std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
    while ((ticket & unclaimed_mask) != 0) {
      if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
      const Index task = tasks_ - static_cast<Index>(ticket & unclaimed_mask);
      guarded(task, [&] { call_(context_, task, worker); });
      if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
      ticket = ticket_.load(std::memory_order_acquire);
    }
  }

  template <class Call>
  void guarded(Index task, Call&& call) {
    try {
      call();
    } catch (...) {
      const std::lock_guard lock(failure_mutex_);
      if (task < failed_task_) {
        failed_task_ = task;
        failure_ = std::current_exception();
      }
    }
  }

  void ring() {
    bell_.fetch_add(1, std::memory_order_release);
    bell_.notify_all();
  }
  void close() {
    closed_.store(true, std::memory_order_release);
    ring();
  }

  ThreadLimits limits_;
  int asked_;
  int arrived_ = 1;
  int spins_ = 0;
  bool inside_ = false;

  // The loop under way: written by the lead while no task is claimed.
  void (*call_)(void*, Index, int) = nullptr;
  void* context_ = nullptr;
  Index tasks_ = 0;
  std::uint32_t generation_ = 0;
  std::mutex failure_mutex_;
  Index failed_task_ = 0;
  std::exception_ptr failure_;

  alignas(64) std::atomic<std::uint64_t> ticket_{0};      // generation << 32 | tasks not yet claimed
  alignas(64) std::atomic<std::int32_t> unfinished_{0};   // tasks not yet done
  alignas(64) std::atomic<std::uint32_t> bell_{0};        // rung when there may be work
  std::atomic<bool> closed_{false};
};

}  // namespace parade
