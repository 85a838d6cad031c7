// SPDX-License-Identifier: MIT
// Is parade faster than its peers? The same training in libtorch, scikit-learn, and loops by hand of Eigen and OpenBLAS products, in turns
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <spawn.h>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <parade/core/threads.hpp>
#include <parade/data/sampler.hpp>

#include "../support/machine.hpp"
#include "../support/options.hpp"
#include "../support/results.hpp"
#include "../support/workload.hpp"
#include "programs/lenet.hpp"
#include "programs/peer.hpp"

namespace {

using parade::Index;
using peers::Result, peers::Run;

/// Two trainings are the same if their losses agree to within this part of them over the first steps. Rounding alone stays below 10⁻⁶; a
/// rate or a momentum that is one hundredth off exceeds them. The later bound is wide, since one unit of a ReLU that rounding moves to the
/// other side of 0 (at b = 512 every tenth run has one) can grow to 10⁻³ and more within 50 steps.
constexpr Index early_steps = 10;
constexpr double early_bound = 1e-4, bound = 2e-2;
constexpr Index compared_steps = 50, warm_up_steps = 8;

struct Options {
  std::string model = "both";
  std::vector<Index> hidden{128, 64};
  std::vector<Index> batches;      // empty: 32, 128, 512 for the MLP, 256 for softmax regression
  std::vector<int> threads;        // empty: 1 and all
  std::vector<std::string> peers;  // empty: all
  Index epochs = 3;
  int repeats = 7;
  Index samples = 0;  // 0: all
  std::string data;
  std::uint64_t seed = 1;
  std::string json;
};

struct Candidate {
  std::string name, what;
  std::string package;  // of Debian
  bool has_lenet = false;
};
const std::vector<Candidate> candidates{
    {"parade", "Trainer::fit without callbacks", "", true},
    {"libtorch_module", "libtorch: nn::Sequential, autograd, optim::SGD", "libtorch-dev libopenblas0-openmp", true},
    {"libtorch_aten", "libtorch: ATen calls by hand, in place", "libtorch-dev libopenblas0-openmp"},
    {"openblas", "loop by hand with the products of OpenBLAS", "libopenblas-dev"},
    {"eigen", "loop by hand with the products of Eigen", ""},
    {"sklearn", "scikit-learn: MLPClassifier with the SGD solver, partial_fit an epoch", "python3-sklearn libopenblas-dev"},
};

/// A folder for the data, removed with all that is in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    auto pattern = (std::filesystem::temp_directory_path() / "parade_peers_XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw std::runtime_error("cannot make the folder " + pattern);
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

template <class T>
void write_all(const std::filesystem::path& file, std::span<const T> values, std::ios::openmode mode = std::ios::trunc) {
  std::ofstream out{file, std::ios::binary | mode};
  out.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size_bytes()));
  out.close();
  if (!out) throw std::runtime_error("cannot write " + file.string());
}

