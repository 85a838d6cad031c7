// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/prepare/moments.hpp>
#include <parade/prepare/stage.hpp>

namespace parade {

/// Each feature gets mean 0 and variance 1:
///
///   z_i = (x_i − mean_i) / deviation_i          mean_i = (1/n) Σ x_i     deviation_i² = (1/n) Σ (x_i − mean_i)²
///
///   parade::Standardize standardize;
///   standardize.fit(train);                                     // x = 1, 2, 3: mean 2, deviation 0.8165
///   const auto prepared = standardize.transform(test);          // x = 4: z = 2.449
///
/// A feature that is constant has deviation 1: where variance ≤ n ε variance + (n ε mean)², ε = 2^−52, there is nothing but rounding.
/// Numbers that are missing (NaN) are left out of the sums, and stay missing; a feature without any number keeps its values. Sparse data:
/// center = false only, where zeros stay zeros; the mean, zeros included, still is what the variance is around. As scikit-learn's
/// StandardScaler. Throws DataError for numbers so far apart (about 1e154) that squares of differences are not finite.
struct Standardize {
  bool center = true;
  bool scale = true;
  Vector<double> mean{}, deviation{};  // (d), fitted

  static constexpr const char* kind = "standardize";

  template <class D>
  Standardize& fit(const D& data, int threads = 0) {
    detail::fit_to(*this, data, threads);
    return *this;
  }
  template <class D>
  auto transform(const D& data, int threads = 0) const {
    return detail::transform_of(*this, data, threads);
  }

  Index num_inputs() const { return mean.size(); }
  Index num_outputs() const { return mean.size(); }
  void fit_samples(const Samples& samples, Team& team) {
    learn(detail::moments_of(samples, team), [&](Index i) { return samples.feature(i); });
  }
  void fit_rows(const SparseSamples& rows, Team& team) {
    check_rows();
    learn(detail::moments_of(rows, team), [](Index i) { return detail::text("column ", i); });
  }
  void check_rows() const {
    if (center) throw OptionError("Standardize.center must be false for sparse data, whose zeros would not stay zeros; got true");
  }
  void transform_sample(Index, const double* x, double* out) const {
    for (Index i = 0; i < mean.size(); ++i) {
      const double centred = center ? x[i] - mean[i] : x[i];
      out[i] = scale ? centred / deviation[i] : centred;
    }
  }
  void transform_row(std::span<const std::int32_t> indices, double* values) const {
    for (std::size_t j = 0; scale && j < indices.size(); ++j) values[j] /= deviation[indices[j]];
  }

  template <class Self, class Visit>
  static void visit_state(Self& self, const Visit& visit) {
    visit("center", self.center);
    visit("scale", self.scale);
    visit("mean", self.mean);
    visit("deviation", self.deviation);
  }
  void settle() const {
    detail::check_state(mean.size() == deviation.size(), kind, "there must be as many deviations as means");
    detail::check_state(detail::all_finite(mean) && detail::all_finite(deviation) && (deviation.array() > 0).all(), kind,
                        "means must be finite, and deviations above 0");
  }

 private:
  /// feature(i): its name, for errors.
  template <class Feature>
  void learn(const detail::FeatureMoments& moments, const Feature& feature) {
    constexpr double epsilon = std::numeric_limits<double>::epsilon();
    Vector<double> deviations(moments.size());
    for (Index i = 0; i < moments.size(); ++i) {
      const double variance = moments.variance(i), small = moments.count[i] * epsilon, slip = small * moments.mean[i];
      deviations[i] = variance <= std::fma(slip, slip, small * variance) ? 1 : std::sqrt(variance);
      if (!std::isfinite(moments.mean[i]) || !std::isfinite(variance))
        throw DataError(detail::text(feature(i), " must hold numbers whose mean and variance are finite; got mean ", moments.mean[i],
                                     " and variance ", variance, ": divide it by a constant first"));
    }
    mean = moments.mean;
    deviation = deviations;
  }
};

static_assert(SparsePreparation<Standardize>);

}  // namespace parade
