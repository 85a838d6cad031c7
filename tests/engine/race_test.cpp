// SPDX-License-Identifier: MIT
#include <atomic>
#include <chrono>
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

namespace {

using parade::Index;

/// One race: a job that is slow and fails where it is told to, and counts what the team does with it. Late workers may still be in it when the
/// race is over, so a new one is made for every race and kept until the region ends.
struct SlowJob {
  std::vector<std::atomic<int>> runs, keeps;  // of each task
  std::vector<Index> result;                  // of each task
  std::vector<Index> own;                     // of each worker
  std::chrono::microseconds nap;
  Index throws_from;

  SlowJob(Index tasks, int workers, std::chrono::microseconds how_long, Index throws = 1000)
      : runs(static_cast<std::size_t>(tasks)),
        keeps(static_cast<std::size_t>(tasks)),
        result(static_cast<std::size_t>(tasks), -1),
        own(static_cast<std::size_t>(workers)),
        nap(how_long),
        throws_from(throws) {}

  void run(Index task, int worker, int) {
    // Only the first to take a task sleeps: its rival is quick.
    if (runs[static_cast<std::size_t>(task)]++ == 0 && task % 8 == 1 && nap.count() > 0) std::this_thread::sleep_for(nap);
    if (task >= throws_from) throw std::runtime_error(std::to_string(task));
    own[static_cast<std::size_t>(worker)] = 100 + task;
  }
  void keep(Index task, int worker) {
    ++keeps[static_cast<std::size_t>(task)];
    result[static_cast<std::size_t>(task)] = own[static_cast<std::size_t>(worker)];
  }
};

/// A model that some threads compute slowly: the calls whose number is a multiple of 5 take a nap.
struct Sluggish : parade::Mlp<double> {
  using Base = parade::Mlp<double>;
  using Base::Base;
  std::atomic<int>* calls = nullptr;

  parade::ConstMatrixRef<double> forward(const Prepared& theta, const parade::ConstMatrixRef<double>& x, Workspace& workspace) const {
    if (calls && (*calls)++ % 5 == 4) std::this_thread::sleep_for(std::chrono::microseconds(800));
    return Base::forward(theta, x, workspace);
  }
};

}  // namespace

TEST_CASE("a race on several threads keeps one result a task, and overtakes workers that sleep") {
  for (const int threads : {1, 2, 3, 4, 8}) {
    CAPTURE(threads);
    parade::Team team(threads);
    constexpr Index tasks = 17;
    team.reserve_race(tasks);
    std::deque<SlowJob> jobs;
    int overtaken = 0;
    team.run([&] {
      for (int round = 0; round < 40; ++round) {
        auto& job = jobs.emplace_back(tasks, team.max_workers(), std::chrono::microseconds(round < 10 ? 0 : 5000));
        team.race(tasks, team.free_slot(3), job);
        for (std::size_t i = 0; i < tasks; ++i) {
          REQUIRE(job.keeps[i] == 1);
          REQUIRE(job.result[i] == 100 + static_cast<Index>(i));
          overtaken += job.runs[i] > 1 ? 1 : 0;
        }
      }
    });
    if (team.arrived() > 1) CHECK(overtaken > 0);
  }
}

TEST_CASE("a race on several threads rethrows the failure of the lowest task, and the team goes on") {
  for (const int threads : {1, 2, 4, 8}) {
    CAPTURE(threads);
    parade::Team team(threads);
    team.reserve_race(20);
    std::deque<SlowJob> jobs;
    team.run([&] {
      for (int round = 0; round < 50; ++round) {
        const std::chrono::microseconds nap(round % 10 == 9 ? 1000 : 0);
        auto& bad = jobs.emplace_back(20, team.max_workers(), nap, 7);
        CHECK_THROWS_WITH(team.race(20, team.free_slot(3), bad), "7");
        auto& good = jobs.emplace_back(20, team.max_workers(), nap);
        team.race(20, team.free_slot(3), good);
        CHECK(good.result[19] == 119);
      }
    });
  }
}

TEST_CASE("threads that fall asleep in a shard change neither the gradient nor the steps after it") {
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
    std::atomic<int> calls{0};
    Sluggish model{d, 7, k};
    model.calls = &calls;
    parade::ParallelGradient<Sluggish, parade::SquaredError> engine(model, {}, {.threads = threads, .shard_size = 8});
    engine.reserve(data, n);
    std::uint64_t hash = 0;
    // One region for all steps, so that a worker may be late by several of them.
    engine.team().run([&] {
      hash = descend([&](const auto& theta, auto& grad) {
        engine.accumulate(theta, data, samples);
        engine.reduce(grad);
      });
    });
    CHECK(hash == expected);
    if (engine.team().arrived() > 1) CHECK(calls > steps * engine.plan(n).shards());  // some shards were computed twice
  }
}
