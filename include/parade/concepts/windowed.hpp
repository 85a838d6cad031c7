// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <span>

#include <parade/concepts/dataset.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/core/types.hpp>

namespace parade {

/// What a stream of windows is asked for.
struct WindowPlan {
  Index batch_size = 1;    // samples of a batch: every window but an epoch's last brings whole batches
  std::uint64_t seed = 0;  // of the order
  Index first_epoch = 0;
  Index epochs = 1;
  bool shuffle = true;  // false: in the order of the data
};

/// Window: some samples of a data set that are in memory now: a Dataset or SparseData, and besides
///   1. `samples()`: which of its samples are to be visited, in this order; the numbers are those that it is asked for samples by;
///   2. `number(s)`: the index in the whole data of the sample that it calls s;
///   3. `ends_epoch()`: there is nothing left of the epoch.
/// SparseData that says `most_batch_entries()`, the entries of the largest batch, saves whoever trains counting them. `file_bytes()` is what it has
/// read of a file, for whoever watches (see WindowedData).
template <class W>
concept Window = HasSize<W> && SaysTargets<W> && requires(const W window) {
  { window.samples() } -> std::convertible_to<std::span<const Index>>;
  { window.number(Index{}) } -> std::convertible_to<Index>;
  { window.ends_epoch() } -> std::convertible_to<bool>;
};

/// WindowedData: samples that are too many for memory, and are brought window by window, in an order that is a pure function of the plan.
///
/// Requirements for a type D:
///   1. `size()`, `num_features()`, `has_labels()`, `num_targets()`, of all samples, as a Dataset has them.
///   2. `D::Window`, a Window; `windows()`: the WindowShuffle that the order follows.
///   3. `open(plan)`: a std::unique_ptr to a stream, of which `next()` answers the next window of the plan, by reference, valid until the next call. It may throw: what goes wrong
///      in a thread that reads ahead is thrown there. A sample that does not fill a batch at the end of a window comes first in the next one.
///
/// Not required: `file_bytes()`, what an epoch reads of files, the sum of that of its windows: then reports have it, and parade::ProgressBar shows it.
/// See also: parade::CachedRows, parade::CachedDense, parade::WindowOrder.
template <class D>
concept WindowedData = HasSize<D> && SaysTargets<D> && Window<typename D::Window> && requires(const D data, const WindowPlan& plan) {
  data.windows();
  { data.open(plan)->next() } -> std::same_as<const typename D::Window&>;
};

namespace detail {

/// What data or a window says that it reads of files; 0 where it says nothing.
template <class D>
std::uint64_t file_bytes(const D& data) {
  if constexpr (requires { data.file_bytes(); })
    return static_cast<std::uint64_t>(data.file_bytes());
  else
    return 0;
}

}  // namespace detail

/// Windowed data whose windows a model takes as sparse, or as either kind.
template <class D, class M>
concept WindowedSparseFor = WindowedData<D> && SparseDataFor<typename D::Window, M>;
template <class D, class M, class Batch>
concept WindowedDataFor = WindowedData<D> && DataFor<typename D::Window, M, Batch>;

}  // namespace parade
