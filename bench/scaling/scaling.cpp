// SPDX-License-Identifier: MIT
// How training scales with threads: samples/s, speed-up, efficiency, phases, serial fraction for 1 ... all threads
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <parade/parade.hpp>

#include "../support/busy_processes.hpp"
#include "../support/machine.hpp"
#include "../support/options.hpp"
#include "../support/results.hpp"
#include "../support/workload.hpp"

namespace {

using parade::Index;

struct Options {
  std::string model = "mlp";
  std::vector<Index> hidden{128, 64};
  std::vector<Index> batches{128, 512};
  Index epochs = 0;    // of a run; 0: by `seconds`
  double seconds = 2;  // that a run takes on one thread, about
  int max_threads = parade::available_threads();
  int repeats = 7;
  Index samples = 0;  // 0: all
  std::string data;
  std::uint64_t seed = 1;
  int load = 0;
  std::string json;
};

/// The runs with one number of threads.
struct Row {
  int threads = 0;
  std::vector<parade::Summary> runs;  // one a repeat
};

double efficiency(const Row& row, double speedup) { return speedup / row.threads; }

/// e = (1/S − 1/T) / (1 − 1/T): the share of a program that would have to be serial to explain the speed-up S on T > 1 threads (Karp, Flatt:
/// "Measuring parallel processor performance", 1990). Whatever keeps threads from working is in it: memory, waiting, an uneven number of shards.
double serial_fraction(const Row& row, double speedup) { return (1 / speedup - 1.0 / row.threads) / (1 - 1.0 / row.threads); }

std::vector<double> rates(const Row& row) {
  std::vector<double> rates;
  for (const auto& run : row.runs) rates.push_back(run.samples_per_second());
  return rates;
}

/// Over one thread, each repeat with its own: what the machine does in the meantime hits both.
bench::Spread speedups(const Row& row, const Row& one_thread) {
  std::vector<double> speedups = rates(row);
  const auto base = rates(one_thread);
  for (std::size_t i = 0; i < base.size(); ++i) speedups[i] /= base[i];
  return bench::Spread{speedups};
}

struct Phase {
  const char* name;
  double parade::Timings::*seconds;
};
constexpr Phase phases[] = {{"gather", &parade::Timings::gather},
                            {"gradient", &parade::Timings::gradient},
                            {"reduce", &parade::Timings::reduce},
                            {"update", &parade::Timings::update},
                            {"waiting", &parade::Timings::waiting}};

/// Median of the phase's share of all thread-seconds.
double share(const Row& row, const Phase& phase) {
  std::vector<double> shares;
  for (const auto& run : row.runs) shares.push_back(run.seconds.*phase.seconds / (run.seconds.wall * run.threads));
  return bench::median(shares);
}

bool same_bits(const std::vector<Row>& rows) {
  return std::all_of(rows.begin(), rows.end(), [&](const Row& row) {
    return std::all_of(row.runs.begin(), row.runs.end(), [&](const auto& run) { return run.theta_hash == rows[0].runs[0].theta_hash; });
  });
}

/// All runs for one batch size. Repeats are interleaved, every other one backwards, so that a machine that drifts drifts for all.
template <class M>
std::vector<Row> measure(const M& model, const bench::Data& data, const Options& options, Index batch_size) {
  parade::Trainer trainer{model, parade::SoftmaxCrossEntropy{}, parade::L2{.lambda = 1e-4}, parade::Sgd{.rate = 0.05, .momentum = 0.9}};
  const auto train = [&](const bench::Data& samples, Index epochs, int threads, bool check) {
    auto summary =
        trainer.fit(samples, {.epochs = epochs, .batch_size = batch_size, .seed = options.seed, .threads = threads, .check_data = check});
    if (summary.stop_reason != parade::StopReason::completed)
      throw std::runtime_error("the training " + std::string(to_string(summary.stop_reason)));
    return summary;
  };
  Index epochs = options.epochs;
  if (epochs == 0) epochs = std::max<Index>(1, std::llround(options.seconds / train(data, 1, 1, true).seconds.wall));
  const bench::Data warm_up = bench::first_samples(data, std::min(data.size(), 8 * batch_size));

  std::vector<Row> rows;
  for (int threads = 1; threads <= options.max_threads; ++threads) rows.push_back({threads, {}});
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      Row& row = rows[repeat % 2 == 0 ? i : rows.size() - 1 - i];
      train(warm_up, 1, row.threads, false);  // takes the memory and starts the threads
      row.runs.push_back(train(data, epochs, row.threads, false));
    }
  }
  return rows;
}

