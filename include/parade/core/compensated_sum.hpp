// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

namespace parade::detail {

/// A sum that carries its rounding errors along (Neumaier 1974; with Knuth's two-sum as Ogita, Rump, Oishi: "Accurate sum and dot product", 2005): its error
/// is some eps |Σ x_i| + n eps² Σ |x_i|.
class CompensatedSum {
 public:
  void add(double x) {
    const double sum = high_ + x, other = sum - high_;
    low_ += (high_ - (sum - other)) + (x - other);
    high_ = sum;
  }
  void add(const CompensatedSum& other) {
    add(other.high_);
    low_ += other.low_;
  }
  /// Adds a·b, with the rounding error of the product.
  void add_product(double a, double b) {
    const double product = std::fma(a, b, 0.0);  // a plain product could be fused with the sum that it goes into
    add(product);
    low_ += std::fma(a, b, -product);
  }

  /// Two parts: the sum is high + low, low of the size of rounding errors; NaN once a term was not finite.
  double high() const { return high_; }
  double low() const { return low_; }
  double value() const { return std::isfinite(high_) ? high_ + low_ : high_; }  // ∞ − ∞ in the low part of an infinite sum

 private:
  double high_ = 0, low_ = 0;
};

}  // namespace parade::detail
