// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include <parade/core/threads.hpp>

#include "machine.hpp"
#include "roofline.hpp"
#include "workload.hpp"

namespace bench {

/// 1, 2, 4, …, and last all that the process may use.
inline std::vector<std::int64_t> thread_counts() {
  const std::int64_t available = parade::available_threads();
  std::vector<std::int64_t> counts;
  for (std::int64_t threads = 1; threads < available; threads *= 2) counts.push_back(threads);
  counts.push_back(available);
  return counts;
}

/// A Google Benchmark program over model × batch × threads: measure(state, network, model, data, batch_size, threads) is called for each, and
/// answers whether its results were right. Returns the program's status: not 0 if any was wrong.
template <class Measure>
int run_grid(int argc, char** argv, const std::string& name, Measure measure) try {
  static const std::vector<Network> networks{{{784, 10}}, {{784, 128, 64, 10}}, {{784, 512, 512, 10}}};
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;

  const TrainingData data = training_data("", 0);
  const Json machine = describe_machine();
  for (const auto& [key, fact] : machine.items()) benchmark::AddCustomContext(key, fact.template get<std::string>());
  benchmark::AddCustomContext("data", data.name);
  Roofline roofline;
  for (const std::int64_t threads : thread_counts()) {
    roofline.measure(static_cast<int>(threads));
    const Peaks& peaks = roofline.peaks(static_cast<int>(threads));
    benchmark::AddCustomContext("peaks, " + std::to_string(threads) + " threads",
                                std::to_string(std::lround(1e-9 * peaks.flops)) + " GFLOP/s of multiply-adds, " +
                                    std::to_string(std::lround(1e-9 * peaks.bytes)) + " GB/s from memory");
  }

  bool right = true;
  for (const Network& network : networks) {
    const auto run = [&](benchmark::State& state) {
      const Index batch_size = state.range(0);
      right &= network.with_model(
          [&](const auto& model) { return measure(state, network, model, data.samples, batch_size, static_cast<int>(state.range(1))); });
      const double samples = static_cast<double>(state.iterations()) * static_cast<double>(batch_size);
      state.counters["samples/s"] = benchmark::Counter(samples, benchmark::Counter::kIsRate);
      const double flops = network.flops_per_sample() * samples;
      state.counters["GFLOP/s"] = benchmark::Counter(1e-9 * flops, benchmark::Counter::kIsRate);
      // Seconds at the peak in a second, of 100. (What is divided by the time Google Benchmark prints with "/s".)
      const Peaks& peaks = roofline.peaks(static_cast<int>(state.range(1)));
      state.counters["% of peak"] = benchmark::Counter(100 * flops / peaks.flops, benchmark::Counter::kIsRate);
    };
    benchmark::RegisterBenchmark((name + ' ' + network.name()).c_str(), run)
        ->ArgNames({"batch", "threads"})
        ->ArgsProduct({{32, 128, 512, 2048}, thread_counts()})
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  }
  benchmark::RunSpecifiedBenchmarks();
  return right ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s: %s\n", name.c_str(), error.what());
  return 1;
}

}  // namespace bench