/// A program that answers each line with a line. It ends when this object goes.
class Program {
 public:
  explicit Program(std::vector<std::string> command) {
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) throw std::runtime_error("cannot make a pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
    std::vector<char*> arguments;
    for (auto& word : command) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const int error = posix_spawnp(&pid_, arguments[0], &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    close(to[0]);
    close(from[1]);
    in_ = fdopen(to[1], "w");
    out_ = fdopen(from[0], "r");
    if (error != 0) pid_ = 0;
  }
  ~Program() {
    std::fclose(in_);
    std::fclose(out_);
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// The next line; nothing if the program has ended, or never began.
  std::optional<peers::Json> read() {
    std::string line;
    int c;
    while ((c = std::fgetc(out_)) != EOF && c != '\n') line += static_cast<char>(c);
    if (line.empty()) return std::nullopt;
    return peers::Json::parse(line);
  }
  void write(const peers::Json& json) {
    std::fputs((json.dump() + '\n').c_str(), in_);
    std::fflush(in_);
  }

  /// The processor time that it has taken so far.
  double cpu_seconds() const {
    std::string text = bench::first_line("/proc/" + std::to_string(pid_) + "/stat");
    text.erase(0, text.rfind(')') + 1);  // the name may have spaces in it
    std::istringstream fields{text};
    for (int skipped = 0; skipped < 11; ++skipped) fields >> text;
    double user = 0, system = 0;
    fields >> user >> system;
    return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
  }

 private:
  pid_t pid_ = 0;
  std::FILE* in_ = nullptr;
  std::FILE* out_ = nullptr;
};

struct Peer {
  const Candidate* candidate;
  bench::Json about;
  std::unique_ptr<Program> program;

  Result train(const Run& run) {
    program->write(run);
    const auto answer = program->read();
    if (!answer) throw std::runtime_error(candidate->name + " ended without an answer");
    if (answer->contains("error")) throw std::runtime_error(candidate->name + ": " + answer->at("error").get<std::string>());
    return answer->get<Result>();
  }
};

/// The folder of Debian's build of OpenBLAS on OpenMP; empty if it is not installed.
std::string openblas_on_openmp() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib", ignored))
    if (std::filesystem::exists(entry.path() / "openblas-openmp" / "libblas.so.3", ignored)) return entry.path() / "openblas-openmp";
  return "";
}

/// The commands that may start it, to be tried one after the other; none if it was not built.
std::vector<std::vector<std::string>> commands(const Candidate& candidate, const std::string& folder) {
  if (candidate.name == "sklearn") {
    const auto script = std::filesystem::path(__FILE__).lexically_normal().parent_path() / "programs" / "sklearn_peer.py";
    return {{"python3", script, folder}, {"/usr/bin/python3", script, folder}};  // another Python may hide Debian's
  }
  const auto program = std::filesystem::path(PARADE_PEERS) / candidate.name;
  if (!std::filesystem::exists(program)) return {};
  // libtorch has threads of OpenMP. Those that Debian's default build of OpenBLAS has besides fight with them for the cores: on two cores
  // training by libtorch is up to four times as fast with the build that shares OpenMP's.
  const std::string openmp = candidate.name.starts_with("libtorch") ? openblas_on_openmp() : "";
  if (!openmp.empty()) return {{"env", "LD_LIBRARY_PATH=" + openmp, program, folder}};
  return {{program, folder}};
}

std::optional<Peer> start(const Candidate& candidate, const std::string& folder) {
  for (const auto& command : commands(candidate, folder)) {
    auto program = std::make_unique<Program>(command);
    const auto about = program->read();
    if (about && about->contains("error")) throw std::runtime_error(candidate.name + ": " + about->at("error").get<std::string>());
    if (about && !about->contains("missing")) return Peer{&candidate, *about, std::move(program)};
  }
  return std::nullopt;
}

/// One line of a table: the runs of a peer with a number of threads.
struct Row {
  Peer* peer;
  int threads;
  double early_difference = 0;  // of the losses of the first steps from parade's, the largest, as a part of parade's
  double difference = 0;        // the same over all compared steps
  double loss = 0;              // mean over the last epoch
  std::vector<double> seconds;  // one a repeat
};

double largest_difference(const std::vector<double>& ours, const std::vector<double>& theirs, Index steps) {
  if (ours.size() != theirs.size()) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (std::size_t i = 0; i < std::min(ours.size(), static_cast<std::size_t>(steps)); ++i)
    largest = std::max(largest, std::abs(theirs[i] - ours[i]) / ours[i]);
  return std::isfinite(largest) ? largest : std::numeric_limits<double>::infinity();
}

/// Trains in turns: all peers with all numbers of threads, again and again, every other time backwards, so that a machine that drifts
/// drifts for all.
class Turns {
 public:
  Turns(std::vector<Peer>& peers, const Options& options) : peers_(peers), options_(options) {}

  std::vector<Row> measure(Run run) {
    const Index all = run.samples;
    std::vector<Row> rows;
    for (Peer& peer : peers_)
      if (!run.sizes.empty() || peer.candidate->has_lenet)
        for (const int threads : options_.threads) rows.push_back({.peer = &peer, .threads = threads, .seconds = {}});
    std::vector<double> ours;
    for (Row& row : rows) {
      const Result result = train(row, begin_of(run, std::min(all, compared_steps * run.batch_size), true));
      if (ours.empty()) ours = result.losses;  // of the first: parade
      row.early_difference = largest_difference(ours, result.losses, early_steps);
      row.difference = largest_difference(ours, result.losses, compared_steps);
    }
    for (int repeat = 0; repeat < options_.repeats; ++repeat) {
      for (std::size_t i = 0; i < rows.size(); ++i) {
        Row& row = rows[repeat % 2 == 0 ? i : rows.size() - 1 - i];
        train(row, begin_of(run, std::min(all, warm_up_steps * run.batch_size), false));  // takes the memory and starts the threads
        const Result result = train(row, run);
        row.seconds.push_back(result.seconds);
        row.loss = result.loss;
      }
    }
    return rows;
  }

