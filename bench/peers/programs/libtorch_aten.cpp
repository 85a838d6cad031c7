// SPDX-License-Identifier: MIT
// libtorch's tensors without its autograd: ATen calls by hand, into memory that is taken once.
#include <map>

#include "libtorch.hpp"

namespace {

using torch::Tensor;

struct Layer {
  Tensor weight, bias, weight_momentum, bias_momentum;  // (d,k), (k): views of θ and v
};

/// What a batch of m samples needs.
struct Buffers {
  Tensor values, x, y, ones;            // (m,d) as 8-bit and float, (m), (m)
  std::vector<Tensor> outputs, deltas;  // (m,k) of each layer
};

class AtenPeer {
 public:
  explicit AtenPeer(const peers::Data& data) : data_(data) {}

  peers::Json about() const { return peers::about_torch(); }

  peers::Result train(const peers::Run& run) {
    const c10::InferenceMode no_autograd;
    peers::set_threads(run.threads);
    start(run);
    std::map<peers::Index, Buffers> buffers;
    return peers::train_by_steps(run, [&](std::span<const peers::Index> samples) {
      const auto m = static_cast<peers::Index>(samples.size());
      auto at = buffers.find(m);
      if (at == buffers.end()) at = buffers.emplace(m, buffers_for(run, m)).first;
      return step(run, at->second, samples);
    });
  }

 private:
  void start(const peers::Run& run) {
    auto theta = peers::read_all<float>(run.theta);
    theta_ = torch::from_blob(theta.data(), {static_cast<peers::Index>(theta.size())}).clone();
    v_ = torch::zeros_like(theta_);
    layers_.clear();
    peers::Index next = 0;
    for (std::size_t l = 0; l + 1 < run.sizes.size(); ++l) {
      const auto d = run.sizes[l], k = run.sizes[l + 1];
      const auto take = [&](const Tensor& flat) {
        return std::pair{flat.narrow(0, next, d * k).view({d, k}), flat.narrow(0, next + d * k, k)};
      };
      const auto [weight, bias] = take(theta_);
      const auto [weight_momentum, bias_momentum] = take(v_);
      layers_.push_back({weight, bias, weight_momentum, bias_momentum});
      next += d * k + k;
    }
  }

  Buffers buffers_for(const peers::Run& run, peers::Index m) const {
    Buffers buffers{torch::empty({m, run.sizes[0]}, torch::kUInt8),
                    torch::empty({m, run.sizes[0]}),
                    torch::empty({m}, torch::kLong),
                    torch::ones({m}),
                    {},
                    {}};
    for (std::size_t l = 1; l < run.sizes.size(); ++l) {
      buffers.outputs.push_back(torch::empty({m, run.sizes[l]}));
      buffers.deltas.push_back(torch::empty({m, run.sizes[l]}));
    }
    return buffers;
  }

  double step(const peers::Run& run, Buffers& b, std::span<const peers::Index> samples) {
    const auto index = peers::index_of(samples);
    at::index_select_out(b.values, data_.x, 0, index);
    b.x.copy_(b.values).mul_(data_.scale);
    at::index_select_out(b.y, data_.y, 0, index);
    const auto last = layers_.size() - 1;
    for (std::size_t l = 0; l <= last; ++l) {
      at::addmm_out(b.outputs[l], layers_[l].bias, l == 0 ? b.x : b.outputs[l - 1], layers_[l].weight);  // (m,k) = (m,d)(d,k)
      if (l < last) b.outputs[l].relu_();
    }

    at::_log_softmax_out(b.outputs[last], b.outputs[last], 1, false);
    at::exp_out(b.deltas[last], b.outputs[last]);
    const auto m = static_cast<peers::Index>(samples.size()), k = run.sizes.back();
    const float* log_softmax = b.outputs[last].data_ptr<float>();
    float* delta = b.deltas[last].data_ptr<float>();
    const auto* y = b.y.data_ptr<std::int64_t>();
    double loss = 0;
    for (peers::Index j = 0; j < m; ++j) {
      loss -= static_cast<double>(log_softmax[j * k + y[j]]);
      delta[j * k + y[j]] -= 1;
    }

    const double mean = 1 / static_cast<double>(m);
    for (std::size_t l = last + 1; l-- > 0;) {
      const auto& input = l == 0 ? b.x : b.outputs[l - 1];
      if (l > 0) {
        at::mm_out(b.deltas[l - 1], b.deltas[l], layers_[l].weight.t());  // (m,d) = (m,k)(k,d)
        at::threshold_backward_out(b.deltas[l - 1], b.deltas[l - 1], input, 0);
      }
      layers_[l].weight_momentum.addmm_(input.t(), b.deltas[l], run.momentum, mean);  // (d,k) = μ (d,k) + (1/m) (d,m)(m,k)
      layers_[l].bias_momentum.addmv_(b.deltas[l].t(), b.ones, run.momentum, mean);
    }
    theta_.add_(v_, -run.rate);
    return loss * mean;
  }

  peers::TorchData data_;
  Tensor theta_, v_;
  std::vector<Layer> layers_;
};

}  // namespace

int main(int argc, char** argv) { return peers::serve<AtenPeer>(argc, argv); }
