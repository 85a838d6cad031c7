// SPDX-License-Identifier: MIT
#include <parade/concepts/model.hpp>

#ifdef PARADE_TEST_GOOD
#define IF_GOOD(text) text
#else
#define IF_GOOD(text)
#endif

// One model serves all workers at the same time: what it changes belongs into the workspace.
struct Mine {
  using Scalar = double;
  struct Workspace {
    parade::Matrix<double> scores;
  };
  parade::ParameterList parameters() const { return {{"weight", 3}}; }
  parade::Index num_inputs() const { return 3; }
  parade::Index num_outputs() const { return 1; }
  void initialize(parade::VectorRef<double> theta, std::uint64_t) const { theta.setZero(); }
  const parade::Matrix<double>& forward(const parade::ConstVectorRef<double>& theta, const parade::ConstMatrixRef<double>& x,
                                        Workspace& workspace) IF_GOOD(const) {
    workspace.scores.noalias() = theta.transpose() * x;  // (1,m) = (1,d)(d,m)
    return workspace.scores;
  }
  void add_gradient(const parade::ConstVectorRef<double>&, const parade::ConstMatrixRef<double>& x,
                    const parade::ConstMatrixRef<double>& dscores, Workspace&, parade::VectorRef<double> grad) const {
    grad.noalias() += x * dscores.transpose();  // (d) += (d,m)(m,1)
  }
};
static_assert(parade::Model<Mine>);
