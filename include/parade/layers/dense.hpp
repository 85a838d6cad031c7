// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <span>

#include <parade/core/parameters.hpp>
#include <parade/core/shard_plan.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/product.hpp>

namespace parade::detail {

/// Z (k,m) = W (k,d) X (d,m) + b (k): the three products of a dense layer, on slices of θ and g. The weights are packed once a step and
/// shared by all shards. b stands right behind W.
template <class Scalar>
class Dense {
 public:
  Dense(Index inputs, Index outputs, const ParameterBlock& weight, const ParameterBlock& bias)
      : inputs_(inputs), outputs_(outputs), weight_(weight.offset), bias_(bias.offset) {}

  Index inputs() const { return inputs_; }    // d
  Index outputs() const { return outputs_; }  // k

  struct Prepared {
    Vector<Scalar> weight;      // W packed, for `forward`; aligned as Eigen aligns, so that no load of a whole vector crosses a cache line
    Vector<Scalar> transposed;  // Wᵀ packed, for `input_gradient`; empty where nobody needs it
    Vector<Scalar> bias;        // (k)
  };

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

  /// What some samples leave for the gradient: ∂J/∂Z and the inputs, packed for their product.
  struct Piece {
    Vector<Scalar> deltas;  // dZ (k,m) in panels
    Vector<Scalar> inputs;  // X (d,m) in strips
  };
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
