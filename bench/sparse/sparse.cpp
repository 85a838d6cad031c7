// SPDX-License-Identifier: MIT
// Logistic regression on sparse rows: time a nonzero and objective, also by optimizer; the time of a step by the number of features
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <parade/kernels/huge_pages.hpp>
#include <parade/parade.hpp>

#include "../support/options.hpp"
#include "../support/results.hpp"

namespace {

using parade::Index, parade::Label, parade::Vector;

/// n rows of `entries` entries over d features, whose frequencies fall like 1/(rank + 10) as in a text, under random numbers; rows of length 1; labels by
/// a hidden linear map, with noise. A set like RCV1.
parade::SparseRows<float> text_like(Index n, Index d, Index entries, std::uint64_t seed) {
  const parade::Random random{seed, parade::Purpose::synthetic};
  std::uint64_t at = 0;
  std::vector<double> cumulated(static_cast<std::size_t>(d));
  double total = 0;
  for (std::size_t i = 0; i < cumulated.size(); ++i) cumulated[i] = total += 1 / (static_cast<double>(i) + 10);
  std::vector<std::int32_t> name(cumulated.size());
  for (std::size_t i = 0; i < name.size(); ++i) name[i] = static_cast<std::int32_t>(i);
  for (std::size_t i = name.size(); i-- > 1;) std::swap(name[i], name[random.below(at++, i + 1)]);
  std::vector<double> truth(cumulated.size());
  for (double& w : truth) w = random.uniform(at++, -5, 5);

  Vector<std::int64_t> offsets(n + 1);
  Vector<std::int32_t> indices(n * entries);
  Vector<float> values(n * entries);
  Vector<Label> labels(n);
  std::vector<std::int32_t> row;
  std::vector<double> x(static_cast<std::size_t>(entries));
  for (Index i = 0; i < n; ++i) {
    offsets[i] = i * entries;
    row.clear();
    while (static_cast<Index>(row.size()) < entries) {
      const auto place = std::lower_bound(cumulated.begin(), cumulated.end(), random.uniform(at++) * total) - cumulated.begin();
      const std::int32_t feature = name[static_cast<std::size_t>(place)];
      if (std::find(row.begin(), row.end(), feature) == row.end()) row.push_back(feature);
    }
    std::sort(row.begin(), row.end());
    double squares = 0, score = 0;
    for (double& value : x) {
      value = random.uniform(at++, 0.2, 1.2);
      squares += value * value;
    }
    for (std::size_t e = 0; e < x.size(); ++e) {
      const double value = x[e] / std::sqrt(squares);
      score += value * truth[static_cast<std::size_t>(row[e])];
      indices[i * entries + static_cast<Index>(e)] = row[e];
      values[i * entries + static_cast<Index>(e)] = static_cast<float>(value);
    }
    labels[i] = random.uniform(at++) < 1 / (1 + std::exp(-2 * score)) ? 1 : 0;
  }
  offsets[n] = n * entries;
  return parade::SparseRows<float>(offsets, indices, values, d).with_labels(labels);
}

struct Options {
  Index samples = 200000, features = 47000, entries = 75, batch_size = 64, epochs = 1;
  int threads = 0, repeats = 3;
  double rate = 120, decay = 1.4;
  std::uint64_t seed = 1;
  std::string json, write, read, theta;
};

/// α = base / (1 + c base λt): for c = 1 the schedule of stochastic gradient descent for a strongly convex objective (Bottou 2012); batches are less noisy,
/// and a little steeper is better.
struct InverseTime {
  double decay;
  double rate(double base, const parade::TrainingTime& at) const { return base / (1 + decay * static_cast<double>(at.step)); }
};

struct Result {
  double seconds, nanoseconds, objective;
  Vector<float> theta;
};

Result train(const parade::SparseRows<float>& rows, const Options& options, int threads, Index epochs) {
  const auto began = std::chrono::steady_clock::now();
  const double lambda = 1 / static_cast<double>(rows.size());
  parade::Trainer trainer{parade::Linear<float>{rows.num_features(), 1, parade::Intercept::none}, parade::Logistic{},
                          parade::L2{.lambda = lambda}, parade::Sgd{.rate = options.rate},
                          InverseTime{options.decay * options.rate * lambda}};
  const auto summary = trainer.fit(
      rows, {.epochs = epochs, .batch_size = options.batch_size, .seed = options.seed, .threads = threads, .check_data = false});
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return {seconds, seconds * 1e9 / static_cast<double>(rows.nonzeros() * epochs),
          trainer.evaluate(rows).loss + summary.history.back().penalty, trainer.theta()};
}

/// What a nonzero costs with other optimizers, each with a regularizer that it takes on sparse rows, and with variance-reduced gradients, whose pass over
/// all data every other epoch counts. Rates are such that each of them learns, and no more: the losses are there to see that it does.
template <class O, class R>
Result train_by(const parade::SparseRows<float>& rows, const Options& options, const O& optimizer, const R& regularizer, double decay,
                int threads, Index svrg = 0) {
  constexpr Index epochs = 4;
  parade::Trainer trainer{parade::Linear<float>{rows.num_features(), 1, parade::Intercept::none}, parade::Logistic{}, regularizer,
                          optimizer, InverseTime{decay}};
  const auto began = std::chrono::steady_clock::now();
  trainer.fit(
      rows,
      {.epochs = epochs, .batch_size = options.batch_size, .seed = options.seed, .threads = threads, .check_data = false, .svrg = svrg});
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return {seconds, seconds * 1e9 / static_cast<double>(rows.nonzeros() * epochs), trainer.evaluate(rows).loss, trainer.theta()};
}

/// Mean seconds of a step of 64 rows of 75 entries, at evenly spread features of d; and of what its cache misses in theta cost: a plain loop that adds up
/// the same elements of a vector of d floats and then adds to each, and does nothing else.
struct StepTime {
  double step, theta_alone;
};
StepTime step_time(Index d, int threads) {
  constexpr Index n = 6400, entries = 75, batch_size = 64, epochs = 5;
  Vector<std::int64_t> offsets(n + 1);
  Vector<std::int32_t> indices(n * entries);
  const parade::Random random{1, parade::Purpose::synthetic, 1};
  for (Index i = 0; i <= n; ++i) offsets[i] = i * entries;
  for (Index i = 0; i < n * entries; ++i)
    indices[i] =
        static_cast<std::int32_t>((i % entries) * (d / entries) +
                                  static_cast<Index>(random.below(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(d / entries))));
  Vector<Label> labels(n);
  for (Index i = 0; i < n; ++i) labels[i] = static_cast<Label>(i % 2);
  const auto rows = parade::SparseRows<float>(offsets, indices, Vector<float>(), d).with_labels(labels);
  parade::Trainer trainer{parade::Linear<float>{d}, parade::Logistic{}, parade::L2{.lambda = 1e-5}, parade::Sgd{.rate = 0.1}};
  // The last step of an epoch to the first: what is done for all features once an epoch is left out.
  struct Clock {
    std::chrono::steady_clock::time_point began;
    double seconds = 0;
    Index steps = 0;
    void on_step(const parade::StepReport& report) {
      const auto now = std::chrono::steady_clock::now();
      if (report.samples_done > batch_size) {
        seconds += std::chrono::duration<double>(now - began).count();
        ++steps;
      }
      began = now;
    }
  } clock;
  trainer.fit(rows, {.epochs = epochs, .batch_size = batch_size, .threads = threads, .check_data = false}, clock);

  Vector<float> theta(d);
  parade::kernels::use_huge_pages(theta.data(), static_cast<std::size_t>(d) * sizeof(float));  // as the library does
  theta.setZero();
  const auto epoch = [&] {
    for (Index first = 0; first < n; first += batch_size) {
      const std::int32_t* begin = indices.data() + first * entries;
      float sum = 0;
      for (Index i = 0; i < batch_size * entries; ++i) sum += theta[begin[i]];
      const float step = sum > 1 ? 1e-9f : 1e-8f;
      for (Index i = 0; i < batch_size * entries; ++i) theta[begin[i]] += step;
    }
  };
  epoch();
  double seconds = 0;
  for (Index e = 0; e < epochs; ++e) {
    theta *= 0.5f;  // as settling does between epochs: all of theta goes through the caches
    const auto began = std::chrono::steady_clock::now();
    epoch();
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  }
  return {clock.seconds / static_cast<double>(clock.steps), seconds / static_cast<double>(epochs * n / batch_size)};
}

void write_bytes(const std::filesystem::path& file, const void* data, Index bytes) {
  std::ofstream out{file, std::ios::binary};
  out.write(static_cast<const char*>(data), bytes);
}

template <class T>
Vector<T> read_vector(const std::filesystem::path& file) {
  Vector<T> vector(static_cast<Index>(std::filesystem::file_size(file) / sizeof(T)));
  std::ifstream in{file, std::ios::binary};
  in.read(reinterpret_cast<char*>(vector.data()), vector.size() * static_cast<Index>(sizeof(T)));
  if (!in) throw parade::DataError(file.string() + " cannot be read");
  return vector;
}

/// What --write wrote.
parade::SparseRows<float> read_rows(const std::filesystem::path& folder) {
  const auto indices = read_vector<std::int32_t>(folder / "indices.i32");
  return parade::SparseRows<float>(read_vector<std::int64_t>(folder / "offsets.i64"), indices, read_vector<float>(folder / "values.f32"),
                                   indices.maxCoeff() + 1)
      .with_labels(read_vector<Label>(folder / "labels.i32"));
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Logistic regression with L2 (lambda = 1/n, no intercept) on generated sparse rows"};
  app.add_option("--samples", options.samples, "rows")->check(bench::positive)->capture_default_str();
  app.add_option("--features", options.features, "features")->check(bench::positive)->capture_default_str();
  app.add_option("--entries", options.entries, "entries a row")->check(bench::positive)->capture_default_str();
  app.add_option("--batch-size", options.batch_size, "samples a step")->check(bench::positive)->capture_default_str();
  app.add_option("--rate", options.rate, "base rate")->check(bench::positive)->capture_default_str();
  app.add_option("--decay", options.decay, "c of the rate base / (1 + c base lambda step)")->check(bench::positive)->capture_default_str();
  app.add_option("--threads", options.threads, "the larger number of threads; 0: all")->capture_default_str();
  app.add_option("--repeats", options.repeats, "of everything, interleaved")->check(bench::positive)->capture_default_str();
  app.add_option("--seed", options.seed, "of the data and of the order")->capture_default_str();
  app.add_option("--write", options.write, "write the set to this folder, and end");
  app.add_option("--read", options.read, "train once on the set that is in this folder, print the seconds, and end: for peers.py");
  app.add_option("--epochs", options.epochs, "of that training")->check(bench::positive)->needs("--read");
  app.add_option("--theta", options.theta, "write theta after it to this file")->needs("--read");
  app.add_option("--json", options.json, "write all results to this file")->check(bench::can_be_written);
  bool quick = false;
  app.add_flag("--quick", quick, "a trial of some seconds on 2000 rows of 1000 features; its figures mean nothing");
  CLI11_PARSE(app, argc, argv);
  if (quick) {
    options.samples = 2000;
    options.features = 1000;
    options.repeats = 1;
  }

  if (!options.read.empty()) {
    const auto rows = read_rows(options.read);
    train(rows, options, options.threads, 1);  // peers.py has the others train again and again in one process
    const Result result = train(rows, options, options.threads, options.epochs);
    if (!options.theta.empty()) write_bytes(options.theta, result.theta.data(), result.theta.size() * 4);
    std::cout << result.seconds << "\n";
    return 0;
  }

  const auto rows = text_like(options.samples, options.features, options.entries, options.seed);
  if (!options.write.empty()) {
    const std::filesystem::path folder{options.write};
    write_bytes(folder / "offsets.i64", rows.offsets().data(), 8 * rows.offsets().size());
    write_bytes(folder / "indices.i32", rows.indices().data(), 4 * rows.nonzeros());
    write_bytes(folder / "values.f32", rows.values().data(), 4 * rows.nonzeros());
    write_bytes(folder / "labels.i32", rows.labels().data(), 4 * rows.size());
    return 0;
  }

  const int all = options.threads > 0 ? options.threads : parade::available_threads();
  nlohmann::ordered_json json;
  std::cout << "epochs  threads  ns/nonzero  objective\n";
  for (const Index epochs : {Index{1}, Index{5}, Index{20}})
    for (const int threads : all > 1 ? std::vector<int>{1, all} : std::vector<int>{1}) {
      std::vector<double> times;
      double objective = 0;
      for (int i = 0; i < options.repeats; ++i) {
        const Result result = train(rows, options, threads, epochs);
        times.push_back(result.nanoseconds);
        objective = result.objective;
      }
      const bench::Spread spread(times);
      std::cout << epochs << "  " << threads << "  " << spread.middle << " (" << spread.low << " to " << spread.high << ")  " << objective
                << std::endl;
      json["epochs"].push_back({{"epochs", epochs}, {"threads", threads}, {"ns_per_nonzero", spread}, {"objective", objective}});
    }
  std::cout << "optimizer  threads  ns/nonzero  loss after 4 epochs\n";
  const double lambda = 1 / static_cast<double>(rows.size()), decay = options.decay * options.rate * lambda;
  const parade::L2 l2{.lambda = lambda};
  const parade::Sgd sgd{.rate = options.rate}, momentum{.rate = options.rate / 10, .momentum = 0.9};
  const std::vector<std::pair<std::string, std::function<Result(int)>>> optimizers{
      {"Sgd with L2", [&](int threads) { return train_by(rows, options, sgd, l2, decay, threads); }},
      {"Sgd with L2, svrg = 2", [&](int threads) { return train_by(rows, options, sgd, l2, decay, threads, 2); }},
      {"Sgd with momentum and L2", [&](int threads) { return train_by(rows, options, momentum, l2, decay, threads); }},
      {"Adagrad with L1",
       [&](int threads) { return train_by(rows, options, parade::Adagrad{.rate = 0.3}, parade::L1{.lambda = 1e-6}, 0, threads); }},
      {"FtrlProximal with its own L2",
       [&](int threads) {
         return train_by(rows, options, parade::FtrlProximal{.rate = 0.3, .l2 = 1}, parade::NoRegularizer{}, 0, threads);
       }},
      {"LazyAdam",
       [&](int threads) { return train_by(rows, options, parade::LazyAdam{.rate = 0.01}, parade::NoRegularizer{}, 0, threads); }}};
  std::vector<std::vector<std::vector<double>>> times(optimizers.size(), std::vector<std::vector<double>>(2));
  std::vector<double> losses(optimizers.size());
  for (int i = 0; i < options.repeats; ++i)  // interleaved
    for (std::size_t o = 0; o < optimizers.size(); ++o)
      for (std::size_t t = 0; t < (all > 1 ? 2U : 1U); ++t) {
        const Result result = optimizers[o].second(t == 0 ? 1 : all);
        times[o][t].push_back(result.nanoseconds);
        losses[o] = result.objective;
      }
  for (std::size_t o = 0; o < optimizers.size(); ++o)
    for (std::size_t t = 0; t < (all > 1 ? 2U : 1U); ++t) {
      const bench::Spread spread(times[o][t]);
      std::cout << optimizers[o].first << "  " << (t == 0 ? 1 : all) << "  " << spread.middle << " (" << spread.low << " to " << spread.high
                << ")  " << losses[o] << std::endl;
      json["optimizers"].push_back(
          {{"optimizer", optimizers[o].first}, {"threads", t == 0 ? 1 : all}, {"ns_per_nonzero", spread}, {"loss", losses[o]}});
    }
  std::cout << "features  microseconds a step of 64 rows of 75 entries, on one thread  of the same accesses to theta alone  difference\n";
  for (int power = 16; power <= (quick ? 18 : 26); power += 2) {
    std::vector<double> steps, alone;
    for (int i = 0; i < options.repeats; ++i) {
      const StepTime time = step_time(Index{1} << power, 1);
      steps.push_back(1e6 * time.step);
      alone.push_back(1e6 * time.theta_alone);
    }
    const bench::Spread step(steps), theta(alone);
    std::cout << "2^" << power << "  " << step.middle << "  " << theta.middle << "  " << step.middle - theta.middle << std::endl;
    json["steps"].push_back({{"features", Index{1} << power}, {"microseconds", step}, {"theta_alone", theta}});
  }
  if (!options.json.empty()) bench::write_json(options.json, json);
}
