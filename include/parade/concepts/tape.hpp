// SPDX-License-Identifier: MIT
#pragma once

#include <parade/core/types.hpp>

namespace parade {

/// Consecutive samples of one shard on a tape: the samples first … first + count−1 of a piece. See Taped.
template <class Piece>
struct TapePart {
  const Piece* piece;
  Index samples;  // of the piece
  Index first, count;
  bool begins, ends;  // the shard
};

}  // namespace parade
