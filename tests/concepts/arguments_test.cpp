// SPDX-License-Identifier: MIT
#include <cstdint>

#include <parade/parade.hpp>

#include "support/catch.hpp"

// The engine passes the very types that the concepts name: a part whose functions take nothing else satisfies its concept, and so must compile
// in the engine and run. Each deduces its scalar from an Eigen::Ref, which no other Eigen expression can stand for.
namespace {

using parade::ConstMatrixRef, parade::ConstVectorRef, parade::Index, parade::Matrix, parade::MatrixRef, parade::StateRef, parade::StepInfo,
    parade::VectorRef;

template <class Scalar_>
struct Model {  // Z = θᵀX
  using Scalar = Scalar_;
  struct Workspace {
    Matrix<Scalar> scores;
  };
  parade::ParameterList parameters() const { return {{"weight", 3}}; }
  Index num_inputs() const { return 3; }
  Index num_outputs() const { return 1; }
  template <class S>
  void initialize(VectorRef<S> theta, std::uint64_t) const {
    theta.setOnes();
  }
  template <class S>
  const Matrix<S>& forward(const ConstVectorRef<S>& theta, const ConstMatrixRef<S>& x, Workspace& workspace) const {
    workspace.scores = theta.transpose() * x;  // (1,m) = (1,d)(d,m)
    return workspace.scores;
  }
  template <class S>
  void add_gradient(const ConstVectorRef<S>&, const ConstMatrixRef<S>& x, const ConstMatrixRef<S>& dscores, Workspace&,
                    VectorRef<S> grad) const {
    grad += x * dscores.transpose();  // (d) += (d,m)(m,1)
  }
};

struct Loss {  // J = ½‖z − y‖²
  using Target = parade::Real;
  template <class S>
  void value_and_gradient(const ConstMatrixRef<S>& scores, const ConstMatrixRef<S>& targets, VectorRef<S> values,
                          MatrixRef<S> dscores) const {
    dscores = scores - targets;
    values = dscores.colwise().squaredNorm().transpose() / 2;
  }
};

struct Regularizer {  // smooth and proximal, and of no effect
  template <class S>
  double value(const ConstVectorRef<S>&) const {
    return 0;
  }
  template <class S>
  void add_gradient(const ConstVectorRef<S>&, VectorRef<S>) const {}
  template <class S>
  void prox(VectorRef<S>, const ConstVectorRef<S>&) const {}
};

struct Constraint {  // penalty and projection, and of no effect
  template <class S>
  double violation(const ConstVectorRef<S>&) const {
    return 0;
  }
  template <class S>
  void add_gradient(const ConstVectorRef<S>&, VectorRef<S>) const {}
  template <class S>
  void project(VectorRef<S>) const {}
};

struct Optimizer {  // θ ← θ − αg
  double rate = 0.1;
  Index num_states() const { return 0; }
  template <class S>
  void step(VectorRef<S> theta, const ConstVectorRef<S>& grad, const StateRef<S>&, const StepInfo& at) const {
    theta -= static_cast<S>(at.rate) * grad;
  }
  template <class S>
  void step_sizes(const StateRef<S>&, const StepInfo& at, VectorRef<S> sizes) const {
    sizes.setConstant(static_cast<S>(at.rate));
  }
};

}  // namespace

TEMPLATE_TEST_CASE("parts that take the very types of their concepts and no others can be trained", "", float, double) {
  const Matrix<TestType> x = Matrix<TestType>::Random(3, 10);          // (d,n)
  const Matrix<double> y = x.template cast<double>().colwise().sum();  // (1,n): θ = (1, 1, 1) is the solution from the start
  const auto data = parade::DenseData<TestType>{x}.with_targets(y);
  parade::Trainer trainer{Model<TestType>{}, Loss{}, Regularizer{}, Optimizer{}, parade::Constant{}, Constraint{}};
  trainer.fit(data, {.epochs = 1, .batch_size = 4});
  CHECK((trainer.theta().array() - 1).abs().maxCoeff() < 1e-5);
  CHECK(trainer.evaluate(data).loss < 1e-9);
}
