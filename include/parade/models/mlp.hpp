// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

#include <parade/concepts/model.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/layers/activation.hpp>
#include <parade/layers/dense.hpp>
#include <parade/layers/initialization.hpp>
#include <parade/models/first_layer.hpp>

namespace parade {
namespace detail {

/// A multilayer perceptron behind the product of its first layer: a_0 = W_1 x is given. Parameters: all but `layer0.weight`. Slopes: ∂J/∂a_0 (h_1).
template <class Scalar_>
class MlpRemainder {
 public:
  using Scalar = Scalar_;
  using Layer = Dense<Scalar>;

  struct Workspace {
    std::vector<Matrix<Scalar>> outputs;  // of layer l: (h_l, m), activated for the hidden layers
    std::vector<Matrix<Scalar>> deltas;   // ∂J/∂(output of hidden layer l, before the activation): (h_l, m)
  };
  struct Prepared {
    Vector<Scalar> bias;                           // of layer 0
    std::vector<typename Layer::Prepared> layers;  // of layer 1, 2, …
  };

  /// `outputs`: h_1, …, h_L
  MlpRemainder(const std::vector<Index>& outputs, Activation activation) : width_(outputs[0]), activation_(activation) {
    parameters_.add({"layer0.bias", width_, 1, Role::bias});
    for (std::size_t l = 1; l < outputs.size(); ++l) {
      const auto name = text("layer", l);
      parameters_.add({name + ".weight", outputs[l], outputs[l - 1]});
      parameters_.add({name + ".bias", outputs[l], 1, Role::bias});
      layers_.emplace_back(outputs[l - 1], outputs[l], parameters_[name + ".weight"], parameters_[name + ".bias"]);
    }
  }

  const ParameterList& parameters() const { return parameters_; }
  Index num_inputs() const { return width_; }
  Index num_outputs() const { return layers_.empty() ? width_ : layers_.back().outputs(); }
  Index num_slopes() const { return width_; }
  void initialize(VectorRef<Scalar> theta, std::uint64_t) const { theta.setZero(); }

  void reserve(Prepared& prepared) const {
    prepared.bias.resize(width_);
    prepared.layers.resize(layers_.size());
    for (std::size_t l = 0; l < layers_.size(); ++l) layers_[l].reserve(prepared.layers[l], true);
  }
  Index num_preparations() const {
    Index pieces = 1;
    for (const Layer& layer : layers_) pieces += layer.num_pieces(true);
    return pieces;
  }
  void prepare(const ConstVectorRef<Scalar>& theta, Index piece, Prepared& prepared) const {
    if (piece-- == 0) {
      prepared.bias = theta.head(width_);
      return;
    }
    std::size_t l = 0;
    for (; piece >= layers_[l].num_pieces(true); ++l) piece -= layers_[l].num_pieces(true);
    layers_[l].prepare(theta.data(), piece, prepared.layers[l]);
  }

  void reserve(Workspace& workspace, Index samples) const {
    workspace.outputs.resize(layers_.size() + 1);
    workspace.deltas.resize(layers_.size());
    for (std::size_t l = 0; l <= layers_.size(); ++l) {
      const Index h = l == 0 ? width_ : layers_[l - 1].outputs();
      workspace.outputs[l].resize(h, samples);
      if (l < layers_.size()) workspace.deltas[l].resize(h, samples);
    }
  }

  ConstMatrixRef<Scalar> forward(const Prepared& theta, const ConstMatrixRef<Scalar>& sums, Workspace& workspace) const {
    const Index m = sums.cols();
    if (workspace.outputs.empty() || workspace.outputs[0].cols() < m) reserve(workspace, m);
    Scalar* output = workspace.outputs[0].data();
    for (Index j = 0; j < m; ++j)
      for (Index c = 0; c < width_; ++c) output[j * width_ + c] = sums(c, j) + theta.bias[c];
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      const Index before = layers_[l].inputs(), h = layers_[l].outputs();
      activate(activation_, output, before * m);
      const Scalar* input = output;
      output = workspace.outputs[l + 1].data();
      layers_[l].forward(theta.layers[l], m, input, before, output, h);  // (h_l,m) = (h_l,h_{l−1})(h_{l−1},m)
    }
    return workspace.outputs.back().leftCols(m);
  }

