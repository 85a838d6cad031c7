// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <span>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/concepts/dataset.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/concepts/windowed.hpp>
#include <parade/core/batch.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/data/cache.hpp>
#include <parade/data/dense_data.hpp>
#include <parade/data/sampler.hpp>
#include <parade/data/sparse_rows.hpp>
#include <parade/io/cache.hpp>
#include <parade/kernels/huge_pages.hpp>

namespace parade {
namespace detail {

/// Memory for numbers that are written before they are read: it is not touched when it is taken, and only grows. What was there is lost then.
template <class T>
class Room {
 public:
  T* reserve(std::size_t count) {
    if (count > count_) {
      data_.reset();
      count_ = 0;
      data_.reset(new T[count]);
      kernels::use_huge_pages(data_.get(), count * sizeof(T));
      count_ = count;
    }
    return data_.get();
  }
  T* data() const { return data_.get(); }
  std::size_t bytes() const { return count_ * sizeof(T); }

 private:
  std::unique_ptr<T[]> data_;
  std::size_t count_ = 0;
};

/// What windows of a cache have in common: how they are filled. Derived keeps the features, and gives its rows their names.
template <class Derived, class Value_>
class CacheWindow {
 public:
  using Value = Value_;

  explicit CacheWindow(const CacheFile& file) : info_(&file.info()) {}
  CacheWindow(const CacheWindow&) = delete;
  CacheWindow& operator=(const CacheWindow&) = delete;

  Index size() const { return rows_; }
  Index num_features() const { return info_->num_features; }
  bool has_labels() const { return info_->has_labels; }
  bool has_weights() const { return info_->has_weights; }
  Index num_targets() const { return info_->has_label_sets ? info_->num_labels : info_->num_targets; }

  std::span<const Index> samples() const { return {order_.data(), static_cast<std::size_t>(visited_)}; }
  bool ends_epoch() const { return ends_epoch_; }
  /// Read of the file for this window.
  std::uint64_t file_bytes() const { return file_bytes_; }

  /// y (rows), w (rows), Y (k, rows).
  Eigen::Map<const Vector<Label>> labels() const { return {labels_.data(), has_labels() ? rows_ : 0}; }
  Eigen::Map<const Vector<double>> weights() const { return {weights_.data(), has_weights() ? rows_ : 0}; }
  Eigen::Map<const Matrix<double>> targets() const { return {targets_.data(), num_targets(), num_targets() > 0 ? rows_ : 0}; }

  /// Room for so many rows and entries.
  void reserve(Index rows, Index entries) {
    const auto n = static_cast<std::size_t>(rows);
    order_.reserve(n);
    labels_.reserve(has_labels() ? n : 0);
    weights_.reserve(has_weights() ? n : 0);
    targets_.reserve(n * static_cast<std::size_t>(num_targets()));
    sets_.reserve(std::min(n, static_cast<std::size_t>(info_->rows_per_block)) * words());
    derived().reserve_features(rows, entries);
  }

