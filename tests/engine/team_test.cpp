// SPDX-License-Identifier: MIT
#include <atomic>
#include <cfenv>
#include <chrono>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <parade/engine/team.hpp>

#include "support/catch.hpp"
#include "support/training.hpp"

namespace team_test {

namespace {

using parade::Index, parade::Team;

const std::vector<int> one_to_eight{1, 2, 3, 4, 5, 6, 7, 8};

/// How often each task was done.
std::vector<int> runs_of(Team& team, Index tasks) {
  std::vector<std::atomic<int>> runs(static_cast<std::size_t>(tasks));
  team.for_each(tasks, [&](Index i, int) { ++runs[static_cast<std::size_t>(i)]; });
  return {runs.begin(), runs.end()};
}

std::vector<int> once(Index tasks) { return std::vector<int>(static_cast<std::size_t>(tasks), 1); }

}  // namespace

TEST_CASE("a loop on several threads does each task once, and none for a count of 0 or below") {
  for (const int threads : one_to_eight) {
    CAPTURE(threads);
    Team team(threads);
    CHECK(team.asked() == threads);
    for (const Index tasks : {1, 2, 3, 7, 64, 1000}) {
      CHECK(runs_of(team, tasks) == once(tasks));  // a region of its own
      team.run([&] {
        for (int repeat = 0; repeat < 3; ++repeat) CHECK(runs_of(team, tasks) == once(tasks));
      });
    }
    team.for_each(0, [](Index, int) { FAIL("a task of none"); });
    team.for_each(-3, [](Index, int) { FAIL("a task of none"); });
  }
}

TEST_CASE("a loop on several threads may have more tasks than there are claims in a ticket") {
  for (const int threads : {1, 2, 3, 8}) {
    Team team(threads);
    for (const Index tasks : {65535, 65536, 65537, 131070, 131071, 200003}) {
      CAPTURE(threads, tasks);
      CHECK(runs_of(team, tasks) == once(tasks));
    }
  }
}

TEST_CASE("ten thousand short loops on several threads lose no task and end") {
  for (const int threads : {2, 3, 8}) {
    CAPTURE(threads);
    Team team(threads);
    std::atomic<std::int64_t> sum{0};
    std::int64_t expected = 0;
    team.run([&] {
      for (Index loop = 0; loop < 10000; ++loop) {
        const Index tasks = 1 + loop % 5;
        team.for_each(tasks, [&](Index i, int) { sum += i + 1; });
        expected += tasks * (tasks + 1) / 2;
        REQUIRE(sum == expected);  // a loop is over when its tasks are done
      }
    });
  }
}

TEST_CASE("what tasks write on several threads is there when the loop is over") {
  for (const int threads : {2, 4}) {
    Team team(threads);
    std::vector<Index> values(500, 0);
    team.run([&] {
      for (Index round = 1; round <= 200; ++round) {
        team.for_each(500, [&](Index i, int) { values[static_cast<std::size_t>(i)] += i + round; });
        REQUIRE(std::accumulate(values.begin(), values.end(), Index{0}) == round * 500 * 499 / 2 + 500 * round * (round + 1) / 2);
      }
    });
  }
}

TEST_CASE("a worker's number is in range, and on several threads no two tasks have the same one at a time") {
  for (const int threads : one_to_eight) {
    CAPTURE(threads);
    Team team(threads);
    REQUIRE(team.max_workers() >= 1);
    std::vector<std::atomic<int>> inside(static_cast<std::size_t>(team.max_workers()));
    std::atomic<int> wrong{0};
    std::vector<std::thread::id> first(inside.size());
    team.run([&] {
      for (int repeat = 0; repeat < 50; ++repeat)
        team.for_each(40, [&](Index i, int worker) {
          if (worker < 0 || worker >= team.max_workers()) {
            ++wrong;
            return;
          }
          const auto w = static_cast<std::size_t>(worker);
          if (inside[w]++ != 0) ++wrong;
          if (i % 9 == 0) std::this_thread::yield();
          if (first[w] == std::thread::id()) first[w] = std::this_thread::get_id();
          if (first[w] != std::this_thread::get_id()) ++wrong;
          --inside[w];
        });
    });
    CHECK(wrong == 0);
    CHECK((first[0] == std::this_thread::get_id() || first[0] == std::thread::id()));
  }
}

#if PARADE_HAS_OPENMP
TEST_CASE("several threads do the work: a task that waits for another one is not in its way") {
  training::OpenMpSettings openmp;
  openmp.dynamic(false);
  for (const int threads : {2, 3, 4}) {
    Team team(threads);
    std::atomic<int> met{0};
    team.run([&] {
      team.for_each(threads, [&](Index, int) {
        ++met;
        while (met < threads) std::this_thread::yield();  // ends only if all tasks are under way at the same time
      });
    });
    CHECK(met == threads);
    CHECK(team.arrived() == threads);
  }
}
#endif

TEST_CASE("of the exceptions of a loop on several threads the one of the lowest task is rethrown, and all tasks are done") {
  for (const int threads : one_to_eight) {
    CAPTURE(threads);
    Team team(threads);
    for (int repeat = 0; repeat < 30; ++repeat) {
      std::atomic<int> done{0};
      const auto task = [&](Index i, int) {
        ++done;
        if (i == 5) std::this_thread::sleep_for(std::chrono::microseconds(200));  // the lowest one is the last to throw
        if (i >= 5 && i % 2 == 1) throw std::runtime_error("task " + std::to_string(i));
      };
      CHECK_THROWS_WITH(team.for_each(40, task), "task 5");
      CHECK(done == 40);
      CHECK(runs_of(team, 40) == once(40));
    }
    team.run([&] {
      for (int repeat = 0; repeat < 100; ++repeat) {
        CHECK_THROWS_WITH(team.for_each(3, [](Index i, int) { throw std::runtime_error(std::to_string(i)); }), "0");
        CHECK_THROWS_AS(team.for_each(1, [](Index, int) { throw 5; }), int);
        CHECK(runs_of(team, 7) == once(7));
      }
    });
  }
}

TEST_CASE("an exception of the body reaches the caller on any number of threads, and the team can be used afterwards") {
  for (const int threads : one_to_eight) {
    CAPTURE(threads);
    Team team(threads);
    for (int repeat = 0; repeat < 5; ++repeat) {
      CHECK_THROWS_WITH(team.run([&] {
        runs_of(team, 10);
        throw std::runtime_error("body");
      }),
                        "body");
      CHECK(runs_of(team, 10) == once(10));
    }
  }
}

TEST_CASE("a run inside a run, on several threads, just runs its body") {
  Team team(3);
  int bodies = 0;
  const auto outer = std::this_thread::get_id();
  team.run([&] {
    team.run([&] {
      ++bodies;
      CHECK(std::this_thread::get_id() == outer);
      CHECK(runs_of(team, 20) == once(20));
    });
    CHECK(runs_of(team, 20) == once(20));  // the inner one has not ended the region
    CHECK_THROWS_WITH(team.run([] { throw std::runtime_error("inner"); }), "inner");
    CHECK(runs_of(team, 20) == once(20));
  });
  CHECK(bodies == 1);
}

TEST_CASE("a team of other people's threads: two teams at once do not disturb each other") {
  std::atomic<int> wrong{0};
  const auto work = [&wrong](int threads) {
    Team team(threads);
    for (int repeat = 0; repeat < 20; ++repeat)
      team.run([&] {
        for (int loop = 0; loop < 20; ++loop)
          if (runs_of(team, 13) != once(13)) ++wrong;
      });
  };
  std::thread first([&] { work(2); });
  std::thread second([&] { work(3); });
  work(4);
  first.join();
  second.join();
  CHECK(wrong == 0);
}

#if PARADE_HAS_OPENMP
TEST_CASE("when fewer threads arrive than asked for, arrived says how many, and all tasks are done") {
  training::OpenMpSettings openmp;
  openmp.dynamic(false);
  Team team(6);
  CHECK(team.arrived() == 1);  // before the first region
  CHECK(runs_of(team, 100) == once(100));
  CHECK(team.arrived() == 6);

  const int levels = omp_get_max_active_levels();
  omp_set_max_active_levels(1);  // a region inside a region gets one thread
#pragma omp parallel num_threads(2)
  {
#pragma omp critical
    {
      Team inner(5);
      CHECK(runs_of(inner, 100) == once(100));
      CHECK(inner.asked() == 5);
      CHECK(inner.arrived() == 1);
    }
  }
  omp_set_max_active_levels(levels);

  training::under_thread_limit(3, [] {
    Team limited(6);
    CHECK(runs_of(limited, 100) == once(100));
    CHECK(limited.arrived() <= 3);
  });

  openmp.dynamic(true);
  CHECK(runs_of(team, 100) == once(100));
  CHECK(team.arrived() >= 1);
  CHECK(team.arrived() <= 6);
}
#endif

TEST_CASE("a negative number of threads is an error, and 0 stands for as many as the process may use") {
  CHECK_THROWS_WITH(Team(-1), Catch::Matchers::ContainsSubstring("threads") && Catch::Matchers::ContainsSubstring("got -1"));
  CHECK(Team().asked() == parade::available_threads());
}

TEST_CASE("the caller's rounding mode is as before afterwards, and inside it is the default one on all threads") {
  for (const int threads : {1, 2, 4}) {
    Team team(threads);
    for (const int rounding : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
      std::fesetround(rounding);
      std::atomic<int> wrong{0};
      std::string text;
      try {
        team.run([&] {
          if (std::fegetround() != FE_TONEAREST) ++wrong;
          team.for_each(50, [&](Index, int) {
            if (std::fegetround() != FE_TONEAREST) ++wrong;
          });
          throw std::runtime_error("body");
        });
      } catch (const std::runtime_error& error) {
        text = error.what();
      }
      const int after = std::fegetround();
      std::fesetround(FE_TONEAREST);
      CAPTURE(threads, rounding);
      CHECK(wrong == 0);
      CHECK(after == rounding);
      CHECK(text == "body");
    }
  }
}

TEST_CASE("Eigen's threads and cache sizes and OpenMP's settings are as before afterwards") {
  training::OpenMpSettings openmp;
  openmp.threads(5);
  const auto l1 = Eigen::l1CacheSize(), l2 = Eigen::l2CacheSize(), l3 = Eigen::l3CacheSize();
  for (const int threads : {1, 3})
    for (const int setting : {0, 1, 3, 5, 6}) {
      CAPTURE(threads, setting);
      openmp.dynamic(threads == 3);
      Eigen::setNbThreads(setting);
      Eigen::setCpuCacheSizes(48 << 10, 1 << 20, 2 << 20);
      Team team(threads);
      try {
        team.run([&] {
          CHECK(Eigen::nbThreads() == 1);
          CHECK(Eigen::l1CacheSize() != 48 << 10);
          throw std::runtime_error("body");
        });
      } catch (const std::runtime_error&) {
      }
      CHECK(Eigen::l1CacheSize() == 48 << 10);
      CHECK(Eigen::l2CacheSize() == 1 << 20);
      CHECK(Eigen::l3CacheSize() == 2 << 20);
#if PARADE_HAS_OPENMP
      CHECK(omp_get_max_threads() == 5);
      CHECK(Eigen::nbThreads() == (setting == 0 ? 5 : setting));
      openmp.threads(7);  // "as OpenMP says" still follows OpenMP, and a number stays that number
      CHECK(Eigen::nbThreads() == (setting == 0 ? 7 : setting));
      openmp.threads(5);
      CHECK((omp_get_dynamic() != 0) == (threads == 3));
#endif
    }
  Eigen::setNbThreads(0);
  Eigen::setCpuCacheSizes(l1, l2, l3);
}

TEST_CASE("a team may work alone between loops and races on several threads, and nothing is lost or done twice") {
  struct Job {
    std::vector<std::atomic<int>> kept;
    std::atomic<int> strangers{0};
    void run(Index, int, int) {}
    void keep(Index task, int worker) {
      ++kept[static_cast<std::size_t>(task)];
      if (worker != 0) ++strangers;
    }
  };
  for (const int threads : one_to_eight) {
    CAPTURE(threads);
    Team team(threads);
    team.reserve_race(9);
    Job job{std::vector<std::atomic<int>>(9)};
    team.run([&] {
      for (int step = 0; step < 300; ++step) {
        const bool alone = step / 3 % 2 == 1;
        team.work_alone(alone);
        CHECK(runs_of(team, 17) == once(17));
        job.strangers = 0;
        team.race(9, team.free_slot(3), job);
        for (const auto& count : job.kept) REQUIRE(count == step + 1);
        if (alone) REQUIRE(job.strangers == 0);
      }
    });
    team.run([&] { CHECK(runs_of(team, 1000) == once(1000)); });  // the next region begins with all
  }
}

}  // namespace team_test
