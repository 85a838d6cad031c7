// SPDX-License-Identifier: MIT
// Robust regression: a tenth of the targets is spoilt, and Huber's loss hardly notices.
#include <iomanip>
#include <iostream>

#include <parade/parade.hpp>

using namespace parade;

template <class Loss>
void fit(const char* name, const Loss& loss, const DenseData<double>& data) {
  Trainer trainer{Linear<double>{2}, loss, NoRegularizer{}, Sgd{.rate = 0.2, .momentum = 0.9}, Cosine{}};
  trainer.fit(data, {.epochs = 200, .batch_size = 25, .seed = 1});
  std::cout << std::setw(14) << name << std::setprecision(2) << std::fixed << std::setw(8) << trainer.parameter("weight")(0, 0)
            << std::setw(8) << trainer.parameter("weight")(0, 1) << std::setw(8) << trainer.parameter("bias")(0, 0) << '\n';
}

int main() {
  constexpr Index n = 500;
  const Random random{1, Purpose::user};
  Matrix<double> x(2, n), y(1, n);  // (d,n), (1,n)
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = random.uniform(static_cast<std::uint64_t>(i), -1, 1);
  for (Index j = 0; j < n; ++j) {
    y(0, j) = 2 * x(0, j) - x(1, j) + 0.5 + random.uniform(static_cast<std::uint64_t>(10000 + j), -0.1, 0.1);
    if (j % 10 == 0) y(0, j) = 20 + 10 * x(1, j);  // a meter that got stuck
  }
  const auto data = DenseData{x}.with_targets(y);
  std::cout << "              weights             bias\n";
  std::cout << "         truth    2.00   -1.00    0.50\n";
  fit("squared error", SquaredError{}, data);
  fit("Huber", Huber{.delta = 0.2}, data);
  fit("absolute", AbsoluteError{}, data);
}
