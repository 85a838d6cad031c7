// SPDX-License-Identifier: MIT
#pragma once

#include <parade/layers/conv2d.hpp>
#include <parade/layers/dense.hpp>
#include <parade/layers/elementwise.hpp>
#include <parade/layers/flatten.hpp>
#include <parade/layers/pooling.hpp>
#include <parade/models/sequential.hpp>

/// LeNet-5 for images of 28 × 28: 61706 parameters. LeCun, Bottou, Bengio, Haffner: "Gradient-based learning applied to document recognition", 1998, with ReLU
/// and maxima for tanh and means.
inline auto lenet() {
  using namespace parade;
  return Sequential(Shape{1, 28, 28},                                       //
                    Conv2d{1, 6, 5, {.padding = 2}}, Relu{}, MaxPool2d{2},  // 6 × 14 × 14
                    Conv2d{6, 16, 5}, Relu{}, MaxPool2d{2},                 // 16 × 5 × 5
                    Flatten{}, Dense{400, 120}, Relu{}, Dense{120, 84}, Relu{}, Dense{84, 10});
}
