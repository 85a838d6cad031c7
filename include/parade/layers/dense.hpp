// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <vector>

#include <parade/concepts/layer.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/shard_plan.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/product.hpp>
#include <parade/layers/initialization.hpp>

namespace parade::detail {

/// What is made of W and b once a step.
template <class Scalar>
struct DensePrepared {
  Vector<Scalar> weight;      // W packed, for `forward`; aligned as Eigen aligns, so that no load of a whole vector crosses a cache line
  Vector<Scalar> transposed;  // Wᵀ packed, for `input_gradient`; empty where nobody needs it
  Vector<Scalar> bias;        // (k)
};

/// What some samples leave for the gradient: ∂J/∂Z and the inputs, packed for their product.
template <class Scalar>
struct DenseTapePiece {
  Vector<Scalar> deltas;  // dZ (k,m) in panels
  Vector<Scalar> inputs;  // X (d,m) in strips
};

/// Z (k,m) = W (k,d) X (d,m) + b (k): the three products of a dense layer, on slices of θ and g. The weights are packed once a step and
/// shared by all shards. b stands right behind W.
template <class Scalar>
class Dense {
 public:
  Dense(Index inputs, Index outputs, const ParameterBlock& weight, const ParameterBlock& bias)
      : Dense(inputs, outputs, weight.offset, bias.offset) {}
  Dense(Index inputs, Index outputs, Index weight, Index bias) : inputs_(inputs), outputs_(outputs), weight_(weight), bias_(bias) {}

  Index inputs() const { return inputs_; }    // d
  Index outputs() const { return outputs_; }  // k

  using Prepared = DensePrepared<Scalar>;

  void reserve(Prepared& prepared, bool needs_input_gradient) const {
    prepared.weight.resize(kernels::packed_size<Scalar>(outputs_, inputs_));
    if (needs_input_gradient) prepared.transposed.resize(kernels::packed_size<Scalar>(inputs_, outputs_));
    prepared.bias.resize(outputs_);
  }

  /// Panels of W, and of Wᵀ: each can be packed by itself.
  Index num_pieces(bool needs_input_gradient) const {
    return kernels::num_panels<Scalar>(outputs_) + (needs_input_gradient ? kernels::num_panels<Scalar>(inputs_) : 0);
  }

  void prepare(const Scalar* theta, Index piece, Prepared& prepared) const {
    const Scalar* weight = theta + weight_;  // (k,d)
    const Index panels = kernels::num_panels<Scalar>(outputs_);
    if (piece == 0) std::copy_n(theta + bias_, outputs_, prepared.bias.data());
    if (piece < panels)
      kernels::pack_panels(outputs_, inputs_, weight, Index{1}, outputs_, prepared.weight.data(), piece, piece + 1);
    else
      kernels::pack_panels(inputs_, outputs_, weight, outputs_, Index{1}, prepared.transposed.data(), piece - panels, piece - panels + 1);
  }

  /// As all of `prepare`, for the elements of θ in a range: whole columns of the weight, a part of one, or of the bias. `theta`: of the range.
  void prepare(const Scalar* theta, Range range, Prepared& prepared) const {
    if (range.begin >= bias_) {
      std::copy_n(theta, range.size(), prepared.bias.data() + (range.begin - bias_));
      return;
    }
    const Index begin = range.begin - weight_, rows = std::min(outputs_, range.size()), columns = range.size() / rows;
    const Index row = begin % outputs_, column = begin / outputs_;  // (rows,columns), from (row,column) on
    kernels::pack_part(outputs_, inputs_, {row, row + rows}, {column, column + columns}, theta, Index{1}, rows, prepared.weight.data());
    if (prepared.transposed.size() > 0)
      kernels::pack_part(inputs_, outputs_, {column, column + columns}, {row, row + rows}, theta, rows, Index{1},
                         prepared.transposed.data());
  }

  void forward(const Prepared& prepared, Index m, const Scalar* x, Index ldx, Scalar* z, Index ldz) const {
    kernels::product(outputs_, m, inputs_, prepared.weight.data(), x, ldx, prepared.bias.data(), z, ldz);  // (k,m) = (k) + (k,d)(d,m)
  }

