// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include <parade/core/types.hpp>
#include <parade/prepare/stage.hpp>

namespace parade {

/// What the length of a sample is measured by: Σ|x_i|, √Σx_i², max|x_i|; or it is left as it is.
enum class Norm { none, l1, l2, max };

namespace detail {

/// Divides x (d) by its norm. All zeros stay zeros; with a NaN all becomes NaN.
inline void divide_by_norm(double* x, Index d, Norm norm) {
  if (norm == Norm::none) return;
  double largest = 0, sum = 0;
  for (Index i = 0; i < d; ++i) {
    const double size = std::abs(x[i]);
    largest = size > largest ? size : largest;
    sum = norm == Norm::l1 ? sum + size : std::fma(size, size, sum);
  }
  if (std::isnan(sum)) largest = sum;
  double length = norm == Norm::max ? largest : norm == Norm::l1 ? sum : std::sqrt(sum);
  // Squares that leave the range of double: all is divided by the largest first.
  if (norm == Norm::l2 && largest > 0 && !(sum >= 0x1p-900 && sum <= 0x1p1000)) {
    sum = 0;
    for (Index i = 0; i < d; ++i) {
      x[i] /= largest;
      sum = std::fma(x[i], x[i], sum);
    }
    length = std::sqrt(sum);
  }
  for (Index i = 0; length != 0 && i < d; ++i) x[i] /= length;
}

}  // namespace detail

/// Each sample gets the length 1, whatever the others are:
///
///   z = x / ‖x‖          ‖x‖ = Σ|x_i| (l1), √Σx_i² (l2), max|x_i| (max)
///
///   parade::UnitNorm{}                             // l2: (3, 4) becomes (0.6, 0.8)
///   parade::UnitNorm{.norm = parade::Norm::l1}     // (3, 4) becomes (0.429, 0.571)
///
/// A sample of zeros stays as it is. Nothing is learned but the number of features. For sparse data too. As scikit-learn's Normalizer.
struct UnitNorm {
  Norm norm = Norm::l2;
  Index features = 0;  // d, fitted

  static constexpr const char* kind = "unit_norm";
  static constexpr Norm last(Norm) { return Norm::max; }

  template <class D>
  UnitNorm& fit(const D& data, int threads = 0) {
    detail::fit_to(*this, data, threads);
    return *this;
  }
  template <class D>
  auto transform(const D& data, int threads = 0) const {
    return detail::transform_of(*this, data, threads);
  }

  Index num_inputs() const { return features; }
  Index num_outputs() const { return features; }
  void fit_samples(const Samples& samples, Team&) { features = samples.num_features(); }
  void fit_rows(const SparseSamples& rows, Team&) { features = rows.num_features(); }
  void transform_sample(Index, const double* x, double* out) const {
    for (Index i = 0; i < features; ++i) out[i] = x[i];
    detail::divide_by_norm(out, features, norm);
  }
  void transform_row(std::span<const std::int32_t> indices, double* values) const {
    detail::divide_by_norm(values, static_cast<Index>(indices.size()), norm);
  }

  template <class Self, class Visit>
  static void visit_state(Self& self, const Visit& visit) {
    visit("norm", self.norm);
    visit("features", self.features);
  }
};

static_assert(SparsePreparation<UnitNorm>);

}  // namespace parade
