// SPDX-License-Identifier: MIT
// libtorch as its documentation shows it: a nn::Module, autograd, optim::SGD.
#include "libtorch.hpp"

namespace {

class ModulePeer {
 public:
  explicit ModulePeer(const peers::Data& data) : data_(data) {}

  peers::Json about() const { return peers::about_torch(); }

  peers::Result train(const peers::Run& run) {
    peers::set_threads(run.threads);
    const auto theta = peers::read_all<float>(run.theta);
    float* next = const_cast<float*>(theta.data());
    torch::nn::Sequential net;
    const auto layers = run.sizes.size() - 1;
    for (std::size_t l = 0; l < layers; ++l) {
      const auto d = run.sizes[l], k = run.sizes[l + 1];
      torch::nn::Linear linear{d, k};
      torch::NoGradGuard guard;
      linear->weight.copy_(torch::from_blob(next, {d, k}).t());
      linear->bias.copy_(torch::from_blob(next + d * k, {k}));
      next += d * k + k;
      net->push_back(linear);
      if (l + 1 < layers) net->push_back(torch::nn::ReLU{});
    }
    torch::optim::SGD optimizer{net->parameters(), torch::optim::SGDOptions{run.rate}.momentum(run.momentum)};
    const auto parameters = net->parameters();
    return peers::train_by_steps(run, [&](std::span<const peers::Index> samples) {
      const auto index = peers::index_of(samples);
      const auto x = data_.x.index_select(0, index).to(torch::kFloat).mul_(data_.scale);
      const auto y = data_.y.index_select(0, index);
      for (const auto& p : parameters) p.mutable_grad().reset();  // zero_grad(set_to_none), which C++ does not have yet
      const auto loss = torch::nn::functional::cross_entropy(net->forward(x), y);
      loss.backward();
      optimizer.step();
      return static_cast<double>(loss.item<float>());
    });
  }

 private:
  peers::TorchData data_;
};

}  // namespace

int main(int argc, char** argv) { return peers::serve<ModulePeer>(argc, argv); }
