// SPDX-License-Identifier: MIT
// LeNet-5, a convolutional network put together from layers, on MNIST: arguments [epochs [folder]], without a folder on synthetic digits.
#include <cstdlib>
#include <exception>
#include <iostream>

#include <parade/parade.hpp>

#include "lenet.hpp"

using namespace parade;

int main(int argc, char** argv) try {
  const Index epochs = argc > 1 ? std::atol(argv[1]) : 12;
  const auto [train, test] = argc > 2 ? mnist(argv[2]) : synthetic_mnist();

  Trainer trainer{lenet(), SoftmaxCrossEntropy{}, L2{.lambda = 1e-4}, Sgd{.rate = 0.05, .momentum = 0.9}, Cosine{}};
  const auto summary = trainer.fit(train, {.epochs = epochs, .batch_size = 64, .seed = 1}, ProgressBar{}, Validate{test});
  std::cout << summary << "test accuracy " << trainer.accuracy(test) << '\n';
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
