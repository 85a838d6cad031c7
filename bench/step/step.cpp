// SPDX-License-Identifier: MIT
// One whole step of training: model x batch x threads (Google Benchmark)
#include <cstdint>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include <parade/parade.hpp>

#include "../support/grid.hpp"

namespace {

using parade::Index;

/// The loop inside `Trainer::fit`, by its public parts.
template <class M, class D>
class Training {
 public:
  Training(const M& model, const D& data, Index batch_size, int threads)
      : data_(data),
        batches_(data.size(), {.batch_size = batch_size, .seed = 1}),
        full_batches_(data.size() / batch_size),
        engine_(model, {}, {.threads = threads}),
        update_(model.parameters(), {.lambda = 1e-4}, {}, {.rate = 0.01, .momentum = 0.9}, engine_.team()),
        now_(model.parameters().size(), update_.optimizer().num_states()),
        next_(now_) {
    model.initialize(now_.theta, 1);
    engine_.reserve(data, batch_size);
    update_.reserve();
  }

  parade::Team& team() { return engine_.team(); }
  const parade::Vector<float>& theta() const { return now_.theta; }

  /// Gather, gradient, reduce, update. To be called inside `team().run`.
  void step() {
    const auto sum = engine_.accumulate_updated(now_.theta, data_, batches_[steps_ % full_batches_]);
    if (!update_(engine_, sum.weight, now_, next_, {update_.optimizer().rate, ++steps_})) throw std::runtime_error("the training diverged");
    std::swap(now_, next_);
  }

 private:
  const D& data_;
  parade::Batches batches_;
  Index full_batches_;
  parade::ParallelGradient<M, parade::SoftmaxCrossEntropy> engine_;
  parade::ParallelUpdate<float, parade::L2, parade::NoConstraint, parade::Sgd> update_;
  parade::TrainingState<float> now_, next_;
  Index steps_ = 0;
};

/// θ after the first few steps.
template <class M, class D>
std::uint64_t first_steps(Training<M, D>& training) {
  training.team().run([&] {
    for (int i = 0; i < 5; ++i) training.step();
  });
  return parade::theta_hash(training.theta());
}

/// The same on one thread. Computed once for each model and batch size.
template <class M, class D>
std::uint64_t expected_hash(const bench::Network& network, const M& model, const D& data, Index batch_size) {
  static std::map<std::pair<std::string, Index>, std::uint64_t> hashes;
  const auto [hash, fresh] = hashes.try_emplace({network.name(), batch_size});
  if (fresh) {
    Training training{model, data, batch_size, 1};
    hash->second = first_steps(training);
  }
  return hash->second;
}

}  // namespace

/// What a step costs inside `Trainer::fit`: the parallel region stays open, and nothing is allocated.
int main(int argc, char** argv) {
  return bench::run_grid(
      argc, argv, "step",
      [](benchmark::State& state, const auto& network, const auto& model, const auto& data, Index batch_size, int threads) {
        Training training{model, data, batch_size, threads};
        if (first_steps(training) != expected_hash(network, model, data, batch_size)) {
          state.SkipWithError("theta is not that of one thread, bit for bit");
          return false;
        }
        training.team().run([&] {
          for (auto _ : state) training.step();
        });
        return true;
      });
}
