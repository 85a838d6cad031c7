// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/concepts/dataset.hpp>
#include <parade/core/error.hpp>
#include <parade/core/random.hpp>

namespace parade {

/// Some samples of a data set, in any order, as a data set: sample s of the subset is sample samples[s] of the data. An index may stand more
/// than once. Copies are as cheap as those of D: the list of indices is shared.
///
/// Throws DataError for an index outside [0, n).
template <class D>
  requires HasSize<D> && SaysTargets<D>
class Subset {
 public:
  using SampleBySampleOf = std::conditional_t<SampleBySample<D>, Subset, void>;

  Subset(D data, std::vector<Index> samples)
      : data_(std::move(data)), samples_(std::make_shared<const std::vector<Index>>(std::move(samples))) {
    const Index n = data_.size();
    for (std::size_t s = 0; s < samples_->size(); ++s)
      if ((*samples_)[s] < 0 || (*samples_)[s] >= n)
        throw DataError(detail::text("samples[", s, "] must be in [0, n); got ", (*samples_)[s], " (n = ", n, ")"));
  }

  Index size() const { return static_cast<Index>(samples_->size()); }
  Index num_features() const { return data_.num_features(); }
  bool has_labels() const { return data_.has_labels(); }
  Index num_targets() const { return data_.num_targets(); }

  /// These where D has them, too.
  bool has_weights() const requires requires(const D& d) { d.has_weights(); }
  { return data_.has_weights(); }
  auto label(Index s) const requires requires(const D& d) { d.label(Index{}); }
  { return data_.label(sample(s)); }

  void begin_epoch(Index epoch) const requires requires(const D& d) { d.begin_epoch(epoch); }
  { data_.begin_epoch(epoch); }

  const D& data() const { return data_; }
  std::span<const Index> samples() const { return *samples_; }

  template <class Batch>
    requires HasGather<D, Batch>
  void reserve(Batch& batch, Index capacity) const { data_.reserve(batch, capacity); }

  /// Allocates nothing for up to 1024 samples; for more, each thread once takes and keeps room for their indices.
  template <class Batch>
    requires HasGather<D, Batch>
  void gather(std::span<const Index> samples, Batch& batch) const {
    std::array<Index, 1024> room;
    thread_local std::vector<Index> larger_room;
    if (samples.size() > std::max(room.size(), larger_room.size())) larger_room.resize(samples.size());
    const std::span<Index> all = samples.size() <= room.size() ? std::span<Index>{room} : std::span<Index>{larger_room};
    const auto mapped = all.first(samples.size());
    std::transform(samples.begin(), samples.end(), mapped.begin(), [this](Index s) { return sample(s); });
    data_.gather(mapped, batch);
  }

 private:
  Index sample(Index s) const {
    PARADE_ASSERT(s >= 0 && s < size());
    return (*samples_)[static_cast<std::size_t>(s)];
  }

  D data_;
  std::shared_ptr<const std::vector<Index>> samples_;
};

/// The two parts of a data set: `const auto [train, validation] = parade::split(data, 0.1, seed);`
template <class D>
struct Split {
  Subset<D> train;
  Subset<D> validation;
};

/// Parts a data set in two at random: each sample is in one of them.
///
/// The rule: sample i has the 64-bit key Random{seed, Purpose::split}.bits(i). The fraction·n samples, rounded to the nearest whole number
/// (halves up), with the smallest keys are the validation part; of equal keys the smaller i goes first. Both parts keep the order of the data.
/// So a larger fraction only adds to the validation part. `fraction` = 0 or 1 leaves one part empty.
///
/// Throws OptionError unless fraction is in [0, 1].
template <class D>
Split<D> split(const D& data, double fraction, std::uint64_t seed) {
  if (!(fraction >= 0 && fraction <= 1)) throw OptionError(detail::text("fraction must be in [0, 1]; got ", fraction));
  const Random random{seed, Purpose::split};
  std::vector<std::pair<std::uint64_t, Index>> keyed(static_cast<std::size_t>(data.size()));
  for (std::size_t i = 0; i < keyed.size(); ++i) keyed[i] = {random.bits(i), static_cast<Index>(i)};

  const auto cut = keyed.begin() + std::llround(fraction * static_cast<double>(keyed.size()));
  std::nth_element(keyed.begin(), cut, keyed.end());
  const auto sorted_indices = [](auto from, auto to) {
    std::vector<Index> indices(static_cast<std::size_t>(to - from));
    std::transform(from, to, indices.begin(), [](const auto& key_and_index) { return key_and_index.second; });
    std::sort(indices.begin(), indices.end());
    return indices;
  };
  return {.train = {data, sorted_indices(cut, keyed.end())}, .validation = {data, sorted_indices(keyed.begin(), cut)}};
}

}  // namespace parade
