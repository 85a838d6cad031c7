// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>

#include <parade/concepts/constraint.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>

namespace parade {

/// lower ≤ θ_i ≤ upper for every element, kept by a projection after every step:
///
///   Π(θ)_i = min(max(θ_i, lower), upper)          C(θ) = ½‖θ − Π(θ)‖²
///
/// Box{.lower = 0} keeps θ non-negative. With bounds −1 and 1: Π(3, −2, 0.5) = (1, −1, 0.5), and C(3, −2, 0.5) = 2.5.
/// The bounds are rounded to θ's scalar before they are used. For a bound by a cost instead see parade::BoxPenalty.
struct Box {
  double lower = -std::numeric_limits<double>::infinity();
  double upper = std::numeric_limits<double>::infinity();

  /// Throws OptionError unless the box holds a finite number.
  void check() const {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    if (!(lower <= upper && lower < infinity && upper > -infinity))
      throw OptionError(
          detail::text("Box.lower must be at most Box.upper, with a finite number between them; got ", lower, " and ", upper));
  }

  /// Π for one element, with the bounds rounded to S. NaN stays NaN.
  template <class S>
  auto projection() const {
    return [low = static_cast<S>(lower), high = static_cast<S>(upper)](S x) { return x < low ? low : x > high ? high : x; };
  }

  /// C, summed in double, element after element; 0 after `project`. NaN gives NaN.
  template <class T>
  double violation(const Eigen::MatrixBase<T>& theta) const {
    using S = typename T::Scalar;
    const ConstVectorRef<S> t{theta};
    const auto nearest = projection<S>();
    double squares = 0;
    for (Index i = 0; i < t.size(); ++i) {
      const double outside = static_cast<double>(t[i]) - static_cast<double>(nearest(t[i]));
      squares = std::fma(outside, outside, squares);
    }
    return squares / 2;
  }

  /// θ ← Π(θ), in place.
  void project(VectorRef<float> theta) const { apply(theta); }
  void project(VectorRef<double> theta) const { apply(theta); }

 private:
  template <class S>
  void apply(VectorRef<S>& theta) const {
    const auto nearest = projection<S>();
    S* t = theta.data();
    for (Index i = 0, size = theta.size(); i < size; ++i) t[i] = nearest(t[i]);
  }
};

static_assert(ProjectionConstraint<Box, float> && ProjectionConstraint<Box, double>);

}  // namespace parade
