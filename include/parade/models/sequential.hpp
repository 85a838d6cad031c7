// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/concepts/layer.hpp>
#include <parade/concepts/model.hpp>
#include <parade/concepts/sample_by_sample.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/core/error.hpp>
#include <parade/layers/dense.hpp>
#include <parade/models/first_layer.hpp>

namespace parade {

template <class Scalar, class... Ls>
class Sequential;

namespace detail {

/// The network behind the product of a first layer Dense: the same layers with another first one, which has the bias alone. Parameters: all but
/// `layer0.weight`. Slopes: ∂J/∂(output of layer 0).
template <class Scalar_, class... Ls>
class SequentialRemainder : public Sequential<Scalar_, FirstBias, Ls...> {
  using Base = Sequential<Scalar_, FirstBias, Ls...>;

 public:
  using Scalar = Scalar_;
  using Base::Base;

  Index num_slopes() const { return this->num_inputs(); }
  ConstMatrixRef<Scalar> slopes(const ConstMatrixRef<Scalar>& sums, const ConstMatrixRef<Scalar>&,
                                typename Base::Workspace& workspace) const {
    return std::get<0>(workspace.layers[0]).deltas.leftCols(sums.cols());
  }
};

/// For sparse rows, see SumsFeatures: what a Sequential has whose first layer is Dense, unless it has a Flatten, before which samples are computed by the block.
template <class Self, class Scalar, class... Ls>
class SumsFirstLayer {};
template <class Self, class Scalar, class... Ls>
  requires(!(is_identity<Ls> || ...))
class SumsFirstLayer<Self, Scalar, parade::Dense, Ls...> {
 public:
  using SumsFeaturesOf = Self;
  static constexpr std::size_t num_feature_blocks = 1;

  const ParameterBlock& feature_block(std::size_t) const { return self().parameters()["layer0.weight"]; }
  Index num_sums() const { return first_layer().outputs(); }
  SequentialRemainder<Scalar, Ls...> remainder() const {
    return std::apply(
        [this](const parade::Dense&, const Ls&... layers) { return SequentialRemainder<Scalar, Ls...>(FirstBias(num_sums()), layers...); },
        self().layers());
  }
  void add_feature(Scalar x, const std::array<const Scalar*, 1>& theta, Scalar* sums) const { add_multiple(x, theta[0], num_sums(), sums); }
  void add_feature_gradient(Scalar x, const std::array<const Scalar*, 1>&, const Scalar* slopes, const std::array<Scalar*, 1>& grad) const {
    add_multiple(x, slopes, num_sums(), grad[0]);
  }

 private:
  const Self& self() const { return static_cast<const Self&>(*this); }
  const parade::Dense& first_layer() const { return std::get<0>(self().layers()); }
};

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

/// What a layer leaves on the tape of a network: nothing where it has no parameters.
struct NothingTaped {
  struct Piece {};
  struct Tape {};
};
template <class L, class S>
struct TapeOfLayer : NothingTaped {};
template <class L, class S>
  requires HasLayerParameters<L> && LayerTaped<L, S>
struct TapeOfLayer<L, S> {
  using Piece = typename L::template Piece<S>;
  struct Tape {
    std::vector<TapePart<Piece>> parts;
    typename L::template Tape<S> own;
  };
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
/// A network with parameters in Dense layers alone (or in others that are LayerTaped), behind the first Flatten, whose other layers promise SampleBySample, has a
/// tape (Taped): it is trained as fast as an Mlp, with the same bits. Of the built-in layers Conv2d, LayerNorm and BatchNorm have none.
///
/// A network that begins with Dense, and has no Flatten, takes sparse rows (SparseRows) too: the first layer then costs what their entries cost, whatever the
/// number of features is. (Copies of the other layers are connected once more for that.)
///
/// Throws std::invalid_argument where a layer does not take what the one before it gives: which layer, what it wants, what it got.
template <class Scalar_, class... Ls>
class Sequential : public detail::SumsFirstLayer<Sequential<Scalar_, Ls...>, Scalar_, Ls...> {
  static_assert(sizeof...(Ls) > 0, "parade::Sequential needs at least one layer");
  static_assert((Layer<Ls, Scalar_> && ...), "every part of a parade::Sequential must satisfy parade::Layer");

  static constexpr std::size_t count = sizeof...(Ls);

