// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/random.hpp>
#include <parade/core/types.hpp>

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

/// The order in which an epoch visits n samples.
///
/// The rule: sample i has the 64-bit key Random{seed, Purpose::shuffle, epoch}.bits(i); samples are visited by rising key, those with equal
/// keys by rising i. So the order is a pure function of (n, seed, epoch), the same on every machine, and needs no state to resume from; and
/// a sample's key does not depend on n: with some samples more or fewer at the end of the data, the others keep their order.
///
///   parade::EpochOrder order{n, seed};                       // allocates 20 to 24 bytes a sample; after that nothing is allocated
///   std::span<const Index> samples = order.shuffle(epoch);   // valid until the next call
class EpochOrder {
 public:
  /// Throws OptionError for n < 0.
  EpochOrder(Index samples, std::uint64_t seed) : seed_(seed) {
    if (samples < 0) throw OptionError(detail::text("the number of samples must be at least 0; got ", samples));
    const auto n = static_cast<std::size_t>(samples);
    keys_.resize(n);
    order_.resize(n);
    buckets_.resize(std::max<std::size_t>(2, std::bit_floor(n)));
  }

  /// The order of epoch 0, 1, …. Throws OptionError unless epoch is in [0, 2^32).
  std::span<const Index> shuffle(Index epoch) {
    if (epoch < 0 || epoch > 0xFFFFFFFF) throw OptionError(detail::text("epoch must be in [0, 2^32); got ", epoch));
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
  std::vector<std::uint64_t> keys_;
  std::vector<Index> order_;
  std::vector<std::size_t> buckets_;
};

/// What `Batches` reads.
struct BatchOptions {
  Index batch_size = 128;  // b, samples; in [1, n]
  std::uint64_t seed = 0;  // of the order
  Index epoch = 0;         // 0, 1, …: each has an order of its own
  bool shuffle = true;     // false: 0, 1, …, n − 1
};

/// The minibatches of one epoch, for a loop of one's own. All but the last have b samples; the last has what is left.
///
///   for (std::span<const Index> batch : parade::Batches{n, {.batch_size = 256, .seed = 1, .epoch = epoch}}) …
///
/// Throws OptionError unless batch_size is in [1, n].
class Batches {
 public:
  Batches(Index samples, const BatchOptions& options) : order_(samples, options.seed), batch_size_(options.batch_size) {
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
