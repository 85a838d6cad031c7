// SPDX-License-Identifier: MIT
#include <parade/concepts/optimizer.hpp>

// θ ← θ − αg
struct Mine {
#ifdef PARADE_TEST_GOOD
  double rate = 0.1;
#endif
  parade::Index num_states() const { return 0; }
  template <class Scalar>
  void step(parade::VectorRef<Scalar> theta, const parade::ConstVectorRef<Scalar>& grad, const parade::StateRef<Scalar>&,
            const parade::StepInfo& at) const {
    theta -= static_cast<Scalar>(at.rate) * grad;
  }
};
static_assert(parade::Optimizer<Mine, float>);
