// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <parade/concepts/layer.hpp>
#include <parade/concepts/model.hpp>
#include <parade/core/error.hpp>

namespace parade {

namespace detail {

/// f(integral_constant 0), f(1), …, f(N−1)
template <std::size_t N, class F>
constexpr void each_index(const F& f) {
  [&]<std::size_t... l>(std::index_sequence<l...>) { (f(std::integral_constant<std::size_t, l>{}), ...); }
  (std::make_index_sequence<N>{});
}

/// What is made of a layer's slice of θ once a step: what the layer asks for, a copy, or nothing where it has no parameters.
struct NothingPrepared {};
template <class L, class S>
using StoredPrepared = std::conditional_t<
    !HasLayerParameters<L>, NothingPrepared,
    std::conditional_t<std::is_same_v<LayerPrepared<L, S>, ConstVectorRef<S>>, Vector<S>, std::remove_cvref_t<LayerPrepared<L, S>>>>;

template <class L, class S>
concept LayerPreparesRanges = !HasLayerParameters<L> || std::is_same_v<LayerPrepared<L, S>, ConstVectorRef<S>> ||
                              requires(const L layer, const S* theta, Range range, StoredPrepared<L, S>& prepared) {
  layer.prepare(theta, range, prepared);
};

}  // namespace detail

/// A network of layers, one behind the other, put together when the program is compiled:
///
///   parade::Sequential{parade::Dense{784, 128}, parade::Relu{}, parade::Dense{128, 10}}                          // in float
///   parade::make_sequential<double>(parade::Dense{784, 128}, parade::Relu{}, parade::Dense{128, 10})             // in double
///   parade::Sequential{parade::Shape{1, 28, 28}, parade::Conv2d{1, 6, 5}, parade::Relu{}, parade::MaxPool2d{2}, parade::Flatten{},
///                      parade::Dense{6 * 12 * 12, 10}}
///
/// A Shape stands first where the first layer alone does not know what it takes. Layers are the built-in ones or any type that satisfies Layer.
///
/// Parameters: those of each layer, `layer0.weight`, `layer0.bias`, `layer2.weight`, …: the number is that of the layer in the list, from 0. They start as
/// the layer says, drawn by (seed, number among the layers with parameters, element): of Dense and Relu layers the same numbers as an Mlp's.
///
/// The scores of a sample do not depend on its neighbours, unless a layer says so (BatchNorm). A network with layers that are computed in another way while
/// they are trained (Dropout, BatchNorm) has `forward_training`; see TrainsDifferently.
///
/// Throws std::invalid_argument where a layer does not take what the one before it gives: which layer, what it wants, what it got.
template <class Scalar_, class... Ls>
class Sequential {
  static_assert(sizeof...(Ls) > 0, "parade::Sequential needs at least one layer");
  static_assert((Layer<Ls, Scalar_> && ...), "every part of a parade::Sequential must satisfy parade::Layer");

  static constexpr std::size_t count = sizeof...(Ls);
  template <std::size_t l>
  using LayerAt = std::tuple_element_t<l, std::tuple<Ls...>>;

  /// The first layer with parameters: none before it needs ∂J/∂X; `count` if there is none.
  static constexpr std::size_t first_to_learn = [] {
    constexpr bool learns[] = {HasLayerParameters<Ls>...};
    std::size_t l = 0;
    while (l < count && !learns[l]) ++l;
    return l;
  }();

  /// Where the output of a layer lies: in the buffer of this number, or −1: it is X itself.
  static constexpr auto output_buffers = [] {
    constexpr bool in_place[] = {detail::is_in_place<Ls>...}, identity[] = {detail::is_identity<Ls>...},
                   needed[] = {detail::needs_output<Ls>...};
    std::array<int, count> buffer{};
    bool is_needed = true;  // what the buffer holds so far; X belongs to the caller
    int before = -1;
    for (std::size_t l = 0; l < count; ++l) {
      if (!identity[l]) {
        if (!in_place[l] || is_needed) before = static_cast<int>(l);
        is_needed = needed[l];
      }
      buffer[l] = before;
    }
    return buffer;
  }();

