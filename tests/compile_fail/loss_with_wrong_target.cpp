// SPDX-License-Identifier: MIT
#include <parade/concepts/loss.hpp>

// J = ½‖z − y‖². The target is parade::Real, whatever the scalar.
struct Mine {
#ifdef PARADE_TEST_GOOD
  using Target = parade::Real;
#else
  using Target = float;
#endif
  void value_and_gradient(const parade::ConstMatrixRef<float>& scores, const parade::ConstMatrixRef<float>& targets,
                          parade::VectorRef<float> values, parade::MatrixRef<float> dscores) const {
    dscores = scores - targets;                                   // (k,m)
    values = 0.5f * dscores.colwise().squaredNorm().transpose();  // (m)
  }
};
static_assert(parade::Loss<Mine, float>);
