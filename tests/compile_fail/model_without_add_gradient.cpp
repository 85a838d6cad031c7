// SPDX-License-Identifier: MIT
#include <parade/concepts/model.hpp>

// A user's first model, θᵀx, from which one function is missing.
struct Mine {
  using Scalar = float;
  struct Workspace {
    parade::Matrix<float> scores;
  };
  parade::ParameterList parameters() const { return {{"weight", 3}}; }
  parade::Index num_inputs() const { return 3; }
  parade::Index num_outputs() const { return 1; }
  void initialize(parade::VectorRef<float> theta, std::uint64_t) const { theta.setZero(); }
  parade::ConstMatrixRef<float> forward(parade::ConstVectorRef<float> theta, parade::ConstMatrixRef<float> x, Workspace& workspace) const {
    workspace.scores.noalias() = theta.transpose() * x;  // (1,m) = (1,d)(d,m)
    return workspace.scores;
  }
#ifdef PARADE_TEST_GOOD
  void add_gradient(parade::ConstVectorRef<float>, parade::ConstMatrixRef<float> x, parade::ConstMatrixRef<float> dscores, Workspace&,
                    parade::VectorRef<float> grad) const {
    grad.noalias() += x * dscores.transpose();  // (d) += (d,m)(m,1)
  }
#endif
};
static_assert(parade::Model<Mine>);
