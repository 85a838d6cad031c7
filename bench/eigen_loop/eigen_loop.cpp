// SPDX-License-Identifier: MIT
// Is parade on one thread as fast as a hand-written loop of plain Eigen products?
#if defined(__GNUC__) && !defined(__clang__)  // false alarms of GCC 12 about the AVX-512 intrinsics in Eigen's products
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <parade/parade.hpp>

#include "../support/hand_loop.hpp"
#include "../support/machine.hpp"
#include "../support/options.hpp"
#include "../support/results.hpp"
#include "../support/workload.hpp"

namespace {

using bench::Data;
using parade::Index;
using parade::Vector;

constexpr double rate = 0.05, momentum = 0.9;

struct Options {
  std::vector<Index> hidden{128, 64};
  std::vector<Index> batches{32, 128, 512};
  double seconds = 1;  // that a run of the loop takes, about
  int repeats = 11;
  Index samples = 0;  // 0: all
  std::string data;
  std::uint64_t seed = 1;
  std::string json;
};

/// The epochs of one run by hand: order and gather are parade's own, so that what is compared is the training.
template <class S, class OnStep>
double train(bench::HandLoop<S>& loop, const Data& data, Index epochs, Index batch_size, std::uint64_t seed, OnStep&& on_step) {
  parade::EpochOrder order{data.size(), seed};
  parade::DenseBatch<S> batch;
  data.reserve(batch, batch_size);
  const auto begin = std::chrono::steady_clock::now();
  for (Index epoch = 0; epoch < epochs; ++epoch) {
    const auto samples = order.shuffle(epoch);
    for (std::size_t first = 0, b = static_cast<std::size_t>(batch_size); first < samples.size(); first += b) {
      data.gather(samples.subspan(first, std::min(b, samples.size() - first)), batch);
      on_step(loop.step(batch.input(), {batch.labels.data(), static_cast<std::size_t>(batch.size)}), batch.size);
    }
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

template <class S>
auto trainer_of(const parade::Mlp<S>& model) {
  return parade::Trainer{model, parade::SoftmaxCrossEntropy{}, parade::NoRegularizer{}, parade::Sgd{.rate = rate, .momentum = momentum}};
}

/// A callback that keeps the loss of every step.
struct Losses {
  std::vector<double>& losses;
  void on_step(const parade::StepReport& report) { losses.push_back(report.loss); }
};

constexpr Index compared_steps = 50;

/// Both do the same work if their losses agree over the first steps, from the same θ on the same batches. Returns the largest difference, in
/// units of ε times the largest loss. Rounding errors grow a little with every step; a momentum that is one hundredth off gives 10³ and more.
template <class S>
double compare(const std::vector<Index>& sizes, const Data& data, Index batch_size, std::uint64_t seed) {
  const Data few = bench::first_samples(data, std::min(data.size(), compared_steps * batch_size));
  const parade::Mlp<S> model{sizes};
  auto trainer = trainer_of(model);
  std::vector<double> ours, theirs;
  trainer.initialize(seed);
  bench::HandLoop<S> loop{sizes, batch_size, rate, momentum};
  loop.start(trainer.theta());
  trainer.fit(few, {.epochs = 1, .batch_size = batch_size, .seed = seed, .threads = 1}, Losses{ours});
  train(loop, few, 1, batch_size, seed, [&](double loss, Index) { theirs.push_back(loss); });
  double worst = ours.size() == theirs.size() ? 0 : std::numeric_limits<double>::infinity(), largest = 0;
  for (std::size_t i = 0; i < std::min(ours.size(), theirs.size()); ++i) {
    worst = std::max(worst, std::abs(ours[i] - theirs[i]));
    largest = std::max(largest, ours[i]);
  }
  return worst / (static_cast<double>(std::numeric_limits<S>::epsilon()) * largest);
}

/// One line of the table, and its JSON; whether both did the same work.
bool measure(const std::vector<Index>& sizes, const Data& data, const Options& options, Index batch_size, bench::Json& json) {
  const double float_error = compare<float>(sizes, data, batch_size, options.seed);
  const double double_error = compare<double>(sizes, data, batch_size, options.seed);
  // In double rounding stays small for so few steps, and tells. In float a ReLU that rounds to the other side moves the losses after it.
  const bool same_work = double_error < 2.0 * compared_steps && float_error < 1e4;

  const parade::Mlp<float> model{sizes};
  auto trainer = trainer_of(model);
  trainer.initialize(options.seed);
  const Vector<float> theta = trainer.theta();
  bench::HandLoop<float> loop{sizes, batch_size, rate, momentum};
  double loop_loss = 0, trainer_loss = 0;
  const auto by_hand = [&](Index epochs) {
    loop.start(theta);
    double sum = 0;
    const auto add = [&sum](double loss, Index m) { sum += loss * static_cast<double>(m); };
    const double seconds = train(loop, data, epochs, batch_size, options.seed, add);
    loop_loss = sum / static_cast<double>(data.size() * epochs);
    return seconds;
  };
  const auto by_parade = [&](Index epochs) {
    const auto summary =
        trainer.fit(data, {.epochs = epochs, .batch_size = batch_size, .seed = options.seed, .threads = 1, .check_data = false});
    trainer_loss = 0;
    for (const auto& epoch : summary.history) trainer_loss += epoch.loss / static_cast<double>(summary.history.size());
    return summary.seconds.wall;  // from the order of the first epoch to the last step, as the loop is timed
  };

  by_parade(1);
  const Index epochs = std::max<Index>(1, std::llround(options.seconds / by_hand(1)));
  const double samples = static_cast<double>(data.size() * epochs);
  std::vector<double> parade_rates, eigen_rates, ratios;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    double ours = 0;
    if (repeat % 2 == 0) ours = by_parade(epochs);
    const double theirs = by_hand(epochs);
    if (repeat % 2 == 1) ours = by_parade(epochs);
    parade_rates.push_back(samples / ours);
    eigen_rates.push_back(samples / theirs);
    ratios.push_back(theirs / ours);
  }
  const bench::Spread parade_rate{parade_rates}, eigen_rate{eigen_rates}, ratio{ratios};
  std::printf("%5td  %9.0f  %9.0f  %6.3f  (%5.3f %5.3f)  %8.5f  %8.5f  %s: %.0f eps in float, %.0f in double\n", batch_size,
              parade_rate.middle, eigen_rate.middle, ratio.middle, ratio.low, ratio.high, trainer_loss, loop_loss,
              same_work ? "the same" : "NOT THE SAME", float_error, double_error);
  std::fflush(stdout);
  json.push_back({{"batch", batch_size},
                  {"epochs", epochs},
                  {"parade_samples_per_second", parade_rate},
                  {"eigen_samples_per_second", eigen_rate},
                  {"ratio", ratio},
                  {"parade_mean_loss", trainer_loss},
                  {"eigen_mean_loss", loop_loss},
                  {"float_error_eps", float_error},
                  {"double_error_eps", double_error},
                  {"same_work", same_work}});
  return same_work;
}

bool run(const Options& options) {
  Eigen::setNbThreads(1);
  const auto data = bench::training_data(options.data, options.samples);
  bench::Network network{{data.samples.num_features()}};
  network.sizes.insert(network.sizes.end(), options.hidden.begin(), options.hidden.end());
  network.sizes.push_back(10);

  bench::Json json{{"benchmark", "eigen_loop"}, {"machine", bench::describe_machine()},
                   {"data", data.name},         {"samples", data.samples.size()},
                   {"model", network.name()},   {"repeats", options.repeats}};
  bench::print_machine(json["machine"]);
  std::printf("%-12s%s, %td samples of %td features\n\n", "data", data.name.c_str(), data.samples.size(), data.samples.num_features());
  std::printf("%s, ReLU, softmax cross-entropy, SGD with momentum, one thread, float; medians of %d interleaved runs\n",
              network.name().c_str(), options.repeats);
  std::printf("         samples/s            parade /                mean loss\n");
  std::printf("batch     parade      Eigen   Eigen    (low  high)    parade     Eigen  losses of the first %td steps\n", compared_steps);

  bool same_work = true;
  const bench::MachineWatch watch;
  for (const Index batch_size : options.batches) same_work &= measure(network.sizes, data.samples, options, batch_size, json["results"]);
  json["machine_meanwhile"] = watch.report();
  std::printf("\n");
  bench::print_watch(json["machine_meanwhile"]);
  if (!options.json.empty()) bench::write_json(options.json, json);
  return same_work;
}

}  // namespace

int main(int argc, char** argv) try {
  Options options;
  CLI::App app{
      "Trains the same network with parade on one thread and by a hand-written loop of Eigen products, in turns. Ends with an error\n"
      "unless both did the same work."};
  app.add_option("--hidden", options.hidden, "sizes of the hidden layers")->delimiter(',')->check(bench::positive)->capture_default_str();
  app.add_option("--batch", options.batches, "batch sizes, a line for each")->delimiter(',')->check(bench::positive)->capture_default_str();
  app.add_option("--seconds", options.seconds, "a run is as many epochs as take the loop about this long")
      ->check(bench::positive)
      ->capture_default_str();
  app.add_option("--repeats", options.repeats, "runs of each, of which the median counts")->check(bench::positive)->capture_default_str();
  bench::add_common(app, options);
  bool quick = false;
  app.add_flag("--quick", quick, "a trial of a second or so: 2 runs of 1 epoch on 2000 samples; its figures mean nothing");
  CLI11_PARSE(app, argc, argv);
  if (quick) {
    options.samples = 2000;
    options.repeats = 2;
    options.seconds = 1e-9;
  }
  return run(options) ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "eigen_loop: %s\n", error.what());
  return 2;
}
