// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <parade/data/mnist.hpp>
#include <parade/data/synthetic_digits.hpp>
#include <parade/models/linear.hpp>
#include <parade/models/mlp.hpp>

// What the benchmarks train, and on what.
namespace bench {

using parade::Index;

/// The sizes of the layers, from inputs to outputs. Without hidden layers it is softmax regression, else an MLP with ReLU.
struct Network {
  std::vector<Index> sizes;

  std::string name() const {
    std::string name = sizes.size() == 2 ? "softmax " : "mlp ";
    for (std::size_t l = 0; l < sizes.size(); ++l) (name += l == 0 ? "" : "-") += std::to_string(sizes[l]);
    return name;
  }

  /// Of the products alone, a multiply-add counted as two: forward and the weights' gradient in every layer, the inputs' gradient in all but
  /// the first.
  double flops_per_sample() const {
    double flops = 0;
    for (std::size_t l = 0; l + 1 < sizes.size(); ++l) flops += (l == 0 ? 4.0 : 6.0) * static_cast<double>(sizes[l] * sizes[l + 1]);
    return flops;
  }

  /// call(model), with the model in float.
  template <class Call>
  auto with_model(Call&& call) const {
    return sizes.size() == 2 ? call(parade::Linear<float>{sizes[0], sizes[1]}) : call(parade::Mlp<float>{sizes});
  }
};

using Data = parade::DenseData<std::uint8_t>;

/// A copy of the first n samples.
inline Data first_samples(const Data& data, Index n) { return Data{data.values().leftCols(n)}.with_labels(data.labels().head(n)); }

struct TrainingData {
  Data samples;
  std::string name;
};

/// The first `limit` samples of the training part (all for 0) of the set in `folder`, in files as those of MNIST; if that is empty, of MNIST in
/// the folder that the environment variable PARADE_DATA names; and where there is none, as many synthetic digits as MNIST has.
inline TrainingData training_data(std::string folder, Index limit) {
  constexpr Index mnist_size = 60000;
  if (const char* data = std::getenv("PARADE_DATA"); folder.empty() && data && *data) {
    const auto mnist = std::filesystem::path(data) / "mnist";
    if (std::filesystem::is_directory(mnist)) folder = mnist.string();
  }
  if (folder.empty()) return {parade::synthetic_digits(limit > 0 ? limit : mnist_size, 1), "synthetic digits"};
  const auto samples = parade::mnist(folder).train;
  return {limit > 0 && limit < samples.size() ? first_samples(samples, limit) : samples, folder};
}

}  // namespace bench
