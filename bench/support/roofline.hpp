// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <parade/core/config.hpp>
#include <parade/core/shard_plan.hpp>
#include <parade/core/types.hpp>
#include <parade/engine/shard_worker.hpp>
#include <parade/kernels/simd.hpp>

#include "machine.hpp"
#include "workload.hpp"

#if PARADE_HAS_OPENMP
#include <omp.h>
#endif

// The roofline model (Williams, Waterman, Patterson: "Roofline: an insightful visual performance model for multicore architectures", 2009):
// what needs so many floating-point operations and so many bytes of memory takes no less time than either takes alone, at the highest rates
// that were measured on this machine in this run.
namespace bench {

/// What a case cannot do without.
struct Work {
  double flops = 0;      // a multiply-add is two
  double streamed = 0;   // bytes that come from memory whatever the caches: each is used once
  double reused = 0;     // bytes read and written of what the case goes over again and again,
  double footprint = 0;  // which is so large: where that fits the last-level cache, memory sees none of it
};

/// One training step, in float. Of bytes are counted: θ and the `states` vectors of the optimizer, read once and written once; S gradients,
/// written once and read once; and the inputs as the data set stores them, `input_bytes` a sample. Not counted: what a shard keeps to itself
/// (inputs in float, scores, activations), since it stays in its core's cache, and the packed weights.
inline Work training_step(const Network& network, Index parameters, Index batch_size, Index shards, Index states, Index input_bytes) {
  const double vector = sizeof(float) * static_cast<double>(parameters), S = static_cast<double>(shards),
               b = static_cast<double>(batch_size), moved = static_cast<double>(1 + states);
  return {.flops = network.flops_per_sample() * b,
          .streamed = static_cast<double>(input_bytes) * b,
          .reused = (2 * moved + 2 * S) * vector,
          .footprint = (2 * moved + S) * vector};  // a step reads one θ and writes another
}

/// Highest rates on some number of threads, a second.
struct Peaks {
  double flops = 0;
  double bytes = 0;
};

namespace detail {

/// Seconds of `body(thread, threads)` on all threads at once, from when the first begins to when the last ends.
template <class Body>
double seconds_together(int threads, const Body& body) {
  using Clock = std::chrono::steady_clock;
  std::vector<Clock::time_point> begins(static_cast<std::size_t>(threads), Clock::time_point::max()),
      ends(static_cast<std::size_t>(threads), Clock::time_point::min());
  const auto timed = [&](int thread, int arrived) {
    begins[static_cast<std::size_t>(thread)] = Clock::now();
    body(thread, arrived);
    ends[static_cast<std::size_t>(thread)] = Clock::now();
  };
#if PARADE_HAS_OPENMP
#pragma omp parallel num_threads(threads)
  {
#pragma omp barrier
    timed(omp_get_thread_num(), omp_get_num_threads());
  }
#else
  timed(0, 1);
#endif
  return std::chrono::duration<double>(*std::max_element(ends.begin(), ends.end()) - *std::min_element(begins.begin(), begins.end()))
      .count();
}

/// The best of what fits in a fifth of a second, of three at least: what disturbs only makes slower.
template <class Round>
double least_seconds(const Round& round) {
  double best = round(), total = best;
  for (int i = 1; i < 3 || total < 0.2; ++i) {
    const double seconds = round();
    best = std::min(best, seconds);
    total += seconds;
  }
  return best;
}

inline constexpr int chains = 12;  // common cores start two multiply-adds a cycle that take four; and with 16 registers this leaves some

/// `turns` multiply-adds in each lane of each chain, none of which touches memory.
inline void multiply_adds(Index turns) {
  using V = parade::kernels::Simd<float>;
  static const volatile float half = 0.5f;  // not known to the compiler; x ← x/2 + 1/2 goes to 1
  const auto factor = V::broadcast(half), addend = V::broadcast(half);
  typename V::Vector x[chains];
  for (int c = 0; c < chains; ++c) x[c] = V::broadcast(static_cast<float>(c));
  for (Index turn = 0; turn < turns; ++turn) {
#pragma GCC unroll 12
    for (int c = 0; c < chains; ++c) x[c] = V::fma(x[c], factor, addend);
  }
  volatile float sink = 0;  // so that no chain can be left out
  for (int c = 0; c < chains; ++c) {
    float lanes[V::width];
    V::store(lanes, x[c]);
    sink = lanes[0];
  }
  static_cast<void>(sink);
}

/// With all threads at work; of each its own best round counts, since one that is put aside meanwhile does not show what the machine can do.
inline double measure_flops(int threads) {
  constexpr Index turns = 1 << 19;
  std::vector<double> best(static_cast<std::size_t>(threads), std::numeric_limits<double>::infinity());
  least_seconds([&] {
    return seconds_together(threads, [&](int thread, int) {
      parade::detail::StopWatch watch;
      multiply_adds(turns);
      double& own = best[static_cast<std::size_t>(thread)];
      own = std::min(own, watch.lap());
    });
  });
  // Of more threads than this process has cores for, each shows the whole of a core that it has half the time.
  std::sort(best.begin(), best.end());
  best.resize(static_cast<std::size_t>(std::min(threads, parade::available_threads())));
  double flops = 0;
  for (const double seconds : best) flops += 2.0 * chains * static_cast<double>(parade::kernels::Simd<float>::width * turns) / seconds;
  return flops;
}

/// The triad of STREAM, a = b + s·c (McCalpin: "Memory bandwidth and machine balance in current high performance computers", 1995), on arrays that
/// take four times the last-level caches together. Counted as there: two reads and a write; that the write reads its line first is not.
inline double measure_bandwidth(int threads, double cache_bytes) {
  const auto n = static_cast<Index>(4 * cache_bytes / (3 * sizeof(float)));
  const auto array = [n] { return std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(n)); };
  const auto a = array(), b = array(), c = array();
  const auto on_own_part = [&](const auto& call) {
    return seconds_together(threads, [&](int thread, int arrived) {
      const parade::Range part = parade::part_of(n, arrived, thread);
      call(part.size(), a.get() + part.begin, b.get() + part.begin, c.get() + part.begin);
    });
  };
  // Memory lies near the thread that writes it first.
  on_own_part([](Index size, float* to, float* first, float* second) {
    std::fill_n(to, size, 0.0f);
    std::fill_n(first, size, 1.0f);
    std::fill_n(second, size, 2.0f);
  });
  return 3 * sizeof(float) * static_cast<double>(n) / least_seconds([&] {
           return on_own_part([](Index size, float* __restrict to, const float* __restrict first, const float* __restrict second) {
             for (Index i = 0; i < size; ++i) to[i] = first[i] + 3 * second[i];
           });
         });
}

/// "32768K" → 32 MiB; 0 for what is not a size.
inline double parse_bytes(const std::string& size) {
  char* unit = nullptr;
  const double number = std::strtod(size.c_str(), &unit);
  return number * (*unit == 'K' ? 1024.0 : *unit == 'M' ? 1024.0 * 1024 : *unit == 'G' ? 1024.0 * 1024 * 1024 : 1.0);
}

/// Of all last-level caches that serve the CPUs of this process; 64 MiB where the system does not say.
inline double last_level_bytes() {
  std::map<std::string, double> caches;  // by the CPUs that they serve
  for (const int cpu : allowed_cpus())
    if (const auto of_cpu = caches_of(cpu); !of_cpu.empty()) caches[of_cpu.back().cpus] = parse_bytes(of_cpu.back().size);
  double total = 0;
  for (const auto& [cpus, bytes] : caches) total += bytes;
  return total > 0 ? total : 64.0 * 1024 * 1024;
}

}  // namespace detail

