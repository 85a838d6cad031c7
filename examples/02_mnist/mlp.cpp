// SPDX-License-Identifier: MIT
#include <vector>

#include <parade/models/mlp.hpp>

#include "train.hpp"

Result train_mlp(const Digits& digits, const Options& options) {
  std::vector<parade::Index> sizes = options.hidden;
  sizes.insert(sizes.begin(), digits.train.num_features());
  sizes.push_back(10);
  return train(parade::Mlp<float>{sizes}, digits, options);
}
