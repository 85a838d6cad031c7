// SPDX-License-Identifier: MIT
// How training scales with threads: samples/s, share of the machine's peak, speed-up, phases; as a table, a picture, a timeline
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
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
#include "../support/roofline.hpp"
#include "../support/workload.hpp"
#include "trace.hpp"

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
  std::string trace;
  std::string picture;
};

const parade::SoftmaxCrossEntropy loss;
const parade::L2 l2{.lambda = 1e-4};
const parade::Sgd sgd{.rate = 0.05, .momentum = 0.9};

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
  parade::Trainer trainer{model, loss, l2, sgd};
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

/// What a row reaches of what the machine has to give.
struct Reached {
  double gflops, of_peak, of_roof;

  Reached(const Row& row, double samples_per_second, const bench::Work& step, const bench::Roofline& roofline) {
    const double steps_per_second = samples_per_second / static_cast<double>(row.runs[0].batch_size);
    gflops = 1e-9 * step.flops * steps_per_second;
    of_peak = 1e9 * gflops / roofline.peaks(row.threads).flops;
    of_roof = roofline.least_seconds(row.threads, step) * steps_per_second;
  }
};

bench::Work step_of(const bench::Network& network, const parade::Summary& run) {
  return bench::training_step(network, run.parameters, run.batch_size, run.shards, sgd.num_states(), network.sizes.front());
}