  /// Window w of the order, behind what the window `before` it in the epoch has left (null: nothing).
  void fill(const CacheFile& file, WindowOrder& order, Index w, const Derived* before, Index batch_size, Room<std::uint32_t>& lengths) {
    const std::span<const Index> left = before ? before->left() : std::span<const Index>{};
    const auto blocks = order.blocks(w);
    carried_ = static_cast<Index>(left.size());
    rows_ = carried_;
    file_bytes_ = 0;
    Index entries = 0, rows_before = 0, entries_before = 0;
    for (const Index block : blocks) {
      rows_ += file.rows(block);
      entries += file.entries(block);
      file_bytes_ +=
          file.header().block_bytes(static_cast<std::uint64_t>(file.rows(block)), static_cast<std::uint64_t>(file.entries(block)));
    }
    for (const Index name : left) entries += before->entries(before->place(name));
    reserve(rows_, entries);
    blocks_.assign(blocks.begin(), blocks.end());
    carried_numbers_.clear();
    for (const Index name : left) {
      const Index from = before->place(name);
      carried_numbers_.push_back(before->number(name));
      if (has_labels()) labels_.data()[rows_before] = before->labels_.data()[from];
      if (has_weights()) weights_.data()[rows_before] = before->weights_.data()[from];
      if (const Index k = num_targets(); k > 0) std::copy_n(before->targets_.data() + from * k, k, targets_.data() + rows_before * k);
      derived().copy_features(*before, from, rows_before, entries_before);
      entries_before += before->entries(from);
      ++rows_before;
    }
    derived().begin_blocks();
    for (const Index block : blocks) {
      const Index rows = file.rows(block);
      CacheBlockParts<std::byte> to = derived().features_at(rows_before, entries_before);
      to.lengths = lengths.reserve(static_cast<std::size_t>(rows));
      double* const targets = to.targets = targets_.data() + rows_before * num_targets();
      to.sets = sets_.data();
      if (has_weights()) to.weights = weights_.data() + rows_before;
      if (has_labels()) to.labels = labels_.data() + rows_before;
      file.read_block(block, to);
      if (info_->has_label_sets) write_targets(rows, targets);
      derived().took_block(block, rows_before, entries_before, std::span<const std::uint32_t>(to.lengths, static_cast<std::size_t>(rows)));
      rows_before += rows;
      entries_before += file.entries(block);
    }
    for (Index i = 0; i < carried_; ++i) order_.data()[i] = derived().name(i);
    const std::span<const Index> places = order.places(w);
    for (std::size_t i = 0; i < places.size(); ++i) order_.data()[carried_ + static_cast<Index>(i)] = derived().name(carried_ + places[i]);
    ends_epoch_ = w + 1 == order.windows();
    visited_ = ends_epoch_ ? rows_ : rows_ / batch_size * batch_size;
    derived().filled(batch_size);
  }

  /// In memory now.
  std::size_t bytes() const {
    return order_.bytes() + labels_.bytes() + weights_.bytes() + targets_.bytes() + sets_.bytes() +
           static_cast<const Derived&>(*this).feature_bytes();
  }

 protected:
  /// The index in the file of the row that stands in this place.
  Index number_at(Index place) const {
    if (place < carried_) return carried_numbers_[static_cast<std::size_t>(place)];
    const Index i = place - carried_,
                size = info_->rows_per_block;  // all blocks but the file's last are of one size, and that one is the last here
    return blocks_[static_cast<std::size_t>(i / size)] * size + i % size;
  }

  const CacheInfo* info_;
  Index rows_ = 0, carried_ = 0, visited_ = 0;
  bool ends_epoch_ = true;
  std::uint64_t file_bytes_ = 0;
  std::vector<Index> blocks_, carried_numbers_;
  Room<Index> order_;  // (rows): names
  Room<Label> labels_;
  Room<double> weights_, targets_;
  Room<std::uint32_t> sets_;  // of one block

 private:
  std::size_t words() const { return info_->has_label_sets ? static_cast<std::size_t>(info_->num_labels + 31) / 32 : 0; }

  /// Of label sets, 1 for a label that a row has, else 0.
  void write_targets(Index rows, double* targets) const {
    const Index k = num_targets(), of_row = static_cast<Index>(words());
    std::fill_n(targets, rows * k, 0.0);
    for (Index i = 0; i < rows; ++i) for_each_label(sets_.data() + i * of_row, of_row, [&](Label label) { targets[i * k + label] = 1; });
  }

  Derived& derived() { return static_cast<Derived&>(*this); }
  std::span<const Index> left() const { return {order_.data() + visited_, static_cast<std::size_t>(rows_ - visited_)}; }
};

}  // namespace detail

/// Sparse rows of a cache that are in memory: SparseData, whose row r is named r.
template <class S>
class CachedRowsWindow : public detail::CacheWindow<CachedRowsWindow<S>, S> {
  using Base = detail::CacheWindow<CachedRowsWindow, S>;

