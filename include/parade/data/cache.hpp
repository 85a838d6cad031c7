// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/threads.hpp>
#include <parade/core/types.hpp>
#include <parade/data/dense_data.hpp>
#include <parade/data/not_finite.hpp>
#include <parade/data/sparse_rows.hpp>
#include <parade/io/cache.hpp>
#include <parade/io/text.hpp>
#include <parade/kernels/huge_pages.hpp>

namespace parade {

struct CacheOptions {
  Index rows_per_block = 0;  // ≥ 1; 0: as many as fill the first mebibyte, and at least 256 where that is not above 16
  Index num_features = 0;    // of sparse rows: at least so many; 0: as many as the rows have that have most
  bool all_ones = false;     // sparse rows: values are left out; rows that have some are refused
  Index num_labels = 0;      // label sets: labels are in [0, num_labels); 0: as many as the first chunk needs
  CacheSchema schema = {};
};

/// Writes a cache (see io/cache.hpp) from rows that come chunk by chunk, and never holds more than one block of them. D is SparseRows<S> or DenseData<T>.
///
///   parade::CacheWriter<parade::SparseRows<float>> writer{"train.cache"};
///   while (…) writer.add(chunk);
///   writer.finish();                  // now the file is there: until then it has another name, and without this nothing is left of it
///
/// The first chunk says whether there are labels, targets, weights and queries; for dense data, also scale, offset and d. Throws DataError for a chunk of another
/// kind; OptionError for options that break a rule; FileError when the file cannot be written.
template <class D>
class CacheWriter {
  static constexpr bool is_sparse = detail::is_sparse_rows<D>;
  static constexpr Index most_labels = Index{1} << 24;
  using Value = typename D::Value;

 public:
  explicit CacheWriter(const std::filesystem::path& file, CacheOptions options = {}) : options_(std::move(options)), out_(file) {
    if (options_.rows_per_block < 0 || options_.rows_per_block > Index{1} << 40)
      throw OptionError(detail::text("rows_per_block must be in [1, 2^40], or 0 for the default; got ", options_.rows_per_block));
    if (options_.num_features < 0 || options_.num_features > Index{1} << 31)
      throw OptionError(detail::text("num_features must be in [0, 2^31]; got ", options_.num_features));
    if (options_.num_labels < 0 || options_.num_labels > most_labels)
      throw OptionError(detail::text("num_labels must be in [0, 2^24], or 0 for as many as there are; got ", options_.num_labels));
    rows_per_block_ = options_.rows_per_block;
    header_.kind = is_sparse ? 1 : 2;
    header_.scalar = detail::cache_scalar<Value>;
    if (!is_sparse || !options_.all_ones) header_.flags = detail::CacheHeader::values;
    header_.features = static_cast<std::uint64_t>(options_.num_features);
  }

  /// All rows of `data`, behind those that came before.
  void add(const D& data) {
    check_kind(data);
    for (Index i = 0; i < data.size();) {
      const Index count = rows_per_block_ == 0 ? 1 : std::min(data.size() - i, rows_per_block_ - pending_);
      append(data, i, count);
      i += count;
      pending_ += count;
      const auto bytes = header_.block_bytes(static_cast<std::uint64_t>(pending_), indices_.size());
      if (rows_per_block_ == 0 && bytes >= 1 << 20 && (pending_ >= 256 || bytes >= 1 << 24)) rows_per_block_ = pending_;
      if (pending_ == rows_per_block_) write_block();
    }
  }

  /// Rows so far.
  Index size() const { return rows_ + pending_; }

  /// Writes what is left, and gives the file its name.
  void finish() {
    if (!is_sparse && header_.features == 0) throw DataError("a cache of dense data must have at least 1 feature: nothing was added");
    if (rows_per_block_ == 0) rows_per_block_ = std::max<Index>(1, pending_);
    if (pending_ > 0) write_block();
    header_.samples = static_cast<std::uint64_t>(rows_);
    header_.rows_per_block = static_cast<std::uint64_t>(rows_per_block_);
    out_.finish(header_, options_.schema);
  }

