// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

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

/// What `Team::race` computes: tasks that may be computed twice. `run(task, worker, slot)` leaves the result in memory of the worker's own and
/// may throw; `keep(task, worker)` takes it over: it is called once a task, for the worker that was first.
template <class J>
concept RaceJob = requires(J job, Index task, int worker, int slot) {
  job.run(task, worker, slot);
  job.keep(task, worker);
};

/// A team of workers on OpenMP threads, and loops over tasks that are claimed dynamically.
///
///   Team team{threads};
///   team.run([&] {                                                   // one parallel region; this body runs on the calling thread
///     team.for_each(tasks, [&](Index task, int worker) { … });       // any number of times
///   });
///
/// A loop is over when its tasks are done, not when every thread has arrived: a thread that is late finds nothing left to do. Which worker
/// does which task is open; so a task must write only to what its index owns, and to scratch of its worker, and the result is the same for any
/// number of threads, under any schedule. Every other worker claims from the end, so that in loop after loop each core tends to find in its own
/// cache what its tasks own.
///
/// Fewer threads than asked for may arrive (OMP_DYNAMIC, a thread limit, a nested region): `arrived()` says how many did. Without OpenMP
/// the team is the calling thread.
class Team {
 public:
  /// `threads` = 0 stands for as many as the process may really use (thread_limits()). Throws OptionError if negative.
  explicit Team(int threads = 0)
      : limits_(thread_limits()),
        asked_(threads > 0 && threads <= 4096 ? threads : limits_.available()),
        workers_(static_cast<std::size_t>(max_workers())) {
    check(threads);
    spins_ = crowded() ? 50 : 4000;
  }
  /// Throws OptionError unless `threads` is in [0, 4096]. OpenMP ends the process where the system refuses it a thread, so that no such number
  /// may get there by a slip.
  static void check(int threads) {
    if (threads < 0 || threads > 4096)
      throw OptionError(detail::text("threads must be in [1, 4096], or 0 for all that the process may use; got ", threads));
  }

  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  static constexpr int no_slot = -1;