  void input_gradient(const Prepared& prepared, Index m, const Scalar* dz, Index lddz, Scalar* dx, Index lddx) const {
    kernels::product(inputs_, m, outputs_, prepared.transposed.data(), dz, lddz, nullptr, dx, lddx);  // (d,m) = (d,k)(k,m)
  }

  /// The layer's slices of grad (P): overwritten, or added to.
  void gradient(Index m, const Scalar* x, Index ldx, const Scalar* dz, Index lddz, Scalar* grad, kernels::Start start) const {
    kernels::outer_product(outputs_, inputs_, m, dz, lddz, x, ldx, grad + weight_, outputs_, start);  // (k,d) += (k,m)(m,d)
    kernels::sum_columns(outputs_, m, dz, lddz, grad + bias_, start);                                 // (k)   += Σ_m
  }

  using Piece = DenseTapePiece<Scalar>;
  void reserve(Piece& piece, Index samples) const {
    piece.deltas.resize(kernels::packed_size<Scalar>(outputs_, samples));
    piece.inputs.resize(kernels::strips_size(inputs_, samples));
  }
  void record(Index m, const Scalar* x, Index ldx, const Scalar* dz, Index lddz, Piece& piece) const {
    kernels::pack_panels(outputs_, m, dz, Index{1}, lddz, piece.deltas.data(), 0, kernels::num_panels<Scalar>(outputs_));
    kernels::pack_strips(inputs_, m, x, ldx, piece.inputs.data());
  }
  template <class Part>
  static kernels::ShardPart<Scalar> part_of_shard(const Piece& piece, const Part& part) {
    return {piece.deltas.data(), piece.inputs.data(), part.samples, part.first, part.count, part.begins, part.ends};
  }

  bool holds(Index parameter) const { return parameter >= weight_ && parameter < bias_ + outputs_; }

  /// Elements of a batch's gradient, summed over the canonical tree on its shards: whole columns of the weight, or a part of one, or of the bias.
  void gradient(std::span<const kernels::ShardPart<Scalar>> parts, Range range, Scalar* out) const {
    if (range.begin >= bias_) return kernels::sum_columns_tree(outputs_, {range.begin - bias_, range.end - bias_}, parts, out);
    const Index begin = range.begin - weight_, end = range.end - weight_, column = begin / outputs_;
    const bool is_part = begin % outputs_ != 0 || end % outputs_ != 0;
    PARADE_ASSERT(!is_part || (end - 1) / outputs_ == column);
    const Range rows = is_part ? Range{begin - column * outputs_, end - column * outputs_} : Range{0, outputs_};
    kernels::outer_product_tree(outputs_, rows, {column, is_part ? column + 1 : end / outputs_}, parts, out,
                                rows.size());  // (k,d) = Σ (k,m)(m,d)
  }

 private:
  Index inputs_, outputs_;
  Index weight_, bias_;  // where the slices begin in θ and in g
};

}  // namespace parade::detail

namespace parade {

struct DenseOptions {
  Initialization initialization = Initialization::he;
};

/// Fully connected layer: z = W x + b, W (outputs, inputs), b (outputs).
///
///   parade::Dense{784, 128}
///   parade::Dense{128, 10, {.initialization = parade::Initialization::glorot}}
///
/// Takes {inputs}, gives {outputs}; behind an image stands Flatten. Parameters: `weight` (outputs, inputs), `bias`. The bits are those of Mlp.
/// Throws std::invalid_argument for inputs or outputs below 1.
class Dense {
 public:
  using SampleBySampleOf = Dense;
  static constexpr const char* name = "Dense";
  static constexpr bool needs_output = false;

  Dense(Index inputs, Index outputs, DenseOptions options = {}) : inputs_(inputs), outputs_(outputs), options_(options) {
    if (inputs < 1 || outputs < 1)
      throw std::invalid_argument(detail::text("Dense must have at least 1 input and 1 output; got ", inputs, " and ", outputs));
  }

  Shape input_shape() const { return inputs_; }
  Index outputs() const { return outputs_; }
  Shape connect(const Shape& input) {
    gives_input_gradient_ = true;
    if (input != Shape(inputs_))
      throw std::invalid_argument(
          detail::text("it wants ", Shape(inputs_), "; got ", input, input.is_image() ? ": put a Flatten before it" : ""));
    return outputs_;
  }
  void without_input_gradient() { gives_input_gradient_ = false; }