 private:
  void check_kind(const D& data) {
    std::uint32_t flags = header_.flags & detail::CacheHeader::values;
    if (data.has_labels()) flags |= detail::CacheHeader::labels;
    if (data.has_weights()) flags |= detail::CacheHeader::weights;
    auto targets = static_cast<std::uint32_t>(data.num_targets());
    const auto features = static_cast<std::uint64_t>(data.num_features());
    if constexpr (is_sparse) {
      if (data.has_queries()) flags |= detail::CacheHeader::queries;
      if (data.has_label_sets()) {
        if (targets > 0) throw DataError("a cache holds targets or label sets, not both");
        flags |= detail::CacheHeader::label_sets;
        targets = check_label_sets(data);
      }
      if (options_.num_labels > 0 && !data.has_label_sets()) throw OptionError("num_labels is for rows with label sets; got rows without");
      if (options_.all_ones && !data.all_ones()) throw DataError("rows of a cache with all_ones must have no values; got some");
      if (options_.num_features > 0 && features > static_cast<std::uint64_t>(options_.num_features))
        throw DataError(detail::text("rows must have at most num_features = ", options_.num_features, " features; got ", features));
      header_.features = std::max(header_.features, features);
    } else {
      if (options_.num_labels > 0) throw OptionError("num_labels is for sparse rows with label sets; got dense data");
      if (features > std::uint64_t{1} << 40)
        throw DataError(detail::text("a cache of dense data holds at most 2^40 features; got ", features));
      if (!is_first_ && (features != header_.features || data.scale() != header_.scale || data.offset() != header_.offset))
        throw DataError(detail::text("dense data must have ", header_.features,
                                     " features, and scale and offset, as what was added first; got ", features, " features, scale ",
                                     data.scale(), " and offset ", data.offset()));
      header_.features = features;
      header_.scale = data.scale();
      header_.offset = data.offset();
    }
    if (!is_first_ && (flags != header_.flags || targets != header_.targets))
      throw DataError("labels, targets, weights and queries must be there as in what was added first");
    if (targets > 1 << 24) throw DataError(detail::text("a cache holds at most 2^24 targets a row; got ", targets));
    header_.flags = flags;
    header_.targets = targets;
    is_first_ = false;
  }

  /// The number of labels.
  std::uint32_t check_label_sets(const D& data) const {
    Index needed = 0;
    for (Index i = 0; i < data.size(); ++i)
      if (const auto set = data.label_set(i); !set.empty()) needed = std::max(needed, static_cast<Index>(set.back()) + 1);
    const Index given = options_.num_labels > 0 ? options_.num_labels : is_first_ ? needed : static_cast<Index>(header_.targets);
    if (needed > given)
      throw DataError(detail::text("labels must be below num_labels, ", given, options_.num_labels > 0 ? "" : " by what was added first",
                                   "; got ", needed - 1));
    if (given > most_labels) throw DataError(detail::text("a cache holds label sets of at most 2^24 labels; got ", given));
    return static_cast<std::uint32_t>(given);
  }

