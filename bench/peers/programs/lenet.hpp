// SPDX-License-Identifier: MIT
#pragma once

#include <parade/layers/conv2d.hpp>
#include <parade/layers/dense.hpp>
#include <parade/layers/elementwise.hpp>
#include <parade/layers/flatten.hpp>
#include <parade/layers/pooling.hpp>
#include <parade/models/sequential.hpp>

namespace bench {

/// LeNet-5 with ReLU and maxima (LeCun, Bottou, Bengio, Haffner 1998, as it is taught today), for images of 28 × 28: 61706 parameters.
inline auto lenet() {
  using namespace parade;
  return Sequential{Shape{1, 28, 28}, Conv2d{1, 6, 5, {.padding = 2}},
                    Relu{},           MaxPool2d{2},
                    Conv2d{6, 16, 5}, Relu{},
                    MaxPool2d{2},     Flatten{},
                    Dense{400, 120},  Relu{},
                    Dense{120, 84},   Relu{},
                    Dense{84, 10}};
}

/// Of the products alone, a multiply-add counted as two: forward and the weights' gradient everywhere, the inputs' gradient in all but the first layer.
inline double lenet_flops_per_sample() {
  const double first = 6.0 * 25 * 28 * 28, second = 16.0 * 150 * 10 * 10, dense = 400.0 * 120 + 120 * 84 + 84 * 10;
  return 4 * first + 6 * (second + dense);
}

}  // namespace bench
