// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/concepts/dataset.hpp>
#include <parade/core/error.hpp>
#include <parade/data/not_finite.hpp>
#include <parade/kernels/prefetch.hpp>

namespace parade {
namespace detail {

/// x = S(value) · S(scale) + S(offset) for the d values of a sample.
template <class T, class Scalar>
void convert_sample(const T* from, Scalar* to, Index d, double by, double plus) {
  const auto scale = static_cast<Scalar>(by), offset = static_cast<Scalar>(plus);
  if (plus != 0)
    for (Index j = 0; j < d; ++j) to[j] = std::fma(static_cast<Scalar>(from[j]), scale, offset);
  else if (by != 1)
    for (Index j = 0; j < d; ++j) to[j] = static_cast<Scalar>(from[j]) * scale;
  else
    for (Index j = 0; j < d; ++j) to[j] = static_cast<Scalar>(from[j]);
}

}  // namespace detail

/// Dense samples in memory, as float, double or 8-bit, with labels, real targets and weights where they are given.
///
///   const auto data = parade::DenseData{std::move(x)}.with_labels(y);                       // x: Eigen::MatrixXf (d,n), one sample a column
///   const auto data = parade::DenseData<float>::view(numbers, 784, 60000).with_labels(y);   // no copy: numbers must outlive data
///
/// What a batch gets of each value, as float or double (S):
///
///   x = S(value) · S(scale) + S(offset)         one product, or one fused multiply-add where offset ≠ 0: the same bits on every machine
///
/// Scale is 1 for real data and 1/255 for 8-bit data, so that x is in [0, 1]; offset is 0; `with_scale` sets both.
///
/// A DenseData never changes: each `with_…` answers a new one, and all copies share one memory, so that copying costs nothing and one object
/// serves all workers. It may hold no samples (n = 0), though nothing can be fitted to it then.
///
/// Throws DataError, naming field, value and rule: for no features, a value, target or weight that is not finite, sizes that do not fit.
template <class T>
class DenseData {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, std::uint8_t>,
                "parade::DenseData<T>: T is float, double or std::uint8_t");

 public:
  using SampleBySampleOf = DenseData;

  using Value = T;

  /// Keeps x (d,n). With NotFinite::keep it may hold NaN, numbers that are missing: no model can be fitted to them, but parade::Impute
  /// fills them in.
  explicit DenseData(Matrix<T> x, NotFinite not_finite = NotFinite::refuse)
      : DenseData(std::make_shared<const Matrix<T>>(std::move(x)), not_finite) {}

  /// Keeps n·d values, those of sample 0 first.
  DenseData(std::vector<T> values, Index features) : DenseData(std::make_shared<const std::vector<T>>(std::move(values)), features) {}

  /// Reads n·d values from the caller's memory, those of sample 0 first, without a copy. They must stay as they are while any copy of the
  /// result is in use.
  static DenseData view(const T* values, Index features, Index samples) { return {{std::shared_ptr<void>{}, values}, features, samples}; }

  /// y (n): the class of each sample. Which labels fit is the loss's to say.
  DenseData with_labels(Vector<Label> labels) const {
    check_count("labels", labels.size());
    auto copy = *this;
    copy.labels_ = std::make_shared<const Vector<Label>>(std::move(labels));
    return copy;
  }

  /// Y (k,n): k ≥ 1 real targets a sample, rounded to the batch's Scalar when they are gathered.
  DenseData with_targets(Matrix<double> targets) const {
    check_count("targets", targets.cols());
    if (targets.rows() < 1) throw DataError("targets must have at least 1 row; got 0");
    for (Index i = 0; i < size(); ++i) check_finite("targets", i, targets.col(i));
    auto copy = *this;
    copy.targets_ = std::make_shared<const Matrix<double>>(std::move(targets));
    return copy;
  }

  /// w (n): finite, w_i ≥ 0, and not all 0.
  DenseData with_weights(Vector<double> weights) const {
    check_count("weights", weights.size());
    for (Index i = 0; i < size(); ++i)
      if (!(std::isfinite(weights[i]) && weights[i] >= 0))
        throw DataError(detail::text("weights must be finite and at least 0; got ", weights[i], " for sample ", i));
    if (size() > 0 && weights.isZero(0)) throw DataError(detail::text("weights must not all be 0; got 0 for each of ", size(), " samples"));
    auto copy = *this;
    copy.weights_ = std::make_shared<const Vector<double>>(std::move(weights));
    return copy;
  }

  /// x = value · scale + offset. Scale finite and not 0, offset finite.
  DenseData with_scale(double scale, double offset = 0) const {
    if (!std::isfinite(scale) || scale == 0) throw DataError(detail::text("scale must be finite and not 0; got ", scale));
    if (!std::isfinite(offset)) throw DataError(detail::text("offset must be finite; got ", offset));
    auto copy = *this;
    copy.scale_ = scale;
    copy.offset_ = offset;
    return copy;
  }

  Index size() const { return samples_; }           // n
  Index num_features() const { return features_; }  // d
  bool has_labels() const { return labels_ != nullptr; }
  Index num_targets() const { return targets_ ? targets_->rows() : 0; }
  bool has_weights() const { return weights_ != nullptr; }
  double scale() const { return scale_; }
  double offset() const { return offset_; }

