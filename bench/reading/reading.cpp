// SPDX-License-Identifier: MIT
// How fast is LIBSVM text read, on one thread and on all, beside scikit-learn's load_svmlight_file?
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <exception>
#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>

#include <parade/core/hash.hpp>
#include <parade/core/random.hpp>
#include <parade/core/threads.hpp>
#include <parade/io/libsvm.hpp>

#include "../support/machine.hpp"
#include "../support/options.hpp"
#include "../support/results.hpp"

namespace {

using parade::Index;
using Clock = std::chrono::steady_clock;

/// What stands behind the colons.
enum class Values { ones, counts, reals };

/// Rows of about 100 entries among 50000 features.
void write_text(const std::filesystem::path& file, Values kind, double megabytes) {
  const parade::Random random{1, parade::Purpose::user};
  std::uint64_t next = 0;
  std::ofstream out{file, std::ios::binary};
  std::string text;
  for (double written = 0; written < 1e6 * megabytes;) {
    text = random.bits(next++) & 1 ? "+1" : "-1";
    for (std::uint64_t index = 1; index <= 50000; index += 1 + random.bits(next++) % 1000) {
      text += ' ' + std::to_string(index) + ':';
      const std::uint64_t bits = random.bits(next++);
      if (kind == Values::ones) text += '1';
      if (kind == Values::counts) text += std::to_string(1 + bits % 4 * (bits >> 8) % 20);
      if (kind == Values::reals) parade::detail::append_number(text, static_cast<float>(1e-6 * static_cast<double>(bits % 1000000)));
    }
    out << text << '\n';
    written += static_cast<double>(text.size() + 1);
  }
  if (!out.flush()) throw std::runtime_error("cannot write " + file.string());
}

std::uint64_t hash_of(const parade::SparseRows<float>& rows) {
  const auto hash = [](const auto& values) {
    return parade::hash_bytes(std::as_bytes(std::span{values.data(), static_cast<std::size_t>(values.size())}));
  };
  return hash(rows.offsets()) ^ (3 * hash(rows.indices())) ^ (5 * hash(rows.values())) ^ (7 * hash(rows.labels()));
}

/// Of the whole process: on a busy machine it says more than the clock on the wall.
double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

struct Peer {
  bool there = false;
  std::string version;
  std::vector<double> seconds;
  Index rows = 0, nonzeros = 0;
};

/// scikit-learn in a process of its own, which times itself; not there if that fails.
Peer run_peer(const std::string& python, const std::filesystem::path& file, int repeats) {
  const std::string program =
      "import time, sklearn, numpy\n"
      "from sklearn.datasets import load_svmlight_file\n"
      "print(sklearn.__version__)\n"
      "for i in range(" +
      std::to_string(repeats) +
      "):\n"
      "  t = time.perf_counter(); x, y = load_svmlight_file('" +
      file.string() +
      "', dtype=numpy.float32); print(time.perf_counter() - t)\n"
      "print(x.shape[0]); print(x.nnz)\n";
  std::FILE* const pipe = ::popen((python + " -c \"" + program + "\" 2>/dev/null").c_str(), "r");
  if (!pipe) return {};
  std::vector<std::string> lines(1);
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) {
    if (c == '\n')
      lines.emplace_back();
    else
      lines.back() += static_cast<char>(c);
  }
  Peer peer;
  peer.there = ::pclose(pipe) == 0 && lines.size() == static_cast<std::size_t>(repeats) + 4;
  if (!peer.there) return {};
  peer.version = lines[0];
  for (int i = 0; i < repeats; ++i) peer.seconds.push_back(std::stod(lines[static_cast<std::size_t>(i) + 1]));
  peer.rows = std::stol(lines[lines.size() - 3]);
  peer.nonzeros = std::stol(lines[lines.size() - 2]);
  return peer;
}

}  // namespace