  /// The layer that is computed l-th. Relu and MaxPool2d change places: the maximum of what ReLU leaves is ReLU of the maximum, with the same gradient, and
  /// there is less to do.
  static constexpr auto order = [] {
    constexpr bool keeps_order[] = {detail::commutes_with_maximum<Ls>...}, maximum[] = {detail::takes_maximum<Ls>...};
    std::array<std::size_t, count> result{};
    for (std::size_t l = 0; l < count; ++l) result[l] = l;
    for (std::size_t l = 0; l + 1 < count; ++l)
      if (keeps_order[result[l]] && maximum[l + 1]) std::swap(result[l], result[l + 1]);
    return result;
  }();
  template <std::size_t l>
  using LayerAt = std::tuple_element_t<order[l], std::tuple<Ls...>>;

  /// A property of each layer, in the order in which they are computed.
  static constexpr auto in_order(const bool (&property)[count]) {
    std::array<bool, count> result{};
    for (std::size_t l = 0; l < count; ++l) result[l] = property[order[l]];
    return result;
  }
  static constexpr auto in_place = in_order({detail::is_in_place<Ls>...});
  static constexpr auto identity = in_order({detail::is_identity<Ls>...});
  static constexpr auto needs_output = in_order({detail::needs_output<Ls>...});
  static constexpr auto needs_input = in_order({detail::needs_input<Ls>...});
  static constexpr auto learns = in_order({HasLayerParameters<Ls>...});

  /// The first layer with parameters: none before it needs ∂J/∂X; `count` if there is none.
  static constexpr std::size_t first_to_learn = [] {
    std::size_t l = 0;
    while (l < count && !learns[l]) ++l;
    return l;
  }();

  /// The layers before this one work on images, which are large: they are computed for a few samples at a time, so that what they hand on to each other
  /// stays in the second-level cache. 0 where they must see the whole shard.
  static constexpr std::size_t front = [] {
    constexpr auto whole = in_order({detail::layer_depends_on_shard<Ls>...});
    std::size_t l = 0;
    while (l < count && !identity[l])
      if (whole[l++]) return std::size_t{0};
    return l == count ? 0 : l;
  }();

  /// Whether the gradient can be computed from a tape.
  static constexpr bool has_tape = first_to_learn < count && first_to_learn >= front &&
                                   ((SampleBySample<Ls> && (!HasLayerParameters<Ls> || LayerTaped<Ls, Scalar_>)) && ...);

  /// Where the output of a layer lies: in the buffer of this number, or −1: it is X itself.
  static constexpr auto output_buffers = [] {
    std::array<int, count> buffer{};
    bool is_needed = true;  // what the buffer holds so far; X belongs to the caller
    int before = -1;
    for (std::size_t l = 0; l < count; ++l) {
      if (!identity[l]) {
        if (!in_place[l] || is_needed) before = static_cast<int>(l);
        is_needed = needs_output[l];
      }
      buffer[l] = before;
    }
    return buffer;
  }();

  /// Whether a buffer holds all samples, not only those that are computed at a time: what the gradient reads, and what leaves the front.
  static constexpr auto holds_all = [] {
    std::array<bool, count> result{};
    for (std::size_t l = 0; l < count; ++l) {
      if (output_buffers[l] < 0) continue;
      const bool is_read = needs_output[l] || l + 1 >= front || (l + 1 < count && needs_input[l + 1] && !in_place[l + 1]);
      if (is_read) result[static_cast<std::size_t>(output_buffers[l])] = true;
    }
    return result;
  }();

  /// Where ∂J/∂(output of layer l) lies: in buffer 0 or 1, of all samples, in 2 or 3, of those that are computed at a time, or −1: it is ∂J/∂Z.
  static constexpr auto delta_buffers = [] {
    std::array<int, count> buffer{};
    buffer[count - 1] = -1;
    for (std::size_t l = count; l-- > 1;) {
      const int here = buffer[l], first = l < front ? 2 : 0;
      buffer[l - 1] = identity[l] || (in_place[l] && here >= 0) ? here : here == first ? first + 1 : first;
    }
    return buffer;
  }();

 public:
  using Scalar = Scalar_;

  struct Workspace {
    std::array<Matrix<Scalar>, count> outputs;  // (size,m) of a layer, where the layer has a buffer of its own
    std::array<Matrix<Scalar>, 4> deltas;       // ∂J/∂(output), by turns
    std::vector<std::tuple<detail::LayerWorkspace<Ls, Scalar>...>>
        layers;          // of the front for each block of samples; of the others the first
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
        layer<l>().initialize(VectorRef<Scalar>(theta.segment(slices_[l].begin, slices_[l].size())), seed, stream++);
    });
  }

