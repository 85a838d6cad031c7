// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/prepare/stage.hpp>

namespace parade {

/// Each feature gets the range [low, high]:
///
///   z_i = low + (high − low) (x_i − minimum_i) / (maximum_i − minimum_i)
///
///   parade::MinMax{}.fit(train)                     // x = 2, 4, 10: z = 0, 0.25, 1
///   parade::MinMax{.low = -1, .high = 1}.fit(train)
///
/// A feature that is constant becomes `low`. Values that the fit did not see may lie outside of the range, unless `clip`. Numbers that are
/// missing (NaN) are left out of the fit, and stay missing. Not for sparse data: see MaxAbs. As scikit-learn's MinMaxScaler. Throws
/// OptionError unless low < high, both finite, and DataError where maximum − minimum is not finite.
struct MinMax {
  double low = 0;
  double high = 1;
  bool clip = false;
  Vector<double> minimum{}, maximum{};  // (d), fitted; both 0 where there was no number

  static constexpr const char* kind = "min_max";

  template <class D>
  MinMax& fit(const D& data, int threads = 0) {
    detail::fit_to(*this, data, threads);
    return *this;
  }
  template <class D>
  auto transform(const D& data, int threads = 0) const {
    return detail::transform_of(*this, data, threads);
  }

  void check() const {
    if (!(std::isfinite(low) && std::isfinite(high) && low < high))
      throw OptionError(detail::text("MinMax.low must be below MinMax.high, both finite; got ", low, " and ", high));
  }
  Index num_inputs() const { return minimum.size(); }
  Index num_outputs() const { return minimum.size(); }
  void fit_samples(const Samples& samples, Team& team) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    const Index d = samples.num_features();
    struct Bounds {
      Vector<double> low, high;
    };
    const auto bounds = detail::over_samples(
        samples, team, Bounds{Vector<double>::Constant(d, infinity), Vector<double>::Constant(d, -infinity)},
        [d](Bounds& seen, Range range, const double* x) {
          for (Index j = 0; j < range.size(); ++j)
            for (Index i = 0; i < d; ++i) {
              const double value = x[j * d + i];
              seen.low[i] = value < seen.low[i] ? value : seen.low[i];
              seen.high[i] = value > seen.high[i] ? value : seen.high[i];
            }
        },
        [](Bounds& seen, const Bounds& other) {
          for (Index i = 0; i < seen.low.size(); ++i) {
            seen.low[i] = other.low[i] < seen.low[i] ? other.low[i] : seen.low[i];
            seen.high[i] = other.high[i] > seen.high[i] ? other.high[i] : seen.high[i];
          }
        });
    Vector<double> minima = bounds.low, maxima = bounds.high;
    for (Index i = 0; i < d; ++i) {
      if (minima[i] > maxima[i]) minima[i] = maxima[i] = 0;
      minima[i] += 0.0;  // of zeros of both signs the order of the samples would decide
      maxima[i] += 0.0;
      if (!std::isfinite(maxima[i] - minima[i]))
        throw DataError(
            detail::text("column ", i, " must have a finite range; got ", minima[i], " to ", maxima[i], ": divide it by a constant first"));
    }
    minimum = minima;
    maximum = maxima;
  }
  void transform_sample(Index, const double* x, double* out) const {
    for (Index i = 0; i < minimum.size(); ++i) {
      const double width = maximum[i] - minimum[i], factor = (high - low) / (width > 0 ? width : 1);
      double z = std::fma(x[i] - minimum[i], factor, low);
      if (clip && z < low) z = low;
      if (clip && z > high) z = high;
      out[i] = z;
    }
  }

  template <class Self, class Visit>
  static void visit_state(Self& self, const Visit& visit) {
    visit("low", self.low);
    visit("high", self.high);
    visit("clip", self.clip);
    visit("minimum", self.minimum);
    visit("maximum", self.maximum);
  }
  void settle() const {
    detail::check_state(minimum.size() == maximum.size(), kind, "there must be as many maxima as minima");
    detail::check_state(detail::all_finite(minimum) && detail::all_finite(maximum) && (minimum.array() <= maximum.array()).all(), kind,
                        "minima must be finite, and no larger than the maxima");
  }
};

static_assert(Preparation<MinMax> && !SparsePreparation<MinMax>);

}  // namespace parade
