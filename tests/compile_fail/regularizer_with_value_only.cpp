// SPDX-License-Identifier: MIT
#include <parade/concepts/regularizer.hpp>

// λR = ½λ‖θ‖²
struct Mine {
  double lambda;
  double value(const parade::ConstVectorRef<double>& theta) const { return lambda / 2 * theta.squaredNorm(); }
#ifdef PARADE_TEST_GOOD
  void add_gradient(const parade::ConstVectorRef<double>& theta, parade::VectorRef<double> grad) const { grad += lambda * theta; }
#endif
};
static_assert(parade::Regularizer<Mine, double>);