int main(int argc, char** argv) {
  double megabytes = 100;
  int repeats = 5;
  std::vector<int> threads;
  std::string own_file, python = "python3", json_file;
  CLI::App app{
      "How fast LIBSVM text is read: read_libsvm on one thread and on all, and scikit-learn's load_svmlight_file where it is installed."};
  app.add_option("--megabytes", megabytes, "size of each file that is made")->capture_default_str()->check(bench::positive);
  app.add_option("--repeats", repeats, "readings of each")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--threads", threads, "numbers of threads (default: 1 and all)")->delimiter(',')->check(CLI::PositiveNumber);
  app.add_option("--file", own_file, "read this file instead")->check(CLI::ExistingFile);
  app.add_option("--python", python, "the Python that has scikit-learn")->capture_default_str();
  app.add_option("--json", json_file, "write all results to this file")->check(bench::can_be_written);
  bool quick = false;
  app.add_flag("--quick", quick, "a trial of some seconds, 1 MB and one reading of each; its figures mean nothing");
  CLI11_PARSE(app, argc, argv);
  if (quick) {
    megabytes = 1;
    repeats = 1;
  }
  if (threads.empty()) threads = {1, parade::available_threads()};
  if (threads.size() == 2 && threads[0] == threads[1]) threads.pop_back();

  const auto made = std::filesystem::temp_directory_path() / ("parade_reading_" + std::to_string(::getpid()));
  int status = 0;
  try {
    const auto machine = bench::describe_machine();
    bench::print_machine(machine);
    bench::Json json{{"machine", machine}, {"rows", bench::Json::array()}};
    std::printf("\n%-8s%-14s%9s%10s   (low  high)%14s%16s\n", "values", "reader", "threads", "MB/s", "MB/s of CPU", "x scikit-learn");
    for (const Values kind : {Values::ones, Values::counts, Values::reals}) {
      const char* name = !own_file.empty() ? "own" : kind == Values::ones ? "ones" : kind == Values::counts ? "counts" : "reals";
      if (own_file.empty()) write_text(made, kind, megabytes);
      const std::filesystem::path file = own_file.empty() ? made : std::filesystem::path{own_file};
      const double size = 1e-6 * static_cast<double>(std::filesystem::file_size(file));

      const Peer peer = run_peer(python, file, std::min(repeats, 3));
      double peer_rate = 0;
      const auto print = [&](const std::string& reader, const std::string& count, const std::vector<double>& rates, double of_cpu) {
        const bench::Spread spread{rates};
        std::printf("%-8s%-14s%9s%10.0f  (%4.0f  %4.0f)", name, reader.c_str(), count.c_str(), spread.middle, spread.low, spread.high);
        if (of_cpu > 0) std::printf("%14.0f", of_cpu);
        if (of_cpu > 0 && peer_rate > 0) std::printf("%16.1f", spread.middle / peer_rate);
        std::printf("\n");
        std::fflush(stdout);
        json["rows"].push_back(
            {{"values", name}, {"reader", reader}, {"threads", count}, {"megabytes_per_second", spread}, {"of_cpu", of_cpu}});
      };
      if (peer.there) {
        std::vector<double> rates;
        for (const double seconds : peer.seconds) rates.push_back(size / seconds);
        peer_rate = bench::median(rates);
        print("scikit-learn " + peer.version, "1", rates, 0);
      } else {
        std::printf("%-8sscikit-learn is not installed in %s\n", name, python.c_str());
      }

      std::uint64_t expected = 0;
      for (const int count : threads) {
        std::vector<double> rates, cpu_rates;
        for (int repeat = 0; repeat < repeats; ++repeat) {
          parade::LibsvmOptions options;
          options.threads = count;
          const auto start = Clock::now();
          const double cpu_start = cpu_seconds();
          const auto [rows, report] = parade::read_libsvm<float>(file, options);
          cpu_rates.push_back(size / (cpu_seconds() - cpu_start));
          rates.push_back(size / std::chrono::duration<double>(Clock::now() - start).count());
          const std::uint64_t hash = hash_of(rows);
          if (expected == 0) expected = hash;
          if (hash != expected) throw std::runtime_error("the rows are not those of the first reading, bit for bit");
          if (peer.there && (peer.rows != rows.size() || peer.nonzeros != rows.nonzeros()))
            throw std::runtime_error("scikit-learn finds another number of rows or entries");
        }
        print("parade", std::to_string(count), rates, bench::median(cpu_rates));
      }
      if (!own_file.empty()) break;
    }
    if (!json_file.empty()) bench::write_json(json_file, json);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "reading: %s\n", error.what());
    status = 1;
  }
  std::error_code ignored;
  std::filesystem::remove(made, ignored);
  return status;
}
