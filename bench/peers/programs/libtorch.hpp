// SPDX-License-Identifier: MIT
#pragma once

#include <dlfcn.h>
#include <sstream>
#include <string>
#include <torch/torch.h>

#include "peer.hpp"

namespace peers {

/// A function of the OpenBLAS that libtorch's products may come from; nullptr if they come from elsewhere.
template <class Function>
Function* openblas(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

inline Json about_torch() {
  Json about{{"version", TORCH_VERSION}, {"data", "8-bit, made float after index_select"}, {"blas", "not OpenBLAS"}};
  if (const auto config = openblas<char*()>("openblas_get_config"))
    about["blas"] = std::string(config()) + threads_of_openblas(openblas<int()>("openblas_get_parallel")());
  for (std::istringstream lines{torch::show_config()}; lines;) {  // "  - CPU capability usage: AVX2"
    std::string line;
    std::getline(lines, line);
    if (const auto at = line.find("CPU capability"); at != std::string::npos) about["kernels"] = line.substr(at);
  }
  return about;
}

/// libtorch's own threads, and those of OpenBLAS, which may be others and of which libtorch does not know.
inline void set_threads(int threads) {
  at::set_num_threads(threads);
  if (const auto set = openblas<void(int)>("openblas_set_num_threads")) set(threads);
}

/// The data as tensors: X (n,d), 8-bit, y (n). A batch is index_select of its samples, made float after that: as fast as from float data
/// for an MLP, twice as fast for softmax regression, where bringing the samples from memory is most of the work.
struct TorchData {
  torch::Tensor x, y;
  float scale = static_cast<float>(1.0 / 255);

  explicit TorchData(const Data& data)
      : x(torch::from_blob(const_cast<std::uint8_t*>(data.values.data()), {data.size(), data.num_features()}, torch::kUInt8).clone()),
        y(torch::from_blob(const_cast<Label*>(data.labels.data()), {data.size()}, torch::kInt32).to(torch::kLong)) {}
};

/// Indices as a tensor (m) over the same memory.
inline torch::Tensor index_of(std::span<const Index> samples) {
  return torch::from_blob(const_cast<Index*>(samples.data()), {static_cast<Index>(samples.size())}, torch::kLong);
}

}  // namespace peers
