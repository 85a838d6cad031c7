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

/// What Mlp and MlpRemainder share: layers First, Dense, Dense, … with an activation between. First: Dense, or what stands in its place.
template <class Scalar_, class First>
class DenseNetwork {
 public:
  using Scalar = Scalar_;
  using Layer = Dense<Scalar>;

  struct Workspace {
    std::vector<Matrix<Scalar>> outputs;  // of layer l: (h_l, m), activated for the hidden layers
    std::vector<Matrix<Scalar>> deltas;   // ∂J/∂(output of hidden layer l, before the activation): (h_l, m)
  };
  struct Prepared {
    typename First::Prepared first;
    std::vector<typename Layer::Prepared> layers;  // of layer 1, 2, …
  };

  const ParameterList& parameters() const { return parameters_; }
  Index num_outputs() const { return layers_.empty() ? first_.outputs() : layers_.back().outputs(); }
  Activation activation() const { return activation_; }

  void reserve(Prepared& prepared) const {
    first_.reserve(prepared.first, false);
    prepared.layers.resize(layers_.size());
    for (std::size_t l = 0; l < layers_.size(); ++l) layers_[l].reserve(prepared.layers[l], true);
  }
  Index num_preparations() const {
    Index pieces = first_.num_pieces(false);
    for (const Layer& layer : layers_) pieces += layer.num_pieces(true);
    return pieces;
  }
  void prepare(const ConstVectorRef<Scalar>& theta, Index piece, Prepared& prepared) const {
    if (piece < first_.num_pieces(false)) return first_.prepare(theta.data(), piece, prepared.first);
    piece -= first_.num_pieces(false);
    std::size_t l = 0;
    for (; piece >= layers_[l].num_pieces(true); ++l) piece -= layers_[l].num_pieces(true);
    layers_[l].prepare(theta.data(), piece, prepared.layers[l]);
  }

  void reserve(Workspace& workspace, Index samples) const {
    workspace.outputs.resize(layers_.size() + 1);
    workspace.deltas.resize(layers_.size());
    for (std::size_t l = 0; l <= layers_.size(); ++l) {
      const Index h = l == 0 ? first_.outputs() : layers_[l - 1].outputs();
      workspace.outputs[l].resize(h, samples);
      if (l < layers_.size()) workspace.deltas[l].resize(h, samples);
    }
  }

  ConstMatrixRef<Scalar> forward(const Prepared& theta, const ConstMatrixRef<Scalar>& x, Workspace& workspace) const {
    const Index m = x.cols();
    if (workspace.outputs.empty() || workspace.outputs[0].cols() < m) reserve(workspace, m);
    Scalar* output = workspace.outputs[0].data();
    first_.forward(theta.first, m, x.data(), x.outerStride(), output, first_.outputs());  // (h_1,m) = (h_1,d)(d,m)
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      const Layer& layer = layers_[l];
      activate(activation_, output, layer.inputs() * m);
      const Scalar* input = output;
      output = workspace.outputs[l + 1].data();
      layer.forward(theta.layers[l], m, input, layer.inputs(), output, layer.outputs());  // (h_l,m) = (h_l,h_{l−1})(h_{l−1},m)
    }
    return workspace.outputs.back().leftCols(m);
  }

  void add_gradient(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
                    VectorRef<Scalar> grad) const {
    gradient_from(kernels::Start::stored, theta, x, dscores, workspace, grad.data());
  }
  void gradient(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
                VectorRef<Scalar> grad) const {
    gradient_from(kernels::Start::zero, theta, x, dscores, workspace, grad.data());
  }

 protected:
  /// `of_first`: the parameters of the first layer, which stand in front; `outputs`: h_1, …, h_L.
  DenseNetwork(First first, ParameterList of_first, std::span<const Index> outputs, Activation activation)
      : first_(std::move(first)), parameters_(std::move(of_first)), activation_(activation) {
    for (std::size_t l = 1; l < outputs.size(); ++l) {
      const auto name = text("layer", l);
      parameters_.add({name + ".weight", outputs[l], outputs[l - 1]});
      parameters_.add({name + ".bias", outputs[l], 1, Role::bias});
      layers_.emplace_back(outputs[l - 1], outputs[l], parameters_[name + ".weight"], parameters_[name + ".bias"]);
    }
  }

  const First& first() const { return first_; }
  const std::vector<Layer>& layers() const { return layers_; }  // 1, 2, …

  /// layer_gradient(l, layer, m, input, ld_input, delta, ld_delta), from the last layer to the first.
  template <class LayerGradient>
  void backward(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
                const LayerGradient& layer_gradient) const {
    const Index m = x.cols();
    const Scalar* delta = dscores.data();
    Index ld = dscores.outerStride();
    for (std::size_t l = layers_.size(); l-- > 0;) {
      const Layer& layer = layers_[l];
      const Index h = layer.inputs();
      const Scalar* input = workspace.outputs[l].data();
      Scalar* input_delta = workspace.deltas[l].data();
      layer_gradient(l + 1, layer, m, input, h, delta, ld);
      layer.input_gradient(theta.layers[l], m, delta, ld, input_delta, h);  // (h_{l−1},m) = (h_{l−1},h_l)(h_l,m)
      multiply_derivative(activation_, input, input_delta, h * m);
      delta = input_delta;
      ld = h;
    }
    layer_gradient(std::size_t{0}, first_, m, x.data(), Index{x.outerStride()}, delta, ld);
  }

 private:
  void gradient_from(kernels::Start start, const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores,
                     Workspace& workspace, Scalar* grad) const {
    backward(theta, x, dscores, workspace, [&](std::size_t, const auto& layer, auto... arrays) { layer.gradient(arrays..., grad, start); });
  }

  First first_;
  std::vector<Layer> layers_;  // 1, 2, …
  ParameterList parameters_;
  Activation activation_;
};

