// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/concepts/dataset.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/core/batch.hpp>
#include <parade/core/error.hpp>
#include <parade/core/shard_plan.hpp>
#include <parade/core/types.hpp>
#include <parade/data/dense_data.hpp>
#include <parade/data/sparse_rows.hpp>
#include <parade/engine/team.hpp>
#include <parade/kernels/huge_pages.hpp>

// What the stages of a preparation share: data of any kind read as double, and sums over it whose order depends on the size of the data
// alone.
namespace parade {

/// n samples of d numbers, as a stage is fitted to them. Any worker may read any of them.
class Samples {
 public:
  virtual ~Samples() = default;
  virtual Index size() const = 0;          // n
  virtual Index num_features() const = 0;  // d
  /// Samples range.begin … range.end − 1 into x (d, range.size()). NaN is a number that is missing.
  virtual void read(Range range, double* x) const = 0;
  /// The number that sample i has in the data that the user gave, and what feature k is called there, for errors.
  virtual Index number(Index i) const { return i; }
  virtual std::string feature(Index k) const { return detail::text("column ", k); }
};

/// The same for sparse samples.
class SparseSamples {
 public:
  virtual ~SparseSamples() = default;
  virtual Index size() const = 0;          // n
  virtual Index num_features() const = 0;  // d
  virtual Index entries() const = 0;       // in all samples together, or an upper bound
  virtual std::span<const std::int32_t> indices(Index i) const = 0;
  /// The values of sample i, one for each of its indices.
  virtual void read(Index i, double* values) const = 0;
  virtual Index number(Index i) const { return i; }
};

template <class P>
concept TransformsSamples = requires(const P fitted, const double* x, double* out) {
  fitted.transform_sample(Index{}, x, out);
}
|| requires(const P fitted, const double* x, double* out) { fitted.transform_samples(Range{}, x, out); };

/// One stage of a preparation: what is fitted to the training part, and then done to each sample by itself.
///
/// Requirements for a type P:
///   1. `fit_samples(const Samples&, Team&)` sets what the stage learns. It begins from its options alone, whatever it was fitted to
///      before.
///   2. `num_inputs()` is the number d of features that it was fitted to, 0 before; `num_outputs()` the number of features that it makes
///      of them.
///   3. `transform_sample(i, x, out)`, const: x (d) becomes out (num_outputs()), which never overlap. i is the number of the sample, for
///      errors alone.
///   4. `kind`, its name in errors and model files, and `visit_state(self, visit)`, static, which calls visit("name", member) for each
///      option and each fitted number: Vector<double>, double, Index, bool, or an enum whose values are 0 … P::last(value).
/// Copyable. Everything is computed in double.
///
/// Not required: `check()`, which throws OptionError for options that break a rule; `settle()`, called after a fitted stage was read from a
/// file, which throws DataError where its numbers contradict each other.
/// See also: SparsePreparation, parade::Pipeline.
template <class P>
concept Preparation = std::copyable<P> && TransformsSamples<P> && requires(P stage, const P fitted, const Samples& samples, Team& team) {
  stage.fit_samples(samples, team);
  { fitted.num_inputs() } -> std::convertible_to<Index>;
  { fitted.num_outputs() } -> std::convertible_to<Index>;
};

/// A stage that also takes sparse samples and leaves zeros zero: as many features as before, and of each sample the same entries with
/// other values.
///   1. `fit_rows(const SparseSamples&, Team&)`
///   2. `transform_row(indices, values)`, const: changes the values of one sample.
template <class P>
concept SparsePreparation = Preparation<P> &&
    requires(P stage, const P fitted, const SparseSamples& samples, Team& team, std::span<const std::int32_t> indices, double* values) {
  stage.fit_rows(samples, team);
  fitted.transform_row(indices, values);
};

namespace detail {

template <class X>
concept DenseMatrix = std::derived_from<X, Eigen::DenseBase<X>>;

/// Samples of about 256 kB, which stay in a core's cache while they are looked at more than once. The rule reads the number of features
/// alone.
inline Index prepared_block(Index features) { return std::clamp<Index>(32768 / std::max<Index>(features, 1), 1, 1024); }

template <class Use>
void for_each_block(Range range, Index features, const Use& use) {
  const Index size = prepared_block(features);
  for (Index begin = range.begin; begin < range.end; begin += size) use(Range{begin, std::min(begin + size, range.end)});
}

/// x (d,m) becomes out (num_outputs(),m), sample by sample.
template <class P>
void transform_block(const P& stage, Range range, const double* x, double* out) {
  if constexpr (requires { stage.transform_samples(range, x, out); }) {
    stage.transform_samples(range, x, out);
  } else {
    const Index inputs = stage.num_inputs(), outputs = stage.num_outputs();
    for (Index j = 0; j < range.size(); ++j) stage.transform_sample(range.begin + j, x + j * inputs, out + j * outputs);
  }
}

template <class Scalar>
class MatrixSamples final : public Samples {
 public:
  explicit MatrixSamples(const ConstMatrixRef<Scalar>& x) : x_(x) {}
  Index size() const override { return x_.cols(); }
  Index num_features() const override { return x_.rows(); }
  void read(Range range, double* x) const override {
    for (Index j = range.begin; j < range.end; ++j, x += x_.rows())
      for (Index i = 0; i < x_.rows(); ++i) x[i] = static_cast<double>(x_(i, j));
  }