  /// Whether a region is open, and how many there have been.
  bool inside() const { return inside_; }
  std::uint64_t regions() const { return regions_; }
  int asked() const { return asked_; }
  /// From now on loops and races are the calling thread's alone, or again the whole team's. It decides nothing but who computes.
  void work_alone(bool alone) { alone_ = alone; }
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
    auto call = [&body] { body(); };
    open([](void* context) { (*static_cast<decltype(call)*>(context))(); }, &call);
  }

  /// Calls task(i, worker) once for each i in [0, tasks), and returns when all are done. `worker` is in [0, max_workers()), and no two tasks
  /// with the same worker run at the same time. If some throw, the others are done nevertheless, and the exception of the lowest i is rethrown,
  /// so that it does not depend on the schedule. To be called by the thread that called `run`, or outside of `run`: then it opens a region.
  template <std::invocable<Index, int> Task>
  void for_each(Index tasks, Task&& task) {
    auto call = [&task](Index i, int worker) { task(i, worker); };
    loop(
        tasks, [](void* context, Index i, int worker) { (*static_cast<decltype(call)*>(context))(i, worker); }, &call);
  }

  /// As for_each, but a worker that would only wait computes a task again that another has in hand for longer than such tasks take, and the
  /// first to finish wins. So a thread that is preempted delays nobody. The one that lost may still be in `run` when the loop is over, and even
  /// loops later: `job` must live until the end of the region, and what `run` reads must stay as it is while `free_slot` does not give out its
  /// `slot` again.
  template <RaceJob Job>
  void race(Index tasks, int slot, Job& job) {
    race(
        tasks, slot,
        [](void* context, Index i, int worker, int from, bool keep) {
          auto& own = *static_cast<Job*>(context);
          keep ? own.keep(i, worker) : own.run(i, worker, from);
        },
        &job);
  }

  /// Makes room for races of up to `tasks` tasks. Not to be called inside `run`. Throws OptionError for more than a race can have.
  void reserve_race(Index tasks) {
    if (tasks > most_claims)
      throw OptionError(detail::text("a batch must be cut into at most ", most_claims, " shards; got ", tasks, ": make shard_size larger"));
    if (tasks <= race_capacity_) return;
    runs_ = std::make_unique<std::atomic<std::uint64_t>[]>(static_cast<std::size_t>(tasks));
    race_capacity_ = tasks;
  }

  /// Tasks of races, since the team was made, that were computed a second time because somebody was late.
  std::uint64_t overtaken() const { return overtaken_.load(std::memory_order_relaxed); }

  /// The first of the slots 0 … slots−1 but `not_this` that no late worker reads any more; waits for one if it must.
  int free_slot(int slots, int not_this = no_slot) const {
    for (;;) {
      for (int slot = 0; slot < slots; ++slot)
        if (slot != not_this && std::none_of(workers_.begin(), workers_.end(), [slot](const Worker& w) { return w.holds.load() == slot; }))
          return slot;
      std::this_thread::yield();
    }
  }

  /// Returns when no late worker is in a race any more: what races read may then change. Called between loops and races.
  void wait_for_late() const {
    while (std::any_of(workers_.begin(), workers_.end(), [](const Worker& w) { return w.holds.load() != no_slot; }))
      std::this_thread::yield();
  }

 private:
  /// More threads than cores: then looking for work takes the core from the one that is waited for.
  bool crowded() const { return asked_ > limits_.available(); }

  // A ticket: generation << 32 | tasks not yet claimed << 16 | the first of them.
  static constexpr Index most_claims = 0xFFFF;
  static constexpr std::uint64_t unclaimed(std::uint64_t ticket) { return (ticket >> 16) & 0xFFFFu; }

  using LoopTask = void (*)(void* context, Index task, int worker);
  using RaceTask = void (*)(void* context, Index task, int worker, int slot, bool keep);

  // What does not depend on the type of a body or a task is compiled once, and not in every caller.

  [[gnu::noinline]] void open(void (*body)(void*), void* context) {
    const detail::EigenGuard eigen;
    alone_ = false;
    ++regions_;
    std::exception_ptr error;
    const auto lead = [&] {
      const detail::FloatingPointGuard floating_point;
      inside_ = true;
      try {
        body(context);
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
          closed_.store(true, std::memory_order_release);
          ring();
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

  [[gnu::noinline]] void loop(Index tasks, LoopTask task, void* context) {
    if (tasks <= 0) return;
    if (!inside_) return run([&] { loop(tasks, task, context); });
    failed_task_ = tasks;
    GroupedLoop grouped{*this, task, context, tasks, (tasks + most_claims - 1) / most_claims};  // groups of 1 but for very many tasks
    const Index claims = (tasks + grouped.group - 1) / grouped.group;
    if (arrived_ == 1 || alone_ || claims == 1) {
      for (Index c = 0; c < claims; ++c) grouped(c, 0);
    } else {
      publish({[](void* of, Index c, int worker, int, bool) { (*static_cast<GroupedLoop*>(of))(c, worker); }, &grouped, claims, no_slot});
      work(0);
      detail::wait_until(unfinished_, spins_, [](std::int32_t left) { return left == 0; });
      retire();
    }
    rethrow();
  }

  struct GroupedLoop {
    Team& team;
    LoopTask task;
    void* context;
    Index tasks, group;

    void operator()(Index claim, int worker) {
      for (Index i = claim * group; i < std::min(tasks, (claim + 1) * group); ++i) team.guarded(i, [&] { task(context, i, worker); });
    }
  };

  [[gnu::noinline]] void race(Index tasks, int slot, RaceTask task, void* context) {
    if (tasks <= 0) return;
    if (!inside_) throw std::logic_error("a race must be called inside run");
    if (tasks > race_capacity_) throw std::logic_error(detail::text("reserve_race was for ", race_capacity_, " tasks; got ", tasks));
    failed_task_ = tasks;
    if (arrived_ == 1 || alone_ || tasks == 1) {
      for (Index i = 0; i < tasks; ++i)
        guarded(i, [&] {
          task(context, i, 0, slot, false);
          task(context, i, 0, slot, true);
        });
    } else {
      const auto open_state = std::uint64_t{generation_ + 1} << 2;
      for (Index i = 0; i < tasks; ++i) runs_[static_cast<std::size_t>(i)].store(open_state, std::memory_order_relaxed);
      publish({task, context, tasks, slot});
      work(0);
      while (unfinished_.load(std::memory_order_acquire) > 0)
        if (!overtake(0)) detail::wait_until(unfinished_, spins_, [](std::int32_t left) { return left == 0; });
      retire();
    }
    rethrow();
  }

  /// A loop under way. Read before a claim, and valid if the claim then succeeds: until its last task is claimed a loop cannot end.
  struct Loop {
    RaceTask call;
    void* context;
    Index tasks;
    int slot;  // no_slot: for_each
  };

  /// The same, for readers that may come too late. Whoever reads a later loop here also sees that the ticket has gone on.
  struct SharedLoop {
    std::atomic<decltype(Loop::call)> call{nullptr};
    std::atomic<void*> context{nullptr};
    std::atomic<Index> tasks{0};
    std::atomic<int> slot{no_slot};

    void store(const Loop& loop) {
      call.store(loop.call, std::memory_order_release);
      context.store(loop.context, std::memory_order_release);
      tasks.store(loop.tasks, std::memory_order_release);
      slot.store(loop.slot, std::memory_order_release);
    }
    Loop load() const {
      return {call.load(std::memory_order_acquire), context.load(std::memory_order_acquire), tasks.load(std::memory_order_acquire),
              slot.load(std::memory_order_acquire)};
    }
  };

  struct alignas(64) Worker {
    std::atomic<int> holds{no_slot};  // the slot that it may be reading
    double task_seconds = 0;          // what a task of a race takes here when nothing comes between
  };

  /// A helper's life: work, and wait for the bell.
  void serve(int worker) {
    for (;;) {
      const std::uint32_t heard = bell_.load(std::memory_order_acquire);
      if (closed_.load(std::memory_order_acquire)) return;
      work(worker);
      while (overtake(worker)) {
      }
      detail::wait_until(bell_, spins_, [heard](std::uint32_t now) { return now != heard; });
    }
  }

  void publish(const Loop& loop) {
    loop_.store(loop);
    unfinished_.store(static_cast<std::int32_t>(loop.tasks), std::memory_order_relaxed);
    ticket_.store((std::uint64_t{++generation_} << 32) | (static_cast<std::uint64_t>(loop.tasks) << 16));
    ring();
  }

  /// After this nobody starts on the loop any more, and whoever is still at it shows so in `holds`.
  void retire() { ticket_.store(std::uint64_t{++generation_} << 32); }

  /// Claims and does tasks until none is left. A claim succeeds only on the ticket that was read, generation included.
  void work(int worker) {
    auto& holds = workers_[static_cast<std::size_t>(worker)].holds;
    const bool from_the_end = worker % 2 == 1;
    std::uint64_t ticket = ticket_.load();
    while (unclaimed(ticket) != 0) {
      const Loop loop = loop_.load();
      if (loop.slot != no_slot) holds.store(loop.slot);  // before the claim, so that it is seen by whoever sees the claim
      const std::uint64_t front = ticket & 0xFFFFu;
      const auto task = static_cast<Index>(from_the_end ? front + unclaimed(ticket) - 1 : front);
      if (!ticket_.compare_exchange_weak(ticket, ticket - (1u << 16) + (from_the_end ? 0 : 1))) continue;
      if (loop.slot == no_slot) {
        loop.call(loop.context, task, worker, no_slot, false);
        finish_one();
      } else {
        run_race_task(loop, task, worker, ticket >> 32);
      }
      ticket = ticket_.load();
    }
    holds.store(no_slot);
  }

  /// One task of a race: computed, and kept if nobody was faster. runs_[task] is generation << 2 | 2 once it is done | 1 once it was overtaken.
  void run_race_task(const Loop& loop, Index task, int worker, std::uint64_t generation) {
    const auto begin = std::chrono::steady_clock::now();
    std::exception_ptr error;
    try {
      loop.call(loop.context, task, worker, loop.slot, false);
    } catch (...) {
      error = std::current_exception();
    }
    auto& run = runs_[static_cast<std::size_t>(task)];
    std::uint64_t state = run.load();
    while (state >> 2 == generation && (state & 2) == 0) {
      if (!run.compare_exchange_weak(state, state | 2)) continue;
      if (error)
        fail(task, error);
      else
        loop.call(loop.context, task, worker, loop.slot, true);
      finish_one();
      break;
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    // Follows short times quickly and long ones slowly, so that the times of preempted tasks do not count for much.
    double& usual = workers_[static_cast<std::size_t>(worker)].task_seconds;
    usual += usual == 0 || seconds < usual ? (seconds - usual) / (usual == 0 ? 1 : 4) : usual / 32;
  }

  /// In a race with nothing left to claim: waits for longer than a task takes, and then does one that is not done yet. False if the race is
  /// over, or every task left is in two hands already. How long it waits decides only who computes.
  bool overtake(int worker) {
    const std::uint64_t ticket = ticket_.load(), generation = ticket >> 32;
    if (generation % 2 == 0 || unclaimed(ticket) != 0) return false;  // published generations are odd, retired ones even
    const Loop loop = loop_.load();
    if (loop.slot == no_slot) return false;
    auto& own = workers_[static_cast<std::size_t>(worker)];
    const auto over = [&] { return ticket_.load() >> 32 != generation || unfinished_.load(std::memory_order_acquire) == 0; };
    const auto patience = std::chrono::duration<double>(own.task_seconds > 0 ? own.task_seconds * 1.5 + 20e-6 : 1e-3);
    for (const auto begin = std::chrono::steady_clock::now(); std::chrono::steady_clock::now() - begin < patience;) {
      if (over()) return false;
      if (crowded()) std::this_thread::yield();
      for (int i = 0; i < 20; ++i) detail::pause();
    }
    own.holds.store(loop.slot);
    bool found = false;
    for (Index task = 0; task < loop.tasks && !found && !over(); ++task) {
      std::uint64_t open = generation << 2;
      if (!runs_[static_cast<std::size_t>(task)].compare_exchange_strong(open, open | 1)) continue;
      overtaken_.fetch_add(1, std::memory_order_relaxed);
      run_race_task(loop, task, worker, generation);
      found = true;
    }
    own.holds.store(no_slot);
    return found;
  }

  void finish_one() {
    if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
  }

  template <class Call>
  void guarded(Index task, Call&& call) {
    try {
      call();
    } catch (...) {
      fail(task, std::current_exception());
    }
  }

  void fail(Index task, std::exception_ptr error) {
    const std::lock_guard lock(failure_mutex_);
    if (task < failed_task_) {
      failed_task_ = task;
      failure_ = std::move(error);
    }
  }

  void rethrow() {
    if (auto failure = std::exchange(failure_, nullptr)) std::rethrow_exception(failure);
  }

  void ring() {
    bell_.fetch_add(1, std::memory_order_release);
    bell_.notify_all();
  }

  ThreadLimits limits_;
  int asked_;
  int arrived_ = 1;
  int spins_ = 0;
  bool inside_ = false;
  bool alone_ = false;
  std::uint64_t regions_ = 0;
  std::vector<Worker> workers_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> runs_;  // of the tasks of a race
  Index race_capacity_ = 0;

  SharedLoop loop_;
  std::uint32_t generation_ = 0;
  std::mutex failure_mutex_;
  Index failed_task_ = 0;
  std::exception_ptr failure_;

  alignas(64) std::atomic<std::uint64_t> ticket_{0};
  alignas(64) std::atomic<std::int32_t> unfinished_{0};  // tasks not yet done
  alignas(64) std::atomic<std::uint32_t> bell_{0};       // rung when there may be work
  std::atomic<bool> closed_{false};
  std::atomic<std::uint64_t> overtaken_{0};
};

}  // namespace parade
