// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <parade/concepts/argument.hpp>
#include <parade/concepts/sample_by_sample.hpp>
#include <parade/concepts/tape.hpp>
#include <parade/concepts/training_context.hpp>
#include <parade/core/error.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/shard_plan.hpp>
#include <parade/core/types.hpp>

namespace parade {

/// The shape of one sample between two layers: {features}, or {channels, height, width}. In a column of X the width runs fastest: element
/// (c, i, j) is number (c·height + i)·width + j, as in MNIST's files and in PyTorch.
///
///   parade::Shape{784}          parade::Shape{1, 28, 28}
///
/// Throws std::invalid_argument for an extent below 1.
class Shape {
 public:
  Shape(Index features) : Shape(features, 1, 1, false) {}
  Shape(Index channels, Index height, Index width) : Shape(channels, height, width, true) {}

  bool is_image() const { return is_image_; }
  Index channels() const { return channels_; }  // of {features}: the features
  Index height() const { return height_; }      // of {features}: 1
  Index width() const { return width_; }        // of {features}: 1
  Index size() const { return channels_ * height_ * width_; }
  friend bool operator==(const Shape&, const Shape&) = default;

  /// "784 features" or "1 × 28 × 28"
  std::string text() const {
    return is_image_ ? detail::text(channels_, " × ", height_, " × ", width_)
                     : detail::text(channels_, channels_ == 1 ? " feature" : " features");
  }
  friend std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << shape.text(); }

 private:
  Shape(Index channels, Index height, Index width, bool is_image)
      : channels_(channels), height_(height), width_(width), is_image_(is_image) {
    if (channels < 1 || height < 1 || width < 1)
      throw std::invalid_argument(detail::text("every extent of a shape must be at least 1; got ", text()));
  }

  Index channels_, height_, width_;
  bool is_image_;
};

/// What `forward_training` of a layer is told: the step and the samples, and which layer of the network it is, so that no two draw the same
/// random numbers.
struct LayerContext : TrainingContext {
  std::uint32_t layer = 0;
};

namespace detail {

/// What a layer without a workspace is given for one.
struct NoWorkspace {};

template <class L, class S>
struct LayerWorkspaceType {
  using type = NoWorkspace;
};
template <class L, class S>
  requires requires { typename L::template Workspace<S>; }
struct LayerWorkspaceType<L, S> {
  using type = typename L::template Workspace<S>;
};
template <class L, class S>
using LayerWorkspace = typename LayerWorkspaceType<L, S>::type;

template <class L, class S>
struct LayerPreparedType {
  using type = ConstVectorRef<S>;
};
template <class L, class S>
  requires requires { typename L::template Prepared<S>; }
struct LayerPreparedType<L, S> {
  using type = typename L::template Prepared<S>;
};

}  // namespace detail

/// What a layer gets for its slice of θ: the slice itself, or the object that its `prepare` filled.
template <class L, class S>
using LayerPrepared = typename detail::LayerPreparedType<L, S>::type;

template <class L>
concept HasConnect = requires(L layer, const Shape& input) {
  { layer.connect(input) } -> std::same_as<Shape>;
};

template <class L, class S>
concept HasLayerForward = requires(const L layer, const LayerPrepared<L, S>& theta, const ConstMatrixRef<S>& x, MatrixRef<S> z,
                                   detail::LayerWorkspace<L, S>& workspace) {
  layer.forward(theta, x, z, workspace);
};

template <class L, class S>
concept HasInputGradient = requires(const L layer, const LayerPrepared<L, S>& theta, const ConstMatrixRef<S>& x, const ConstMatrixRef<S>& z,
                                    const ConstMatrixRef<S>& dz, MatrixRef<S> dx, detail::LayerWorkspace<L, S>& workspace) {
  layer.input_gradient(theta, x, z, dz, dx, workspace);
};

template <class L>
concept HasLayerParameters = requires(const L layer) {
  { layer.parameters() } -> std::convertible_to<ParameterList>;
};

template <class L, class S>
concept InitializesAndAddsGradient = requires(const L layer, VectorRef<S> theta, std::uint64_t seed, std::uint64_t stream,
                                              const LayerPrepared<L, S>& prepared, const ConstMatrixRef<S>& x, const ConstMatrixRef<S>& z,
                                              const ConstMatrixRef<S>& dz, detail::LayerWorkspace<L, S>& workspace, VectorRef<S> grad) {
  layer.initialize(theta, seed, stream);
  layer.add_gradient(prepared, x, z, dz, workspace, grad);
};