  /// The largest share of a run's time for which the peers that had to wait kept a processor busy.
  double disturbance() const { return disturbance_; }

 private:
  static Run begin_of(Run run, Index samples, bool keep_losses) {
    run.samples = samples;
    run.epochs = 1;
    run.keep_losses = keep_losses;
    return run;
  }

  Result train(Row& row, Run run) {
    run.threads = row.threads;
    run.order += std::to_string(run.samples);
    // The threads of the one before go to sleep: those of OpenBLAS spin for 2^26 cycles after their last product, those of OpenMP less.
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const double before = waiting_cpu_seconds(*row.peer);
    const Result result = row.peer->train(run);
    if (result.seconds > 0.2)  // the system counts in hundredths
      disturbance_ = std::max(disturbance_, (waiting_cpu_seconds(*row.peer) - before) / result.seconds);
    return result;
  }

  double waiting_cpu_seconds(const Peer& running) const {
    double seconds = 0;
    for (const Peer& peer : peers_)
      if (&peer != &running) seconds += peer.program->cpu_seconds();
    return seconds;
  }

  std::vector<Peer>& peers_;
  const Options& options_;
  double disturbance_ = 0;
};

/// parade's seconds in the place of the row's, each repeat with its own: above 1 parade is faster.
bench::Spread ratios(const Row& parade, const Row& row) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < row.seconds.size(); ++i) ratios.push_back(row.seconds[i] / parade.seconds[i]);
  return bench::Spread{ratios};
}

bool same_work(const Row& row) { return row.early_difference <= early_bound && row.difference <= bound; }
bool same_work(const std::vector<Row>& rows) {
  return std::all_of(rows.begin(), rows.end(), [](const Row& row) { return same_work(row); });
}

bench::Json report(const std::vector<Row>& rows, const Run& run) {
  const std::string name = run.sizes.empty() ? "LeNet-5" : bench::Network{run.sizes}.name();
  std::printf("\n## %s, batch %td\n\n", name.c_str(), run.batch_size);
  std::printf(
      "| | threads | samples/s | low … high | parade / it | low … high | losses differ by, 10 steps | 50 steps | last epoch's loss |\n");
  std::printf("|:--|--:|--:|--:|--:|--:|--:|--:|--:|\n");
  bench::Json result{{"model", name},        {"batch", run.batch_size},           {"samples", run.samples},
                     {"epochs", run.epochs}, {"repeats", rows[0].seconds.size()}, {"same_work", same_work(rows)}};
  for (const Row& row : rows) {
    std::vector<double> rates;
    for (const double seconds : row.seconds) rates.push_back(static_cast<double>(run.samples * run.epochs) / seconds);
    const bench::Spread rate{rates};
    const auto& parade = *std::find_if(rows.begin(), rows.end(), [&](const Row& first) { return first.threads == row.threads; });
    const auto ratio = ratios(parade, row);
    std::printf("| %s | %d | %.0f | %.0f … %.0f | ", row.peer->candidate->name.c_str(), row.threads, rate.middle, rate.low, rate.high);
    &row == &parade ? std::printf("| | ") : std::printf("**%.2f** | %.2f … %.2f | ", ratio.middle, ratio.low, ratio.high);
    std::printf("%.0e | %.0e%s | %.6f |\n", row.early_difference, row.difference, same_work(row) ? "" : " **NOT THE SAME**", row.loss);
    result["rows"].push_back({{"peer", row.peer->candidate->name},
                              {"threads", row.threads},
                              {"samples_per_second", rate},
                              {"parade_over_peer", ratio},
                              {"losses_differ_by_10_steps", row.early_difference},
                              {"losses_differ_by_50_steps", row.difference},
                              {"last_epoch_loss", row.loss},
                              {"seconds", row.seconds}});
  }
  std::fflush(stdout);
  return result;
}

struct Case {
  bench::Network network;  // without sizes: LeNet-5
  Index batch_size;
};