 private:
  const ConstMatrixRef<Scalar>& x_;
};

/// A data set, without its samples of weight 0, which are absent.
template <class D>
class DatasetSamples final : public Samples {
 public:
  explicit DatasetSamples(const D& data) : data_(data), present_(static_cast<std::size_t>(data.size())) {
    std::iota(present_.begin(), present_.end(), Index{0});
    DenseBatch<double> batch;
    data_.reserve(batch, 1);
    if (batch.weights.size() == 0) return;
    std::vector<Index> present;
    for_each_block({0, data.size()}, data.num_features(), [&](Range range) {
      gather(range, batch);
      for (Index j = 0; j < range.size(); ++j)
        if (batch.weights[j] != 0) present.push_back(range.begin + j);
    });
    present_ = std::move(present);
  }
  Index size() const override { return static_cast<Index>(present_.size()); }
  Index num_features() const override { return data_.num_features(); }
  void read(Range range, double* x) const override {
    DenseBatch<double> batch;
    gather(range, batch);
    std::copy_n(batch.x.data(), range.size() * data_.num_features(), x);
  }
  Index number(Index i) const override { return present_[static_cast<std::size_t>(i)]; }

 private:
  void gather(Range range, DenseBatch<double>& batch) const {
    data_.reserve(batch, range.size());
    data_.gather(std::span{present_}.subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.size())), batch);
  }

  const D& data_;
  std::vector<Index> present_;
};

/// Sparse rows, without those of weight 0.
template <class Scalar>
class RowSamples final : public SparseSamples {
 public:
  explicit RowSamples(const SparseRows<Scalar>& rows) : rows_(rows) {
    for (Index i = 0; i < rows.size(); ++i)
      if (!rows.has_weights() || rows.weights()[i] != 0) present_.push_back(i);
  }
  Index size() const override { return static_cast<Index>(present_.size()); }
  Index num_features() const override { return rows_.num_features(); }
  Index entries() const override { return rows_.nonzeros(); }
  std::span<const std::int32_t> indices(Index i) const override { return rows_[number(i)].indices; }
  void read(Index i, double* values) const override {
    const auto row = rows_[number(i)];
    for (std::size_t j = 0; j < row.indices.size(); ++j) values[j] = static_cast<double>(row.value(j));
  }
  Index number(Index i) const override { return present_[static_cast<std::size_t>(i)]; }

 private:
  const SparseRows<Scalar>& rows_;
  std::vector<Index> present_;
};

/// The values of one row; an error says which one.
template <class P>
void transform_row_of(const P& stage, Index row, std::span<const std::int32_t> indices, double* values) {
  try {
    stage.transform_row(indices, values);
  } catch (const DataError& error) {
    throw DataError(text("row ", row, ": ", error.what()));
  }
}