/// A layer with parameters can do all that parameters need.
template <class L, class S>
concept LearnsIfItHasParameters = !HasLayerParameters<L> || InitializesAndAddsGradient<L, S>;

/// A layer with parameters whose gradient can be computed range by range of its slice from a tape, as Taped says it of a model: then a network of such layers,
/// and of others that promise SampleBySample, has a tape.
///
///   1. `template <class S> struct Piece` and `struct Tape`, default-initializable; `reserve(piece, samples)` and `reserve(tape, parts)` make room.
///   2. `record(theta, x, z, dz, workspace, piece)` stands in the place of add_gradient: it writes into the piece all that the gradient needs.
///   3. `collect(std::span<const TapePart<Piece<S>>> parts, tape)`, once a batch: the parts of all its shards, in order.
///   4. `gradient(tape, Range range, S* out)` writes the elements `range` of the layer's slice of the gradient, bit for bit what add_gradient for each shard,
///      from zero, and adding up over the canonical tree would give.
///   5. `SampleBySampleOf` and `TapeOf` name the class itself: a class that inherits from it may compute something else, and has no tape.
template <class L, class S>
concept LayerTaped = std::same_as<typename L::TapeOf, L> && SampleBySample<L> &&
    std::default_initializable<typename L::template Piece<S>> && std::default_initializable<typename L::template Tape<S>> &&
    requires(const L layer, const LayerPrepared<L, S>& theta, const ConstMatrixRef<S>& x, const ConstMatrixRef<S>& z,
             const ConstMatrixRef<S>& dz, detail::LayerWorkspace<L, S>& workspace, typename L::template Piece<S>& piece, Index samples,
             std::span<const TapePart<typename L::template Piece<S>>> parts, typename L::template Tape<S>& tape, std::size_t count,
             const typename L::template Tape<S>& collected, Range range, S* out) {
  layer.reserve(piece, samples);
  layer.reserve(tape, count);
  layer.record(theta, x, z, dz, workspace, piece);
  layer.collect(parts, tape);
  layer.gradient(collected, range, out);
};

/// A slip in the functions of a layer that says it has a tape is not passed over.
template <class L, class S>
concept TapedIfItSaysSo = !requires {
  requires std::same_as<typename L::TapeOf, L>;
}
|| LayerTaped<L, S>;