void print(const std::vector<Row>& rows, const bench::Network& network) {
  const auto& first = rows[0].runs[0];
  const std::string hash = parade::hash_text(first.theta_hash);
  std::printf("\n%s (%td parameters, %s), batch %td in %td shards of up to %td\n", network.name().c_str(), first.parameters,
              first.scalar.c_str(), first.batch_size, first.shards, first.shard_size);
  std::printf("%td samples, %td epochs a run, medians of %zu interleaved runs\n", first.samples, first.epochs(), rows[0].runs.size());
  std::printf("threads  samples/s  GFLOP/s  speed-up   (low  high)  efficiency  serial");
  for (const auto& phase : phases) std::printf("  %8s", phase.name);
  std::printf("\n");

  std::vector<std::string> notes;
  for (const Row& row : rows) {
    const bench::Spread rate{rates(row)}, speedup = speedups(row, rows[0]);
    std::printf("%7d  %9.0f  %7.1f  %8.2f  (%5.2f %5.2f)  %8.1f %%", row.threads, rate.middle,
                1e-9 * rate.middle * network.flops_per_sample(), speedup.middle, speedup.low, speedup.high,
                100 * efficiency(row, speedup.middle));
    row.threads == 1 ? std::printf("  %6s", "-") : std::printf("  %6.3f", serial_fraction(row, speedup.middle));
    for (const auto& phase : phases) std::printf("  %6.1f %%", 100 * share(row, phase));
    std::printf("\n");
    for (const auto& note : row.runs[0].notes())
      if (std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(note);
  }
  if (first.shards < rows.back().threads)
    notes.push_back(std::to_string(first.shards) + " shards: more threads than that have no gradient to compute");
  for (const auto& note : notes) std::printf("note: %s\n", note.c_str());

  if (same_bits(rows)) {
    std::printf("theta %s after each of the %zu runs: the same bits on 1 ... %d threads\n", hash.c_str(), rows.size() * rows[0].runs.size(),
                rows.back().threads);
  } else {
    std::printf("THETA DIFFERS between runs:");
    for (const Row& row : rows)
      for (const auto& run : row.runs) std::printf(" %s (%d)", parade::hash_text(run.theta_hash).c_str(), row.threads);
    std::printf("\n");
  }
  std::fflush(stdout);
}

bench::Json to_json(const std::vector<Row>& rows, const bench::Network& network) {
  const auto& first = rows[0].runs[0];
  bench::Json result{
      {"model", network.name()},        {"parameters", first.parameters}, {"batch", first.batch_size}, {"shards", first.shards},
      {"shard_size", first.shard_size}, {"samples", first.samples},       {"epochs", first.epochs()},  {"seed", first.seed},
      {"train_loss", first.loss()},     {"same_bits", same_bits(rows)}};
  for (const Row& row : rows) {
    const bench::Spread rate{rates(row)}, speedup = speedups(row, rows[0]);
    bench::Json entry{{"threads", row.threads},     {"arrived", row.runs[0].threads},
                      {"samples_per_second", rate}, {"gflops", 1e-9 * rate.middle * network.flops_per_sample()},
                      {"speedup", speedup},         {"efficiency", efficiency(row, speedup.middle)}};
    if (row.threads > 1) entry["serial_fraction"] = serial_fraction(row, speedup.middle);
    for (const auto& phase : phases) entry["phases"][phase.name] = share(row, phase);
    for (const auto& run : row.runs)
      entry["runs"].push_back({{"wall_seconds", run.seconds.wall}, {"theta_hash", parade::hash_text(run.theta_hash)}});
    result["rows"].push_back(std::move(entry));
  }
  return result;
}

bool run(const Options& options) {
  const auto data = bench::training_data(options.data, options.samples);
  bench::Json json{{"benchmark", "scaling"}, {"machine", bench::describe_machine()}, {"data", data.name}, {"load", options.load}};
  bench::print_machine(json["machine"]);
  std::printf("%-12s%s, %td samples of %td features\n", "data", data.name.c_str(), data.samples.size(), data.samples.num_features());
  if (options.load > 0) std::printf("%-12s%d busy processes beside this one, pinned nowhere\n", "load", options.load);

  bench::Network network{{data.samples.num_features()}};
  if (options.model == "mlp") network.sizes.insert(network.sizes.end(), options.hidden.begin(), options.hidden.end());
  network.sizes.push_back(10);

  bool same = true;
  const bench::MachineWatch watch;
  {
    const bench::BusyProcesses load{options.load};
    for (const Index batch_size : options.batches) {
      const auto rows = network.with_model([&](const auto& model) { return measure(model, data.samples, options, batch_size); });
      print(rows, network);
      json["results"].push_back(to_json(rows, network));
      same &= same_bits(rows);
    }
  }
  json["machine_meanwhile"] = watch.report();
  std::printf("\n");
  bench::print_watch(json["machine_meanwhile"]);
  if (!options.json.empty()) bench::write_json(options.json, json);
  return same;
}

}  // namespace

