// SPDX-License-Identifier: MIT
// What the promise costs: a training step with the canonical tree and dynamic claims against one that is summed in any order
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <exception>
#include <limits>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <parade/parade.hpp>

#include "../support/machine.hpp"
#include "../support/options.hpp"
#include "../support/results.hpp"
#include "../support/roofline.hpp"
#include "../support/workload.hpp"

#if PARADE_HAS_OPENMP
#include <omp.h>

namespace {

using parade::Index;
using Clock = std::chrono::steady_clock;

const parade::Sgd sgd{.rate = 1e-3, .momentum = 0.9};
const parade::SoftmaxCrossEntropy loss;

struct Options {
  std::vector<Index> parameters{1'000, 10'000, 100'000, 1'000'000, 10'000'000};
  std::vector<Index> batches{16, 32, 128, 512, 2048};
  std::vector<int> threads{1};
  int repeats = 9;
  double seconds = 0.1;  // that a run takes on one thread, about
  std::string json;
};

/// A network with about that many parameters. Few FLOP a parameter are the hard case: there is less work to hide a reduction behind.
bench::Network network_of(Index parameters) {
  if (parameters <= 1'000) return {{100, 10}};
  if (parameters <= 10'000) return {{64, 128, 10}};
  if (parameters <= 100'000) return {{784, 128, 10}};
  if (parameters <= 1'000'000) return {{784, 680, 640, 10}};
  return {{784, 2800, 2740, 10}};
}

/// Of images that show nothing: what a step costs does not depend on what it learns.
bench::Data random_data(Index features) {
  constexpr Index samples = 16384;
  const parade::Random random{1, parade::Purpose::synthetic};
  parade::Matrix<std::uint8_t> x(features, samples);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<std::uint8_t>(random.below(static_cast<std::uint64_t>(i), 256));
  parade::Vector<parade::Label> y(samples);
  for (Index i = 0; i < samples; ++i) y[i] = static_cast<parade::Label>(random.below(static_cast<std::uint64_t>(x.size() + i), 10));
  return bench::Data{std::move(x)}.with_labels(std::move(y));
}

/// Both sides take the same batches of the same data, and cut them into the same shards.
struct Task {
  const bench::Data& data;
  Index batch_size;
  parade::Vector<float> theta;  // where a run starts
  parade::Batches batches{data.size(), {.batch_size = batch_size, .seed = 1}};

  std::span<const Index> batch(Index step) const { return batches[(step - 1) % (data.size() / batch_size)]; }
};

/// (a) parade: any worker takes any piece of the batch or range of θ, sums over the canonical tree, a step from one θ to another.
template <class M>
class Promised {
 public:
  Promised(const M& model, const Task& task, int threads)
      : task_(task),
        engine_(model, loss, {.threads = threads}),
        update_(model.parameters(), {}, {}, sgd, engine_.team()),
        zero_(model.parameters().size(), sgd.num_states()),
        now_(zero_),
        next_(zero_) {
    engine_.reserve(task.data, task.batch_size);
    update_.reserve();
  }

  void restart() {
    now_.theta = task_.theta;
    now_.states() = zero_.states();
    steps_ = 0;
  }

  /// Seconds of so many steps, after some that are not timed, which start the threads and fill the caches.
  double run(Index untimed, Index steps) {
    double seconds = 0;
    engine_.team().run([&] {
      for (Index i = 0; i < untimed; ++i) step();
      const auto begin = Clock::now();
      for (Index i = 0; i < steps; ++i) step();
      seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    });
    return seconds;
  }

  const parade::Vector<float>& theta() const { return now_.theta; }
  auto momentum() const { return now_.states().col(0).head(now_.theta.size()); }
  double last_loss() const { return last_loss_; }

 private:
  void step() {
    const auto sum = engine_.accumulate_updated(now_.theta, task_.data, task_.batch(++steps_));
    if (!update_(engine_, sum.weight, now_, next_, {sgd.rate, steps_})) throw std::runtime_error("the training diverged");
    std::swap(now_, next_);
    last_loss_ = sum.loss;
  }

  const Task& task_;
  parade::ParallelGradient<M, parade::SoftmaxCrossEntropy> engine_;
  parade::ParallelUpdate<float, parade::NoRegularizer, parade::NoConstraint, parade::Sgd> update_;
  parade::TrainingState<float> zero_, now_, next_;
  Index steps_ = 0;
  double last_loss_ = 0;
};

/// (b) As one writes it with OpenMP and without the promise: static schedules, a barrier after each loop, one gradient a thread to which all its
/// shards are added, and θ updated in place. The shards, the model, the loss, the optimizer and their kernels are those of (a), and like (a) it
/// stays in one parallel region over all steps. Its θ depends on the number of threads.
template <class M>
class Unordered {
 public:
  Unordered(const M& model, const Task& task, int threads)
      : model_(model),
        task_(task),
        plan_(task.batch_size, 0),
        momentum_(parade::Vector<float>::Zero(model.parameters().size())),
        threads_(threads),
        workers_(static_cast<std::size_t>(threads)) {
    model_.reserve(prepared_);
    for (auto& worker : workers_) {
      task_.data.reserve(worker.batch, plan_.shard_size());
      model_.reserve(worker.workspace, plan_.shard_size());
      worker.values.resize(plan_.shard_size());
      worker.dscores.resize(model_.num_outputs(), plan_.shard_size());
      worker.grad.resize(momentum_.size());
    }
  }

  void restart() {
    theta_ = task_.theta;
    momentum_.setZero();
    steps_ = 0;
  }

  double run(Index untimed, Index steps) {
    Clock::time_point begin, end;
#pragma omp parallel num_threads(threads_)
    {
      for (Index i = 1; i <= untimed; ++i) step(steps_ + i);
#pragma omp master
      begin = Clock::now();
      for (Index i = 1; i <= steps; ++i) step(steps_ + untimed + i);
#pragma omp master
      end = Clock::now();
    }
    steps_ += untimed + steps;
    return std::chrono::duration<double>(end - begin).count();
  }

  const parade::Vector<float>& theta() const { return theta_; }
  const parade::Vector<float>& momentum() const { return momentum_; }
  double last_loss() const {
    return std::accumulate(workers_.begin(), workers_.end(), 0.0, [](double sum, const Worker& worker) { return sum + worker.loss; });
  }

 private:
  struct alignas(64) Worker {
    parade::DenseBatch<float> batch;
    typename M::Workspace workspace;
    parade::Vector<float> values;   // (m)
    parade::Matrix<float> dscores;  // (k,m)
    parade::Vector<float> grad;     // (P) of all its shards of the step
    bool has_gradient = false;
    double loss = 0;
  };

  /// To be called by all threads of a parallel region.
  void step(Index number) {
    auto& own = workers_[static_cast<std::size_t>(omp_get_thread_num())];
    const auto samples = task_.batch(number);
#pragma omp for schedule(static)
    for (Index piece = 0; piece < model_.num_preparations(); ++piece)
      model_.prepare(parade::ConstVectorRef<float>(theta_), piece, prepared_);

    own.has_gradient = false;
    own.loss = 0;
#pragma omp for schedule(static)
    for (Index shard = 0; shard < plan_.shards(); ++shard) {
      const parade::Range range = plan_[shard];
      add_shard(samples.subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.size())), own);
    }

    constexpr Index block = 2048;  // parade's own
    const Index size = theta_.size();
    alignas(64) float sum[block];
#pragma omp for schedule(static)
    for (Index begin = 0; begin < size; begin += block) {
      const Index count = std::min(block, size - begin);
      std::fill_n(sum, count, 0.0f);
      for (const auto& worker : workers_)
        if (worker.has_gradient)
          for (Index i = 0; i < count; ++i) sum[i] += worker.grad[begin + i];
      for (Index i = 0; i < count; ++i) sum[i] *= 1 / static_cast<float>(task_.batch_size);
      sgd.step(parade::VectorRef<float>(theta_.segment(begin, count)),
               parade::ConstVectorRef<float>(Eigen::Map<const parade::Vector<float>>(sum, count)),
               parade::StateRef<float>{momentum_.data() + begin, size, count}, {sgd.rate, number});
    }
  }

  void add_shard(std::span<const Index> samples, Worker& own) {
    using Scores = parade::ConstMatrixRef<float>;
    const auto m = static_cast<Index>(samples.size());
    task_.data.gather(samples, own.batch);
    const Scores scores = model_.forward(prepared_, own.batch.input(), own.workspace);  // (k,m)
    loss.value_and_gradient(scores, own.batch.template target<parade::Label>(), parade::VectorRef<float>(own.values.head(m)),
                            parade::MatrixRef<float>(own.dscores.leftCols(m)));
    for (Index j = 0; j < m; ++j) own.loss += static_cast<double>(own.values[j]);
    const Scores dscores = own.dscores.leftCols(m);
    if (std::exchange(own.has_gradient, true))
      model_.add_gradient(prepared_, own.batch.input(), dscores, own.workspace, own.grad);
    else
      model_.gradient(prepared_, own.batch.input(), dscores, own.workspace, own.grad);
  }

  const M& model_;
  const Task& task_;
  parade::ShardPlan plan_;
  parade::Vector<float> theta_, momentum_;
  typename M::Prepared prepared_;
  int threads_;
  std::vector<Worker> workers_;
  Index steps_ = 0;
};

/// Throws unless both sides take the same first step: after it the momentum is the gradient. Its elements are chains of b multiply-adds, so the two
/// may differ by about b roundings; one sample too few would show as 1/b.
template <class M>
void check_same_step(Promised<M>& promised, Unordered<M>& unordered, const Task& task) {
  promised.restart();
  unordered.restart();
  promised.run(0, 1);
  unordered.run(0, 1);
  const double eps = std::numeric_limits<float>::epsilon(), rounding = eps * static_cast<double>(std::max<Index>(32, task.batch_size));
  const parade::Vector<double> g = promised.momentum().template cast<double>(), h = unordered.momentum().template cast<double>();
  const parade::Vector<double> a = promised.theta().template cast<double>(), b = unordered.theta().template cast<double>();
  if (!(g.norm() > 0 && (g - h).norm() <= rounding * g.norm()))
    throw std::runtime_error("the two gradients differ by " + std::to_string((g - h).norm() / g.norm()) + " of their length");
  if (!((a - b).norm() <= rounding * sgd.rate * g.norm() + eps * a.norm()))
    throw std::runtime_error("the two sides take different steps from the same gradient");
  if (!(std::abs(promised.last_loss() - unordered.last_loss()) <= rounding * promised.last_loss()))
    throw std::runtime_error("the two sides have different losses: " + std::to_string(promised.last_loss()) + " and " +
                             std::to_string(unordered.last_loss()));
}

/// The runs with one number of threads, one a repeat; seconds a step.
struct Row {
  int threads = 0;
  std::vector<double> promised, unordered;
  std::vector<std::uint64_t> hashes;  // of (a)'s θ

  /// How much longer (a) takes, each repeat with its own.
  bench::Spread cost() const {
    std::vector<double> cost;
    for (std::size_t i = 0; i < promised.size(); ++i) cost.push_back(promised[i] / unordered[i] - 1);
    return bench::Spread{cost};
  }
};

/// All runs for one network and batch size, in turns, every other round backwards, so that a machine that drifts drifts for all.
template <class M>
std::vector<Row> measure(const M& model, const bench::Data& data, Index batch_size, const Options& options) {
  Task task{data, batch_size, parade::Vector<float>(model.parameters().size())};
  model.initialize(task.theta, 1);

  std::vector<Row> rows;
  std::deque<Promised<M>> promised;
  std::deque<Unordered<M>> unordered;
  for (const int threads : options.threads) {
    rows.push_back({threads, {}, {}, {}});
    check_same_step(promised.emplace_back(model, task, threads), unordered.emplace_back(model, task, threads), task);
  }
  Index steps = 1;
  double seconds = unordered[0].run(0, steps);
  while (seconds < options.seconds / 4) seconds = unordered[0].run(0, steps *= 2);
  steps = std::max<Index>(1, std::llround(static_cast<double>(steps) * options.seconds / seconds));
  const Index untimed = (steps + 9) / 10;

  const auto seconds_a_step = [&](auto& side) {
    side.restart();
    return side.run(untimed, steps) / static_cast<double>(steps);
  };
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::size_t r = repeat % 2 == 0 ? i : rows.size() - 1 - i;
      for (int side = 0; side < 2; ++side) {
        if (side == repeat % 2) {
          rows[r].promised.push_back(seconds_a_step(promised[r]));
          rows[r].hashes.push_back(parade::theta_hash(promised[r].theta()));
        } else {
          rows[r].unordered.push_back(seconds_a_step(unordered[r]));
        }
      }
    }
  }
  return rows;
}

bool same_bits(const std::vector<Row>& rows) {
  return std::all_of(rows.begin(), rows.end(), [&](const Row& row) {
    return std::all_of(row.hashes.begin(), row.hashes.end(), [&](std::uint64_t hash) { return hash == rows[0].hashes[0]; });
  });
}

bool run(const Options& options) {
  bench::Json json{{"benchmark", "reduction"}, {"machine", bench::describe_machine()}};
  bench::print_machine(json["machine"]);
  bench::Roofline roofline;
  for (const int threads : options.threads) roofline.measure(threads);
  roofline.print();
  std::printf("\nSGD with momentum, softmax cross-entropy, ReLU, float; medians of %d interleaved runs\n", options.repeats);
  std::printf(
      "network               parameters  batch  shards  threads  promised ms  unordered ms   cost %%  (  low   high)  GFLOP/s  of peak  of "
      "roof\n");

  bool same = true;
  double highest = -1;  // median cost where the promise is that it is small
  const bench::MachineWatch watch;
  for (const Index size : options.parameters) {
    const bench::Network network = network_of(size);
    const bench::Data data = random_data(network.sizes.front());
    for (const Index batch_size : options.batches) {
      Index parameters = 0;
      const auto rows = network.with_model([&](const auto& model) {
        parameters = model.parameters().size();
        return measure(model, data, batch_size, options);
      });
      const Index shards = parade::ShardPlan{batch_size, 0}.shards();
      const auto work = bench::training_step(network, parameters, batch_size, shards, sgd.num_states(), network.sizes.front());
      for (const Row& row : rows) {
        const bench::Spread promised{row.promised}, unordered{row.unordered}, cost = row.cost();
        const double flops = work.flops / promised.middle, of_peak = flops / roofline.peaks(row.threads).flops,
                     of_roof = roofline.least_seconds(row.threads, work) / promised.middle;
        const bool memory_bound = roofline.memory_bound(row.threads, work);
        std::printf("%-20s  %10td  %5td  %6td  %7d  %11.4f  %12.4f  %7.1f  (%5.1f  %5.1f)  %7.1f  %5.1f %%  %5.1f %%  %s\n",
                    network.name().c_str(), parameters, batch_size, shards, row.threads, 1e3 * promised.middle, 1e3 * unordered.middle,
                    100 * cost.middle, 100 * cost.low, 100 * cost.high, 1e-9 * flops, 100 * of_peak, 100 * of_roof,
                    memory_bound ? "memory" : "multiply-adds");
        json["results"].push_back({{"model", network.name()},
                                   {"parameters", parameters},
                                   {"batch", batch_size},
                                   {"shards", shards},
                                   {"threads", row.threads},
                                   {"promised_seconds", promised},
                                   {"unordered_seconds", unordered},
                                   {"cost", cost},
                                   {"gflops", 1e-9 * flops},
                                   {"of_peak", of_peak},
                                   {"memory_bytes", roofline.memory_bytes(work)},
                                   {"memory_bound", memory_bound},
                                   {"of_roof", of_roof}});
        if (parameters <= 1'000'000 && batch_size >= 128) highest = std::max(highest, cost.middle);
      }
      if (!same_bits(rows)) {
        std::printf("THETA DIFFERS between the promised runs above\n");
        same = false;
      }
      std::fflush(stdout);
    }
  }
  if (highest > -1)
    std::printf("\nup to 10^6 parameters and from batch 128 on the promise costs at most %.1f %% (median)\n", 100 * highest);
  if (same) std::printf("the promised theta had the same bits after each of its runs, for every number of threads\n");
  json["roofline"] = roofline.to_json();
  json["machine_meanwhile"] = watch.report();
  bench::print_watch(json["machine_meanwhile"]);
  if (!options.json.empty()) bench::write_json(options.json, json);
  return same;
}

}  // namespace

