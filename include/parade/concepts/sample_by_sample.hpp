// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>

namespace parade {

/// Of a loss, a data set or a layer: what it gives for a sample has the same bits whatever stands beside it, and wherever. Plain loops do, the built-in ones
/// do; Eigen's vectorized functions need not, since they handle the last elements in another way. `SampleBySampleOf` names the class itself,
/// so that what inherits from it does not promise for its own functions. Where it is not promised, samples are given shard by shard.
template <class T>
concept SampleBySample = std::same_as<typename T::SampleBySampleOf, T>;

}  // namespace parade
