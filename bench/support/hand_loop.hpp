// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>

namespace bench {

/// The three products of a dense layer, by Eigen.
struct EigenProducts {
  template <class S>
  static void forward(const parade::Matrix<S>& weight, const parade::ConstMatrixRef<S>& x, parade::MatrixRef<S> z) {
    z.noalias() = weight * x;  // (k,m) = (k,d)(d,m)
  }
  template <class S>
  static void input_gradient(const parade::Matrix<S>& weight, const parade::ConstMatrixRef<S>& delta, parade::MatrixRef<S> below) {
    below.noalias() = weight.transpose() * delta;  // (d,m) = (d,k)(k,m)
  }
  template <class S>
  static void add_gradient(const parade::ConstMatrixRef<S>& delta, const parade::ConstMatrixRef<S>& x, parade::Matrix<S>& sum) {
    sum.noalias() += delta * x.transpose();  // (k,d) += (k,m)(m,d)
  }
};

/// An opponent for parade: network, gradient and step as well as one writes them by hand, with the products of Eigen or of another library.
/// All memory is taken once; no product makes a temporary; what is elementwise is one pass. It has what a loop by hand may have and a
/// library may not: the whole minibatch in one product, and no gradient at all, since the products of the weights' gradients are added
/// straight to the momentum, which the step before has already multiplied by μ:
///
///   v ← v + (1/b) ∂J/∂Z Xᵀ,   θ ← θ − α v,   v ← μ v
template <class S, class Products = EigenProducts>
class HandLoop {
 public:
  HandLoop(const std::vector<parade::Index>& sizes, parade::Index batch_size, double rate, double momentum)
      : layers_(sizes.size() - 1), rate_(static_cast<S>(rate)), momentum_(static_cast<S>(momentum)) {
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      layers_[l].weight.resize(sizes[l + 1], sizes[l]);
      layers_[l].bias.resize(sizes[l + 1]);
      layers_[l].output.resize(sizes[l + 1], batch_size);
      layers_[l].delta.resize(sizes[l + 1], batch_size);
    }
  }

  /// Weights and biases from θ: for each layer the weight (k,d), column by column, and the bias (k). Momentum at 0.
  void start(const parade::Vector<S>& theta) {
    const S* next = theta.data();
    const auto take = [&next](auto& block) {
      std::copy(next, next + block.size(), block.data());
      next += block.size();
    };
    for (Layer& layer : layers_) {
      take(layer.weight);
      take(layer.bias);
      layer.weight_momentum = parade::Matrix<S>::Zero(layer.weight.rows(), layer.weight.cols());
      layer.bias_momentum = parade::Vector<S>::Zero(layer.bias.size());
    }
  }

  /// One step; the mean loss before it.
  double step(const parade::ConstMatrixRef<S>& x, std::span<const parade::Label> labels) {
    const parade::Index m = x.cols();
    const auto input = [&](std::size_t l) { return l == 0 ? x : parade::ConstMatrixRef<S>{layers_[l - 1].output.leftCols(m)}; };

    for (std::size_t l = 0; l < layers_.size(); ++l) {
      auto z = layers_[l].output.leftCols(m);
      Products::template forward<S>(layers_[l].weight, input(l), z);
      if (l + 1 < layers_.size())
        z = (z.colwise() + layers_[l].bias).cwiseMax(S{0});
      else
        z.colwise() += layers_[l].bias;
    }
    const double loss = softmax_cross_entropy(m, labels);

    for (std::size_t l = layers_.size(); l-- > 0;) {
      Layer& layer = layers_[l];
      const auto delta = layer.delta.leftCols(m);
      if (l > 0) {
        auto below = layers_[l - 1].delta.leftCols(m);
        Products::template input_gradient<S>(layer.weight, delta, below);
        below = (layers_[l - 1].output.leftCols(m).array() > S{0}).select(below, S{0});
      }
      Products::template add_gradient<S>(delta, input(l), layer.weight_momentum);
      layer.bias_momentum += delta.rowwise().sum();
      move(layer.weight.size(), layer.weight.data(), layer.weight_momentum.data());
      move(layer.bias.size(), layer.bias.data(), layer.bias_momentum.data());
    }
    return loss;
  }

 private:
  struct Layer {
    parade::Matrix<S> weight, weight_momentum;  // (k,d)
    parade::Vector<S> bias, bias_momentum;      // (k)
    parade::Matrix<S> output, delta;            // (k,b)
  };

  /// θ ← θ − α v, and v ← μ v for the next step, in one pass over both.
  void move(parade::Index size, S* __restrict theta, S* __restrict v) const {
    for (parade::Index i = 0; i < size; ++i) {
      theta[i] -= rate_ * v[i];
      v[i] *= momentum_;
    }
  }

  /// The mean loss from the scores Z (k,m); (1/m) ∂J/∂Z becomes the last layer's delta.
  double softmax_cross_entropy(parade::Index m, std::span<const parade::Label> labels) {
    auto z = layers_.back().output.leftCols(m), delta = layers_.back().delta.leftCols(m);
    for (parade::Index j = 0; j < m; ++j) {
      S top = z(0, j);
      for (parade::Index i = 1; i < z.rows(); ++i) top = std::max(top, z(i, j));
      for (parade::Index i = 0; i < z.rows(); ++i) z(i, j) -= top;
    }
    delta = z.array().exp();  // of all columns at once: in vectors
    double loss = 0;
    for (parade::Index j = 0; j < m; ++j) {
      const parade::Index y = labels[static_cast<std::size_t>(j)];
      S sum = 0;
      for (parade::Index i = 0; i < z.rows(); ++i) sum += delta(i, j);
      loss += static_cast<double>(std::log(sum) - z(y, j));
      delta.col(j) *= S{1} / (static_cast<S>(m) * sum);
      delta(y, j) -= S{1} / static_cast<S>(m);
    }
    return loss / static_cast<double>(m);
  }

  std::vector<Layer> layers_;
  S rate_, momentum_;
};

}  // namespace bench