  /// The values (d,n) as they were given, before scale and offset.
  Eigen::Map<const Matrix<T>> values() const { return {values_.get(), features_, samples_}; }

  /// The label of sample i. Requires has_labels().
  Label label(Index i) const { return labels()[i]; }

  /// y (n), w (n) and Y (k,n). Require has_labels(), has_weights() and num_targets() > 0.
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

  /// Room for `capacity` samples, once a worker.
  template <class Scalar>
  void reserve(DenseBatch<Scalar>& batch, Index capacity) const {
    batch.reserve(capacity, features_, has_labels(), num_targets(), has_weights());
  }

  /// Column s of the batch becomes sample samples[s]. Each index in [0, n), no more of them than were reserved.
  template <class Scalar>
  void gather(std::span<const Index> samples, DenseBatch<Scalar>& batch) const {
    batch.size = static_cast<Index>(samples.size());
    PARADE_ASSERT(batch.size <= batch.capacity() && batch.x.rows() == features_);
    for (Index s = 0; s < batch.size; ++s) {
      const Index i = samples[static_cast<std::size_t>(s)];
      PARADE_ASSERT(i >= 0 && i < samples_);
      if (s + 3 < batch.size) prefetch(samples[static_cast<std::size_t>(s + 3)]);
      detail::convert_sample(values_.get() + i * features_, batch.x.data() + s * features_, features_, scale_, offset_);
      if (labels_) batch.labels[s] = (*labels_)[i];
      if (targets_) batch.targets.col(s) = targets_->col(i).template cast<Scalar>();
      if (weights_) batch.weights[s] = (*weights_)[i];
    }
  }

 private:
  DenseData(const std::shared_ptr<const Matrix<T>>& x, NotFinite not_finite)
      : DenseData({x, x->data()}, x->rows(), x->cols(), not_finite) {}

  DenseData(const std::shared_ptr<const std::vector<T>>& values, Index features)
      : DenseData({values, values->data()}, features, features > 0 ? static_cast<Index>(values->size()) / features : 0) {
    if (static_cast<Index>(values->size()) != samples_ * features_)
      throw DataError(detail::text("the number of values must be a multiple of num_features; got ", values->size(),
                                   " (num_features = ", features, ")"));
  }

  DenseData(std::shared_ptr<const T> values, Index features, Index samples, NotFinite not_finite = NotFinite::refuse)
      : values_(std::move(values)), features_(features), samples_(samples) {
    if (features < 1) throw DataError(detail::text("num_features must be at least 1; got ", features));
    if (samples < 0) throw DataError(detail::text("the number of samples must be at least 0; got ", samples));
    if (samples > 0 && !values_) throw DataError(detail::text("values must point to ", samples, " samples; got a null pointer"));
    if constexpr (std::is_floating_point_v<T>)
      for (Index i = 0; i < samples && not_finite == NotFinite::refuse; ++i) check_finite("features", i, this->values().col(i));
  }

  void check_count(std::string_view field, Index count) const {
    if (count != samples_)
      throw DataError(detail::text(field, " must have one entry for each of the n samples; got ", count, " (n = ", samples_, ")"));
  }

  template <class Column>
  static void check_finite(std::string_view field, Index sample, const Column& column) {
    bool finite = true;
    for (const auto value : column) finite &= std::isfinite(value);  // to the end, so that it runs in vectors
    for (Index j = 0; !finite && j < column.size(); ++j)
      if (!std::isfinite(column[j]))
        throw DataError(detail::text(field, " must be finite; got ", column[j], " in row ", j, " of sample ", sample));
  }

  /// Samples lie anywhere in memory, where the hardware cannot guess the next one. It is asked for three samples ahead; within a
  /// long sample the hardware does well alone.
  void prefetch(Index sample) const {
    kernels::prefetch(values_.get() + sample * features_, std::min<std::size_t>(4096, static_cast<std::size_t>(features_) * sizeof(T)));
  }

  std::shared_ptr<const T> values_;  // (d,n)
  Index features_;
  Index samples_;
  double scale_ = std::is_same_v<T, std::uint8_t> ? 1.0 / 255 : 1;
  double offset_ = 0;
  std::shared_ptr<const Vector<Label>> labels_;    // (n), null where there are none
  std::shared_ptr<const Matrix<double>> targets_;  // (k,n), the same
  std::shared_ptr<const Vector<double>> weights_;  // (n), the same
};

/// The two parts that a data set is published in: `const auto [train, test] = parade::mnist(folder);`
template <class D>
struct TrainTest {
  D train;
  D test;
};

static_assert(Dataset<DenseData<float>, DenseBatch<float>> && Dataset<DenseData<float>, DenseBatch<double>>);
static_assert(Dataset<DenseData<double>, DenseBatch<float>> && Dataset<DenseData<double>, DenseBatch<double>>);
static_assert(Dataset<DenseData<std::uint8_t>, DenseBatch<float>> && Dataset<DenseData<std::uint8_t>, DenseBatch<double>>);

}  // namespace parade
