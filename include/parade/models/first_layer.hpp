// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <parade/concepts/layer.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/product.hpp>

// For sparse rows: a network whose first layer is dense, cut behind the product of that layer.
namespace parade::detail {

/// to (size) += x from
template <class Scalar>
void add_multiple(Scalar x, const Scalar* __restrict from, Index size, Scalar* __restrict to) {
  for (Index c = 0; c < size; ++c) to[c] = std::fma(x, from[c], to[c]);
}

/// What stands for a dense layer, W x + b, when its input is a = W x (k,m): z = a + b. With the functions of Dense. b (k) is the first in θ and in g.
template <class Scalar>
class BiasOfProduct {
 public:
  explicit BiasOfProduct(Index outputs) : outputs_(outputs) {}

  Index outputs() const { return outputs_; }  // k

  using Prepared = Vector<Scalar>;
  void reserve(Prepared& prepared, bool) const { prepared.resize(outputs_); }
  Index num_pieces(bool) const { return 1; }
  void prepare(const Scalar* theta, Index, Prepared& prepared) const { std::copy_n(theta, outputs_, prepared.data()); }

  void forward(const Prepared& bias, Index m, const Scalar* a, Index lda, Scalar* z, Index ldz) const {
    for (Index j = 0; j < m; ++j)
      for (Index c = 0; c < outputs_; ++c) z[j * ldz + c] = a[j * lda + c] + bias[c];
  }
  void gradient(Index m, const Scalar*, Index, const Scalar* dz, Index lddz, Scalar* grad, kernels::Start start) const {
    kernels::sum_columns(outputs_, m, dz, lddz, grad, start);  // (k) += Σ_m
  }

 private:
  Index outputs_;
};

/// The same as a layer of a Sequential. ∂J/∂a is kept.
class FirstBias {
 public:
  static constexpr const char* name = "Dense";
  static constexpr bool needs_output = false;
  template <class S>
  struct Workspace {
    Matrix<S> deltas;  // ∂J/∂a (k,m)
  };

  explicit FirstBias(Index outputs) : outputs_(outputs) {}

  Shape input_shape() const { return outputs_; }
  Shape connect(const Shape& input) { return input; }
  ParameterList parameters() const { return {{"bias", outputs_, 1, Role::bias}}; }
  template <class S>
  void initialize(VectorRef<S> theta, std::uint64_t, std::uint64_t) const {
    theta.setZero();
  }
  template <class S>
  void reserve(Workspace<S>& workspace, Index samples) const {
    workspace.deltas.resize(outputs_, samples);
  }

  template <class S>
  void forward(const ConstVectorRef<S>& theta, const ConstMatrixRef<S>& x, MatrixRef<S> z, auto&) const {
    for (Index j = 0; j < x.cols(); ++j)
      for (Index c = 0; c < outputs_; ++c) z(c, j) = x(c, j) + theta[c];
  }
  template <class S>
  void input_gradient(const ConstVectorRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& dz,
                      MatrixRef<S> dx, auto&) const {
    dx = dz;
  }
  template <class S>
  void add_gradient(const ConstVectorRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& dz,
                    Workspace<S>& workspace, VectorRef<S> grad) const {
    for (Index j = 0; j < dz.cols(); ++j)
      for (Index c = 0; c < outputs_; ++c) {
        grad[c] += dz(c, j);
        workspace.deltas(c, j) = dz(c, j);
      }
  }

 private:
  Index outputs_;
};

static_assert(Layer<FirstBias, float> && Layer<FirstBias, double>);

}  // namespace parade::detail
