// SPDX-License-Identifier: MIT
#include <parade/layers/dense.hpp>

// A layer that says it has a tape, and lacks a part of it: without the error it would be passed over, and the network trained more slowly.
struct Mine : parade::Dense {
  using Dense::Dense;
#ifndef PARADE_TEST_GOOD
  using SampleBySampleOf = Mine;
  using TapeOf = Mine;
  void collect() const {}  // and so hides the one that is needed
#endif
};
static_assert(parade::Layer<Mine>);