  /// Where ∂J/∂(output of layer l) lies: in the buffer 0 or 1, or −1: it is ∂J/∂Z.
  static constexpr auto delta_buffers = [] {
    constexpr bool in_place[] = {detail::is_in_place<Ls>...}, identity[] = {detail::is_identity<Ls>...};
    std::array<int, count> buffer{};
    buffer[count - 1] = -1;
    for (std::size_t l = count; l-- > 1;)
      buffer[l - 1] = identity[l] || (in_place[l] && buffer[l] >= 0) ? buffer[l] : buffer[l] == 0 ? 1 : 0;
    return buffer;
  }();

 public:
  using Scalar = Scalar_;

  struct Workspace {
    std::array<Matrix<Scalar>, count> outputs;  // (size,m) of a layer, where the layer has a buffer of its own
    std::array<Matrix<Scalar>, 2> deltas;       // ∂J/∂(output), by turns
    std::tuple<detail::LayerWorkspace<Ls, Scalar>...> layers;
    Index reserved = 0;  // m
  };
  struct Prepared {
    std::tuple<detail::StoredPrepared<Ls, Scalar>...> layers;
  };

  explicit Sequential(const Shape& input, Ls... layers) : layers_(std::move(layers)...), num_inputs_(input.size()) { connect(input); }
  explicit Sequential(Ls... layers) : layers_(std::move(layers)...) {
    constexpr bool knows = requires(const LayerAt<0> first) { first.input_shape(); };
    static_assert(knows, "the first layer does not know the shape of its input: put a parade::Shape before it");
    if constexpr (knows) {
      const Shape input = std::get<0>(layers_).input_shape();
      num_inputs_ = input.size();
      connect(input);
    }
  }

  const ParameterList& parameters() const { return parameters_; }
  Index num_inputs() const { return num_inputs_; }
  Index num_outputs() const { return sizes_[count - 1]; }
  const std::tuple<Ls...>& layers() const { return layers_; }

  /// Whether the scores of a sample depend on it alone.
  static constexpr bool sample_by_sample = !(detail::layer_depends_on_shard<Ls> || ...);

  void initialize(VectorRef<Scalar> theta, std::uint64_t seed) const {
    std::uint64_t stream = 0;
    detail::each_index<count>([&](auto l) {
      if constexpr (HasLayerParameters<LayerAt<l>>)
        std::get<l>(layers_).initialize(VectorRef<Scalar>(theta.segment(slices_[l].begin, slices_[l].size())), seed, stream++);
    });
  }

  void reserve(Prepared& prepared) const {
    detail::each_index<count>([&](auto l) {
      if constexpr (HasLayerParameters<LayerAt<l>>) {
        auto& own = std::get<l>(prepared.layers);
        if constexpr (prepares<l>)
          std::get<l>(layers_).reserve(own);
        else
          own.resize(slices_[l].size());
      }
    });
  }
  Index num_preparations() const {
    Index pieces = 0;
    detail::each_index<count>([&](auto l) { pieces += num_pieces<l>(); });
    return pieces;
  }
  void prepare(const ConstVectorRef<Scalar>& theta, Index piece, Prepared& prepared) const {
    detail::each_index<count>([&](auto l) {
      const Index pieces = num_pieces<l>();
      if constexpr (HasLayerParameters<LayerAt<l>>) {
        if (piece >= 0 && piece < pieces) {
          const ConstVectorRef<Scalar> own = theta.segment(slices_[l].begin, slices_[l].size());
          if constexpr (prepares<l>)
            std::get<l>(layers_).prepare(own, piece, std::get<l>(prepared.layers));
          else
            std::get<l>(prepared.layers) = own;
        }
      }
      piece -= pieces;
    });
  }
  void prepare(const Scalar* theta, Range range, Prepared& prepared) const requires(detail::LayerPreparesRanges<Ls, Scalar>&&...) {
    detail::each_index<count>([&](auto l) {
      const Range slice = slices_[l];
      if constexpr (HasLayerParameters<LayerAt<l>>) {
        if (range.begin < slice.begin || range.begin >= slice.end) return;
        const Range own{range.begin - slice.begin, range.end - slice.begin};
        if constexpr (prepares<l>)
          std::get<l>(layers_).prepare(theta, own, std::get<l>(prepared.layers));
        else
          std::copy_n(theta, own.size(), std::get<l>(prepared.layers).data() + own.begin);
      }
    });
  }

