// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <span>

#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/product.hpp>

namespace parade::detail {

/// Z (k,m) = W (k,d) X (d,m) + b (k): the three products of a dense layer, on slices of θ and g. The weights are packed once a step and
/// shared by all shards.
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

  /// The same, overwritten, for several shards: summed over the canonical tree (see kernels::outer_product_tree).
  void gradient(std::span<const Index> ends, const Scalar* x, Index ldx, const Scalar* dz, Index lddz, Scalar* grad) const {
    kernels::outer_product_tree(outputs_, inputs_, ends, dz, lddz, x, ldx, grad + weight_, outputs_);
    kernels::sum_columns_tree(outputs_, ends, dz, lddz, grad + bias_);
  }

 private:
  Index inputs_, outputs_;
  Index weight_, bias_;  // where the slices begin in θ and in g
};

}  // namespace parade::detail