  void reserve(Prepared& prepared) const {
    detail::each_index<count>([&](auto l) {
      if constexpr (HasLayerParameters<LayerAt<l>>) {
        auto& own = std::get<order[l]>(prepared.layers);
        if constexpr (prepares<l>)
          layer<l>().reserve(own);
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
            layer<l>().prepare(own, piece, std::get<order[l]>(prepared.layers));
          else
            std::get<order[l]>(prepared.layers) = own;
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
          layer<l>().prepare(theta, own, std::get<order[l]>(prepared.layers));
        else
          std::copy_n(theta, own.size(), std::get<order[l]>(prepared.layers).data() + own.begin);
      }
    });
  }

  void reserve(Workspace& workspace, Index samples) const {
    const Index at_a_time = std::min(samples, block_), blocks = front == 0 ? 1 : std::max<Index>(1, (samples + block_ - 1) / block_);
    workspace.layers.resize(static_cast<std::size_t>(blocks));
    detail::each_index<count>([&](auto l) {
      if (output_buffers[l] == static_cast<int>(std::size_t{l})) workspace.outputs[l].resize(sizes_[l], holds_all[l] ? samples : at_a_time);
      for (auto& layers : workspace.layers) {
        auto& own = std::get<order[l]>(layers);
        if constexpr (LayerReservesWorkspace<LayerAt<l>, Scalar>) layer<l>().reserve(own, l < front ? at_a_time : samples);
        if (l >= front) break;
      }
      if (std::size_t{l} >= first_to_learn && delta_buffers[l] >= 0) {
        auto& delta = workspace.deltas[static_cast<std::size_t>(delta_buffers[l])];
        const Index columns = delta_buffers[l] < 2 ? samples : at_a_time;
        if (delta.size() < sizes_[l] * columns) delta.resize(sizes_[l], columns);
      }
    });
    workspace.reserved = samples;
  }

  ConstMatrixRef<Scalar> forward(const Prepared& theta, const ConstMatrixRef<Scalar>& x, Workspace& workspace) const {
    return pass(theta, x, workspace,
                [&](auto l, const auto& own_theta, const ConstMatrixRef<Scalar>& input, MatrixRef<Scalar> output, auto& own, Range) {
                  layer<l>().forward(own_theta, input, output, own);
                });
  }

  ConstMatrixRef<Scalar> forward_training(const Prepared& theta, const ConstMatrixRef<Scalar>& x, Workspace& workspace,
                                          const TrainingContext& at) const requires(LayerTrainsDifferently<Ls, Scalar> || ...) {
    return pass(
        theta, x, workspace,
        [&](auto l, const auto& own_theta, const ConstMatrixRef<Scalar>& input, MatrixRef<Scalar> output, auto& own, Range columns) {
          if constexpr (LayerTrainsDifferently<LayerAt<l>, Scalar>) {
            const auto first = static_cast<std::size_t>(columns.begin), size = static_cast<std::size_t>(columns.size());
            const TrainingContext of_columns{at.seed, at.step, at.samples.subspan(first, size),
                                             at.weights.empty() ? at.weights : at.weights.subspan(first, size)};
            layer<l>().forward_training(own_theta, input, output, own, LayerContext{of_columns, static_cast<std::uint32_t>(order[l])});
          } else {
            layer<l>().forward(own_theta, input, output, own);
          }
        });
  }

  void add_gradient(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
                    VectorRef<Scalar> grad) const {
    backward_into<false>(theta, x, dscores, workspace, grad);
  }
  void gradient(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
                VectorRef<Scalar> grad) const {
    backward_into<true>(theta, x, dscores, workspace, grad);
  }

  using TapeOf = std::conditional_t<has_tape, Sequential, void>;
  struct Piece {
    std::tuple<typename detail::TapeOfLayer<Ls, Scalar>::Piece...> layers;
  };
  struct Tape {
    std::tuple<typename detail::TapeOfLayer<Ls, Scalar>::Tape...> layers;
  };
  void reserve(Piece& piece, Index samples) const requires(has_tape) {
    each_learner([&](auto l) { layer<l>().reserve(std::get<order[l]>(piece.layers), samples); });
  }
  void reserve(Tape& tape, std::size_t parts) const requires(has_tape) {
    each_learner([&](auto l) {
      auto& of_layer = std::get<order[l]>(tape.layers);
      of_layer.parts.reserve(parts);
      layer<l>().reserve(of_layer.own, parts);
    });
  }
  void record(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
              Piece& piece) const requires(has_tape) {
    backward(theta, x, dscores, workspace,
             [&](auto l, Range, auto&... of_pass) { layer<l>().record(of_pass..., std::get<order[l]>(piece.layers)); });
  }
  void collect(std::span<const TapePart<Piece>> parts, Tape& tape) const requires(has_tape) {
    each_learner([&](auto l) {
      auto& [of_layer, own] = std::get<order[l]>(tape.layers);
      of_layer.clear();
      for (const auto& part : parts)
        of_layer.push_back({&std::get<order[l]>(part.piece->layers), part.samples, part.first, part.count, part.begins, part.ends});
      layer<l>().collect(std::span(std::as_const(of_layer)), own);
    });
  }
  void gradient(const Tape& tape, Range range, Scalar* out) const requires(has_tape) {
    each_learner([&](auto l) {
      const Range slice = slices_[l];
      if (range.begin >= slice.begin && range.begin < slice.end)
        layer<l>().gradient(std::get<order[l]>(tape.layers).own, {range.begin - slice.begin, range.end - slice.begin}, out);
    });
  }

