// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <span>

#include <parade/core/types.hpp>
#include <parade/prepare/stage.hpp>

namespace parade::detail {

/// Of each feature: how many numbers there are, their mean, and Σ(x − mean)². In one pass over memory: each block is looked at twice while
/// it is in the cache (the corrected two-pass algorithm), and what belongs to two sets of samples is combined without a difference of
/// large sums. (Chan, Golub, LeVeque: "Algorithms for computing the sample variance", The American Statistician 37, 1983.)
struct FeatureMoments {
  Vector<double> count, mean, squares;  // (d)
  Vector<double> low;                   // what rounding has taken from the mean

  explicit FeatureMoments(Index features = 0) : count(Vector<double>::Zero(features)), mean(count), squares(count), low(count) {}

  Index size() const { return count.size(); }
  /// (1/n) Σ(x − mean)²; 0 where there are no numbers.
  double variance(Index i) const { return count[i] > 0 ? squares[i] / count[i] : 0; }

  /// Adds m samples, x (d,m). NaN is left out.
  void add(const double* x, Index m) {
    const Index d = size();
    FeatureMoments block(d);
    Vector<double> rest = Vector<double>::Zero(d);
    double *counts = block.count.data(), *means = block.mean.data(), *squares_of = block.squares.data(), *rests = rest.data();
    for (Index j = 0; j < m; ++j)
      for (Index i = 0; i < d; ++i) {
        const double value = x[j * d + i];
        counts[i] += value == value ? 1.0 : 0.0;
        means[i] += value == value ? value : 0.0;
      }
    for (Index i = 0; i < d; ++i)
      if (counts[i] > 0) means[i] /= counts[i];
    for (Index j = 0; j < m; ++j)
      for (Index i = 0; i < d; ++i) {
        const double value = x[j * d + i], off = value == value ? value - means[i] : 0.0;
        rests[i] += off;
        squares_of[i] = std::fma(off, off, squares_of[i]);
      }
    for (Index i = 0; i < d; ++i) {
      if (block.count[i] == 0) continue;
      const double correction = rest[i] / block.count[i];  // what rounding has left of Σ(x − mean)
      const double before = block.mean[i];
      block.mean[i] = before + correction;
      block.low[i] = correction - (block.mean[i] - before);
      block.squares[i] = std::fma(-rest[i], correction, block.squares[i]);
    }
    add(block);
  }

  void add(const FeatureMoments& other) {
    for (Index i = 0; i < size(); ++i) {
      if (other.count[i] == 0) continue;
      const double total = count[i] + other.count[i], share = other.count[i] / total, before = mean[i];
      const double gap = (other.mean[i] - before) + (other.low[i] - low[i]);
      squares[i] = count[i] == 0 ? other.squares[i]  // gap is a mean, whose square may not fit
                                 : std::fma(gap * gap, count[i] * share, squares[i] + other.squares[i]);
      mean[i] = std::fma(gap, share, before);
      low[i] += std::fma(gap, share, before - mean[i]);
      count[i] = total;
    }
  }
};

inline FeatureMoments moments_of(const Samples& samples, Team& team) {
  FeatureMoments moments = over_samples(
      samples, team, FeatureMoments(samples.num_features()),
      [](FeatureMoments& sum, Range range, const double* x) { sum.add(x, range.size()); },
      [](FeatureMoments& sum, const FeatureMoments& other) { sum.add(other); });
  moments.mean += moments.low;
  return moments;
}

/// The same for sparse rows, where what is not there is 0.
inline FeatureMoments moments_of(const SparseSamples& rows, Team& team) {
  const Index d = rows.num_features();
  const auto n = static_cast<double>(rows.size());
  const auto add = [](FeatureMoments& sum, const FeatureMoments& other) {
    sum.count += other.count;
    sum.mean += other.mean;
    sum.squares += other.squares;
  };
  FeatureMoments result = over_rows(
      rows, team, FeatureMoments(d),
      [](FeatureMoments& sum, std::span<const std::int32_t> indices, const double* values) {
        for (std::size_t j = 0; j < indices.size(); ++j) {
          sum.count[indices[j]] += 1;
          sum.mean[indices[j]] += values[j];
        }
      },
      add);
  for (Index i = 0; i < d; ++i) result.mean[i] /= n;
  FeatureMoments offs = over_rows(
      rows, team, FeatureMoments(d),
      [&result](FeatureMoments& sum, std::span<const std::int32_t> indices, const double* values) {
        for (std::size_t j = 0; j < indices.size(); ++j) {
          const double off = values[j] - result.mean[indices[j]];
          sum.mean[indices[j]] += off;
          sum.squares[indices[j]] = std::fma(off, off, sum.squares[indices[j]]);
        }
      },
      add);
  for (Index i = 0; i < d; ++i) {
    const double zeros = n - result.count[i], mean = result.mean[i], rest = std::fma(-zeros, mean, offs.mean[i]);
    result.squares[i] = std::fma(-rest, rest / n, std::fma(zeros * mean, mean, offs.squares[i]));
    result.mean[i] = mean + rest / n;
    result.count[i] = n;
  }
  return result;
}

}  // namespace parade::detail
