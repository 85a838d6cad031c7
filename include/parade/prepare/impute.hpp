// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/prepare/moments.hpp>
#include <parade/prepare/stage.hpp>

namespace parade {

/// What stands for a number that is missing: of its feature the mean, the median (of an even count the mean of the middle two), the most
/// frequent (of equally frequent ones the smallest); or Impute::constant.
enum class Fill { mean, median, most_frequent, constant };

/// Fills in numbers that are missing, which are NaN:
///
///   z_i = x_i, or fill_i where it is missing
///
///   parade::Impute{}                                                  // x = 1, NaN, 4: fill = 2.5
///   parade::Impute{.by = parade::Fill::median}
///   parade::Impute{.by = parade::Fill::constant, .constant = -1}
///
///   const auto data = parade::DenseData<float>{x, parade::NotFinite::keep};          // x: Eigen::MatrixXf (d,n), some of it NaN
///   const auto filled = parade::Impute{}.fit(data).transform(data);
///
/// A feature without any number gets `constant` (scikit-learn leaves it out unless keep_empty_features is set). Median and most frequent
/// need up to 256 MB while they are found. Otherwise as scikit-learn's SimpleImputer. Throws OptionError unless `constant` is finite.
struct Impute {
  Fill by = Fill::mean;
  double constant = 0;
  Vector<double> fill{};  // (d), fitted

  static constexpr const char* kind = "impute";
  static constexpr Fill last(Fill) { return Fill::constant; }

  template <class D>
  Impute& fit(const D& data, int threads = 0) {
    detail::fit_to(*this, data, threads);
    return *this;
  }
  template <class D>
  auto transform(const D& data, int threads = 0) const {
    return detail::transform_of(*this, data, threads);
  }

  void check() const {
    if (!std::isfinite(constant)) throw OptionError(detail::text("Impute.constant must be finite; got ", constant));
  }
  Index num_inputs() const { return fill.size(); }
  Index num_outputs() const { return fill.size(); }
  void fit_samples(const Samples& samples, Team& team) {
    const Index d = samples.num_features();
    const detail::FeatureMoments moments = detail::moments_of(samples, team);  // which also looks for what is infinite
    fill.setConstant(d, constant);
    if (by == Fill::mean) {
      for (Index i = 0; i < d; ++i)
        if (moments.count[i] > 0) fill[i] = moments.mean[i];
    } else if (by != Fill::constant) {
      find_values(samples, team);
    }
  }
  void transform_sample(Index, const double* x, double* out) const {
    for (Index i = 0; i < fill.size(); ++i) out[i] = std::isnan(x[i]) ? fill[i] : x[i];
  }

  template <class Self, class Visit>
  static void visit_state(Self& self, const Visit& visit) {
    visit("by", self.by);
    visit("constant", self.constant);
    visit("fill", self.fill);
  }
  void settle() const { detail::check_state(detail::all_finite(fill), kind, "what is filled in must be finite"); }

 private:
  /// As many features at a time as memory allows: all of their values, and then the one that is looked for.
  void find_values(const Samples& samples, Team& team) {
    const Index n = samples.size(), d = samples.num_features(), group = std::clamp<Index>((Index{1} << 25) / n, 1, d);
    Matrix<double> values(n, std::min(group, d));
    for (Index first = 0; first < d; first += group) {
      const Index features = std::min(group, d - first), size = detail::prepared_block(d);
      team.for_each((n + size - 1) / size, [&](Index block, int) {
        const Range range{block * size, std::min((block + 1) * size, n)};
        std::vector<double> x(static_cast<std::size_t>(d * range.size()));
        samples.read(range, x.data());
        for (Index i = 0; i < features; ++i)
          for (Index j = 0; j < range.size(); ++j) values(range.begin + j, i) = x[static_cast<std::size_t>(j * d + first + i)];
      });
      team.for_each(features, [&](Index i, int) {
        double* const begin = values.data() + i * n;
        double* const end = std::remove_if(begin, begin + n, [](double value) { return std::isnan(value); });
        if (begin == end) return;
        for (double* at = begin; at != end; ++at) *at += 0.0;  // −0 is 0
        fill[first + i] = by == Fill::median ? median(begin, end) : most_frequent(begin, end);
      });
    }
  }
  static double median(double* begin, double* end) {
    double* const middle = begin + (end - begin) / 2;
    std::nth_element(begin, middle, end);
    if ((end - begin) % 2 == 1) return *middle;
    const double below = *std::max_element(begin, middle), sum = below + *middle;
    return std::isfinite(sum) ? sum / 2 : below / 2 + *middle / 2;
  }
  static double most_frequent(double* begin, double* end) {
    std::sort(begin, end);
    double best = *begin;
    std::ptrdiff_t most = 0;
    while (begin != end) {
      double* const next = std::upper_bound(begin, end, *begin);
      if (next - begin > most) {
        most = next - begin;
        best = *begin;
      }
      begin = next;
    }
    return best;
  }
};

static_assert(Preparation<Impute>);

}  // namespace parade
