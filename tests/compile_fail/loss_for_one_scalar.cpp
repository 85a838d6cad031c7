// SPDX-License-Identifier: MIT
#include <parade/concepts/loss.hpp>

// A loss that was written for float serves no model of double.
struct Mine {
  using Target = parade::Real;
  void value_and_gradient(const parade::ConstMatrixRef<float>& scores, const parade::ConstMatrixRef<float>& targets,
                          parade::VectorRef<float> values, parade::MatrixRef<float> dscores) const {
    dscores = scores - targets;                                   // (k,m)
    values = 0.5f * dscores.colwise().squaredNorm().transpose();  // (m)
  }
};
#ifdef PARADE_TEST_GOOD
static_assert(parade::Loss<Mine, float>);
#else
static_assert(parade::Loss<Mine, double>);
#endif
