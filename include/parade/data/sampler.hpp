// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <numeric>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/random.hpp>
#include <parade/core/shard_plan.hpp>
#include <parade/core/types.hpp>
#include <parade/kernels/huge_pages.hpp>

namespace parade {
namespace detail {

/// The indices 0 … n − 1 by rising key, those with equal keys by rising index. Quick for uniform keys: their first bits deal them into
/// buckets of two or so, and the insertion sort by the whole key, which alone would do, finds O(n) pairs left to swap. `buckets`: a power of
/// two, at least 2 (a shift by all 64 bits is not defined).
inline void sort_by_key(std::span<const std::uint64_t> keys, std::span<std::size_t> buckets, std::span<Index> order) {
  const int shift = 64 - std::countr_zero(buckets.size());
  std::fill(buckets.begin(), buckets.end(), std::size_t{0});
  for (const auto key : keys) ++buckets[key >> shift];
  std::partial_sum(buckets.begin(), buckets.end(), buckets.begin());
  for (std::size_t i = keys.size(); i-- > 0;) order[--buckets[keys[i] >> shift]] = static_cast<Index>(i);

  const auto key_of = [keys](Index i) { return keys[static_cast<std::size_t>(i)]; };
  for (std::size_t j = 1; j < order.size(); ++j) {
    const Index i = order[j];
    std::size_t to = j;
    for (; to > 0 && key_of(order[to - 1]) > key_of(i); --to) order[to] = order[to - 1];
    order[to] = i;
  }
}

}  // namespace detail

/// An order that data larger than memory can be brought in: samples in blocks, of which some at a time, a window, are in memory. See WindowOrder.
struct WindowShuffle {
  Index block = 0;   // samples a block; 0: no windows
  Index blocks = 1;  // a window

  bool operator==(const WindowShuffle&) const = default;

  /// Throws OptionError naming the field, the value and the rule.
  void check() const {
    if (block < 0) throw OptionError(detail::text("windows.block must be at least 1 sample, or 0 for no windows; got ", block));
    if (blocks < 1) throw OptionError(detail::text("windows.blocks must be at least 1; got ", blocks));
  }
};

/// The order in which an epoch visits n samples that lie in blocks: block j holds samples j · block … (j+1) · block − 1, the last one what is left.
///
/// The rule: block j has the key Random{seed, Purpose::blocks, epoch}.bits(j), and blocks are put in the order of their keys, those with equal keys by
/// rising j. `blocks` of them, one after the other in this order, are a window, the last one what is left. The samples of a window are visited by the rising
/// keys of EpochOrder, those with equal keys by rising index. Without shuffling, all is in the order of the data.
///
/// The guarantee: any two samples of a window stand in random order; a sample moves over the whole epoch as its block does; which blocks share a window is
/// drawn anew each epoch. What is lost against EpochOrder is that samples of one block are always in one window: data sorted by class, say, needs windows
/// of many blocks, or to be written in another order. With one window for all blocks it IS the order of EpochOrder.
///
///   parade::WindowOrder order{n, {.block = 1000, .blocks = 8}, seed};
///   order.begin(epoch);
///   for (Index w = 0; w < order.windows(); ++w) {
///     std::span<const Index> blocks = order.blocks(w);     // rising; valid until `begin`
///     std::span<const Index> samples = order.samples(w);   // valid until the next call
///   }
class WindowOrder {
 public:
  /// Throws OptionError for n < 0 and for windows of nothing.
  WindowOrder(Index samples, const WindowShuffle& windows, std::uint64_t seed) : samples_(samples), windows_(windows), seed_(seed) {
    if (samples < 0) throw OptionError(detail::text("the number of samples must be at least 0; got ", samples));
    windows.check();
    if (windows.block == 0) throw OptionError("windows.block must be at least 1 sample; got 0");
    windows_.block = std::min(windows.block, std::max<Index>(1, samples));
    order_.resize(static_cast<std::size_t>((samples + windows_.block - 1) / windows_.block));
    windows_.blocks = std::min(windows.blocks, std::max<Index>(1, static_cast<Index>(order_.size())));
    block_keys_.resize(order_.size());
    const auto most = static_cast<std::size_t>(std::min(samples, largest_window()));
    keys_.resize(most);
    listed_.resize(most);
    order_of_.resize(most);
    buckets_.resize(std::max<std::size_t>(2, std::bit_floor(most)));
  }

