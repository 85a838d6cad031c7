// SPDX-License-Identifier: MIT
// Training from a cache beside training in memory: how fast is it written and read, and what does an epoch cost?
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>

#include <parade/data/cache.hpp>
#include <parade/data/cached.hpp>
#include <parade/losses/logistic.hpp>
#include <parade/models/linear.hpp>
#include <parade/optimizers/sgd.hpp>
#include <parade/regularizers/l2.hpp>
#include <parade/train/trainer.hpp>

#include "../support/machine.hpp"
#include "../support/options.hpp"
#include "../support/results.hpp"

namespace {

using parade::Index, parade::Label, parade::SparseRows, parade::Vector;
using Clock = std::chrono::steady_clock;

/// n rows over d features, of which a few are frequent: entry e of a row is one of the features e² c … (e+1)² c − 1, c = d/entries².
SparseRows<float> random_rows(Index n, Index d, Index entries, std::uint64_t stream) {
  const parade::Random random{1, parade::Purpose::synthetic, stream};
  std::uint64_t at = 0;
  Vector<std::int64_t> offsets(n + 1);
  Vector<std::int32_t> indices(n * entries);
  Vector<float> values(n * entries);
  Vector<Label> labels(n);
  for (Index i = 0; i <= n; ++i) offsets[i] = i * entries;
  for (Index i = 0; i < n; ++i) {
    for (Index e = 0; e < entries; ++e) {
      const Index begin = e * e * d / (entries * entries), end = (e + 1) * (e + 1) * d / (entries * entries);
      const std::uint64_t bits = random.bits(at++);
      indices[i * entries + e] = static_cast<std::int32_t>(begin + static_cast<Index>(bits % static_cast<std::uint64_t>(end - begin)));
      values[i * entries + e] = static_cast<float>(bits >> 40) * 0x1p-24f / 8;
    }
    labels[i] = static_cast<Label>(random.below(at++, 2));
  }
  return SparseRows<float>(offsets, indices, values, d).with_labels(labels);
}

/// Of the whole process, all threads: on a busy machine it says more than the clock on the wall.
double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

double seconds_of(const std::function<void()>& work) {
  const auto begin = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

int main(int argc, char** argv) {
  Index chunks = 10, features = 47000, entries = 75, batch_size = 64, epochs = 2;
  int repeats = 5, threads = 0;
  std::size_t memory = 64;
  bool quick = false, only_cache = false, only_write = false;
  std::string own_file, json_file;
  CLI::App app{"Logistic regression with L2 on generated sparse rows, from a cache and in memory"};
  app.add_option("--chunks", chunks, "rows, in units of 20000")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--features", features, "features, at least entries^2")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--entries", entries, "entries a row")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--batch-size", batch_size, "samples a step")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--epochs", epochs, "of a fit")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--memory", memory, "for the windows, in MiB")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--threads", threads, "of training; 0: all")->capture_default_str();
  app.add_option("--repeats", repeats, "of everything, interleaved")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--file", own_file, "the cache: used if it is there, else made and kept");
  app.add_flag("--only-cache", only_cache, "nothing in memory: for a run under a limit");
  app.add_flag("--only-write", only_write, "make the file, and no more");
  app.add_option("--json", json_file, "write all results to this file")->check(bench::can_be_written);
  app.add_flag("--quick", quick, "a trial of a second or so; its figures mean nothing");
  CLI11_PARSE(app, argc, argv);
  if (quick) {
    chunks = 1;
    repeats = 1;
    memory = 8;
  }

  const auto made = std::filesystem::temp_directory_path() / ("parade_cache_" + std::to_string(::getpid()));
  const std::filesystem::path file = own_file.empty() ? made : std::filesystem::path{own_file};
  int status = 0;
  try {
    const auto machine = bench::describe_machine();
    bench::print_machine(machine);
    bench::Json json{{"machine", machine}};
    const auto print = [&](const char* what, const char* unit, const std::vector<double>& figures) {
      const bench::Spread spread{figures};
      std::printf("%-58s%10.3g %-10s (%.3g … %.3g)\n", what, spread.middle, unit, spread.low, spread.high);
      std::fflush(stdout);
      json[what] = spread;
    };

    if (!std::filesystem::exists(file)) {
      double seconds = 0;
      parade::CacheWriter<SparseRows<float>> writer{file};
      for (Index c = 0; c < chunks; ++c) {
        const auto rows = random_rows(20000, features, entries, static_cast<std::uint64_t>(c));
        seconds += seconds_of([&] { writer.add(rows); });
      }
      seconds += seconds_of([&] { writer.finish(); });
      print("written", "MB/s", {1e-6 * static_cast<double>(std::filesystem::file_size(file)) / seconds});
    }
    if (only_write) return 0;

    const parade::CachedRows<float> cached{file, {.memory = memory << 20}};
    const auto& info = cached.info();
    const double megabytes = 1e-6 * static_cast<double>(info.bytes), nonzeros = static_cast<double>(info.nonzeros);
    std::printf("%.0f MB, %td rows, %td entries; %td blocks, %td a window\n", megabytes, info.samples, info.nonzeros, info.blocks,
                cached.windows().blocks);
    json["megabytes"] = megabytes;

    std::optional<SparseRows<float>> rows;
    struct Times {
      std::vector<double> wall, cpu;
    } from_cache, in_memory, in_memory_plain;
    std::vector<double> plain, read, streamed, streamed_cpu, ratio, cpu_ratio, longer;
    const double lambda = 1 / static_cast<double>(info.samples);
    // The whole fit, with what it does before the first step.
    const auto train = [&](const auto& data, const parade::WindowShuffle& windows, Times& times) {
      parade::Trainer trainer{parade::Linear<float>{info.num_features, 1, parade::Intercept::none}, parade::Logistic{},
                              parade::L2{.lambda = lambda}, parade::Sgd{.rate = 1}};
      parade::Summary summary;
      const double began = cpu_seconds(), unit = 1e9 / (nonzeros * static_cast<double>(epochs));
      times.wall.push_back(
          unit * seconds_of([&] {
            summary = trainer.fit(
                data, {.epochs = epochs, .batch_size = batch_size, .seed = 1, .threads = threads, .check_data = false, .windows = windows});
          }));
      times.cpu.push_back(unit * (cpu_seconds() - began));
      return summary.theta_hash;
    };
    std::uint64_t expected = 0;
    const auto check = [&](std::uint64_t hash) {
      if (expected == 0) expected = hash;
      if (hash != expected) throw std::runtime_error("the bits of theta are not those of the first run");
    };
    std::vector<char> buffer(1 << 20);
    for (int repeat = 0; repeat < repeats; ++repeat) {
      plain.push_back(megabytes / seconds_of([&] {  // what the page cache, or the disk, gives
                        std::ifstream in{file, std::ios::binary};
                        in.rdbuf()->pubsetbuf(nullptr, 0);
                        while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()))) {
                        }
                      }));
      if (!only_cache) read.push_back(megabytes / seconds_of([&] { rows = parade::read_cache<SparseRows<float>>(file); }));
      const double began = cpu_seconds();
      streamed.push_back(megabytes / seconds_of([&] {
                           const auto stream = cached.open({.batch_size = batch_size, .seed = 1});
                           while (!stream->next().ends_epoch()) {
                           }
                         }));
      streamed_cpu.push_back(megabytes / (cpu_seconds() - began));
      check(train(cached, {}, from_cache));
      if (only_cache) continue;
      check(train(*rows, cached.windows(), in_memory));
      train(*rows, {}, in_memory_plain);
      longer.push_back(from_cache.wall.back() / std::max(1e9 * megabytes / (streamed.back() * nonzeros), in_memory.wall.back()));
      ratio.push_back(in_memory_plain.wall.back() / from_cache.wall.back());
      cpu_ratio.push_back(in_memory_plain.cpu.back() / from_cache.cpu.back());
    }
    print("the file, read and thrown away, one thread", "MB/s", plain);
    if (!only_cache) print("read into memory, all threads", "MB/s", read);
    print("windows: read, checked and put in order", "MB/s", streamed);
    print("  the same, of CPU time", "MB/s", streamed_cpu);
    const auto print_fit = [&](const std::string& what, const Times& times) {
      print(what.c_str(), "ns/nonzero", times.wall);
      print(("  CPU time, " + what).c_str(), "ns/nonzero", times.cpu);
    };
    print_fit("fit from the cache", from_cache);
    if (!only_cache) {
      print_fit("fit in memory, same order", in_memory);
      print_fit("fit in memory, usual order", in_memory_plain);
      print("fit from the cache, by the longer of reading and computing", "", longer);
      print("speed from the cache over that in memory", "", ratio);
      print("  speed by CPU time, over that in memory", "", cpu_ratio);
    }
    if (!json_file.empty()) bench::write_json(json_file, json);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cache: %s\n", error.what());
    status = 1;
  }
  std::error_code ignored;
  std::filesystem::remove(made, ignored);
  return status;
}