/// Layer: one step of a Sequential network: maps X (d,m) to Z (k,m), one sample a column, and ∂J/∂Z back to ∂J/∂X and to the gradient of its own
/// parameters. One type serves float and double: the functions are templates on the scalar S.
///
/// Requirements for a type L and a scalar S:
///   1. L can be copied. `connect(const Shape& input)`, called before all else (of a copy perhaps once more, with the same shape), returns the shape of Z, and
///      remembers what it needs of the input's.
///      It throws std::invalid_argument where the input does not fit; Sequential adds which layer it was.
///   2. `forward(theta, x, z, workspace)` overwrites Z. Column j depends on θ and on column j of X alone (but see 8).
///   3. `input_gradient(theta, x, z, dz, dx, workspace)` overwrites ∂J/∂X (d,m). It is called after `forward` with the same X, Z and workspace, and is
///      not called where nobody needs it: in front of the first layer with parameters.
///   4. All but `connect` are const: one object serves all workers.
/// theta is ConstVectorRef<S>, the layer's own slice; X, ∂J/∂Z, and in 3 Z, are ConstMatrixRef<S>, what is written is MatrixRef<S>; `workspace` may be
/// taken as `auto&`.
///
/// With parameters, besides:
///   5. `parameters()`, after `connect`: a ParameterList of the layer alone; Sequential writes "layer3." before the names.
///      `initialize(VectorRef<S> theta, seed, stream)` writes the starting slice, a pure function of the numbers, another stream for each layer.
///      `add_gradient(theta, x, z, dz, workspace, VectorRef<S> grad)` adds Σ_j (∂Z_j/∂θ)ᵀ dz_j to the slice of the gradient; it is called before
///      `input_gradient`.
///
/// Not required:
///   6. `template <class S> struct Workspace`: what a worker changes while it computes; `reserve(workspace, samples)` makes it large enough.
///   7. `template <class S> struct Prepared`: what is made of θ once a step, given wherever theta stands above: `reserve(prepared)`, and
///      `prepare(const ConstVectorRef<S>& theta, piece, prepared)` for the pieces 0 … `num_preparations()` − 1, which run at the same time.
///   8. `forward_training(theta, x, z, workspace, const LayerContext& at)`: the pass where gradients are computed, see TrainsDifferently. A layer whose columns
///      depend on each other says `static constexpr bool sample_by_sample = false`.
///   9. `gradient`, as add_gradient, overwrites the slice.
///  10. `static constexpr const char* name` for messages; `input_shape()` returns a Shape where the layer alone knows what it takes, and can then be the first
///      without a Shape before it; `without_input_gradient()` is called where requirement 3 will never be used.
///  11. `static constexpr bool in_place = true`: Z may lie where X lay, and ∂J/∂X where ∂J/∂Z lay; the gradient then reads Z and not X.
///      `static constexpr bool needs_output = false`: the gradient does not read Z, which the next layer may overwrite; `needs_input = false`: it does
///      not read X. What nobody reads is not kept.
///  12. `using SampleBySampleOf = …`, naming the class itself, promises SampleBySample: a sample's column has the same bits whatever stands beside it. A network
///      of which all layers promise that, and all with parameters are LayerTaped, is trained faster.
/// In front of the first Flatten, layers are given some samples of a shard at a time, each time with another workspace, which is the same for the gradient.
///
/// See also: Model, parade::Sequential, include/parade/layers/README.md.
template <class L, class S = float>
concept Layer = std::copyable<L> && HasConnect<L> && HasLayerForward<L, S> && HasInputGradient<L, S> && LearnsIfItHasParameters<L, S> &&
    TapedIfItSaysSo<L, S>;

/// A layer that is computed in another way while it is trained.
template <class L, class S>
concept LayerTrainsDifferently = requires(const L layer, const LayerPrepared<L, S>& theta, const ConstMatrixRef<S>& x, MatrixRef<S> z,
                                          detail::LayerWorkspace<L, S>& workspace, const LayerContext& at) {
  layer.forward_training(theta, x, z, workspace, at);
};

template <class L, class S>
concept LayerOverwritesGradient = requires(const L layer, const LayerPrepared<L, S>& theta, const ConstMatrixRef<S>& x,
                                           const ConstMatrixRef<S>& z, const ConstMatrixRef<S>& dz, detail::LayerWorkspace<L, S>& workspace,
                                           VectorRef<S> grad) {
  layer.gradient(theta, x, z, dz, workspace, grad);
};

template <class L, class S>
concept LayerReservesWorkspace = requires(const L layer, detail::LayerWorkspace<L, S>& workspace, Index samples) {
  layer.reserve(workspace, samples);
};

template <class L>
concept CanDoWithoutInputGradient = requires(L layer) {
  layer.without_input_gradient();
};

namespace detail {

template <class L>
inline constexpr bool is_in_place = requires {
  requires L::in_place;
};
template <class L>
inline constexpr bool needs_output = !requires {
  requires !L::needs_output;
};
template <class L>
inline constexpr bool needs_input = !requires {
  requires !L::needs_input;
};
/// For Relu and MaxPool2d, which may change places.
template <class L>
inline constexpr bool commutes_with_maximum = requires {
  requires L::commutes_with_maximum;
};
template <class L>
inline constexpr bool takes_maximum = requires {
  requires L::takes_maximum;
};
/// Z is X, element for element: nothing is computed (Flatten).
template <class L>
inline constexpr bool is_identity = requires {
  requires L::is_identity;
};
template <class L>
inline constexpr bool layer_depends_on_shard = requires {
  requires !L::sample_by_sample;
};

template <class L>
constexpr const char* layer_name() {
  if constexpr (requires { L::name; })
    return L::name;
  else
    return "a layer of your own";
}

/// What `connect` throws where a layer wants an image, or anything else.
inline const Shape& want_image(const Shape& input) {
  if (!input.is_image()) throw std::invalid_argument(text("it wants channels × height × width; got ", input));
  return input;
}

}  // namespace detail
}  // namespace parade