  void add_gradient(const Prepared& theta, const ConstMatrixRef<Scalar>& sums, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
                    VectorRef<Scalar> grad) const {
    backward(theta, sums.cols(), dscores, workspace, grad.data(), kernels::Start::stored);
  }
  void gradient(const Prepared& theta, const ConstMatrixRef<Scalar>& sums, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
                VectorRef<Scalar> grad) const {
    backward(theta, sums.cols(), dscores, workspace, grad.data(), kernels::Start::zero);
  }
  ConstMatrixRef<Scalar> slopes(const ConstMatrixRef<Scalar>&, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace) const {
    if (layers_.empty()) return dscores;
    return workspace.deltas[0].leftCols(dscores.cols());
  }

 private:
  void backward(const Prepared& theta, Index m, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace, Scalar* grad,
                kernels::Start start) const {
    const Scalar* delta = dscores.data();
    Index ld = dscores.outerStride();
    for (std::size_t l = layers_.size(); l-- > 0;) {
      const Index h = layers_[l].inputs();
      const Scalar* input = workspace.outputs[l].data();
      Scalar* input_delta = workspace.deltas[l].data();
      layers_[l].gradient(m, input, h, delta, ld, grad, start);
      layers_[l].input_gradient(theta.layers[l], m, delta, ld, input_delta, h);  // (h_{l−1},m) = (h_{l−1},h_l)(h_l,m)
      multiply_derivative(activation_, input, input_delta, h * m);
      delta = input_delta;
      ld = h;
    }
    kernels::sum_columns(width_, m, delta, ld, grad, start);  // (h_1) += Σ_m
  }

  ParameterList parameters_;
  std::vector<Layer> layers_;  // 1, 2, …
  Index width_;                // h_1
  Activation activation_;
};

}  // namespace detail

/// Multilayer perceptron with any number of hidden layers, fully connected:
///
///   a_0 = x,   a_l = activation(W_l a_{l−1} + b_l) for the hidden layers,   z = W_L a_{L−1} + b_L
///
///   parade::Mlp<float> model{784, 128, 64, 10};                                 // inputs, hidden layers, outputs
///   parade::Mlp<double> other{{8, 16, 1}, parade::Activation::tanh};
///
/// Parameters: `layer0.weight` (h_1,d), `layer0.bias` (h_1), `layer1.weight`, …; column by column. Weights start as `initialization` says, by default
/// He for ReLU and Glorot for tanh and sigmoid, drawn by (seed, layer, element); biases start at 0.
///
/// Sparse rows (SparseRows) are taken too: the first layer then costs what their entries cost, whatever d is.
///
/// Throws std::invalid_argument for fewer than two sizes or a size below 1.
template <class Scalar_>
class Mlp {
 public:
  using Scalar = Scalar_;
  using Layer = detail::Dense<Scalar>;

  struct Workspace {
    std::vector<Matrix<Scalar>> outputs;  // of layer l: (h_l, m), activated for the hidden layers
    std::vector<Matrix<Scalar>> deltas;   // ∂J/∂(output of hidden layer l): (h_l, m)
  };
  struct Prepared {
    std::vector<typename Layer::Prepared> layers;
  };

