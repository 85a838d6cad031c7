// SPDX-License-Identifier: MIT
// An own model in plain Eigen: a quadratic form, fitted until it is the one that the data were made with.
#include <cstdint>
#include <iostream>

#include <parade/parade.hpp>
#include <parade/testing/gradient_check.hpp>

/// z = ‖V x‖² + b with V (r,d): a quadratic form in x that has no negative values, of rank r.
struct QuadraticForm {
  using Scalar = double;
  struct Workspace {
    parade::Matrix<double> vx;      // (r,m)
    parade::Matrix<double> scores;  // (1,m)
  };
  parade::Index d, r;

  parade::ParameterList parameters() const { return {{"V", r, d}, {"b", 1, 1, parade::Role::bias}}; }
  parade::Index num_inputs() const { return d; }
  parade::Index num_outputs() const { return 1; }
  void initialize(parade::VectorRef<double> theta, std::uint64_t seed) const {
    const parade::Random random{seed, parade::Purpose::initialize};
    for (parade::Index i = 0; i < theta.size(); ++i) theta[i] = random.uniform(static_cast<std::uint64_t>(i), -1, 1);
  }
  parade::ConstMatrixRef<double> forward(parade::ConstVectorRef<double> theta, parade::ConstMatrixRef<double> x, Workspace& work) const {
    work.vx.noalias() = theta.head(r * d).reshaped(r, d) * x;              // (r,m) = (r,d)(d,m)
    work.scores = work.vx.colwise().squaredNorm().array() + theta[r * d];  // (1,m)
    return work.scores;
  }
  void add_gradient(parade::ConstVectorRef<double>, parade::ConstMatrixRef<double> x, parade::ConstMatrixRef<double> dscores,
                    Workspace& work, parade::VectorRef<double> grad) const {
    grad.head(r * d).reshaped(r, d) += 2 * work.vx * dscores.row(0).asDiagonal() * x.transpose();  // (r,d) += (r,m)(m,m)(m,d)
    grad[r * d] += dscores.sum();
  }
};
static_assert(parade::Model<QuadraticForm>);

int main() {
  constexpr parade::Index n = 2000;
  const parade::Random random{1, parade::Purpose::user};
  const parade::Matrix<double> x = parade::Matrix<double>::NullaryExpr(
      2, n, [&](parade::Index i, parade::Index j) { return random.uniform(static_cast<std::uint64_t>(2 * j + i), -1, 1); });
  const parade::Matrix<double> truth{{2, 1}, {1, 1}};
  const parade::Matrix<double> y = x.cwiseProduct(truth * x).colwise().sum().array() + 0.5;  // xᵀ A x + ½
  const auto data = parade::DenseData{x}.with_targets(y);

  parade::Trainer trainer{QuadraticForm{2, 2}, parade::SquaredError{}, parade::NoRegularizer{}, parade::Sgd{.rate = 0.05, .momentum = 0.9}};
  trainer.initialize(1);
  const auto report =
      parade::testing::check_gradient(trainer.model(), trainer.loss(), trainer.theta(), parade::Subset{data, {0, 1, 2, 3, 4}});
  std::cout << "gradient check: " << report << '\n';
  if (!report) return 1;

  const auto summary = trainer.fit(data, {.epochs = 30, .batch_size = 50, .seed = 1});
  const auto v = trainer.parameter("V");
  std::cout << "VᵀV =\n" << (v.transpose() * v) << "\nb = " << trainer.parameter("b") << '\n' << summary;
}