/// What a fitted stage makes of samples: what the stage behind it is fitted to.
template <class P>
class Prepared final : public Samples {
 public:
  Prepared(const Samples& from, const P& stage) : from_(from), stage_(stage) {}
  Index size() const override { return from_.size(); }
  Index num_features() const override { return stage_.num_outputs(); }
  void read(Range range, double* x) const override {
    std::vector<double> room(static_cast<std::size_t>(from_.num_features() * range.size()));
    from_.read(range, room.data());
    try {
      transform_block(stage_, range, room.data(), x);
      return;
    } catch (const DataError&) {  // which does not name the sample as the user knows it
    }
    // So run by run of samples whose numbers follow each other. Runs are short where samples of weight 0 are scattered.
    for (Range run{range.begin, range.begin}; run.begin < range.end; run.begin = run.end) {
      const Index first = number(run.begin);
      while (run.end < range.end && number(run.end) == first + run.size()) ++run.end;
      const Index before = run.begin - range.begin;
      transform_block(stage_, {first, first + run.size()}, room.data() + before * from_.num_features(), x + before * num_features());
    }
  }
  Index number(Index i) const override { return from_.number(i); }

 private:
  const Samples& from_;
  const P& stage_;
};

template <class P>
class PreparedRows final : public SparseSamples {
 public:
  PreparedRows(const SparseSamples& from, const P& stage) : from_(from), stage_(stage) {}
  Index size() const override { return from_.size(); }
  Index num_features() const override { return from_.num_features(); }
  Index entries() const override { return from_.entries(); }
  std::span<const std::int32_t> indices(Index i) const override { return from_.indices(i); }
  void read(Index i, double* values) const override {
    from_.read(i, values);
    transform_row_of(stage_, number(i), from_.indices(i), values);
  }
  Index number(Index i) const override { return from_.number(i); }

 private:
  const SparseSamples& from_;
  const P& stage_;
};

/// parts[0] + … + parts[S−1] over the canonical tree (engine/reduce.hpp), left in parts[0]; `add(a, b)` adds b to a.
template <class State, class Add>
State& add_in_tree(std::span<State> parts, const Add& add) {
  if (parts.size() > 1) {
    const std::size_t left = std::bit_floor(parts.size() - 1);
    add(add_in_tree(parts.first(left), add), add_in_tree(parts.subspan(left), add));
  }
  return parts[0];
}

/// The sum of what the samples add, in an order that their number alone decides: at most 64 shards of at least 1024 samples, each of them
/// block by block in order by `look(state, range, x)`, and then the canonical tree by `add(a, b)`. Throws DataError for a value that is
/// infinite.
template <class State, class Look, class Add>
State over_samples(const Samples& samples, Team& team, const State& empty, const Look& look, const Add& add) {
  const Index n = samples.size(), d = samples.num_features(), shards = std::clamp<Index>((n + 1023) / 1024, 1, 64);
  std::vector<State> parts(static_cast<std::size_t>(shards), empty);
  team.for_each(shards, [&](Index shard, int) {
    std::vector<double> room(static_cast<std::size_t>(d * std::min(prepared_block(d), n)));
    for_each_block(part_of(n, shards, shard), d, [&](Range range) {
      samples.read(range, room.data());
      bool infinite = false;
      for (Index k = 0; k < range.size() * d; ++k)
        infinite |= std::isinf(room[static_cast<std::size_t>(k)]);  // to the end, so that it runs in vectors
      for (Index k = 0; infinite && k < range.size() * d; ++k)
        if (std::isinf(room[static_cast<std::size_t>(k)]))
          throw DataError(text("features must be finite, or NaN where they are missing; got ", room[static_cast<std::size_t>(k)], " in ",
                               samples.feature(k % d), " of sample ", samples.number(range.begin + k / d)));
      look(parts[static_cast<std::size_t>(shard)], range, static_cast<const double*>(room.data()));
    });
  });
  return std::move(add_in_tree(std::span{parts}, add));
}