  Mlp(std::initializer_list<Index> sizes) : Mlp(std::vector<Index>(sizes)) {}
  explicit Mlp(std::vector<Index> sizes, Activation activation = Activation::relu)
      : Mlp(std::move(sizes), activation, activation == Activation::relu ? Initialization::he : Initialization::glorot) {}
  Mlp(std::vector<Index> sizes, Activation activation, Initialization initialization)
      : activation_(activation), initialization_(initialization) {
    if (sizes.size() < 2)
      throw std::invalid_argument(detail::text("Mlp must have at least 2 sizes, inputs and outputs; got ", sizes.size()));
    for (std::size_t l = 0; l < sizes.size(); ++l)
      if (sizes[l] < 1) throw std::invalid_argument(detail::text("every size of an Mlp must be at least 1; size ", l, " is ", sizes[l]));
    for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
      const auto name = detail::text("layer", l);
      parameters_.add({name + ".weight", sizes[l + 1], sizes[l]});
      parameters_.add({name + ".bias", sizes[l + 1], 1, Role::bias});
      layers_.emplace_back(sizes[l], sizes[l + 1], parameters_[name + ".weight"], parameters_[name + ".bias"]);
    }
  }

  const ParameterList& parameters() const { return parameters_; }
  Index num_inputs() const { return layers_.front().inputs(); }
  Index num_outputs() const { return layers_.back().outputs(); }
  Activation activation() const { return activation_; }

  void initialize(VectorRef<Scalar> theta, std::uint64_t seed) const {
    std::uint64_t layer = 0;
    for (const auto& block : parameters_) {
      if (block.role == Role::bias)
        slice<Scalar>(theta, block).setZero();
      else
        detail::initialize_weight<Scalar>(slice<Scalar>(theta, block), initialization_, seed, layer++);
    }
  }

  void reserve(Prepared& prepared) const {
    prepared.layers.resize(layers_.size());
    for (std::size_t l = 0; l < layers_.size(); ++l) layers_[l].reserve(prepared.layers[l], l > 0);
  }
  Index num_preparations() const {
    Index pieces = 0;
    for (std::size_t l = 0; l < layers_.size(); ++l) pieces += layers_[l].num_pieces(l > 0);
    return pieces;
  }
  void prepare(const ConstVectorRef<Scalar>& theta, Index piece, Prepared& prepared) const {
    std::size_t l = 0;
    for (; piece >= layers_[l].num_pieces(l > 0); ++l) piece -= layers_[l].num_pieces(l > 0);
    layers_[l].prepare(theta.data(), piece, prepared.layers[l]);
  }
  void prepare(const Scalar* theta, Range range, Prepared& prepared) const {
    const std::size_t l = layer_of(range);
    layers_[l].prepare(theta, range, prepared.layers[l]);
  }

  void reserve(Workspace& workspace, Index samples) const {
    workspace.outputs.resize(layers_.size());
    workspace.deltas.resize(layers_.size() - 1);
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      workspace.outputs[l].resize(layers_[l].outputs(), samples);
      if (l + 1 < layers_.size()) workspace.deltas[l].resize(layers_[l].outputs(), samples);
    }
  }

  ConstMatrixRef<Scalar> forward(const Prepared& theta, const ConstMatrixRef<Scalar>& x, Workspace& workspace) const {
    const Index m = x.cols();
    if (workspace.outputs.empty() || workspace.outputs[0].cols() < m) reserve(workspace, m);
    const Scalar* input = x.data();
    Index ld = x.outerStride();
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      Scalar* output = workspace.outputs[l].data();
      layers_[l].forward(theta.layers[l], m, input, ld, output, layers_[l].outputs());  // (h_l,m) = (h_l,h_{l−1})(h_{l−1},m)
      ld = layers_[l].outputs();
      if (l + 1 < layers_.size()) detail::activate(activation_, output, ld * m);
      input = output;
    }
    return workspace.outputs.back().leftCols(m);
  }

  void add_gradient(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
                    VectorRef<Scalar> grad) const {
    backward(theta, x, dscores, workspace,
             [&](std::size_t l, auto... arrays) { layers_[l].gradient(x.cols(), arrays..., grad.data(), kernels::Start::stored); });
  }
  void gradient(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
                VectorRef<Scalar> grad) const {
    backward(theta, x, dscores, workspace,
             [&](std::size_t l, auto... arrays) { layers_[l].gradient(x.cols(), arrays..., grad.data(), kernels::Start::zero); });
  }

  using TapeOf = Mlp;
  struct Piece {
    std::vector<typename Layer::Piece> layers;
  };
  struct Tape {
    std::vector<std::vector<kernels::ShardPart<Scalar>>> layers;
  };
  void reserve(Piece& piece, Index samples) const {
    piece.layers.resize(layers_.size());
    for (std::size_t l = 0; l < layers_.size(); ++l) layers_[l].reserve(piece.layers[l], samples);
  }
  void reserve(Tape& tape, std::size_t parts) const {
    tape.layers.resize(layers_.size());
    for (auto& layer : tape.layers) layer.reserve(parts);
  }
  void record(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
              Piece& piece) const {
    backward(theta, x, dscores, workspace, [&](std::size_t l, auto... arrays) { layers_[l].record(x.cols(), arrays..., piece.layers[l]); });
  }
  void collect(std::span<const TapePart<Piece>> parts, Tape& tape) const {
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      tape.layers[l].clear();
      for (const auto& part : parts) tape.layers[l].push_back(layers_[l].part_of_shard(part.piece->layers[l], part));
    }
  }
  void gradient(const Tape& tape, Range range, Scalar* out) const {
    const std::size_t l = layer_of(range);
    layers_[l].gradient(tape.layers[l], range, out);
  }

  /// For sparse rows: see SumsFeatures.
  using SumsFeaturesOf = Mlp;
  static constexpr std::size_t num_feature_blocks = 1;
  const ParameterBlock& feature_block(std::size_t) const { return parameters_["layer0.weight"]; }
  Index num_sums() const { return layers_[0].outputs(); }
  detail::MlpRemainder<Scalar> remainder() const {
    std::vector<Index> outputs;
    for (const Layer& layer : layers_) outputs.push_back(layer.outputs());
    return {outputs, activation_};
  }
  void add_feature(Scalar x, const std::array<const Scalar*, 1>& theta, Scalar* sums) const {
    detail::add_multiple(x, theta[0], layers_[0].outputs(), sums);
  }
  void add_feature_gradient(Scalar x, const std::array<const Scalar*, 1>&, const Scalar* slopes, const std::array<Scalar*, 1>& grad) const {
    detail::add_multiple(x, slopes, layers_[0].outputs(), grad[0]);
  }

 private:
  std::size_t layer_of(Range range) const {
    std::size_t l = 0;
    while (!layers_[l].holds(range.begin)) ++l;
    return l;
  }

  /// layer_gradient(l, input, ld_input, delta, ld_delta), from the last layer to the first.
  template <class LayerGradient>
  void backward(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
                const LayerGradient& layer_gradient) const {
    const Index m = x.cols();
    const Scalar* delta = dscores.data();
    Index ld = dscores.outerStride();
    for (std::size_t l = layers_.size(); l-- > 1;) {
      const Index h = layers_[l].inputs();
      const Scalar* input = workspace.outputs[l - 1].data();
      Scalar* input_delta = workspace.deltas[l - 1].data();
      layer_gradient(l, input, h, delta, ld);
      layers_[l].input_gradient(theta.layers[l], m, delta, ld, input_delta, h);  // (h_{l−1},m) = (h_{l−1},h_l)(h_l,m)
      detail::multiply_derivative(activation_, input, input_delta, h * m);
      delta = input_delta;
      ld = h;
    }
    layer_gradient(std::size_t{0}, x.data(), Index{x.outerStride()}, delta, ld);
  }

  ParameterList parameters_;
  std::vector<Layer> layers_;
  Activation activation_;
  Initialization initialization_;
};

static_assert(Model<Mlp<float>> && PreparesOnceAStep<Mlp<float>> && OverwritesGradient<Mlp<float>> && Taped<Mlp<float>>);
static_assert(Model<Mlp<double>>);
static_assert(SumsFeatures<Mlp<float>> && SumsFeatures<Mlp<double>>);

}  // namespace parade