 public:
  /// What all windows of a file have in common, found once.
  using Common = SparseShape;
  static Common common(const CacheFile& file) { return shape_of(file); }

  explicit CachedRowsWindow(const CacheFile& file) : CachedRowsWindow(file, common(file)) {}
  CachedRowsWindow(const CacheFile& file, const Common& common) : Base(file), shape_(common) { offsets_.reserve(1)[0] = 0; }

  Eigen::Map<const Vector<std::int64_t>> offsets() const { return {offsets_.data(), this->rows_ + 1}; }
  Eigen::Map<const Vector<std::int32_t>> indices() const { return {indices_.data(), offsets_.data()[this->rows_]}; }
  Eigen::Map<const Vector<S>> values() const { return {values_.data(), all_ones() ? 0 : offsets_.data()[this->rows_]}; }
  bool all_ones() const { return this->info_->all_ones; }
  bool has_queries() const { return this->info_->has_queries; }
  /// (rows)
  Eigen::Map<const Vector<std::int64_t>> queries() const { return {queries_.data(), has_queries() ? this->rows_ : 0}; }

  Index number(Index row) const { return this->number_at(row); }
  Index most_batch_entries() const { return most_batch_entries_; }
  /// Of the whole cache.
  const SparseShape& shape() const { return shape_; }

 private:
  friend Base;

  static SparseShape shape_of(const CacheFile& file) {
    const CacheInfo& info = file.info();
    Index blocks = 0, entries = 0, rows = 0;
    for (; blocks < info.blocks && entries < SparseShape::first_entries; ++blocks) {
      entries += file.entries(blocks);
      rows = std::max(rows, file.rows(blocks));
    }
    std::vector<std::int32_t> indices(static_cast<std::size_t>(entries));
    std::vector<S> values(info.all_ones ? 0 : indices.size());
    std::vector<std::uint32_t> lengths(static_cast<std::size_t>(rows));
    std::vector<double> weights(info.has_weights ? lengths.size() : 0),
        targets(lengths.size() * static_cast<std::size_t>(info.num_targets));
    std::vector<Label> labels(info.has_labels ? lengths.size() : 0);
    std::vector<std::uint32_t> sets(lengths.size() * static_cast<std::size_t>(file.header().row_words()));
    std::vector<std::int64_t> queries(info.has_queries ? lengths.size() : 0);
    Index at = 0;
    for (Index block = 0; block < blocks; ++block) {
      detail::CacheBlockParts<std::byte> to;
      to.indices = indices.data() + at;
      to.values = reinterpret_cast<std::byte*>(info.all_ones ? nullptr : values.data());
      to.lengths = lengths.data();
      to.targets = targets.data();
      to.sets = sets.data();
      to.queries = queries.data();
      if (info.has_weights) to.weights = weights.data();
      if (info.has_labels) to.labels = labels.data();
      file.read_block(block, to);
      at += file.entries(block);
    }
    return SparseShape(info.samples, info.nonzeros, indices.data());
  }