  void append(const D& data, Index first, Index count) {
    const auto add = [](auto& to, const auto* from, Index size) { to.insert(to.end(), from, from + size); };
    if (data.has_labels()) add(labels_, data.labels().data() + first, count);
    if (data.has_weights()) add(weights_, data.weights().data() + first, count);
    if (const Index k = data.num_targets(); k > 0) add(targets_, data.targets().data() + first * k, count * k);
    if constexpr (is_sparse) {
      if (data.has_queries()) add(queries_, data.queries().data() + first, count);
      if (data.has_label_sets())
        for (Index i = first; i < first + count; ++i) {
          const std::size_t begin = sets_.size();
          sets_.resize(begin + static_cast<std::size_t>(header_.row_words()), 0);
          for (const Label label : data.label_set(i)) detail::put_label(sets_.data() + begin, label);
        }
      const std::int64_t begin = data.offsets()[first], end = data.offsets()[first + count];
      for (Index i = first; i < first + count; ++i)
        lengths_.push_back(static_cast<std::uint32_t>(data.offsets()[i + 1] - data.offsets()[i]));
      add(indices_, data.indices().data() + begin, end - begin);
      if (options_.all_ones) return;
      if (data.all_ones())
        values_.insert(values_.end(), static_cast<std::size_t>(end - begin), Value{1});
      else
        add(values_, data.values().data() + begin, end - begin);
    } else {
      add(values_, data.values().data() + first * data.num_features(), count * data.num_features());
    }
  }

  void write_block() {
    const detail::CacheBlockParts<const std::byte> parts{targets_.data(), weights_.data(),
                                                         labels_.data(),  lengths_.data(),
                                                         indices_.data(), reinterpret_cast<const std::byte*>(values_.data()),
                                                         sets_.data(),    queries_.data()};
    out_.write_block(header_, parts, static_cast<std::uint64_t>(pending_), indices_.size());
    rows_ += pending_;
    pending_ = 0;
    targets_.clear(), weights_.clear(), labels_.clear(), lengths_.clear(), indices_.clear(), values_.clear(), sets_.clear(),
        queries_.clear();
  }

