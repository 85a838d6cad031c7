// SPDX-License-Identifier: MIT
// LeNet-5, a convolutional network put together from layers, on MNIST: arguments [epochs [folder]], without a folder on synthetic digits.
#include <cstdlib>
#include <exception>
#include <iostream>

#include <parade/parade.hpp>

using namespace parade;

int main(int argc, char** argv) try {
  const Index epochs = argc > 1 ? std::atol(argv[1]) : 12;
  const auto [train, test] = argc > 2 ? mnist(argv[2]) : synthetic_mnist();

  // LeCun, Bottou, Bengio, Haffner: "Gradient-based learning applied to document recognition", 1998, with ReLU and maxima for tanh and means.
  Trainer trainer{Sequential{Shape{1, 28, 28},                                       //
                             Conv2d{1, 6, 5, {.padding = 2}}, Relu{}, MaxPool2d{2},  // 6 × 14 × 14
                             Conv2d{6, 16, 5}, Relu{}, MaxPool2d{2},                 // 16 × 5 × 5
                             Flatten{}, Dense{400, 120}, Relu{}, Dense{120, 84}, Relu{}, Dense{84, 10}},
                  SoftmaxCrossEntropy{}, L2{.lambda = 1e-4}, Sgd{.rate = 0.05, .momentum = 0.9}, Cosine{}};
  const auto summary = trainer.fit(train, {.epochs = epochs, .batch_size = 64, .seed = 1}, ProgressBar{}, Validate{test});
  std::cout << summary << "test accuracy " << trainer.accuracy(test) << '\n';
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