int main(int argc, char** argv) try {
  Options options;
  if (const int all = parade::available_threads(); all > 1) options.threads.push_back(all);
  CLI::App app{
      "Times the same training step with parade's engine, whose result does not depend on the threads, and with a loop that sums the\n"
      "shards' gradients in any order. Ends with an error unless both take the same step up to rounding, and parade's theta has the same\n"
      "bits in all runs."};
  const auto list = [&app](const char* name, auto& values, const char* help) {
    app.add_option(name, values, help)->delimiter(',')->check(bench::positive)->capture_default_str();
  };
  list("--parameters", options.parameters, "sizes: the networks of about 10^3, 10^4, 10^5, 10^6, 10^7 parameters");
  list("--batch", options.batches, "batch sizes");
  list("--threads", options.threads, "numbers of threads (default: 1 and all that this process may use)");
  app.add_option("--repeats", options.repeats, "runs of each side, of which the median counts")
      ->check(bench::positive)
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "of a run on one thread, about: at least one step")
      ->check(bench::positive)
      ->capture_default_str();
  app.add_option("--json", options.json, "write all results to this file")->check(bench::can_be_written);
  bool quick = false;
  app.add_flag("--quick", quick, "a trial of a few seconds: 2 short runs of two sizes; its figures mean nothing");
  CLI11_PARSE(app, argc, argv);
  if (quick) {
    options.parameters = {1'000, 100'000};
    options.batches = {16, 128};
    options.repeats = 2;
    options.seconds = 0.01;
  }
  return run(options) ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "reduction: %s\n", error.what());
  return 2;
}

#else
int main() { std::printf("reduction: built without OpenMP, so that there is nothing to compare\n"); }
#endif
