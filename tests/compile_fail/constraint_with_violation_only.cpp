// SPDX-License-Identifier: MIT
#include <parade/concepts/constraint.hpp>

// θ ≥ 0
struct Mine {
  double violation(const parade::ConstVectorRef<double>& theta) const { return -theta.cwiseMin(0).sum(); }
#ifdef PARADE_TEST_GOOD
  void project(parade::VectorRef<double> theta) const { theta = theta.cwiseMax(0); }
#endif
};
static_assert(parade::Constraint<Mine, double>);
