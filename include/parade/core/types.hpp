// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include <Eigen/Core>

#include <parade/core/config.hpp>

// The legend. These letters stand in the right margin of every line of linear algebra.
//
//   n  samples in the data set     b  samples in a minibatch     m  samples in a shard     S  shards in a minibatch
//   T  threads                     N  ranks (processes)          d  features               k  outputs
//   P  parameters                  θ  (P)                        g  (P) the gradient       W  Σ w_i over the minibatch
//   X  (d,m): one sample is one column, contiguous               Z  (k,m) scores
//   y  (m) class labels, or Y (k,m) real targets                 dZ (k,m) ∂J/∂Z
//
// Row-major data with one sample a row (NumPy, IDX) has the same memory as (d,n) here, and is read without a copy.
namespace parade {

using Index = Eigen::Index;

template <class Scalar>
using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;
template <class Scalar>
using Vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;

/// Read-only view of a matrix or a block of columns: no copy is made for anything whose columns are contiguous.
template <class Scalar>
using ConstMatrixRef = Eigen::Ref<const Matrix<Scalar>>;
template <class Scalar>
using MatrixRef = Eigen::Ref<Matrix<Scalar>>;
template <class Scalar>
using ConstVectorRef = Eigen::Ref<const Vector<Scalar>>;
template <class Scalar>
using VectorRef = Eigen::Ref<Vector<Scalar>>;

/// The class of a sample: 0 … k−1, or for two classes {0, 1} or {−1, +1} (see the loss).
using Label = std::int32_t;

/// Stands for real targets Y (k,m) where a loss says what it takes: `using Target = parade::Real;`.
struct Real {};

namespace detail {

template <class Target, class Scalar>
struct TargetsOf;
template <class Scalar>
struct TargetsOf<Label, Scalar> {
  using type = Eigen::Ref<const Vector<Label>>;  // (m)
};
template <class Scalar>
struct TargetsOf<Real, Scalar> {
  using type = ConstMatrixRef<Scalar>;  // (k,m)
};

}  // namespace detail

/// What a loss with `Target` is given for a shard: labels (m) for `Label`, a matrix (k,m) for `Real`.
template <class Target, class Scalar>
using TargetsRef = typename detail::TargetsOf<Target, Scalar>::type;

}  // namespace parade
