// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <span>

#include <parade/concepts/sample_by_sample.hpp>
#include <parade/core/batch.hpp>
#include <parade/core/types.hpp>

namespace parade {

template <class D>
concept HasSize = requires(const D data) {
  { data.size() } -> std::convertible_to<Index>;
  { data.num_features() } -> std::convertible_to<Index>;
};

template <class D>
concept SaysTargets = requires(const D data) {
  { data.has_labels() } -> std::convertible_to<bool>;
  { data.num_targets() } -> std::convertible_to<Index>;
};

template <class D, class Batch>
concept HasGather = requires(const D data, std::span<const Index> samples, Batch& batch) {
  data.reserve(batch, Index{});
  data.gather(samples, batch);
};

/// Dataset: n samples that can be brought, by index, into a batch. Conversion, scaling, transforms and augmentation happen here.
///
/// Requirements for a type D:
///   1. `size()` is n, `num_features()` is d.
///   2. `has_labels()`; `num_targets()` is the number of real targets a sample, 0 without.
///   3. `reserve(batch, capacity)` makes room for `capacity` samples, once a worker.
///   4. `gather(std::span<const Index> samples, batch)` fills the batch with these samples, in this order, and sets its size: features, and
///      whatever there is of labels, targets and weights. It allocates nothing, and a sample's values depend on its index alone.
///   5. All of them are const: one object serves all workers at the same time.
///
/// Not required: that the data is in memory, or dense: `Batch` is DenseBatch<S> for dense data, and a type of its own for another kind. A
/// promise: SampleBySample. `begin_epoch(Index epoch)`, const, is called by a Trainer before each epoch, 0, 1, …: from then on a sample's
/// values may depend on the epoch, too. A worker that was overtaken may still be in `gather`, so that the number must be atomic.
/// See also: parade::DenseData, parade::Subset, DenseBatch.
template <class D, class Batch>
concept Dataset = HasSize<D> && SaysTargets<D> && HasGather<D, Batch>;

}  // namespace parade
