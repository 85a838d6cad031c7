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
    torch::nn::Sequential net = run.sizes.empty() ? lenet(theta) : mlp(run.sizes, theta);
    torch::optim::SGD optimizer{net->parameters(), torch::optim::SGDOptions{run.rate}.momentum(run.momentum)};
    const auto parameters = net->parameters();
    return peers::train_by_steps(run, [&](std::span<const peers::Index> samples) {
      const auto index = peers::index_of(samples);
      auto x = data_.x.index_select(0, index).to(torch::kFloat).mul_(data_.scale);
      if (run.sizes.empty()) x = x.view({-1, 1, 28, 28});
      const auto y = data_.y.index_select(0, index);
      for (const auto& p : parameters) p.mutable_grad().reset();  // zero_grad(set_to_none), which C++ does not have yet
      const auto loss = torch::nn::functional::cross_entropy(net->forward(x), y);
      loss.backward();
      optimizer.step();
      return static_cast<double>(loss.item<float>());
    });
  }

 private:
  /// Takes a layer's weight (k,d), column by column, and bias (k) from θ.
  class Theta {
   public:
    explicit Theta(const std::vector<float>& theta) : next_(const_cast<float*>(theta.data())) {}
    template <class Layer>
    Layer into(Layer layer) {
      const torch::NoGradGuard guard;
      const auto k = layer->weight.size(0), d = layer->weight.numel() / k;
      layer->weight.copy_(torch::from_blob(next_, {d, k}).t().reshape(layer->weight.sizes()));
      layer->bias.copy_(torch::from_blob(next_ + d * k, {k}));
      next_ += d * k + k;
      return layer;
    }

   private:
    float* next_;
  };

  static torch::nn::Sequential mlp(const std::vector<peers::Index>& sizes, const std::vector<float>& values) {
    torch::nn::Sequential net;
    Theta theta{values};
    for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
      if (l > 0) net->push_back(torch::nn::ReLU{});
      net->push_back(theta.into(torch::nn::Linear{sizes[l], sizes[l + 1]}));
    }
    return net;
  }

  static torch::nn::Sequential lenet(const std::vector<float>& values) {
    using namespace torch::nn;
    Theta theta{values};
    Sequential net;
    net->push_back(theta.into(Conv2d{Conv2dOptions(1, 6, 5).padding(2)}));
    net->push_back(ReLU{});
    net->push_back(MaxPool2d{2});
    net->push_back(theta.into(Conv2d{Conv2dOptions(6, 16, 5)}));
    net->push_back(ReLU{});
    net->push_back(MaxPool2d{2});
    net->push_back(Flatten{});
    net->push_back(theta.into(Linear{400, 120}));
    net->push_back(ReLU{});
    net->push_back(theta.into(Linear{120, 84}));
    net->push_back(ReLU{});
    net->push_back(theta.into(Linear{84, 10}));
    return net;
  }

  peers::TorchData data_;
};

}  // namespace

int main(int argc, char** argv) { return peers::serve<ModulePeer>(argc, argv); }