  Index name(Index place) const { return place; }
  Index place(Index name) const { return name; }
  Index entries(Index row) const { return offsets_.data()[row + 1] - offsets_.data()[row]; }
  void reserve_features(Index rows, Index entries) {
    offsets_.reserve(static_cast<std::size_t>(rows) + 1)[0] = 0;
    indices_.reserve(static_cast<std::size_t>(entries));
    values_.reserve(all_ones() ? 0 : static_cast<std::size_t>(entries));
    queries_.reserve(has_queries() ? static_cast<std::size_t>(rows) : 0);
  }
  void copy_features(const CachedRowsWindow& before, Index from, Index to, Index entry) {
    const Index begin = before.offsets_.data()[from], count = before.entries(from);
    offsets_.data()[to + 1] = entry + count;
    std::copy_n(before.indices_.data() + begin, count, indices_.data() + entry);
    if (!all_ones()) std::copy_n(before.values_.data() + begin, count, values_.data() + entry);
    if (has_queries()) queries_.data()[to] = before.queries_.data()[from];
  }
  void begin_blocks() {}
  detail::CacheBlockParts<std::byte> features_at(Index row, Index entry) const {
    detail::CacheBlockParts<std::byte> to;
    to.indices = indices_.data() + entry;
    to.values = reinterpret_cast<std::byte*>(all_ones() ? nullptr : values_.data() + entry);
    to.queries = has_queries() ? queries_.data() + row : nullptr;
    return to;
  }
  void took_block(Index, Index row, Index entry, std::span<const std::uint32_t> lengths) {
    for (const std::uint32_t length : lengths) offsets_.data()[++row] = entry += length;
  }
  void filled(Index batch_size) {
    most_batch_entries_ = 0;
    const auto samples = this->samples();
    for (std::size_t first = 0; first < samples.size(); first += static_cast<std::size_t>(batch_size)) {
      Index sum = 0;
      for (const Index row : samples.subspan(first, std::min(static_cast<std::size_t>(batch_size), samples.size() - first)))
        sum += entries(row);
      most_batch_entries_ = std::max(most_batch_entries_, sum);
    }
  }
  std::size_t feature_bytes() const { return offsets_.bytes() + indices_.bytes() + values_.bytes() + queries_.bytes(); }

  SparseShape shape_;
  Index most_batch_entries_ = 0;
  detail::Room<std::int64_t> offsets_;
  detail::Room<std::int32_t> indices_;
  detail::Room<S> values_;
  detail::Room<std::int64_t> queries_;
};

/// Dense samples of a cache that are in memory: a Dataset, whose samples keep the names that they have in the whole data, so that whatever is keyed by
/// them (dropout, say) is what it would be in memory.
template <class T>
class CachedDenseWindow : public detail::CacheWindow<CachedDenseWindow<T>, T> {
  using Base = detail::CacheWindow<CachedDenseWindow, T>;

 public:
  using SampleBySampleOf = CachedDenseWindow;

  struct Common {};
  static Common common(const CacheFile&) { return {}; }

  explicit CachedDenseWindow(const CacheFile& file) : Base(file), begins_(static_cast<std::size_t>(file.info().blocks), -1) {}
  CachedDenseWindow(const CacheFile& file, const Common&) : CachedDenseWindow(file) {}

  Index number(Index sample) const { return sample; }

  template <class Scalar>
  void reserve(DenseBatch<Scalar>& batch, Index capacity) const {
    batch.reserve(capacity, this->num_features(), this->has_labels(), this->num_targets(), this->has_weights());
  }
  using Base::reserve;

  template <class Scalar>
  void gather(std::span<const Index> samples, DenseBatch<Scalar>& batch) const {
    const Index d = this->num_features();
    batch.size = static_cast<Index>(samples.size());
    PARADE_ASSERT(batch.size <= batch.capacity() && batch.x.rows() == d);
    for (Index s = 0; s < batch.size; ++s) {
      const Index i = place(samples[static_cast<std::size_t>(s)]);
      detail::convert_sample(values_.data() + i * d, batch.x.data() + s * d, d, this->info_->scale, this->info_->offset);
      if (this->has_labels()) batch.labels[s] = this->labels_.data()[i];
      if (this->num_targets() > 0) batch.targets.col(s) = this->targets().col(i).template cast<Scalar>();
      if (this->has_weights()) batch.weights[s] = this->weights_.data()[i];
    }
  }

 private:
  friend Base;

