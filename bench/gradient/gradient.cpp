// SPDX-License-Identifier: MIT
// The gradient of one minibatch: model x batch x threads (Google Benchmark)
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>

#include <parade/parade.hpp>

#include "../support/grid.hpp"

namespace {

/// The bits that `ParallelGradient::sum` must give: those of the oracle. Computed once for each model and batch size.
template <class M, class D>
std::uint64_t expected_hash(const bench::Network& network, const M& model, const D& data, const parade::Vector<float>& theta,
                            std::span<const parade::Index> batch) {
  static std::map<std::pair<std::string, std::size_t>, std::uint64_t> hashes;
  const auto [hash, fresh] = hashes.try_emplace({network.name(), batch.size()});
  if (fresh) {
    parade::Vector<float> grad;
    parade::SerialGradient{model, parade::SoftmaxCrossEntropy{}}.sum(theta, data, batch, grad);
    hash->second = parade::theta_hash(grad);
  }
  return hash->second;
}

}  // namespace

/// What `sum` costs a loop of one's own: it opens a parallel region, gathers the samples, and leaves g (P) in one vector.
int main(int argc, char** argv) {
  return bench::run_grid(
      argc, argv, "gradient",
      [](benchmark::State& state, const auto& network, const auto& model, const auto& data, parade::Index batch_size, int threads) {
        const parade::Batches batches{data.size(), {.batch_size = batch_size, .seed = 1}};
        const parade::Index full_batches = data.size() / batch_size;
        parade::Vector<float> theta(model.parameters().size()), grad;
        model.initialize(theta, 1);
        parade::ParallelGradient engine{model, parade::SoftmaxCrossEntropy{}, {.threads = threads}};

        engine.sum(theta, data, batches[0], grad);
        if (parade::theta_hash(grad) != expected_hash(network, model, data, theta, batches[0])) {
          state.SkipWithError("the gradient is not that of SerialGradient, bit for bit");
          return false;
        }
        parade::Index i = 0;
        for (auto _ : state) {
          engine.sum(theta, data, batches[i], grad);
          i = (i + 1) % full_batches;
        }
        return true;
      });
}
