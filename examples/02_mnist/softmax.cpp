// SPDX-License-Identifier: MIT
#include <parade/models/linear.hpp>

#include "train.hpp"

Result train_softmax(const Digits& digits, const Options& options) {
  return train(parade::SoftmaxRegression<float>{digits.train.num_features(), 10}, digits, options);
}
