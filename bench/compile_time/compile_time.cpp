// SPDX-License-Identifier: MIT
// How long does the MNIST example take to compile?
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>

#include "../support/machine.hpp"
#include "../support/options.hpp"
#include "../support/results.hpp"

namespace {

struct Compilation {
  double seconds = 0;    // of the processor: another program beside it counts little
  double megabytes = 0;  // most memory at a time
};

/// Runs the compiler and waits for it.
Compilation compile(const std::string& flags, const std::filesystem::path& source) {
  const std::string command = "exec " PARADE_BENCH_COMPILER " " + flags + " -c -o /dev/null '" + source.string() + "'";
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl("/bin/sh", "sh", "-c", command.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  int status = 0;
  rusage usage{};
  if (child < 0 || ::wait4(child, &status, 0, &usage) != child || status != 0) throw std::runtime_error("this failed: " + command);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec); };
  return {seconds(usage.ru_utime) + seconds(usage.ru_stime), static_cast<double>(usage.ru_maxrss) / 1024};
}

struct Row {
  std::string what, flags;
  std::filesystem::path source;
  std::vector<double> seconds;
  double megabytes = 0;
};

}  // namespace

int main(int argc, char** argv) {
  int repeats = 5;
  bool quick = false;
  std::string json_file;
  CLI::App app{"How long the MNIST example takes to compile, and what of that are the libraries that it includes."};
  app.add_option("--repeats", repeats, "interleaved runs of each")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--json", json_file, "writes the results as JSON")->check(bench::can_be_written);
  app.add_flag("--quick", quick, "one run without optimisation, whose figures mean nothing");
  CLI11_PARSE(app, argc, argv);

  // The libraries alone: what is left is parade's own.
  const auto libraries = std::filesystem::temp_directory_path() / ("parade_compile_time_" + std::to_string(::getpid()) + ".cpp");
  int status = 0;
  try {
    std::ofstream(libraries) << "#include <Eigen/Core>\n#include <CLI/CLI.hpp>\n#include <nlohmann/json.hpp>\n"
                                "int main(int argc, char** argv) { CLI::App app; CLI11_PARSE(app, argc, argv); "
                                "return static_cast<int>(nlohmann::json{{\"a\", argc}}.dump().size()); }\n";
    const std::filesystem::path examples = PARADE_BENCH_SOURCE_DIR "/examples";
    // The command line, and each model in a file of its own.
    std::vector<std::string> files{"02_mnist.cpp", "02_mnist/softmax.cpp", "02_mnist/mlp.cpp", "02_mnist/lenet.cpp"};
    if (quick) files.resize(2);
    const std::string common = "-std=c++20 " PARADE_BENCH_INCLUDES " -DNDEBUG -march=native -fopenmp ";
    std::vector<Row> rows;
    for (const char* level : quick ? std::vector<const char*>{"-O0"} : std::vector<const char*>{"-O3", "-O1", "-O0"}) {
      for (const std::string& file : files) rows.push_back({file, common + level, examples / file, {}, 0});
      rows.push_back({"its libraries alone", common + level, libraries, {}, 0});
    }
    for (int repeat = 0; repeat < (quick ? 1 : repeats); ++repeat)
      for (Row& row : rows) {
        const auto [seconds, megabytes] = compile(row.flags, row.source);
        row.seconds.push_back(seconds);
        row.megabytes = std::max(row.megabytes, megabytes);
      }

    const auto machine = bench::describe_machine();
    bench::print_machine(machine);
    bench::Json json{{"machine", machine}, {"rows", bench::Json::array()}};
    std::printf("\n%-6s%-22s%10s   (low  high)%10s\n", "", "", "seconds", "memory");
    for (const Row& row : rows) {
      const std::string level = row.flags.substr(row.flags.size() - 3);
      const bench::Spread spread{row.seconds};
      std::printf("%-6s%-22s%10.1f  (%4.1f  %4.1f)%7.0f MB\n", level.c_str(), row.what.c_str(), spread.middle, spread.low, spread.high,
                  row.megabytes);
      json["rows"].push_back({{"what", row.what}, {"level", level}, {"seconds", spread}, {"megabytes", row.megabytes}});
    }
    if (!json_file.empty()) bench::write_json(json_file, json);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "compile_time: %s\n", error.what());
    status = 1;
  }
  std::filesystem::remove(libraries);
  return status;
}
