// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/data/not_finite.hpp>

namespace parade {

/// Sparse samples in compressed form: of each row (sample) only the features that are there, as pairs of index and value. What is not there
/// is 0.
///
///   row i = entries offsets[i] … offsets[i+1]−1 of `indices` and `values`
///
///   dense            offsets    indices   values        const parade::SparseRows<float> rows{offsets, indices, values, 4};
///   0   2.5 0   1    0 2 2 3    1 3 0     2.5 1 7       rows[0].indices → {1, 3}     rows[1].indices → {}
///   0   0   0   0
///   7   0   0   0
///
/// Offsets have 64 bits, indices 32: up to 2^31 features and any number of entries. Within a row the indices rise: none stands twice. An
/// entry may hold 0. Values may be left out where all are 1 (word sets, one-hot columns): half the memory.
///
/// A row has labels, real targets, a weight, sets of labels (multilabel), a query (ranking: rows of the same query are ordered among themselves) where
/// they are given. SparseRows never changes: each `with_…` answers a new one, and all copies share one memory.
///
/// Throws DataError, naming field, row, value and rule: for offsets, indices and values that do not fit, a value or target that is not finite.
template <class Scalar>
class SparseRows {
  static_assert(std::is_same_v<Scalar, float> || std::is_same_v<Scalar, double>, "parade::SparseRows<Scalar>: Scalar is float or double");

 public:
  using Value = Scalar;

  /// One row.
  struct Row {
    std::span<const std::int32_t> indices;
    std::span<const Scalar> values;  // empty where all are 1

    Scalar value(std::size_t entry) const { return values.empty() ? Scalar{1} : values[entry]; }
  };

  /// No rows and no features.
  SparseRows() : SparseRows(Vector<std::int64_t>::Zero(1), {}, {}, 0) {}

  /// offsets (n+1), indices and values (nonzeros); no values at all stand for ones.
  SparseRows(Vector<std::int64_t> offsets, Vector<std::int32_t> indices, Vector<Scalar> values, Index num_features,
             NotFinite not_finite = NotFinite::refuse) {
    check_offsets("offsets", offsets, "indices", indices.size());
    if (num_features < 0 || num_features > Index{1} << 31)
      throw DataError(detail::text("num_features must be in [0, 2^31]; got ", num_features));
    if (values.size() != 0 && values.size() != indices.size())
      throw DataError(detail::text("values must be as many as the indices, ", indices.size(), ", or none; got ", values.size()));
    check_indices(offsets, indices, num_features);
    if (not_finite == NotFinite::refuse)
      check_finite("values", values, [&](Index at) { return detail::text("row ", row_of(offsets, at)); });
    features_ = num_features;
    offsets_ = std::make_shared<const Vector<std::int64_t>>(std::move(offsets));
    indices_ = std::make_shared<const Vector<std::int32_t>>(std::move(indices));
    values_ = std::make_shared<const Vector<Scalar>>(std::move(values));
  }

  /// The same entries with other values (nonzeros).
  SparseRows with_values(Vector<Scalar> values, NotFinite not_finite = NotFinite::refuse) const {
    if (values.size() != nonzeros())
      throw DataError(detail::text("values must be as many as the indices, ", nonzeros(), "; got ", values.size()));
    if (not_finite == NotFinite::refuse)
      check_finite("values", values, [&](Index at) { return detail::text("row ", row_of(*offsets_, at)); });
    auto copy = *this;
    copy.values_ = std::make_shared<const Vector<Scalar>>(std::move(values));
    return copy;
  }

  /// The same rows with other entries, of n rows and otherwise as the constructor takes them. Labels, targets, weights, label sets and queries stay.
  SparseRows with_entries(Vector<std::int64_t> offsets, Vector<std::int32_t> indices, Vector<Scalar> values, Index num_features,
                          NotFinite not_finite = NotFinite::refuse) const {
    const SparseRows entries{std::move(offsets), std::move(indices), std::move(values), num_features, not_finite};
    check_count("offsets, without the first,", entries.size());
    auto copy = *this;
    copy.features_ = entries.features_;
    copy.offsets_ = entries.offsets_, copy.indices_ = entries.indices_, copy.values_ = entries.values_;
    return copy;
  }

  /// y (n): the class of each row.
  SparseRows with_labels(Vector<Label> labels) const {
    check_count("labels", labels.size());
    auto copy = *this;
    copy.labels_ = std::make_shared<const Vector<Label>>(std::move(labels));
    return copy;
  }

  /// Y (k,n): k ≥ 1 real targets a row.
  SparseRows with_targets(Matrix<double> targets) const {
    check_count("targets", targets.cols());
    if (targets.rows() < 1) throw DataError("targets must have at least 1 row; got 0");
    const Eigen::Map<const Vector<double>> all{targets.data(), targets.size()};
    check_finite("targets", all, [&](Index at) { return detail::text("sample ", at / targets.rows()); });
    auto copy = *this;
    copy.targets_ = std::make_shared<const Matrix<double>>(std::move(targets));
    return copy;
  }