  void reserve(Workspace& workspace, Index samples) const {
    detail::each_index<count>([&](auto l) {
      if (output_buffers[l] == static_cast<int>(std::size_t{l})) workspace.outputs[l].resize(sizes_[l], samples);
      if constexpr (requires { std::get<l>(layers_).reserve(std::get<l>(workspace.layers), samples); })
        std::get<l>(layers_).reserve(std::get<l>(workspace.layers), samples);
      if (std::size_t{l} >= first_to_learn && delta_buffers[l] >= 0) {
        auto& delta = workspace.deltas[static_cast<std::size_t>(delta_buffers[l])];
        if (delta.size() < sizes_[l] * samples) delta.resize(sizes_[l], samples);
      }
    });
    workspace.reserved = samples;
  }

  ConstMatrixRef<Scalar> forward(const Prepared& theta, const ConstMatrixRef<Scalar>& x, Workspace& workspace) const {
    return pass(theta, x, workspace, [&](auto l, const auto& own_theta, const ConstMatrixRef<Scalar>& input, MatrixRef<Scalar> output) {
      std::get<l>(layers_).forward(own_theta, input, output, std::get<l>(workspace.layers));
    });
  }

  ConstMatrixRef<Scalar> forward_training(const Prepared& theta, const ConstMatrixRef<Scalar>& x, Workspace& workspace,
                                          const TrainingContext& at) const requires(LayerTrainsDifferently<Ls, Scalar> || ...) {
    return pass(theta, x, workspace, [&](auto l, const auto& own_theta, const ConstMatrixRef<Scalar>& input, MatrixRef<Scalar> output) {
      if constexpr (LayerTrainsDifferently<LayerAt<l>, Scalar>)
        std::get<l>(layers_).forward_training(own_theta, input, output, std::get<l>(workspace.layers),
                                              LayerContext{at, static_cast<std::uint32_t>(std::size_t{l})});
      else
        std::get<l>(layers_).forward(own_theta, input, output, std::get<l>(workspace.layers));
    });
  }

  void add_gradient(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
                    VectorRef<Scalar> grad) const {
    backward<false>(theta, x, dscores, workspace, grad);
  }
  void gradient(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
                VectorRef<Scalar> grad) const {
    backward<true>(theta, x, dscores, workspace, grad);
  }

 private:
  using View = Eigen::Map<const Matrix<Scalar>>;
  using MutableView = Eigen::Map<Matrix<Scalar>>;

  template <std::size_t l>
  static constexpr bool prepares =
      HasLayerParameters<LayerAt<l>> && !std::is_same_v<LayerPrepared<LayerAt<l>, Scalar>, ConstVectorRef<Scalar>>;

  template <std::size_t l>
  Index num_pieces() const {
    if constexpr (prepares<l>)
      return std::get<l>(layers_).num_preparations();
    else
      return HasLayerParameters<LayerAt<l>> ? 1 : 0;
  }

  /// Tells every layer the shape of its input, and lays out the parameters.
  void connect(Shape shape) {
    detail::each_index<count>([&](auto l) {
      auto& layer = std::get<l>(layers_);
      try {
        shape = layer.connect(shape);
      } catch (const std::invalid_argument& error) {
        const auto text = detail::text("layer ", std::size_t{l}, " (", detail::layer_name<LayerAt<l>>(), "): ", error.what());
        if (dynamic_cast<const OptionError*>(&error) != nullptr) throw OptionError(text);
        throw std::invalid_argument(text);
      }
      sizes_[l] = shape.size();
      slices_[l].begin = parameters_.size();
      if constexpr (HasLayerParameters<LayerAt<l>>) {
        for (ParameterBlock block : ParameterList(layer.parameters())) {
          block.name = detail::text("layer", std::size_t{l}, ".", block.name);
          parameters_.add(std::move(block));
        }
      }
      slices_[l].end = parameters_.size();
      if constexpr (requires { layer.without_input_gradient(); })
        if (std::size_t{l} <= first_to_learn) layer.without_input_gradient();
    });
  }

  template <std::size_t l>
  decltype(auto) theta_of(const Prepared& prepared) const {
    if constexpr (prepares<l>)
      return (std::get<l>(prepared.layers));
    else if constexpr (HasLayerParameters<LayerAt<l>>)
      return ConstVectorRef<Scalar>(std::get<l>(prepared.layers));
    else
      return ConstVectorRef<Scalar>(Eigen::Map<const Vector<Scalar>>(nullptr, 0));
  }