  Index windows() const { return (static_cast<Index>(order_.size()) + windows_.blocks - 1) / windows_.blocks; }
  /// The samples of the largest window.
  Index largest_window() const {
    return windows_.blocks >= static_cast<Index>(order_.size()) ? samples_ : std::min(samples_, windows_.blocks * windows_.block);
  }
  /// What it takes in memory for a window of so many samples.
  static constexpr std::size_t bytes(std::size_t samples) { return 4 * sizeof(Index) * samples; }

  /// The order of epoch 0, 1, …. Throws OptionError unless epoch is in [0, 2^32).
  void begin(Index epoch, bool shuffle = true) {
    if (epoch < 0 || epoch > 0xFFFFFFFF) throw OptionError(detail::text("epoch must be in [0, 2^32); got ", epoch));
    epoch_ = epoch;
    shuffle_ = shuffle;
    std::iota(order_.begin(), order_.end(), Index{0});
    if (!shuffle) return;
    const Random random{seed_, Purpose::blocks, static_cast<std::uint64_t>(epoch)};
    for (std::size_t j = 0; j < order_.size(); ++j) block_keys_[j] = random.bits(j);
    const auto key = [this](Index j) { return block_keys_[static_cast<std::size_t>(j)]; };
    std::sort(order_.begin(), order_.end(), [&](Index a, Index b) { return key(a) < key(b) || (key(a) == key(b) && a < b); });
    for (Index w = 0; w < windows(); ++w) {
      const Range of = part(w);
      std::sort(order_.begin() + of.begin, order_.begin() + of.end);  // files are read quicker so
    }
  }

  /// The blocks of a window, rising.
  std::span<const Index> blocks(Index window) const {
    const Range of = part(window);
    return std::span(order_).subspan(static_cast<std::size_t>(of.begin), static_cast<std::size_t>(of.size()));
  }

  /// The samples of a window in the order in which they are visited; `places` says of each where it stands among those of the window, block by block.
  std::span<const Index> samples(Index window) {
    const std::span<const Index> order = places(window);
    for (std::size_t i = 0; i < order.size(); ++i) order_of_[i] = listed_[static_cast<std::size_t>(order_of_[i])];
    return order;
  }
  std::span<const Index> places(Index window) {
    std::size_t count = 0;
    for (const Index block : blocks(window))
      for (Index i = block * windows_.block; i < std::min(samples_, (block + 1) * windows_.block); ++i) listed_[count++] = i;
    const auto order = std::span(order_of_).first(count);
    if (!shuffle_) {
      std::iota(order.begin(), order.end(), Index{0});
      return order;
    }
    const Random random{seed_, Purpose::shuffle, static_cast<std::uint64_t>(epoch_)};
    for (std::size_t i = 0; i < count; ++i) keys_[i] = random.bits(static_cast<std::uint64_t>(listed_[i]));
    detail::sort_by_key(std::span(keys_).first(count), std::span(buckets_).first(std::max<std::size_t>(2, std::bit_floor(count))), order);
    return order;
  }

 private:
  Range part(Index window) const {
    return {window * windows_.blocks, std::min(static_cast<Index>(order_.size()), (window + 1) * windows_.blocks)};
  }

  Index samples_;
  WindowShuffle windows_;
  std::uint64_t seed_;
  Index epoch_ = 0;
  bool shuffle_ = true;
  std::vector<Index> order_;               // of the blocks
  std::vector<std::uint64_t> block_keys_;  // of block j
  std::vector<std::uint64_t> keys_;        // of the samples of a window
  std::vector<Index> listed_, order_of_;
  std::vector<std::size_t> buckets_;
};

/// The order in which an epoch visits n samples.
///
/// The rule: sample i has the 64-bit key Random{seed, Purpose::shuffle, epoch}.bits(i); samples are visited by rising key, those with equal
/// keys by rising i. So the order is a pure function of (n, seed, epoch), the same on every machine, and needs no state to resume from; and
/// a sample's key does not depend on n: with some samples more or fewer at the end of the data, the others keep their order.
///
///   parade::EpochOrder order{n, seed};                       // allocates 20 to 24 bytes a sample, from 131072 on in whole pages of 2 MB,
///                                                            // which is up to 6 MB more; after that nothing is allocated
///   std::span<const Index> samples = order.shuffle(epoch);   // valid until the next call
///
/// With windows (block > 0) the order is that of WindowOrder: the one in which data larger than memory is visited.
class EpochOrder {
 public:
  /// Throws OptionError for n < 0 and for windows that break a rule.
  EpochOrder(Index samples, std::uint64_t seed, const WindowShuffle& windows = {}) : seed_(seed) {
    if (samples < 0) throw OptionError(detail::text("the number of samples must be at least 0; got ", samples));
    windows.check();
    const auto n = static_cast<std::size_t>(samples);
    order_.resize(n);
    if (windows.block > 0) {
      windows_.emplace(samples, windows, seed);
      return;
    }
    keys_.resize(n);
    buckets_.resize(std::max<std::size_t>(2, std::bit_floor(n)));
  }