std::vector<Case> cases(const Options& options, Index features) {
  std::vector<Case> cases;
  const auto add = [&](const std::vector<Index>& hidden, const std::vector<Index>& batches) {
    bench::Network network{{features}};
    network.sizes.insert(network.sizes.end(), hidden.begin(), hidden.end());
    network.sizes.push_back(10);
    for (const Index b : options.batches.empty() ? batches : options.batches) cases.push_back({network, b});
  };
  const bool all = options.model == "all";
  if (all || options.model == "both" || options.model == "mlp") add(options.hidden, {32, 128, 512});
  if (all || options.model == "both" || options.model == "softmax") add({}, {256});
  if (all || options.model == "lenet") {
    if (features != 28 * 28) throw std::runtime_error("LeNet-5 takes images of 28 × 28");
    for (const Index b : options.batches.empty() ? std::vector<Index>{64} : options.batches) cases.push_back({{}, b});
  }
  return cases;
}

/// The files that the run names.
void write_files(const Run& run, const bench::Network& network, std::uint64_t seed) {
  const auto write_start = [&](const auto& model) {
    parade::Vector<float> theta(model.parameters().size());
    model.initialize(parade::VectorRef<float>(theta), seed);
    write_all(run.theta, std::span<const float>(theta.data(), static_cast<std::size_t>(theta.size())));
  };
  network.sizes.empty() ? write_start(bench::lenet()) : network.with_model(write_start);
  const Index some = run.batch_size;
  for (const Index samples :
       std::set<Index>{run.samples, std::min(run.samples, compared_steps * some), std::min(run.samples, warm_up_steps * some)}) {
    const auto file = run.order + std::to_string(samples);
    write_all(file, std::span<const Index>());
    parade::EpochOrder order{samples, run.seed};
    for (Index epoch = 0; epoch < run.epochs; ++epoch) write_all(file, order.shuffle(epoch), std::ios::app);
  }
}

void print_fact(const std::string& name, const bench::Json& fact) {
  std::string text = fact.is_string() ? fact.get<std::string>() : fact.dump();
  std::replace(text.begin(), text.end(), '|', '/');
  std::printf("| %s | %s |\n", name.c_str(), text.c_str());
}

bool run(const Options& options) {
  const auto data = bench::training_data(options.data, options.samples);
  const auto& samples = data.samples;
  const TemporaryFolder folder;
  write_all(folder.path() / "values.u8", std::span(samples.values().data(), static_cast<std::size_t>(samples.values().size())));
  write_all(folder.path() / "labels.i32", std::span(samples.labels().data(), static_cast<std::size_t>(samples.size())));

  bench::Json json{{"benchmark", "peers"}, {"machine", bench::describe_machine()}};
  json["machine"]["environment"] = bench::clear_environment();
  json["data"] = data.name;
  std::printf("# parade and its peers\n\n| | |\n|:--|:--|\n");
  for (const auto& [name, fact] : json["machine"].items()) print_fact(name, fact);
  print_fact("data",
             data.name + ", " + std::to_string(samples.size()) + " samples of " + std::to_string(samples.num_features()) + " features");
  std::fflush(stdout);

  const bench::MachineWatch watch;
  std::vector<Peer> peers;
  std::vector<std::string> missing;
  for (const auto& candidate : candidates) {
    const auto wanted = std::find(options.peers.begin(), options.peers.end(), candidate.name) != options.peers.end();
    if (candidate.name != "parade" && !options.peers.empty() && !wanted) continue;
    if (auto peer = start(candidate, folder.path())) {
      bench::Json about{{"what", candidate.what}};
      about.update(peer->about);
      json["peers"][candidate.name] = about;
      std::string facts = candidate.what;
      for (const auto& [name, fact] : peer->about.items()) facts += "; " + name + ' ' + fact.get<std::string>();
      print_fact(candidate.name, facts);
      if (facts.find("libtorch") != std::string::npos && facts.find("OpenBLAS") != std::string::npos &&
          facts.find("threads of its own") != std::string::npos)
        print_fact("**SLOWED DOWN**", candidate.name +
                                          " on several threads: OpenBLAS' own threads get in the way of libtorch's; apt-get install "
                                          "--no-install-recommends libopenblas0-openmp");
      peers.push_back(std::move(*peer));
    } else {
      missing.push_back(candidate.name + " (" + candidate.what + "): apt-get install --no-install-recommends " + candidate.package);
      json["missing"].push_back(candidate.name);
    }
  }
  for (const auto& text : missing) {
    std::printf("| **NOT COMPARED** | %s |\n", text.c_str());
    std::fprintf(stderr, "peers: NOT COMPARED, since it is not installed: %s\n", text.c_str());
  }

  bool same = true;
  {
    Turns turns{peers, options};
    std::printf(
        "\nfloat, ReLU, softmax cross-entropy, SGD with momentum; %td epochs a run, shuffling and gathering included; medians of %d "
        "interleaved "
        "runs.\n\"losses differ by\": the largest difference from parade's on %d thread%s, as a part of it, over the first %td steps and "
        "the first %td (or as many as there are).\n",
        options.epochs, options.repeats, options.threads[0], options.threads[0] == 1 ? "" : "s", early_steps, compared_steps);
    for (const auto& [network, batch_size] : cases(options, samples.num_features())) {
      const Run run{.sizes = network.sizes,
                    .theta = folder.path() / "theta.f32",
                    .samples = samples.size(),
                    .batch_size = std::min(batch_size, samples.size()),
                    .epochs = options.epochs,
                    .threads = 0,
                    .rate = network.sizes.empty() ? 0.01 : 0.05,  // at 0.05 rounding alone leads LeNet elsewhere within 50 steps
                    .momentum = 0.9,
                    .seed = options.seed,
                    .order = folder.path() / "order",
                    .keep_losses = false};
      write_files(run, network, options.seed);
      const auto rows = turns.measure(run);
      json["results"].push_back(report(rows, run));
      same &= same_work(rows);
    }
    json["disturbance"] = turns.disturbance();
    std::printf("\nThose that had to wait took at most %.1f %% of one processor while another ran.\n", 100 * turns.disturbance());
  }
  peers.clear();  // their processor time counts as ours once they have ended
  json["machine_meanwhile"] = watch.report();
  bench::print_watch(json["machine_meanwhile"]);
  if (!same)
    std::printf("\n**Not all did the same work**: losses may differ by %.0e over %td steps and by %.0e over %td.\n", early_bound,
                early_steps, bound, compared_steps);
  if (!options.json.empty()) bench::write_json(options.json, json);
  return same;
}

}  // namespace