/// The same for sparse rows, row by row by `look(state, indices, values)`. A state has room for each feature: there are at most 16 shards,
/// and so few that together they are no larger than the data, unless there is one only.
template <class State, class Look, class Add>
State over_rows(const SparseSamples& rows, Team& team, const State& empty, const Look& look, const Add& add) {
  const Index n = rows.size(), features = std::max<Index>(rows.num_features(), 4096),
              shards = std::clamp<Index>(rows.entries() / features / 4, 1, 16);
  std::vector<State> parts(static_cast<std::size_t>(shards), empty);
  team.for_each(shards, [&](Index shard, int) {
    std::vector<double> values;
    const Range range = part_of(n, shards, shard);
    for (Index i = range.begin; i < range.end; ++i) {
      const auto indices = rows.indices(i);
      values.resize(indices.size());
      rows.read(i, values.data());
      for (std::size_t j = 0; j < indices.size(); ++j)
        if (!std::isfinite(values[j]))
          throw DataError(text("values must be finite; got ", values[j], " in row ", rows.number(i), ", feature ", indices[j]));
      look(parts[static_cast<std::size_t>(shard)], indices, static_cast<const double*>(values.data()));
    }
  });
  return std::move(add_in_tree(std::span{parts}, add));
}

/// What comes out where D goes in.
template <class D>
struct PreparedScalar {
  using type = float;
};
template <class D>
  requires requires { typename D::Value; }
struct PreparedScalar<D> {
  using type = std::conditional_t<std::is_same_v<typename D::Value, double>, double, float>;
};
template <class D>
using PreparedScalarOf = typename PreparedScalar<D>::type;

template <class D>
concept PreparedDataset = !DenseMatrix<D> && Dataset<D, DenseBatch<double>>;

template <class P>
void check_fitted(const P& stage, Index features) {
  if (stage.num_inputs() == 0) throw std::logic_error(text(P::kind, " is not fitted yet: call fit first"));
  if (stage.num_inputs() != features)
    throw DataError(text("the data must have the ", stage.num_inputs(), " features that ", P::kind, " was fitted to; got ", features));
}

inline void check_not_empty(Index n, Index d) {
  if (n < 1) throw DataError("a preparation is fitted to at least 1 sample (of a weight above 0); got 0");
  if (d < 1) throw DataError("a preparation is fitted to at least 1 feature; got 0");
}

template <class P>
void check_stage(const P& stage) {
  if constexpr (requires { stage.check(); }) stage.check();
}

/// Fits a stage to data of any kind. If something is thrown, the stage is as it was.
template <class P, class D>
void fit_to(P& stage, const D& data, int threads) {
  check_stage(stage);
  Team team{threads};
  P fitted = stage;
  if constexpr (DenseMatrix<D>) {
    const ConstMatrixRef<typename D::Scalar> x(data);
    check_not_empty(x.cols(), x.rows());
    fitted.fit_samples(MatrixSamples<typename D::Scalar>{x}, team);
  } else if constexpr (is_sparse_rows<D>) {
    static_assert(SparsePreparation<P>,
                  "parade: this stage would make zeros of sparse data something else, or has no form for sparse data");
    const RowSamples<typename D::Value> samples{data};
    check_not_empty(samples.size(), samples.num_features());
    fitted.fit_rows(samples, team);
  } else {
    static_assert(PreparedDataset<D>,
                  "parade: a preparation takes matrices (d,n), SparseRows and what is a Dataset<D, DenseBatch<double>>");
    const DatasetSamples<D> samples{data};
    check_not_empty(samples.size(), samples.num_features());
    fitted.fit_samples(samples, team);
  }
  stage = std::move(fitted);
}

/// X (d,n) as out (num_outputs(),n).
template <class Scalar, class P, class Read>
Matrix<Scalar> transformed(const P& stage, Index n, Team& team, const Read& read) {
  const Index inputs = stage.num_inputs(), outputs = stage.num_outputs(), widest = std::max(inputs, outputs), size = prepared_block(widest);
  Matrix<Scalar> out(outputs, n);
  kernels::use_huge_pages(out);
  team.for_each((n + size - 1) / size, [&](Index block, int) {
    const Range range{block * size, std::min((block + 1) * size, n)};
    std::vector<double> x(static_cast<std::size_t>(inputs * range.size())), z(static_cast<std::size_t>(outputs * range.size()));
    read(range, x.data());
    transform_block(stage, range, x.data(), z.data());
    std::transform(z.begin(), z.end(), out.data() + range.begin * outputs, [](double value) { return static_cast<Scalar>(value); });
  });
  return out;
}

