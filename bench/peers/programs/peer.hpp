// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <parade/core/types.hpp>
#include <parade/data/sampler.hpp>

// What the programs that bench/peers/peers.cpp compares have in common. Each is given a folder, says on a line of JSON what it is, and then
// answers every line of JSON that it reads, a Run, with one, its Result. In between it waits for the next line and takes no processor.
namespace peers {

using Json = nlohmann::json;
using parade::Index;
using parade::Label;

template <class T>
std::vector<T> read_all(const std::filesystem::path& file) {
  std::vector<T> values(std::filesystem::file_size(file) / sizeof(T));
  std::ifstream in{file, std::ios::binary};
  in.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T)));
  if (!in) throw std::runtime_error("cannot read " + file.string());
  return values;
}

/// What is the same in all runs: 8-bit samples, whose features are value · float(1/255), and labels.
struct Data {
  std::vector<std::uint8_t> values;  // (d,n), one sample behind the other
  std::vector<Label> labels;         // (n)

  explicit Data(const std::filesystem::path& folder)
      : values(read_all<std::uint8_t>(folder / "values.u8")), labels(read_all<Label>(folder / "labels.i32")) {}

  Index size() const { return static_cast<Index>(labels.size()); }
  Index num_features() const { return static_cast<Index>(values.size() / labels.size()); }
};

/// One training, from the starting weights on.
struct Run {
  std::vector<Index> sizes;  // of the layers, from inputs to outputs; empty: LeNet-5 (see lenet.hpp)
  std::string theta;         // file: for each layer the weight (k,d), column by column, and the bias (k), as float
  Index samples, batch_size, epochs;
  int threads;
  double rate, momentum;
  std::uint64_t seed;  // of the order: parade::EpochOrder{samples, seed}, over the first `samples` of the data
  std::string order;   // file: that order, epoch after epoch, as 64-bit integers, for those who cannot draw it
  bool keep_losses;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Run, sizes, theta, samples, batch_size, epochs, threads, rate, momentum, seed, order, keep_losses)

struct Result {
  double seconds = 0;          // from the order of the first epoch to the last step
  double loss = 0;             // mean over the last epoch, each sample at the θ of its own step
  std::vector<double> losses;  // of every step, where they are to be kept
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Result, seconds, loss, losses)

/// What openblas_get_parallel answers: Debian has two builds, and its alternatives or LD_LIBRARY_PATH choose between them.
inline std::string threads_of_openblas(int kind) {
  if (kind == 0) return ", no threads";
  return kind == 1 ? ", threads of its own" : ", OpenMP";
}

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// The epochs of a run for those that have no loop of their own. The order is drawn by parade's rule, which costs the same for all.
/// step(samples) gathers them, takes a step, and answers the mean loss before it.
template <class Step>
Result train_by_steps(const Run& run, Step&& step) {
  Result result;
  if (run.keep_losses) result.losses.reserve(static_cast<std::size_t>(run.epochs * (run.samples / run.batch_size + 1)));
  const Stopwatch watch;
  parade::EpochOrder order{run.samples, run.seed};
  for (Index epoch = 0; epoch < run.epochs; ++epoch) {
    const auto samples = order.shuffle(epoch);
    double sum = 0;
    for (std::size_t first = 0, b = static_cast<std::size_t>(run.batch_size); first < samples.size(); first += b) {
      const auto batch = samples.subspan(first, std::min(b, samples.size() - first));
      const double loss = step(batch);
      sum += loss * static_cast<double>(batch.size());
      if (run.keep_losses) result.losses.push_back(loss);
    }
    result.loss = sum / static_cast<double>(run.samples);
  }
  result.seconds = watch.seconds();
  return result;
}

/// The program: Peer{data} has about(), which answers names and versions, and train(run), which answers a Result.
template <class Peer>
int serve(int argc, char** argv) try {
  if (argc != 2) throw std::runtime_error("is started by bench_peers_peers, with a folder");
  Peer peer{Data{argv[1]}};
  std::cout << Json(peer.about()) << std::endl;
  for (std::string line; std::getline(std::cin, line);) std::cout << Json(peer.train(Json::parse(line).get<Run>())) << std::endl;
  return 0;
} catch (const std::exception& error) {
  std::cout << Json{{"error", error.what()}} << std::endl;
  return 1;
}

}  // namespace peers
