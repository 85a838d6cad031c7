// SPDX-License-Identifier: MIT
// The lasso path: fewer and fewer features as lambda grows, each fit begun where the last one ended.
#include <iomanip>
#include <iostream>

#include <parade/parade.hpp>

using namespace parade;

int main() {
  // 30 features, of which the first 4 make the target.
  constexpr Index d = 30, n = 200;
  const Random random{1, Purpose::user};
  Matrix<double> x(d, n), y(1, n);  // (d,n), (1,n)
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = random.uniform(static_cast<std::uint64_t>(i), -1, 1);
  for (Index j = 0; j < n; ++j)
    y(0, j) = 3 * x(0, j) - 2 * x(1, j) + x(2, j) - 0.5 * x(3, j) + random.uniform(static_cast<std::uint64_t>(100000 + j), -0.5, 0.5);
  const auto data = DenseData{x}.with_targets(y);

  std::cout << "  lambda  features      loss  residual     duality gap\n" << std::fixed;
  Vector<double> theta = Vector<double>::Zero(d + 1);
  for (double lambda = 0.001; lambda < 2; lambda *= 4) {
    Trainer trainer{Linear<double>{d}, SquaredError{}, L1{.lambda = lambda}, Sgd{.rate = 0.5}};
    trainer.set_theta(theta);
    // Every second epoch the gradient over all data: with it a constant rate reaches the optimum on minibatches.
    trainer.fit(data, {.epochs = 300, .batch_size = 20, .warm_start = true, .svrg = 2});
    theta = trainer.theta();
    std::cout << std::setprecision(3) << std::setw(8) << lambda << std::setw(10) << (trainer.parameter("weight").array() != 0).count()
              << std::setprecision(5) << std::setw(10) << trainer.evaluate(data).loss << "  "
              << (trainer.residual(data) < 1e-10 ? "below 1e-10" : "above 1e-10")
              // What is left is proven to be no more than this: no other theta has an objective that is lower by more.
              << (trainer.duality_gap(data).gap() < 1e-10 ? "  below 1e-10" : "  above 1e-10") << '\n';
  }
}