template <class P, class D>
auto transform_of(const P& stage, const D& data, int threads) {
  Team team{threads};
  if constexpr (DenseMatrix<D>) {
    using Scalar = typename D::Scalar;
    const ConstMatrixRef<Scalar> x(data);
    check_fitted(stage, x.rows());
    const MatrixSamples<Scalar> samples{x};
    return transformed<Scalar>(stage, x.cols(), team, [&](Range range, double* to) { samples.read(range, to); });
  } else if constexpr (is_sparse_rows<D>) {
    using Scalar = typename D::Value;
    static_assert(SparsePreparation<P>,
                  "parade: this stage would make zeros of sparse data something else, or has no form for sparse data");
    check_fitted(stage, data.num_features());
    if constexpr (requires { stage.check_rows(); }) stage.check_rows();
    Vector<Scalar> values(data.nonzeros());
    kernels::use_huge_pages(values);
    const Index n = data.size(), pieces = std::clamp<Index>(n / 256, 1, 4096);
    team.for_each(pieces, [&](Index piece, int) {
      std::vector<double> room;
      const Range range = part_of(n, pieces, piece);
      for (Index i = range.begin; i < range.end; ++i) {
        const auto row = data[i];
        room.resize(row.indices.size());
        for (std::size_t j = 0; j < room.size(); ++j) room[j] = static_cast<double>(row.value(j));
        transform_row_of(stage, i, row.indices, room.data());
        Scalar* to = values.data() + data.offsets()[i];
        for (std::size_t j = 0; j < room.size(); ++j) to[j] = static_cast<Scalar>(room[j]);
      }
    });
    return data.with_values(std::move(values));
  } else {
    using Scalar = PreparedScalarOf<D>;
    static_assert(PreparedDataset<D>,
                  "parade: a preparation takes matrices (d,n), SparseRows and what is a Dataset<D, DenseBatch<double>>");
    check_fitted(stage, data.num_features());
    const Index n = data.size(), targets = data.num_targets();
    Vector<Label> labels(data.has_labels() ? n : 0);
    Matrix<double> real(targets, targets > 0 ? n : 0);
    DenseBatch<double> first;
    data.reserve(first, 1);
    Vector<double> weights(first.weights.size() > 0 ? n : 0);
    Matrix<Scalar> out = transformed<Scalar>(stage, n, team, [&](Range range, double* to) {
      DenseBatch<double> batch;
      data.reserve(batch, range.size());
      std::vector<Index> samples(static_cast<std::size_t>(range.size()));
      std::iota(samples.begin(), samples.end(), range.begin);
      data.gather(samples, batch);
      std::copy_n(batch.x.data(), range.size() * data.num_features(), to);
      if (labels.size() > 0) labels.segment(range.begin, range.size()) = batch.labels.head(range.size());
      if (weights.size() > 0) weights.segment(range.begin, range.size()) = batch.weights.head(range.size());
      if (real.size() > 0) real.middleCols(range.begin, range.size()) = batch.targets.leftCols(range.size());
    });
    DenseData<Scalar> prepared{std::move(out)};
    if (data.has_labels()) prepared = prepared.with_labels(std::move(labels));
    if (targets > 0) prepared = prepared.with_targets(std::move(real));
    if (first.weights.size() > 0) prepared = prepared.with_weights(std::move(weights));
    return prepared;
  }
}

/// Of a stage that was read from a file: throws DataError unless the rule holds.
inline void check_state(bool holds, const char* kind, const std::string& rule) {
  if (!holds) throw DataError(text(kind, ": ", rule));
}
inline bool all_finite(const Vector<double>& x) {
  return std::all_of(x.begin(), x.end(), [](double value) { return std::isfinite(value); });
}

}  // namespace detail
}  // namespace parade