  /// The order of epoch 0, 1, …. Throws OptionError unless epoch is in [0, 2^32).
  std::span<const Index> shuffle(Index epoch) {
    if (epoch < 0 || epoch > 0xFFFFFFFF) throw OptionError(detail::text("epoch must be in [0, 2^32); got ", epoch));
    if (windows_) {
      windows_->begin(epoch);
      auto to = order_.begin();
      for (Index w = 0; w < windows_->windows(); ++w) {
        const std::span<const Index> samples = windows_->samples(w);
        to = std::copy(samples.begin(), samples.end(), to);
      }
      return order_;
    }
    const Random random{seed_, Purpose::shuffle, static_cast<std::uint64_t>(epoch)};
    for (std::size_t i = 0; i < keys_.size(); ++i) keys_[i] = random.bits(i);
    detail::sort_by_key(keys_, buckets_, order_);
    return order_;
  }

  /// 0, 1, …, n − 1.
  std::span<const Index> in_order() {
    std::iota(order_.begin(), order_.end(), Index{0});
    return order_;
  }

 private:
  std::uint64_t seed_;
  kernels::HugePageVector<std::uint64_t> keys_;
  kernels::HugePageVector<Index> order_;
  kernels::HugePageVector<std::size_t> buckets_;
  std::optional<WindowOrder> windows_;
};

/// What `Batches` reads.
struct BatchOptions {
  Index batch_size = 128;      // b, samples; in [1, n]
  std::uint64_t seed = 0;      // of the order
  Index epoch = 0;             // 0, 1, …: each has an order of its own
  bool shuffle = true;         // false: 0, 1, …, n − 1
  WindowShuffle windows = {};  // if given, the order of data larger than memory
};

/// The minibatches of one epoch, for a loop of one's own. All but the last have b samples; the last has what is left.
///
///   for (std::span<const Index> batch : parade::Batches{n, {.batch_size = 256, .seed = 1, .epoch = epoch}}) …
///
/// Throws OptionError unless batch_size is in [1, n].
class Batches {
 public:
  Batches(Index samples, const BatchOptions& options) : order_(samples, options.seed, options.windows), batch_size_(options.batch_size) {
    if (batch_size_ < 1 || batch_size_ > samples)
      throw OptionError(detail::text("batch_size must be in [1, n]; got ", batch_size_, " (n = ", samples, ")"));
    samples_ = options.shuffle ? order_.shuffle(options.epoch) : order_.in_order();
  }
  Batches(Batches&&) = default;  // and no copies: samples_ points into order_
  Batches& operator=(Batches&&) = default;

  /// The number of batches, ⌈n/b⌉.
  Index size() const { return (static_cast<Index>(samples_.size()) + batch_size_ - 1) / batch_size_; }

  /// Batch i of 0 … size() − 1.
  std::span<const Index> operator[](Index i) const {
    const auto first = static_cast<std::size_t>(i * batch_size_);
    return samples_.subspan(first, std::min(static_cast<std::size_t>(batch_size_), samples_.size() - first));
  }

  class Iterator {
   public:
    using value_type = std::span<const Index>;
    using difference_type = std::ptrdiff_t;

    Iterator() = default;
    Iterator(const Batches& batches, Index i) : batches_(&batches), i_(i) {}
    value_type operator*() const { return (*batches_)[i_]; }
    Iterator& operator++() { return ++i_, *this; }
    Iterator operator++(int) { return std::exchange(*this, Iterator{*batches_, i_ + 1}); }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    const Batches* batches_ = nullptr;
    Index i_ = 0;
  };

  Iterator begin() const { return {*this, 0}; }
  Iterator end() const { return {*this, size()}; }

 private:
  EpochOrder order_;
  Index batch_size_;
  std::span<const Index> samples_;
};

static_assert(std::forward_iterator<Batches::Iterator>);

}  // namespace parade