int main(int argc, char** argv) try {
  Options options;
  CLI::App app{
      "Trains the same network with 1 ... all threads, in turns, and prints how much faster it gets. Ends with an error unless theta\n"
      "has the same bits in all runs."};
  app.add_option("--model", options.model, "softmax or mlp")->check(CLI::IsMember({"softmax", "mlp"}))->capture_default_str();
  app.add_option("--hidden", options.hidden, "sizes of the mlp's hidden layers")
      ->delimiter(',')
      ->check(bench::positive)
      ->capture_default_str();
  app.add_option("--batch", options.batches, "batch sizes, a table for each")
      ->delimiter(',')
      ->check(bench::positive)
      ->capture_default_str();
  auto* epochs = app.add_option("--epochs", options.epochs, "epochs a run")->check(bench::positive);
  app.add_option("--seconds", options.seconds, "instead: as many epochs as take one thread about this long")
      ->check(bench::positive)
      ->excludes(epochs)
      ->capture_default_str();
  app.add_option("--max-threads", options.max_threads, "measure 1 ... this many threads (default: all that this process may use)")
      ->check(bench::positive)
      ->capture_default_str();
  app.add_option("--repeats", options.repeats, "runs for each number of threads, of which the median counts")
      ->check(bench::positive)
      ->capture_default_str();
  app.add_option("--samples", options.samples, "train on the first so many samples only")->check(bench::positive);
  app.add_option("--data", options.data,
                 "folder with the files of MNIST (default: mnist in the folder that PARADE_DATA names, else synthetic digits)");
  app.add_option("--seed", options.seed, "of the starting theta and of the order of the samples")->capture_default_str();
  app.add_option("--load", options.load, "keep so many other processes busy meanwhile")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--json", options.json, "write all results to this file")->check(bench::can_be_written);
  bool quick = false;
  app.add_flag("--quick", quick, "a trial of a second or so: 2 runs of 1 epoch on 2000 samples; its figures mean nothing");
  CLI11_PARSE(app, argc, argv);
  if (quick) {
    options.epochs = 1;
    options.repeats = 2;
    options.samples = 2000;
  }
  return run(options) ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "scaling: %s\n", error.what());
  return 2;
}
