// SPDX-License-Identifier: MIT
#include <atomic>
#include <chrono>
#include <cstddef>
#include <deque>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <parade/core/hash.hpp>
#include <parade/data/dense_data.hpp>
#include <parade/engine/parallel_gradient.hpp>
#include <parade/engine/serial_gradient.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/mlp.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace race_test {

namespace {

using parade::Index;

/// Waits for what another thread must bring about. False if it did not come, which no load of the machine explains.
template <class Condition>
bool wait_for(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

/// One race, and counts of what the team does with it. If it has a late worker, then the first task that a helper takes ends only when another
/// worker has ended it before. Late workers may still be in a race that is over, so a new job is made for every race and kept until the region
/// ends.
struct RaceOf {
  std::vector<std::atomic<int>> runs, keeps;  // of each task
  std::vector<Index> result;                  // of each task
  std::vector<Index> own;                     // of each worker
  bool has_late_worker;
  Index throws_from;
  std::atomic<Index> late_task{-1};
  std::atomic<bool> stuck{false};

  RaceOf(Index tasks, int workers, bool late, Index throws = 1000)
      : runs(static_cast<std::size_t>(tasks)),
        keeps(static_cast<std::size_t>(tasks)),
        result(static_cast<std::size_t>(tasks), -1),
        own(static_cast<std::size_t>(workers)),
        has_late_worker(late),
        throws_from(throws) {}

  void run(Index task, int worker, int) {
    ++runs[static_cast<std::size_t>(task)];
    if (has_late_worker) {
      Index none = -1;
      if (worker == 0) {
        if (!wait_for([&] { return late_task >= 0; })) stuck = true;  // so that a helper gets a task
      } else if (late_task.compare_exchange_strong(none, task)) {
        if (!wait_for(
                [&] { return task >= throws_from ? runs[static_cast<std::size_t>(task)] > 1 : keeps[static_cast<std::size_t>(task)] > 0; }))
          stuck = true;
      }
    }
    if (task >= throws_from) throw std::runtime_error(std::to_string(task));
    own[static_cast<std::size_t>(worker)] = 100 + task;
  }
  void keep(Index task, int worker) {
    result[static_cast<std::size_t>(task)] = own[static_cast<std::size_t>(worker)];
    ++keeps[static_cast<std::size_t>(task)];
  }
};

/// A model that makes one helper late in every tenth step: its forward product of that step ends only when the leader is two steps further.
struct Sluggish : parade::Mlp<double> {
  using Base = parade::Mlp<double>;
  using Base::Base;
  struct Late {
    std::thread::id leader = std::this_thread::get_id();
    std::atomic<int> step{0}, since{-1};
    std::atomic<bool> stuck{false};
  };
  Late* late = nullptr;

  parade::ConstMatrixRef<double> forward(const Prepared& theta, const parade::ConstMatrixRef<double>& x, Workspace& workspace) const {
    if (late) {
      const int step = late->step;
      int before = late->since;
      if (std::this_thread::get_id() == late->leader) {
        if (step % 10 == 0 && !wait_for([&] { return late->since == step; })) late->stuck = true;  // so that a helper gets a shard
      } else if (step % 10 == 0 && before != step && late->since.compare_exchange_strong(before, step)) {
        if (!wait_for([&] { return late->step >= step + 2; })) late->stuck = true;
      }
    }
    return Base::forward(theta, x, workspace);
  }
};

}  // namespace

TEST_CASE("a race on several threads keeps one result a task, and overtakes workers that are late") {
  for (const int threads : {1, 2, 3, 4, 8}) {
    CAPTURE(threads);
    parade::Team team(threads);
    constexpr Index tasks = 17;
    team.reserve_race(tasks);
    std::deque<RaceOf> jobs;
    team.run([&] {
      for (int round = 0; round < 40; ++round) {
        const bool late = round >= 10 && team.arrived() > 1;
        auto& job = jobs.emplace_back(tasks, team.max_workers(), late);
        team.race(tasks, team.free_slot(3), job);
        REQUIRE(!job.stuck);
        for (std::size_t i = 0; i < tasks; ++i) {
          REQUIRE(job.keeps[i] == 1);
          REQUIRE(job.result[i] == 100 + static_cast<Index>(i));
        }
        if (late) REQUIRE(job.runs[static_cast<std::size_t>(job.late_task.load())] == 2);
      }
    });
  }
}

TEST_CASE("a race on several threads rethrows the failure of the lowest task, and the team goes on") {
  for (const int threads : {1, 2, 4, 8}) {
    CAPTURE(threads);
    parade::Team team(threads);
    team.reserve_race(20);
    std::deque<RaceOf> jobs;
    team.run([&] {
      for (int round = 0; round < 50; ++round) {
        const bool late = round % 10 == 9 && team.arrived() > 1;
        auto& bad = jobs.emplace_back(20, team.max_workers(), late, 7);
        CHECK_THROWS_WITH(team.race(20, team.free_slot(3), bad), "7");
        auto& good = jobs.emplace_back(20, team.max_workers(), late);
        team.race(20, team.free_slot(3), good);
        CHECK(good.result[19] == 119);
        CHECK(!bad.stuck);
        CHECK(!good.stuck);
      }
    });
  }
}

TEST_CASE("threads that are late by whole steps change neither the gradient nor the steps after it") {
  training::OpenMpSettings openmp;
  openmp.dynamic(false);  // all threads must come, or nobody is late
  constexpr Index n = 96, d = 5, k = 2;
  parade::Matrix<double> x(d, n), y(k, n);
  const parade::Random random(3, parade::Purpose::user);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = random.uniform(static_cast<std::uint64_t>(i), -1, 1);
  for (Index i = 0; i < y.size(); ++i) y.data()[i] = random.uniform(static_cast<std::uint64_t>(1000 + i), -1, 1);
  const auto data = parade::DenseData<double>(std::move(x)).with_targets(y);
  std::vector<Index> samples(n);
  std::iota(samples.begin(), samples.end(), 0);

  const parade::Mlp<double> plain{d, 7, k};
  parade::Vector<double> start(plain.parameters().size());
  plain.initialize(start, 1);
  constexpr int steps = 60;
  const auto descend = [&](auto&& sum) {
    parade::Vector<double> theta = start, grad(theta.size());
    for (int step = 0; step < steps; ++step) {
      sum(theta, grad);
      theta -= 0.01 * grad;
    }
    return parade::theta_hash(theta);
  };
  const parade::SerialGradient<parade::Mlp<double>, parade::SquaredError> serial(plain, {}, 8);
  const auto expected = descend([&](const auto& theta, auto& grad) { serial.sum(theta, data, samples, grad); });

  for (const int threads : {1, 2, 3, 4, 8}) {
    CAPTURE(threads);
    Sluggish::Late late;
    Sluggish model{d, 7, k};
    const bool lates = PARADE_HAS_OPENMP && threads > 1;
    if (lates) model.late = &late;
    parade::ParallelGradient<Sluggish, parade::SquaredError> engine(model, {},
                                                                    {.threads = threads, .shard_size = 8, .may_work_alone = false});
    engine.reserve(data, n);
    std::uint64_t hash = 0;
    // One region for all steps, so that a worker may be late by several of them.
    engine.team().run([&] {
      hash = descend([&](const auto& theta, auto& grad) {
        engine.accumulate(theta, data, samples);
        engine.reduce(grad);
        ++late.step;
      });
      late.step = 2 * steps;
    });
    CHECK(hash == expected);
    CHECK(!late.stuck);
    if (lates) CHECK(late.since == steps - 10);
  }
}

}  // namespace race_test
