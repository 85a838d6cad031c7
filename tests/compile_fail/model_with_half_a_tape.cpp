// SPDX-License-Identifier: MIT
#include <parade/engine/parallel_gradient.hpp>
#include <parade/losses/squared_error.hpp>
#include <parade/models/linear.hpp>

// Would be trained without its tape.
struct Mine : parade::Linear<double> {
  using Linear<double>::Linear;
  using TapeOf = Mine;
#ifndef PARADE_TEST_GOOD
  void collect(int) const;  // hides that of Linear
#endif
};

parade::Index parameters() { return parade::ParallelGradient<Mine, parade::SquaredError>(Mine{3}, {}).num_parameters(); }