int main(int argc, char** argv) try {
  Options options;
  CLI::App app{
      "Trains the same networks with parade and with its peers, in turns, and writes tables in Markdown. Peers that are not installed are "
      "left\n"
      "out. Ends with an error unless all did the same work."};
  std::vector<std::string> names;
  for (const auto& candidate : candidates) names.push_back(candidate.name);
  app.add_option("--model", options.model, "softmax, mlp, both, lenet (parade and libtorch_module only) or all")
      ->check(CLI::IsMember({"softmax", "mlp", "both", "lenet", "all"}))
      ->capture_default_str();
  app.add_option("--hidden", options.hidden, "sizes of the mlp's hidden layers")
      ->delimiter(',')
      ->check(bench::positive)
      ->capture_default_str();
  app.add_option("--batch", options.batches, "batch sizes, a table for each (default: 32,128,512 for mlp, 256 for softmax)")
      ->delimiter(',')
      ->check(bench::positive);
  app.add_option("--threads", options.threads, "numbers of threads (default: 1, and all that this process may use)")
      ->delimiter(',')
      ->check(bench::positive);
  app.add_option("--peers", options.peers, "compare with these only: " + bench::join(names))->delimiter(',')->check(CLI::IsMember(names));
  app.add_option("--epochs", options.epochs, "epochs a run")->check(bench::positive)->capture_default_str();
  app.add_option("--repeats", options.repeats, "runs of each, of which the median counts")->check(bench::positive)->capture_default_str();
  bench::add_common(app, options);
  bool quick = false;
  app.add_flag("--quick", quick, "a trial of some seconds: 2 runs of 1 epoch on 2000 samples; its figures mean nothing");
  CLI11_PARSE(app, argc, argv);
  if (quick) {
    options.samples = 2000;
    options.repeats = 2;
    options.epochs = 1;
  }
  if (options.threads.empty()) {
    options.threads = {1};
    if (parade::available_threads() > 1) options.threads.push_back(parade::available_threads());
  }
  std::signal(SIGPIPE, SIG_IGN);  // a peer that ended is told by what it does not answer
  return run(options) ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "peers: %s\n", error.what());
  return 2;
}
