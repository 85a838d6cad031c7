// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include <parade/core/types.hpp>
#include <parade/prepare/stage.hpp>

namespace parade {

/// Each feature gets a largest absolute value of 1; zeros stay zeros, so that it is for sparse data too:
///
///   z_i = x_i / largest_i          largest_i = max |x_i|, or 1 where it is 0
///
///   parade::MaxAbs{}.fit(train)    // x = −4, 0, 2: z = −1, 0, 0.5
///
/// Numbers that are missing (NaN) are left out of the fit, and stay missing. As scikit-learn's MaxAbsScaler.
struct MaxAbs {
  Vector<double> largest{};  // (d), fitted

  static constexpr const char* kind = "max_abs";

  template <class D>
  MaxAbs& fit(const D& data, int threads = 0) {
    detail::fit_to(*this, data, threads);
    return *this;
  }
  template <class D>
  auto transform(const D& data, int threads = 0) const {
    return detail::transform_of(*this, data, threads);
  }

  Index num_inputs() const { return largest.size(); }
  Index num_outputs() const { return largest.size(); }
  void fit_samples(const Samples& samples, Team& team) {
    const Index d = samples.num_features();
    learn(detail::over_samples(
        samples, team, Vector<double>(Vector<double>::Zero(d)),
        [d](Vector<double>& seen, Range range, const double* x) {
          for (Index j = 0; j < range.size(); ++j)
            for (Index i = 0; i < d; ++i) raise(seen[i], x[j * d + i]);
        },
        add));
  }
  void fit_rows(const SparseSamples& rows, Team& team) {
    learn(detail::over_rows(
        rows, team, Vector<double>(Vector<double>::Zero(rows.num_features())),
        [](Vector<double>& seen, std::span<const std::int32_t> indices, const double* values) {
          for (std::size_t j = 0; j < indices.size(); ++j) raise(seen[indices[j]], values[j]);
        },
        add));
  }
  void transform_sample(Index, const double* x, double* out) const {
    for (Index i = 0; i < largest.size(); ++i) out[i] = x[i] / largest[i];
  }
  void transform_row(std::span<const std::int32_t> indices, double* values) const {
    for (std::size_t j = 0; j < indices.size(); ++j) values[j] /= largest[indices[j]];
  }

  template <class Self, class Visit>
  static void visit_state(Self& self, const Visit& visit) {
    visit("largest", self.largest);
  }
  void settle() const {
    detail::check_state(detail::all_finite(largest) && (largest.array() > 0).all(), kind, "all must be finite and above 0");
  }

 private:
  static void raise(double& seen, double value) {
    if (const double size = std::abs(value); size > seen) seen = size;
  }
  static void add(Vector<double>& seen, const Vector<double>& other) {
    for (Index i = 0; i < seen.size(); ++i) raise(seen[i], other[i]);
  }
  void learn(Vector<double> seen) {
    largest = std::move(seen);
    for (double& value : largest)
      if (value == 0) value = 1;
  }
};

static_assert(SparsePreparation<MaxAbs>);

}  // namespace parade