  ParameterList parameters() const { return {{"weight", outputs_, inputs_}, {"bias", outputs_, 1, Role::bias}}; }
  template <class S>
  void initialize(VectorRef<S> theta, std::uint64_t seed, std::uint64_t stream) const {
    detail::initialize_weight<S>({theta.data(), outputs_, inputs_}, options_.initialization, seed, stream);
    theta.tail(outputs_).setZero();
  }

  template <class S>
  using Prepared = detail::DensePrepared<S>;
  template <class S>
  void reserve(detail::DensePrepared<S>& prepared) const {
    kernel<S>().reserve(prepared, gives_input_gradient_);
  }
  Index num_preparations() const { return 1; }
  template <class S>
  void prepare(const ConstVectorRef<S>& theta, Index, detail::DensePrepared<S>& prepared) const {
    const auto own = kernel<S>();
    for (Index piece = 0; piece < own.num_pieces(gives_input_gradient_); ++piece) own.prepare(theta.data(), piece, prepared);
  }
  template <class S>
  void prepare(const S* theta, Range range, detail::DensePrepared<S>& prepared) const {
    kernel<S>().prepare(theta, range, prepared);
  }

  template <class S>
  void forward(const detail::DensePrepared<S>& theta, const ConstMatrixRef<S>& x, MatrixRef<S> z, auto&) const {
    kernel<S>().forward(theta, x.cols(), x.data(), x.outerStride(), z.data(), z.outerStride());  // (k,m) = (k) + (k,d)(d,m)
  }
  template <class S>
  void input_gradient(const detail::DensePrepared<S>& theta, const ConstMatrixRef<S>&, const ConstMatrixRef<S>&,
                      const ConstMatrixRef<S>& dz, MatrixRef<S> dx, auto&) const {
    kernel<S>().input_gradient(theta, dz.cols(), dz.data(), dz.outerStride(), dx.data(), dx.outerStride());  // (d,m) = (d,k)(k,m)
  }
  template <class S>
  void add_gradient(const detail::DensePrepared<S>&, const ConstMatrixRef<S>& x, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& dz,
                    auto&, VectorRef<S> grad) const {
    kernel<S>().gradient(x.cols(), x.data(), x.outerStride(), dz.data(), dz.outerStride(), grad.data(), kernels::Start::stored);
  }
  template <class S>
  void gradient(const detail::DensePrepared<S>&, const ConstMatrixRef<S>& x, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& dz, auto&,
                VectorRef<S> grad) const {
    kernel<S>().gradient(x.cols(), x.data(), x.outerStride(), dz.data(), dz.outerStride(), grad.data(), kernels::Start::zero);
  }

  using TapeOf = Dense;
  template <class S>
  using Piece = detail::DenseTapePiece<S>;
  template <class S>
  using Tape = std::vector<kernels::ShardPart<S>>;
  template <class S>
  void reserve(detail::DenseTapePiece<S>& piece, Index samples) const {
    kernel<S>().reserve(piece, samples);
  }
  template <class S>
  void reserve(std::vector<kernels::ShardPart<S>>& tape, std::size_t parts) const {
    tape.reserve(parts);
  }
  template <class S>
  void record(const detail::DensePrepared<S>&, const ConstMatrixRef<S>& x, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& dz, auto&,
              detail::DenseTapePiece<S>& piece) const {
    kernel<S>().record(x.cols(), x.data(), x.outerStride(), dz.data(), dz.outerStride(), piece);
  }
  template <class S>
  void collect(std::span<const TapePart<detail::DenseTapePiece<S>>> parts, std::vector<kernels::ShardPart<S>>& tape) const {
    tape.clear();
    for (const auto& part : parts) tape.push_back(detail::Dense<S>::part_of_shard(*part.piece, part));
  }
  template <class S>
  void gradient(const std::vector<kernels::ShardPart<S>>& tape, Range range, S* out) const {
    kernel<S>().gradient(tape, range, out);
  }

 private:
  template <class S>
  detail::Dense<S> kernel() const {
    return {inputs_, outputs_, Index{0}, inputs_ * outputs_};
  }

  Index inputs_, outputs_;
  DenseOptions options_;
  bool gives_input_gradient_ = true;
};

static_assert(Layer<Dense, float> && Layer<Dense, double> && LayerTaped<Dense, float> && LayerTaped<Dense, double>);

}  // namespace parade