  CacheOptions options_;
  detail::CacheOutput out_;
  detail::CacheHeader header_;
  Index rows_per_block_;
  Index rows_ = 0, pending_ = 0;  // written; in the vectors
  bool is_first_ = true;
  std::vector<double> targets_, weights_;
  std::vector<Label> labels_;
  std::vector<std::uint32_t> lengths_, sets_;
  std::vector<std::int64_t> queries_;
  std::vector<std::int32_t> indices_;
  std::vector<Value> values_;
};

/// Writes a data set in memory as a cache: `parade::write_cache("train.cache", rows);` The values of sparse rows that are all ones are left out.
/// Throws as CacheWriter.
template <class D>
  requires requires { typename CacheWriter<D>; }
void write_cache(const std::filesystem::path& file, const D& data, CacheOptions options = {}) {
  if constexpr (detail::is_sparse_rows<D>) options.all_ones = data.all_ones();
  CacheWriter<D> writer{file, std::move(options)};
  writer.add(data);
  writer.finish();
}

namespace detail {

/// Throws FileError unless the cache holds what D is.
template <class D>
void check_cache_kind(const CacheFile& file) {
  const auto describe = [](bool sparse, std::string_view scalar) { return text(sparse ? "sparse rows" : "dense data", " of ", scalar); };
  const CacheInfo& info = file.info();
  constexpr auto scalar = cache_scalar<typename D::Value>;
  if (info.is_sparse != is_sparse_rows<D> || info.scalar != name_of(scalar))
    throw FileError(
        text(file.name(), ": found ", describe(info.is_sparse, info.scalar), ", expected ", describe(is_sparse_rows<D>, name_of(scalar))));
}

}  // namespace detail

/// Reads all of a cache into memory, on several threads:
///
///   const auto rows = parade::read_cache<parade::SparseRows<float>>("train.cache");
///   const auto images = parade::read_cache<parade::DenseData<std::uint8_t>>("images.cache");
///
/// Throws FileError as CacheFile, and for a cache that holds something else; DataError for values that D refuses: with NotFinite::keep these are not NaN and
/// ±∞. `threads` = 0: available_threads().
template <class D>
D read_cache(const std::filesystem::path& file, int threads = 0, NotFinite not_finite = NotFinite::refuse) {
  if (threads < 0) throw OptionError(detail::text("threads must be at least 0; got ", threads));
  const CacheFile cache{file};
  detail::check_cache_kind<D>(cache);
  const CacheInfo& info = cache.info();
  const Index n = info.samples, d = info.num_features;
  Vector<Label> labels(info.has_labels ? n : 0);
  Vector<double> weights(info.has_weights ? n : 0);
  Matrix<double> targets(info.num_targets, info.num_targets > 0 ? n : 0);
  std::vector<Index> entries(static_cast<std::size_t>(info.blocks) + 1, 0);  // before each block
  for (Index b = 0; b < info.blocks; ++b)
    entries[static_cast<std::size_t>(b) + 1] = entries[static_cast<std::size_t>(b)] + cache.entries(b);

  const auto words = static_cast<Index>(cache.header().row_words());
  std::vector<std::uint32_t> sets(static_cast<std::size_t>(n * words));
  Vector<std::int64_t> queries(info.has_queries ? n : 0);
  const int workers = static_cast<int>(std::clamp<Index>(threads > 0 ? threads : available_threads(), 1, std::max<Index>(1, info.blocks)));
  const auto read = [&](std::int32_t* indices, auto* values, std::int64_t* offsets, Index values_a_row) {
    using Lengths = std::vector<std::uint32_t>;
    detail::for_each_piece<Lengths>(info.blocks, workers, [&](Index block, Lengths& lengths) {
      const Index row = block * info.rows_per_block, rows = cache.rows(block), entry = entries[static_cast<std::size_t>(block)];
      lengths.resize(info.is_sparse ? static_cast<std::size_t>(rows) : 0);
      auto* const at = values + (info.is_sparse ? (info.all_ones ? 0 : entry) : row * values_a_row);
      cache.read_block(block, {targets.data() + row * info.num_targets, weights.data() + (info.has_weights ? row : 0),
                               labels.data() + (info.has_labels ? row : 0), lengths.data(), info.is_sparse ? indices + entry : indices,
                               reinterpret_cast<std::byte*>(at), sets.data() + row * words, queries.data() + (info.has_queries ? row : 0)});
      Index end = entry;
      for (std::size_t i = 0; i < lengths.size(); ++i) offsets[row + static_cast<Index>(i) + 1] = end += lengths[i];
    });
  };
  const auto with_targets = [&](D data) {
    if (info.has_labels) data = data.with_labels(std::move(labels));
    if (info.num_targets > 0) data = data.with_targets(std::move(targets));
    if (info.has_weights) data = data.with_weights(std::move(weights));
    return data;
  };
  if constexpr (detail::is_sparse_rows<D>) {
    Vector<std::int64_t> offsets(n + 1);
    offsets[0] = 0;
    Vector<std::int32_t> indices(info.nonzeros);
    Vector<typename D::Value> values(info.all_ones ? 0 : info.nonzeros);
    kernels::use_huge_pages(indices);
    kernels::use_huge_pages(values);
    read(indices.data(), values.data(), offsets.data(), 0);
    D rows = with_targets(D(std::move(offsets), std::move(indices), std::move(values), d, not_finite));
    if (info.has_queries) rows = rows.with_queries(std::move(queries));
    if (info.has_label_sets) {
      Vector<std::int64_t> ends(n + 1);
      std::vector<Label> ids;
      ends[0] = 0;
      for (Index i = 0; i < n; ++i) {
        detail::for_each_label(sets.data() + i * words, words, [&](Label label) { ids.push_back(label); });
        ends[i + 1] = static_cast<std::int64_t>(ids.size());
      }
      rows = rows.with_label_sets(std::move(ends), Eigen::Map<const Vector<Label>>{ids.data(), static_cast<Index>(ids.size())});
    }
    return rows;
  } else {
    Matrix<typename D::Value> x(d, n);
    kernels::use_huge_pages(x);
    read(nullptr, x.data(), nullptr, d);
    return with_targets(D(std::move(x), not_finite).with_scale(info.scale, info.offset));
  }
}

}  // namespace parade