 private:
  /// f(l) for every layer with parameters
  template <class F>
  static void each_learner(const F& f) {
    detail::each_index<count>([&](auto l) {
      if constexpr (learns[l]) f(l);
    });
  }

  template <std::size_t l>
  static constexpr bool prepares =
      HasLayerParameters<LayerAt<l>> && !std::is_same_v<LayerPrepared<LayerAt<l>, Scalar>, ConstVectorRef<Scalar>>;

  template <std::size_t l>
  Index num_pieces() const {
    if constexpr (prepares<l>)
      return layer<l>().num_preparations();
    else
      return HasLayerParameters<LayerAt<l>> ? 1 : 0;
  }

  /// Tells every layer the shape of its input, and lays out the parameters.
  void connect(Shape shape) {
    Index largest = shape.size();  // of what the front hands on
    detail::each_index<count>([&](auto l) {
      auto& own = std::get<order[l]>(layers_);
      const Index before = shape.size();
      try {
        shape = own.connect(shape);
        if (detail::is_in_place<LayerAt<l>> && shape.size() != before)
          throw std::invalid_argument(
              detail::text("it works in place, so its output must be as large as its input, ", before, "; got ", shape.size()));
      } catch (const std::invalid_argument& error) {
        const auto text = detail::text("layer ", order[l], " (", detail::layer_name<LayerAt<l>>(), "): ", error.what());
        if (dynamic_cast<const OptionError*>(&error) != nullptr) throw OptionError(text);
        throw std::invalid_argument(text);
      }
      sizes_[l] = shape.size();
      slices_[l].begin = parameters_.size();
      if constexpr (HasLayerParameters<LayerAt<l>>) {
        for (ParameterBlock block : ParameterList(own.parameters())) {
          block.name = detail::text("layer", order[l], ".", block.name);
          parameters_.add(std::move(block));
        }
      }
      slices_[l].end = parameters_.size();
      if (l < front) largest = std::max(largest, sizes_[l]);
      if constexpr (CanDoWithoutInputGradient<LayerAt<l>>)
        if (std::size_t{l} <= first_to_learn) own.without_input_gradient();
    });
    constexpr Index most = (Index{1} << 17) / static_cast<Index>(sizeof(Scalar));  // a quarter of a small second-level cache
    block_ = std::max<Index>(1, most / largest);
  }

  template <std::size_t l>
  decltype(auto) theta_of(const Prepared& prepared) const {
    if constexpr (prepares<l>)
      return (std::get<order[l]>(prepared.layers));
    else if constexpr (HasLayerParameters<LayerAt<l>>)
      return ConstVectorRef<Scalar>(std::get<order[l]>(prepared.layers));
    else
      return ConstVectorRef<Scalar>(Eigen::Map<const Vector<Scalar>>(nullptr, 0));
  }

  template <std::size_t l>
  const LayerAt<l>& layer() const {
    return std::get<order[l]>(layers_);
  }

  /// Columns of what layer l gives. A buffer that does not hold all samples begins with them.
  template <std::size_t l>
  auto output_of(Workspace& workspace, Range columns) const {
    constexpr auto buffer = static_cast<std::size_t>(output_buffers[l]);
    Scalar* first = workspace.outputs[buffer].data() + (holds_all[buffer] ? columns.begin * sizes_[l] : 0);
    return Eigen::Map<Matrix<Scalar>>(first, sizes_[l], columns.size());
  }
  /// The same, or X where that lies there.
  template <std::size_t l>
  ConstMatrixRef<Scalar> result_of(const ConstMatrixRef<Scalar>& x, Workspace& workspace, Range columns) const {
    if constexpr (output_buffers[l] < 0)
      return x.middleCols(columns.begin, columns.size());
    else
      return output_of<l>(workspace, columns);
  }
  template <std::size_t l>
  ConstMatrixRef<Scalar> input_of(const ConstMatrixRef<Scalar>& x, Workspace& workspace, Range columns) const {
    if constexpr (l == 0)
      return x.middleCols(columns.begin, columns.size());
    else
      return result_of<l - 1>(x, workspace, columns);
  }

