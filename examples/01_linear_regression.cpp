// SPDX-License-Identifier: MIT
// Linear regression in ten lines: finds the weights again that the targets were made with.
#include <iostream>

#include <parade/parade.hpp>

int main() {
  parade::Matrix<double> x(2, 200);  // (d,n): one sample is one column
  x.row(0).setLinSpaced(-1, 1);
  x.row(1) = x.row(0).array().square();
  const parade::Matrix<double> y = (3 * x.row(0) - 2 * x.row(1)).array() + 0.5;  // (k,n)

  parade::Trainer trainer{parade::LinearRegression<double>{2}, parade::SquaredError{}, parade::NoRegularizer{}, parade::Sgd{.rate = 0.3}};
  const auto summary = trainer.fit(parade::DenseData{x}.with_targets(y), {.epochs = 100, .batch_size = 10, .seed = 1});
  std::cout << "weights " << trainer.parameter("weight") << "\nbias    " << trainer.parameter("bias") << '\n' << summary;
}
