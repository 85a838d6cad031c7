// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <type_traits>

#include <parade/concepts/constraint.hpp>
#include <parade/concepts/regularizer.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/groups.hpp>

namespace parade {

/// How far one parameter (rows, cols) is from where training rests: the norm of the proximal gradient, or gradient mapping (Nesterov 2013),
///
///   ‖(θ − u) / α‖₂,   u = Π(prox(θ − α∘g)),   g = ∇F + λ∇R + β∇C
///
/// `gradient` is ∇F, that of the mean loss over all data; the terms that R and C have are added here, each as it enters a step: a gradient, a
/// proximal step, a projection, per element or of the whole parameter. With nothing to prox or project it is ‖g‖₂. For a convex objective it is 0 if
/// and only if θ is a minimum, whatever the step sizes α > 0. With L1{1}, α = 1, θ = (1, 0): 0 for ∇F = (−1, 0.5), and 1 for ∇F = 0.
/// For tests and reports: it takes memory. NaN gives NaN.
template <class T, class R, class C>
  requires(!detail::HasParts<R> && !detail::HasParts<C>)
double prox_residual(const Eigen::MatrixBase<T>& theta, const std::type_identity_t<ConstMatrixRef<typename T::Scalar>>& gradient,
                     const std::type_identity_t<ConstMatrixRef<typename T::Scalar>>& steps, const R& regularizer, const C& constraint) {
  using S = typename T::Scalar;
  const Matrix<S> from = theta;
  Matrix<S> g = gradient, u = from, alpha = steps;
  PARADE_ASSERT(g.size() == u.size() && alpha.size() == u.size());
  const auto flat = [](Matrix<S>& matrix) { return Eigen::Map<Vector<S>>(matrix.data(), matrix.size()); };
  if constexpr (HasSmoothTerm<R, S>) regularizer.add_gradient(ConstVectorRef<S>(flat(u)), flat(g));
  if constexpr (HasSmoothTerm<C, S>) constraint.add_gradient(ConstVectorRef<S>(flat(u)), flat(g));
  for (Index i = 0; i < u.size(); ++i) u.data()[i] = std::fma(-alpha.data()[i], g.data()[i], u.data()[i]);
  if constexpr (HasProx<R, S>) regularizer.prox(flat(u), ConstVectorRef<S>(flat(alpha)));
  if constexpr (requires { regularizer.parameter_prox(MatrixRef<S>(u), ConstMatrixRef<S>(alpha)); })
    regularizer.parameter_prox(MatrixRef<S>(u), ConstMatrixRef<S>(alpha));
  if constexpr (HasProject<C, S>) constraint.project(flat(u));
  if constexpr (requires { constraint.parameter_project(MatrixRef<S>(u), ConstMatrixRef<S>(alpha)); })
    constraint.parameter_project(MatrixRef<S>(u), ConstMatrixRef<S>(alpha));
  kernels::Sum squares;
  for (Index i = 0; i < u.size(); ++i) {
    const double moved = (static_cast<double>(from.data()[i]) - static_cast<double>(u.data()[i])) / static_cast<double>(alpha.data()[i]);
    squares.add(kernels::product(moved, moved));
  }
  return std::sqrt(squares.value());
}

}  // namespace parade