  /// What layer l takes: X, or the output of the layer before it.
  template <std::size_t l>
  ConstMatrixRef<Scalar> input_of(const ConstMatrixRef<Scalar>& x, const Workspace& workspace) const {
    if constexpr (l == 0)
      return x;
    else
      return output_of<l - 1>(x, workspace);
  }
  template <std::size_t l>
  ConstMatrixRef<Scalar> output_of(const ConstMatrixRef<Scalar>& x, const Workspace& workspace) const {
    constexpr int buffer = output_buffers[l];
    if constexpr (buffer < 0)
      return x;
    else
      return View(workspace.outputs[std::size_t{buffer}].data(), sizes_[l], x.cols());
  }

  template <class ForwardLayer>
  ConstMatrixRef<Scalar> pass(const Prepared& theta, const ConstMatrixRef<Scalar>& x, Workspace& workspace,
                              const ForwardLayer& forward_layer) const {
    if (workspace.reserved < x.cols()) reserve(workspace, x.cols());
    detail::each_index<count>([&](auto l) {
      if constexpr (!detail::is_identity<LayerAt<l>>) {
        MutableView output(workspace.outputs[static_cast<std::size_t>(output_buffers[l])].data(), sizes_[l], x.cols());
        forward_layer(l, theta_of<l>(theta), input_of<l>(x, workspace), MatrixRef<Scalar>(output));
      }
    });
    return output_of<count - 1>(x, workspace);
  }

  /// From the last layer to the first one with parameters.
  template <bool overwrite>
  void backward(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
                VectorRef<Scalar> grad) const {
    const auto delta_of = [&](auto l) -> ConstMatrixRef<Scalar> {
      constexpr int buffer = delta_buffers[l];
      if constexpr (buffer < 0)
        return dscores;
      else
        return View(workspace.deltas[std::size_t{buffer}].data(), sizes_[l], x.cols());
    };
    detail::each_index<count>([&](auto from_last) {
      constexpr std::size_t l = count - 1 - from_last;
      using L = LayerAt<l>;
      if constexpr (l >= first_to_learn && !detail::is_identity<L>) {
        const auto& layer = std::get<l>(layers_);
        auto& own = std::get<l>(workspace.layers);
        decltype(auto) own_theta = theta_of<l>(theta);
        const ConstMatrixRef<Scalar> input = input_of<l>(x, workspace), output = output_of<l>(x, workspace);
        const ConstMatrixRef<Scalar> delta = delta_of(std::integral_constant<std::size_t, l>{});
        if constexpr (HasLayerParameters<L>) {
          VectorRef<Scalar> slice = grad.segment(slices_[l].begin, slices_[l].size());
          if constexpr (overwrite && LayerOverwritesGradient<L, Scalar>) {
            layer.gradient(own_theta, input, output, delta, own, slice);
          } else {
            if constexpr (overwrite) slice.setZero();
            layer.add_gradient(own_theta, input, output, delta, own, slice);
          }
        }
        if constexpr (l > first_to_learn) {
          MutableView input_delta(workspace.deltas[static_cast<std::size_t>(delta_buffers[l - 1])].data(), sizes_[l - 1], x.cols());
          layer.input_gradient(own_theta, input, output, delta, MatrixRef<Scalar>(input_delta), own);
        }
      }
    });
  }

  std::tuple<Ls...> layers_;
  Index num_inputs_ = 0;
  std::array<Index, count> sizes_{};   // of the output of a layer
  std::array<Range, count> slices_{};  // of θ
  ParameterList parameters_;
};

template <HasConnect First, class... Ls>
Sequential(First, Ls...) -> Sequential<float, First, Ls...>;
template <class... Ls>
Sequential(Shape, Ls...) -> Sequential<float, Ls...>;

/// A Sequential in another scalar: make_sequential<double>(Shape{1, 28, 28}, Conv2d{1, 6, 5}, …).
template <class Scalar, class First, class... Ls>
auto make_sequential(First first, Ls... layers) {
  if constexpr (std::is_same_v<First, Shape>)
    return Sequential<Scalar, Ls...>(first, std::move(layers)...);
  else
    return Sequential<Scalar, First, Ls...>(std::move(first), std::move(layers)...);
}

}  // namespace parade
