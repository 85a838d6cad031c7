// SPDX-License-Identifier: MIT
#pragma once

#include <parade/concepts/layer.hpp>
#include <parade/core/types.hpp>

namespace parade {

/// channels × height × width as so many features, in the order in which they lie: between images and Dense. Nothing is moved.
struct Flatten {
  using SampleBySampleOf = Flatten;
  static constexpr const char* name = "Flatten";
  static constexpr bool is_identity = true;

  Shape connect(const Shape& input) { return input.size(); }
  template <class S>
  void forward(const ConstVectorRef<S>&, const ConstMatrixRef<S>& x, MatrixRef<S> z, auto&) const {
    z = x;
  }
  template <class S>
  void input_gradient(const ConstVectorRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>&, const ConstMatrixRef<S>& dz,
                      MatrixRef<S> dx, auto&) const {
    dx = dz;
  }
};

static_assert(Layer<Flatten>);

}  // namespace parade