  Index name(Index place) const { return this->number_at(place); }
  Index place(Index name) const {
    const Index size = this->info_->rows_per_block, begin = begins_[static_cast<std::size_t>(name / size)];
    if (begin >= 0) return begin + name % size;
    const auto at = std::lower_bound(carried_.begin(), carried_.end(), std::pair{name, Index{-1}});
    PARADE_ASSERT(at != carried_.end() && at->first == name);
    return at->second;
  }
  Index entries(Index) const { return 0; }
  void reserve_features(Index rows, Index) { values_.reserve(static_cast<std::size_t>(rows * this->num_features())); }
  void copy_features(const CachedDenseWindow& before, Index from, Index to, Index) {
    const Index d = this->num_features();
    std::copy_n(before.values_.data() + from * d, d, values_.data() + to * d);
  }
  void begin_blocks() {
    std::fill(begins_.begin(), begins_.end(), -1);
    carried_.clear();
    for (const Index number : this->carried_numbers_) carried_.emplace_back(number, static_cast<Index>(carried_.size()));
    std::sort(carried_.begin(), carried_.end());
  }
  detail::CacheBlockParts<std::byte> features_at(Index row, Index) const {
    detail::CacheBlockParts<std::byte> to;
    to.values = reinterpret_cast<std::byte*>(values_.data() + row * this->num_features());
    return to;
  }
  void took_block(Index block, Index row, Index, std::span<const std::uint32_t>) { begins_[static_cast<std::size_t>(block)] = row; }
  void filled(Index) {}
  std::size_t feature_bytes() const { return values_.bytes(); }

  std::vector<Index> begins_;                     // of block j: its first place; −1 where it is not here
  std::vector<std::pair<Index, Index>> carried_;  // number and place, by number
  detail::Room<T> values_;
};

namespace detail {

/// The windows of a plan, read, checked and put in order by a thread of its own, one ahead of the one that is in use.
template <class W>
class CacheStream {
 public:
  CacheStream(std::shared_ptr<const CacheFile> file, const WindowShuffle& windows, const WindowPlan& plan)
      : CacheStream(file, W::common(*file), windows, plan) {}
  CacheStream(const CacheStream&) = delete;
  CacheStream& operator=(const CacheStream&) = delete;
  ~CacheStream() {
    {
      const std::lock_guard lock(mutex_);
      is_over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  /// The next window; the one before is given back. Throws what the reading thread threw when it came to this window, and std::logic_error behind the
  /// last one.
  const W& next() {
    std::unique_lock lock(mutex_);
    given_back_ = taken_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return ready_ > taken_ || error_; });
    if (ready_ > taken_) return windows_[static_cast<std::size_t>(taken_++ % 2)];
    std::rethrow_exception(error_);
  }

  /// What the windows and the order have taken of memory so far.
  std::size_t bytes() const { return bytes_.load(); }

 private:
  CacheStream(std::shared_ptr<const CacheFile> file, const typename W::Common& common, const WindowShuffle& windows, const WindowPlan& plan)
      : file_(std::move(file)),
        plan_(plan),
        order_(file_->info().samples, windows, plan.seed),
        windows_{W(*file_, common), W(*file_, common)} {
    if (plan.batch_size < 1) throw OptionError(text("batch_size must be at least 1; got ", plan.batch_size));
    reserve(windows);
    thread_ = std::thread([this] { load(); });
  }

  /// Room for the largest windows that there can be, with what the one before leaves, as far as that is known.
  void reserve(const WindowShuffle& windows) {
    const CacheInfo& info = file_->info();
    std::vector<Index> entries;
    for (Index b = 0; b < info.blocks; ++b) entries.push_back(file_->entries(b));
    std::sort(entries.begin(), entries.end(), std::greater<>{});
    Index most = 0;
    for (std::size_t b = 0; b < entries.size() && static_cast<Index>(b) < windows.blocks; ++b) most += entries[b];
    const Index all = info.nonzeros,
                left = order_.windows() > 1 ? std::min(plan_.batch_size - 1, info.samples - order_.largest_window()) : 0;
    const auto usual = static_cast<double>(all) / static_cast<double>(std::max<Index>(info.samples, 1));
    for (W& window : windows_)
      window.reserve(order_.largest_window() + left, std::min(all, most + static_cast<Index>(1.25 * usual * static_cast<double>(left))));
    count_bytes();
  }

