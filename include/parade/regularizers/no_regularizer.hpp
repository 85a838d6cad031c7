// SPDX-License-Identifier: MIT
#pragma once

#include <parade/concepts/regularizer.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/core/parameters.hpp>
#include <parade/kernels/update.hpp>

namespace parade {

/// R(θ) = 0, for no block of θ. Nothing is left of it in a compiled program.
struct NoRegularizer {
  static constexpr bool applies_to(const ParameterBlock&) { return false; }

  template <class T>
  static constexpr double value(const Eigen::MatrixBase<T>&) {
    return 0;
  }
  template <class T>
  static constexpr void add_gradient(const Eigen::MatrixBase<T>&, const VectorRef<typename T::Scalar>&) {}

  using ShrinkageOf = NoRegularizer;
  static constexpr Shrinkage shrinkage() { return {}; }

  using TermOf = NoRegularizer;
  template <class S>
  static constexpr auto term() {
    return kernels::NoTerm{};
  }
};

static_assert(SmoothRegularizer<NoRegularizer, float> && SmoothRegularizer<NoRegularizer, double>);

}  // namespace parade