  /// w (n): how much each row counts; 1 without. A weight of 0 is absence.
  SparseRows with_weights(Vector<double> weights) const {
    check_count("weights", weights.size());
    for (Index i = 0; i < weights.size(); ++i)
      if (!(std::isfinite(weights[i]) && weights[i] >= 0))
        throw DataError(detail::text("weights must be finite and at least 0; got ", weights[i], " for sample ", i));
    if (size() > 0 && weights.isZero(0)) throw DataError(detail::text("weights must not all be 0; got 0 for each of ", size(), " samples"));
    auto copy = *this;
    copy.weights_ = std::make_shared<const Vector<double>>(std::move(weights));
    return copy;
  }

  /// Any number of labels a row: those of row i are ids[offsets[i]] … ids[offsets[i+1]−1], none twice, each at least 0.
  SparseRows with_label_sets(Vector<std::int64_t> offsets, Vector<Label> ids) const {
    check_offsets("label_offsets", offsets, "label_ids", ids.size());
    check_count("label_offsets, without the first,", offsets.size() - 1);
    for (Index i = 0; i < size(); ++i)
      for (Index j = offsets[i]; j < offsets[i + 1]; ++j) {
        if (ids[j] < 0) throw DataError(detail::text("label_ids must be at least 0; got ", ids[j], " in row ", i));
        if (j > offsets[i] && ids[j] <= ids[j - 1])
          throw DataError(detail::text("label_ids must rise within a row; got ", ids[j], " after ", ids[j - 1], " in row ", i));
      }
    auto copy = *this;
    copy.label_offsets_ = std::make_shared<const Vector<std::int64_t>>(std::move(offsets));
    copy.label_ids_ = std::make_shared<const Vector<Label>>(std::move(ids));
    return copy;
  }

  /// Targets Y (k,n) from the label sets, for MultilabelLogistic: 1 for each label that a row has, else 0. `labels`: k; 0: one more than the largest label
  /// there is. Throws DataError without label sets, and for a label of k or more.
  SparseRows with_label_set_targets(Index labels = 0) const {
    if (!has_label_sets()) throw DataError("targets are made of label sets, of which there are none");
    const Index needed = label_ids_->size() > 0 ? static_cast<Index>(label_ids_->maxCoeff()) + 1 : 0;
    if (labels == 0) labels = needed;
    if (labels < needed) throw DataError(detail::text("labels must be in [0, ", labels, "); got ", needed - 1));
    Matrix<double> targets = Matrix<double>::Zero(labels, size());
    for (Index i = 0; i < size(); ++i)
      for (const Label label : label_set(i)) targets(label, i) = 1;
    return with_targets(std::move(targets));
  }

  /// The query that each row belongs to (n).
  SparseRows with_queries(Vector<std::int64_t> queries) const {
    check_count("queries", queries.size());
    auto copy = *this;
    copy.queries_ = std::make_shared<const Vector<std::int64_t>>(std::move(queries));
    return copy;
  }

  Index size() const { return offsets_->size() - 1; }     // n
  Index num_features() const { return features_; }        // d
  Index nonzeros() const { return indices_->size(); }     // entries, of which some may hold 0
  bool all_ones() const { return values_->size() == 0; }  // there are no values
  bool has_labels() const { return labels_ != nullptr; }
  Index num_targets() const { return targets_ ? targets_->rows() : 0; }
  bool has_weights() const { return weights_ != nullptr; }
  bool has_label_sets() const { return label_ids_ != nullptr; }
  bool has_queries() const { return queries_ != nullptr; }

  const Vector<std::int64_t>& offsets() const { return *offsets_; }  // (n+1)
  const Vector<std::int32_t>& indices() const { return *indices_; }  // (nonzeros)
  const Vector<Scalar>& values() const { return *values_; }          // (nonzeros), or empty: all are 1

  Row operator[](Index i) const {
    PARADE_ASSERT(i >= 0 && i < size());
    const Index begin = (*offsets_)[i];
    const auto count = static_cast<std::size_t>((*offsets_)[i + 1] - begin);
    return {{indices_->data() + begin, count},
            all_ones() ? std::span<const Scalar>{} : std::span<const Scalar>{values_->data() + begin, count}};
  }

  /// The label of row i. Requires has_labels().
  Label label(Index i) const { return labels()[i]; }