  void count_bytes() {
    bytes_.store(windows_[0].bytes() + windows_[1].bytes() + WindowOrder::bytes(static_cast<std::size_t>(order_.largest_window())) +
                 lengths_.bytes());
  }

  /// The thread.
  void load() {
    try {
      std::int64_t loaded = 0;
      for (Index epoch = 0; epoch < plan_.epochs; ++epoch) {
        order_.begin(plan_.first_epoch + epoch, plan_.shuffle);
        for (Index w = 0; w < order_.windows(); ++w) {
          {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [&] { return is_over_ || loaded - given_back_ < 2; });
            if (is_over_) return;
          }
          // The one before is at most being read; it is written again when it has been given back.
          const W* before = w > 0 ? &windows_[static_cast<std::size_t>((loaded + 1) % 2)] : nullptr;
          windows_[static_cast<std::size_t>(loaded % 2)].fill(*file_, order_, w, before, plan_.batch_size, lengths_);
          count_bytes();
          ++loaded;
          {
            const std::lock_guard lock(mutex_);
            ready_ = loaded;
          }
          changed_.notify_all();
        }
      }
      throw std::logic_error("a stream of windows was asked for more than its plan has");
    } catch (...) {
      const std::lock_guard lock(mutex_);
      error_ = std::current_exception();
    }
    changed_.notify_all();
  }

  std::shared_ptr<const CacheFile> file_;
  WindowPlan plan_;
  WindowOrder order_;  // of the thread, as what follows
  std::array<W, 2> windows_;
  Room<std::uint32_t> lengths_;
  std::atomic<std::size_t> bytes_{0};

  std::mutex mutex_;
  std::condition_variable changed_;
  std::int64_t ready_ = 0, taken_ = 0, given_back_ = 0;  // windows, counted from the first
  std::exception_ptr error_;
  bool is_over_ = false;
  std::thread thread_;
};

}  // namespace detail

/// How a cache is brought into memory.
struct CachedOptions {
  std::size_t memory =
      std::size_t{1} << 28;  // bytes for the two windows and the order within them; a batch that crosses a window's end comes on top
  Index window_blocks = 0;   // blocks a window; 0: as many as the memory holds. The bits of θ depend on it
};

/// The samples of a cache, for training and evaluation without being in memory all at a time: while one window of blocks is trained on, a thread
/// reads, checks and orders the next.
///
///   parade::CachedRows<float> rows{"train.cache", {.memory = 400 << 20}};
///   trainer.fit(rows, {.epochs = 5, .batch_size = 64});
///
/// The order of an epoch is that of WindowOrder, with `windows()`; a fit of the same data in memory with FitOptions::windows = windows() gives the
/// same bits of θ. Batches are cut from this order as always: where a window ends within one, its first samples are kept for the next window. Evaluation is in
/// the order of the file, with the same bits as in memory.
///
/// Queries are kept: `queries()` of a window. Label sets come as targets (k), 1 for each label that a row has, else 0, for MultilabelLogistic: as SparseRows::with_label_set_targets has them.
///
/// Throws FileError as CacheFile, and for a cache of another kind; OptionError where the memory does not hold two windows of the least size. A file that is
/// changed, cut off or gone while it is read ends the run with FileError, naming file and block; θ is that of the last step.
template <class D, template <class> class W>
class Cached {
 public:
  using Value = typename D::Value;
  using Window = W<Value>;