/// A multilayer perceptron behind the product of its first layer: a_0 = W_1 x is given. Parameters: all but `layer0.weight`. Slopes: ∂J/∂a_0 (h_1).
template <class Scalar_>
class MlpRemainder : public DenseNetwork<Scalar_, BiasOfProduct<Scalar_>> {
  using Base = DenseNetwork<Scalar_, BiasOfProduct<Scalar_>>;

 public:
  using Scalar = Scalar_;

  /// `outputs`: h_1, …, h_L
  MlpRemainder(const std::vector<Index>& outputs, Activation activation)
      : Base(BiasOfProduct<Scalar>(outputs[0]), {{"layer0.bias", outputs[0], 1, Role::bias}}, outputs, activation) {}

  Index num_inputs() const { return this->first().outputs(); }
  Index num_slopes() const { return this->first().outputs(); }
  void initialize(VectorRef<Scalar> theta, std::uint64_t) const { theta.setZero(); }

  ConstMatrixRef<Scalar> slopes(const ConstMatrixRef<Scalar>&, const ConstMatrixRef<Scalar>& dscores,
                                typename Base::Workspace& workspace) const {
    if (workspace.deltas.empty()) return dscores;
    return workspace.deltas[0].leftCols(dscores.cols());
  }
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
class Mlp : public detail::DenseNetwork<Scalar_, detail::Dense<Scalar_>> {
  using Base = detail::DenseNetwork<Scalar_, detail::Dense<Scalar_>>;

 public:
  using Scalar = Scalar_;
  using typename Base::Layer;
  using typename Base::Prepared;
  using typename Base::Workspace;

  Mlp(std::initializer_list<Index> sizes) : Mlp(std::vector<Index>(sizes)) {}
  explicit Mlp(std::vector<Index> sizes, Activation activation = Activation::relu)
      : Mlp(std::move(sizes), activation, activation == Activation::relu ? Initialization::he : Initialization::glorot) {}
  Mlp(std::vector<Index> sizes, Activation activation, Initialization initialization)
      : Mlp(std::span<const Index>(sizes), parameters_of_first(sizes), activation, initialization) {}

  Index num_inputs() const { return this->first().inputs(); }

  void initialize(VectorRef<Scalar> theta, std::uint64_t seed) const {
    std::uint64_t layer = 0;
    for (const auto& block : this->parameters()) {
      if (block.role == Role::bias)
        slice<Scalar>(theta, block).setZero();
      else
        detail::initialize_weight<Scalar>(slice<Scalar>(theta, block), initialization_, seed, layer++);
    }
  }

