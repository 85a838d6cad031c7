// SPDX-License-Identifier: MIT
#include "../lenet.hpp"

#include "train.hpp"

Result train_lenet(const Digits& digits, const Options& options) { return train(lenet(), digits, options); }
