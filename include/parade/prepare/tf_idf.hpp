// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/math.hpp>
#include <parade/prepare/stage.hpp>
#include <parade/prepare/unit_norm.hpp>

namespace parade {

/// Counts of words become weights: a word counts less the more documents have it.
///
///   z_i = tf_i · idf_i, and then z / ‖z‖          tf_i = x_i, or 1 + log x_i where x_i ≠ 0 (sublinear)
///   idf_i = 1 + log((1 + n) / (1 + n_i))          n documents, of which n_i have word i. Without `smooth`: 1 + log(n / n_i)
///
///   parade::TfIdf tf_idf;
///   const auto prepared = tf_idf.fit(train).transform(train);     // of 4 documents, a word that 1 has: idf = 1 + log(5/2) = 1.916
///
/// `smooth` is as if one more document had every word. Without it a word that no document of the fit had is treated as one that one
/// document had. Zeros stay zeros. Mostly for sparse data. Throws DataError, naming value and place, for x_i < 0 if sublinear: there are no negative counts, and
/// no logarithm of them. As
/// scikit-learn's TfidfTransformer, which documents how this differs from textbooks, where idf lacks the 1. (Spärck Jones: "A statistical
/// interpretation of term specificity and its application in retrieval", Journal of Documentation 28, 1972; Salton, Buckley:
/// "Term-weighting approaches in automatic text retrieval", Information Processing & Management 24, 1988.)
struct TfIdf {
  Norm norm = Norm::l2;
  bool use_idf = true;
  bool smooth = true;
  bool sublinear = false;
  Vector<double> idf{};  // (d), fitted; 1 without use_idf

  static constexpr const char* kind = "tf_idf";
  static constexpr Norm last(Norm) { return Norm::max; }

  template <class D>
  TfIdf& fit(const D& data, int threads = 0) {
    detail::fit_to(*this, data, threads);
    return *this;
  }
  template <class D>
  auto transform(const D& data, int threads = 0) const {
    return detail::transform_of(*this, data, threads);
  }

  Index num_inputs() const { return idf.size(); }
  Index num_outputs() const { return idf.size(); }
  void fit_samples(const Samples& samples, Team& team) {
    const Index d = samples.num_features();
    learn(samples.size(), detail::over_samples(
                              samples, team, Vector<double>(Vector<double>::Zero(d)),
                              [d](Vector<double>& counts, Range range, const double* x) {
                                for (Index j = 0; j < range.size(); ++j)
                                  for (Index i = 0; i < d; ++i) counts[i] += x[j * d + i] != 0 ? 1 : 0;
                              },
                              add));
  }
  void fit_rows(const SparseSamples& rows, Team& team) {
    learn(rows.size(), detail::over_rows(
                           rows, team, Vector<double>(Vector<double>::Zero(rows.num_features())),
                           [](Vector<double>& counts, std::span<const std::int32_t> indices, const double* values) {
                             for (std::size_t j = 0; j < indices.size(); ++j) counts[indices[j]] += values[j] != 0 ? 1 : 0;
                           },
                           add));
  }
  void transform_sample(Index sample, const double* x, double* out) const {
    const Index d = idf.size();
    std::copy_n(x, d, out);
    frequencies(out, d, [sample](Index k) { return detail::text("column ", k, " of sample ", sample); });
    for (Index i = 0; i < d; ++i) out[i] *= idf[i];
    detail::divide_by_norm(out, d, norm);
  }
  void transform_row(std::span<const std::int32_t> indices, double* values) const {
    frequencies(values, static_cast<Index>(indices.size()),
                [indices](Index j) { return detail::text("feature ", indices[static_cast<std::size_t>(j)]); });
    for (std::size_t j = 0; j < indices.size(); ++j) values[j] *= idf[indices[j]];
    detail::divide_by_norm(values, static_cast<Index>(indices.size()), norm);
  }

  template <class Self, class Visit>
  static void visit_state(Self& self, const Visit& visit) {
    visit("norm", self.norm);
    visit("use_idf", self.use_idf);
    visit("smooth", self.smooth);
    visit("sublinear", self.sublinear);
    visit("idf", self.idf);
  }
  void settle() const {
    for (Index i = 0; i < idf.size(); ++i)
      detail::check_state(std::isfinite(idf[i]), kind, detail::text("idf must be finite; got ", idf[i], " for feature ", i));
  }

 private:
  /// log x_i
  static void take_logs(double* x, Index size) {
    kernels::transform(x, size, [](auto value) { return kernels::log<double>(value); });
  }
  static void add(Vector<double>& counts, const Vector<double>& other) {
    for (Index i = 0; i < counts.size(); ++i) counts[i] += other[i];
  }
  void learn(Index documents, const Vector<double>& counts) {
    const auto n = static_cast<double>(documents);
    const double more = smooth ? 1 : 0;
    idf.setOnes(counts.size());
    if (!use_idf) return;
    for (Index i = 0; i < counts.size(); ++i) idf[i] = (n + more) / (smooth || counts[i] > 0 ? counts[i] + more : 1);
    take_logs(idf.data(), idf.size());
    for (double& value : idf) value += 1;
  }
  /// place(i): where x_i stands, for errors.
  template <class Place>
  void frequencies(double* x, Index size, const Place& place) const {
    if (!sublinear) return;
    for (Index i = 0; i < size; ++i)
      if (x[i] < 0)
        throw DataError(detail::text("TfIdf.sublinear takes 1 + log of counts, which must be at least 0; got ", x[i], " in ", place(i)));
    double logs[64];
    for (Index begin = 0; begin < size; begin += 64) {
      const Index count = std::min<Index>(64, size - begin);
      std::copy_n(x + begin, count, logs);
      take_logs(logs, count);
      for (Index i = 0; i < count; ++i)
        if (x[begin + i] != 0) x[begin + i] = 1 + logs[i];
    }
  }
};

static_assert(SparsePreparation<TfIdf>);

}  // namespace parade
