// SPDX-License-Identifier: MIT
#pragma once

#include <parade/core/types.hpp>

namespace parade {

/// What a data set fills for one shard of m samples: the workspace of `Dataset::gather`, owned by a worker and used again for every shard.
/// The capacity is set once; `size` says how many of its columns hold samples. A data set of another kind (sparse rows, say) brings a batch
/// type of its own with the same members, and models say by `forward` which inputs they take.
template <class Scalar_>
struct DenseBatch {
  using Scalar = Scalar_;

  Matrix<Scalar> x;        // (d, capacity)
  Vector<Label> labels;    // (capacity), empty where the data has none
  Matrix<Scalar> targets;  // (k, capacity), empty where the data has none
  Vector<double> weights;  // (capacity), empty where every sample has weight 1
  Index size = 0;          // m

  /// Room for `capacity` samples of `features` values. Rows of targets, labels and weights only where the data has them.
  void reserve(Index capacity, Index features, bool has_labels, Index target_rows, bool has_weights) {
    x.resize(features, capacity);
    labels.resize(has_labels ? capacity : 0);
    targets.resize(target_rows, target_rows > 0 ? capacity : 0);
    weights.resize(has_weights ? capacity : 0);
    size = 0;
  }

  /// Sets the features of sample j to 0: it has weight 0, and whatever they are, nothing of them may reach a sum.
  void clear(Index j) { x.col(j).setZero(); }

  Index capacity() const { return x.cols(); }
  ConstMatrixRef<Scalar> input() const { return x.leftCols(size); }  // (d,m)

  /// y (m) for a loss on labels, Y (k,m) for a loss on real targets.
  template <class Target>
  TargetsRef<Target, Scalar> target() const {
    if constexpr (std::is_same_v<Target, Label>)
      return labels.head(size);
    else
      return targets.leftCols(size);
  }
};

}  // namespace parade