  using Base::prepare;
  using Base::reserve;
  void prepare(const Scalar* theta, Range range, Prepared& prepared) const {
    const std::size_t l = layer_of(range);
    layer(l).prepare(theta, range, l == 0 ? prepared.first : prepared.layers[l - 1]);
  }

  using Base::gradient;
  using TapeOf = Mlp;
  struct Piece {
    std::vector<typename Layer::Piece> layers;
  };
  struct Tape {
    std::vector<std::vector<kernels::ShardPart<Scalar>>> layers;
  };
  void reserve(Piece& piece, Index samples) const {
    piece.layers.resize(num_layers());
    for (std::size_t l = 0; l < num_layers(); ++l) layer(l).reserve(piece.layers[l], samples);
  }
  void reserve(Tape& tape, std::size_t parts) const {
    tape.layers.resize(num_layers());
    for (auto& layer : tape.layers) layer.reserve(parts);
  }
  void record(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
              Piece& piece) const {
    this->backward(theta, x, dscores, workspace,
                   [&](std::size_t l, const Layer& layer, auto... arrays) { layer.record(arrays..., piece.layers[l]); });
  }
  void collect(std::span<const TapePart<Piece>> parts, Tape& tape) const {
    for (std::size_t l = 0; l < num_layers(); ++l) {
      tape.layers[l].clear();
      for (const auto& part : parts) tape.layers[l].push_back(Layer::part_of_shard(part.piece->layers[l], part));
    }
  }
  void gradient(const Tape& tape, Range range, Scalar* out) const {
    const std::size_t l = layer_of(range);
    layer(l).gradient(tape.layers[l], range, out);
  }

  /// For sparse rows: see SumsFeatures.
  using SumsFeaturesOf = Mlp;
  static constexpr std::size_t num_feature_blocks = 1;
  const ParameterBlock& feature_block(std::size_t) const { return this->parameters()["layer0.weight"]; }
  Index num_sums() const { return layer(0).outputs(); }
  detail::MlpRemainder<Scalar> remainder() const {
    std::vector<Index> outputs;
    for (std::size_t l = 0; l < num_layers(); ++l) outputs.push_back(layer(l).outputs());
    return {outputs, this->activation()};
  }
  void add_feature(Scalar x, const std::array<const Scalar*, 1>& theta, Scalar* sums) const {
    detail::add_multiple(x, theta[0], num_sums(), sums);
  }
  void add_feature_gradient(Scalar x, const std::array<const Scalar*, 1>&, const Scalar* slopes, const std::array<Scalar*, 1>& grad) const {
    detail::add_multiple(x, slopes, num_sums(), grad[0]);
  }

 private:
  Mlp(std::span<const Index> sizes, const ParameterList& of_first, Activation activation, Initialization initialization)
      : Base(Layer(sizes[0], sizes[1], of_first["layer0.weight"], of_first["layer0.bias"]), of_first, sizes.subspan(1), activation),
        initialization_(initialization) {}

  static ParameterList parameters_of_first(const std::vector<Index>& sizes) {
    if (sizes.size() < 2)
      throw std::invalid_argument(detail::text("Mlp must have at least 2 sizes, inputs and outputs; got ", sizes.size()));
    for (std::size_t l = 0; l < sizes.size(); ++l)
      if (sizes[l] < 1) throw std::invalid_argument(detail::text("every size of an Mlp must be at least 1; size ", l, " is ", sizes[l]));
    return {{"layer0.weight", sizes[1], sizes[0]}, {"layer0.bias", sizes[1], 1, Role::bias}};
  }

  std::size_t num_layers() const { return this->layers().size() + 1; }
  const Layer& layer(std::size_t l) const { return l == 0 ? this->first() : this->layers()[l - 1]; }
  std::size_t layer_of(Range range) const {
    std::size_t l = 0;
    while (!layer(l).holds(range.begin)) ++l;
    return l;
  }

  Initialization initialization_;
};

static_assert(Model<Mlp<float>> && PreparesOnceAStep<Mlp<float>> && OverwritesGradient<Mlp<float>> && Taped<Mlp<float>>);
static_assert(Model<Mlp<double>>);
static_assert(SumsFeatures<Mlp<float>> && SumsFeatures<Mlp<double>>);

}  // namespace parade