/// The peaks of this machine, by number of threads.
class Roofline {
 public:
  /// Takes half a second or so. To be called before the cases of the same run are timed.
  void measure(int threads) {
    Peaks peaks{detail::measure_flops(threads), detail::measure_bandwidth(threads, cache_bytes_)};
    for (const auto& [fewer, least] : peaks_) {  // what some threads have, more of them have too, if only the machine lets them
      if (fewer > threads) break;
      peaks = {std::max(peaks.flops, least.flops), std::max(peaks.bytes, least.bytes)};
    }
    peaks_[threads] = peaks;
  }

  const Peaks& peaks(int threads) const { return peaks_.at(threads); }

  /// Bytes that must come from memory or go there.
  double memory_bytes(const Work& work) const { return work.streamed + (work.footprint > cache_bytes_ ? work.reused : 0); }

  /// The least seconds that the work can take, and whether it is memory that sets them.
  double least_seconds(int threads, const Work& work) const { return std::max(compute(threads, work), memory(threads, work)); }
  bool memory_bound(int threads, const Work& work) const { return memory(threads, work) > compute(threads, work); }

  Json to_json() const {
    Json json{{"last_level_cache_bytes", cache_bytes_}};
    for (const auto& [threads, peaks] : peaks_)
      json["peaks"].push_back({{"threads", threads}, {"gflops", 1e-9 * peaks.flops}, {"gigabytes_per_second", 1e-9 * peaks.bytes}});
    return json;
  }

  void print() const {
    for (const auto& [threads, peaks] : peaks_)
      std::printf("peaks       %d thread%s: %.1f GFLOP/s of multiply-adds, %.1f GB/s from memory\n", threads, threads == 1 ? "" : "s",
                  1e-9 * peaks.flops, 1e-9 * peaks.bytes);
  }

 private:
  double compute(int threads, const Work& work) const { return work.flops / peaks(threads).flops; }
  double memory(int threads, const Work& work) const { return memory_bytes(work) / peaks(threads).bytes; }

  double cache_bytes_ = detail::last_level_bytes();
  std::map<int, Peaks> peaks_;
};

}  // namespace bench