  /// y (n), w (n), Y (k,n) and the queries (n). Require has_labels(), has_weights(), num_targets() > 0 and has_queries().
  const Vector<Label>& labels() const {
    PARADE_ASSERT(has_labels());
    return *labels_;
  }
  const Vector<double>& weights() const {
    PARADE_ASSERT(has_weights());
    return *weights_;
  }
  const Matrix<double>& targets() const {
    PARADE_ASSERT(num_targets() > 0);
    return *targets_;
  }
  const Vector<std::int64_t>& queries() const {
    PARADE_ASSERT(has_queries());
    return *queries_;
  }

  /// The labels of row i, rising. Requires has_label_sets().
  std::span<const Label> label_set(Index i) const {
    PARADE_ASSERT(has_label_sets() && i >= 0 && i < size());
    const Index begin = (*label_offsets_)[i];
    return {label_ids_->data() + begin, static_cast<std::size_t>((*label_offsets_)[i + 1] - begin)};
  }

  /// X (d,n), one row of these as one column: for tests and small data.
  Matrix<Scalar> to_dense() const {
    Matrix<Scalar> x = Matrix<Scalar>::Zero(features_, size());
    for (Index i = 0; i < size(); ++i) {
      const Row row = (*this)[i];
      for (std::size_t j = 0; j < row.indices.size(); ++j) x(row.indices[j], i) = row.value(j);
    }
    return x;
  }

 private:
  void check_count(std::string_view field, Index count) const {
    if (count != size())
      throw DataError(detail::text(field, " must have one entry for each of the n rows; got ", count, " (n = ", size(), ")"));
  }

  static void check_offsets(std::string_view field, const Vector<std::int64_t>& offsets, std::string_view of, Index count) {
    if (offsets.size() < 1) throw DataError(detail::text(field, " must have n + 1 entries; got none"));
    if (offsets[0] != 0) throw DataError(detail::text(field, " must begin with 0; got ", offsets[0]));
    for (Index i = 0; i + 1 < offsets.size(); ++i)
      if (offsets[i + 1] < offsets[i])
        throw DataError(detail::text(field, " must not fall; got ", offsets[i + 1], " after ", offsets[i], ", at the end of row ", i));
    const Index n = offsets.size() - 1;
    if (offsets[n] != count)
      throw DataError(detail::text(field, " must end with the number of ", of, ", ", count, "; got ", offsets[n], " (n = ", n, ")"));
  }

  static void check_indices(const Vector<std::int64_t>& offsets, const Vector<std::int32_t>& indices, Index features) {
    for (Index i = 0; i + 1 < offsets.size(); ++i) {
      const Index begin = offsets[i], end = offsets[i + 1];
      if (begin == end) continue;
      bool rising = true;
      for (Index j = begin + 1; j < end; ++j) rising &= indices[j - 1] < indices[j];  // to the end, so that it runs in vectors
      if (rising && indices[begin] >= 0 && indices[end - 1] < features) continue;
      for (Index j = begin; j < end; ++j) {
        if (indices[j] < 0 || indices[j] >= features)
          throw DataError(
              detail::text("indices must be in [0, num_features); got ", indices[j], " in row ", i, " (num_features = ", features, ")"));
        if (j > begin && indices[j] <= indices[j - 1])
          throw DataError(detail::text("indices must rise within a row; got ", indices[j], " after ", indices[j - 1], " in row ", i));
      }
    }
  }

  static Index row_of(const Vector<std::int64_t>& offsets, Index entry) {
    Index row = 0;
    while (offsets[row + 1] <= entry) ++row;
    return row;
  }

  template <class Values, class Place>
  static void check_finite(std::string_view field, const Values& values, const Place& place) {
    bool finite = true;
    for (Index j = 0; j < values.size(); ++j) finite &= std::isfinite(values[j]);  // to the end, so that it runs in vectors
    for (Index j = 0; !finite && j < values.size(); ++j)
      if (!std::isfinite(values[j])) throw DataError(detail::text(field, " must be finite; got ", values[j], " in ", place(j)));
  }

  Index features_ = 0;
  std::shared_ptr<const Vector<std::int64_t>> offsets_;        // (n+1)
  std::shared_ptr<const Vector<std::int32_t>> indices_;        // (nonzeros)
  std::shared_ptr<const Vector<Scalar>> values_;               // (nonzeros) or (0)
  std::shared_ptr<const Vector<Label>> labels_;                // (n), null where there are none
  std::shared_ptr<const Vector<double>> weights_;              // (n), the same
  std::shared_ptr<const Matrix<double>> targets_;              // (k,n), the same
  std::shared_ptr<const Vector<std::int64_t>> label_offsets_;  // (n+1), the same
  std::shared_ptr<const Vector<Label>> label_ids_;             // the same
  std::shared_ptr<const Vector<std::int64_t>> queries_;        // (n), the same
};

namespace detail {

template <class D>
inline constexpr bool is_sparse_rows = false;
template <class Scalar>
inline constexpr bool is_sparse_rows<SparseRows<Scalar>> = true;

}  // namespace detail

}  // namespace parade