  explicit Cached(const std::filesystem::path& file, const CachedOptions& options = {}) : file_(std::make_shared<const CacheFile>(file)) {
    detail::check_cache_kind<D>(*file_);
    const CacheInfo& info = file_->info();
    if (options.window_blocks < 0)
      throw OptionError(
          detail::text("window_blocks must be at least 1, or 0 for as many as the memory holds; got ", options.window_blocks));
    std::vector<std::size_t> bytes;
    for (Index b = 0; b < info.blocks; ++b) bytes.push_back(block_bytes(file_->rows(b), file_->entries(b)));
    std::sort(bytes.begin(), bytes.end(), std::greater<>{});
    std::size_t all = 0, fit = 0;
    while (fit < bytes.size() && bytes[fit] <= options.memory - all) all += bytes[fit++];
    const auto wanted = static_cast<std::size_t>(options.window_blocks);
    const std::size_t least = std::max<std::size_t>(1, std::min(wanted, bytes.size()));
    if (!bytes.empty() && fit < least) {
      const std::size_t needed = std::accumulate(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(least), std::size_t{0});
      throw OptionError(detail::text("memory must hold two windows of ", std::max<std::size_t>(1, wanted),
                                     " block(s) and their order: at least ", needed, " bytes (",
                                     (needed >> 20) + (needed % (1 << 20) != 0 ? 1 : 0), " MiB); got ", options.memory));
    }
    windows_ = {std::max<Index>(1, info.rows_per_block),
                options.window_blocks > 0 ? options.window_blocks : std::max<Index>(1, static_cast<Index>(fit))};
  }

  Index size() const { return info().samples; }
  Index num_features() const { return info().num_features; }
  bool has_labels() const { return info().has_labels; }
  bool has_weights() const { return info().has_weights; }
  Index num_targets() const { return info().has_label_sets ? info().num_labels : info().num_targets; }
  const CacheInfo& info() const { return file_->info(); }
  /// That an epoch reads: all blocks.
  std::uint64_t file_bytes() const { return file_->header().index_begin - sizeof(detail::CacheHeader); }

  /// The order of an epoch, for FitOptions::windows of a fit in memory.
  WindowShuffle windows() const { return windows_; }

  std::unique_ptr<detail::CacheStream<Window>> open(const WindowPlan& plan) const {
    return std::make_unique<detail::CacheStream<Window>>(file_, windows_, plan);
  }

 private:
  /// In both windows, and for the order of one.
  std::size_t block_bytes(Index rows, Index entries) const {
    const CacheInfo& i = info();
    const std::size_t value = sizeof(Value), k = static_cast<std::size_t>(num_targets()), d = static_cast<std::size_t>(i.num_features);
    const std::size_t row = sizeof(Index) + (i.has_labels ? sizeof(Label) : 0u) + (i.has_weights ? sizeof(double) : 0u) +
                            k * sizeof(double) + (i.has_label_sets ? (k + 31) / 32 * sizeof(std::uint32_t) : 0u) +
                            (i.has_queries ? sizeof(std::int64_t) : 0u) + (i.is_sparse ? sizeof(std::int64_t) : d * value);
    const std::size_t entry = i.is_sparse ? sizeof(std::int32_t) + (i.all_ones ? 0 : value) : 0;
    const auto count = static_cast<std::size_t>(rows);
    return 2 * (count * row + static_cast<std::size_t>(entries) * entry) + WindowOrder::bytes(count);
  }

  std::shared_ptr<const CacheFile> file_;
  WindowShuffle windows_;
};

/// Sparse rows, and dense samples of float, double or 8 bits, in a cache: see Cached.
template <class S>
using CachedRows = Cached<SparseRows<S>, CachedRowsWindow>;
template <class T>
using CachedDense = Cached<DenseData<T>, CachedDenseWindow>;

static_assert(SparseData<CachedRowsWindow<float>> && Window<CachedRowsWindow<float>> && WindowedData<CachedRows<float>>);
static_assert(Dataset<CachedDenseWindow<float>, DenseBatch<double>> && Window<CachedDenseWindow<std::uint8_t>>);
static_assert(WindowedData<CachedDense<double>>);

}  // namespace parade