void print(const std::vector<Row>& rows, const bench::Network& network, const bench::Roofline& roofline) {
  const auto& first = rows[0].runs[0];
  const std::string hash = parade::hash_text(first.theta_hash);
  std::printf("\n%s (%td parameters, %s), batch %td in %td shards of up to %td\n", network.name().c_str(), first.parameters,
              first.scalar.c_str(), first.batch_size, first.shards, first.shard_size);
  std::printf("%td samples, %td epochs a run, medians of %zu interleaved runs\n", first.samples, first.epochs(), rows[0].runs.size());
  std::printf("threads  samples/s  GFLOP/s  of peak  of roof  speed-up   (low  high)  efficiency  serial");
  for (const auto& phase : phases) std::printf("  %8s", phase.name);
  std::printf("\n");

  const bench::Work step = step_of(network, first);
  std::vector<std::string> notes;
  for (const Row& row : rows) {
    const bench::Spread rate{rates(row)}, speedup = speedups(row, rows[0]);
    const Reached reached{row, rate.middle, step, roofline};
    std::printf("%7d  %9.0f  %7.1f  %5.1f %%  %5.1f %%  %8.2f  (%5.2f %5.2f)  %8.1f %%", row.threads, rate.middle, reached.gflops,
                100 * reached.of_peak, 100 * reached.of_roof, speedup.middle, speedup.low, speedup.high,
                100 * efficiency(row, speedup.middle));
    row.threads == 1 ? std::printf("  %6s", "-") : std::printf("  %6.3f", serial_fraction(row, speedup.middle));
    for (const auto& phase : phases) std::printf("  %6.1f %%", 100 * share(row, phase));
    std::printf("\n");
    for (const auto& note : row.runs[0].notes())
      if (std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(note);
  }
  if (first.shards < rows.back().threads) notes.push_back(std::to_string(first.shards) + " shards: fewer than threads");
  for (const auto& note : notes) std::printf("note: %s\n", note.c_str());
  const int threads = rows.back().threads;
  std::printf("roof: a step needs %.2f MFLOP and %.2f MB from or to memory: at least %.4f ms on %d threads, for the %s\n",
              1e-6 * step.flops, 1e-6 * roofline.memory_bytes(step), 1e3 * roofline.least_seconds(threads, step), threads,
              roofline.memory_bound(threads, step) ? "bytes" : "multiply-adds");

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

bench::Json to_json(const std::vector<Row>& rows, const bench::Network& network, const bench::Roofline& roofline) {
  const auto& first = rows[0].runs[0];
  const bench::Work step = step_of(network, first);
  bench::Json result{{"model", network.name()},        {"parameters", first.parameters},
                     {"batch", first.batch_size},      {"shards", first.shards},
                     {"shard_size", first.shard_size}, {"samples", first.samples},
                     {"epochs", first.epochs()},       {"seed", first.seed},
                     {"train_loss", first.loss()},     {"same_bits", same_bits(rows)},
                     {"step_flops", step.flops},       {"step_memory_bytes", roofline.memory_bytes(step)}};
  for (const Row& row : rows) {
    const bench::Spread rate{rates(row)}, speedup = speedups(row, rows[0]);
    const Reached reached{row, rate.middle, step, roofline};
    bench::Json entry{{"threads", row.threads},
                      {"arrived", row.runs[0].threads},
                      {"samples_per_second", rate},
                      {"gflops", reached.gflops},
                      {"of_peak", reached.of_peak},
                      {"of_roof", reached.of_roof},
                      {"memory_bound", roofline.memory_bound(row.threads, step)},
                      {"speedup", speedup},
                      {"efficiency", efficiency(row, speedup.middle)}};
    if (row.threads > 1) entry["serial_fraction"] = serial_fraction(row, speedup.middle);
    for (const auto& phase : phases) entry["phases"][phase.name] = share(row, phase);
    for (const auto& run : row.runs)
      entry["runs"].push_back({{"wall_seconds", run.seconds.wall}, {"theta_hash", parade::hash_text(run.theta_hash)}});
    result["rows"].push_back(std::move(entry));
  }
  return result;
}

/// A few steps on all threads with a clock in every part, after as many without as it takes to get going. Returns whether θ is the same as
/// without the clocks.
template <class M>
bool trace(const M& model, const bench::Data& data, const Options& options, Index batch_size, bench::Json& events) {
  const Index steps = std::min<Index>(40, data.size() / batch_size), first = std::max<Index>(1, steps - 7);
  const bench::Data samples = bench::first_samples(data, steps * batch_size);
  const parade::FitOptions fit{
      .epochs = 1, .batch_size = batch_size, .seed = options.seed, .threads = options.max_threads, .check_data = false};
  const auto plain = parade::Trainer{model, loss, l2, sgd}.fit(samples, fit);

  bench::Trace trace{options.max_threads, first, steps, plain.shards};
  parade::Trainer traced{bench::TracedModel{model, trace}, bench::TracedLoss{loss, trace}, l2, bench::TracedOptimizer{sgd, trace}};
  const auto summary = traced.fit(bench::TracedData{samples, trace}, fit, trace);
  if (!trace.complete() || !trace.has({"gather", "forward", "loss", "backward", "gradient and update"}))
    throw std::runtime_error("the trace has lost events");

  const auto name = "batch " + std::to_string(batch_size);
  bench::append_chrome_events(trace, static_cast<int>(batch_size), name + ", " + std::to_string(plain.shards) + " shards", events);
  std::printf("trace       %s: steps %td ... %td in %.3f ms; busy", name.c_str(), first, steps, 1e3 * trace.seconds());
  for (std::size_t t = 0; t < trace.num_threads(); ++t) std::printf(" %.1f %%", 100 * trace.busy_seconds(t) / trace.seconds());
  const bool same = summary.theta_hash == plain.theta_hash;
  std::printf("; theta %s %s\n", parade::hash_text(summary.theta_hash).c_str(),
              same ? "as without the trace" : "DIFFERS from that without the trace");
  return same;
}

/// Has picture.py draw the results in the file `json`; returns whether it did.
bool draw(const std::string& json, const std::string& picture) {
  const auto script = (std::filesystem::path(__FILE__).parent_path() / "picture.py").string();
  for (const auto& [name, value] : {std::pair{"PARADE_SCRIPT", script}, {"PARADE_JSON", json}, {"PARADE_PICTURE", picture}})
    setenv(name, value.c_str(), 1);  // no quoting to get wrong
  std::fflush(stdout);
  // Debian's own Python has Debian's packages; another one may come first in the path.
  for (const std::string python : {"python3", "/usr/bin/python3"})
    if (std::system((python + " -c 'import matplotlib' 2>/dev/null").c_str()) == 0)
      return std::system((python + R"( "$PARADE_SCRIPT" "$PARADE_JSON" "$PARADE_PICTURE")").c_str()) == 0;
  std::fprintf(stderr,
               "\nNO PICTURE: it needs Python 3 with matplotlib, which is not here. On Debian and Ubuntu:\n"
               "  apt-get install python3-matplotlib\n"
               "The results are kept, and then this draws them:\n  python3 %s %s %s\n",
               script.c_str(), json.c_str(), picture.c_str());
  return false;
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

  bench::Roofline roofline;  // before the load, if there is one
  for (int threads = 1; threads <= options.max_threads; ++threads) roofline.measure(threads);
  roofline.print();
  json["roofline"] = roofline.to_json();

  bool same = true;
  const bench::MachineWatch watch;
  {
    const bench::BusyProcesses load{options.load};
    for (const Index batch_size : options.batches) {
      const auto rows = network.with_model([&](const auto& model) { return measure(model, data.samples, options, batch_size); });
      print(rows, network, roofline);
      json["results"].push_back(to_json(rows, network, roofline));
      same &= same_bits(rows);
    }
  }
  json["machine_meanwhile"] = watch.report();
  std::printf("\n");
  bench::print_watch(json["machine_meanwhile"]);

  if (!options.trace.empty()) {
    bench::Json events = bench::Json::array();
    for (const Index batch_size : options.batches)
      same &= network.with_model([&](const auto& model) { return trace(model, data.samples, options, batch_size, events); });
    bench::write_json(options.trace, {{"traceEvents", events}, {"displayTimeUnit", "ns"}, {"otherData", json["machine"]}});
  }
  std::string json_file = options.json;
  if (json_file.empty() && !options.picture.empty()) json_file = std::filesystem::path(options.picture).replace_extension(".json").string();
  if (!json_file.empty()) bench::write_json(json_file, json);
  return (options.picture.empty() || draw(json_file, options.picture)) && same;
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
  bench::add_common(app, options);
  app.add_option("--load", options.load, "keep so many other processes busy meanwhile")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--trace", options.trace,
                 "also write a timeline of a few steps on all threads to this file, for chrome://tracing or ui.perfetto.dev")
      ->check(bench::can_be_written);
  app.add_option("--picture", options.picture,
                 "also draw the results, to FILE.svg or FILE.png (needs python3-matplotlib); without --json they are kept in FILE.json")
      ->check(bench::can_be_written);
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