  /// f(columns, workspaces of the layers) for the samples that the front computes at a time.
  template <class F>
  void each_block(Index samples, Workspace& workspace, const F& f) const {
    if constexpr (front > 0)
      for (Index begin = 0, i = 0; begin < samples; begin += block_, ++i)
        f(Range{begin, std::min(begin + block_, samples)}, workspace.layers[static_cast<std::size_t>(i)]);
  }

  template <class ForwardLayer>
  ConstMatrixRef<Scalar> pass(const Prepared& theta, const ConstMatrixRef<Scalar>& x, Workspace& workspace,
                              const ForwardLayer& forward_layer) const {
    if (workspace.reserved < x.cols() || workspace.layers.empty()) reserve(workspace, x.cols());
    const auto forward_columns = [&](auto l, Range columns, auto& layers) {
      if constexpr (!identity[l])
        forward_layer(l, theta_of<l>(theta), input_of<l>(x, workspace, columns), MatrixRef<Scalar>(output_of<l>(workspace, columns)),
                      std::get<order[l]>(layers), columns);
    };
    each_block(x.cols(), workspace,
               [&](Range columns, auto& layers) { detail::each_index<front>([&](auto l) { forward_columns(l, columns, layers); }); });
    detail::each_index<count - front>([&](auto i) {
      forward_columns(std::integral_constant<std::size_t, front + i>{}, Range{0, x.cols()}, workspace.layers[0]);
    });
    return result_of<count - 1>(x, workspace, {0, x.cols()});
  }

  template <bool overwrite>
  void backward_into(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
                     VectorRef<Scalar> grad) const {
    backward(theta, x, dscores, workspace, [&](auto l, Range columns, auto&... of_pass) {
      VectorRef<Scalar> slice = grad.segment(slices_[l].begin, slices_[l].size());
      if constexpr (overwrite && l >= front && LayerOverwritesGradient<LayerAt<l>, Scalar>) {
        layer<l>().gradient(of_pass..., slice);
      } else {
        if (overwrite && columns.begin == 0) slice.setZero();
        layer<l>().add_gradient(of_pass..., slice);
      }
    });
  }

  /// From the last layer to the first one with parameters; layer_gradient(l, columns, theta, x, z, dz, workspace) for each that has some.
  template <class LayerGradient>
  void backward(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
                const LayerGradient& layer_gradient) const {
    const auto delta_buffer = [&](auto l, Range columns) {
      constexpr auto buffer = static_cast<std::size_t>(delta_buffers[l]);
      Scalar* first = workspace.deltas[buffer].data() + (buffer < 2 ? columns.begin * sizes_[l] : 0);
      return Eigen::Map<Matrix<Scalar>>(first, sizes_[l], columns.size());
    };
    const auto delta_of = [&](auto l, Range columns) -> ConstMatrixRef<Scalar> {
      if constexpr (delta_buffers[l] < 0)
        return dscores.middleCols(columns.begin, columns.size());
      else
        return delta_buffer(l, columns);
    };
    const auto backward_columns = [&](auto l, Range columns, auto& layers) {
      if constexpr (l >= first_to_learn && !identity[l]) {
        auto& own = std::get<order[l]>(layers);
        decltype(auto) own_theta = theta_of<l>(theta);
        const ConstMatrixRef<Scalar> input = input_of<l>(x, workspace, columns), output = output_of<l>(workspace, columns);
        const ConstMatrixRef<Scalar> delta = delta_of(l, columns);
        if constexpr (HasLayerParameters<LayerAt<l>>) layer_gradient(l, columns, own_theta, input, output, delta, own);
        if constexpr (l > first_to_learn)
          layer<l>().input_gradient(own_theta, input, output, delta,
                                    MatrixRef<Scalar>(delta_buffer(std::integral_constant<std::size_t, l - 1>{}, columns)), own);
      }
    };
    detail::each_index<count - front>([&](auto i) {
      backward_columns(std::integral_constant<std::size_t, count - 1 - i>{}, Range{0, x.cols()}, workspace.layers[0]);
    });
    each_block(x.cols(), workspace, [&](Range columns, auto& layers) {
      detail::each_index<front>([&](auto i) { backward_columns(std::integral_constant<std::size_t, front - 1 - i>{}, columns, layers); });
    });
  }

  std::tuple<Ls...> layers_;
  Index num_inputs_ = 0;
  Index block_ = 1;                    // samples that the front computes at a time
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
